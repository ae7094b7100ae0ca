//! What a committee of five with threshold four does with its account: anchors, deposits, payouts.

use attestation::ids::Digest;
use devnet::{Account, Key, QSR, ZNN, token};
use nom::client::{ClientError, Standing};
use nom::work::{PLASMA_DIFFICULTY, Payment};
use nom::{Address, Amount, Block, TokenStandard};
use sha2::{Digest as _, Sha256};

use crate::network;

/// How deep a deposit must be before it counts.
const DEPTH: u64 = 3;

#[test]
fn an_anchor_signed_by_a_quorum_is_confirmed_with_its_step_and_root() {
    let Some(network) = network("an anchor on the Zenon node") else {
        return;
    };
    let mut committee = Account::new(&network, Key::committee(0));
    let step = Digest::from_bytes(Sha256::digest(b"a step").into());
    let root = Digest::from_bytes(Sha256::digest(b"its root").into());
    let data = [step.as_bytes().as_slice(), root.as_bytes()].concat();
    let block = anchor(&mut committee, data.clone());
    let confirmed = committee.publish(&block, 2).unwrap();
    assert_eq!(confirmed.depth, 2);

    let held = network.client().block(&block.hash).unwrap().unwrap();
    assert_eq!(held.block, block);
    assert_eq!(held.block.data, data);
    assert_eq!(held.momentum, Some(confirmed.momentum));
    let momentums = network.client().momentums(confirmed.momentum.height, 1);
    let momentum = &momentums.unwrap()[0];
    assert!(
        momentum
            .content
            .iter()
            .any(|header| header.hash == block.hash)
    );
}

#[test]
fn a_deposit_is_received_when_it_is_deep_and_a_payout_reaches_its_recipient() {
    let Some(network) = network("deposit and payout on the Zenon node") else {
        return;
    };
    let client = network.client();
    let mut committee = Account::new(&network, Key::committee(1));
    let mut user = Account::new(&network, Key::user(1));
    // Nobody else sends to it, so what it has is what was paid out.
    let recipient = Address::from_key(&[0x77; 32]);

    let (znn, qsr) = (token(ZNN), token(QSR));
    let data = b"for zapp 7: play, level 3".to_vec();
    let place = user.place().unwrap();
    let draft = place.send(committee.address(), znn, Amount::from(700), data.clone());
    let deposit = user.sign(draft).unwrap();
    client.publish(&deposit).unwrap();

    // Not before it is deep.
    let seen = loop {
        let deep = client.deposits(&committee.address(), DEPTH).unwrap();
        match client.standing(&deposit, DEPTH).unwrap() {
            Standing::Confirmed(now) if now.depth == DEPTH => break deep,
            _ => assert_eq!(deep, [], "a deposit that is not deep yet"),
        }
        std::thread::sleep(std::time::Duration::from_millis(300));
    };
    let seen = if seen.is_empty() {
        client.deposits(&committee.address(), DEPTH).unwrap()
    } else {
        seen
    };
    let [(block, confirmed)] = seen.as_slice() else {
        panic!("one deposit, not {seen:?}");
    };
    assert_eq!((block, confirmed.depth), (&deposit, DEPTH));
    assert_eq!(block.data, data);

    let receive = committee.place().unwrap().receive(deposit.hash);
    let receive = committee.sign(receive).unwrap();
    client.publish(&receive).unwrap();
    // The next block of the account follows an unconfirmed one; both come in order.
    let place = committee.place().unwrap();
    assert_eq!(place.previous_hash, receive.hash);
    let payout = place.send(recipient, znn, Amount::from(450), b"payout 1".to_vec());
    let payout = committee.sign(payout).unwrap();
    committee.publish(&payout, 1).unwrap();

    assert_eq!(client.deposits(&committee.address(), 1).unwrap(), []);
    let left = client.account(&committee.address()).unwrap();
    assert_eq!(left.height, 2);
    assert_eq!(left.balances.get(&znn), Some(&Amount::from(250)));
    assert_eq!(left.balances.get(&qsr), None);
    let waiting = client.unreceived(&recipient, 0).unwrap();
    assert_eq!(waiting.len(), 1);
    assert_eq!(waiting[0].block, payout);
}

#[test]
fn a_recipient_that_receives_has_what_the_committee_paid() {
    let Some(network) = network("a balance on the Zenon node") else {
        return;
    };
    let mut payer = Account::new(&network, Key::user(2));
    let mut recipient = Account::new(&network, Key::committee(2));
    let znn = token(ZNN);
    let draft = payer.place().unwrap();
    let draft = draft.send(recipient.address(), znn, Amount::from(9_000), Vec::new());
    let paid = payer.sign(draft).unwrap();
    payer.publish(&paid, 1).unwrap();

    let draft = recipient.place().unwrap().receive(paid.hash);
    // A block is paid from fused QSR as far as asked, and the rest by work.
    let payment = Payment {
        fused_plasma: 20_900,
        difficulty: 100 * PLASMA_DIFFICULTY,
    };
    let received = recipient.sign_paid(draft, payment);
    recipient.publish(&received, 1).unwrap();
    let account = network.client().account(&recipient.address()).unwrap();
    assert_eq!(account.balances.get(&znn), Some(&Amount::from(9_000)));
    let held = network.client().block(&received.hash).unwrap().unwrap();
    assert_eq!(held.block.header.difficulty, 150_000);
}

#[test]
fn of_two_blocks_at_one_height_the_loser_is_told_and_is_dead_once_the_other_is_confirmed() {
    let Some(network) = network("two blocks at one height on the Zenon node") else {
        return;
    };
    let client = network.client();
    let mut committee = Account::new(&network, Key::committee(3));
    let one = anchor(&mut committee, vec![1]);
    // With the same plasma the node keeps the lower hash.
    let other = (2..=u8::MAX)
        .map(|byte| {
            let place = committee.place().unwrap();
            let draft = send_nothing(&place, committee.address(), vec![byte]);
            committee.sign(draft).unwrap()
        })
        .find(|other| other.hash > one.hash)
        .expect("a hash above another");
    client.publish(&one).unwrap();
    // The node answers as if it had taken it.
    client.publish(&other).unwrap();

    let displaced = client.standing(&other, 1).unwrap_err();
    let ClientError::Displaced {
        height: 1,
        ours,
        theirs,
        ..
    } = displaced
    else {
        panic!("{displaced}");
    };
    assert_eq!((ours, theirs), (other.hash, one.hash));
    committee.publish(&one, 1).unwrap();
    let displaced = client.standing(&other, 1).unwrap_err();
    let is_dead = matches!(
        displaced,
        ClientError::Displaced {
            is_confirmed: true,
            ..
        }
    );
    assert!(is_dead, "{displaced}");
}

fn anchor(committee: &mut Account, data: Vec<u8>) -> Block {
    let place = committee.place().unwrap();
    let draft = send_nothing(&place, committee.address(), data);
    committee.sign(draft).unwrap()
}

fn send_nothing(place: &nom::Place, to: Address, data: Vec<u8>) -> nom::Draft {
    place.send(to, TokenStandard::ZERO, Amount::ZERO, data)
}
