use signer_protocol::dkg::{DkgProgress, DkgStage};

use super::*;
use crate::ceremonies::PartStage;

#[test]
fn status_tells_how_far_key_generation_is() {
    let board = Board::new(Slot(1), &[Role::Signer], [Slot(2)]);
    let detail = |board: &Board| {
        let mut parts = board.status().parts.into_iter();
        let part = parts.find(|part| part.name == "key generation");
        part.map(|part| part.detail)
    };
    assert_eq!(detail(&board), None);
    let mut progress = Progress {
        connected: 3,
        others: 4,
        generation: None,
        evm: None,
    };
    let cases = [
        (None, "3 of 4 other members connected"),
        (
            Some(DkgProgress {
                attempt: 2,
                stage: DkgStage::Shares,
                here: 3,
                missing: vec![Slot(2), Slot(5)],
            }),
            "3 of 5 members' shares here (attempt 2), not those of 2, 5; 3 of 4 other members \
             connected",
        ),
    ];
    for (generation, expected) in cases {
        progress.generation = generation;
        board.progress(Some(progress.clone()));
        assert_eq!(detail(&board).as_deref(), Some(expected));
    }
    board.progress(None);
    assert_eq!(detail(&board), None);
}

#[test]
fn status_tells_what_each_member_says_of_its_part_while_that_holds() {
    let board = Board::new(Slot(1), &[Role::Signer], [Slot(2), Slot(3)]);
    let waits = |missing: &[u16]| DkgProgress {
        attempt: 1,
        stage: DkgStage::Round1,
        here: 1,
        missing: missing.iter().copied().map(Slot).collect(),
    };
    let part = |stage| Part {
        ceremony: Ceremony::Key,
        stage,
    };
    let own = Progress {
        connected: 1,
        others: 3,
        generation: Some(waits(&[3, 4])),
        evm: None,
    };
    let said = || {
        let mut ceremonies = board.status().ceremonies;
        assert!(ceremonies.len() <= 1, "{ceremonies:?}");
        let key = ceremonies.pop();
        let waited = key.into_iter().flat_map(|key| key.waited_for);
        let waited = waited.map(|waited| {
            let by: Vec<u16> = waited.by.iter().map(|slot| slot.0).collect();
            (waited.slot.0, by)
        });
        waited.collect::<Vec<_>>()
    };
    board.progress(Some(own));
    assert_eq!(said(), [], "the signer is away");
    board.guest_connected(Role::Signer);
    assert_eq!(said(), [(3, vec![1]), (4, vec![1])]);

    board.peer_parts(Slot(2), vec![part(PartStage::Waits(waits(&[4])))]);
    assert_eq!(said(), [(3, vec![1]), (4, vec![1])], "it is away");
    board.peer_up(Slot(2), true);
    assert_eq!(said(), [(3, vec![1]), (4, vec![1, 2])]);
    // What it says takes the place of what it said: it cannot make a node keep more.
    for _ in 0..3 {
        board.peer_parts(Slot(2), vec![part(PartStage::Waits(waits(&[3])))]);
        assert_eq!(said(), [(3, vec![1, 2]), (4, vec![1])]);
    }
    let heard = Instant::now().checked_sub(VOTES_HOLDS);
    board.facts().peers.get_mut(&Slot(2)).expect("one").parts.0 = heard;
    assert_eq!(said(), [(3, vec![1]), (4, vec![1])], "it said so long ago");
}

#[test]
fn a_member_that_has_its_key_says_so_while_another_waits_for_one() {
    let board = Board::new(Slot(1), &[Role::Signer], [Slot(2)]);
    board.guest_connected(Role::Signer);
    board.peer_up(Slot(2), true);
    board.generation_aborted(Ceremony::Key);
    let part = |stage| Part {
        ceremony: Ceremony::Key,
        stage,
    };
    assert_eq!(board.parts(), [part(PartStage::Aborted)]);
    board.facts().ceremonies.has_keys(false);
    assert_eq!(board.parts(), []);
    let waits = PartStage::Waits(DkgProgress {
        attempt: 1,
        stage: DkgStage::Canary,
        here: 1,
        missing: vec![Slot(1)],
    });
    board.peer_parts(Slot(2), vec![part(waits)]);
    assert_eq!(board.parts(), [part(PartStage::Complete)]);
    board.peer_parts(Slot(2), vec![part(PartStage::Complete)]);
    assert_eq!(board.parts(), [], "nobody waits");
}

#[test]
fn status_tells_what_is_down_and_why() {
    let board = Board::new(Slot(2), &[Role::Signer, Role::Executor], [Slot(1), Slot(3)]);
    board.machine(
        Role::Signer,
        MachineFacts {
            image: Digest::from_bytes([7; 32]),
            accelerator: "tcg",
            memory_mib: 64,
        },
    );
    board.guest_started(Role::Signer, Some(42));
    assert_eq!(board.status().parts.first().expect("a part").boot_ms, None);
    board.guest_connected(Role::Signer);
    board.guest_started(Role::Executor, Some(43));
    board.guest_halted(Role::Executor, "a request hung");
    board.guest_down(Role::Executor, "exit status 1");
    board.peer_up(Slot(3), true);
    board.peer_head(Slot(3), Seq(9));
    board.register(Some("no space left".into()));
    board.store(Some("database or disk is full".into()));
    let status = board.status();
    let part = |name: &str| {
        status
            .parts
            .iter()
            .find(|part| part.name == name)
            .expect("a part")
    };
    assert!(part("signer").up && part("signer").detail.contains("42"));
    assert!(!part("executor").up && part("executor").detail == "a request hung");
    let machine = part("signer").machine.as_ref().expect("a machine");
    assert_eq!((machine.memory_mib, machine.image.len()), (64, 64));
    assert!(part("signer").boot_ms.is_some() && part("signer").uptime_s == Some(0));
    assert!(part("executor").machine.is_none() && part("executor").uptime_s.is_none());
    assert!(!part("register").up);
    assert!(!part("store").up && part("store").detail.contains("full"));
    let members: Vec<_> = status
        .members
        .iter()
        .map(|m| (m.slot, m.up, m.head))
        .collect();
    assert_eq!(
        members,
        [(1, false, None), (2, true, None), (3, true, Some(9))]
    );
    assert_eq!(status.alerts.len(), 3);
    assert_eq!(board.ahead_of(Seq(8)), [(Slot(3), Seq(9))]);
    assert_eq!(board.ahead_of(Seq(9)), []);
}

#[test]
fn a_try_of_a_repair_is_shown_until_it_is_over_and_given_up_with_its_signer() {
    let board = Board::new(Slot(2), &[Role::Signer], [Slot(1)]);
    let shown = || {
        let parts = board.status().parts.into_iter();
        let mut parts = parts.filter(|part| part.name == "repair");
        parts.next().map(|part| (part.up, part.detail))
    };
    board.guest_connected(Role::Signer);
    assert_eq!(shown(), None);
    board.guest_down(Role::Signer, "none is under way");
    assert!(board.status().alerts.is_empty());

    board.repair_begun(Slot(5), 1);
    assert!(shown().expect("a try").0);
    board.guest_down(Role::Executor, "that is not the signer");
    assert!(shown().expect("a try").0);
    board.guest_down(Role::Signer, "killed");
    board.guest_down(Role::Signer, "connection ended");
    let (up, detail) = shown().expect("it ended");
    assert!(!up && detail.contains("member 5, attempt 1: given up"));
    assert_eq!(board.status().alerts.len(), 1, "said once");

    board.repair_begun(Slot(5), 2);
    assert!(shown().expect("the next").0);
    board.repair_ended("mask is not valid; members 3");
    let (up, detail) = shown().expect("it ended");
    assert!(!up && detail.contains("members 3"));
    board.repair_begun(Slot(5), 3);
    board.behind(Epoch(1), None);
    board.repaired(Slot(5));
    assert_eq!(shown(), None);
    let register = |board: &Board| {
        let parts = board.status().parts;
        let register = parts.iter().find(|part| part.name == "register");
        register.expect("a part").up
    };
    assert!(!register(&board), "another member's share was lost");
    board.repaired(Slot(2));
    assert!(register(&board));
    board.repair_begun(Slot(5), 4);
    board.epoch_began();
    assert_eq!(shown(), None, "the share is of an epoch that is over");

    // What this member did not see the end of may have ended well.
    board.repair_begun(Slot(5), 5);
    board.repair_forgotten();
    board.peer_able(Slot(1), true, false);
    board.peer_able(Slot(5), false, false);
    assert!(shown().is_some(), "it is still lost");
    board.peer_able(Slot(5), true, false);
    assert_eq!(shown(), None, "its member signs");
    board.repair_begun(Slot(2), 6);
    board.standing(Standing {
        view: View(0),
        head: Seq(0),
    });
    assert_eq!(shown(), None, "this member signs");
}

#[test]
fn a_member_votes_while_its_signer_answers_and_nothing_keeps_it_from_it() {
    type Turn = (&'static str, fn(&Board), fn(&Board));
    let whole = || {
        let board = Board::new(Slot(2), &[Role::Signer, Role::Executor], [Slot(1)]);
        board.guest_connected(Role::Signer);
        assert!(!board.votes(), "without an executor");
        board.guest_connected(Role::Executor);
        board
    };
    let turns: [Turn; 6] = [
        (
            "signer",
            |board| board.guest_down(Role::Signer, "halted"),
            |board| board.guest_connected(Role::Signer),
        ),
        (
            "a silent signer",
            |board| {
                let since = Instant::now().checked_sub(SIGNER_SILENT_MAX);
                let mut facts = board.facts();
                facts.guests.get_mut(&Role::Signer).expect("one").heard = since;
            },
            |board| board.guest_heard(Role::Signer),
        ),
        (
            "executor",
            |board| board.guest_down(Role::Executor, "halted"),
            |board| board.guest_connected(Role::Executor),
        ),
        (
            "register",
            |board| board.register(Some("full".into())),
            |board| board.register(None),
        ),
        (
            "store",
            |board| board.store(Some("full".into())),
            |board| board.store(None),
        ),
        (
            "a restored disk",
            |board| board.behind(Epoch(1), None),
            Board::epoch_began,
        ),
    ];
    for (what, harm, mend) in turns {
        let board = whole();
        assert!(board.votes(), "{what}");
        harm(&board);
        assert!(!board.votes(), "{what}");
        mend(&board);
        assert!(board.votes(), "{what}");
    }
}

#[test]
fn a_peer_votes_while_it_says_so_and_is_connected() {
    let board = Board::new(Slot(2), &[], [Slot(1)]);
    let votes = || {
        let status = board.status();
        let peer = status.members.iter().find(|member| member.slot == 1);
        peer.expect("the peer").votes
    };
    board.peer_up(Slot(1), true);
    assert!(!votes(), "it has said nothing");
    board.peer_able(Slot(1), true, false);
    assert!(votes());
    board.peer_up(Slot(1), false);
    assert!(!votes(), "it is away");
    board.peer_up(Slot(1), true);
    board.peer_able(Slot(1), false, true);
    assert!(!votes(), "it says so");
    board.peer_able(Slot(1), true, false);
    let said = Instant::now().checked_sub(VOTES_HOLDS);
    board.facts().peers.get_mut(&Slot(1)).expect("one").votes = said;
    assert!(!votes(), "it said so long ago");
}

#[test]
fn members_that_vote_and_see_the_chain_are_counted_while_they_say_so() {
    let board = Board::new(Slot(2), &[], [Slot(1), Slot(3)]);
    for slot in [1, 3] {
        board.peer_up(Slot(slot), true);
        board.peer_able(Slot(slot), true, slot == 1);
    }
    assert_eq!(board.sighted(), 1, "one of two sees it");
    board.peer_able(Slot(3), false, true);
    assert_eq!(board.sighted(), 1, "the other does not vote");
    board.peer_able(Slot(3), true, true);
    assert_eq!(board.sighted(), 2);
    board.peer_up(Slot(1), false);
    assert_eq!(board.sighted(), 1, "one is away");
    board.chain(true, "sees it".to_owned());
    assert_eq!(
        (board.sees_chain(), board.sighted()),
        (true, 1),
        "but does not vote"
    );
    board.chain(false, "is down".to_owned());
    assert!(!board.sees_chain());
}

#[test]
fn whoever_claims_the_highest_head_is_not_the_only_one_ahead() {
    let board = Board::new(Slot(2), &[], [Slot(1), Slot(3), Slot(4)]);
    board.peer_head(Slot(1), Seq(u64::MAX));
    board.peer_head(Slot(3), Seq(9));
    board.peer_head(Slot(4), Seq(9));
    board.peer_up(Slot(1), true);
    board.peer_up(Slot(3), true);
    let ahead = [(Slot(1), Seq(u64::MAX)), (Slot(3), Seq(9))];
    assert_eq!(board.ahead_of(Seq(7)), ahead);
}
