//! Rule B5: a key hands over to the next by an attested leaf; a guardian may pause and cancel,
//! nothing else.

use evm::abi::call;
use evm::chain::{ANYONE, Answer};
use evm::committee::Committee;
use evm::leaf::KeyChange;

use crate::world::{DELAY, GAS_MAX, GUARDIAN, PAUSE, World, done, refused};

const CHANGE: &str = "changeKey";

fn change(world: &mut World, key_change: &KeyChange) -> Answer {
    let (attestation, inclusion) = world.attest(key_change.seq.0, key_change.to_bytes());
    world.send(CHANGE, &attestation, &inclusion).answer
}

fn trusted(world: &mut World) -> Vec<u8> {
    let answer = world
        .chain
        .view(world.acceptor, &call("keyX()", &[]))
        .answer;
    let Answer::Returned(x) = answer else {
        panic!("a view answers");
    };
    let odd = world.chain.number(world.acceptor, &call("keyOdd()", &[]));
    [&[2 + odd as u8], x.as_slice()].concat()
}

#[test]
fn a_key_hands_over_to_the_next_after_the_delay() {
    let Some(mut world) = World::new() else {
        return;
    };
    for seed in [2, 3, 4, 5] {
        let new = Committee::new(seed);
        let seq = 10 * seed;
        let first = world.consumed();
        let key_change = world.key_change(seq, seq + 3, &new);
        assert_eq!(change(&mut world, &key_change), done());
        // Until it takes effect, the old key is good up to its last step and the new one for none.
        let message = |world: &World, seq, more| world.message(seq, first + more, &[]);
        let next = message(&world, seq + 4, 1);
        let reason = format!("AfterLastSeq({},{})", seq + 4, seq + 3);
        assert_eq!(world.deliver(&next).answer, refused(&reason));
        let last = message(&world, seq + 3, 1);
        assert_eq!(world.deliver(&last).answer, done());
        let next = message(&world, seq + 4, 2);
        let old = std::mem::replace(&mut world.committee, new);
        assert_eq!(world.deliver(&next).answer, refused("BadSignature(3)"));
        world.chain.pass(DELAY - 1);
        let ready = world.chain.now() + 1;
        let early = refused(&format!("TooEarly({ready})"));
        assert_eq!(world.order(ANYONE, "activateKey()"), early);
        world.chain.pass(1);
        assert_eq!(world.order(ANYONE, "activateKey()"), done());
        assert_eq!(trusted(&mut world), world.committee.key().compressed());
        // From now on only the new key is, for older steps too.
        assert_eq!(world.deliver(&next).answer, done());
        let earlier = message(&world, seq - 5, 3);
        assert_eq!(world.deliver(&earlier).answer, done());
        let new = std::mem::replace(&mut world.committee, old);
        let after = message(&world, seq, 4);
        assert_eq!(world.deliver(&after).answer, refused("BadSignature(3)"));
        world.committee = new;
        let none = world.order(ANYONE, "activateKey()");
        assert_eq!(none, refused("NoKeyChangePending()"));
    }
}

#[test]
fn one_key_change_is_pending_at_a_time_and_a_cancelled_one_never_comes_again() {
    let Some(mut world) = World::new() else {
        return;
    };
    let (new, other) = (Committee::new(2), Committee::new(3));
    let key_change = world.key_change(5, 9, &new);
    let another = world.key_change(6, 9, &other);
    assert_eq!(change(&mut world, &key_change), done());
    assert_eq!(
        change(&mut world, &key_change),
        refused("KeyChangePending()")
    );
    assert_eq!(change(&mut world, &another), refused("KeyChangePending()"));
    let cancel = "cancelKeyChange()";
    assert_eq!(world.order(ANYONE, cancel), refused("NotGuardian()"));
    assert_eq!(world.order(GUARDIAN, cancel), done());
    assert_eq!(
        world.order(GUARDIAN, cancel),
        refused("NoKeyChangePending()")
    );
    world.chain.pass(DELAY);
    let none = world.order(ANYONE, "activateKey()");
    assert_eq!(none, refused("NoKeyChangePending()"));
    assert_eq!(change(&mut world, &key_change), refused("KeyChangeTaken()"));
    // The old key's last step is not its last any more.
    let message = world.message(10, 1, &[]);
    assert_eq!(world.deliver(&message).answer, done());
    assert_eq!(change(&mut world, &another), done());
    world.chain.pass(DELAY);
    assert_eq!(world.order(ANYONE, "activateKey()"), done());
    world.committee = other;
    // What the former key handed over is nobody's to hand over again.
    assert_eq!(change(&mut world, &another), refused("NotThisKey()"));
    assert_eq!(trusted(&mut world), world.committee.key().compressed());
}

#[test]
fn key_changes_that_break_a_rule_are_refused() {
    let Some(mut world) = World::new() else {
        return;
    };
    let new = Committee::new(2);
    let good = world.key_change(5, 9, &new);
    let with = |change: &dyn Fn(&mut KeyChange)| {
        let mut key_change = good;
        change(&mut key_change);
        key_change.to_bytes()
    };
    let mut of_a_zapp = good.to_bytes();
    of_a_zapp[33] = 1;
    let cases = [
        (with(&|change| change.suite = 0), "NotThisKey()"),
        (with(&|change| change.suite = 2), "NotThisKey()"),
        (
            with(&|change| change.old = new.key().compressed()),
            "NotThisKey()",
        ),
        (with(&|change| change.old[0] ^= 1), "NotThisKey()"),
        (with(&|change| change.last_seq = 4), "MalformedLeaf()"),
        (with(&|change| change.new[0] = 4), "MalformedLeaf()"),
        (with(&|change| change.new[0] = 0), "MalformedLeaf()"),
        (
            with(&|change| change.new[1..].fill(0xff)),
            "UntrustworthyKey()",
        ),
        (
            with(&|change| change.new[1..].fill(0)),
            "UntrustworthyKey()",
        ),
        ([good.to_bytes(), vec![0]].concat(), "MalformedLeaf()"),
        (good.to_bytes()[..116].to_vec(), "MalformedLeaf()"),
        (of_a_zapp, "MalformedLeaf()"),
        (world.message(5, 1, &[]).to_bytes(), "WrongKind(2)"),
    ];
    for (at, (leaf, reason)) in cases.into_iter().enumerate() {
        let (attestation, inclusion) = world.attest(5, leaf);
        let answer = world.send(CHANGE, &attestation, &inclusion).answer;
        assert_eq!(answer, refused(reason), "case {at}");
    }
    // A stranger's committee cannot hand over our key.
    let own = std::mem::replace(&mut world.committee, new);
    assert_eq!(change(&mut world, &good), refused("BadSignature(3)"));
    world.committee = own;
    assert_eq!(change(&mut world, &good), done());
    let pending = world
        .chain
        .number(world.acceptor, &call("pendingReadyAt()", &[]));
    assert_eq!(pending, world.chain.now() + DELAY);
}

#[test]
fn a_pause_stops_everything_and_ends_by_itself() {
    let Some(mut world) = World::new() else {
        return;
    };
    let key_change = world.key_change(5, 9, &Committee::new(2));
    assert_eq!(change(&mut world, &key_change), done());
    world.chain.pass(DELAY);
    assert_eq!(world.order(ANYONE, "pause()"), refused("NotGuardian()"));
    assert_eq!(world.order(GUARDIAN, "pause()"), done());
    let paused = refused(&format!("Paused({})", world.chain.now() + PAUSE));
    let message = world.message(5, 1, &[]);
    assert_eq!(world.deliver(&message).answer, paused);
    assert_eq!(change(&mut world, &key_change), paused);
    assert_eq!(world.order(ANYONE, "activateKey()"), paused);
    world.chain.pass(PAUSE - 1);
    assert_eq!(world.deliver(&message).answer, paused);
    world.chain.pass(1);
    assert_eq!(world.deliver(&message).answer, done());
    // Renewed, and ended early; a cancellation works within a pause.
    assert_eq!(world.order(GUARDIAN, "pause()"), done());
    world.chain.pass(PAUSE - 1);
    assert_eq!(world.order(GUARDIAN, "pause()"), done());
    world.chain.pass(PAUSE - 1);
    let second = world.message(6, 2, &[]);
    assert_eq!(world.deliver(&second).answer.error(), "Paused");
    assert_eq!(world.order(GUARDIAN, "cancelKeyChange()"), done());
    assert_eq!(world.order(ANYONE, "resume()"), refused("NotGuardian()"));
    assert_eq!(world.order(GUARDIAN, "resume()"), done());
    assert_eq!(world.deliver(&second).answer, done());
}

#[test]
fn without_a_guardian_nobody_pauses_or_cancels() {
    let Some(mut world) = World::with([0; 20], GAS_MAX) else {
        return;
    };
    let key_change = world.key_change(5, 9, &Committee::new(2));
    assert_eq!(change(&mut world, &key_change), done());
    for order in ["pause()", "resume()", "cancelKeyChange()"] {
        for from in [ANYONE, GUARDIAN, [0; 20]] {
            assert_eq!(
                world.order(from, order),
                refused("NotGuardian()"),
                "{order}"
            );
        }
    }
}
