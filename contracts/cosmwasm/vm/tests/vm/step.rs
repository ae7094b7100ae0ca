//! Steps that FROST signed, and the messages that bring them to a contract.

use attestation::commit::Commit;
use attestation::ids::{GroupKey, Seq, StatementId};
use attestation::leaf::{KeyChangeLeaf, Leaf, MessageLeaf};
use attestation::step_attestation::StepAttestation;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use conformance::frost::Committee;
use conformance::sample;
use serde_json::{Value as Json, json};

use crate::chain::{address, canonical};

/// The chain that the contract is on.
pub const CHAIN_ID: &str = "cosmos-testnet-14002";
/// Address of the acceptor.
pub const ACCEPTOR: &str = cosmwasm_vm::testing::MOCK_CONTRACT_ADDR;
/// Seconds between a key change and its effect.
pub const CHANGE_DELAY: u64 = 1_000;
/// Seconds after which a pause ends.
pub const PAUSE_MAX: u64 = 500;
/// Most gas that a message is given.
pub const GAS_MAX: u64 = 300_000;

/// A receipt of the last leaf of a step at `seq` whose leaves are a settlement and `leaf`.
pub fn proven(committee: &mut Committee, seq: u64, leaf: &Leaf) -> (Vec<u8>, Vec<u8>) {
    proven_with(committee, leaf, &mut sample_commit(seq))
}

/// [`proven`] of another commit.
pub fn proven_with(
    committee: &mut Committee,
    leaf: &Leaf,
    change: &mut dyn FnMut(&[Vec<u8>]) -> Commit,
) -> (Vec<u8>, Vec<u8>) {
    let leaves = vec![
        Leaf::Settlement(sample::settlement(leaf.seq().0, 1)).to_bytes(),
        leaf.to_bytes(),
    ];
    let attestation = committee.attest(change(&leaves), &leaves);
    let receipt = attestation.receipt(&committee.key(), &leaves, 1).unwrap();
    (receipt, leaves[1].clone())
}

/// The commit of a step.
pub fn sample_commit(seq: u64) -> impl FnMut(&[Vec<u8>]) -> Commit {
    move |leaves| sample::commit(seq, leaves, StatementId::from_bytes([9; 32]))
}

/// A message to the receiver `receiver`.
pub fn message(seq: u64, label: &[u8], number: u64) -> MessageLeaf {
    let (chain, contract) = (MessageLeaf::cosmos(CHAIN_ID), canonical(ACCEPTOR));
    MessageLeaf {
        zapp: sample::zapp(),
        seq: Seq(seq),
        chain,
        contract,
        receiver: canonical(&address("receiver")),
        channel: MessageLeaf::channel(
            &sample::committee(),
            &sample::zapp(),
            (chain, &contract),
            label,
        ),
        number,
        gas: 200_000,
        payload: vec![1, 2, 3],
    }
}

/// The end of a key.
pub fn key_change(seq: u64, last_seq: u64, old: &GroupKey, new: &GroupKey) -> KeyChangeLeaf {
    KeyChangeLeaf::of_ed25519(Seq(seq), last_seq, old, new)
}

/// Registers a committee with a contract that accepts its leaves.
pub fn terms(key: &GroupKey) -> Json {
    json!({
        "network": sample::NETWORK.to_string(),
        "committee": sample::committee(),
        "group_key": key,
    })
}

/// A guardian and delays.
pub fn guard(guardian: Option<&str>) -> Json {
    json!({
        "guardian": guardian,
        "change_delay": CHANGE_DELAY.to_string(),
        "pause_max": PAUSE_MAX.to_string(),
    })
}

/// An acceptor of messages.
pub fn messages_of(key: &GroupKey, guardian: Option<&str>) -> Json {
    json!({ "messages": {
        "terms": terms(key),
        "guard": guard(guardian),
        "gas_max": GAS_MAX.to_string(),
    } })
}

/// An acceptor of outputs.
pub fn outputs_of(key: &GroupKey, receiver: Option<&str>) -> Json {
    json!({ "outputs": {
        "terms": terms(key),
        "guard": guard(None),
        "receiver": receiver,
    } })
}

/// A call that brings a leaf.
pub fn bring(action: &str, (receipt, leaf): &(Vec<u8>, Vec<u8>)) -> Json {
    json!({ action: { "receipt": base64(receipt), "leaf": base64(leaf) } })
}

/// A call that brings a step.
pub fn accept_step(attestation: &StepAttestation) -> Json {
    json!({ "accept_step": {
        "commit": base64(&attestation.commit.to_bytes()),
        "root": attestation.root,
        "signature": base64(attestation.signature.as_bytes()),
    } })
}

/// Bytes as CosmWasm writes them.
pub fn base64(bytes: &[u8]) -> String {
    BASE64_STANDARD.encode(bytes)
}
