//! A trace that another machine, another module or another day left.

use std::path::Path;

use serde_json::Value;

use super::{Difference, Recorded, first_difference};
use crate::failure::Failure;
use crate::files;

/// Longest file: the most host calls that are kept, each at its longest.
const TRACE_BYTES_MAX: u64 = 256 << 20;

/// Reads the runs that `zq --json zapp trace` or `zq --json report replay` printed.
pub(crate) fn read(path: &Path) -> Result<Vec<Recorded>, Failure> {
    let bytes = files::read(path, TRACE_BYTES_MAX)?;
    let value: Option<Value> = serde_json::from_slice(&bytes).ok();
    let runs = value.and_then(|mut value| value.get_mut("runs").map(Value::take));
    let runs = runs.and_then(|runs| serde_json::from_value(runs).ok());
    runs.ok_or_else(|| {
        Failure::new(
            format!("{}: no trace", path.display()),
            "give what `zq --json zapp trace` or `zq --json report replay` printed",
        )
    })
}

/// The first difference in the first run that differs. Runs belong together by their request, and
/// by their order where no request is in both.
pub(crate) fn compare(ours: &[Recorded], theirs: &[Recorded]) -> Option<Difference> {
    first_run(ours, theirs).map(|(_, difference)| difference)
}

/// The same, with the place of the run.
pub(crate) fn first_run(ours: &[Recorded], theirs: &[Recorded]) -> Option<(usize, Difference)> {
    let find = |at: usize, run: &Recorded| {
        let same = theirs.iter().find(|other| other.request == run.request);
        same.or_else(|| theirs.get(at))
    };
    let pairs = ours.iter().enumerate();
    let mut differing = pairs.filter_map(|(at, run)| {
        let other = find(at, run)?;
        Some((at, first_difference(run, other)?))
    });
    let first = differing.next();
    let shorter = ours.len().min(theirs.len());
    first.or_else(|| {
        (ours.len() != theirs.len()).then_some((
            shorter,
            Difference::End {
                part: "number of runs",
                one: ours.len().to_string(),
                other: theirs.len().to_string(),
            },
        ))
    })
}
