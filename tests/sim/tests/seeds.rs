//! Thousands of seeds under the stub suite and hundreds under the real one, over all families, in
//! every build, as many at a time as there are processors.
//! Long sweeps are `cargo xtask sim`.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::ops::Range;

use sim::counts::{Counts, must_reach};
use sim::disk::Lie;
use sim::knobs::Profile;
use sim::many;
use sim::run::{ENDING_LINES, Plan, ending, run};
use sim::suite::Crypto;
use sim::watch::Rule;

/// As many as keep the suite within minutes.
const SWARM_STUB_SEEDS: u64 = 3_200;
const EPOCHS_STUB_SEEDS: u64 = 300;
const CHANGE_STUB_SEEDS: u64 = 4_500;
/// Broken seeds whose end is told.
const TOLD_MAX: usize = 3;

/// Runs seeds that must hold and counts what happened in them.
fn hold(profile: Profile, seeds: Range<u64>, crypto: Crypto) -> Counts {
    judge(profile, seeds, crypto).unwrap_or_else(|broken| panic!("{broken}"))
}

/// What happened in these seeds, or which of them broke a promise, and how the first ended.
fn judge(profile: Profile, seeds: Range<u64>, crypto: Crypto) -> Result<Counts, String> {
    let mut plan = Plan::of(profile);
    plan.crypto = crypto;
    let mut counts = Counts::default();
    let mut broken = BTreeMap::new();
    many::each(seeds, &plan, many::jobs(), |outcome| {
        counts.merge(&outcome.counts);
        if let Some(violation) = outcome.violation {
            let (seed, knobs) = (outcome.seed, outcome.knobs);
            let line = format!(
                "sim replay {seed} --profile {profile} --crypto {crypto}: {violation}; {knobs}\n"
            );
            broken.insert(seed, line);
        }
        true
    });
    for (seed, line) in broken.iter_mut().take(TOLD_MAX) {
        line.push_str(&ending(*seed, &plan));
    }
    if broken.is_empty() {
        Ok(counts)
    } else {
        Err(broken.into_values().collect())
    }
}

fn assert_reached(profile: Profile, counts: &Counts) {
    let never = must_reach(profile)
        .iter()
        .filter(|what| counts.of(what) == 0);
    assert_eq!(never.collect::<Vec<_>>(), Vec::<&&str>::new());
}

#[test]
fn every_promise_holds_and_every_fault_and_lie_is_seen() {
    let mut counts = hold(Profile::Calm, 0..4, Crypto::Real);
    counts.merge(&hold(Profile::Network, 0..20, Crypto::Real));
    counts.merge(&hold(Profile::Crash, 0..40, Crypto::Real));
    counts.merge(&hold(Profile::Byzantine, 0..60, Crypto::Real));
    // Enough for the rarest things: a register that begins anew with a base, a lock that is answered.
    counts.merge(&hold(Profile::Swarm, 0..230, Crypto::Real));
    assert_reached(Profile::Swarm, &counts);
}

#[test]
fn every_change_of_members_keeps_the_key_or_names_who_would_not() {
    let counts = hold(Profile::Change, 0..150, Crypto::Real);
    assert_reached(Profile::Change, &counts);
}

#[test]
fn the_epoch_changes_under_every_fault_and_lie_at_one_step() {
    let mut counts = hold(Profile::Epochs, 0..20, Crypto::Real);
    counts.merge(&hold(Profile::Epochs, 0..EPOCHS_STUB_SEEDS, Crypto::Stub));
    assert_reached(Profile::Epochs, &counts);
}

#[test]
fn every_promise_holds_in_thousands_of_stub_seeds() {
    let mut counts = hold(Profile::Network, 0..400, Crypto::Stub);
    counts.merge(&hold(Profile::Crash, 0..800, Crypto::Stub));
    counts.merge(&hold(Profile::Byzantine, 0..800, Crypto::Stub));
    counts.merge(&hold(Profile::Swarm, 0..SWARM_STUB_SEEDS, Crypto::Stub));
    assert_reached(Profile::Swarm, &counts);
    let counts = hold(Profile::Change, 0..CHANGE_STUB_SEEDS, Crypto::Stub);
    assert_reached(Profile::Change, &counts);
}

#[test]
fn a_stub_seed_is_the_same_run_every_time_and_not_the_real_one() {
    let mut plan = Plan::of(Profile::Swarm);
    let real = run(7, &plan);
    plan.crypto = Crypto::Stub;
    let stub = run(7, &plan);
    assert_eq!(stub.hash, run(7, &plan).hash);
    assert_ne!(stub.hash, real.hash);
    // The seed draws the same committee, faults and liars.
    assert_eq!(stub.knobs.to_string(), real.knobs.to_string());
}

#[test]
fn seeds_are_the_same_runs_side_by_side() {
    let plan = Plan::of(Profile::Change);
    let mut beside = BTreeMap::new();
    many::each(
        0..12,
        &plan,
        NonZeroUsize::new(4).expect("four"),
        |outcome| {
            beside.insert(outcome.seed, outcome.hash);
            true
        },
    );
    let alone: BTreeMap<_, _> = (0..12).map(|seed| (seed, run(seed, &plan).hash)).collect();
    assert_eq!(beside, alone);
}

#[test]
fn a_seed_is_the_same_run_every_time_and_another_seed_another() {
    let plan = Plan::of(Profile::Swarm);
    let first = run(7, &plan);
    let again = std::thread::spawn(move || run(7, &Plan::of(Profile::Swarm)));
    let again = again.join().expect("the run ends");
    assert_eq!((first.hash, first.events), (again.hash, again.events));
    assert_ne!(first.hash, run(8, &plan).hash);
    // Nor does it matter that somebody listens.
    let mut told = plan;
    told.story = true;
    let told = run(7, &told);
    assert_eq!(told.hash, first.hash);
    assert_eq!(told.lines.len() as u64, told.events);
}

#[test]
fn with_f_of_2t_minus_n_two_statements_are_attested_and_seen() {
    for seed in 0..6 {
        let outcome = run(seed, &Plan::of(Profile::Excess));
        assert_eq!(outcome.knobs.liars, outcome.knobs.liars_safe() + 1);
        let rule = outcome.violation.map(|violation| violation.rule);
        assert_eq!(rule, Some(Rule::S1), "seed {seed}: {}", outcome.knobs);
    }
}

#[test]
fn broken_seeds_are_all_named_and_the_first_tell_how_they_ended() {
    let broken = judge(Profile::Excess, 0..6, Crypto::Stub).expect_err("a liar too many");
    let named = |line: &&str| line.starts_with("sim replay ");
    let (named, told): (Vec<&str>, Vec<&str>) = broken.lines().partition(named);
    assert_eq!((named.len(), told.len()), (6, TOLD_MAX * ENDING_LINES));
    let ends = told.iter().filter(|line| line.contains("VIOLATION"));
    assert_eq!(ends.count(), TOLD_MAX);
}

#[test]
fn a_disk_that_lies_is_caught_by_what_leaves_and_by_what_a_start_finds() {
    let cases = [
        (Lie::AckEarly, Profile::Calm, Rule::S5),
        (Lie::FlushLost, Profile::Crash, Rule::S11),
    ];
    for (lie, profile, rule) in cases {
        let mut plan = Plan::of(profile);
        plan.lie = Some(lie);
        let mut seeds = 0..8;
        let violation = seeds.find_map(|seed| run(seed, &plan).violation);
        let violation = violation.expect("a lie shows within these seeds");
        assert_eq!(violation.rule, rule, "{lie:?}: {violation}");
    }
}
