//! Rule B5: the change of the trusted key, the guardian and the pause.

use attestation::ids::{GroupKey, Seq};
use attestation::leaf::{KeyChangeLeaf, Leaf};
use conformance::frost::Committee;
use conformance::sample;
use serde_json::{Value as Json, json};

use crate::chain::{ANYONE, Answer, Contract, address};
use crate::step::{CHANGE_DELAY, PAUSE_MAX, bring, key_change, message, messages_of, proven};

struct World {
    old: Committee,
    new: Committee,
    guardian: String,
    acceptor: Contract,
}

impl World {
    fn new() -> Option<Self> {
        let (old, new, guardian) = (Committee::new(1), Committee::new(2), address("guardian"));
        let acceptor = Contract::new(&messages_of(&old.key(), Some(&guardian)))?;
        Some(Self {
            old,
            new,
            guardian,
            acceptor,
        })
    }

    /// A change that the old key signs in step `seq`.
    fn change(&mut self, seq: u64, leaf: KeyChangeLeaf) -> Answer {
        let given = proven(&mut self.old, seq, &Leaf::KeyChange(leaf));
        self.acceptor.execute(ANYONE, &bring("change_key", &given))
    }

    fn handover(&mut self, seq: u64, last_seq: u64) -> Answer {
        let leaf = key_change(seq, last_seq, &self.old.key(), &self.new.key());
        self.change(seq, leaf)
    }

    fn does(&mut self, sender: &str, action: &str) -> Answer {
        self.acceptor.execute(sender, &json!({ action: {} }))
    }

    fn guardian_does(&mut self, action: &str) -> Answer {
        let guardian = self.guardian.clone();
        self.does(&guardian, action)
    }

    fn trust(&self) -> Json {
        self.acceptor.query(&json!({ "trust": {} }))
    }

    fn trusted(&self) -> GroupKey {
        self.trust()["group_key"].as_str().unwrap().parse().unwrap()
    }
}

fn deliver(acceptor: &mut Contract, signer: &mut Committee, seq: u64, number: u64) -> Answer {
    let leaf = Leaf::Message(message(seq, b"mint", number));
    acceptor.execute(ANYONE, &bring("deliver", &proven(signer, seq, &leaf)))
}

#[test]
fn a_key_is_handed_over_after_its_delay() {
    let Some(mut world) = World::new() else {
        return;
    };
    world.handover(10, 20).response();
    let ready_at = world.acceptor.now() + CHANGE_DELAY;
    let pending = json!({
        "group_key": world.new.key(),
        "last_seq": "20",
        "ready_at": ready_at.to_string(),
    });
    assert_eq!(world.trust()["pending"], pending);
    assert_eq!(world.does(ANYONE, "activate_key").rule(), "too-early");

    // Until then the old key is good for steps up to its last, and the new one for none.
    deliver(&mut world.acceptor, &mut world.old, 20, 1).response();
    let answer = deliver(&mut world.acceptor, &mut world.old, 21, 2);
    assert_eq!(answer.rule(), "after-last-seq");
    let answer = deliver(&mut world.acceptor, &mut world.new, 20, 2);
    assert_eq!(answer.rule(), "key-id");

    world.acceptor.pass(CHANGE_DELAY - 1);
    assert_eq!(world.does(ANYONE, "activate_key").rule(), "too-early");
    world.acceptor.pass(1);
    world.does(ANYONE, "activate_key").response();
    assert_eq!(world.trusted(), world.new.key());
    assert_eq!(world.trust()["pending"], Json::Null);
    let answer = deliver(&mut world.acceptor, &mut world.old, 20, 2);
    assert_eq!(answer.rule(), "key-id");
    // The new key signs older steps, too, and later ones.
    deliver(&mut world.acceptor, &mut world.new, 15, 2).response();
    deliver(&mut world.acceptor, &mut world.new, 30, 3).response();
    assert_eq!(
        world.does(ANYONE, "activate_key").rule(),
        "no-key-change-pending"
    );
}

#[test]
fn while_a_change_is_pending_no_other_is_taken() {
    let Some(mut world) = World::new() else {
        return;
    };
    world.handover(10, 20).response();
    let third = Committee::new(3);
    let leaf = key_change(11, 20, &world.old.key(), &third.key());
    assert_eq!(world.change(11, leaf).rule(), "key-change-pending");
    assert_eq!(world.handover(10, 20).rule(), "key-change-pending");
    assert_eq!(world.handover(21, 30).rule(), "after-last-seq");
}

#[test]
fn a_change_that_breaks_a_rule_is_refused() {
    let Some(mut world) = World::new() else {
        return;
    };
    let (old, new) = (world.old.key(), world.new.key());
    let good = key_change(10, 20, &old, &new);
    let with = |change: &dyn Fn(&mut KeyChangeLeaf)| {
        let mut leaf = good;
        change(&mut leaf);
        leaf
    };
    let torsion = sample::key_with_torsion(1);
    for (rule, leaf) in [
        ("not-this-key", key_change(10, 20, &new, &new)),
        (
            "not-this-key",
            with(&|leaf| leaf.suite = KeyChangeLeaf::SECP256K1),
        ),
        ("not-this-key", with(&|leaf| leaf.new[0] = 2)),
        ("not-this-key", with(&|leaf| leaf.old[0] = 3)),
        ("leaf", with(&|leaf| leaf.suite = 3)),
        ("last-seq", with(&|leaf| leaf.last_seq = 9)),
        (
            "group-key",
            with(&|leaf| leaf.new[1..].copy_from_slice(&torsion)),
        ),
        ("group-key", with(&|leaf| leaf.new[1..].fill(0))),
        ("position", with(&|leaf| leaf.seq = Seq(11))),
    ] {
        assert_eq!(world.change(10, leaf).rule(), rule, "{leaf:?}");
    }
    let leaf = Leaf::Message(message(10, b"mint", 1));
    let given = bring("change_key", &proven(&mut world.old, 10, &leaf));
    assert_eq!(
        world.acceptor.execute(ANYONE, &given).rule(),
        "not-a-key-change"
    );
    let given = proven(&mut world.new, 10, &Leaf::KeyChange(good));
    let answer = world.acceptor.execute(ANYONE, &bring("change_key", &given));
    assert_eq!(answer.rule(), "key-id");
    assert_eq!(world.trust()["pending"], Json::Null);
    world.change(10, good).response();
}

#[test]
fn a_cancelled_change_never_comes_again() {
    let Some(mut world) = World::new() else {
        return;
    };
    assert_eq!(
        world.guardian_does("cancel_key_change").rule(),
        "no-key-change-pending"
    );
    world.handover(10, 20).response();
    world.guardian_does("cancel_key_change").response();
    assert_eq!(world.trust()["pending"], Json::Null);
    assert_eq!(world.handover(10, 20).rule(), "key-change-taken");
    world.acceptor.pass(CHANGE_DELAY);
    assert_eq!(
        world.does(ANYONE, "activate_key").rule(),
        "no-key-change-pending"
    );
    assert_eq!(world.trusted(), world.old.key());
    deliver(&mut world.acceptor, &mut world.old, 30, 1).response();
    world.handover(40, 50).response();
}

#[test]
fn the_guardian_may_pause_and_a_pause_ends_by_itself() {
    let Some(mut world) = World::new() else {
        return;
    };
    world.guardian_does("pause").response();
    let answer = deliver(&mut world.acceptor, &mut world.old, 10, 1);
    assert_eq!(answer.rule(), "paused");
    assert_eq!(world.handover(10, 20).rule(), "paused");
    assert_eq!(world.does(ANYONE, "activate_key").rule(), "paused");
    world.acceptor.pass(PAUSE_MAX - 1);
    let answer = deliver(&mut world.acceptor, &mut world.old, 10, 1);
    assert_eq!(answer.rule(), "paused");
    world.acceptor.pass(1);
    deliver(&mut world.acceptor, &mut world.old, 10, 1).response();

    world.guardian_does("pause").response();
    world.guardian_does("resume").response();
    deliver(&mut world.acceptor, &mut world.old, 10, 2).response();

    // A change that waits is held up, too, and the guardian can cancel it within the pause.
    world.handover(10, 20).response();
    world.acceptor.pass(CHANGE_DELAY);
    world.guardian_does("pause").response();
    assert_eq!(world.does(ANYONE, "activate_key").rule(), "paused");
    world.guardian_does("cancel_key_change").response();
}

#[test]
fn nobody_but_the_guardian_may_and_without_one_nobody_may() {
    let Some(mut world) = World::new() else {
        return;
    };
    let mut without = Contract::new(&messages_of(&world.old.key(), None)).unwrap();
    let guardian = world.guardian.clone();
    for action in ["pause", "resume", "cancel_key_change"] {
        for sender in [ANYONE, "", &address("stranger")] {
            assert_eq!(world.does(sender, action).rule(), "not-guardian");
        }
        for sender in [ANYONE, "", &guardian] {
            let answer = without.execute(sender, &json!({ action: {} }));
            assert_eq!(answer.rule(), "not-guardian");
        }
    }
}
