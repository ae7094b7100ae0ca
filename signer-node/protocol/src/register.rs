//! The signer's register (rule C1): what it has entered, voted, locked and seen attested, as a
//! hash-chained list of entries that its node keeps.
//!
//! Signer and node run the same [`Chain`]: the signer to ask, the node to accept or refuse. An
//! entry names its predecessor's hash and the boot number, so that a paused and woken twin of a
//! signer, or one started from an older copy of the disk, is refused at its first append and
//! stops. What the chain refuses is never signed: a lower view, a second statement at one
//! (seq, view), a vote against a lock without a later certificate (rules A4, A8, A9).
//!
//! The rules follow EIP-3076: the same data again is the same answer and needs no entry; anything
//! that contradicts the record is refused.

mod moving;
mod record;

use alloc::collections::BTreeMap;

use attestation::ids::{Boot, Digest, Seq, Slot, View};
use attestation::tags;
use serde::{Deserialize, Serialize};
use state::job::Domain;

use crate::message::{Certificate, Lane};
use crate::planted::{self, Bug};
pub use record::{
    Attested, ENTRY_BYTES_MAX, Entry, LaneSigned, LaneStanding, Locked, Record, Standing, Voted,
};

/// Entries after which the signer writes a base, before which the node may forget the rest.
pub const BASE_INTERVAL: u64 = 256;

/// Why an entry or record is not taken. A refused signer stops; a node that refuses says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub enum Refused {
    /// The bytes are not an entry.
    #[error("the bytes are not a register entry")]
    Malformed,
    /// The hash does not cover the entry.
    #[error("entry {0} does not match its checksum")]
    Checksum(u64),
    /// Not the next position, or another predecessor: two signers append to one register.
    #[error("entry {actual} does not follow the register's tip at {expected}")]
    Predecessor {
        /// Position that would follow.
        expected: u64,
        /// Position given.
        actual: u64,
    },
    /// Appended by another start than the last.
    #[error("appended by start {actual}, the register's last start is {current}")]
    Boot {
        /// The register's last start.
        current: Boot,
        /// The start that appends.
        actual: Boot,
    },
    /// A view at or below the current one is entered, or a vote or lock is not of the current.
    #[error("view {actual} where the register stands at view {current}")]
    View {
        /// The register's view.
        current: View,
        /// The view asked for.
        actual: View,
    },
    /// Not the seq after the head, or an attestation not above it.
    #[error("seq {actual} where the register's head is {head}")]
    Seq {
        /// The register's head; 0 before the first.
        head: Seq,
        /// The seq asked for.
        actual: Seq,
    },
    /// A second statement at one (seq, view).
    #[error("already voted for another statement at seq {seq}, view {view}")]
    SecondDigest {
        /// Step.
        seq: Seq,
        /// View.
        view: View,
    },
    /// The signer is locked on another statement and no certificate of a later view is shown.
    #[error("locked on another statement at seq {seq} since view {view}")]
    Locked {
        /// Step.
        seq: Seq,
        /// View of the lock.
        view: View,
    },
    /// A lock without the vote it rests on.
    #[error("a lock at seq {0} without a vote for its statement in its view")]
    NotVoted(Seq),
    /// A lane signed at a higher position, or something else at this one.
    #[error("a lane that signed at position {current} is asked for another message at {actual}")]
    Position {
        /// The highest position at which the lane signed.
        current: u64,
        /// The position asked for.
        actual: u64,
    },
    /// A base that says something else than the entries before it.
    #[error("a base that contradicts the entries before it")]
    Base,
    /// The register belongs to another member or committee.
    #[error("the register of another member or committee")]
    Owner,
    /// The counter is at its end.
    #[error("a counter of the register is at its end")]
    Exhausted,
}

/// The register's state machine: the one judge of what may follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chain {
    next: u64,
    tip: Digest,
    since_base: u64,
    standing: Standing,
}

/// The answer to a record asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Appended {
    /// What depends on the record leaves once this position is durable.
    pub gate: u64,
    /// The entry to persist; none where the register says the same already.
    pub entry: Option<Entry>,
}

impl Chain {
    /// The empty register of a member.
    #[must_use]
    pub fn new(domain: &Domain, slot: Slot) -> Self {
        let owner = domain.layout(tags::RECORD).number(slot.0).digest();
        Self {
            next: 0,
            tip: owner,
            since_base: 0,
            standing: Standing {
                owner,
                boot: Boot(0),
                view: View(0),
                behind: None,
                lanes: BTreeMap::new(),
            },
        }
    }

    /// Reads a member's register from its entries, oldest first. The first may be a base.
    ///
    /// # Errors
    /// [`Refused`] names what is wrong with the first entry that does not follow.
    pub fn replay<'a>(
        domain: &Domain,
        slot: Slot,
        entries: impl IntoIterator<Item = &'a [u8]>,
    ) -> Result<Self, Refused> {
        let mut chain = Self::new(domain, slot);
        for (at, bytes) in entries.into_iter().enumerate() {
            let entry = Entry::from_bytes(bytes)?;
            match &entry.record {
                Record::Base(standing) if at == 0 => chain.found(&entry, standing)?,
                _ => chain.accept(&entry)?,
            }
        }
        Ok(chain)
    }

    /// What the entries say.
    #[must_use]
    pub const fn standing(&self) -> &Standing {
        &self.standing
    }

    /// What the entries say of one lane.
    #[must_use]
    pub fn lane(&self, lane: Lane) -> LaneStanding {
        self.standing.lanes.get(&lane).cloned().unwrap_or_default()
    }

    /// Position of the next entry.
    #[must_use]
    pub const fn next_index(&self) -> u64 {
        self.next
    }

    /// Hash that the next entry must name.
    #[must_use]
    pub const fn tip(&self) -> Digest {
        self.tip
    }

    /// Whether enough entries have come since the last base to write another.
    #[must_use]
    pub const fn base_due(&self) -> bool {
        self.since_base >= BASE_INTERVAL
    }

    /// Takes an entry that another process made: the node's side of `append`.
    ///
    /// # Errors
    /// [`Refused`]; the chain is unchanged.
    pub fn accept(&mut self, entry: &Entry) -> Result<(), Refused> {
        if entry.hash != entry.computed_hash() {
            return Err(Refused::Checksum(entry.index));
        }
        let twin = planted::is(Bug::TwinAccepted);
        if (entry.index != self.next || entry.previous != self.tip) && !twin {
            return Err(Refused::Predecessor {
                expected: self.next,
                actual: entry.index,
            });
        }
        let other = entry.boot != self.standing.boot;
        if !matches!(entry.record, Record::Boot(_)) && other && !twin {
            return Err(Refused::Boot {
                current: self.standing.boot,
                actual: entry.boot,
            });
        }
        self.check(&entry.record, entry.boot)?;
        self.take(entry)
    }

    /// Appends a record of the current start: the signer's side.
    ///
    /// # Errors
    /// [`Refused`]; the chain is unchanged and nothing may be signed.
    pub fn append(&mut self, record: Record) -> Result<Appended, Refused> {
        if self.says(&record) {
            return Ok(Appended {
                gate: self.next.saturating_sub(1),
                entry: None,
            });
        }
        let boot = match &record {
            Record::Boot(boot) => *boot,
            _ => self.standing.boot,
        };
        let mut entry = Entry {
            index: self.next,
            previous: self.tip,
            boot,
            record,
            hash: Digest::from_bytes([0; 32]),
        };
        entry.hash = entry.computed_hash();
        self.accept(&entry)?;
        Ok(Appended {
            gate: entry.index,
            entry: Some(entry),
        })
    }

    /// The record of the next start.
    ///
    /// # Errors
    /// [`Refused::Exhausted`] at the end of the counter.
    pub fn next_boot(&self) -> Result<Boot, Refused> {
        let boot = self.standing.boot.0.checked_add(1);
        boot.map(Boot).ok_or(Refused::Exhausted)
    }

    fn says(&self, record: &Record) -> bool {
        match record {
            Record::View(view) => *view == self.standing.view,
            Record::Vote(vote) => {
                let standing = self.lane(vote.lane);
                standing.vote.is_some_and(|before| {
                    (before.seq, before.view, before.statement, before.mask)
                        == (vote.seq, vote.view, vote.statement, vote.mask)
                })
            }
            Record::Lock(lock) => {
                let standing = self.lane(lock.lane);
                match (standing.lock, lock.certificate.claim()) {
                    (Some(before), Some(claim)) => before.claim() == Some(claim),
                    _ => false,
                }
            }
            Record::Attested(step) => {
                let standing = self.lane(step.lane);
                standing.attested.is_some_and(|before| {
                    (before.seq, before.statement) == (step.seq, step.statement)
                })
            }
            Record::Behind(epoch) => self.standing.behind >= Some(*epoch),
            Record::Signed(signed) => self.lane(signed.lane).signed.as_ref() == Some(signed),
            Record::Boot(_) | Record::Base(_) => false,
        }
    }

    fn check(&self, record: &Record, boot: Boot) -> Result<(), Refused> {
        match record {
            Record::Boot(started) => {
                if *started != self.next_boot()? || boot != *started {
                    return Err(Refused::Boot {
                        current: self.standing.boot,
                        actual: *started,
                    });
                }
                Ok(())
            }
            Record::View(view) if *view <= self.standing.view => Err(self.not_in_view(*view)),
            Record::View(_) | Record::Behind(_) => Ok(()),
            Record::Vote(vote) => self.check_vote(vote),
            Record::Signed(signed) => self.check_signed(signed),
            Record::Lock(lock) => self.check_lock(lock),
            Record::Attested(step) => {
                let head = self.head(step.lane);
                if step.seq <= head {
                    return Err(Refused::Seq {
                        head,
                        actual: step.seq,
                    });
                }
                Ok(())
            }
            Record::Base(standing) if **standing == self.standing => Ok(()),
            Record::Base(_) => Err(Refused::Base),
        }
    }

    fn check_vote(&self, vote: &Voted) -> Result<(), Refused> {
        self.check_place(vote.lane, vote.seq, vote.view)?;
        let standing = self.lane(vote.lane);
        // One vote per (seq, view): the same again needs no entry, another is equivocation.
        if let Some(before) = &standing.vote
            && (before.seq, before.view) == (vote.seq, vote.view)
            && !planted::is(Bug::SecondDigest)
        {
            return Err(Refused::SecondDigest {
                seq: vote.seq,
                view: vote.view,
            });
        }
        let Some(lock) = standing.lock.as_ref().and_then(Certificate::claim) else {
            return Ok(());
        };
        let ignored = planted::is(Bug::LockIgnored);
        if lock.seq != vote.seq || lock.statement == vote.statement || ignored {
            return Ok(());
        }
        // Rule A9: only t votes of a later view show that the lock's statement cannot be attested.
        let shown = vote.shown.as_ref().and_then(Certificate::claim);
        let releases = shown.is_some_and(|shown| {
            shown.seq == vote.seq
                && shown.statement == vote.statement
                && (shown.view > lock.view || planted::is(Bug::EarlierCertificate))
                && shown.view < vote.view
        });
        if releases {
            Ok(())
        } else {
            Err(Refused::Locked {
                seq: lock.seq,
                view: lock.view,
            })
        }
    }

    fn check_lock(&self, lock: &Locked) -> Result<(), Refused> {
        let claim = lock.certificate.claim().ok_or(Refused::Malformed)?;
        self.check_place(lock.lane, claim.seq, claim.view)?;
        let standing = self.lane(lock.lane);
        let rests = standing.vote.is_some_and(|vote| {
            (vote.seq, vote.view, vote.statement) == (claim.seq, claim.view, claim.statement)
        });
        if rests {
            Ok(())
        } else {
            Err(Refused::NotVoted(claim.seq))
        }
    }

    /// Rule E3: one message for each position, in rising order; another one only if all that its
    /// leaf fixes is the same.
    fn check_signed(&self, signed: &LaneSigned) -> Result<(), Refused> {
        let Some(before) = self.lane(signed.lane).signed else {
            return Ok(());
        };
        let again = before.position == signed.position && before.fixed == signed.fixed;
        if again || signed.position > before.position {
            Ok(())
        } else {
            Err(Refused::Position {
                current: before.position,
                actual: signed.position,
            })
        }
    }

    fn check_place(&self, lane: Lane, seq: Seq, view: View) -> Result<(), Refused> {
        if view != self.standing.view && !planted::is(Bug::LowerView) {
            return Err(self.not_in_view(view));
        }
        let head = self.head(lane);
        if Some(seq) != head.next() {
            return Err(Refused::Seq { head, actual: seq });
        }
        Ok(())
    }

    fn not_in_view(&self, actual: View) -> Refused {
        Refused::View {
            current: self.standing.view,
            actual,
        }
    }

    fn head(&self, lane: Lane) -> Seq {
        let standing = self.standing.lanes.get(&lane);
        let attested = standing.and_then(|standing| standing.attested.as_ref());
        attested.map_or(Seq(0), |step| step.seq)
    }

    fn found(&mut self, entry: &Entry, standing: &Standing) -> Result<(), Refused> {
        if entry.hash != entry.computed_hash() {
            return Err(Refused::Checksum(entry.index));
        }
        if standing.owner != self.standing.owner {
            return Err(Refused::Owner);
        }
        if entry.boot != standing.boot {
            return Err(Refused::Base);
        }
        self.next = entry.index;
        self.standing = standing.clone();
        self.take(entry)
    }

    fn take(&mut self, entry: &Entry) -> Result<(), Refused> {
        let next = entry.index.checked_add(1).ok_or(Refused::Exhausted)?;
        self.since_base += 1;
        match &entry.record {
            Record::Boot(boot) => self.standing.boot = *boot,
            Record::View(view) => self.standing.view = *view,
            Record::Behind(epoch) => {
                self.standing.behind = self.standing.behind.max(Some(*epoch));
            }
            Record::Vote(vote) => self.lane_mut(vote.lane).vote = Some(vote.clone()),
            Record::Signed(signed) => self.lane_mut(signed.lane).signed = Some(*signed),
            Record::Lock(lock) => {
                self.lane_mut(lock.lane).lock = Some(lock.certificate.clone());
            }
            Record::Attested(step) => {
                let lane = self.lane_mut(step.lane);
                lane.vote = lane.vote.take().filter(|vote| vote.seq > step.seq);
                lane.lock = lane
                    .lock
                    .take()
                    .filter(|lock| lock.claim().is_some_and(|claim| claim.seq > step.seq));
                lane.attested = Some(step.clone());
            }
            Record::Base(_) => self.since_base = 0,
        }
        self.next = next;
        self.tip = entry.hash;
        Ok(())
    }

    fn lane_mut(&mut self, lane: Lane) -> &mut LaneStanding {
        self.standing.lanes.entry(lane).or_default()
    }
}

#[cfg(test)]
mod tests;
