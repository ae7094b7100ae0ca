//! zApps that call each other, and messages that go out.

use attestation::leaf::{Leaf, MessageLeaf};

use super::*;
use crate::entry::EntryWrite;
use crate::execute::Post;
use crate::journal::WriteError;
use crate::system::{Abort, Refusal};

/// Alice's zApp can call others; Bob's is there to be called.
fn pair() -> (Chain, ZappId, ZappId) {
    let mut chain = Chain::new();
    let requests = vec![
        chain.deploy(ALICE, script::CALLS, "set born 1"),
        chain.deploy(BOB, script::GOOD, "set born 1"),
    ];
    let outcome = chain.step(requests);
    assert!(outcome.outcomes.iter().all(|one| one.status == Status::Ok));
    (chain, script_zapp(ALICE), script_zapp(BOB))
}

/// A line of the script that writes as Bob's zApp.
fn in_bob(key: &str, value: &str) -> String {
    alloc::format!("in {} {key} {value}", BOB.as_bytes()[0])
}

#[test]
fn what_a_called_zapp_writes_stands_and_falls_with_the_request() {
    let (mut chain, alice, bob) = pair();
    let script = alloc::format!("set k 1\n{}", in_bob("k", "2"));
    let request = chain.call(alice, &script);
    assert_eq!(chain.step(vec![request]).outcomes[0].status, Status::Ok);
    assert_eq!(chain.value(&alice, "k"), Some(b"1".as_slice()));
    assert_eq!(chain.value(&bob, "k"), Some(b"2".as_slice()));

    let script = alloc::format!("{}\nset k 3\nrevert 1", in_bob("k", "4"));
    let request = chain.call(alice, &script);
    let outcome = chain.step(vec![request]);
    assert_eq!(outcome.outcomes[0].status, Status::Reverted);
    assert_eq!(chain.value(&alice, "k"), Some(b"1".as_slice()));
    assert_eq!(chain.value(&bob, "k"), Some(b"2".as_slice()));
}

#[test]
fn a_zapp_that_makes_no_calls_reaches_no_other() {
    let (mut chain, alice, bob) = pair();
    // Bob's module has no such import: whoever reports this of it was broken out of.
    let request = chain.call(bob, "set k 1");
    let (job, honest) = chain.agree(chain.job(vec![request]));
    let mut reports = honest.reports;
    let write = EntryWrite {
        zapp: alice,
        key: b"k".to_vec(),
        value: Some(b"2".to_vec()),
    };
    reports[0].writes.push(write);
    reports[0]
        .writes
        .sort_by(|a, b| (a.zapp, &a.key).cmp(&(b.zapp, &b.key)));
    let id = job.requests[0].id();
    let expected = Err(StepError::Misreported(id, Misreport::Reach(alice)));
    assert_eq!(chain.replay(&job, &reports), expected);
}

#[test]
fn a_witness_that_shows_another_zapp_does_not_open_it() {
    // Both are in the job, so that signers see both records; only Alice's module makes calls.
    let (mut chain, alice, bob) = pair();
    let requests = vec![chain.call(bob, "set k 1"), chain.call(alice, "set k 1")];
    let (job, honest) = chain.agree(chain.job(requests));
    let forge = |at: usize, zapp: ZappId| {
        let mut reports = honest.reports.clone();
        let write = EntryWrite {
            zapp,
            key: b"k".to_vec(),
            value: Some(b"2".to_vec()),
        };
        reports[at].writes.push(write);
        reports[at]
            .writes
            .sort_by(|a, b| (a.zapp, &a.key).cmp(&(b.zapp, &b.key)));
        chain.replay(&job, &reports)
    };
    let id = job.requests[0].id();
    let expected = Err(StepError::Misreported(id, Misreport::Reach(alice)));
    assert_eq!(forge(0, alice), expected);
    // What Alice's could have called is not refused; it is another statement than the honest one.
    let other = forge(1, bob).expect("as good as a call of it");
    assert_ne!(other.statement(), honest.statement());

    // An ended one can be called by nobody, seen or not.
    let abort = attestation::codec::encode(&Abort { zapp: bob });
    let abort = chain.request(BOB, ZappId::SYSTEM, "abort", &abort);
    assert_eq!(chain.step(vec![abort]).outcomes[0].status, Status::Ok);
    let requests = vec![chain.call(alice, "set k 3"), chain.call(bob, "set k 3")];
    let (job, honest) = chain.agree(chain.job(requests));
    let mut reports = honest.reports;
    reports[0].writes.push(EntryWrite {
        zapp: bob,
        key: b"k".to_vec(),
        value: Some(b"4".to_vec()),
    });
    reports[0]
        .writes
        .sort_by(|a, b| (a.zapp, &a.key).cmp(&(b.zapp, &b.key)));
    let expected = Err(StepError::Misreported(
        job.requests[0].id(),
        Misreport::Reach(bob),
    ));
    assert_eq!(chain.replay(&job, &reports), expected);
}

#[test]
fn nobody_reaches_a_zapp_that_takes_no_calls() {
    let (mut chain, alice, bob) = pair();
    let request = chain.call(alice, &in_bob("k", "2"));
    let (job, honest) = chain.agree(chain.job(vec![request.clone()]));
    for (zapp, act) in [
        // Never deployed: its head sentinel is not there either.
        (ZappId::from_bytes([0x77; 32]), None),
        (
            ZappId::SYSTEM,
            Some(Misreport::Write(WriteError::Elsewhere(ZappId::SYSTEM))),
        ),
    ] {
        let mut reports = honest.reports.clone();
        reports[0].writes[0].zapp = zapp;
        let result = chain.replay(&job, &reports);
        match act {
            Some(act) => {
                assert_eq!(result, Err(StepError::Misreported(request.id(), act)));
            }
            // The witness does not show it, or it shows that there is none: either way no.
            None => assert!(result.is_err(), "{result:?}"),
        }
    }
    let abort = attestation::codec::encode(&Abort { zapp: bob });
    let abort = chain.request(BOB, ZappId::SYSTEM, "abort", &abort);
    assert_eq!(chain.step(vec![abort]).outcomes[0].status, Status::Ok);
    let request = chain.call(alice, &in_bob("k", "2"));
    assert_eq!(chain.step(vec![request]).outcomes[0].status, Status::Ok);
    assert_eq!(
        chain.value(&bob, "k"),
        None,
        "it was not there to be called"
    );
    let request = chain.call(bob, "set k 1");
    let outcome = chain.step(vec![request]);
    assert_eq!(outcome.outcomes[0].code, Refusal::Aborted.code());
}

#[test]
fn events_and_messages_of_a_zapp_that_was_not_called_are_misreported() {
    let (mut chain, alice, bob) = pair();
    let request = chain.call(bob, "emit a b\npost a b");
    let (job, honest) = chain.agree(chain.job(vec![request]));
    let id = job.requests[0].id();
    let expected = Err(StepError::Misreported(id, Misreport::Reach(alice)));
    for forge in [
        (|run: &mut Execution, zapp| run.events[0].zapp = zapp) as fn(&mut Execution, ZappId),
        |run, zapp| run.messages[0].zapp = zapp,
    ] {
        let mut reports = honest.reports.clone();
        forge(reports[0].execution.as_mut().expect("it ran"), alice);
        assert_eq!(chain.replay(&job, &reports), expected);
    }
}

#[test]
fn each_message_is_a_leaf_with_the_next_number_of_its_channel() {
    let (mut chain, alice, _) = pair();
    let requests = vec![
        chain.call(alice, "post mint one\npost burn two\npost mint three"),
        chain.call(alice, "post mint lost\nrevert 1"),
        chain.call(alice, "post mint four"),
    ];
    let outcome = chain.step(requests);
    assert_eq!(outcome.commit.tree_size, 1 + 3 + 4);
    let leaves =
        outcome.leaves[4..]
            .iter()
            .map(|leaf| match Leaf::from_bytes(leaf).expect("a leaf") {
                Leaf::Message(message) => message,
                other => panic!("{other:?}"),
            });
    let leaves: Vec<MessageLeaf> = leaves.collect();
    let said: Vec<_> = leaves
        .iter()
        .map(|leaf| (leaf.number, leaf.payload.as_slice()))
        .collect();
    assert_eq!(
        said,
        [
            (1, b"one".as_slice()),
            (1, b"two"),
            (2, b"three"),
            (3, b"four")
        ]
    );
    let committee = chain.params.committee;
    let channel = |label: &[u8]| MessageLeaf::channel(&committee, &alice, (1, &[0xcc; 32]), label);
    for (leaf, label) in leaves.iter().zip(["mint", "burn", "mint", "mint"]) {
        assert_eq!(leaf.channel, channel(label.as_bytes()));
        assert_eq!((leaf.zapp, leaf.seq, leaf.gas), (alice, Seq(2), 9));
        assert_eq!((leaf.contract, leaf.receiver), ([0xcc; 32], [0xee; 32]));
    }
    // The next step goes on where this one ended.
    let request = chain.call(alice, "post mint five");
    let outcome = chain.step(vec![request]);
    let last = MessageLeaf::from_bytes(&outcome.leaves[2]).expect("a message");
    assert_eq!((last.number, last.channel), (4, channel(b"mint")));
}

#[test]
fn messages_beyond_a_bound_are_misreported() {
    let (mut chain, alice, _) = pair();
    let request = chain.call(alice, "post a b");
    let (job, honest) = chain.agree(chain.job(vec![request]));
    let id = job.requests[0].id();
    let table: [fn(&mut Vec<Post>); 4] = [
        |posts| posts[0].label = vec![0; 33],
        |posts| posts[0].payload = vec![0; 16 * 1024 + 1],
        |posts| posts.resize(33, posts[0].clone()),
        |posts| {
            posts[0].payload = vec![0; 16 * 1024];
            posts.resize(5, posts[0].clone());
        },
    ];
    for alter in table {
        let mut reports = honest.reports.clone();
        alter(&mut reports[0].execution.as_mut().expect("it ran").messages);
        let expected = Err(StepError::Misreported(id, Misreport::Messages));
        assert_eq!(chain.replay(&job, &reports), expected);
    }
    let mut reports = honest.reports.clone();
    let run = reports[0].execution.as_mut().expect("it ran");
    (run.status, run.code) = (Status::Reverted, 1);
    assert_eq!(
        chain.replay(&job, &reports),
        Err(StepError::Misreported(id, Misreport::Messages))
    );
}
