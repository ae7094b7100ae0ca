//! The binary forms: limits, nesting, one form per value.
#![cfg(feature = "verify")]

use nom::{
    Address, Amount, BLOCK_BYTES_MAX, Block, BlockType, BlockView, DATA_BYTES_MAX, DESCENDANTS_MAX,
    Genesis, Hash, Header, Refusal, TokenStandard, genesis_bytes,
};

const CHAIN: u64 = 1;

fn contract() -> Address {
    let mut bytes = [7; Address::LEN];
    bytes[0] = 1;
    Address::from_bytes(bytes)
}

fn block(block_type: BlockType, height: u64) -> Block {
    let mut header = Header::genesis(CHAIN, contract());
    header.block_type = block_type;
    header.height = height;
    if height > 1 {
        header.previous_hash = Hash::from_bytes([1; 32]);
    }
    if block_type == BlockType::ContractReceive {
        header.from_block_hash = Hash::from_bytes([2; 32]);
    }
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

fn receive_with(descendants: Vec<Block>) -> Block {
    let mut receive = block(BlockType::ContractReceive, 9);
    receive.descendants = descendants;
    receive.hash = receive.recomputed_hash();
    receive
}

#[test]
fn a_contract_receive_carries_its_sends() {
    let sends: Vec<_> = (5..8)
        .map(|height| block(BlockType::ContractSend, height))
        .collect();
    let receive = receive_with(sends.clone());
    let bytes = receive.to_bytes().expect("within limits");
    let view = BlockView::parse(&bytes).expect("own form");
    let hashes: Vec<_> = view.descendants().map(|send| send.hash).collect();
    assert_eq!(
        hashes,
        sends.iter().map(|send| send.hash).collect::<Vec<_>>()
    );
    assert_eq!(receive.check(CHAIN), Ok(()));
}

#[test]
fn descendants_of_other_types_or_accounts_are_refused() {
    let mut stranger = block(BlockType::ContractSend, 5);
    stranger.header.address = Address::from_bytes([1; 20]);
    stranger.hash = stranger.recomputed_hash();
    let receive = block(BlockType::ContractReceive, 5);
    for descendant in [stranger, receive] {
        assert_eq!(
            receive_with(vec![descendant]).check(CHAIN),
            Err(Refusal::Descendants)
        );
    }
    let mut forged = block(BlockType::ContractSend, 5);
    forged.header.amount = Amount::from(1);
    assert_eq!(
        receive_with(vec![forged]).check(CHAIN),
        Err(Refusal::BlockHash)
    );
    let mut send = block(BlockType::ContractSend, 9);
    send.descendants = vec![block(BlockType::ContractSend, 5)];
    send.hash = send.recomputed_hash();
    assert_eq!(send.check(CHAIN), Err(Refusal::Descendants));
}

#[test]
fn what_passes_the_limits_has_no_binary_form() {
    let send = block(BlockType::ContractSend, 1);
    let full = receive_with(vec![send.clone(); DESCENDANTS_MAX]);
    assert!(
        full.to_bytes()
            .is_ok_and(|bytes| bytes.len() <= BLOCK_BYTES_MAX)
    );
    let many = receive_with(vec![send.clone(); DESCENDANTS_MAX + 1]);
    assert_eq!(many.to_bytes(), Err(Refusal::Malformed));
    let nested = receive_with(vec![receive_with(vec![send])]);
    assert_eq!(nested.to_bytes(), Err(Refusal::Malformed));
}

#[test]
fn data_of_sends_is_bounded_and_of_receives_is_not() {
    let cases = [
        (BlockType::ContractSend, DATA_BYTES_MAX, Ok(())),
        (
            BlockType::ContractSend,
            DATA_BYTES_MAX + 1,
            Err(Refusal::DataLength),
        ),
        (BlockType::ContractReceive, DATA_BYTES_MAX + 1, Ok(())),
    ];
    for (block_type, length, verdict) in cases {
        let mut block = block(block_type, 1);
        block.data = vec![0; length];
        block.hash = block.recomputed_hash();
        assert_eq!(block.check(CHAIN), verdict);
    }
}

#[test]
fn every_cut_and_every_longer_form_is_refused() {
    let receive = receive_with(vec![block(BlockType::ContractSend, 5)]);
    let bytes = receive.to_bytes().expect("within limits");
    for length in 0..bytes.len() {
        assert!(BlockView::parse(&bytes[..length]).is_err(), "{length}");
    }
    let mut longer = bytes.clone();
    longer.push(0);
    assert_eq!(BlockView::parse(&longer), Err(Refusal::Malformed));
    let at = bytes.len()
        - block(BlockType::ContractSend, 5)
            .to_bytes()
            .expect("form")
            .len()
        - 5;
    for count in [0, 2, 255] {
        let mut miscounted = bytes.clone();
        miscounted[at] = count;
        assert_eq!(
            BlockView::parse(&miscounted),
            Err(Refusal::Malformed),
            "{count}"
        );
    }
}

#[test]
fn a_genesis_has_one_form() {
    let address = |byte| Address::from_bytes([byte; 20]);
    let token = |byte| TokenStandard::from_bytes([byte; 10]);
    let one = Amount::from(1);
    let good = [
        (address(1), vec![(token(1), one), (token(2), one)]),
        (address(2), vec![]),
    ];
    let bytes = genesis_bytes(CHAIN, &good).expect("rising");
    let genesis = Genesis::parse(&bytes).expect("own form");
    let read: Vec<_> = genesis
        .accounts()
        .map(|(address, balances)| (address, balances.collect()))
        .collect();
    assert_eq!(read, good);
    let bad = [
        vec![(address(2), vec![]), (address(1), vec![])],
        vec![(address(1), vec![]), (address(1), vec![])],
        vec![(address(1), vec![(token(2), one), (token(1), one)])],
        vec![(address(1), vec![(token(1), Amount::ZERO)])],
    ];
    for accounts in bad {
        assert_eq!(genesis_bytes(CHAIN, &accounts), Err(Refusal::Malformed));
    }
    for length in 0..bytes.len() {
        assert!(Genesis::parse(&bytes[..length]).is_err(), "{length}");
    }
}
