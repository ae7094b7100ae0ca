//! The example zApps `vault`, `names`, `auction`, `bridge`, `price-feed` and `till`, built to
//! WebAssembly, in whole steps. Inputs and outputs are written out byte by byte here, not by the
//! SDK's own codec.

#![allow(
    clippy::indexing_slicing,
    reason = "a test may panic on the shape of its own data"
)]

#[path = "../harness/mod.rs"]
mod harness;

mod auction;
mod bridge;
mod names;
mod price_feed;
mod till;
mod vault;

use attestation::ids::{IdentityKey, ZappId};
use attestation::leaf::Status;
use harness::Chain;

/// A deployed example.
struct Zapp {
    chain: Chain,
    id: ZappId,
}

impl Zapp {
    fn deployed(owner: IdentityKey, name: &str, init: &[u8]) -> Self {
        let mut chain = Chain::new();
        let (id, outcome) = chain.try_deploy(owner, name, init);
        assert_eq!(outcome.status, Status::Ok, "{outcome:?}");
        Self { chain, id }
    }

    /// The code with which a deployment reverts.
    fn refused(owner: IdentityKey, name: &str, init: &[u8]) -> u32 {
        let (_, outcome) = Chain::new().try_deploy(owner, name, init);
        assert_eq!(outcome.status, Status::Reverted, "{outcome:?}");
        outcome.code
    }

    /// The output of a call that succeeds, and the topics of its events.
    fn ok(&mut self, from: IdentityKey, method: &str, input: &[u8]) -> (Vec<u8>, Vec<String>) {
        let outcome = self.chain.call(from, self.id, method, input);
        assert_eq!(outcome.status, Status::Ok, "{method}: {outcome:?}");
        let topic = |event: &state::execute::Event| String::from_utf8_lossy(&event.topic).into();
        (outcome.output, outcome.events.iter().map(topic).collect())
    }

    fn revert(&mut self, from: IdentityKey, method: &str, input: &[u8]) -> u32 {
        self.chain.revert(from, self.id, method, input)
    }

    fn view(&mut self, method: &str, input: &[u8]) -> Vec<u8> {
        self.chain.view(self.id, method, input)
    }
}

/// Parts one after another.
fn join(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

fn u128_of(bytes: &[u8]) -> u128 {
    u128::from_be_bytes(bytes.try_into().expect("16 bytes"))
}

fn u64_of(bytes: &[u8]) -> u64 {
    u64::from_be_bytes(bytes.try_into().expect("8 bytes"))
}
