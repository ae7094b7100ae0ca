//! A message acceptor, its committee, and a receiver.

use attestation::commit::Commit;
use attestation::ids::{CommitteeId, Digest, NetworkId, Seq};
use conformance::sample;
use evm::abi::{Value, call, encode, number, word};
use evm::chain::{ANYONE, Account, Answer, CHAIN_ID, Chain, Receipt};
use evm::committee::{Committee, Key};
use evm::leaf::{KeyChange, Message, SECP256K1, padded};
use evm::step::{Attestation, Inclusion, calldata, included, step_with};

use crate::contracts;

/// Who may pause and cancel.
pub const GUARDIAN: Account = [0x99; 20];
/// Seconds between a key change and its effect.
pub const DELAY: u64 = 86_400;
/// Seconds after which a pause ends.
pub const PAUSE: u64 = 3 * 86_400;
/// Most gas that a message is given.
pub const GAS_MAX: u64 = 1_000_000;
/// Gas that the messages of tests grant.
pub const GAS: u64 = 300_000;

/// Everything that a delivery needs.
pub struct World {
    /// The chain.
    pub chain: Chain<'static>,
    /// The trusted committee.
    pub committee: Committee,
    /// The acceptor.
    pub acceptor: Account,
    /// A receiver that does as a payload's first byte says.
    pub receiver: Account,
}

/// What an acceptor of the sample committee is deployed with.
pub fn terms(committee: &Committee, guardian: Account) -> Vec<Value> {
    terms_of(committee, guardian, (sample::NETWORK, sample::committee()))
}

/// What an acceptor is deployed with.
pub fn terms_of(
    committee: &Committee,
    guardian: Account,
    (network, id): (NetworkId, CommitteeId),
) -> Vec<Value> {
    let Key { x, y } = committee.key();
    vec![
        number(network.0),
        Value::Word(*id.as_bytes()),
        Value::Word(x),
        Value::Word(y),
        Value::Word(padded(guardian)),
        number(DELAY),
        number(PAUSE),
    ]
}

/// What a ledger is deployed with, at genesis.
pub fn ledger_terms(committee: &Committee) -> Vec<Value> {
    let Key { x, y } = committee.key();
    vec![
        number(sample::NETWORK.0),
        Value::Word(*sample::committee().as_bytes()),
        Value::Word(*sample::profile().as_bytes()),
        Value::Word(x),
        Value::Word(y),
        number(0),
        number(1),
        Value::Word(*Commit::genesis_statement(&sample::committee()).as_bytes()),
        Value::Word(*sample::state(0).as_bytes()),
    ]
}

impl World {
    /// A world with a guardian; `None` if there is no compiler.
    pub fn new() -> Option<Self> {
        Self::with(GUARDIAN, GAS_MAX)
    }

    /// A world with another guardian, or another limit of gas.
    pub fn with(guardian: Account, gas_max: u64) -> Option<Self> {
        let mut chain = Chain::new(contracts()?);
        let committee = Committee::new(1);
        let arguments = [terms(&committee, guardian), vec![number(gas_max)]].concat();
        let acceptor = chain
            .deploy("MessageAcceptor", &encode(&arguments))
            .unwrap();
        let receiver = chain.deploy("Receiver", &[]).unwrap();
        Some(Self {
            chain,
            committee,
            acceptor,
            receiver,
        })
    }

    /// A message to the receiver.
    pub fn message(&self, seq: u64, number: u64, payload: &[u8]) -> Message {
        Message {
            zapp: sample::zapp(),
            seq: Seq(seq),
            chain: CHAIN_ID,
            contract: padded(self.acceptor),
            receiver: padded(self.receiver),
            channel: Digest::from_bytes(channel()),
            number,
            gas: GAS,
            payload: payload.to_vec(),
        }
    }

    /// A change from the committee's key to another's.
    pub fn key_change(&self, seq: u64, last_seq: u64, new: &Committee) -> KeyChange {
        KeyChange {
            seq: Seq(seq),
            suite: SECP256K1,
            last_seq,
            old: self.committee.key().compressed(),
            new: new.key().compressed(),
        }
    }

    /// A signed step of this one leaf besides the settlement, and where the leaf stands.
    pub fn attest(&mut self, seq: u64, leaf: Vec<u8>) -> (Attestation, Inclusion) {
        self.attest_with(seq, leaf, |_| ())
    }

    /// [`Self::attest`] with another commit.
    pub fn attest_with(
        &mut self,
        seq: u64,
        leaf: Vec<u8>,
        change: impl FnOnce(&mut Commit),
    ) -> (Attestation, Inclusion) {
        let (attestation, leaves) = step_with(&mut self.committee, seq, vec![leaf], change);
        (attestation, included(&leaves, 1))
    }

    /// Delivers a message of a step of its own.
    pub fn deliver(&mut self, message: &Message) -> Receipt {
        let (attestation, inclusion) = self.attest(message.seq.0, message.to_bytes());
        self.send("deliver", &attestation, &inclusion)
    }

    /// Sends an attestation and a leaf to the acceptor.
    pub fn send(
        &mut self,
        function: &str,
        attestation: &Attestation,
        inclusion: &Inclusion,
    ) -> Receipt {
        let data = calldata(function, attestation, inclusion);
        self.chain.send(ANYONE, self.acceptor, &data)
    }

    /// Calls a function without arguments.
    pub fn order(&mut self, from: Account, signature: &str) -> Answer {
        let data = call(signature, &[]);
        self.chain.send(from, self.acceptor, &data).answer
    }

    /// Number of messages consumed in the channel.
    pub fn consumed(&mut self) -> u64 {
        let data = call("consumed(bytes32)", &[Value::Word(channel())]);
        self.chain.number(self.acceptor, &data)
    }

    /// What became of a message: 1 delivered, 2 reverted, 3 no receiver, 4 too much gas.
    pub fn outcome(&mut self, place: u64) -> u64 {
        let arguments = [Value::Word(channel()), number(place)];
        let data = call("outcomeOf(bytes32,uint64)", &arguments);
        self.chain.number(self.acceptor, &data)
    }

    /// A number that the receiver keeps.
    pub fn received(&mut self, what: &str) -> u64 {
        self.chain.number(self.receiver, &call(what, &[]))
    }
}

/// The channel of all messages here.
pub fn channel() -> [u8; 32] {
    sample::digest("channel")
}

/// A success that returns nothing.
pub fn done() -> Answer {
    Answer::Returned(Vec::new())
}

/// A custom error.
pub fn refused(reason: &str) -> Answer {
    Answer::Refused(reason.to_owned())
}

/// The event of a consumed message: number and outcome.
pub fn consumption(receipt: &Receipt) -> ([u8; 32], [u8; 32]) {
    let event = receipt.events.last().unwrap();
    let outcome = event.data[32..64].try_into().unwrap();
    assert_eq!(event.topics[1], channel());
    (event.topics[2], outcome)
}

/// The event of a message that came to this.
pub fn consumed_as(number: u64, outcome: u64) -> ([u8; 32], [u8; 32]) {
    (word(number), word(outcome))
}
