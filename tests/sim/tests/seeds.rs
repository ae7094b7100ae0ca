//! Few seeds of every family, in every build: enough to see the checks at work. Long sweeps are
//! `cargo run --release --package sim -- run`.

use sim::counts::{Counts, MUST_REACH};
use sim::disk::Lie;
use sim::knobs::Profile;
use sim::run::{Plan, run};
use sim::watch::Rule;

/// Runs seeds that must hold and counts what happened in them.
fn hold(profile: Profile, seeds: impl IntoIterator<Item = u64>) -> Counts {
    let mut counts = Counts::default();
    for seed in seeds {
        let outcome = run(seed, &Plan::of(profile));
        assert_eq!(
            outcome.violation, None,
            "sim replay {seed} --profile {profile}: {}",
            outcome.knobs
        );
        counts.merge(&outcome.counts);
    }
    counts
}

#[test]
fn every_promise_holds_and_every_fault_and_lie_is_seen() {
    let mut counts = hold(Profile::Calm, 0..3);
    counts.merge(&hold(Profile::Network, 0..6));
    counts.merge(&hold(Profile::Crash, 0..12));
    counts.merge(&hold(Profile::Byzantine, 0..24));
    counts.merge(&hold(Profile::Swarm, 0..24));
    // Where the rarest things happen: a key generation that starts anew, a request passed over, a
    // register that refuses and one that begins anew with a base, a lock that is answered.
    counts.merge(&hold(Profile::Swarm, [49, 55, 155, 157, 220]));
    let never = MUST_REACH.iter().filter(|what| counts.of(what) == 0);
    assert_eq!(never.collect::<Vec<_>>(), Vec::<&&str>::new());
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
