//! Modules made up from random bytes, within the allow-list: both engines come to the same.
//!
//! `ZQ_MODULES=N` takes N modules in place of a few hundred; `ZQ_FROM=N` begins at another seed.

use std::collections::BTreeMap;
use std::env;

use attestation::leaf::Status;
use differential::{Generated, Pair};
use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore as _, SeedableRng as _};
use runtime::Rule;

/// What happened, so that silence says something.
#[derive(Debug, Default)]
struct Reached {
    unmade: u64,
    taken: u64,
    refused: BTreeMap<&'static str, u64>,
    runs: u64,
    statuses: BTreeMap<&'static str, u64>,
    calling_the_host: u64,
    writing: u64,
    gas: u64,
}

#[test]
fn generated_modules_come_to_the_same_on_both_engines() {
    let (from, modules) = (number("ZQ_FROM", 0), number("ZQ_MODULES", 200));
    let mut reached = Reached::default();
    for seed in from..from + modules {
        module(seed, false, &mut reached);
    }
    println!("{reached:#?}");
    // The generator is set to the allow-list: what it makes is refused seldom, and by a limit.
    assert!(reached.taken * 100 >= modules * 95, "{reached:#?}");
    assert_reached(&reached, modules);
}

/// With multi-value on, many modules have a function with two results, which is refused; the
/// others have blocks with parameters and several results.
#[test]
fn generated_modules_with_multi_value_blocks_come_to_the_same_on_both_engines() {
    let (from, modules) = (number("ZQ_FROM", 0), number("ZQ_MODULES", 200) / 2);
    let mut reached = Reached::default();
    for seed in from..from + modules {
        module(seed, true, &mut reached);
    }
    println!("{reached:#?}");
    assert!(reached.taken * 100 >= modules * 15, "{reached:#?}");
    let signature = reached.refused.get(Rule::Signature.id());
    assert!(signature.is_some_and(|refused| *refused > 0));
}

fn assert_reached(reached: &Reached, modules: u64) {
    for (status, per_hundred) in [("ok", 80), ("reverted", 12), ("trapped", 80), ("gas", 80)] {
        let count = reached.statuses.get(status).copied().unwrap_or(0);
        assert!(
            count * 100 >= modules * per_hundred,
            "too few {status}: {reached:#?}"
        );
    }
    assert!(reached.calling_the_host >= modules, "{reached:#?}");
    assert!(reached.writing * 100 >= modules * 5, "{reached:#?}");
}

fn number(name: &str, or: u64) -> u64 {
    match env::var(name) {
        Ok(text) => text
            .parse()
            .unwrap_or_else(|_| panic!("{name} is a number")),
        Err(_) => or,
    }
}

fn module(seed: u64, multi_value: bool, reached: &mut Reached) {
    let Some(made) = Generated::new(seed, multi_value, &bytes(seed)) else {
        reached.unmade += 1;
        return;
    };
    let mut pair = match Pair::new(&made.zapp) {
        Ok(pair) => pair,
        Err(rejection) => {
            *reached.refused.entry(rejection.rule.id()).or_default() += 1;
            return;
        }
    };
    reached.taken += 1;
    for trial in made.trials() {
        let done = pair.run(trial.op, trial.actions, trial.gas_limit);
        let done = done.unwrap_or_else(|two| {
            let path = env::temp_dir().join(format!("differs-{seed}.wasm"));
            let kept = std::fs::write(&path, &made.zapp).map(|()| path);
            panic!("seed {seed}, {trial:?}: {kept:?}\n{two:#?}")
        });
        reached.runs += 1;
        reached.gas += done.gas();
        reached.writing += u64::from(!done.writes.is_empty());
        let execution = &done.ran.execution;
        reached.calling_the_host += u64::from(
            !execution.events.is_empty()
                || !done.ran.log.is_empty()
                || done.ran.fault.is_some()
                || !execution.output.is_empty(),
        );
        let status = match execution.status {
            Status::Ok => "ok",
            Status::Reverted => "reverted",
            Status::Trapped => "trapped",
            Status::OutOfGas => "gas",
            _ => "other",
        };
        *reached.statuses.entry(status).or_default() += 1;
    }
}

/// What the generator of a seed makes its module of.
fn bytes(seed: u64) -> Vec<u8> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    // Apart from the numbers that the module's arguments are drawn from.
    rng.set_stream(1);
    let steps = 1 + usize::try_from(rng.next_u32() % 4).expect("small");
    let mut bytes = vec![0; 2048 * steps];
    rng.fill_bytes(&mut bytes);
    bytes
}
