//! Moving a register (rule C3): what it says leaves as one entry; what arrives joins what is there,
//! and of both the later counts.

use alloc::boxed::Box;

use attestation::ids::{Digest, Seq, View};

use super::record::{Entry, LaneStanding, Record, Standing, Voted};
use super::{Chain, Refused};
use crate::message::Certificate;
use crate::planted::{self, Bug};

impl Chain {
    /// All that this register says, as one entry with its own checksum.
    #[must_use]
    pub fn exported(&self) -> Entry {
        base(self.next, self.tip, self.standing.clone())
    }

    /// The register that says what this one and an exported one say, as its one entry: of every
    /// counter, vote and lock the later.
    ///
    /// # Errors
    /// [`Refused::Checksum`] or [`Refused::Malformed`] if the entry is no whole export,
    /// [`Refused::Owner`] if it is another member's, [`Refused::SecondDigest`] or
    /// [`Refused::Position`] if both voted, or signed in a lane, for different things in one place:
    /// then two signers of this member were at work.
    pub fn joined(&self, exported: &Entry) -> Result<Entry, Refused> {
        if exported.hash != exported.computed_hash() {
            return Err(Refused::Checksum(exported.index));
        }
        let Record::Base(arrived) = &exported.record else {
            return Err(Refused::Malformed);
        };
        if arrived.owner != self.standing.owner {
            return Err(Refused::Owner);
        }
        let mut joined = self.standing.clone();
        joined.boot = joined.boot.max(arrived.boot);
        joined.view = joined.view.max(arrived.view);
        joined.behind = joined.behind.max(arrived.behind);
        for (lane, arrived) in &arrived.lanes {
            let own = joined.lanes.entry(*lane).or_default();
            if !planted::is(Bug::MoveForgets) {
                *own = later(own, arrived)?;
            }
        }
        let index = self.next.max(exported.index);
        let index = index.checked_add(1).ok_or(Refused::Exhausted)?;
        Ok(base(index, self.tip, joined))
    }
}

fn base(index: u64, previous: Digest, standing: Standing) -> Entry {
    let mut entry = Entry {
        index,
        previous,
        boot: standing.boot,
        record: Record::Base(Box::new(standing)),
        hash: Digest::from_bytes([0; 32]),
    };
    entry.hash = entry.computed_hash();
    entry
}

/// Head, vote and lock of both, each the later one; below the head there is nothing left to keep.
fn later(own: &LaneStanding, arrived: &LaneStanding) -> Result<LaneStanding, Refused> {
    let head = |lane: &LaneStanding| lane.attested.as_ref().map_or(Seq(0), |step| step.seq);
    let attested = match head(arrived) > head(own) {
        true => arrived.attested.clone(),
        false => own.attested.clone(),
    };
    let settled = head(own).max(head(arrived));
    let votes = [&own.vote, &arrived.vote].map(|vote| {
        let vote = vote.as_ref();
        vote.filter(|vote| vote.seq > settled)
    });
    if let [Some(one), Some(other)] = votes
        && place(one) == place(other)
        && one.statement != other.statement
    {
        let (seq, view) = place(one);
        return Err(Refused::SecondDigest { seq, view });
    }
    let locks = [&own.lock, &arrived.lock].map(|lock| {
        let lock = lock.as_ref();
        lock.filter(|lock| locked(lock).is_some_and(|(seq, _)| seq > settled))
    });
    let signed = [own.signed, arrived.signed];
    if let [Some(one), Some(other)] = signed
        && one.position == other.position
        && one.fixed != other.fixed
    {
        return Err(Refused::Position {
            current: one.position,
            actual: other.position,
        });
    }
    Ok(LaneStanding {
        signed: signed
            .into_iter()
            .flatten()
            .max_by_key(|signed| signed.position),
        vote: votes
            .into_iter()
            .flatten()
            .max_by_key(|vote| place(vote))
            .cloned(),
        lock: locks
            .into_iter()
            .flatten()
            .max_by_key(|lock| locked(lock))
            .cloned(),
        attested,
    })
}

const fn place(vote: &Voted) -> (Seq, View) {
    (vote.seq, vote.view)
}

fn locked(lock: &Certificate) -> Option<(Seq, View)> {
    lock.claim().map(|claim| (claim.seq, claim.view))
}

#[cfg(test)]
mod tests {
    use attestation::ids::{Boot, CommitteeId, Epoch, NetworkId, Slot, StatementId};
    use serde_bytes::ByteBuf;
    use state::job::Domain;

    use super::super::record::{Attested, LaneSigned};
    use super::*;
    use crate::message::Lane;

    const SLOT: Slot = Slot(3);

    fn domain() -> Domain {
        Domain {
            network: NetworkId(1),
            committee: CommitteeId::from_bytes([1; 32]),
        }
    }

    fn vote(seq: u64, view: u64, statement: u8) -> Voted {
        Voted {
            lane: Lane::Steps,
            seq: Seq(seq),
            view: View(view),
            statement: StatementId::from_bytes([statement; 32]),
            mask: Digest::from_bytes([0; 32]),
            shown: None,
        }
    }

    /// A register that started `boots` times, entered a view, has this head and voted.
    fn register(boots: u64, view: u64, head: u64, voted: Option<Voted>) -> Chain {
        let mut chain = Chain::new(&domain(), SLOT);
        for boot in 1..=boots {
            chain.append(Record::Boot(Boot(boot))).expect("in order");
        }
        if view > 0 {
            chain.append(Record::View(View(view))).expect("rises");
        }
        if head > 0 {
            let attested = Attested {
                lane: Lane::Steps,
                seq: Seq(head),
                statement: StatementId::from_bytes([9; 32]),
                attestation: ByteBuf::new(),
            };
            chain.append(Record::Attested(attested)).expect("rises");
        }
        if let Some(vote) = voted {
            chain.append(Record::Vote(vote)).expect("the first");
        }
        chain
    }

    fn opened(entry: &Entry) -> Chain {
        let bytes = entry.to_bytes();
        Chain::replay(&domain(), SLOT, [bytes.as_slice()]).expect("a register of one entry")
    }

    #[test]
    fn a_moved_register_says_what_it_said_and_goes_on() {
        let old = register(4, 7, 2, Some(vote(3, 7, 1)));
        let entry = Entry::from_bytes(&old.exported().to_bytes()).expect("whole");
        let moved = opened(
            &Chain::new(&domain(), SLOT)
                .joined(&entry)
                .expect("the same member"),
        );
        assert_eq!(moved.standing(), old.standing());
        let mut moved = moved;
        let second = Record::Vote(vote(3, 7, 2));
        assert!(matches!(
            moved.append(second),
            Err(Refused::SecondDigest { .. })
        ));
        moved.append(Record::Boot(Boot(5))).expect("the next start");
        // The old one goes on on another chain: what it appends is no entry of the new one.
        let mut twin = old;
        let entry = twin.append(Record::Boot(Boot(5))).expect("its own").entry;
        assert!(moved.accept(&entry.expect("new")).is_err());
    }

    #[test]
    fn of_two_registers_the_later_of_everything_counts_whichever_way_they_join() {
        let one = register(9, 5, 4, Some(vote(5, 5, 1)));
        let mut other = register(2, 8, 6, Some(vote(7, 8, 2)));
        other.append(Record::Behind(Epoch(1))).expect("known");
        for (here, there) in [(&one, &other), (&other, &one)] {
            let joined = opened(&here.joined(&there.exported()).expect("one member"));
            let standing = joined.standing();
            assert_eq!((standing.boot, standing.view), (Boot(9), View(8)));
            assert_eq!(standing.behind, Some(Epoch(1)));
            let lane = joined.lane(Lane::Steps);
            assert_eq!(lane.attested.map(|step| step.seq), Some(Seq(6)));
            assert_eq!(lane.vote, Some(vote(7, 8, 2)));
            assert!(joined.next_index() > here.next_index().max(there.next_index()));
        }
        // A vote that the other's head has settled is gone.
        let settled = register(1, 5, 4, Some(vote(5, 5, 1)));
        let ahead = register(1, 5, 5, None);
        let joined = opened(&settled.joined(&ahead.exported()).expect("one member"));
        assert_eq!(joined.lane(Lane::Steps).vote, None);
    }

    #[test]
    fn what_is_no_export_of_this_member_is_refused() {
        let own = register(1, 5, 4, Some(vote(5, 5, 1)));
        let twin = register(1, 5, 4, Some(vote(5, 5, 2)));
        let (seq, view) = (Seq(5), View(5));
        let refused = own.joined(&twin.exported());
        assert_eq!(refused, Err(Refused::SecondDigest { seq, view }));

        let signed = |position, fixed| {
            let mut chain = register(1, 5, 4, None);
            let signed = LaneSigned {
                lane: Lane::Nom,
                position,
                message: Digest::from_bytes([fixed; 32]),
                fixed: Digest::from_bytes([fixed; 32]),
            };
            chain.append(Record::Signed(signed)).expect("rises");
            chain
        };
        let (current, actual) = (7, 7);
        let refused = signed(7, 1).joined(&signed(7, 2).exported());
        assert_eq!(refused, Err(Refused::Position { current, actual }));
        let later = opened(
            &signed(7, 1)
                .joined(&signed(8, 2).exported())
                .expect("one member"),
        );
        assert_eq!(
            later.lane(Lane::Nom).signed.map(|signed| signed.position),
            Some(8)
        );

        let stranger = Chain::new(&domain(), Slot(4)).exported();
        assert_eq!(own.joined(&stranger), Err(Refused::Owner));
        let mut altered = own.exported();
        altered.boot = Boot(7);
        assert_eq!(own.joined(&altered), Err(Refused::Checksum(altered.index)));
        let mut entry = own.exported();
        entry.record = Record::View(View(9));
        entry.hash = entry.computed_hash();
        assert_eq!(own.joined(&entry), Err(Refused::Malformed));
    }
}
