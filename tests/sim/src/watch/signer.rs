//! What leaves a signer that follows the protocol.

use attestation::ids::{Epoch, Seq, Slot, StatementId};
use signer_protocol::identity::VerifyIdentity as _;
use signer_protocol::message::Lane;
use signer_protocol::message::{
    Endpoint, LockClaim, Message, SignedPackage, SignedShare, SignedStatus, ToCoordinator, ToMember,
};
use signer_protocol::register::LaneStanding;
use state::job::{Job, SignedFault, SignedVote};

use super::{Rule, Verdict, Watch};
use crate::chain::Chain;
use crate::suite::Suite;
use crate::world::Member;

impl<S: Suite> Watch<S> {
    /// Everything that a signer says rests on its disk and contradicts nothing that it ever said.
    ///
    /// # Errors
    /// The rule that the message breaks.
    pub fn released(
        &mut self,
        slot: Slot,
        member: &mut Member<S>,
        process: u64,
        chain: &Chain,
        message: &Message,
    ) -> Verdict {
        match message {
            Message::ToCoordinator(ToCoordinator::Vote { vote, .. }) => {
                self.vote(slot, (member, process), chain, vote)
            }
            Message::ToCoordinator(ToCoordinator::Share(share)) => {
                self.share(slot, (member, process), share)
            }
            Message::ToCoordinator(ToCoordinator::Status(status))
            | Message::ToMember(ToMember::Status(status)) => {
                self.status(slot, (member, process), &status.signed)
            }
            Message::ToCoordinator(ToCoordinator::Fault(fault)) => fault_is_real(member, fault),
            Message::ToCoordinator(ToCoordinator::Reveal { seq, .. }) => {
                let head = member.process_mut(process);
                let head = head.and_then(|signer| Some(signer.head()?.commit.seq));
                if seq.next() <= head {
                    Ok(())
                } else {
                    let what = format!("member {slot} releases step {seq}'s at head {head:?}");
                    Err((Rule::A12, what))
                }
            }
            _ => Ok(()),
        }
    }

    fn vote(
        &mut self,
        slot: Slot,
        (member, process): (&Member<S>, u64),
        chain: &Chain,
        vote: &SignedVote,
    ) -> Verdict {
        let party = Endpoint::Signer(slot);
        let lane = member.disk.durable.lane(Lane::Steps);
        // A late vote needs no record: nothing else can be attested at its seq any more.
        let settled = lane
            .attested
            .as_ref()
            .is_some_and(|step| step.seq >= vote.seq);
        if settled {
            if !chain.attested(vote.seq, &vote.statement) {
                let what = format!("member {slot} votes late for what is not attested");
                return Err((Rule::S2, what));
            }
        } else if member.process == process {
            vote_is_durable(slot, &lane, vote)?;
        } else if !member
            .disk
            .said
            .contains(&(vote.seq, vote.view, vote.statement))
        {
            let what = format!("member {slot}'s twin votes for what was never durable");
            return Err((Rule::S5, what));
        }
        let Some(job) = self.jobs.get(&vote.statement) else {
            return Err((Rule::S5, format!("member {slot} votes for no job")));
        };
        self.in_its_epoch(slot, vote.seq, vote.epoch, "votes")?;
        self.asked_for(slot, chain, job)?;
        let digest = job.digest();
        let own = member.jobs.get(&vote.statement).map(|job| job.digest());
        if own.is_none_or(|own| !member.stored.contains(&own)) {
            let what = format!("member {slot} votes before its job is durable");
            return Err((Rule::S5, what));
        }
        let said = self.said.entry(party).or_default();
        if !said.jobs.contains(&own.unwrap_or(digest)) {
            let what = format!("member {slot} votes for a job that was out of time or anchored");
            return Err((Rule::A2, what));
        }
        let before = said.votes.insert((vote.seq, vote.view), vote.statement);
        if before.is_some_and(|before| before != vote.statement) {
            let what = format!(
                "member {slot} votes twice at step {} view {}",
                vote.seq, vote.view
            );
            return Err((Rule::S2, what));
        }
        let locked = said.locked.get(&vote.seq).copied();
        let later = |lock: &LockClaim| lock.view < vote.view && lock.statement != vote.statement;
        if let Some(lock) = locked.filter(|lock| later(lock) && !settled) {
            self.releases(slot, &lane, lock, vote)?;
        }
        Ok(())
    }

    /// A1: each request of a job is signed by its caller, in date, and has not run before.
    fn asked_for(&self, slot: Slot, chain: &Chain, job: &Job) -> Verdict {
        for request in &job.requests {
            let (call, id) = (&request.call, request.id());
            let signed = self
                .verify
                .verify(&call.caller, &call.signed_bytes(), &request.signature);
            let why = match chain.done(&id) {
                _ if !signed => "its caller has not signed",
                _ if call.valid_until_ms < job.context.time_ms => "is out of date",
                Some(before) if before < job.seq => "has run before",
                _ => continue,
            };
            let what = format!("member {slot} votes for request {id} that {why}");
            return Err((Rule::A1, what));
        }
        Ok(())
    }

    /// B4: a step is voted for and signed in the epoch that the step before has put into force.
    fn in_its_epoch(&self, slot: Slot, seq: Seq, epoch: Epoch, does: &str) -> Verdict {
        let expected = self.epoch_of(seq);
        if expected == Some(epoch) {
            return Ok(());
        }
        let what = format!("member {slot} {does} in epoch {epoch} at step {seq} of {expected:?}");
        Err((Rule::B4, what))
    }

    /// A9: a vote against a lock rests on a certificate of a later view.
    fn releases(
        &self,
        slot: Slot,
        lane: &LaneStanding,
        lock: LockClaim,
        vote: &SignedVote,
    ) -> Verdict {
        let recorded = lane.vote.as_ref();
        let shown = recorded.and_then(|recorded| self.certified(recorded.shown.as_ref()?));
        let releases = shown.is_some_and(|shown| {
            shown.seq == vote.seq
                && shown.statement == vote.statement
                && shown.view > lock.view
                && shown.view < vote.view
        });
        if releases {
            return Ok(());
        }
        let what = format!(
            "member {slot}, locked in view {}, votes otherwise in view {} at step {}",
            lock.view, vote.view, vote.seq
        );
        Err((Rule::S2, what))
    }

    fn share(
        &mut self,
        slot: Slot,
        (member, process): (&Member<S>, u64),
        share: &SignedShare,
    ) -> Verdict {
        let party = Endpoint::Signer(slot);
        let Some(package) = self.packages.get(&share.package).cloned() else {
            return Err((Rule::S7, format!("member {slot} signs a package of nobody")));
        };
        self.in_its_epoch(slot, share.seq, share.epoch, "signs")?;
        let Some(claim) = self.certified(&package.certificate) else {
            let what = format!("member {slot} signs without t equal votes of one view");
            return Err((Rule::S7, what));
        };
        let lane = member.disk.durable.lane(Lane::Steps);
        let lock = lane.lock.as_ref().and_then(|lock| lock.claim());
        // A twin that is behind repeats what was durable before the other start.
        let twin = member.process != process;
        let place = (claim.seq, claim.view, claim.statement);
        if lock != Some(claim) && !(twin && member.disk.said.contains(&place)) {
            let what = format!("member {slot} signs {claim:?}, its disk is locked on {lock:?}");
            return Err((Rule::S5, what));
        }
        self.set_is_voters(slot, &package)?;
        let said = self.said.entry(party).or_default();
        let place = (share.seq, share.view);
        let current = member.disk.durable.standing().view;
        let current_view = share.view == current && share.view >= said.view;
        if !(current_view || twin) || claim.view != share.view {
            let what = format!(
                "member {slot} signs in view {}, is in {current} and was in {}",
                share.view, said.view
            );
            return Err((Rule::S2, what));
        }
        if said.votes.get(&place) != Some(&claim.statement) {
            let what = format!("member {slot} signs what it did not vote for");
            return Err((Rule::S2, what));
        }
        let before = said.shares.insert(place, claim.statement);
        let locked = said.locked.get(&share.seq).copied();
        let below = locked.is_some_and(|lock| lock.view > share.view);
        if before.is_some_and(|before| before != claim.statement) || below {
            let what = format!("member {slot} signs two statements, or below its lock");
            return Err((Rule::S2, what));
        }
        said.locked.insert(share.seq, claim);
        let own = package.nonces.iter().find(|nonces| nonces.slot == slot);
        let Some(own) = own else {
            return Err((Rule::S7, format!("member {slot} is not in the set")));
        };
        let used = said.nonces.insert(own.commitments.to_vec(), share.package);
        if used.is_some_and(|used| used != share.package) {
            let what = format!("member {slot} signs two packages with the same nonces");
            return Err((Rule::S4, what));
        }
        Ok(())
    }

    /// A6: the signing set is the certificate's t voters, each with commitments of its own.
    fn set_is_voters(&self, slot: Slot, package: &SignedPackage) -> Verdict {
        let set = package.nonces.iter().map(|nonces| nonces.slot);
        let voters = package.certificate.votes.iter().map(|vote| vote.slot);
        let signed = package.nonces.iter().all(|nonces| {
            let committee = self.committee(nonces.epoch);
            committee.is_some_and(|committee| committee.committed(nonces, &self.verify))
        });
        if set.eq(voters) && signed {
            return Ok(());
        }
        let what = format!("member {slot} signs for others than the certificate's voters");
        Err((Rule::S7, what))
    }

    fn status(
        &mut self,
        slot: Slot,
        (member, process): (&Member<S>, u64),
        status: &SignedStatus,
    ) -> Verdict {
        let current = member.disk.durable.standing().view;
        let said = self.said.entry(Endpoint::Signer(slot)).or_default();
        if member.process != process && status.view < current {
            return Ok(());
        }
        if status.view != current {
            let what = format!(
                "member {slot} tells of view {}, its disk says {current}",
                status.view
            );
            return Err((Rule::S5, what));
        }
        if status.view < said.view {
            let what = format!("member {slot} falls from view {} to {current}", said.view);
            return Err((Rule::S11, what));
        }
        said.view = status.view;
        Ok(())
    }
}

fn vote_is_durable(slot: Slot, lane: &LaneStanding, vote: &SignedVote) -> Verdict {
    let durable = lane.vote.as_ref().is_some_and(|recorded| {
        (recorded.seq, recorded.view, recorded.statement) == (vote.seq, vote.view, vote.statement)
    });
    if durable {
        return Ok(());
    }
    let recorded = lane.vote.as_ref();
    let recorded: Option<(_, _, StatementId)> =
        recorded.map(|vote| (vote.seq, vote.view, vote.statement));
    let what = format!("member {slot} votes, its disk says {recorded:?}");
    Err((Rule::S5, what))
}

/// A11: what is told as a fault traps this member's executor, or keeps it silent.
fn fault_is_real<S: Suite>(member: &Member<S>, fault: &SignedFault) -> Verdict {
    let slow = member.engine.takes_ms.1 >= signer_protocol::signer::EXECUTOR_SILENT_MS;
    if member.engine.hung.contains(&fault.request) || member.seemed_silent > 0 || slow {
        return Ok(());
    }
    let what = format!("member {} tells a fault of a sound request", fault.slot);
    Err((Rule::A11, what))
}
