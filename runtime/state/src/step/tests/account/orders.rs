//! Orders and the blocks that they become.

use super::*;

#[test]
fn a_block_is_issued_again_with_nothing_else_than_momentum_plasma_and_work() {
    let (mut chain, zapp) = Chain::with_account();
    assert!(chain.deposit(&to_zapp(zapp, 700, "", 1)).is_ok());
    assert!(chain.deposit(&to_zapp(zapp, 700, "", 2)).is_ok());
    let (first, _) = chain.issue(&issue(10, 21_000)).expect("a block");
    let (again, _) = chain.issue(&issue(12, 21_500)).expect("a block");
    assert!(again.reissues(&first) && first.reissues(&again));
    assert_ne!(hash(&first), hash(&again));
    let mut other = again;
    other.source = [1; 32];
    assert!(!other.reissues(&first));

    // Work pays what is not fused, if it is done for this block's place.
    let seed = work::native_seed(&account(), &Hash::ZERO);
    let nonce = work::find(&seed, 15_000, 0, u64::MAX).expect("enough attempts");
    let worked = Issue {
        difficulty: 15_000,
        nonce: u64::from_be_bytes(nonce),
        ..issue(12, 20_990)
    };
    assert!(chain.issue(&worked).is_ok());
    let refused = [
        Issue {
            nonce: worked.nonce ^ 1,
            ..worked
        },
        Issue {
            difficulty: 14_999,
            ..worked
        },
        issue(12, 20_999),
        issue(0, 21_000),
    ];
    for issue in refused {
        assert_eq!(chain.issue(&issue), Err(Some(Refusal::Issue)), "{issue:?}");
    }
    // Any block of this order can be the one that is confirmed, and only those, under their hash.
    let mut other = again;
    other.source = [1; 32];
    assert_eq!(chain.confirm(&other), Err(Some(Refusal::Block)));
    let mut told = confirmed(&again);
    told.issue.fused_plasma += 1;
    let told = codec::encode(&told);
    assert_eq!(chain.nom(CONFIRM, &told), Err(Some(Refusal::Block)));
    assert!(chain.confirm(&again).is_ok());
    assert_eq!(chain.confirm(&first), Err(Some(Refusal::Block)));
    // The next acknowledges no earlier momentum.
    assert_eq!(chain.issue(&issue(11, 21_000)), Err(Some(Refusal::Issue)));
    let (next, _) = chain.issue(&issue(12, 21_000)).expect("a block");
    assert_eq!((next.height, next.previous), (2, *hash(&again).as_bytes()));
}

/// Pays for a receive, alone: `work::find` of 31,500,000 at the account's first block.
const WORKED: u64 = 3_930_039_391_036_112_896;

#[test]
fn blocks_that_work_pays_for_have_places_that_strangers_do_not_use_up() {
    let (mut chain, zapp) = Chain::with_account();
    assert!(chain.deposit(&to_zapp(zapp, 700, "", 1)).is_ok());
    let worked = |height| Issue {
        difficulty: 31_500_000,
        nonce: WORKED,
        ..issue(height, 0)
    };
    // Whoever asks may claim any plasma, and the same again is not another block.
    let (first, _) = chain.issue(&issue(10, 21_000)).expect("a block");
    let (second, _) = chain.issue(&issue(10, 21_001)).expect("a block");
    for plasma in 1..2 * FUSED_ISSUES_MAX as u64 {
        assert!(chain.issue(&issue(10, 21_000 + plasma)).is_ok());
    }
    let held = |chain: &Chain| chain.state.nom_account().expect("whole").expect("begun");
    let hashes = |chain: &Chain| held(chain).issued.iter().map(|one| one.block).collect();
    let blocks: Vec<Digest> = hashes(&chain);
    assert_eq!(blocks.len(), FUSED_ISSUES_MAX);
    assert_eq!(blocks.first(), Some(&confirmed(&first).block));
    assert!(!blocks.contains(&confirmed(&second).block));

    // However often a momentum is lost, the next one has a place.
    for height in 0..2 * WORKED_ISSUES_MAX as u64 {
        assert!(chain.issue(&worked(CONFIRMED_AT + height)).is_ok());
        let account = held(&chain);
        let newest = account.worked().expect("one");
        assert_eq!(Some(newest), account.issued.last());
        assert_eq!(newest.momentum_height, CONFIRMED_AT + height);
    }
    let heights = held(&chain).issued.into_iter();
    let mut heights = heights.filter_map(|one| one.worked.then_some(one.momentum_height));
    assert_eq!(heights.next(), Some(CONFIRMED_AT));
    assert_eq!(heights.count(), WORKED_ISSUES_MAX - 1);
    // Nor does it push out what strangers pay for, or the other way round.
    let blocks: Vec<Digest> = hashes(&chain);
    assert_eq!(blocks.len(), FUSED_ISSUES_MAX + WORKED_ISSUES_MAX);
    // A block that is no longer remembered can be the one that the chain took.
    assert!(chain.confirm(&second).is_ok());
}

#[test]
fn a_receive_names_no_momentum_before_its_send() {
    let (mut chain, zapp) = Chain::with_account();
    assert!(chain.deposit(&to_zapp(zapp, 700, "", 1)).is_ok());
    let early = issue(CONFIRMED_AT - 1, 21_000);
    assert_eq!(chain.issue(&early), Err(Some(Refusal::Issue)));
    assert!(chain.issue(&issue(CONFIRMED_AT, 21_000)).is_ok());
}

#[test]
fn one_zapp_does_not_keep_the_orders_of_others_out() {
    let (mut chain, zapp) = Chain::with_account();
    assert!(chain.deposit(&to_zapp(zapp, 700, "", 1)).is_ok());
    let (receive, _) = chain.issue(&issue(10, 21_000)).expect("a block");
    assert!(chain.confirm(&receive).is_ok());
    let write = crate::entry::EntryWrite {
        zapp: ZappId::SYSTEM,
        key: crate::system::nom::waiting_key(&zapp),
        value: Some((ZAPP_ORDERS_MAX - 1).to_be_bytes().to_vec()),
    };
    chain.previous.state = chain.state.apply(&[write]).expect("whole");
    let pay = |chain: &mut Chain| {
        let request = chain.call(zapp, "pay 1 7 8");
        chain.step(vec![request]).outcomes[0].code
    };
    assert_eq!(pay(&mut chain), 0);
    assert_eq!(pay(&mut chain), Refusal::Orders.code());
    // Others' deposits are taken, and sent back if need be.
    assert!(chain.deposit(&send(account(), 5, b"short", 2)).is_ok());
    // Once its first is done there is room for another.
    let (paid, _) = chain.issue(&issue(10, 30_000)).expect("a block");
    assert!(chain.confirm(&paid).is_ok());
    assert_eq!(pay(&mut chain), 0);
}

#[test]
fn an_anchor_names_the_step_before_and_one_waits_at_a_time() {
    let (mut chain, _) = Chain::with_account();
    let before = chain.previous;
    assert!(chain.nom(ANCHOR, b"").is_ok());
    assert_eq!(chain.nom(ANCHOR, b""), Err(Some(Refusal::Orders)));
    assert_eq!(chain.nom(ANCHOR, b"x"), Err(Some(Refusal::Input)));
    let (leaf, data) = chain.issue(&issue(10, 21_000 + 68 * 112)).expect("a block");
    assert_eq!((leaf.to, leaf.amount), ([0; 20], [0; 32]));
    assert_eq!(::nom::sha3_256(&data), Hash::from_bytes(leaf.data));
    let parts: [&[u8]; 5] = [
        &tags::ANCHOR.0,
        chain.params.committee.as_bytes(),
        &before.seq.0.to_be_bytes(),
        before.statement.as_bytes(),
        before.state.as_bytes(),
    ];
    assert_eq!(data, parts.concat());
    assert!(chain.confirm(&leaf).is_ok());
    assert!(chain.nom(ANCHOR, b"").is_ok());
}

#[test]
fn orders_that_wait_are_bounded() {
    let (mut chain, zapp) = Chain::with_account();
    let mut account = chain.state.nom_account().expect("whole").expect("begun");
    account.end = account.first + ORDERS_MAX - 1;
    let write = crate::entry::EntryWrite {
        zapp: ZappId::SYSTEM,
        key: crate::system::nom::ACCOUNT.to_vec(),
        value: Some(codec::encode(&account)),
    };
    chain.previous.state = chain.state.apply(&[write]).expect("whole");
    assert!(chain.deposit(&to_zapp(zapp, 700, "", 1)).is_ok());
    // Neither half of what a deposit takes, nor a payout.
    let full = Err(Some(Refusal::Orders));
    assert_eq!(chain.deposit(&to_zapp(zapp, 1, "", 2)), full);
    assert_eq!(chain.held(&zapp), Amount::from(700));
    let request = chain.call(zapp, "pay 1 7 8");
    assert_eq!(
        chain.step(vec![request]).outcomes[0].code,
        Refusal::Orders.code()
    );
    assert_eq!(chain.held(&zapp), Amount::from(700));
}
