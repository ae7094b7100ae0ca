//! What the client reads of the node, and whom it takes it for.

use devnet::{Account, CHAIN, Key, QSR, ZNN, token};
use nom::client::{Client, ClientError, Limits, Sync, Tail};
use nom::{Address, Amount, BlockType, Hash};

use crate::network;

#[test]
fn momentums_are_followed_and_link() {
    let Some(network) = network("momentums of the Zenon node") else {
        return;
    };
    let client = network.client();
    assert!(matches!(client.sync().unwrap(), Sync::Done { height } if height > 1));
    let all = client.momentums(1, 100).unwrap();
    assert_eq!(all[0].height, 1);
    assert!(all.len() > 1 && all[0].seal.is_none());
    let mut tail = Tail::after(all[0].reference());
    let followed = client.follow(&mut tail).unwrap();
    assert!(followed.len() >= all.len() - 1);
    assert_eq!(followed[..all.len() - 1], all[1..]);
    let deep = client.confirmed_momentum(2).unwrap().unwrap();
    assert!(deep.height >= 1 && deep.height < client.frontier_momentum().unwrap().height);
    assert_eq!(client.confirmed_momentum(100).unwrap(), None);

    // What was seen of another chain is not found here.
    let elsewhere = nom::MomentumRef {
        hash: Hash::from_bytes([9; 32]),
        height: 2,
    };
    let mut tail = Tail::after(elsewhere);
    let forked = client.follow(&mut tail).unwrap_err();
    let is_told = matches!(
        &forked,
        ClientError::Reorganised { ours, theirs }
            if *ours == elsewhere && theirs.hash == all[1].hash
    );
    assert!(is_told, "{forked}");
}

#[test]
fn a_node_of_another_chain_is_not_listened_to() {
    let Some(network) = network("another chain than the Zenon node's") else {
        return;
    };
    let mainnet = Client::new(network.client().url(), 1, Limits::default()).unwrap();
    let is_other = |error: ClientError| {
        matches!(
            error,
            ClientError::OtherChain {
                expected: 1,
                actual: CHAIN
            }
        )
    };
    assert!(is_other(mainnet.frontier_momentum().unwrap_err()));
    let user = Key::user(0).address();
    assert!(is_other(mainnet.frontier_block(&user).unwrap_err()));
}

#[test]
fn accounts_plasma_and_prices_are_read() {
    let Some(network) = network("accounts of the Zenon node") else {
        return;
    };
    let client = network.client();
    let user = Key::user(0).address();
    let account = client.account(&user).unwrap();
    let each = Amount::from(60_000 * 100_000_000);
    assert_eq!(account.balances.get(&token(ZNN)), Some(&each));
    assert_eq!(account.balances.get(&token(QSR)), Some(&each));
    let first = client.frontier_block(&user).unwrap().unwrap();
    assert_eq!(first.block.header.block_type, BlockType::GenesisReceive);
    let plasma = client.plasma(&user).unwrap();
    assert_eq!(plasma.max, 2_100 * 1_200);
    assert_eq!(plasma.qsr, Amount::from(1_200 * 100_000_000));

    let nobody = Address::from_key(b"nobody");
    assert_eq!(client.account(&nobody).unwrap(), Default::default());
    assert_eq!(client.frontier_block(&nobody).unwrap(), None);
    assert_eq!(client.blocks(&nobody, 1, 10).unwrap(), []);
    assert_eq!(client.block(&Hash::from_bytes([1; 32])).unwrap(), None);
    assert_eq!(client.unreceived(&nobody, 0).unwrap(), []);
    assert_eq!(client.sentinel(&nobody).unwrap(), None);
    let price = client.requirement(&nobody, BlockType::UserSend, &user, &[0; 32]);
    let price = price.unwrap();
    assert_eq!((price.available_plasma, price.base_plasma), (0, 23_176));
    assert_eq!(price.required_difficulty, 34_764_000);
}

#[test]
fn a_sentinel_is_seen_when_it_is_registered() {
    let Some(network) = network("a Sentinel on the Zenon node") else {
        return;
    };
    let mut owner = Account::new(&network, Key::user(3));
    assert!(owner.register_sentinel().unwrap().is_active);
}
