//! Listed votes, reveals and credits (rule A12).

use attestation::ids::{Slot, TraceRoot, View};

use super::*;
use crate::job::SignedVote;
use crate::system::{CREDITS, Credit, Credits};

fn vote(chain: &Chain, slot: u16, trace: &TraceRoot) -> SignedVote {
    SignedVote {
        slot: Slot(slot),
        epoch: chain.previous.epoch,
        seq: chain.previous.seq,
        view: View(0),
        statement: chain.previous.statement,
        mask: SignedVote::mask(Slot(slot), chain.previous.seq, trace),
        signature: Signature::from_bytes([0; 64]),
    }
}

fn credits(chain: &Chain) -> Vec<(u16, u64)> {
    let value = chain
        .state
        .get(&ZappId::SYSTEM, CREDITS)
        .expect("whole")
        .expect("there");
    let Credits(credits) = crate::system::read(value).expect("credits");
    credits
        .iter()
        .map(|Credit { slot, steps, .. }| (slot.0, *steps))
        .collect()
}

/// A job with one request, its votes and its reveal.
fn job(chain: &mut Chain, votes: Vec<SignedVote>, reveal: Option<TraceRoot>) -> Job {
    let request = chain.call(script_zapp(ALICE), "get born");
    Job {
        votes,
        reveal,
        ..chain.job(vec![request])
    }
}

fn step(chain: &mut Chain, votes: Vec<SignedVote>, reveal: Option<TraceRoot>) -> TraceRoot {
    let job = job(chain, votes, reveal);
    let (_, outcome) = chain.agree(job);
    chain.accept(&outcome);
    outcome.trace_root
}

#[test]
fn listed_votes_that_match_the_reveal_are_credited() {
    let (mut chain, _) = Chain::with_zapp();
    let s = step(&mut chain, vec![], None);
    let copied = TraceRoot::from_bytes([6; 32]);
    let votes = vec![
        vote(&chain, 1, &s),
        vote(&chain, 2, &copied),
        vote(&chain, 5, &s),
    ];
    let s1 = step(&mut chain, votes, None);
    assert_eq!(credits(&chain), []);
    let votes = vec![vote(&chain, 1, &s1)];
    step(&mut chain, votes, Some(s));
    assert_eq!(credits(&chain), [(1, 1), (5, 1)]);
    step(&mut chain, vec![], Some(s1));
    assert_eq!(credits(&chain), [(1, 2), (5, 1)]);
}

#[test]
fn another_trace_root_is_no_reveal() {
    let (mut chain, _) = Chain::with_zapp();
    let s = step(&mut chain, vec![], None);
    let votes = vec![vote(&chain, 1, &s)];
    let s1 = step(&mut chain, votes, None);
    for wrong in [TraceRoot::from_bytes([0; 32]), s1] {
        let job = job(&mut chain, vec![], Some(wrong));
        assert_eq!(chain.run(&job), Err(StepError::Reveal));
    }
    // Too late: only the step after the next one can reveal it.
    step(&mut chain, vec![], None);
    let late = job(&mut chain, vec![], Some(s));
    assert_eq!(chain.run(&late), Err(StepError::Reveal));
    assert_eq!(credits(&chain), []);
}

#[test]
fn votes_for_anything_else_are_refused() {
    let (mut chain, _) = Chain::with_zapp();
    let trace = TraceRoot::from_bytes([6; 32]);
    let table: [Alter<SignedVote>; 6] = [
        |vote| vote.slot = Slot(0),
        |vote| vote.slot = Slot(6),
        |vote| vote.seq.0 -= 1,
        |vote| vote.epoch.0 += 1,
        |vote| vote.statement = StatementId::from_bytes([0; 32]),
        |vote| vote.slot = Slot(3),
    ];
    for alter in table {
        let mut votes = vec![vote(&chain, 3, &trace), vote(&chain, 4, &trace)];
        alter(&mut votes[1]);
        let slot = votes[1].slot;
        let job = job(&mut chain, votes, None);
        assert_eq!(chain.run(&job), Err(StepError::Vote(slot)));
    }
}

#[test]
fn nobody_voted_before_the_first_step() {
    let mut chain = Chain::new();
    let trace = TraceRoot::from_bytes([6; 32]);
    let votes = vec![vote(&chain, 1, &trace)];
    let first = job(&mut chain, votes, None);
    assert_eq!(chain.run(&first), Err(StepError::Vote(Slot(1))));
    for reveal in [trace, TraceRoot::from_bytes([0; 32])] {
        let first = job(&mut chain, vec![], Some(reveal));
        assert_eq!(chain.run(&first), Err(StepError::Reveal));
    }
}
