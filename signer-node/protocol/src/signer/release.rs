//! What waits for the disk leaves here, and nowhere else.

use frost_core::Ciphersuite;
use rand_core::{CryptoRng, RngCore};

use super::Signer;
use crate::identity::{SignIdentity, Verify};
use crate::message::ToCoordinator;
use crate::planted::{self, Bug};

impl<C: Ciphersuite, I: SignIdentity, V: Verify> Signer<C, I, V> {
    /// Sends statuses, vote and share whose records are on disk.
    pub(super) fn settle(&mut self, _now_ms: u64, rng: &mut (impl RngCore + CryptoRng)) {
        if self.halted {
            return;
        }
        self.release_statuses();
        self.release_vote();
        self.release_share(rng);
        self.release_late_vote();
        self.release_lane();
    }

    /// A late vote waits for its job and for the attestation that makes it harmless.
    fn release_late_vote(&mut self) {
        let stored = self.stored;
        let durable = self.durable >= self.chain.next_index();
        let ready = self
            .late
            .take_if(|late| late.ready.is_some() && durable && stored == Some(late.proposal.job));
        if let Some(late) = ready
            && let Some(vote) = late.ready
        {
            self.tell(late.proposal.rank, *vote);
        }
    }

    /// A vote leaves once its record and the job behind it are on disk (rule A4).
    fn release_vote(&mut self) {
        let Some(cast) = &mut self.cast else {
            return;
        };
        let stored = self.stored == Some(cast.job) || planted::is(Bug::JobNotStored);
        let durable = cast.gate <= self.durable || planted::is(Bug::VoteBeforeDurable);
        if cast.sent || !stored || !durable || self.view_gate > self.durable {
            return;
        }
        cast.sent = true;
        let message = ToCoordinator::Vote {
            vote: cast.vote.clone(),
            stated: cast.stated,
            nonces: cast.offered.clone(),
        };
        let rank = cast.rank;
        self.tell(rank, message);
    }
}
