//! Many seeds, one after the other.

use std::io::{IsTerminal as _, Write as _};
use std::time::{Duration, Instant};

use serde_json::json;
use sim::counts::{Counts, must_reach};
use sim::many;
use sim::run::{Outcome, ending, run};

use crate::Run;

/// How often progress is told.
const TELL: Duration = Duration::from_secs(2);
/// Most violations that are told.
const TOLD_MAX: usize = 20;
/// Most of them with the end of their story.
const ENDINGS_MAX: usize = 3;

/// Runs seeds and reports. Whether all is well.
pub fn sweep(options: &Run) -> bool {
    let plan = options.plan();
    let (first, end) = options.seeds;
    let begun = Instant::now();
    let (mut told, mut run_already, mut simulated_ms, mut slowest_ms) = (begun, 0, 0, 0);
    let (mut counts, mut violations, mut differ) = (Counts::default(), Vec::new(), 0);
    name_seeds_that_panic(options);
    many::each(first..end, &plan, options.jobs(), |outcome| {
        let seed = outcome.seed;
        if options.twice && seed % 100 == 0 && run(seed, &plan).hash != outcome.hash {
            eprintln!("seed {seed} is not the same run twice");
            differ += 1;
        }
        run_already += 1;
        counts.merge(&outcome.counts);
        simulated_ms += outcome.simulated_ms;
        slowest_ms = slowest_ms.max(outcome.recovered_ms);
        let is_broken = outcome.violation.is_some();
        if is_broken {
            if !options.json && violations.len() < TOLD_MAX {
                tell(&outcome, options);
                if violations.len() < ENDINGS_MAX {
                    print!("{}", ending(seed, &plan));
                }
            }
            violations.push(outcome);
        }
        if told.elapsed() >= TELL {
            told = Instant::now();
            progress(run_already, end - first, begun, violations.len());
        }
        !(is_broken && options.first)
    });
    violations.sort_by_key(|outcome| outcome.seed);
    let seconds = begun.elapsed().as_secs_f64();
    let missed: Vec<&str> = must_reach(options.profile)
        .iter()
        .copied()
        .filter(|what| counts.of(what) == 0)
        .collect();
    let per_second = per(run_already, seconds);
    let faster = per(simulated_ms / 1_000, seconds);
    if options.json {
        let violations: Vec<_> = violations.iter().map(as_json).collect();
        let counted: serde_json::Map<_, _> = counts
            .iter()
            .map(|(what, count)| (what.to_owned(), count.into()))
            .collect();
        let report = json!({
            "profile": options.profile.to_string(), "crypto": options.crypto.to_string(), "seeds": [first, first + run_already],
            "violations": violations, "seconds": seconds, "seeds_per_second": per_second,
            "simulated_seconds": simulated_ms / 1_000, "simulated_per_real": faster,
            "simulated_years_an_hour": years_an_hour(faster),
            "longest_recovery_ms": slowest_ms, "counts": counted, "never_seen": missed,
            "differ_when_run_twice": differ,
        });
        println!("{report}");
    } else {
        println!("\n{:>12}  event", "times");
        for (what, count) in counts.iter() {
            println!("{count:>12}  {what}");
        }
        for what in &missed {
            println!("{:>12}  {what}", "never");
        }
        println!(
            "\n{run_already} seeds ({}, {} crypto) in {seconds:.0} s: {per_second:.1} seeds/s, {faster:.0} \
             simulated seconds a second ({:.2} simulated years an hour); after faults end, the last \
             request is attested within {:.1} s\n{} violations",
            options.profile,
            options.crypto,
            years_an_hour(faster),
            per(slowest_ms, 1_000.0),
            violations.len()
        );
    }
    violations.is_empty() && differ == 0 && (missed.is_empty() || !options.must_reach)
}

/// A panic is a violation, too (S9): before the process ends, it names its seed.
fn name_seeds_that_panic(options: &Run) {
    let (profile, size) = (options.profile, options.arguments());
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let seed = many::running();
        eprintln!("\nseed {seed} panics: sim replay {seed} --profile {profile}{size}");
        before(info);
    }));
}

fn tell(outcome: &Outcome, options: &Run) {
    let Some(violation) = &outcome.violation else {
        return;
    };
    println!(
        "seed {}: {violation}\n  {:.3} s in; {}\n  sim replay {} --profile {}{}",
        outcome.seed,
        per(violation.at_ms, 1_000.0),
        outcome.knobs,
        outcome.seed,
        options.profile,
        options.arguments()
    );
}

fn as_json(outcome: &Outcome) -> serde_json::Value {
    let violation = outcome.violation.as_ref();
    json!({
        "seed": outcome.seed,
        "rule": violation.map(|violation| format!("{:?}", violation.rule)),
        "what": violation.map(|violation| violation.what.clone()),
        "at_ms": violation.map(|violation| violation.at_ms),
        "knobs": outcome.knobs.to_string(),
        "hash": outcome.hash.to_string(),
    })
}

fn progress(done: u64, all: u64, begun: Instant, violations: usize) {
    let speed = per(done, begun.elapsed().as_secs_f64());
    let left = if speed > 0.0 {
        per(all - done, speed)
    } else {
        0.0
    };
    let end = if std::io::stderr().is_terminal() {
        "\r"
    } else {
        "\n"
    };
    eprint!(
        "{done} of {all} seeds, {speed:.1} a second, {left:.0} s left, {violations} violations {end}"
    );
    // Progress that cannot be shown is no reason to stop.
    let _shown = std::io::stderr().flush();
}

/// Simulated seconds a second, as years of 365 days an hour.
fn years_an_hour(faster: f64) -> f64 {
    faster / (365.0 * 24.0)
}

/// A number through another.
#[allow(clippy::cast_precision_loss, reason = "for people")]
pub fn per(number: u64, by: f64) -> f64 {
    number as f64 / by
}
