//! Following a committee that you know the id of.

use std::path::PathBuf;

use attestation::ids::{CommitteeId, ZappId};
use clap::{Args, Subcommand};

#[derive(Subcommand)]
pub(crate) enum LightVerb {
    /// Go on to the gateway's newest step, over all changes of members since the last time.
    ///
    /// Everything that the gateway says is proven: the members of the first epoch by the committee's
    /// id, the group key by them, the step by the key, the epoch in force by the step's state, and
    /// its members by their ceremony. A gateway that shows another committee, a forged or an older
    /// step, or leaves out a change of members ends it with 3, and nothing is written. That a gateway
    /// keeps newer steps to itself cannot be proven: bound the step's age, or ask several gateways.
    #[command(after_help = "Example:\n  \
        zq light follow 5e48…0544 --state my.light --age-max 60 --node http://203.0.113.7:8080")]
    Follow {
        /// The committee's id, from somebody whom you trust: 64 hexadecimal digits.
        committee: CommitteeId,
        #[command(flatten)]
        known: Known,
        /// Refuse a newest step that is older than so many seconds by this machine's clock.
        #[arg(long, value_name = "SECONDS")]
        age_max: Option<u64>,
    },
    /// Print what is known, asking nobody: epoch, members, group key, newest step.
    Show {
        /// The committee's id.
        committee: CommitteeId,
        #[command(flatten)]
        known: Known,
    },
    /// Fetch a leaf of a step and verify it under what is known.
    Leaf {
        /// The committee's id.
        committee: CommitteeId,
        /// The step's seq.
        seq: u64,
        /// The leaf's position; 0 settles the step's bill.
        leaf: u64,
        #[command(flatten)]
        known: Known,
    },
    /// Go on to the newest step and read an entry of its state, with proof.
    Entry {
        /// The committee's id.
        committee: CommitteeId,
        /// The zApp's id; zeros for the system zApp.
        zapp: ZappId,
        /// The entry's key, hexadecimal.
        key: String,
        #[command(flatten)]
        known: Known,
    },
}

/// Where what is known is kept.
#[derive(Args)]
pub(crate) struct Known {
    /// What is known, kept from one time to the next; made by the first `zq light follow`. Whoever
    /// can write it is trusted.
    #[arg(long, default_value = "committee.light", value_name = "FILE")]
    pub(crate) state: PathBuf,
}
