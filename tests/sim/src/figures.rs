//! A table of simulated times.

use serde_json::json;
use sim::measure::{TROUBLES, Took, Trouble, step};
use sim::suite::{Crypto, Real, Stub};

use crate::Measure;

/// Prints the table. Whether every step was attested.
pub fn figures(options: &Measure) -> bool {
    if !options.json {
        println!(
            "{:<10} {:>7}  {:<36} {:>8} {:>8} {:>8}",
            "committee", "rtt ms", "trouble", "median", "worst", "request"
        );
    }
    let mut all = true;
    for size in &options.n {
        for round_trip in &options.round_trip_ms {
            for (trouble, name) in TROUBLES {
                all &= line(options, *size, *round_trip, (trouble, name));
            }
        }
    }
    if !options.json {
        println!(
            "median and worst from the first job to the attestation, request from the request on \
             (median); simulated ms, {} steps each",
            options.steps
        );
    }
    all
}

fn line(
    options: &Measure,
    (threshold, members): (u16, u16),
    round_trip: u64,
    (trouble, name): (Trouble, &str),
) -> bool {
    let run = |seed| match options.crypto {
        Crypto::Real => step::<Real>((threshold, members), round_trip / 2, trouble, seed),
        Crypto::Stub => step::<Stub>((threshold, members), round_trip / 2, trouble, seed),
    };
    let took: Vec<Took> = (0..options.steps).filter_map(run).collect();
    let sorted = |of: fn(&Took) -> u64| {
        let mut all: Vec<u64> = took.iter().map(of).collect();
        all.sort_unstable();
        all
    };
    let (job, request) = (sorted(|took| took.job_ms), sorted(|took| took.request_ms));
    let median = |all: &[u64]| all.get(all.len() / 2).copied();
    let attested = took.len() as u64;
    if options.json {
        println!(
            "{}",
            json!({
                "threshold": threshold, "members": members, "round_trip_ms": round_trip,
                "trouble": name, "steps": options.steps, "attested": attested,
                "median_ms": median(&job), "worst_ms": job.last(), "request_ms": median(&request),
            })
        );
    } else {
        let shown = |ms: Option<u64>| ms.map_or("-".into(), |ms: u64| ms.to_string());
        println!(
            "{:<10} {round_trip:>7}  {name:<36} {:>8} {:>8} {:>8}",
            format!("{threshold}-of-{members}"),
            shown(median(&job)),
            shown(job.last().copied()),
            shown(median(&request)),
        );
    }
    attested == options.steps
}
