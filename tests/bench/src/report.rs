//! The figures as tables and as JSON.

use std::time::Duration;

use serde_json::{Value, json};

use crate::Options;
use crate::committee::{Figures, Load};
use crate::raw::{Raw, Split};

/// Everything that one run saw.
pub(crate) struct Report<'a> {
    pub(crate) options: &'a Options,
    pub(crate) raw: &'a Raw,
    pub(crate) figures: &'a Figures,
}

impl Report<'_> {
    /// The tables of the README.
    pub(crate) fn print(&self) {
        let (n, t) = (self.options.members, self.options.threshold);
        println!("Raw operations alone in a loop, medians, {t} of {n}");
        for (name, micros) in self.raw.operations() {
            println!("  {name:<34} {micros:>9.1} µs");
        }
        let step = &self.figures.step;
        println!(
            "  {:<34} {:>9.1} µs",
            "run a call on its witness", step.execute_us
        );
        println!(
            "  {:<34} {:>9.1} µs",
            "replay it to leaves and root", step.replay_us
        );
        println!("\nA committee of processes, {t} of {n}, counter zApp, fsync on");
        println!(
            "  one call at a time: p50 {:.1} ms, p99 {:.1} ms",
            percentile_ms(&self.figures.latencies, 0.5),
            percentile_ms(&self.figures.latencies, 0.99)
        );
        println!("  verify an attestation: {:.1} µs", self.figures.verify_us);
        println!("  callers  calls/s  failed  per step  p50 ms  p99 ms  µs/call/member  ratio");
        for load in &self.figures.loads {
            let view = self.view(load);
            println!(
                "  {:>7}  {:>7.0}  {:>6}  {:>8.1}  {:>6.1}  {:>6.1}  {:>14.0}  {:>5.2}",
                load.callers,
                view.per_second,
                load.failed,
                view.per_step,
                percentile_ms(&load.latencies, 0.5),
                percentile_ms(&load.latencies, 0.99),
                view.cpu_us / f64::from(n),
                view.cpu_us / view.split.cpu_us(),
            );
        }
        if let Some(load) = self.figures.loads.last() {
            self.print_split(load);
        }
    }

    /// Where the CPU of a call goes.
    fn print_split(&self, load: &Load) {
        let view = self.view(load);
        println!(
            "\nCPU per call, all members together, with {} callers: {:.0} µs",
            load.callers, view.cpu_us
        );
        for (program, seconds) in &load.cpu {
            let micros = seconds * 1e6 / view.calls;
            println!("  {program:<34} {micros:>9.0} µs");
        }
        println!("of which the raw operations that the protocol prescribes take");
        for (name, micros) in parts::<f64>(&view.split) {
            let share = 100.0 * micros / view.cpu_us;
            println!("  {name:<34} {micros:>9.0} µs  {share:>3.0} %");
        }
        let rest = view.cpu_us - view.split.cpu_us();
        println!(
            "  {:<34} {rest:>9.0} µs  {:>3.0} %",
            "codecs, relays, HTTP, database",
            100.0 * rest / view.cpu_us
        );
        println!(
            "Waiting for disks: {:.0} µs per call. The raw operations alone: {:.0} calls/s on {} \
             cores.",
            view.split.fsync_waits,
            view.ceiling,
            cores()
        );
    }

    /// The same, for programs.
    pub(crate) fn json(&self) -> Value {
        let raw: Vec<Value> = self
            .raw
            .operations()
            .into_iter()
            .map(|(name, micros)| json!({"operation": name, "us": micros}))
            .collect();
        let loads: Vec<Value> = self
            .figures
            .loads
            .iter()
            .map(|load| {
                let view = self.view(load);
                json!({
                    "callers": load.callers,
                    "calls_per_second": view.per_second,
                    "attested": load.attested,
                    "failed": load.failed,
                    "steps": load.steps,
                    "p50_ms": percentile_ms(&load.latencies, 0.5),
                    "p99_ms": percentile_ms(&load.latencies, 0.99),
                    "cpu_seconds": load.cpu,
                    "cpu_us_per_call_and_member": view.cpu_us / f64::from(self.options.members),
                    "raw_us_per_call": view.split.cpu_us(),
                    "raw_split_us": parts::<Value>(&view.split).into_iter().collect::<serde_json::Map<_, _>>(),
                    "fsync_wait_us_per_call": view.split.fsync_waits,
                    "ratio": view.cpu_us / view.split.cpu_us(),
                    "raw_ceiling_calls_per_second": view.ceiling,
                })
            })
            .collect();
        json!({
            "members": self.options.members,
            "threshold": self.options.threshold,
            "cores": cores(),
            "raw": raw,
            "execute_us": self.figures.step.execute_us,
            "replay_us": self.figures.step.replay_us,
            "one_at_a_time": {
                "p50_ms": percentile_ms(&self.figures.latencies, 0.5),
                "p99_ms": percentile_ms(&self.figures.latencies, 0.99),
            },
            "verify_us": self.figures.verify_us,
            "loads": loads,
        })
    }

    fn view(&self, load: &Load) -> View {
        let calls = load.attested.max(1) as f64;
        let per_step = calls / load.steps.max(1) as f64;
        let split = self.raw.split(&self.figures.step, per_step);
        View {
            calls,
            per_step,
            per_second: load.attested as f64 / load.elapsed.as_secs_f64(),
            cpu_us: load.cpu.values().sum::<f64>() * 1e6 / calls,
            ceiling: cores() as f64 * 1e6 / split.cpu_us(),
            split,
        }
    }
}

/// What follows from a load.
struct View {
    calls: f64,
    per_step: f64,
    per_second: f64,
    /// Per call, all members together.
    cpu_us: f64,
    /// Calls per second if there were nothing but the raw operations.
    ceiling: f64,
    split: Split,
}

fn parts<T: From<f64>>(split: &Split) -> [(String, T); 4] {
    [
        ("execution and state", split.execution),
        ("signatures", split.signatures),
        ("FROST", split.frost),
        ("Noise", split.noise),
    ]
    .map(|(name, micros)| (name.to_owned(), micros.into()))
}

pub(crate) fn percentile_ms(sorted: &[Duration], share: f64) -> f64 {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index between 0 and the length"
    )]
    let index = (sorted.len() as f64 * share) as usize;
    let last = sorted.len().saturating_sub(1);
    let latency = sorted.get(index.min(last)).copied().unwrap_or_default();
    latency.as_secs_f64() * 1e3
}

pub(crate) fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_the_sorted_and_zero_of_nothing() {
        let millis: Vec<Duration> = (1..=100).map(Duration::from_millis).collect();
        let seen = [0.0, 0.5, 0.99, 1.0].map(|share| percentile_ms(&millis, share));
        assert_eq!(seen, [1.0, 51.0, 100.0, 100.0]);
        assert!(percentile_ms(&[], 0.5).abs() < f64::EPSILON);
    }
}
