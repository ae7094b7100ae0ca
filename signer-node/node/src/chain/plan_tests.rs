use nom::{Address, Amount, Block, BlockType, Header, MomentumRef, TokenStandard};

use super::*;
use state::system::nom::Issue;

const ADDRESS: [u8; 20] = [7; 20];

fn hash(byte: u8) -> Hash {
    Hash::from_bytes([byte; 32])
}

fn momentum(height: u64) -> MomentumRef {
    let hash = hash(u8::try_from(height).expect("small"));
    MomentumRef { hash, height }
}

/// A deposit that was confirmed at a height.
fn deposit(name: u8, height: u64) -> Deposit {
    let mut header = Header::genesis(321, Address::from_bytes([9; 20]));
    header.block_type = BlockType::UserSend;
    header.to_address = Address::from_bytes(ADDRESS);
    header.amount = Amount::from(5);
    header.token_standard = TokenStandard::from_bytes([1; 10]);
    Deposit {
        block: Block {
            hash: hash(name),
            header,
            seal: None,
            data: Vec::new(),
            descendants: Vec::new(),
        },
        momentum: momentum(height),
    }
}

/// A chain at momentum 100, where two momentums deep is enough.
fn look() -> Look {
    Look {
        frontier: momentum(100),
        momentums: (90..=99).map(momentum).collect(),
        deposits: Vec::new(),
        own: Vec::new(),
    }
}

fn account() -> Account {
    Account {
        chain: 321,
        address: ADDRESS,
        height: 5,
        previous: digest(&hash(40)),
        momentum_height: 90,
        first: 3,
        end: 3,
        anchored: 1,
        anchored_seq: Seq(10),
        issued: Vec::new(),
    }
}

fn view(account: Account) -> AccountView {
    AccountView {
        head: Seq(12),
        account: Some(account),
        next: None,
        taken: BTreeSet::new(),
    }
}

fn facts<'a>(view: &'a AccountView, look: &'a Look) -> Facts<'a> {
    Facts {
        view,
        look,
        depth: 2,
        anchor_every: 8,
        issued_ms: None,
        now_ms: 10_000_000,
    }
}

/// The last block of the account, which the state says is confirmed.
const LAST: Own = Own {
    height: 4,
    hash: Hash::from_bytes([40; 32]),
    issue: ISSUE,
    depth: 3,
};

/// What pays for a receive.
const ISSUE: Issue = Issue {
    momentum: Digest::from_bytes([98; 32]),
    momentum_height: 98,
    fused_plasma: 21_000,
    difficulty: 0,
    nonce: 0,
};

fn receive() -> Order {
    Order::Receive {
        source: digest(&hash(50)),
        momentum_height: 98,
    }
}

#[test]
fn an_account_is_begun_and_then_needs_nothing() {
    let look = look();
    assert_eq!(facts(&AccountView::default(), &look).plan(), [Act::Open]);
    let view = view(account());
    assert_eq!(facts(&view, &look).plan(), []);
}

#[test]
fn deposits_come_into_steps_once_and_a_little_after_they_count() {
    let mut look = look();
    // Two deep at 99: counts, and waits for one more. 98 is three deep.
    look.deposits = vec![deposit(50, 98), deposit(51, 99)];
    let mut view = view(account());
    let first = Act::Deposit(digest(&hash(50)));
    assert_eq!(facts(&view, &look).plan(), [first]);
    let sight = facts(&view, &look).sight();
    let both = [digest(&hash(50)), digest(&hash(51))];
    assert!(both.iter().all(|one| {
        sight
            .confirmed
            .iter()
            .any(|(seen, _)| *seen == Deep::Block(*one))
    }));
    view.taken = both.into();
    assert_eq!(facts(&view, &look).plan(), []);
}

#[test]
fn a_step_must_carry_deposits_that_are_old_and_not_taken_while_orders_have_room() {
    let mut look = look();
    // Five deep is twice as deep as what counts, and one more.
    look.deposits = vec![deposit(50, 95), deposit(51, 96), deposit(52, 97)];
    let mut view = view(account());
    let old = [digest(&hash(50)), digest(&hash(51))];
    let sight = facts(&view, &look).sight();
    assert_eq!(
        (sight.head, sight.overdue.as_slice()),
        (Seq(12), old.as_slice())
    );
    view.taken = [old[0]].into();
    assert_eq!(facts(&view, &look).sight().overdue, [old[1]]);
    // An account that can take no order holds no step up.
    let full = Account {
        end: 3 + ORDERS_MAX,
        ..account()
    };
    view.account = Some(full);
    assert_eq!(facts(&view, &look).sight().overdue, []);
    view.account = None;
    assert_eq!(facts(&view, &look).sight().overdue, []);
    // However many there are, a step need not carry more than fit.
    look.deposits = (1..=40).map(|name| deposit(name, 95)).collect();
    view.account = Some(account());
    assert_eq!(facts(&view, &look).sight().overdue.len(), OVERDUE_MAX);
}

#[test]
fn anchors_are_ordered_every_so_many_steps_and_one_at_a_time() {
    let look = look();
    let mut view = view(account());
    view.head = Seq(17);
    assert_eq!(facts(&view, &look).plan(), []);
    view.head = Seq(18);
    assert_eq!(facts(&view, &look).plan(), [Act::Anchor]);
    let never = Facts {
        anchor_every: 0,
        ..facts(&view, &look)
    };
    assert_eq!(never.plan(), []);
    // One waits: the order that is next is an anchor's, or one after it.
    view.account = Some(Account {
        anchored: 3,
        end: 4,
        ..account()
    });
    view.next = Some(receive());
    assert_eq!(facts(&view, &look).plan(), [Act::Issue(3, 0)]);
}

#[test]
fn an_order_is_issued_published_confirmed_and_issued_again_when_it_does_not_show_up() {
    let mut look = look();
    look.own = vec![LAST];
    let mut view = view(Account {
        end: 4,
        ..account()
    });
    view.next = Some(receive());
    assert_eq!(facts(&view, &look).plan(), [Act::Issue(3, 0)]);
    // Not before the send that it receives is deep enough to be named.
    view.next = Some(Order::Receive {
        source: digest(&hash(50)),
        momentum_height: 99,
    });
    assert_eq!(facts(&view, &look).plan(), []);
    view.next = Some(receive());
    look.deposits = vec![deposit(50, 98)];
    assert_eq!(
        facts(&view, &look).plan(),
        [Act::Deposit(digest(&hash(50))), Act::Issue(3, 0)]
    );
    look.deposits.clear();

    let of = |byte, seq, worked| Issued {
        block: digest(&hash(byte)),
        momentum_height: 98,
        seq: Seq(seq),
        worked,
    };
    let (issued, fused) = (
        |byte, seq| of(byte, seq, true),
        |byte, seq| of(byte, seq, false),
    );
    let with = |issued: Vec<Issued>| Account {
        end: 4,
        issued,
        ..account()
    };
    view.account = Some(with(vec![issued(60, 11)]));
    let publish = Act::Publish(digest(&hash(60)), Seq(11));
    let at = |facts: Facts<'_>, since: u64| {
        let issued_ms = Some(facts.now_ms - since);
        Facts { issued_ms, ..facts }.plan()
    };
    assert_eq!(facts(&view, &look).plan(), std::slice::from_ref(&publish));
    assert_eq!(at(facts(&view, &look), REISSUE_MS - 1), [publish]);
    assert_eq!(at(facts(&view, &look), REISSUE_MS), [Act::Issue(3, 1)]);
    // The second has twice as long.
    view.account = Some(with(vec![issued(60, 11), issued(61, 12)]));
    let publish = Act::Publish(digest(&hash(61)), Seq(12));
    assert_eq!(at(facts(&view, &look), 2 * REISSUE_MS - 1), [publish]);
    assert_eq!(at(facts(&view, &look), 2 * REISSUE_MS), [Act::Issue(3, 2)]);

    // What strangers say of plasma changes neither.
    let stranger = |byte| fused(byte, 13);
    view.account = Some(with(vec![
        stranger(70),
        issued(60, 11),
        stranger(71),
        stranger(72),
    ]));
    let publish = Act::Publish(digest(&hash(60)), Seq(11));
    assert_eq!(at(facts(&view, &look), REISSUE_MS - 1), [publish]);
    assert_eq!(at(facts(&view, &look), REISSUE_MS), [Act::Issue(3, 4)]);
    let waited = waited_for(view.account.as_ref().expect("begun"));
    assert_eq!(waited, Some(&issued(60, 11)));
    // Without one that work pays for, the first has time and the last is published.
    view.account = Some(with(vec![stranger(70), stranger(71)]));
    let publish = Act::Publish(digest(&hash(71)), Seq(13));
    assert_eq!(at(facts(&view, &look), REISSUE_MS - 1), [publish]);
    assert_eq!(at(facts(&view, &look), REISSUE_MS), [Act::Issue(3, 2)]);
    let waited = waited_for(view.account.as_ref().expect("begun"));
    assert_eq!(waited, Some(&stranger(70)));
    view.account = Some(with(vec![issued(60, 11), issued(61, 12)]));

    // Whichever of the two the chain takes is waited for, then told.
    // It need not be one of those that are remembered, only the order's.
    let order = view.next.clone().expect("waits");
    let block = account().draft(&order, &ISSUE).expect("sound").hash();
    let own = |depth| Own {
        height: 5,
        hash: block,
        issue: ISSUE,
        depth,
    };
    for (depth, expected) in [
        (0, vec![]),
        (2, vec![]),
        (3, vec![Act::Confirm(digest(&block))]),
    ] {
        look.own = vec![LAST, own(depth)];
        assert_eq!(at(facts(&view, &look), 9 * REISSUE_MS), expected, "{depth}");
        assert_eq!(facts(&view, &look).trouble(), None);
        let seen = facts(&view, &look).sight().confirmed;
        let seen = seen
            .iter()
            .find(|(of, _)| *of == Deep::Block(digest(&block)));
        let height = seen.map(|(_, height)| *height);
        assert_eq!(height, (depth >= 2).then_some(101 - depth), "{depth}");
    }
    // One that was made with something else is not.
    let other = Issue {
        fused_plasma: 21_001,
        ..ISSUE
    };
    look.own = vec![
        LAST,
        Own {
            issue: other,
            ..own(3)
        },
    ];
    assert_eq!(at(facts(&view, &look), 9 * REISSUE_MS), []);
    let (height, theirs) = (5, block);
    let trouble = facts(&view, &look).trouble();
    assert_eq!(trouble, Some(Trouble::Foreign { height, theirs }));
}

#[test]
fn a_momentum_is_named_that_all_have_seen_and_never_one_below_the_last_blocks() {
    let look = look();
    let mut view = view(Account {
        end: 4,
        ..account()
    });
    view.next = Some(receive());
    let facts_now = facts(&view, &look);
    assert_eq!(facts_now.named(), Some(momentum(98)));
    view.account.as_mut().expect("begun").momentum_height = 99;
    assert_eq!(facts(&view, &look).plan(), []);
    let empty = Look::default();
    assert_eq!(facts(&view, &empty).named(), None);
    assert_eq!(facts(&view, &empty).plan(), []);
}

#[test]
fn a_block_that_nobody_ordered_or_that_is_gone_is_trouble() {
    let mut look = look();
    let view = view(account());
    look.own = vec![LAST];
    assert_eq!(facts(&view, &look).trouble(), None);
    let foreign = Own {
        height: 5,
        hash: hash(66),
        issue: ISSUE,
        depth: 1,
    };
    look.own = vec![LAST, foreign];
    let trouble = facts(&view, &look).trouble();
    let (height, theirs) = (5, hash(66));
    assert_eq!(trouble, Some(Trouble::Foreign { height, theirs }));
    look.own = vec![Own {
        height: 4,
        ..foreign
    }];
    let (height, theirs) = (4, hash(66));
    let trouble = facts(&view, &look).trouble();
    assert_eq!(trouble, Some(Trouble::Foreign { height, theirs }));
    look.own.clear();
    let block = digest(&hash(40));
    let trouble = facts(&view, &look).trouble();
    assert_eq!(trouble, Some(Trouble::Lost { height: 4, block }));
    // An account without a block has none to lose.
    let first = Account {
        height: 1,
        ..account()
    };
    let view = super::AccountView {
        account: Some(first),
        ..view
    };
    assert_eq!(facts(&view, &look).trouble(), None);
}
