//! The long mode: one planted bug after the other.

use crate::Bugs;

/// Plants each bug and looks for the first seed that shows it. Whether all are caught, each by a
/// promise that follows from its rule.
#[cfg(feature = "planted")]
pub fn hunt(options: &Bugs) -> bool {
    use std::time::Instant;

    use sim::bugs::{ALL, Hunt, hunt};

    use crate::sweep::per;

    let begun = Instant::now();
    let mut all = true;
    println!(
        "{:<22} {:<7} {:>6} {:>7}  caught as",
        "bug", "rule", "seed", "seconds"
    );
    for planted in ALL {
        let name = format!("{:?}", planted.bug);
        if options.only.as_ref().is_some_and(|only| *only != name) {
            continue;
        }
        let started = Instant::now();
        eprintln!("planting {name} ({} runs)", planted.profile);
        let (seed, how) = match hunt(planted, options.seeds, options.crypto) {
            Hunt::Caught { seed, violation } => (seed.to_string(), violation.to_string()),
            Hunt::Otherwise { seed, violation } => {
                all = false;
                (seed.to_string(), format!("NOT AS EXPECTED: {violation}"))
            }
            Hunt::Missed => {
                all = false;
                ("-".into(), format!("MISSED in {} seeds", options.seeds))
            }
        };
        let how: String = how.chars().take(160).collect();
        let seconds = started.elapsed().as_secs();
        println!(
            "{name:<22} {:<7} {seed:>6} {seconds:>7}  {how}",
            planted.rule
        );
    }
    let seconds = per(begun.elapsed().as_secs(), 1.0);
    println!(
        "{} in {seconds:.0} s",
        if all { "all caught" } else { "NOT all caught" }
    );
    all
}

/// This build has no planted bugs.
#[cfg(not(feature = "planted"))]
pub fn hunt(options: &Bugs) -> bool {
    for planted in sim::bugs::ALL {
        let name = format!("{:?}", planted.bug);
        if options.only.as_ref().is_none_or(|only| *only == name) {
            println!("{name:<22} {}", planted.rule);
        }
    }
    eprintln!(
        "these cannot be planted in this build, to run up to {} seeds for each:\n  \
         cargo run --release --package sim --features planted -- bugs",
        options.seeds
    );
    false
}
