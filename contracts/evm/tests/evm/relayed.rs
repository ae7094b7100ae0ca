//! The relay and the contracts on a real EVM node, with real FROST signatures.

use std::convert::Infallible;
use std::path::Path;

use attestation::ids::{Digest, EvmKey, Seq};
use conformance::{outside, sample};
use evm::abi::{Value, encode, number};
use evm::anvil::{Anvil, CHAIN, ETHER, key};
use evm::committee::Committee;
use evm::leaf::{Message, padded};
use evm_client::contract::{LedgerAcceptor, MessageAcceptor, Trust};
use evm_client::relay::{Done, Relay, RelayError, Source as _, Target};
use evm_client::rpc::Rpc;
use evm_client::transaction::Address;

use crate::contracts;
use crate::steps::Steps;
use crate::world::{DELAY, GAS, GAS_MAX, GUARDIAN, ledger_terms, terms};

/// A node with the contracts of a committee, and the committee's steps.
pub struct Bed {
    pub anvil: Anvil,
    pub steps: Steps,
    pub acceptor: Address,
    ledger: Address,
    receiver: Address,
}

/// A node; `None` without one, which is a skip.
pub fn anvil() -> Option<Anvil> {
    match Anvil::start(Path::new(env!("CARGO_TARGET_TMPDIR"))) {
        Ok(anvil) => Some(anvil),
        Err(reason) => {
            outside::skip("contracts on a real EVM node", &reason);
            None
        }
    }
}

impl Bed {
    /// `None` without compiler or node, which is a skip.
    pub fn new() -> Option<Self> {
        let contracts = contracts()?;
        let anvil = anvil()?;
        let (deployer, committee) = (key(1), Committee::new(1));
        for account in [&deployer, &key(2), &key(3)] {
            anvil.fund(&account.address(), 10 * ETHER);
        }
        let arguments = [terms(&committee, GUARDIAN), vec![number(GAS_MAX)]].concat();
        let deploy = |name: &str, arguments: &[Value]| {
            anvil.deploy(&deployer, contracts, name, &encode(arguments))
        };
        let (acceptor, ledger) = (
            deploy("MessageAcceptor", &arguments),
            deploy("LedgerAcceptor", &ledger_terms(&committee)),
        );
        let receiver = deploy("Receiver", &[]);
        Some(Self {
            anvil,
            steps: Steps::of(committee),
            acceptor,
            ledger,
            receiver,
        })
    }

    /// A message of a channel, for the receiver.
    pub fn message(&self, channel: u8, number: u64, payload: &[u8]) -> Vec<u8> {
        let message = Message {
            zapp: sample::zapp(),
            seq: Seq(self.steps.head() + 1),
            chain: CHAIN,
            contract: padded(self.acceptor),
            receiver: padded(self.receiver),
            channel: Digest::from_bytes([channel; 32]),
            number,
            gas: GAS,
            payload: payload.to_vec(),
        };
        message.to_bytes()
    }

    /// The next step, of these leaves besides its settlement.
    pub fn step(&mut self, leaves: Vec<Vec<u8>>) {
        self.steps.push(leaves);
    }

    pub fn target(&self) -> Target {
        self.steps.target(Some(self.acceptor), Some(self.ledger))
    }

    pub fn relay(&self, target: Target) -> Result<Relay, RelayError<Infallible>> {
        self.relay_of(2, target)
    }

    /// A relay with the key of this byte.
    pub fn relay_of(&self, account: u8, target: Target) -> Result<Relay, RelayError<Infallible>> {
        let rpc = Rpc::new(self.anvil.url()).unwrap();
        Relay::begin(rpc, key(account), target, 1)
    }

    /// A change of the contract's key that ends with this step.
    pub fn key_change(&self, old: &Committee, new: &Committee) -> Vec<u8> {
        let seq = self.steps.head() + 1;
        let change = evm::leaf::KeyChange {
            seq: Seq(seq),
            suite: evm::leaf::SECP256K1,
            last_seq: seq,
            old: old.key().compressed(),
            new: new.key().compressed(),
        };
        change.to_bytes()
    }

    pub fn acceptor(&self) -> MessageAcceptor<'_> {
        MessageAcceptor {
            rpc: self.anvil.rpc(),
            address: self.acceptor,
        }
    }

    pub fn head(&self) -> u64 {
        let ledger = LedgerAcceptor {
            rpc: self.anvil.rpc(),
            address: self.ledger,
        };
        ledger.head().unwrap()
    }
}

/// What a pass brought: steps, and messages as channel, number and outcome.
pub fn brought(done: &[Done]) -> (Vec<u64>, Vec<(u8, u64, &'static str)>) {
    let (mut steps, mut messages) = (Vec::new(), Vec::new());
    for done in done {
        match done {
            Done::Step { seq, .. } => steps.push(*seq),
            Done::Message {
                channel,
                number,
                outcome,
                ..
            } => messages.push((channel.as_bytes()[0], *number, *outcome)),
            Done::KeyChange { .. }
            | Done::KeyActivated { .. }
            | Done::Undone { .. }
            | Done::Late { .. } => {}
        }
    }
    (steps, messages)
}

#[test]
fn a_relay_brings_each_message_and_step_once_in_order_and_goes_on() {
    let Some(mut bed) = Bed::new() else { return };
    let (one, other) = (bed.message(1, 1, b"\0first"), bed.message(2, 1, &[1]));
    bed.step(vec![one, other]);
    bed.step(sample::leaves(2, 1)[1..].to_vec());
    bed.step(vec![bed.message(1, 2, b"\0second")]);
    let mut relay = bed.relay(bed.target()).unwrap();
    let mut done = Vec::new();
    let pass = relay
        .pass(&mut bed.steps, &mut |one| done.push(one))
        .unwrap();
    assert_eq!((pass.head, pass.skipped, pass.unsigned), (3, 0, None));
    let messages = vec![(1, 1, "delivered"), (2, 1, "reverted"), (1, 2, "delivered")];
    assert_eq!(brought(&done), (vec![1, 2, 3], messages));
    assert_eq!(bed.head(), 3);

    // A step that is not signed is waited for; another relay that knows nothing brings nothing twice.
    bed.step(vec![bed.message(1, 3, b"\0third")]);
    bed.steps.unsigned.insert(4);
    let mut second = bed.relay(bed.target()).unwrap();
    for relay in [&mut relay, &mut second] {
        let pass = relay.pass(&mut bed.steps, &mut |one| panic!("{one:?}"));
        assert_eq!(pass.unwrap().unsigned, Some(4));
    }
    bed.steps.unsigned.clear();
    done.clear();
    let pass = second
        .pass(&mut bed.steps, &mut |one| done.push(one))
        .unwrap();
    assert_eq!(pass.unsigned, None);
    assert_eq!(brought(&done), (vec![4], vec![(1, 3, "delivered")]));
    let pass = relay.pass(&mut bed.steps, &mut |one| panic!("{one:?}"));
    assert_eq!(pass.unwrap().skipped, 1);
    let consumed = [1, 2, 3].map(|channel| {
        let channel = Digest::from_bytes([channel; 32]);
        bed.acceptor().consumed(&channel).unwrap()
    });
    assert_eq!(consumed, [3, 1, 0]);
}

#[test]
fn a_relay_sends_nothing_that_the_contract_would_refuse_and_the_contract_refuses_it() {
    let Some(mut bed) = Bed::new() else { return };
    bed.step(vec![bed.message(1, 1, b"\0one")]);
    let target = bed.target();
    let mut relay = bed.relay(target.clone()).unwrap();
    bed.steps.forger = Some(Committee::new(9));
    let refused = relay.pass(&mut bed.steps, &mut |one| panic!("{one:?}"));
    assert!(
        matches!(refused, Err(RelayError::Proof { seq: 1, .. })),
        "{refused:?}"
    );
    // The contract itself, by a call that skips the relay's own check.
    let proof = bed.steps.proof(1, 1).unwrap().unwrap();
    let signature = evm_client::calldata::Signature::new(&proof.signature).unwrap();
    let attestation = evm_client::calldata::Attestation::new(&proof.commit, &proof.root, signature);
    let call = evm_client::calldata::calldata("deliver", &attestation, &proof.inclusion);
    let refused = bed.anvil.rpc().view(&bed.acceptor, &call).unwrap_err();
    let evm_client::rpc::RpcError::Refused { revert, .. } = refused else {
        panic!("{refused:?}");
    };
    let why = evm_client::contract::revert(&revert.unwrap()).unwrap();
    assert!(why.starts_with("BadSignature("), "{why}");

    bed.steps.forger = None;
    for (wrong, expected) in [
        (
            Target {
                chain: 1,
                ..target.clone()
            },
            "the node is of chain 31337, not 1",
        ),
        (
            Target {
                messages: Some([7; 20]),
                ..target.clone()
            },
            "there is no contract at 0x0707070707070707070707070707070707070707",
        ),
        (
            Target {
                trust: Trust {
                    key: EvmKey::from_bytes(Committee::new(9).key().compressed()),
                    ..target.trust
                },
                ..target.clone()
            },
            "the contract trusts key",
        ),
        (
            Target {
                trust: Trust {
                    network: 1,
                    ..target.trust
                },
                ..target.clone()
            },
            "the contract trusts committee",
        ),
    ] {
        let refused = bed.relay(wrong).unwrap_err().to_string();
        assert!(refused.starts_with(expected), "{refused}");
    }
    let cheap = Target {
        fee_max: 1,
        ..target
    };
    let refused = bed.relay(cheap).unwrap().pass(&mut bed.steps, &mut |_| ());
    assert!(
        matches!(refused, Err(RelayError::Fee { allowed: 1, .. })),
        "{refused:?}"
    );
    bed.anvil.fund(&key(2).address(), 1_000);
    let pass = relay.pass(&mut bed.steps, &mut |one| panic!("{one:?}"));
    let blocked = pass.unwrap().blocked;
    assert!(
        blocked.len() == 2
            && blocked
                .iter()
                .all(|one| matches!(one.error, RelayError::Funds { balance: 1_000, .. })),
        "{blocked:?}"
    );
    assert_eq!(bed.head(), 0);
}

#[test]
fn a_relay_takes_a_change_of_key_to_the_contract_and_lets_it_take_effect() {
    let Some(mut bed) = Bed::new() else { return };
    let successor = Committee::new(5);
    let change = bed.key_change(&Committee::new(1), &successor);
    bed.step(vec![change]);
    let target = Target {
        ledger: None,
        ..bed.target()
    };
    let mut relay = bed.relay(target).unwrap();
    let mut done = Vec::new();
    relay
        .pass(&mut bed.steps, &mut |one| done.push(one))
        .unwrap();
    assert!(
        matches!(done[..], [Done::KeyChange { seq: 1, .. }]),
        "{done:?}"
    );
    relay
        .pass(&mut bed.steps, &mut |one| panic!("{one:?}"))
        .unwrap();
    bed.anvil.pass(DELAY);
    relay
        .pass(&mut bed.steps, &mut |one| done.push(one))
        .unwrap();
    assert!(matches!(done[1..], [Done::KeyActivated { .. }]), "{done:?}");
    let trusted = bed.acceptor().trust().unwrap().key;
    assert_eq!(trusted, EvmKey::from_bytes(successor.key().compressed()));
    // From now on it is the new key that signs, and the relay brings what it signs.
    bed.steps.committee = successor;
    bed.step(vec![bed.message(1, 1, b"\0after")]);
    done.clear();
    relay
        .pass(&mut bed.steps, &mut |one| done.push(one))
        .unwrap();
    assert_eq!(brought(&done).1, [(1, 1, "delivered")]);
}

#[test]
fn what_the_next_key_signs_waits_until_the_contract_trusts_it_and_one_change_follows_another() {
    let Some(mut bed) = Bed::new() else { return };
    let (first, second, third) = (Committee::new(1), Committee::new(5), Committee::new(6));
    let (second_key, third_key) = (second.key(), third.key());
    let change = bed.key_change(&first, &second);
    bed.step(vec![bed.message(1, 1, b"\0one"), change]);
    // The committee goes on with its next key at once, and changes that one, too.
    let change = bed.key_change(&second, &third);
    bed.step(vec![change, bed.message(1, 2, b"\0two")]);
    bed.steps.successor = Some((2, second));
    let target = bed.steps.target(Some(bed.acceptor), None);
    let mut relay = bed.relay(target.clone()).unwrap();
    let mut done = Vec::new();
    let pass = relay.pass(&mut bed.steps, &mut |one| done.push(one));
    let waits = |pass: Result<evm_client::relay::Pass<Infallible>, _>| {
        let blocked = pass.unwrap().blocked;
        let blocked: Vec<String> = blocked.iter().map(|one| one.error.to_string()).collect();
        let why = "step 2 is for a key that the contract does not trust yet";
        assert_eq!(blocked, [why, why]);
    };
    waits(pass);
    assert!(
        matches!(
            done[..],
            [
                Done::Message { number: 1, .. },
                Done::KeyChange { seq: 1, .. }
            ]
        ),
        "{done:?}"
    );
    // A relay begins although the contract is only on its way to the committee's key.
    let on_its_way = Target {
        trust: Trust {
            key: EvmKey::from_bytes(second_key.compressed()),
            ..target.trust
        },
        ..target
    };
    let mut fresh = bed.relay_of(3, on_its_way).unwrap();
    waits(fresh.pass(&mut bed.steps, &mut |one| panic!("{one:?}")));
    done.clear();
    bed.anvil.pass(DELAY);
    let pass = fresh.pass(&mut bed.steps, &mut |one| done.push(one));
    assert_eq!(pass.unwrap().blocked, []);
    assert!(
        matches!(
            done[..],
            [
                Done::KeyActivated { .. },
                Done::Message { number: 2, .. },
                Done::KeyChange { seq: 2, .. }
            ] | [
                Done::KeyActivated { .. },
                Done::KeyChange { seq: 2, .. },
                Done::Message { number: 2, .. }
            ]
        ),
        "{done:?}"
    );
    bed.anvil.pass(DELAY);
    let pass = relay.pass(&mut bed.steps, &mut |one| done.push(one));
    assert_eq!(pass.unwrap().blocked, []);
    assert!(matches!(done[3..], [Done::KeyActivated { .. }]), "{done:?}");
    let trusted = bed.acceptor().trust().unwrap().key;
    assert_eq!(trusted, EvmKey::from_bytes(third_key.compressed()));
}

#[test]
fn errors_are_those_of_the_contracts() {
    let Some(contracts) = contracts() else { return };
    for error in evm_client::contract::ERRORS {
        let name = contracts.error(evm::abi::selector(error));
        assert_eq!(name, error.split('(').next(), "{error}");
    }
}
