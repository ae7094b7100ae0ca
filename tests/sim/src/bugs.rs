//! Bugs planted in the protocol, and which promise must catch each.

use signer_protocol::planted::Bug;

use crate::knobs::Profile;
use crate::watch::Rule;

/// A planted bug.
#[derive(Clone, Copy, Debug)]
pub struct Planted {
    /// The bug.
    pub bug: Bug,
    /// The rule of the protocol that it breaks.
    pub rule: &'static str,
    /// The promises that may catch it, each a consequence of the rule.
    pub caught_by: &'static [Rule],
    /// The runs in which it shows soonest.
    pub profile: Profile,
}

/// All of them.
pub const ALL: &[Planted] = &[
    planted(Bug::CallerUnchecked, "A1", &[Rule::A1], Profile::Byzantine),
    planted(Bug::TimeUnchecked, "A2", &[Rule::A2], Profile::Byzantine),
    planted(Bug::VoteBeforeDurable, "A4", &[Rule::S5], Profile::Swarm),
    planted(Bug::JobNotStored, "A4", &[Rule::S5], Profile::Swarm),
    planted(Bug::SecondDigest, "A4", &[Rule::S2], Profile::Swarm),
    planted(Bug::StitchedCertificate, "A5", &[Rule::S7], Profile::Swarm),
    planted(Bug::DuplicateVoter, "A5", &[Rule::S7], Profile::Byzantine),
    planted(Bug::ShareBeforeLock, "A6", &[Rule::S5], Profile::Swarm),
    planted(Bug::NonceKept, "A6, B1", &[Rule::S4], Profile::Byzantine),
    planted(Bug::CulpritKept, "A7", &[Rule::L1], Profile::Byzantine),
    planted(Bug::FirstIsGuilty, "A7", &[Rule::S8], Profile::Byzantine),
    planted(Bug::LowerView, "A8", &[Rule::S2, Rule::S5], Profile::Swarm),
    planted(Bug::ViewNotPersisted, "A8", &[Rule::S5], Profile::Swarm),
    planted(Bug::LockIgnored, "A9", &[Rule::S2], Profile::Swarm),
    planted(Bug::EarlierCertificate, "A9", &[Rule::S2], Profile::Swarm),
    planted(Bug::LockNotProposed, "A9", &[Rule::L1], Profile::Swarm),
    planted(Bug::OneMemberMoves, "A10", &[Rule::A10], Profile::Byzantine),
    planted(Bug::HoleIsFault, "A11", &[Rule::A11], Profile::Byzantine),
    planted(Bug::TraceEarly, "A12", &[Rule::A12], Profile::Swarm),
    planted(Bug::ViewUnsigned, "A14", &[Rule::A14], Profile::Swarm),
    planted(Bug::CertifiedEarly, "B2", &[Rule::B2], Profile::Swarm),
    planted(Bug::AccuserBelieved, "B3", &[Rule::B3], Profile::Change),
    planted(
        Bug::ThresholdUnchecked,
        "B3, A15",
        &[Rule::B3],
        Profile::Change,
    ),
    planted(Bug::CutoverUnready, "B4", &[Rule::B4], Profile::Epochs),
    planted(Bug::EpochIgnored, "B4", &[Rule::B4], Profile::Epochs),
    planted(Bug::TwinAccepted, "C1", &[Rule::S11], Profile::Crash),
    planted(Bug::MoveForgets, "C3", &[Rule::C3], Profile::Crash),
    planted(Bug::LinkUnchecked, "D2", &[Rule::S3], Profile::Byzantine),
];

const fn planted(
    bug: Bug,
    rule: &'static str,
    caught_by: &'static [Rule],
    profile: Profile,
) -> Planted {
    Planted {
        bug,
        rule,
        caught_by,
        profile,
    }
}

/// What came of a hunt.
#[cfg(feature = "planted")]
#[derive(Clone, Debug)]
pub enum Hunt {
    /// A promise that follows from the bug's rule was broken.
    Caught {
        /// First seed that shows it.
        seed: u64,
        /// How.
        violation: crate::world::Violation,
    },
    /// Another promise was broken.
    Otherwise {
        /// First seed that shows something.
        seed: u64,
        /// What.
        violation: crate::world::Violation,
    },
    /// Nothing was seen.
    Missed,
}

/// Plants a bug and runs seeds from 0 until one shows it.
#[cfg(feature = "planted")]
#[must_use]
pub fn hunt(planted: &Planted, seeds: u64, crypto: crate::suite::Crypto) -> Hunt {
    use crate::run::{Plan, run};

    let mut plan = Plan::of(planted.profile);
    plan.crypto = crypto;
    signer_protocol::planted::plant(Some(planted.bug));
    let shown = (0..seeds).find_map(|seed| Some((seed, run(seed, &plan).violation?)));
    signer_protocol::planted::plant(None);
    match shown {
        None => Hunt::Missed,
        Some((seed, violation)) if planted.caught_by.contains(&violation.rule) => {
            Hunt::Caught { seed, violation }
        }
        Some((seed, violation)) => Hunt::Otherwise { seed, violation },
    }
}
