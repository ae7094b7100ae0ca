//! The committee's NoM account at the signer (rules A2, E3, E4): what a job claims of the chain, and
//! the lane in which blocks are signed.

use alloc::collections::{BTreeSet, VecDeque};

use attestation::ids::Digest;
use frost_core::Ciphersuite;
use rand_core::{CryptoRng, RngCore};
use state::job::Job;
use state::system::nom::{observed, opened};

use super::{Output, Signer};
use crate::identity::{SignIdentity, Verify};
use crate::lane::{FromLane, LaneError, Party, ToLane};
use crate::message::{Endpoint, InvalidJob, Message};

/// Most hashes that a signer keeps of what its operator's node has seen confirmed.
pub const CONFIRMED_MAX: usize = 4096;

/// Blocks and momentums that this member's own operator has seen deep enough in the chain, the
/// newest of them.
#[derive(Debug, Default)]
pub(super) struct Confirmed {
    hashes: BTreeSet<Digest>,
    order: VecDeque<Digest>,
}

impl Confirmed {
    pub(super) fn add(&mut self, hash: Digest) {
        if !self.hashes.insert(hash) {
            return;
        }
        self.order.push_back(hash);
        if self.order.len() > CONFIRMED_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.hashes.remove(&oldest);
        }
    }

    fn has(&self, hash: &Digest) -> bool {
        self.hashes.contains(hash)
    }
}

impl<C: Ciphersuite, I: SignIdentity, V: Verify> Signer<C, I, V> {
    /// Deposits, confirmed blocks and momentums are confirmed at this operator's node, and the
    /// account is begun for the group's own key. *Stops: invented deposits.*
    pub(super) fn check_claims(&self, job: &Job) -> Result<(), InvalidJob> {
        for request in &job.requests {
            let claim = observed(&request.call);
            let key = opened(&request.call);
            let is_borne_out = claim.is_none_or(|hash| self.confirmed.has(&hash))
                && key.is_none_or(|key| key == *self.committee.group_key());
            if !is_borne_out {
                return Err(InvalidJob::Request(request.id()));
            }
        }
        Ok(())
    }

    /// A coordinator leads the signing of an attested leaf. Whatever is wrong with its word costs
    /// it its answer and nothing else.
    pub(super) fn on_lane(
        &mut self,
        rng: &mut (impl RngCore + CryptoRng),
        rank: u16,
        message: &ToLane,
    ) {
        if !self.takes_part() {
            return;
        }
        let party = Party {
            committee: &self.committee,
            slot: self.slot,
            boot: self.boot,
            head: self.head_seq(),
            identity: &self.identity,
            verify: &self.verify,
        };
        let answer = match message {
            ToLane::Offer(proof) => self
                .nom
                .offer(&party, rng, rank, proof)
                .map(|nonces| Some(FromLane::Nonces(nonces))),
            ToLane::Package(package) => self
                .nom
                .package(&party, &mut self.chain, rank, package)
                .map(|appended| {
                    self.outputs.extend(appended.entry.map(Output::Persist));
                    None
                }),
        };
        match answer {
            Ok(Some(answer)) => self.answer_lane(rank, answer),
            Ok(None) => {}
            Err(LaneError::Register(refused)) => self.outputs.push_back(Output::Refused(refused)),
            Err(_) => {}
        }
    }

    /// Shares leave once their register entries are on disk.
    pub(super) fn release_lane(&mut self) {
        let party = Party {
            committee: &self.committee,
            slot: self.slot,
            boot: self.boot,
            head: self.head_seq(),
            identity: &self.identity,
            verify: &self.verify,
        };
        for (rank, share) in self.nom.release(&party, self.durable) {
            self.answer_lane(rank, FromLane::Share(share));
        }
    }

    fn answer_lane(&mut self, rank: u16, answer: FromLane) {
        let to = Endpoint::Coordinator(rank);
        let message = Message::FromLane(alloc::boxed::Box::new(answer));
        self.outputs.push_back(Output::Send { to, message });
    }
}
