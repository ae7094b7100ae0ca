//! The rules that must hold after every event.

use attestation::ids::{Seq, Slot};
use attestation::step_attestation::StepAttestation;
use signer_protocol::blame::{Act, Culprit};
use signer_protocol::identity::VerifyGroup as _;
use signer_protocol::message::{Lane, Message, ToCoordinator};

use crate::suite::Suite;
use crate::world::{Seen, WorldOf};

impl<S: Suite> WorldOf<S> {
    /// Never two attestations of one seq; each verifies and follows the one before.
    pub fn note_attested(&mut self, attestation: &StepAttestation) {
        assert!(
            S::VERIFY.attests(self.committee.group_key(), attestation),
            "attestations verify"
        );
        let seq = attestation.commit.seq;
        if let Some(before) = self.attested.get(&seq) {
            assert_eq!(
                before.statement(),
                attestation.statement(),
                "two statements at seq {seq}"
            );
        }
        if let Some(previous) = self.attested.get(&Seq(seq.0 - 1)) {
            assert_eq!(previous.commit.state, attestation.commit.previous_state);
            assert_eq!(previous.statement(), attestation.commit.previous);
        }
        self.attested.insert(seq, *attestation);
    }

    /// What leaves a signer rests on what is on its disk (rules A4, A6, A8).
    pub fn check_released(&self, slot: Slot, message: &Message) {
        let member = &self.members[&slot];
        let disk = &member.durable;
        match message {
            Message::ToCoordinator(ToCoordinator::Vote { vote, .. }) => {
                let lane = disk.lane(Lane::Steps);
                if lane.attested.is_none_or(|step| step.seq < vote.seq) {
                    let standing = lane.vote.expect("vote is on disk");
                    assert_eq!((standing.seq, standing.view), (vote.seq, vote.view));
                    assert_eq!(standing.statement, vote.statement);
                } else {
                    let attested = self.attested[&vote.seq].statement();
                    assert_eq!(
                        attested, vote.statement,
                        "late votes are for what is attested"
                    );
                }
                let job = &member.jobs[&vote.statement];
                assert!(
                    member.stored.contains(&job.digest()),
                    "job is on disk before the vote"
                );
            }
            Message::ToCoordinator(ToCoordinator::Share(share)) => {
                let lock = disk.lane(Lane::Steps).lock.expect("lock is on disk");
                let claim = lock.claim().unwrap();
                assert_eq!((claim.seq, claim.view), (share.seq, share.view));
                assert_eq!(
                    disk.standing().view,
                    share.view,
                    "shares leave in the current view"
                );
            }
            Message::ToCoordinator(ToCoordinator::Status(status)) => {
                assert_eq!(disk.standing().view, status.signed.view);
            }
            _ => {}
        }
    }

    pub fn blamed(&self, culprit: Culprit) -> Vec<&Act> {
        let acts = self.seen.iter().filter_map(|seen| match seen {
            Seen::Blame(who, act) if *who == culprit => Some(act),
            _ => None,
        });
        acts.collect()
    }
}
