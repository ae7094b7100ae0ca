//! What this member has sent in one attempt, to be repeated until it shows to have arrived.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::vec::Vec;

use attestation::ids::Slot;
use frost_core::Ciphersuite;

use super::inbox::Shown;
use super::packages::encode;
use super::setup::Setup;
use super::{DkgOutput, RESEND_MS_MAX, RESEND_MS_MIN};
use crate::message::{DkgBody, DkgMessage};

pub(super) struct Outbox {
    pub(super) resend_at_ms: u64,
    resend_ms: u64,
    pub(super) round1: Option<DkgMessage>,
    pub(super) echo: Option<DkgMessage>,
    evidence: BTreeMap<Slot, Vec<DkgMessage>>,
    pub(super) round2: BTreeMap<Slot, DkgMessage>,
    pub(super) certify: Option<DkgMessage>,
    pub(super) nonces: Option<DkgMessage>,
    pub(super) share: Option<DkgMessage>,
}

impl Outbox {
    pub(super) const fn new(now_ms: u64) -> Self {
        Self {
            resend_at_ms: now_ms,
            resend_ms: RESEND_MS_MIN,
            round1: None,
            echo: None,
            evidence: BTreeMap::new(),
            round2: BTreeMap::new(),
            certify: None,
            nonces: None,
            share: None,
        }
    }

    /// A new stage has begun, with everything of it just sent.
    pub(super) fn restart(&mut self, now_ms: u64) {
        self.resend_ms = RESEND_MS_MIN;
        self.resend_at_ms = now_ms.saturating_add(RESEND_MS_MIN);
    }

    /// Somebody is behind: repeat soon.
    pub(super) fn repeat_soon(&mut self, now_ms: u64) {
        self.resend_ms = RESEND_MS_MIN;
        self.resend_at_ms = self.resend_at_ms.min(now_ms.saturating_add(RESEND_MS_MIN));
    }

    /// Repeats to each member what it has not shown to have, if it is time to.
    pub(super) fn repeat<C: Ciphersuite>(
        &mut self,
        now_ms: u64,
        setup: &Setup<C>,
        shown: &BTreeMap<Slot, Shown>,
        outputs: &mut VecDeque<DkgOutput<C>>,
    ) {
        if now_ms < self.resend_at_ms {
            return;
        }
        self.resend_at_ms = now_ms.saturating_add(self.resend_ms);
        self.resend_ms = self.resend_ms.saturating_mul(2).min(RESEND_MS_MAX);
        for to in setup.others() {
            let is_member = setup.receives(to);
            for message in self.missing(to, is_member, shown.get(&to).copied()) {
                let message = message.clone();
                outputs.push_back(DkgOutput::Send { to, message });
            }
        }
    }

    fn missing(
        &self,
        to: Slot,
        is_member: bool,
        shown: Option<Shown>,
    ) -> impl Iterator<Item = &DkgMessage> {
        let lacks = |stage| shown < Some(stage);
        let round1 = self.round1.as_ref().filter(|_| lacks(Shown::Echo));
        let echo = self.echo.as_ref().filter(|_| lacks(Shown::Round2));
        let evidence = self.evidence.get(&to).into_iter().flatten();
        let round2 = self.round2.get(&to).filter(|_| lacks(Shown::Certify));
        let certify = self.certify.as_ref().filter(|_| lacks(Shown::Canary));
        round1
            .into_iter()
            .chain(echo)
            .chain(evidence)
            .chain(round2)
            .chain(certify)
            .chain(self.nonces.as_ref().filter(|_| is_member))
            .chain(self.share.as_ref().filter(|_| is_member))
    }

    /// A new round of the canary: what was to be compared is of the past.
    pub(super) fn drop_evidence(&mut self) {
        self.evidence.clear();
    }

    /// Keeps an envelope as evidence for a member; `None` if it is kept already.
    pub(super) fn add_evidence(
        &mut self,
        to: Slot,
        envelope: &DkgMessage,
        sign: impl FnOnce(DkgBody) -> DkgMessage,
    ) -> Option<DkgMessage> {
        let kept = self.evidence.entry(to).or_default();
        let body = DkgBody::Evidence(encode(envelope));
        if kept.iter().any(|message| message.body == body) {
            return None;
        }
        let message = sign(body);
        kept.push(message.clone());
        Some(message)
    }
}
