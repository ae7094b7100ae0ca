//! The client, and committees' blocks, against the Zenon node itself. Without Go a test is a skip,
//! printed as `SKIP: reason`; under `CI=true` a skip fails.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a panic is a failed test"
)]

mod circle;
mod committee;
mod reads;
mod refusals;

use std::path::Path;
use std::sync::Arc;

use conformance::outside;
use devnet::Network;

/// The network, or `None` where the node cannot be built.
fn network(test: &str) -> Option<Arc<Network>> {
    match devnet::build(Path::new(env!("CARGO_TARGET_TMPDIR"))) {
        Ok(znnd) => Some(Network::shared(&znnd).expect("the node starts")),
        Err(reason) => {
            outside::skip(test, &reason);
            None
        }
    }
}
