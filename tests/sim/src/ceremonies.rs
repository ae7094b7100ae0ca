//! A table of what ceremonies take, with the cryptography that ships.

use std::fs;
use std::time::Duration;

use serde_json::json;
use sim::dice::Dice;
use sim::founding::base;
use sim::network::Traffic;
use sim::suite::Real;
use sim::{ceremony, change};

use crate::Ceremonies;

/// Prints the table. Whether every ceremony ended with what it is for.
pub fn ceremonies(options: &Ceremonies) -> bool {
    if !options.json {
        println!(
            "{:<10} {:<14} {:>12} {:>12} {:>12} {:>10} {:>9}",
            "committee", "ceremony", "CPU s, all", "CPU s, each", "bytes, each", "messages", "ms"
        );
    }
    let mut all = true;
    for size in &options.n {
        all &= line(options, *size, "key generation", |one_way, dice| {
            ceremony::measure::<Real>(*size, one_way, dice)
        });
        let (threshold, members) = *size;
        // Its key generation is not part of what is measured.
        let base = base::<Real>(members, threshold);
        all &= line(options, *size, "refresh", |one_way, dice| {
            change::measure(&base, one_way, dice)
        });
    }
    if !options.json {
        println!(
            "CPU of this machine, all members in one thread; bytes and messages as each sends them; ms \
             simulated from the first start (members start within 500 ms), computing nothing, messages \
             {} ms on their way",
            options.round_trip_ms / 2
        );
    }
    all
}

fn line(
    options: &Ceremonies,
    (threshold, members): (u16, u16),
    name: &str,
    run: impl FnOnce(u64, &mut Dice) -> Result<(u64, Traffic), String>,
) -> bool {
    let began = cpu();
    let took = run(options.round_trip_ms / 2, &mut Dice::new(1));
    let all_s = cpu().saturating_sub(began).as_secs_f64();
    let each_s = all_s / f64::from(members);
    let size = format!("{threshold}-of-{members}");
    let (simulated_ms, traffic) = match took {
        Ok(took) => took,
        Err(error) => {
            eprintln!("{size} {name}: {error}");
            return false;
        }
    };
    let each = |total: u64| total / u64::from(members);
    let (bytes, messages) = (each(traffic.bytes), each(traffic.messages));
    if options.json {
        println!(
            "{}",
            json!({
                "threshold": threshold, "members": members, "ceremony": name,
                "cpu_s": all_s, "cpu_s_each": each_s, "bytes_each": bytes,
                "messages_each": messages, "simulated_ms": simulated_ms,
                "round_trip_ms": options.round_trip_ms,
            })
        );
    } else {
        println!(
            "{size:<10} {name:<14} {all_s:>12.3} {each_s:>12.4} {bytes:>12} {messages:>10} {simulated_ms:>9}"
        );
    }
    true
}

/// What this thread has computed, others' work on the same processor not counted: zero where the
/// system does not tell.
fn cpu() -> Duration {
    let told = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    let first = told.split(' ').next().and_then(|first| first.parse().ok());
    Duration::from_nanos(first.unwrap_or(0))
}
