//! Rule E2: each message once and in its channel's order, whatever a leaf, a receiver or a relayer
//! does.

use attestation::ids::{CommitteeId, Digest, NetworkId, Seq};
use conformance::sample;
use evm::abi::{Value, call, word};
use evm::chain::{ANYONE, Answer, intrinsic};
use evm::committee::Committee;
use evm::leaf::padded;
use evm::step::{Attestation, Inclusion, calldata, included, step};

use crate::world::{
    GAS, GAS_MAX, GUARDIAN, World, channel, consumed_as, consumption, done, refused,
};

#[test]
fn a_message_reaches_its_receiver_with_all_that_it_says() {
    let Some(mut world) = World::new() else {
        return;
    };
    let payload = [&[0], sample::digest("payload").as_slice()].concat();
    let message = world.message(5, 1, &payload);
    let receipt = world.deliver(&message);
    assert_eq!(receipt.answer, done());
    assert_eq!(consumption(&receipt), consumed_as(1, 1));
    let receiver = world.receiver;
    let mut view = |what: &str| match world.chain.view(receiver, &call(what, &[])).answer {
        Answer::Returned(bytes) => bytes,
        answer => panic!("{what}: {answer:?}"),
    };
    assert_eq!(view("zapp()"), sample::zapp().as_bytes());
    assert_eq!(view("channel()"), channel());
    assert_eq!(view("number()"), word(1));
    assert_eq!(view("sender()"), padded(world.acceptor));
    let mut wanted = [word(32), word(33)].concat();
    wanted.extend_from_slice(&payload);
    wanted.resize(128, 0);
    assert_eq!(view("payload()"), wanted);
    assert!(world.received("gasGiven()") <= GAS);
}

#[test]
fn messages_come_in_order_and_once_and_steps_in_any() {
    let Some(mut world) = World::new() else {
        return;
    };
    let (first, second, third) = (
        world.message(9, 1, &[]),
        world.message(4, 2, &[]),
        world.message(6, 3, &[]),
    );
    let out_of_order = |actual: u64, expected: u64| {
        let channel = hex::encode(channel());
        refused(&format!("OutOfOrder({channel},{actual},{expected})"))
    };
    assert_eq!(world.deliver(&second).answer, out_of_order(2, 1));
    assert_eq!(
        world.deliver(&world.message(1, 0, &[])).answer,
        out_of_order(0, 1)
    );
    assert_eq!(world.deliver(&first).answer, done());
    assert_eq!(world.deliver(&first).answer, out_of_order(1, 2), "replay");
    assert_eq!(world.deliver(&third).answer, out_of_order(3, 2));
    assert_eq!(world.deliver(&second).answer, done());
    assert_eq!(world.deliver(&third).answer, done());
    assert_eq!(world.deliver(&second).answer, out_of_order(2, 4), "replay");
    assert_eq!((world.consumed(), world.received("count()")), (3, 3));
    // Another channel has numbers of its own.
    let mut other = world.message(6, 1, &[]);
    other.channel = Digest::from_bytes(sample::digest("another channel"));
    assert_eq!(world.deliver(&other).answer, done());
    assert_eq!(world.consumed(), 3);
}

#[test]
fn a_message_that_fails_is_recorded_and_the_channel_moves_on() {
    let Some(mut world) = World::new() else {
        return;
    };
    let (delivered, reverted, no_receiver, too_much_gas) = (1, 2, 3, 4);
    let mut messages = vec![
        (world.message(1, 0, &[1]), reverted),
        (world.message(1, 0, &[2]), reverted),
        (world.message(1, 0, &[3]), reverted),
        (world.message(1, 0, &[4]), reverted),
        (world.message(1, 0, &[0]), delivered),
    ];
    let mut change = |change: &dyn Fn(&mut evm::leaf::Message), outcome| {
        let mut message = world.message(1, 0, &[0]);
        change(&mut message);
        messages.push((message, outcome));
    };
    change(&|message| message.receiver = padded([7; 20]), no_receiver);
    change(&|message| message.receiver[11] = 1, no_receiver);
    change(&|message| message.receiver = message.contract, reverted);
    change(&|message| message.receiver = [0; 32], no_receiver);
    change(&|message| message.gas = GAS_MAX + 1, too_much_gas);
    change(&|message| message.gas = u64::MAX, too_much_gas);
    change(&|message| message.gas = 10_000, reverted);
    change(&|message| message.gas = 0, reverted);
    change(&|message| message.gas = GAS_MAX, delivered);
    let count = messages.len() as u64;
    for (at, (mut message, outcome)) in messages.into_iter().enumerate() {
        message.number = at as u64 + 1;
        message.seq = Seq(at as u64 + 1);
        assert_eq!(world.outcome(message.number), 0, "before it came");
        let receipt = world.deliver(&message);
        assert_eq!(receipt.answer, done(), "message {}", message.number);
        assert_eq!(consumption(&receipt), consumed_as(message.number, outcome));
        assert_eq!(world.outcome(message.number), outcome);
        assert_eq!(world.consumed(), message.number);
    }
    assert_eq!(world.received("count()"), 2);
    assert_eq!(world.outcome(count + 1), 0);
    assert_eq!(world.outcome(0), 0);
}

/// A relayer that could make a receiver run out of gas could fail any message.
#[test]
fn no_gas_of_a_transaction_makes_a_message_fail() {
    // A call gets 63/64 of what is left: of ten million that is much less than all.
    for (granted, step) in [(290_000, 997), (10_000_000, 9_973)] {
        let Some(mut world) = World::with(GUARDIAN, granted) else {
            return;
        };
        // The payload is stored: what the receiver needs is near what the first leaf grants.
        let mut message = world.message(1, 1, &[0; 200]);
        message.gas = granted;
        let (attestation, inclusion) = world.attest(1, message.to_bytes());
        let data = calldata("deliver", &attestation, &inclusion);
        let mut gas = intrinsic(&data) + granted;
        let mut refusals = 0;
        loop {
            let receipt = world.chain.send_with(ANYONE, world.acceptor, &data, gas);
            if receipt.answer == done() {
                break;
            }
            assert_eq!(receipt.answer.error(), "NotEnoughGas", "with {gas}");
            assert_eq!(world.consumed(), 0);
            refusals += 1;
            gas += step;
        }
        assert!(refusals > 10, "{refusals}");
        assert_eq!((world.consumed(), world.outcome(1)), (1, 1));
        // All that the leaf grants but what the receiver's dispatch took before it looked.
        let given = world.received("gasGiven()");
        assert!(given > granted - 1_000 && given <= granted, "{given}");
    }
}

#[test]
fn at_the_edge_of_its_gas_a_failure_is_still_recorded() {
    // A receiver that burns everything, and one whose reason would cost as much to copy as it
    // cost to make: record and event are paid from what is left.
    for (what, granted) in [(2, GAS), (3, 125_000)] {
        let Some(mut world) = World::new() else {
            return;
        };
        let mut message = world.message(1, 1, &[what]);
        message.gas = granted;
        let (attestation, inclusion) = world.attest(1, message.to_bytes());
        let data = calldata("deliver", &attestation, &inclusion);
        let (mut gas, mut refusals) = (intrinsic(&data) + granted, 0);
        while world.consumed() == 0 {
            let receipt = world.chain.send_with(ANYONE, world.acceptor, &data, gas);
            if receipt.answer != done() {
                assert_eq!(receipt.answer.error(), "NotEnoughGas", "with {gas}");
                refusals += 1;
            }
            gas += 487;
        }
        assert!(refusals > 100, "{refusals}");
        assert_eq!(world.outcome(1), 2);
    }
}

#[test]
fn one_transaction_delivers_as_many_messages_as_it_likes() {
    let Some(mut world) = World::new() else {
        return;
    };
    let pair = world.chain.deploy("Pair", &[]).unwrap();
    let calls = [1, 2].map(|place| {
        let message = world.message(place, place, &[0]);
        let (attestation, inclusion) = world.attest(place, message.to_bytes());
        Value::Bytes(calldata("deliver", &attestation, &inclusion))
    });
    let [first, second] = calls;
    let arguments = [Value::Word(padded(world.acceptor)), first, second];
    let data = call("both(address,bytes,bytes)", &arguments);
    let answer = world.chain.send(ANYONE, pair, &data).answer;
    assert_eq!(answer, Answer::Returned([word(1), word(1)].concat()));
    assert_eq!((world.consumed(), world.received("count()")), (2, 2));
}

#[test]
fn a_receiver_that_enters_again_delivers_nothing() {
    let Some(mut world) = World::new() else {
        return;
    };
    let second = world.message(2, 2, &[]);
    let (attestation, inclusion) = world.attest(2, second.to_bytes());
    let inner = calldata("deliver", &attestation, &inclusion);
    // 5: the receiver calls the acceptor.
    let mut first = world.message(1, 1, &[[5].as_slice(), &inner].concat());
    first.gas = GAS_MAX;
    assert_eq!(world.deliver(&first).answer, done());
    assert_eq!((world.consumed(), world.outcome(1)), (1, 1));
    let said = world
        .chain
        .view(world.receiver, &call("answer()", &[]))
        .answer;
    let Answer::Returned(said) = said else {
        panic!("a view answers");
    };
    assert_eq!(said[64..68], evm::abi::selector("Reentered()"));
    // Its own message again, from within: the number is consumed before the call.
    assert_eq!(world.deliver(&first).answer.error(), "OutOfOrder");
    // Afterwards deliveries go on.
    assert_eq!(world.deliver(&second).answer, done());
}

#[test]
fn leaves_for_others_and_of_other_kinds_are_refused() {
    let Some(mut world) = World::new() else {
        return;
    };
    let good = world.message(3, 1, &[0, 1, 2]);
    let with = |change: &dyn Fn(&mut evm::leaf::Message)| {
        let mut message = good.clone();
        change(&mut message);
        message.to_bytes()
    };
    let output = sample::leaves(3, 1).remove(1);
    let cut = good.to_bytes()[..161].to_vec();
    let cases = [
        (with(&|message| message.chain = 2), "WrongChain(2)"),
        (
            with(&|message| message.contract = word(77)),
            "WrongContract(77)",
        ),
        (with(&|message| message.contract[0] = 1), "WrongContract"),
        (with(&|message| message.seq = Seq(4)), "WrongStep(4,3)"),
        (output, "WrongKind(0)"),
        (
            world.key_change(3, 3, &Committee::new(2)).to_bytes(),
            "WrongKind(3)",
        ),
        (
            [[2].as_slice(), &good.to_bytes()[1..]].concat(),
            "MalformedLeaf()",
        ),
        (cut, "MalformedLeaf()"),
        (good.to_bytes()[..41].to_vec(), "MalformedLeaf()"),
        (Vec::new(), "MalformedLeaf()"),
        (sample::leaves(3, 1).remove(0), "WrongPosition(1,1)"),
    ];
    for (leaf, reason) in cases {
        let (attestation, inclusion) = world.attest(3, leaf);
        let answer = world.send("deliver", &attestation, &inclusion).answer;
        let Answer::Refused(said) = answer else {
            panic!("{reason}: {answer:?}");
        };
        assert!(
            said == reason || said.starts_with(&format!("{reason}(")),
            "{said} {reason}"
        );
    }
    assert_eq!(world.consumed(), 0);
}

#[test]
fn attestations_that_break_a_rule_are_refused_whatever_the_leaf() {
    let Some(mut world) = World::new() else {
        return;
    };
    let leaf = world.message(3, 1, &[0]).to_bytes();
    let answer = |world: &mut World, change: &dyn Fn(&mut attestation::commit::Commit)| {
        let (attestation, inclusion) = world.attest_with(3, leaf.clone(), change);
        world.send("deliver", &attestation, &inclusion).answer
    };
    let network = answer(&mut world, &|commit| commit.network = NetworkId(1));
    assert_eq!(network, refused("WrongNetwork(1)"));
    let committee = answer(&mut world, &|commit| {
        commit.committee = CommitteeId::from_bytes([3; 32]);
    });
    assert_eq!(committee.error(), "WrongCommittee");
    for size in [0, 1, 65_537, u64::MAX] {
        let answer = answer(&mut world, &|commit| commit.tree_size = size);
        assert_eq!(answer, refused(&format!("TreeSize({size})")));
    }
    // A proof for a tree of another size: its path has another length, or leads elsewhere.
    let size = answer(&mut world, &|commit| commit.tree_size = 5);
    assert_eq!(size, refused("PathDoesNotFit(1,5,1)"));
    let (attestation, mut inclusion) = world.attest(3, leaf.clone());
    inclusion.index = 2;
    let answer = world.send("deliver", &attestation, &inclusion).answer;
    assert_eq!(answer, refused("PathDoesNotFit(2,2,1)"));
    // The key signs whatever the epoch is.
    let (attestation, inclusion) = world.attest_with(3, leaf, |commit| commit.epoch.0 = 77);
    let answer = world.send("deliver", &attestation, &inclusion).answer;
    assert_eq!(answer, done());
}

#[test]
fn whatever_is_changed_after_signing_is_refused() {
    let Some(mut world) = World::new() else {
        return;
    };
    let leaf = |number| world.message(3, number, &[0]).to_bytes();
    let leaves = vec![leaf(1), leaf(2), leaf(3)];
    let (attestation, leaves) = step(&mut world.committee, 3, leaves);
    let good = included(&leaves, 1);
    let answer = |world: &mut World, attestation: &Attestation, inclusion: &Inclusion| {
        world.send("deliver", attestation, inclusion).answer
    };
    // The proof of another leaf, and the place of another.
    let mut other = good.clone();
    other.path = included(&leaves, 2).path;
    assert_eq!(
        answer(&mut world, &attestation, &other).error(),
        "NotIncluded"
    );
    let mut other = good.clone();
    other.index = 3;
    assert_eq!(
        answer(&mut world, &attestation, &other).error(),
        "NotIncluded"
    );
    let mut other = good.clone();
    other.index = 0;
    assert_eq!(
        answer(&mut world, &attestation, &other),
        refused("WrongPosition(0,2)")
    );
    let mut longer = good.clone();
    longer.path.push([0; 32]);
    assert_eq!(
        answer(&mut world, &attestation, &longer),
        refused("PathDoesNotFit(1,4,3)")
    );
    // A tampered leaf: receiver, number and gas of a message are what is signed.
    for at in [43, 60, 90, 120, 153, 161, 162] {
        let mut tampered = good.clone();
        tampered.leaf[at] ^= 1;
        assert_eq!(
            answer(&mut world, &attestation, &tampered).error(),
            "NotIncluded"
        );
    }
    let mut root = attestation.clone();
    root.root[0] ^= 1;
    assert_eq!(answer(&mut world, &root, &good).error(), "NotIncluded");
    let mut commit = attestation.clone();
    commit.commit[54] ^= 1;
    assert_eq!(
        answer(&mut world, &commit, &good),
        refused("BadSignature(3)")
    );
    let mut head = attestation.clone();
    head.commit[9] ^= 1;
    assert_eq!(
        answer(&mut world, &head, &good),
        refused("MalformedCommit()")
    );
    let stranger = step(&mut Committee::new(2), 3, leaves[1..].to_vec()).0;
    assert_eq!(stranger.root, attestation.root);
    assert_eq!(
        answer(&mut world, &stranger, &good),
        refused("BadSignature(3)")
    );
    for (part, flaw) in [(0, 2), (1, 2), (2, 3)] {
        let mut forged = attestation.clone();
        let signature = &mut forged.signature;
        [&mut signature.rx, &mut signature.ry, &mut signature.z][part][31] ^= 1;
        let answer = answer(&mut world, &forged, &good);
        assert_eq!(answer, refused(&format!("BadSignature({flaw})")));
    }
    assert_eq!(answer(&mut world, &attestation, &good), done());
}

#[test]
fn calldata_has_one_length() {
    let Some(mut world) = World::new() else {
        return;
    };
    let message = world.message(3, 1, &[0; 33]);
    let (attestation, inclusion) = world.attest(3, message.to_bytes());
    let good = calldata("deliver", &attestation, &inclusion);
    let length = good.len();
    for more in [1, 31, 32, 64] {
        let longer = [good.as_slice(), &vec![0; more]].concat();
        let answer = world.chain.send(ANYONE, world.acceptor, &longer).answer;
        let reason = format!("CalldataLength({},{length})", length + more);
        assert_eq!(answer, refused(&reason));
    }
    for less in (1..length).step_by(37) {
        let answer = world
            .chain
            .send(ANYONE, world.acceptor, &good[..length - less])
            .answer;
        assert!(
            matches!(answer, Answer::Refused(_)),
            "{less} bytes less: {answer:?}"
        );
    }
    for selector in [[0; 4], evm::abi::selector("deliver()")] {
        let answer = world.chain.send(ANYONE, world.acceptor, &selector).answer;
        assert_eq!(answer, refused(""));
    }
    assert_eq!(world.consumed(), 0);
    assert_eq!(
        world.chain.send(ANYONE, world.acceptor, &good).answer,
        done()
    );
}
