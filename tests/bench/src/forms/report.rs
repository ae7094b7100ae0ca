//! The forms beside each other, as tables and as JSON.

use std::time::Duration;

use serde_json::{Value, json};

use super::round::Measured;
use crate::report::{cores, percentile_ms};

/// All that was measured.
pub(crate) struct Report<'a> {
    /// What guests cost alone.
    pub(crate) compared: &'a Value,
    pub(crate) callers: u16,
    pub(crate) measured: &'a [Measured],
}

impl Report<'_> {
    /// For a person.
    pub(crate) fn print(&self) {
        println!("Guests alone, medians");
        println!(
            "{:<14} {:>12} {:>10} {:>13} {:>10} {:>9} {:>8}",
            "", "connected", "size", "resident", "Pss", "idle CPU", "least"
        );
        let subjects = self.compared.pointer("/subjects").and_then(Value::as_array);
        for subject in subjects.into_iter().flatten() {
            println!("{}", alone(subject));
        }
        let lines = |pointer| number(self.compared, pointer);
        println!(
            "lines below the program: {:.0} under the image, {:.0} under Linux",
            lines("/lines/total"),
            lines("/linux/total")
        );

        println!("\nCommittees of 5 at threshold 4 on {} cores", cores());
        println!(
            "{:<14} {:>6} {:>22} {:>16} {:>18} {:>8} {:>26}",
            "",
            "key",
            "start to first step",
            "one call p50 p99",
            "calls/s",
            "CPU/call",
            "killed to next vote"
        );
        for measured in self.measured {
            println!("{}", Figures::of(measured).line());
        }
        println!(
            "key: generation, once; calls/s: {} callers; ranges in brackets; killed to next vote: \
             median, 90 %, longest, of how many",
            self.callers
        );
    }

    /// For a program.
    pub(crate) fn json(&self) -> Value {
        let measured = self.measured.iter();
        let forms: Vec<Value> = measured.map(|form| Figures::of(form).json(form)).collect();
        json!({
            "cores": cores(),
            "members": 5,
            "threshold": 4,
            "callers": self.callers,
            "alone": self.compared,
            "committees": forms,
        })
    }
}

/// A guest alone, as it was compared.
fn alone(subject: &Value) -> String {
    let mebibytes = |pointer, unit: f64| number(subject, pointer) * unit / f64::from(1 << 20);
    let least = subject.pointer("/least_memory_mib").and_then(Value::as_u64);
    format!(
        "{:<14} {:>9.1} ms {:>6.1} MiB {:>9.1} MiB {:>6.1} MiB {:>7.2} % {:>8}",
        subject
            .pointer("/name")
            .and_then(Value::as_str)
            .unwrap_or_default(),
        number(subject, "/boot_to_connected_ms"),
        mebibytes("/size_bytes", 1.0),
        mebibytes("/resident_kib", 1024.0),
        mebibytes("/proportional_kib", 1024.0),
        number(subject, "/idle_percent"),
        least.map_or("–".into(), |mib| format!("{mib} MiB")),
    )
}

fn number(value: &Value, pointer: &str) -> f64 {
    let number = value.pointer(pointer).and_then(Value::as_f64);
    number.unwrap_or_default()
}

/// Figures of a form, sorted.
struct Figures {
    name: &'static str,
    key: Duration,
    first_step: Vec<Duration>,
    latencies: Vec<Duration>,
    /// Attested calls per second, of each load.
    per_second: Vec<f64>,
    /// CPU milliseconds of an attested call, of each load, all processes of the committee.
    cpu_ms: Vec<f64>,
    connected: Vec<Duration>,
    voted: Vec<Duration>,
}

impl Figures {
    fn of(measured: &Measured) -> Self {
        let loads = measured.loads.iter();
        let per_second = loads
            .clone()
            .map(|load| load.attested as f64 / load.elapsed.as_secs_f64());
        let cpu_ms =
            loads.map(|load| load.cpu.values().sum::<f64>() * 1e3 / load.attested.max(1) as f64);
        let returns = measured.returns.iter();
        Self {
            name: measured.form.name(),
            key: measured.key,
            first_step: sorted(measured.first_step.iter().copied()),
            latencies: sorted(measured.latencies.iter().copied()),
            per_second: sorted_f64(per_second),
            cpu_ms: sorted_f64(cpu_ms),
            connected: sorted(returns.clone().map(|back| back.connected)),
            voted: sorted(returns.map(|back| back.voted)),
        }
    }

    fn line(&self) -> String {
        let first = &self.first_step;
        let [median, least, most] = [0.5, 0.0, 1.0].map(|share| percentile_ms(first, share) / 1e3);
        let start = format!("{median:.2} s ({least:.2}–{most:.2})");
        let [median, least, most] =
            [0.5, 0.0, 1.0].map(|share| percentile_f64(&self.per_second, share));
        let calls = format!("{median:.0} ({least:.0}–{most:.0})");
        let [median, late, most] =
            [0.5, 0.9, 1.0].map(|share| percentile_ms(&self.voted, share) / 1e3);
        let voted = format!("{median:.2} {late:.2} {most:.2} s, {}", self.voted.len());
        let latencies = [0.5, 0.99].map(|share| percentile_ms(&self.latencies, share));
        let latencies = latencies.map(|ms| format!("{ms:.1} ms")).join(" ");
        format!(
            "{:<14} {:>4.1} s {start:>22} {latencies:>16} {calls:>18} {:>5.1} ms {voted:>26}",
            self.name,
            self.key.as_secs_f64(),
            percentile_f64(&self.cpu_ms, 0.5),
        )
    }

    fn json(&self, measured: &Measured) -> Value {
        let loads = measured.loads.iter();
        let loads: Vec<Value> = loads
            .map(|load| {
                json!({
                    "attested": load.attested,
                    "failed": load.failed,
                    "steps": load.steps,
                    "seconds": load.elapsed.as_secs_f64(),
                    "cpu_seconds": load.cpu,
                })
            })
            .collect();
        json!({
            "name": self.name,
            "key_generation_ms": milliseconds(self.key),
            "start_to_first_step_ms": all(&self.first_step),
            "one_at_a_time": {
                "calls": self.latencies.len(),
                "p50_ms": percentile_ms(&self.latencies, 0.5),
                "p99_ms": percentile_ms(&self.latencies, 0.99),
            },
            "calls_per_second": self.per_second,
            "cpu_ms_per_call": self.cpu_ms,
            "loads": loads,
            "killed_to_connected_ms": all(&self.connected),
            "killed_to_next_vote_ms": all(&self.voted),
            "attested_while_signers_were_killed": measured.meanwhile,
        })
    }
}

fn all(sorted: &[Duration]) -> Value {
    let each: Vec<f64> = sorted.iter().copied().map(milliseconds).collect();
    json!({
        "median": percentile_ms(sorted, 0.5),
        "p90": percentile_ms(sorted, 0.9),
        "max": percentile_ms(sorted, 1.0),
        "each": each,
    })
}

fn sorted(figures: impl Iterator<Item = Duration>) -> Vec<Duration> {
    let mut figures: Vec<Duration> = figures.collect();
    figures.sort_unstable();
    figures
}

fn sorted_f64(figures: impl Iterator<Item = f64>) -> Vec<f64> {
    let mut figures: Vec<f64> = figures.collect();
    figures.sort_by(f64::total_cmp);
    figures
}

fn percentile_f64(sorted: &[f64], share: f64) -> f64 {
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index between 0 and the length"
    )]
    let index = (sorted.len() as f64 * share) as usize;
    let last = sorted.len().saturating_sub(1);
    sorted.get(index.min(last)).copied().unwrap_or_default()
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_without_memory_of_its_own_shows_none() {
        let line = alone(&json!({
            "name": "plain process",
            "boot_to_connected_ms": 2.7,
            "size_bytes": 5 << 20,
            "resident_kib": 2048,
            "proportional_kib": 2048,
            "idle_percent": 0.0,
            "least_memory_mib": null,
        }));
        assert!(line.starts_with("plain process"), "{line}");
        assert!(line.contains("5.0 MiB") && line.ends_with('–'), "{line}");
    }

    #[test]
    fn percentiles_are_of_the_sorted_and_zero_of_nothing() {
        let sorted = sorted_f64([3.0, 1.0, 2.0].into_iter());
        let seen = [0.0, 0.5, 1.0].map(|share| percentile_f64(&sorted, share));
        assert_eq!(seen, [1.0, 2.0, 3.0]);
        assert!(percentile_f64(&[], 0.5).abs() < f64::EPSILON);
    }
}
