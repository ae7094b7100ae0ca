//! A relay to a node that does as a test says, and a committee's steps.

use std::convert::Infallible;
use std::time::Duration;

use attestation::ids::{Digest, EvmKey, Seq, ZappId};
use evm::anvil::{CHAIN, key};
use evm::committee::Committee;
use evm::leaf::{Message, padded};
use evm_client::relay::{Done, Lane, Pass, Patience, Relay, RelayError, Target};
use evm_client::rpc::Rpc;
use evm_client::transaction::Address;

use crate::scripted::{RECEIVER, Scripted};
use crate::steps::Steps;

const ACCEPTOR: Address = [0xac; 20];
pub const GAS_MAX: u64 = 500_000;

/// What a relay waits for comes, or the test says that it does not.
pub const PATIENT: Patience = Patience {
    block: Duration::from_secs(60),
    raise: Duration::from_secs(60),
    look: Duration::ZERO,
};

/// A scripted node and a committee's steps.
pub struct Bed {
    pub node: Scripted,
    pub steps: Steps,
}

impl Bed {
    pub fn new() -> Self {
        let committee = Committee::new(1);
        let key = EvmKey::from_bytes(committee.key().compressed());
        Self {
            node: Scripted::start(key),
            steps: Steps::of(committee),
        }
    }

    pub fn target(&self) -> Target {
        Target {
            gas_max: GAS_MAX,
            ..self.steps.target(Some(ACCEPTOR), None)
        }
    }

    pub fn relay(&self, target: Target) -> Relay {
        let rpc = Rpc::new(&self.node.url()).unwrap();
        let relay = Relay::begin::<Infallible>(rpc, key(2), target, 1);
        relay.unwrap().with_patience(PATIENT)
    }

    /// A step with the next messages of these channels.
    pub fn step(&mut self, channels: &[(ZappId, u8, u64)]) {
        let seq = self.steps.head() + 1;
        let leaves = channels.iter().map(|(zapp, channel, number)| {
            let message = Message {
                zapp: *zapp,
                seq: Seq(seq),
                chain: CHAIN,
                contract: padded(ACCEPTOR),
                receiver: padded(RECEIVER),
                channel: Digest::from_bytes([*channel; 32]),
                number: *number,
                gas: 50_000,
                payload: Vec::new(),
            };
            message.to_bytes()
        });
        self.steps.push(leaves.collect());
    }

    pub fn pass(&mut self, relay: &mut Relay) -> (Passed, Vec<(u8, u64)>) {
        let mut brought = Vec::new();
        let pass = relay.pass(&mut self.steps, &mut |done| {
            if let Done::Message {
                channel, number, ..
            } = done
            {
                brought.push((channel.as_bytes()[0], number));
            }
        });
        (pass, brought)
    }
}

pub type Passed = Result<Pass<Infallible>, RelayError<Infallible>>;

/// The channels that are blocked.
pub fn blocked(pass: &Passed) -> Vec<u8> {
    let blocked = pass.as_ref().unwrap().blocked.iter();
    blocked
        .map(|blocked| match blocked.lane {
            Lane::Channel(channel) => channel.as_bytes()[0],
            other => panic!("{other:?}"),
        })
        .collect()
}
