//! Blocks and momentums of a devnet of the real Zenon node and of its main network, and changes to
//! them.
#![allow(
    clippy::indexing_slicing,
    reason = "a test may panic on the shape of its own data"
)]
#![cfg(feature = "json")]

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use nom::{
    Address, Amount, Block, BlockType, BlockView, Genesis, Hash, Header, Momentum, Refusal,
    block_from_json, block_to_json, mirror_calls, momentum_from_json,
};
use serde_json::Value;

const CHAIN: u64 = 321;
const DUMP: &str = include_str!("../../../tests/data/nom-devnet.json");
const MAINNET: &str = include_str!("../../../tests/data/nom-mainnet.json");
const DROPPED: &str = include_str!("../../../tests/data/nom-devnet-dropped.json");

fn dump() -> Value {
    serde_json::from_str(DUMP).expect("the dump is JSON")
}

fn raw_blocks() -> Vec<Value> {
    let accounts = dump()["accounts"].as_object().expect("accounts").clone();
    let blocks = accounts.values().map(|account| &account["blocks"]);
    let blocks = blocks.flat_map(|blocks| blocks.as_array().expect("blocks"));
    blocks.cloned().map(with_dropped_data).collect()
}

/// The dump left out 200,000 bytes of one receive.
fn with_dropped_data(mut raw: Value) -> Value {
    let dropped: Value = serde_json::from_str(DROPPED).expect("JSON");
    let entry = &dropped[raw["hash"].as_str().expect("hash")];
    if let (Some(byte), Some(length)) = (entry["byte"].as_u64(), entry["length"].as_u64()) {
        let byte = u8::try_from(byte).expect("a byte");
        let data = vec![byte; usize::try_from(length).expect("short")];
        raw["data"] = STANDARD.encode(data).into();
    }
    raw
}

fn blocks() -> Vec<Block> {
    let raw = raw_blocks();
    raw.iter()
        .map(|raw| block_from_json(&raw.to_string()).expect("znnd's form"))
        .collect()
}

fn momentums() -> Vec<Momentum> {
    let dump = dump();
    let raw = dump["momentums"].as_array().expect("momentums").clone();
    raw.iter()
        .map(|raw| momentum_from_json(&raw.to_string()).expect("znnd's form"))
        .collect()
}

#[test]
fn every_block_passes_and_keeps_its_value_in_both_forms() {
    let blocks = blocks();
    assert_eq!(blocks.len(), 14);
    for block in &blocks {
        assert_eq!(block.recomputed_hash(), block.hash);
        assert_eq!(block.check(CHAIN), Ok(()), "{}", block.hash);
        let bytes = block.to_bytes().expect("within limits");
        let view = BlockView::parse(&bytes).expect("own form");
        assert_eq!(
            (view.header, view.data_hash),
            (block.header, nom::sha3_256(&block.data))
        );
        let json = block_to_json(block).to_string();
        assert_eq!(&block_from_json(&json).expect("own form"), block);
    }
}

#[test]
fn every_momentum_passes_and_links() {
    let momentums = momentums();
    assert_eq!(momentums.len(), 25);
    let mut previous = Hash::ZERO;
    for momentum in &momentums {
        assert_eq!(momentum.check(), Ok(()), "{}", momentum.height);
        assert_eq!(momentum.previous_hash, previous);
        previous = momentum.hash;
        let mut changed = momentum.clone();
        changed.timestamp += 1;
        assert_eq!(changed.check(), Err(Refusal::BlockHash));
        changed.hash = changed.recomputed_hash();
        let expected = if momentum.height == 1 {
            Ok(())
        } else {
            Err(Refusal::Signature)
        };
        assert_eq!(changed.check(), expected);
    }
}

#[test]
fn momentums_confirm_the_blocks_we_have() {
    let headers: Vec<_> = momentums()
        .into_iter()
        .flat_map(|momentum| momentum.content)
        .collect();
    let confirmed = blocks().into_iter().filter(|block| {
        headers.iter().any(|header| {
            (header.address, header.height, header.hash)
                == (block.header.address, block.header.height, block.hash)
        })
    });
    // The fourteenth was confirmed after the last momentum of the dump.
    assert_eq!(confirmed.count(), 13);
}

#[test]
fn genesis_blocks_follow_from_chain_and_address() {
    for header in &momentums()[0].content {
        let block = Block {
            hash: header.hash,
            header: Header::genesis(CHAIN, header.address),
            seal: None,
            data: Vec::new(),
            descendants: Vec::new(),
        };
        assert_eq!(block.check(CHAIN), Ok(()), "{}", header.address);
    }
}

#[test]
fn every_flipped_bit_of_a_hashed_field_changes_the_hash() {
    let block = blocks().into_iter().find(|block| !block.data.is_empty());
    let block = block.expect("a block with data");
    let digest = nom::sha3_256(&[]);
    let preimage = block.header.preimage(&digest, &nom::sha3_256(&block.data));
    assert_eq!(nom::sha3_256(&preimage), block.hash);
    let bytes = block.to_bytes().expect("within limits");
    // The binary form holds the preimage's fields and the data's digest behind form and hash.
    for bit in 0..(242 + 32) * 8 {
        let mut flipped = bytes.clone();
        flipped[33 + bit / 8] ^= 1 << (bit % 8);
        let Ok(view) = BlockView::parse(&flipped) else {
            assert!(
                (16..24).contains(&(bit / 8)),
                "only the type can be unreadable"
            );
            continue;
        };
        let changed = view.header.preimage(&digest, &view.data_hash);
        assert_ne!(changed, preimage, "bit {bit}");
        assert_ne!(nom::sha3_256(&changed), block.hash, "bit {bit}");
    }
    let mut data = block.clone();
    for at in [0, data.data.len() / 2, data.data.len() - 1] {
        data.data[at] ^= 1;
        assert_ne!(data.recomputed_hash(), block.hash);
        data.data[at] ^= 1;
    }
    data.descendants.push(block.clone());
    assert_ne!(data.recomputed_hash(), block.hash);
}

#[test]
fn forged_blocks_are_refused_with_their_reason() {
    let send = blocks()
        .into_iter()
        .find(|block| !block.header.amount.is_zero());
    let send = send.expect("a send with an amount");
    let other = blocks()
        .into_iter()
        .find(|block| block.header.address != send.header.address);
    let other_seal = other.expect("another account").seal;
    type Change<'a> = &'a dyn Fn(&mut Block);
    // Changes that also recompute the hash, as a forger would.
    let cases: &[(Change<'_>, Refusal)] = &[
        (&|block| block.header.version = 2, Refusal::Version),
        (
            &|block| block.header.chain_identifier = 1,
            Refusal::ChainIdentifier,
        ),
        (
            &|block| block.header.amount = Amount::from(1),
            Refusal::Signature,
        ),
        (&|block| block.data.push(0), Refusal::Signature),
        (&|block| block.seal = None, Refusal::Unsigned),
        (&|block| block.seal = other_seal, Refusal::WrongKey),
        (
            &|block| block.header.block_type = BlockType::ContractSend,
            Refusal::Signed,
        ),
        (
            &|block| {
                block.header.block_type = BlockType::ContractReceive;
                block.seal = None;
            },
            Refusal::ContractAddress,
        ),
        (
            &|block| {
                block.header = Header {
                    height: 1,
                    ..block.header
                };
                block.header.block_type = BlockType::GenesisReceive;
                block.seal = None;
            },
            Refusal::FirstBlock,
        ),
    ];
    for (change, reason) in cases {
        let mut forged = send.clone();
        change(&mut forged);
        forged.hash = forged.recomputed_hash();
        assert_eq!(forged.check(CHAIN), Err(*reason));
    }
    let mut forged = send.clone();
    forged.header.amount = Amount::from(1);
    assert_eq!(forged.check(CHAIN), Err(Refusal::BlockHash));
}

#[test]
fn key_and_signature_bits_are_covered() {
    let block = blocks()
        .into_iter()
        .find(|block| block.seal.is_some())
        .expect("a user's block");
    for bit in 0..96 * 8_usize {
        let mut forged = block.clone();
        let seal = forged.seal.as_mut().expect("sealed");
        let (byte, mask) = (bit / 8, 1 << (bit % 8));
        let reason = match byte.checked_sub(32) {
            None => {
                seal.public_key[byte] ^= mask;
                Refusal::WrongKey
            }
            Some(at) => {
                seal.signature[at] ^= mask;
                Refusal::Signature
            }
        };
        assert_eq!(forged.check(CHAIN), Err(reason), "bit {bit}");
    }
}

#[test]
fn signature_with_s_beyond_the_group_order_is_refused() {
    // L = 2^252 + 27742317777372353535851937790883648493, little-endian.
    let order = hex::decode("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010")
        .expect("hex");
    let mut block = blocks()
        .into_iter()
        .find(|block| block.seal.is_some())
        .expect("sealed");
    let seal = block.seal.as_mut().expect("sealed");
    let mut carry = 0u16;
    for (byte, add) in seal.signature[32..].iter_mut().zip(order) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        *byte = sum.to_be_bytes()[1];
        carry = sum >> 8;
    }
    assert_eq!(block.check(CHAIN), Err(Refusal::Signature));
}

#[test]
fn a_mined_block_passes() {
    // Bad work under a good signature: runtime/tests/nom_rules.rs.
    let mut blocks = blocks().into_iter();
    let mined = blocks.find(|block| block.header.difficulty > 0);
    assert_eq!(mined.expect("a mined block").check(CHAIN), Ok(()));
}

#[test]
fn json_in_another_spelling_is_refused() {
    let good = raw_blocks()[1].clone();
    type Change<'a> = &'a dyn Fn(&mut Value);
    let changes: &[(&str, Change<'_>)] = &[
        ("unknown key", &|block| block["extra"] = 1.into()),
        ("missing key", &|block| {
            drop(block.as_object_mut().unwrap().remove("nonce"))
        }),
        ("amount as number", &|block| block["amount"] = 0.into()),
        ("amount with zeros", &|block| block["amount"] = "00".into()),
        ("height as text", &|block| block["height"] = "2".into()),
        ("negative height", &|block| block["height"] = (-1).into()),
        ("short hash", &|block| block["hash"] = "00".into()),
        ("upper-case hash", &|block| {
            block["hash"] = block["hash"].as_str().unwrap().to_uppercase().into();
        }),
        ("base64 without padding", &|block| {
            block["signature"] = block["signature"]
                .as_str()
                .unwrap()
                .trim_end_matches('=')
                .into();
        }),
        ("url-safe base64", &|block| block["data"] = "-_-_".into()),
        ("bad nonce", &|block| {
            block["nonce"] = "zz00000000000000".into()
        }),
        ("unknown type", &|block| block["blockType"] = 6.into()),
        ("bad address", &|block| block["address"] = "z1qq".into()),
        ("key without signature", &|block| {
            block["signature"] = Value::Null
        }),
        ("descendants null", &|block| {
            block["descendantBlocks"] = Value::Null
        }),
    ];
    assert!(block_from_json(&good.to_string()).is_ok());
    for (name, change) in changes {
        let mut bad = good.clone();
        change(&mut bad);
        assert!(block_from_json(&bad.to_string()).is_err(), "{name}");
    }
    let doubled = good.to_string().replacen('{', "{\"version\":1,", 1);
    assert!(block_from_json(&doubled).is_err());
}

#[test]
fn replay_loads_the_genesis_then_every_block_after_what_it_links_to() {
    let calls = mirror_calls(DUMP, DROPPED).expect("a dump");
    assert_eq!(calls.len(), 15);
    let (method, input) = &calls[0];
    assert_eq!(*method, "genesis");
    let genesis = Genesis::parse(input).expect("own form");
    assert_eq!(genesis.chain_identifier, CHAIN);
    let opening: BTreeMap<Address, usize> = genesis
        .accounts()
        .map(|(address, balances)| (address, balances.count()))
        .collect();
    assert_eq!(opening.into_values().collect::<Vec<_>>().len(), 3);
    let mut seen = vec![Hash::ZERO];
    for (method, input) in &calls[1..] {
        assert_eq!(*method, "block");
        let view = BlockView::parse(input).expect("own form");
        assert!(seen.contains(&view.header.previous_hash));
        assert!(seen.contains(&view.header.from_block_hash));
        seen.push(view.hash);
    }
}

#[test]
fn blocks_of_the_main_network_pass() {
    // Public blocks as znnd answered with them; among them two with proof of work, one send with
    // data and a contract receive with the send that it made.
    let blocks: Value = serde_json::from_str(MAINNET).expect("JSON");
    let blocks = blocks.as_array().expect("a list");
    let mut descendants = 0;
    for raw in blocks {
        let block = block_from_json(&raw.to_string()).expect("znnd's form");
        assert_eq!(block.check(1), Ok(()), "{}", block.hash);
        assert_eq!(block.check(CHAIN), Err(Refusal::ChainIdentifier));
        for descendant in &block.descendants {
            // A contract's sends come before the receive that made them.
            assert_eq!(descendant.hash, block.header.previous_hash);
            assert_eq!(descendant.header.height + 1, block.header.height);
            descendants += 1;
        }
    }
    assert_eq!((blocks.len(), descendants), (5, 1));
}
