//! What has arrived in one attempt.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use attestation::ids::{Digest, Slot};
use attestation::tags;
use frost_core::Ciphersuite;
use sha2::{Digest as _, Sha256};

use super::canary::{CANARY_BYTES_MAX, Nonces, Share, commitments_of};
use super::evidence::{digest, echoed, is_sound};
use super::packages::{PACKAGE_BYTES_MAX, commitment_of, identifier, share_fits};
use super::setup::Setup;
use super::{Act, DkgError, JUMP_MAX};
use crate::message::{Certification, DkgBody, DkgMessage};
use crate::planted::{self, Bug};

/// How far a member has shown to be; each means that it has all of the stage before.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Shown {
    Round1,
    Echo,
    Round2,
    Certify,
    Canary,
}

/// What a message did.
pub(super) enum Progress {
    Noted,
    /// Its sender has started anew within this attempt, without a share.
    Restarted,
    /// It proves a fault.
    Fault(Slot, Act),
}

/// One message of each kind and member at most.
#[derive(Default)]
pub(super) struct Inbox {
    /// Round-1 envelopes, this member's included.
    pub(super) round1: BTreeMap<Slot, DkgMessage>,
    pub(super) echoes: BTreeMap<Slot, DkgMessage>,
    pub(super) round2: BTreeMap<Slot, DkgMessage>,
    /// Certifications and what they certify, this member's included.
    pub(super) certified: BTreeMap<Slot, (Digest, Certification)>,
    pub(super) nonces: BTreeMap<Slot, Nonces>,
    pub(super) shares: BTreeMap<Slot, Share>,
    pub(super) shown: BTreeMap<Slot, Shown>,
    /// Canary round that others are in, or that a restarted member makes necessary.
    pub(super) round_min: u64,
}

impl Inbox {
    /// Stores a verified message of this attempt.
    pub(super) fn note<C: Ciphersuite>(
        &mut self,
        setup: &Setup<C>,
        message: DkgMessage,
    ) -> Result<Progress, DkgError> {
        let slot = message.slot;
        let shown = match &message.body {
            DkgBody::Round1(package) if package.len() <= PACKAGE_BYTES_MAX => {
                let progress = self.note_round1(message)?;
                self.show(slot, Shown::Round1);
                return Ok(progress);
            }
            DkgBody::Echo(digests) if digests.len() == setup.parties() => {
                let progress = self.note_echo(message);
                self.show(slot, Shown::Echo);
                return Ok(progress);
            }
            DkgBody::Round2 { to, package }
                if *to == setup.slot
                    && setup.deals(slot)
                    && setup.receives(*to)
                    && package.bytes().len() <= PACKAGE_BYTES_MAX =>
            {
                self.round2.entry(slot).or_insert(message);
                Shown::Round2
            }
            DkgBody::Certify(digest) if setup.receives(slot) => {
                if let Some(fault) = self.certified_otherwise(&message) {
                    return Ok(fault);
                }
                let certification = Certification {
                    boot: message.boot,
                    signature: message.signature,
                };
                self.certified
                    .entry(slot)
                    .or_insert((*digest, certification));
                Shown::Certify
            }
            DkgBody::CanaryNonces { .. } => {
                let progress = self.note_nonces(setup, message)?;
                self.show(slot, Shown::Canary);
                return Ok(progress);
            }
            DkgBody::CanaryShare { round, share, .. }
                if setup.receives(slot)
                    && share.len() <= CANARY_BYTES_MAX
                    && *round <= self.round_max() =>
            {
                self.note_share(message);
                Shown::Canary
            }
            _ => return Err(DkgError::Malformed),
        };
        self.show(slot, shown);
        Ok(Progress::Noted)
    }

    fn show(&mut self, slot: Slot, shown: Shown) {
        let last = self.shown.entry(slot).or_insert(shown);
        *last = shown.max(*last);
    }

    /// Whether a member repeats what lies behind it: something of ours has not arrived there.
    pub(super) fn is_behind(&self, message: &DkgMessage) -> bool {
        let shown = match &message.body {
            DkgBody::Round1(_) => Shown::Round1,
            DkgBody::Echo(_) => Shown::Echo,
            DkgBody::Round2 { .. } => Shown::Round2,
            DkgBody::Certify(_) => Shown::Certify,
            _ => Shown::Canary,
        };
        self.shown
            .get(&message.slot)
            .is_some_and(|last| shown < *last)
    }

    fn round_max(&self) -> u64 {
        self.round_min.saturating_add(JUMP_MAX)
    }

    fn note_round1(&mut self, message: DkgMessage) -> Result<Progress, DkgError> {
        let slot = message.slot;
        match self.round1.get(&slot) {
            None => {
                self.round1.insert(slot, message);
                Ok(Progress::Noted)
            }
            Some(known) if known.boot < message.boot => Ok(Progress::Restarted),
            Some(known) if known.boot > message.boot => Err(DkgError::Stale),
            Some(known) if known.body == message.body => Ok(Progress::Noted),
            Some(known) => {
                let both = Box::new([known.clone(), message]);
                Ok(Progress::Fault(slot, Act::Equivocation(both)))
            }
        }
    }

    fn note_echo(&mut self, message: DkgMessage) -> Progress {
        let slot = message.slot;
        let known = self.echoes.entry(slot).or_insert_with(|| message.clone());
        if known.boot != message.boot || known.body == message.body {
            return Progress::Noted;
        }
        Progress::Fault(slot, Act::Echo(Box::new([known.clone(), message])))
    }

    /// Canary commitments, from their sender or shown by another.
    fn note_nonces<C: Ciphersuite>(
        &mut self,
        setup: &Setup<C>,
        envelope: DkgMessage,
    ) -> Result<Progress, DkgError> {
        let slot = envelope.slot;
        let (round, commitments) = match &envelope.body {
            DkgBody::CanaryNonces { round, commitments }
                if setup.receives(slot)
                    && commitments.len() <= CANARY_BYTES_MAX
                    && *round <= self.round_max() =>
            {
                (*round, commitments.to_vec())
            }
            _ => return Err(DkgError::Malformed),
        };
        if commitments_of::<C>(&commitments).is_none() {
            let act = Act::BadNonces(Box::new(envelope));
            return Ok(Progress::Fault(slot, act));
        }
        if let Some(known) = self.nonces.get(&slot) {
            let is_older = envelope.boot < known.envelope.boot;
            if round < known.round || (round == known.round && is_older) {
                return Err(DkgError::Stale);
            }
            if round == known.round && known.commitments != commitments {
                if envelope.boot == known.envelope.boot {
                    let both = Box::new([known.envelope.clone(), envelope]);
                    return Ok(Progress::Fault(slot, Act::CanaryNonces(both)));
                }
                // It restarted; what was signed with its former nonces cannot be completed.
                self.round_min = self.round_min.max(round.saturating_add(1));
            }
        }
        self.round_min = self.round_min.max(round);
        let nonces = Nonces {
            round,
            commitments,
            envelope,
        };
        self.nonces.insert(slot, nonces);
        Ok(Progress::Noted)
    }

    /// A member's certification, as it was signed.
    pub(super) fn certify(&self, slot: Slot, session: Digest, attempt: u64) -> Option<DkgMessage> {
        let (digest, certification) = self.certified.get(&slot)?;
        Some(DkgMessage {
            session,
            attempt,
            slot,
            boot: certification.boot,
            body: DkgBody::Certify(*digest),
            signature: certification.signature,
        })
    }

    /// The fault of a member that has certified something else before, in the same start.
    pub(super) fn certified_otherwise(&self, certify: &DkgMessage) -> Option<Progress> {
        let slot = certify.slot;
        let before = self.certify(slot, certify.session, certify.attempt)?;
        let is_fault = before.boot == certify.boot && before.body != certify.body;
        is_fault.then(|| {
            let both = Box::new([before, certify.clone()]);
            Progress::Fault(slot, Act::CertifiedTwice(both))
        })
    }

    fn note_share(&mut self, envelope: DkgMessage) {
        let (slot, DkgBody::CanaryShare { round, package, .. }) = (envelope.slot, &envelope.body)
        else {
            return;
        };
        let is_newer = self
            .shares
            .get(&slot)
            .is_none_or(|known| known.round < *round || known.package != *package);
        if is_newer {
            let share = Share {
                round: *round,
                package: *package,
                envelope,
            };
            self.shares.insert(slot, share);
        }
    }

    /// Looks at a verified envelope that another member forwards as evidence.
    pub(super) fn judge<C: Ciphersuite>(
        &mut self,
        setup: &Setup<C>,
        accusation: DkgMessage,
        envelope: DkgMessage,
    ) -> Result<Progress, DkgError> {
        let is_own = envelope.slot == setup.slot;
        match &envelope.body {
            DkgBody::Round1(package) if !is_own && package.len() <= PACKAGE_BYTES_MAX => {
                if !is_sound(setup, &envelope) {
                    let act = Act::Round1(Box::new(envelope.clone()));
                    return Ok(Progress::Fault(envelope.slot, act));
                }
                self.note_round1(envelope)
            }
            DkgBody::Round2 { to, package } => {
                let dealer = self.round1.get(&envelope.slot).ok_or(DkgError::Unfounded)?;
                let commitment = commitment_of(setup, dealer).ok_or(DkgError::Unfounded)?;
                if dealer.boot != envelope.boot || !setup.receives(*to) {
                    return Err(DkgError::Unfounded);
                }
                let fits = share_fits::<C>(identifier(*to), package, &commitment)
                    && !planted::is(Bug::AccuserBelieved);
                if fits && let Some(echo) = self.equal_echo(setup, accusation.slot, envelope.slot) {
                    let accuser = accusation.slot;
                    let act = Act::Accusation(Box::new([echo, accusation]));
                    return Ok(Progress::Fault(accuser, act));
                }
                if fits || is_own {
                    return Err(DkgError::Unfounded);
                }
                let act = Act::Round2(Box::new(envelope.clone()));
                Ok(Progress::Fault(envelope.slot, act))
            }
            DkgBody::CanaryNonces { .. } if !is_own => self.note_nonces(setup, envelope),
            _ => Err(DkgError::Unfounded),
        }
    }

    /// The echo in which a member has signed that it holds the same package of a dealer as this
    /// one: only then is what it accuses the dealer of measured by the same commitments.
    fn equal_echo<C: Ciphersuite>(
        &self,
        setup: &Setup<C>,
        accuser: Slot,
        dealer: Slot,
    ) -> Option<DkgMessage> {
        let echo = self.echoes.get(&accuser)?;
        let round1 = self.round1.get(&dealer)?;
        (echoed(setup, echo, dealer)? == digest(setup, round1)).then(|| echo.clone())
    }

    /// Digests of all round-1 envelopes, in slot order. Signatures are not part of them: a signer
    /// can make many for one message.
    pub(super) fn round1_digests<C: Ciphersuite>(&self, setup: &Setup<C>) -> Vec<Digest> {
        let digest = |message: &DkgMessage| {
            Digest::from_bytes(Sha256::digest(message.signed_bytes(&setup.domain)).into())
        };
        self.round1.values().map(digest).collect()
    }

    /// One digest over round 1.
    pub(super) fn transcript<C: Ciphersuite>(&self, setup: &Setup<C>) -> Digest {
        self.round1_digests(setup)
            .iter()
            .fold(
                setup.domain.layout(tags::DKG_ECHO).number(3u64),
                |layout, digest| layout.fixed(digest.as_bytes()),
            )
            .digest()
    }

    /// In slot order.
    pub(super) fn certifications(&self) -> Vec<Certification> {
        self.certified
            .values()
            .map(|(_, certification)| *certification)
            .collect()
    }
}
