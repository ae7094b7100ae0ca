//! Modules that a generator makes of the bytes, and what their calls come to on both engines.

use attestation::leaf::Status;
use differential::{Done, Generated, Pair, Trial};
use runtime::Rule;

/// Any module within the allow-list has one outcome, on a compiler and on an interpreter, and again
/// after other calls: status, code, gas, output, events, messages, trace, log and writes. The
/// gatekeeper refuses none for what it is made of.
pub fn calls(bytes: &[u8]) -> bool {
    let Some((head, bytes)) = bytes.split_first_chunk::<HEAD_BYTES>() else {
        return false;
    };
    let [multi_value, seed @ ..] = *head;
    let seed = u64::from_be_bytes(seed);
    let Some(made) = Generated::new(seed, multi_value & 1 == 1, bytes) else {
        return false;
    };
    let mut pair = match Pair::new(&made.zapp) {
        Ok(pair) => pair,
        Err(rejection) => {
            let is_a_limit = !NO_LIMITS.contains(&rejection.rule);
            assert!(
                is_a_limit,
                "within the allow-list, and refused: {rejection}"
            );
            return false;
        }
    };
    let mut run = |trial: Trial| -> Done {
        let done = pair.run(trial.op, trial.actions, trial.gas_limit);
        let done = done.unwrap_or_else(|two| panic!("the engines differ: {trial:?}\n{two:#?}"));
        assert!(done.gas() <= trial.gas_limit, "more gas than there was");
        done
    };
    let ran: Vec<(Trial, Done)> = made.trials().map(|trial| (trial, run(trial))).collect();
    if let Some((trial, before)) = ran.first() {
        assert_eq!(run(*trial), *before, "a call leaves something behind");
    }
    let ok = |(_, done): &(Trial, Done)| done.status() == Status::Ok;
    ran.iter().any(ok) && !ran.iter().all(ok)
}

/// Whether blocks have several results, and the seed of the generator.
pub const HEAD_BYTES: usize = 1 + 8;

/// What is not for the number or size of something.
const NO_LIMITS: [Rule; 6] = [
    Rule::Malformed,
    Rule::Feature,
    Rule::Opcode,
    Rule::Import,
    Rule::Start,
    Rule::Export,
];
