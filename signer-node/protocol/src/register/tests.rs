//! The refusals as a table, in the manner of EIP-3076's interchange tests: each case is a list of
//! records and the answer to each; then the same again over a restart at every point.

mod eip3076;

use attestation::ids::{CommitteeId, Epoch, NetworkId, Signature, StatementId};
use serde_bytes::ByteBuf;
use state::job::SignedVote;

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;

use super::*;

const DOMAIN: Domain = Domain {
    network: NetworkId(1),
    committee: CommitteeId::from_bytes([1; 32]),
};
const SLOT: Slot = Slot(3);

#[derive(Clone, Copy, Debug, PartialEq)]
enum Answer {
    New,
    Same,
    LowerView,
    Seq,
    Second,
    Locked,
    NotVoted,
    Boot,
    Base,
}

fn statement(of: u8) -> StatementId {
    StatementId::from_bytes([of; 32])
}

fn certificate(seq: u64, view: u64, of: u8) -> Certificate {
    let vote = |slot| SignedVote {
        slot: Slot(slot),
        epoch: Epoch(1),
        seq: Seq(seq),
        view: View(view),
        statement: statement(of),
        mask: Digest::from_bytes([0; 32]),
        signature: Signature::from_bytes([0; 64]),
    };
    Certificate {
        votes: (1..=4).map(vote).collect(),
    }
}

fn view(view: u64) -> Record {
    Record::View(View(view))
}

fn vote(seq: u64, view: u64, of: u8) -> Record {
    shown(seq, view, of, None)
}

fn shown(seq: u64, view: u64, of: u8, shown: Option<Certificate>) -> Record {
    Record::Vote(Voted {
        lane: Lane::Steps,
        seq: Seq(seq),
        view: View(view),
        statement: statement(of),
        mask: Digest::from_bytes([of; 32]),
        shown,
    })
}

fn lock(seq: u64, view: u64, of: u8) -> Record {
    Record::Lock(Locked {
        lane: Lane::Steps,
        certificate: certificate(seq, view, of),
    })
}

fn attested(seq: u64, of: u8) -> Record {
    Record::Attested(Attested {
        lane: Lane::Steps,
        seq: Seq(seq),
        statement: statement(of),
        attestation: ByteBuf::from([of].to_vec()),
    })
}

fn answer(chain: &mut Chain, record: Record) -> (Answer, Option<Entry>) {
    match chain.append(record) {
        Ok(Appended {
            entry: Some(entry), ..
        }) => (Answer::New, Some(entry)),
        Ok(Appended { entry: None, .. }) => (Answer::Same, None),
        Err(Refused::View { .. }) => (Answer::LowerView, None),
        Err(Refused::Seq { .. }) => (Answer::Seq, None),
        Err(Refused::SecondDigest { .. }) => (Answer::Second, None),
        Err(Refused::Locked { .. }) => (Answer::Locked, None),
        Err(Refused::NotVoted(_)) => (Answer::NotVoted, None),
        Err(Refused::Boot { .. }) => (Answer::Boot, None),
        Err(Refused::Base) => (Answer::Base, None),
        Err(other) => panic!("{other}"),
    }
}

type Case = (&'static str, Vec<(Record, Answer)>);

fn cases() -> Vec<Case> {
    use Answer::{Base, Boot as WrongBoot, Locked, LowerView, New, NotVoted, Same, Second, Seq};
    vec![
        (
            "one vote per (seq, view); the same again is the same answer",
            vec![
                (vote(1, 0, 7), New),
                (vote(1, 0, 7), Same),
                (vote(1, 0, 8), Second),
                (vote(1, 0, 7), Same),
            ],
        ),
        (
            "a vote for another statement in a later view, unlocked",
            vec![
                (vote(1, 0, 7), New),
                (view(1), New),
                (vote(1, 1, 8), New),
                (vote(1, 0, 7), LowerView),
            ],
        ),
        (
            "views only rise",
            vec![
                (view(5), New),
                (view(5), Same),
                (view(4), LowerView),
                (vote(1, 4, 7), LowerView),
                (vote(1, 6, 7), LowerView),
                (vote(1, 5, 7), New),
            ],
        ),
        (
            "only the seq after the head",
            vec![
                (vote(2, 0, 7), Seq),
                (vote(0, 0, 7), Seq),
                (attested(4, 9), New),
                (vote(4, 0, 9), Seq),
                (vote(5, 0, 7), New),
                (attested(4, 9), Same),
                (attested(4, 8), Seq),
                (attested(3, 8), Seq),
            ],
        ),
        (
            "a lock rests on the vote of its view",
            vec![
                (lock(1, 0, 7), NotVoted),
                (vote(1, 0, 7), New),
                (lock(1, 0, 8), NotVoted),
                (lock(1, 0, 7), New),
                (lock(1, 0, 7), Same),
                (view(1), New),
                (lock(1, 1, 7), NotVoted),
                (lock(1, 0, 8), LowerView),
            ],
        ),
        (
            "a locked signer votes for its lock in any later view",
            vec![
                (vote(1, 0, 7), New),
                (lock(1, 0, 7), New),
                (view(3), New),
                (vote(1, 3, 7), New),
                (lock(1, 3, 7), New),
            ],
        ),
        (
            "and for nothing else without a later certificate",
            vec![
                (view(2), New),
                (vote(1, 2, 7), New),
                (lock(1, 2, 7), New),
                (view(5), New),
                (vote(1, 5, 8), Locked),
                // Of the lock's view, of an earlier one, of another seq or statement, of this view.
                (shown(1, 5, 8, Some(certificate(1, 2, 8))), Locked),
                (shown(1, 5, 8, Some(certificate(1, 1, 8))), Locked),
                (shown(1, 5, 8, Some(certificate(2, 3, 8))), Locked),
                (shown(1, 5, 8, Some(certificate(1, 3, 9))), Locked),
                (shown(1, 5, 8, Some(certificate(1, 5, 8))), Locked),
                (
                    shown(1, 5, 8, Some(Certificate { votes: Vec::new() })),
                    Locked,
                ),
                (shown(1, 5, 8, Some(certificate(1, 3, 8))), New),
                // The lock stands until another takes its place.
                (view(6), New),
                (vote(1, 6, 9), Locked),
                (vote(1, 6, 8), Locked),
                (vote(1, 6, 7), New),
            ],
        ),
        (
            "an attestation settles votes and locks up to its seq",
            vec![
                (vote(1, 0, 7), New),
                (lock(1, 0, 7), New),
                (attested(1, 8), New),
                (vote(2, 0, 9), New),
                (vote(2, 0, 7), Second),
                (lock(1, 0, 7), Seq),
            ],
        ),
        (
            "starts are counted one by one",
            vec![
                (Record::Boot(Boot(1)), WrongBoot),
                (Record::Boot(Boot(3)), WrongBoot),
                (Record::Boot(Boot(2)), New),
            ],
        ),
        (
            "a base says what the entries before it say",
            vec![(
                Record::Base(Box::new(Chain::new(&DOMAIN, SLOT).standing)),
                Base,
            )],
        ),
    ]
}

fn started() -> (Chain, Vec<Vec<u8>>) {
    let mut chain = Chain::new(&DOMAIN, SLOT);
    let (_, entry) = answer(&mut chain, Record::Boot(Boot(1)));
    (chain, vec![entry.unwrap().to_bytes()])
}

fn replay(disk: &[Vec<u8>]) -> Result<Chain, Refused> {
    Chain::replay(&DOMAIN, SLOT, disk.iter().map(Vec::as_slice))
}

#[test]
fn answers_are_those_of_the_table_also_after_a_restart_at_any_point() {
    for (name, steps) in cases() {
        check(name, &steps);
    }
}

/// Asks for each record in turn, over a restart at every point.
fn check(name: &str, steps: &[(Record, Answer)]) {
    for restart_after in 0..=steps.len() {
        let (mut chain, mut disk) = started();
        for (at, (record, expected)) in steps.iter().enumerate() {
            if at == restart_after {
                chain = replay(&disk).unwrap();
            }
            let before = chain.clone();
            let (given, entry) = answer(&mut chain, record.clone());
            assert_eq!(given, *expected, "{name}, record {at}");
            match entry {
                Some(entry) => disk.push(entry.to_bytes()),
                None => assert_eq!(chain, before, "{name}: a refusal changes nothing"),
            }
        }
    }
}

#[test]
fn a_node_accepts_what_a_signer_appends_and_nothing_else() {
    let (mut signer, disk) = started();
    let mut node = replay(&disk).unwrap();
    let mut twin = signer.clone();
    let (_, first) = answer(&mut signer, vote(1, 0, 7));
    let (_, second) = answer(&mut signer, lock(1, 0, 7));
    let (_, other) = answer(&mut twin, vote(1, 0, 8));
    let (first, second, other) = (first.unwrap(), second.unwrap(), other.unwrap());
    let predecessor = Err(Refused::Predecessor {
        expected: 1,
        actual: 2,
    });
    assert_eq!(node.accept(&second), predecessor, "out of order");
    assert_eq!(node.accept(&first), Ok(()));
    let predecessor = Err(Refused::Predecessor {
        expected: 2,
        actual: 1,
    });
    assert_eq!(node.accept(&other), predecessor, "the twin is refused");
    assert_eq!(node.accept(&first), predecessor, "an append is made once");
    assert_eq!(node.accept(&second), Ok(()));
    assert_eq!(node, signer);
}

#[test]
fn a_paused_start_is_refused_once_another_has_begun() {
    let (mut paused, disk) = started();
    let mut node = replay(&disk).unwrap();
    let mut awake = node.clone();
    let (_, boot) = answer(&mut awake, Record::Boot(Boot(2)));
    node.accept(&boot.unwrap()).unwrap();
    let (_, entry) = answer(&mut paused, view(1));
    let mut entry = entry.unwrap();
    assert!(matches!(
        node.accept(&entry),
        Err(Refused::Predecessor { .. })
    ));
    // Even in the right place its start number gives it away.
    entry.index = node.next_index();
    entry.previous = node.tip();
    entry.hash = entry.computed_hash();
    let refused = Refused::Boot {
        current: Boot(2),
        actual: Boot(1),
    };
    assert_eq!(node.accept(&entry), Err(refused));
}

#[test]
fn any_changed_byte_of_any_entry_is_found() {
    let (mut chain, mut disk) = started();
    for record in [view(1), vote(1, 1, 7), lock(1, 1, 7), attested(1, 7)] {
        disk.push(answer(&mut chain, record).1.unwrap().to_bytes());
    }
    assert_eq!(replay(&disk).unwrap(), chain);
    for entry in 0..disk.len() {
        for at in (0..disk[entry].len()).step_by(7) {
            let mut changed = disk.clone();
            changed[entry][at] ^= 0x10;
            assert!(replay(&changed).is_err(), "byte {at} of entry {entry}");
        }
        let mut without = disk.clone();
        without.remove(entry);
        // The tail can be missing: that is what a crash leaves.
        assert_eq!(
            replay(&without).is_ok(),
            entry == disk.len() - 1,
            "without entry {entry}"
        );
    }
}

#[test]
fn a_register_begins_with_a_base_as_well_and_stands_where_it_stood() {
    let (mut chain, _) = started();
    for record in [view(4), vote(1, 4, 7), lock(1, 4, 7)] {
        answer(&mut chain, record);
    }
    let base = Record::Base(Box::new(chain.standing().clone()));
    let (given, entry) = answer(&mut chain, base);
    assert_eq!(given, Answer::New);
    let mut disk = vec![entry.unwrap().to_bytes()];
    assert_eq!(replay(&disk).unwrap(), chain);
    disk.push(answer(&mut chain, view(5)).1.unwrap().to_bytes());
    let mut chain = replay(&disk).unwrap();
    assert_eq!(answer(&mut chain, vote(1, 5, 8)).0, Answer::Locked);
    let other = Chain::replay(&DOMAIN, Slot(4), disk.iter().map(Vec::as_slice));
    assert_eq!(other, Err(Refused::Owner), "another member's register");
    let headless = disk.split_off(1);
    assert!(
        replay(&headless).is_err(),
        "the entries after a base do not stand alone"
    );
}

#[test]
fn another_members_register_is_refused() {
    let (_, disk) = started();
    let other = Chain::replay(&DOMAIN, Slot(4), disk.iter().map(Vec::as_slice));
    assert!(other.is_err());
}

#[test]
fn an_entry_with_a_certificate_of_all_members_fits() {
    let vote = certificate(1, 1, 1).votes.remove(0);
    let full = Certificate {
        votes: vec![vote; usize::from(attestation::committee::MEMBERS_MAX)],
    };
    let (mut chain, _) = started();
    answer(&mut chain, view(1));
    let mut standing = chain.standing().clone();
    let lane = standing.lanes.entry(Lane::Steps).or_default();
    lane.lock = Some(full.clone());
    lane.vote = Some(Voted {
        lane: Lane::Steps,
        seq: Seq(1),
        view: View(1),
        statement: statement(1),
        mask: Digest::from_bytes([0; 32]),
        shown: Some(full),
    });
    chain.standing = standing.clone();
    let entry = answer(&mut chain, Record::Base(Box::new(standing)))
        .1
        .unwrap();
    assert!(Entry::from_bytes(&entry.to_bytes()).is_ok());
}
