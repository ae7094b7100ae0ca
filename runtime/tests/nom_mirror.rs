//! `nom-mirror`, built to WebAssembly, replays a devnet of the real Zenon node in whole steps.
#![allow(
    clippy::indexing_slicing,
    reason = "a test may panic on the shape of its own data"
)]

mod harness;

use attestation::ids::ZappId;
use attestation::leaf::Status;
use harness::{Chain, key};
use nom::{
    Address, Amount, Block, BlockType, BlockView, Hash, Header, Refusal, TokenStandard,
    mirror_calls,
};
use state::step::Outcome;

const CHAIN: u64 = 321;
const DUMP: &str = include_str!("../../tests/data/nom-devnet.json");
const DROPPED: &str = include_str!("../../tests/data/nom-devnet-dropped.json");
const BALANCES: &str = include_str!("../../tests/data/nom-devnet-balances.json");
const NOT_OWNER: u32 = 3;
const OWNER: u8 = 1;
const STRANGER: u8 = 2;

/// Where the binary form keeps what (contracts/nom/src/binary.rs): every hashed field.
const FIELDS: &[(&str, usize, usize)] = &[
    ("version", 33, 8),
    ("chain", 41, 8),
    ("type", 49, 8),
    ("previous", 57, 32),
    ("height", 89, 8),
    ("momentum hash", 97, 32),
    ("momentum height", 129, 8),
    ("address", 137, 20),
    ("to", 157, 20),
    ("amount", 177, 32),
    ("token", 209, 10),
    ("from block", 219, 32),
    ("fused plasma", 251, 8),
    ("difficulty", 259, 8),
    ("nonce", 267, 8),
    ("data", 275, 32),
];
const SEAL: usize = 307;

struct Mirror {
    chain: Chain,
    id: ZappId,
}

impl Mirror {
    fn empty() -> Self {
        let mut chain = Chain::new();
        let id = chain.deploy(key(OWNER), "nom-mirror");
        Self { chain, id }
    }

    /// With the devnet's genesis and the first `blocks` of its blocks.
    fn at(blocks: usize) -> Self {
        let mut mirror = Self::empty();
        for (method, input) in calls().into_iter().take(1 + blocks) {
            mirror.send(method, &input);
        }
        mirror
    }

    fn send(&mut self, method: &str, input: &[u8]) -> Outcome {
        let outcome = self.chain.call(key(OWNER), self.id, method, input);
        assert_eq!(outcome.status, Status::Ok, "{method}: {outcome:?}");
        outcome
    }

    fn refusal(&mut self, block: &[u8]) -> Refusal {
        self.refusal_of(OWNER, "block", block)
    }

    fn refusal_of(&mut self, from: u8, method: &str, input: &[u8]) -> Refusal {
        let code = self.chain.revert(key(from), self.id, method, input);
        let known = Refusal::ALL.iter().find(|refusal| refusal.code() == code);
        *known.unwrap_or_else(|| panic!("code {code}"))
    }

    fn balance(&mut self, address: &Address, token: &TokenStandard) -> Amount {
        let input = [address.as_bytes().as_slice(), token.as_bytes()].concat();
        let output = self.chain.view(self.id, "balance", &input);
        Amount::from_bytes(output.try_into().expect("32 bytes"))
    }
}

fn calls() -> Vec<(&'static str, Vec<u8>)> {
    mirror_calls(DUMP, DROPPED).expect("the dump")
}

fn blocks() -> Vec<Vec<u8>> {
    calls()
        .into_iter()
        .skip(1)
        .map(|(_, input)| input)
        .collect()
}

/// A block that the replay holds, without data: only its hash is known there.
fn header(input: &[u8]) -> Header {
    BlockView::parse(input).expect("a block").header
}

fn address(name: &str) -> Address {
    let dump: serde_json::Value = serde_json::from_str(DUMP).expect("JSON");
    let text = dump["accounts"][name]["address"].as_str().expect("text");
    text.parse().expect("an address")
}

fn contract_block(block_type: BlockType, height: u64, previous: Hash, from: Hash) -> Block {
    let mut header = Header::genesis(CHAIN, address("sentinel_contract"));
    header.block_type = block_type;
    header.height = height;
    header.previous_hash = previous;
    header.from_block_hash = from;
    header.momentum_acknowledged.height = 1_000;
    sealed(header)
}

fn sealed(header: Header) -> Block {
    let mut block = Block {
        hash: Hash::ZERO,
        header,
        seal: None,
        data: Vec::new(),
        descendants: Vec::new(),
    };
    block.hash = block.recomputed_hash();
    block
}

#[test]
fn the_replay_ends_with_the_balances_of_the_devnet() {
    let mut mirror = Mirror::at(0);
    let mut origins = [0; 3];
    for (input, at) in blocks().iter().zip(0..) {
        let outcome = mirror.send("block", input);
        let (origin, hash) = outcome.output.split_first().expect("33 bytes");
        assert_eq!(
            hash,
            BlockView::parse(input).expect("a block").hash.as_bytes(),
            "{at}"
        );
        origins[usize::from(*origin)] += 1;
        let event = &outcome.events[0];
        assert_eq!(
            (event.topic.as_slice(), &event.data),
            (b"block".as_slice(), &outcome.output)
        );
    }
    // One genesis block, eleven signed ones, two of the sentinel contract that nobody signed.
    assert_eq!(origins, [1, 11, 2]);

    let expected: serde_json::Value = serde_json::from_str(BALANCES).expect("JSON");
    let mut compared = 0;
    for (address, tokens) in expected["balances"].as_object().expect("balances") {
        for (token, amount) in tokens.as_object().expect("tokens") {
            let (address, token) = (address.parse().expect(address), token.parse().expect(token));
            let amount = amount
                .as_str()
                .and_then(Amount::from_decimal)
                .expect("decimal");
            assert_eq!(
                mirror.balance(&address, &token),
                amount,
                "{address} {token}"
            );
            compared += 1;
        }
    }
    assert_eq!(compared, 7);
    let pow = address("frost_committee_2_pow");
    let znn = "zts1znnxxxxxxxxxxxxx9z4ulx".parse().expect("a token");
    assert_eq!(mirror.balance(&pow, &znn), Amount::ZERO);
    assert_eq!(
        mirror.chain.view(mirror.id, "chain", &[]),
        CHAIN.to_be_bytes()
    );
    let head = mirror
        .chain
        .view(mirror.id, "head", address("frost_committee_1").as_bytes());
    assert_eq!(head[..8], 7u64.to_be_bytes());
    assert!(mirror.chain.view(mirror.id, "head", &[9; 20]).is_empty());
}

#[test]
fn one_flipped_bit_in_any_field_of_any_block_is_refused() {
    let mut mirror = Mirror::at(0);
    for (input, at) in blocks().into_iter().zip(0..) {
        let signed = input[SEAL] == 1;
        for (name, offset, length) in FIELDS {
            let mut flipped = input.clone();
            flipped[offset + (at * 5) % length] ^= 1 << (at % 8);
            let refusal = mirror.refusal(&flipped);
            let expected = match *name {
                "version" => Refusal::Version,
                "chain" => Refusal::ChainIdentifier,
                "type" if refusal == Refusal::BlockType => refusal,
                _ => Refusal::BlockHash,
            };
            assert_eq!(refusal, expected, "block {at}: {name}");
        }
        let mut hash = input.clone();
        hash[1 + at] ^= 1;
        assert_eq!(
            mirror.refusal(&hash),
            Refusal::BlockHash,
            "block {at}: hash"
        );
        if signed {
            for (offset, expected) in [
                (0, Refusal::WrongKey),
                (31, Refusal::WrongKey),
                (32, Refusal::Signature),
                (63, Refusal::Signature),
                (64, Refusal::Signature),
                (95, Refusal::Signature),
            ] {
                let mut forged = input.clone();
                forged[SEAL + 1 + offset] ^= 1 << (at % 8);
                assert_eq!(
                    mirror.refusal(&forged),
                    expected,
                    "block {at}: seal {offset}"
                );
            }
        }
        mirror.send("block", &input);
    }
}

#[test]
fn a_changed_block_with_its_own_hash_fails_at_the_signature() {
    let mut mirror = Mirror::at(0);
    for (input, at) in blocks().into_iter().zip(0..) {
        if header(&input).block_type.is_signed() {
            let view = BlockView::parse(&input).expect("a block");
            let mut changed = view.header;
            changed.fused_plasma += 1;
            let digest = nom::sha3_256(&changed.preimage(&nom::sha3_256(&[]), &view.data_hash));
            let mut forged = input.clone();
            forged[1..33].copy_from_slice(digest.as_bytes());
            forged[251..259].copy_from_slice(&changed.fused_plasma.to_be_bytes());
            assert_eq!(mirror.refusal(&forged), Refusal::Signature, "block {at}");
        }
        mirror.send("block", &input);
    }
}

#[test]
fn blocks_are_taken_once_and_in_order() {
    let blocks = blocks();
    let mut mirror = Mirror::at(0);
    for (input, at) in blocks.iter().zip(0..) {
        // Every later block is refused now, unless it is independent of what is missing.
        for later in &blocks[at + 1..] {
            let (now, then) = (header(input), header(later));
            if now.address == then.address {
                assert_eq!(mirror.refusal(later), Refusal::Height, "{at}");
            }
        }
        mirror.send("block", input);
        assert_eq!(mirror.refusal(input), Refusal::Height, "again: {at}");
    }
}

#[test]
fn the_genesis_is_loaded_once_and_by_the_owner() {
    let calls = calls();
    let (_, genesis) = &calls[0];
    let (_, block) = &calls[1];
    let mut mirror = Mirror::empty();
    assert_eq!(mirror.refusal(block), Refusal::NoGenesis);
    let code = mirror
        .chain
        .revert(key(STRANGER), mirror.id, "genesis", genesis);
    assert_eq!(code, NOT_OWNER);
    let cut = &genesis[..genesis.len() - 1];
    assert_eq!(mirror.refusal_of(OWNER, "genesis", cut), Refusal::Malformed);
    mirror.send("genesis", genesis);
    assert_eq!(
        mirror.refusal_of(OWNER, "genesis", genesis),
        Refusal::GenesisAgain
    );
}

#[test]
fn genesis_accounts_begin_with_their_genesis_block_and_no_other_does() {
    let mut mirror = Mirror::at(0);
    let stranger = sealed(Header::genesis(CHAIN, Address::from_bytes([0; 20])));
    let bytes = stranger.to_bytes().expect("form");
    assert_eq!(mirror.refusal(&bytes), Refusal::GenesisBlock);
    let pillar: Address = "z1qxemdeddedxpyllarxxxxxxxxxxxxxxxsy3fmg"
        .parse()
        .expect("address");
    let mut header = Header::genesis(CHAIN, pillar);
    header.block_type = BlockType::ContractReceive;
    header.from_block_hash = BlockView::parse(&blocks()[0]).expect("a block").hash;
    let receive = sealed(header).to_bytes().expect("form");
    assert_eq!(mirror.refusal(&receive), Refusal::GenesisBlock);
    let genesis = sealed(Header::genesis(CHAIN, pillar))
        .to_bytes()
        .expect("form");
    let outcome = mirror
        .chain
        .call(key(STRANGER), mirror.id, "block", &genesis);
    assert_eq!((outcome.status, outcome.output[0]), (Status::Ok, 0));
}

#[test]
fn contract_blocks_need_the_owners_word_and_a_known_send() {
    let all = blocks();
    let at = all
        .iter()
        .position(|input| header(input).block_type == BlockType::ContractReceive);
    let at = at.expect("a contract block");
    let real = all[at].clone();
    let send = header(&real).from_block_hash;
    let mut mirror = Mirror::at(at);
    assert_eq!(
        mirror.refusal_of(STRANGER, "block", &real),
        Refusal::Unvouched
    );
    let form = |block: &Block| block.to_bytes().expect("form");
    let unknown = contract_block(
        BlockType::ContractReceive,
        1,
        Hash::ZERO,
        Hash::from_bytes([7; 32]),
    );
    assert_eq!(mirror.refusal(&form(&unknown)), Refusal::UnknownSend);
    let alone = contract_block(BlockType::ContractSend, 1, Hash::ZERO, Hash::ZERO);
    assert_eq!(mirror.refusal(&form(&alone)), Refusal::ContractSend);
    let mut elsewhere = contract_block(BlockType::ContractReceive, 1, Hash::ZERO, send);
    elsewhere.header.address = Address::from_bytes([1; 20]);
    elsewhere.hash = elsewhere.recomputed_hash();
    assert_eq!(mirror.refusal(&form(&elsewhere)), Refusal::NotRecipient);

    mirror.send("block", &real);
    let hash = BlockView::parse(&real).expect("a block").hash;
    let again = contract_block(BlockType::ContractReceive, 2, hash, send);
    assert_eq!(mirror.refusal(&form(&again)), Refusal::AlreadyReceived);
}

#[test]
fn a_contract_pays_out_of_what_it_has() {
    let all = blocks();
    let at = all
        .iter()
        .position(|input| header(input).block_type == BlockType::ContractReceive);
    let at = at.expect("a contract block");
    let send = header(&all[at]).from_block_hash;
    let mut mirror = Mirror::at(at);
    let qsr: TokenStandard = "zts1qsrxxxxxxxxxxxxxmrhjll".parse().expect("a token");
    let payee = address("frost_committee_2_pow");
    let paying = |amount: u128| {
        let mut pay = contract_block(BlockType::ContractSend, 1, Hash::ZERO, Hash::ZERO);
        pay.header.to_address = payee;
        pay.header.amount = Amount::from(amount);
        pay.header.token_standard = qsr;
        pay.hash = pay.recomputed_hash();
        let mut receive = contract_block(BlockType::ContractReceive, 2, pay.hash, send);
        receive.descendants = vec![pay];
        receive.hash = receive.recomputed_hash();
        receive
    };
    let deposit = 5_000_000_000_000;
    let overdrawn = paying(deposit + 1).to_bytes().expect("form");
    assert_eq!(mirror.refusal(&overdrawn), Refusal::Overdraft);
    let mut unlinked = paying(deposit);
    unlinked.header.previous_hash = Hash::from_bytes([7; 32]);
    unlinked.hash = unlinked.recomputed_hash();
    let unlinked = unlinked.to_bytes().expect("form");
    assert_eq!(mirror.refusal(&unlinked), Refusal::PreviousHash);
    mirror.send("block", &paying(deposit).to_bytes().expect("form"));
    assert_eq!(
        mirror.balance(&address("sentinel_contract"), &qsr),
        Amount::ZERO
    );
    // The payee has not received it yet.
    assert_eq!(mirror.balance(&payee, &qsr), Amount::ZERO);
}

#[test]
fn other_bytes_are_no_block() {
    let mut mirror = Mirror::at(0);
    let block = &blocks()[0];
    for length in [0, 1, 33, 274, block.len() - 1] {
        assert_eq!(
            mirror.refusal(&block[..length]),
            Refusal::Malformed,
            "{length}"
        );
    }
    let mut form = block.clone();
    form[0] = 2;
    assert_eq!(mirror.refusal(&form), Refusal::Malformed);
    let outcome = mirror
        .chain
        .attempt(key(OWNER), mirror.id, "block", &[0; 20_000]);
    assert_eq!((outcome.status, outcome.code), (Status::Reverted, 6));
}
