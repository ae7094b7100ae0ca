//! Changes of a committee's members.

use std::path::PathBuf;

use attestation::ids::RuntimeProfile;
use clap::Subcommand;

use super::Sending;

#[derive(Subcommand)]
pub(crate) enum ChangeVerb {
    /// Plan a change, from what the node proves of the committee. Without options it is a refresh:
    /// the same members with new shares. Each operator approves the file with `zq-node approve`;
    /// the ceremony runs by itself once all that it needs have, and steps go on meanwhile.
    Plan {
        /// card.json of a member that joins (`zq-node init`); may be repeated.
        #[arg(long, value_name = "CARD")]
        join: Vec<PathBuf>,
        /// New card of a member that stays (`zq member card`): of another image, or with another
        /// account for its pay. May be repeated.
        #[arg(long = "card", value_name = "CARD")]
        cards: Vec<PathBuf>,
        /// Runtime profile of the new epoch's steps (engine, gas schedule, host ABI, limits), as the
        /// card files of the release that runs it name it; by default the one in force. From then on
        /// members of another release take no part.
        #[arg(long, value_name = "HEX")]
        profile: Option<RuntimeProfile>,
        /// Slot of a member that leaves; may be repeated.
        #[arg(long, value_name = "SLOT")]
        leave: Vec<u16>,
        /// Members that must agree; by default two thirds and one.
        #[arg(long)]
        threshold: Option<u16>,
        /// Members of the epoch in force that deal, at least its threshold; by default those that
        /// stay and are not suspected. All of them must be up.
        #[arg(long, value_name = "SLOTS", value_delimiter = ',')]
        dealers: Vec<u16>,
        /// Slot of a member whose share others may know; may be repeated.
        #[arg(long, value_name = "SLOT")]
        suspect: Vec<u16>,
        /// Plan of a change that was given up after its ceremony had begun: whoever it would have
        /// brought in may hold a share of the key. May be repeated.
        #[arg(long, value_name = "FILE")]
        given_up: Vec<PathBuf>,
        /// Plan it although members that left or are suspected could sign together with copies of
        /// their old shares, which only a new key ends.
        #[arg(long)]
        despite_exposure: bool,
        /// Number of the new epoch: above that in force, and of no earlier plan.
        #[arg(long)]
        epoch: Option<u64>,
        /// The file; it must not exist.
        #[arg(long, default_value = "change.plan", value_name = "FILE")]
        out: PathBuf,
    },
    /// Check a planned change offline and print it.
    Inspect {
        /// The file.
        file: PathBuf,
    },
    /// Put the change into force that is complete at the node: the step that carries this request
    /// is the old epoch's, and the next one the new one's.
    Activate {
        #[command(flatten)]
        sending: Sending,
    },
}
