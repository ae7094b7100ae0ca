//! What the node refuses, the client refuses before: each fault by both.

use devnet::{Account, CHAIN, Key, Network, ZNN, token};
use nom::work::{Payment, native_seed};
use nom::{
    Amount, Block, DATA_BYTES_MAX, Hash, Place, Refusal, TokenStandard, block_to_json, work,
};
use serde_json::{Value, json};

use crate::network;

#[test]
fn whatever_is_wrong_with_a_block_is_seen_by_the_client_as_by_the_node() {
    let Some(network) = network("refusals of the Zenon node") else {
        return;
    };
    let mut committee = Account::new(&network, Key::committee(4));
    let place = committee.place().unwrap();
    let good = anchor(&mut committee, &place, vec![1; 64]);

    let mut signature = good.clone();
    signature.seal.as_mut().unwrap().signature[5] ^= 1;
    // S + L: the same point, not the one encoding.
    let mut malleated = good.clone();
    add_order(&mut malleated.seal.as_mut().unwrap().signature);
    let mut key = good.clone();
    let stranger = Key::user(7).public();
    key.seal.as_mut().unwrap().public_key = stranger;
    let mut hash = good.clone();
    hash.header.fused_plasma += 68;
    let mut chain = good.clone();
    chain.header.chain_identifier = CHAIN + 1;
    let chain = resealed(&mut committee, chain);
    let mut version = good.clone();
    version.header.version = 2;
    let version = resealed(&mut committee, version);
    let mut source = good.clone();
    source.header.from_block_hash = good.hash;
    let source = resealed(&mut committee, source);
    let mut token = good.clone();
    token.header.amount = Amount::from(1);
    let token = resealed(&mut committee, token);
    let mut nonce = good.clone();
    nonce.header.difficulty = 100_000_000;
    let seed = native_seed(&nonce.header.address, &nonce.header.previous_hash);
    assert_eq!(work::find(&seed, 100_000_000, 0, 1), None);
    let nonce = resealed(&mut committee, nonce);
    let mut long = good.clone();
    long.data = vec![0; DATA_BYTES_MAX + 1];
    long.header.fused_plasma = 21_000 + 68 * 16_385;
    let long = resealed(&mut committee, long);

    let cases = [
        (signature, Refusal::Signature, "signature"),
        (malleated, Refusal::Signature, "signature"),
        (key, Refusal::WrongKey, "signature"),
        (hash, Refusal::BlockHash, "hash"),
        (chain, Refusal::ChainIdentifier, "network"),
        (version, Refusal::Version, "version"),
        (source, Refusal::SendFields, "from"),
        (token, Refusal::SendFields, ""),
        (nonce, Refusal::ProofOfWork, "nonce"),
        (long, Refusal::DataLength, ""),
    ];
    for (block, refusal, word) in cases {
        assert_eq!(block.check(CHAIN), Err(refusal), "{refusal}");
        let client = network.client().publish(&block).unwrap_err();
        let text = format!("the block was not published: {refusal}");
        assert_eq!(client.to_string(), text);
        let node = publish_unchecked(&network, &block);
        let said = node.expect_err("the node refuses what the client refuses");
        let has_word = said.to_lowercase().contains(&word.to_lowercase());
        assert!(has_word, "{refusal}: the node says {said:?}");
    }
    // None of this was in the way of the block itself.
    committee.publish(&good, 1).unwrap();
}

#[test]
fn what_only_the_ledger_knows_is_told_in_the_nodes_words() {
    let Some(network) = network("refusals of the Zenon node's ledger") else {
        return;
    };
    let client = network.client();
    let mut committee = Account::new(&network, Key::committee(5));
    let place = committee.place().unwrap();
    let first = anchor(&mut committee, &place, vec![2]);
    committee.publish(&first, 1).unwrap();

    let next = committee.place().unwrap();
    let mut gap = next;
    gap.height += 1;
    let mut late = next;
    late.momentum = client.momentums(1, 1).unwrap().first().unwrap().reference();
    let mut nowhere = next;
    nowhere.momentum.height += 1_000;
    let znn = token(ZNN);
    let overdraft = next.send(committee.address(), znn, Amount::from(1), Vec::new());
    let dear = Payment::split(21_000, u64::MAX);
    let cases = [
        anchor(&mut committee, &gap, vec![3]),
        anchor(&mut committee, &late, vec![3]),
        anchor(&mut committee, &nowhere, vec![3]),
        anchor(&mut committee, &place, vec![3]),
        committee.sign_paid(overdraft, dear),
        committee.sign_paid(next.receive(Hash::from_bytes([5; 32])), dear),
    ];
    for block in cases {
        let declined = client.publish(&block).unwrap_err();
        let text = declined.to_string();
        assert!(text.starts_with("the NoM node refuses ledger."), "{text}");
        assert!(text.ends_with("(code -32000)"), "{text}");
    }
    // The longest data is taken.
    let longest = anchor(&mut committee, &next, vec![4; DATA_BYTES_MAX]);
    committee.publish(&longest, 1).unwrap();
}

fn anchor(committee: &mut Account, place: &Place, data: Vec<u8>) -> Block {
    let plasma = 21_000 + 68 * data.len() as u64;
    let draft = place.send(committee.address(), TokenStandard::ZERO, Amount::ZERO, data);
    committee.sign_paid(draft, Payment::split(plasma, u64::MAX))
}

/// The block with the hash of its fields, and a signature of the committee over it.
fn resealed(committee: &mut Account, mut block: Block) -> Block {
    block.hash = block.recomputed_hash();
    block.seal = Some(committee.key().seal(&block.hash));
    block
}

fn publish_unchecked(network: &Network, block: &Block) -> Result<Value, String> {
    network.call_unchecked(
        "ledger.publishRawTransaction",
        &json!([block_to_json(block)]),
    )
}

/// Adds the group's order to a signature's S.
fn add_order(signature: &mut [u8; 64]) {
    const ORDER: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut carry = 0u16;
    for (byte, order) in signature[32..].iter_mut().zip(ORDER) {
        let [high, low] = (u16::from(*byte) + u16::from(order) + carry).to_be_bytes();
        *byte = low;
        carry = u16::from(high);
    }
}
