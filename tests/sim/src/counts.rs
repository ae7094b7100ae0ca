//! How often what happened: a run in which nothing rare happened proves nothing.

use std::collections::BTreeMap;

use signer_protocol::blame::Act;
use signer_protocol::message::{Message, ToCoordinator, ToMember, ToSigner};
use signer_protocol::signer::PackageError;

use crate::knobs::Profile;

/// Events that must have happened before silence means something.
pub const MUST_REACH: &[&str] = &[
    "attempt after the first",
    "blamed: bad share",
    "blamed: packaged twice",
    "blamed: proposed twice",
    "blamed: voted otherwise",
    "blamed: voted twice",
    "blamed: withheld",
    "clock jumped",
    "crash between write and acknowledgement",
    "disk full",
    "disk rolled back",
    "executor stalled",
    "fault of a request told",
    "job found invalid",
    "job proposed again for a lock",
    "job read back from a member's disk",
    "leading coordinator died",
    "key generated in this run",
    "key generation restarted",
    "lock answered to a conflicting job",
    "member disagrees with a certificate",
    "package refused: attempts",
    "package refused: certificate",
    "package refused: commitments",
    "package refused: leader",
    "package refused: own commitments",
    "package refused: set",
    "package refused: statement",
    "partition",
    "power cut",
    "process paused",
    "register begins anew with a base",
    "register moved",
    "register refuses a vote",
    "request forged",
    "request passed over",
    "request refused with a receipt",
    "rolled-back member takes no part",
    "step attested",
    "step attested with a voter parked",
    "torn record repaired",
    "trace root released",
    "twin refused by the register",
    "view entered",
    "view without t equal votes",
    "vote relabelled",
    "witness hides an entry",
];

/// The same for runs of changes.
pub const MUST_REACH_IN_CHANGES: &[&str] = &[
    "change: died half-way",
    "change: done",
    "change: done after one that came to nothing",
    "change: enrolment",
    "change: liar named",
    "change: partition",
    "change: proof that verifies offline",
    "change: refresh",
    "change: removal",
    "change: replacement",
    "change: restarted",
    "change: threshold",
    "change: waits for a silent party",
    "change: weak plan refused",
];

/// The same for runs with a change of epochs.
pub const MUST_REACH_IN_EPOCHS: &[&str] = &[
    "attempt after the first",
    "blamed: bad share",
    "blamed: proposed twice",
    "blamed: voted twice",
    "change: enrolment",
    "change: refresh",
    "change: removal",
    "change: replacement",
    "change: threshold",
    "disk rolled back",
    "epoch put into force",
    "epoch put into force without a member that is not ready",
    "job proposed again for a lock",
    "leading coordinator died",
    "liar stays in the old epoch",
    "partition",
    "power cut",
    "rolled-back member takes no part",
    "signer crashed",
    "step attested",
    "twin refused by the register",
    "twin started",
];

/// Events that must have happened in runs of this family.
#[must_use]
pub const fn must_reach(profile: Profile) -> &'static [&'static str] {
    match profile {
        Profile::Change => MUST_REACH_IN_CHANGES,
        Profile::Epochs => MUST_REACH_IN_EPOCHS,
        _ => MUST_REACH,
    }
}

/// Named counters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts(BTreeMap<&'static str, u64>);

impl Counts {
    /// Counts one.
    pub fn add(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }

    /// How often.
    #[must_use]
    pub fn of(&self, what: &str) -> u64 {
        self.0.get(what).copied().unwrap_or(0)
    }

    /// Takes those of another run in.
    pub fn merge(&mut self, other: &Self) {
        for (what, count) in &other.0 {
            *self.0.entry(what).or_default() += count;
        }
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.0.iter().map(|(what, count)| (*what, *count))
    }

    /// Counts what is in a message that leaves.
    pub fn sent(&mut self, message: &Message) {
        match message {
            Message::ToSigner(ToSigner::Job {
                certificate: Some(_),
                ..
            }) => self.add("job proposed again for a lock"),
            Message::ToSigner(ToSigner::Package(package)) if package.attempt.0 > 0 => {
                self.add("attempt after the first");
            }
            Message::ToCoordinator(message) => match message {
                ToCoordinator::Locked(_) => self.add("lock answered to a conflicting job"),
                ToCoordinator::Job(_) => self.add("job read back from a member's disk"),
                ToCoordinator::Fault(_) => self.add("fault of a request told"),
                ToCoordinator::Reveal { .. } => self.add("trace root released"),
                ToCoordinator::Invalid { .. } => self.add("job found invalid"),
                _ => {}
            },
            Message::ToMember(ToMember::Status(_)) => self.add("status told to a member"),
            _ => {}
        }
    }

    /// Counts a package that is not signed.
    pub fn refused_package(&mut self, reason: PackageError) {
        self.add(match reason {
            PackageError::Leader => "package refused: leader",
            PackageError::Certificate => "package refused: certificate",
            PackageError::Set => "package refused: set",
            PackageError::Commitments => "package refused: commitments",
            PackageError::OwnCommitments => "package refused: own commitments",
            PackageError::Statement => "package refused: statement",
            PackageError::Attempts => "package refused: attempts",
        });
    }

    /// Counts a report.
    pub fn blamed(&mut self, act: &Act) {
        self.add(match act {
            Act::ProposedTwice(_) => "blamed: proposed twice",
            Act::PackagedTwice(_) => "blamed: packaged twice",
            Act::VotedTwice(_) => "blamed: voted twice",
            Act::ObservedTwice(_) => "blamed: observed twice",
            Act::VotedOtherwise { .. } => "blamed: voted otherwise",
            Act::BadShare { .. } => "blamed: bad share",
            Act::BadLeafShare(_) => "blamed: bad share for a leaf",
            Act::Absent { .. } => "blamed: absent",
            Act::Withheld { .. } => "blamed: withheld",
        });
    }
}
