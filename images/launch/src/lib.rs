//! Starts whole committees of processes on this machine, on loopback ports that were free a moment
//! ago: for `cargo xtask up`, end-to-end tests and benchmarks.
//!
//! It knows three commands of the node and nothing of what the node does:
//! - `zq-node init --dir DIR --passphrase-file FILE [--coordinator]
//!   [--images DIR --accel ACCELERATOR]` makes keys and writes
//!   `DIR/card.json`: `{"member": CARD, "coordinator": CARD or null, "profile": HEX}`;
//! - `zq-node run --dir DIR --passphrase-file FILE --record FILE --slot N --peers-listen ADDR
//!   --http ADDR --peer SLOT=ADDR… [--coordinator RANK] --until-stdin-ends`, and with images their
//!   arguments;
//! - `GET /v1/health` answers 200 once the committee has its key.

mod bridge;
mod caller;
mod committee;
mod http;
mod machines;
pub mod ports;
mod record;

pub use bridge::Bridge;
pub use caller::{Caller, GAS_LIMIT, now_ms};
pub use committee::{Committee, Economy, Member, Plan};
pub use http::{Http, HttpError};
pub use machines::Machines;
pub use record::Programs;
