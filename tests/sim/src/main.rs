//! `sim`: runs committees under faults, tells the story of a seed, hunts planted bugs.

mod ceremonies;
mod figures;
mod hunt;
mod sweep;

use std::num::NonZeroUsize;
use std::process::ExitCode;

use attestation::committee::Quorum;
use clap::{Args, Parser, Subcommand};
use sim::knobs::Profile;
use sim::many;
use sim::run::{Plan, run};
use sim::suite::Crypto;

/// Whole committees in one thread: the protocol crates that ship, with FROST and Ed25519, and a
/// virtual clock, network and disk. A seed decides everything: the size of the committee, the
/// faults, the liars, the order of all events. First faults happen, then they end and everything
/// must come right. Promises are checked after every event.
///
///   sim run                          1,000 seeds of everything
///   sim run --seeds 0..100000 --profile byzantine
///   sim run --seeds 0..100000 --crypto stub
///                                    the same protocol, signatures without curve arithmetic
///   sim run --profile change         changes of members and threshold
///   sim run --seeds 0..20 --n 67-of-100
///   sim replay 4711                  what happened in seed 4711, event by event
///   sim measure                      how long a step takes under liars and dead leaders
///   sim ceremonies                   what key generations and refreshes take
///   sim bugs                         plants one bug after the other and hunts it
///                                    (built with --features planted)
///
/// Exit status 1: a promise was broken, a planted bug not caught, or a rare event never seen.
#[derive(Parser)]
#[command(name = "sim", version, verbatim_doc_comment)]
struct Command {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Run seeds and report violations, each with the command that tells its story.
    Run(Run),
    /// Tell the story of one seed: time in seconds, who, what.
    Replay(Replay),
    /// Measure how long a step takes under liars and dead coordinators, in simulated time.
    Measure(Measure),
    /// Measure key generations and refreshes: work, bytes, simulated time.
    Ceremonies(Ceremonies),
    /// Plant each bug and run seeds until a promise is broken by it.
    Bugs(Bugs),
}

#[derive(Args)]
struct Run {
    /// Seeds, as first..end; the end is not run.
    #[arg(long, default_value = "0..1000", value_parser = seeds)]
    seeds: (u64, u64),
    /// Which faults.
    #[arg(long, value_enum, default_value_t = Profile::Swarm)]
    profile: Profile,
    /// What is signed with: FROST and Ed25519, or a stand-in without curve arithmetic.
    #[arg(long, value_enum, default_value_t = Crypto::Real)]
    crypto: Crypto,
    /// Committees of this size only, such as 67-of-100; drawn from small ones otherwise.
    #[arg(long, value_name = "T-of-N", value_parser = size)]
    n: Option<(u16, u16)>,
    /// Seeds at a time; as many as this machine runs threads by default.
    #[arg(long)]
    jobs: Option<NonZeroUsize>,
    /// One JSON object at the end, nothing else on standard output.
    #[arg(long)]
    json: bool,
    /// Stop at the first violation.
    #[arg(long)]
    first: bool,
    /// Fail if an event that proves the faults real never happened, as after a long sweep.
    #[arg(long)]
    must_reach: bool,
    /// Run every hundredth seed twice and compare.
    #[arg(long)]
    twice: bool,
}

#[derive(Args)]
struct Replay {
    /// The seed.
    seed: u64,
    /// Which faults: the profile that it was run with.
    #[arg(long, value_enum, default_value_t = Profile::Swarm)]
    profile: Profile,
    /// What it was signed with.
    #[arg(long, value_enum, default_value_t = Crypto::Real)]
    crypto: Crypto,
    /// The size, if it was run with one.
    #[arg(long, value_name = "T-of-N", value_parser = size)]
    n: Option<(u16, u16)>,
    /// Only lines that contain this text.
    #[arg(long)]
    only: Option<String>,
}

#[derive(Args)]
struct Measure {
    /// Sizes of committees.
    #[arg(long, value_name = "T-of-N", value_parser = size, default_values = ["4-of-5", "11-of-15", "67-of-100"])]
    n: Vec<(u16, u16)>,
    /// Round trips in milliseconds.
    #[arg(long, default_values_t = [20, 153])]
    round_trip_ms: Vec<u64>,
    /// Steps of each kind, each with other liars.
    #[arg(long, default_value_t = 20)]
    steps: u64,
    /// What is signed with. Signatures take no simulated time.
    #[arg(long, value_enum, default_value_t = Crypto::Stub)]
    crypto: Crypto,
    /// One JSON object for each line of the table.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Ceremonies {
    /// Sizes of committees.
    #[arg(long, value_name = "T-of-N", value_parser = size, default_values = ["4-of-5", "14-of-20", "67-of-100"])]
    n: Vec<(u16, u16)>,
    /// Round trip in milliseconds.
    #[arg(long, default_value_t = 153)]
    round_trip_ms: u64,
    /// One JSON object for each line of the table.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Bugs {
    /// Most seeds for each bug.
    #[arg(long, default_value_t = 10_000)]
    seeds: u64,
    /// What is signed with.
    #[arg(long, value_enum, default_value_t = Crypto::Stub)]
    crypto: Crypto,
    /// Only the bug of this name.
    #[arg(long)]
    only: Option<String>,
}

impl Run {
    fn plan(&self) -> Plan {
        let mut plan = Plan::of(self.profile);
        (plan.size, plan.crypto) = (self.n, self.crypto);
        plan
    }

    fn jobs(&self) -> NonZeroUsize {
        self.jobs.unwrap_or_else(many::jobs)
    }

    /// What a replay needs beside seed and profile.
    fn arguments(&self) -> String {
        let size = |(threshold, members)| format!(" --n {threshold}-of-{members}");
        let crypto = match self.crypto {
            Crypto::Real => "",
            Crypto::Stub => " --crypto stub",
        };
        self.n.map(size).unwrap_or_default() + crypto
    }
}

fn main() -> ExitCode {
    let ended = match Command::parse().action {
        Action::Run(options) => sweep::sweep(&options),
        Action::Replay(options) => replay(&options),
        Action::Measure(options) => figures::figures(&options),
        Action::Ceremonies(options) => ceremonies::ceremonies(&options),
        Action::Bugs(options) => hunt::hunt(&options),
    };
    if ended {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn replay(options: &Replay) -> bool {
    let mut plan = Plan::of(options.profile);
    (plan.story, plan.size, plan.crypto) = (true, options.n, options.crypto);
    let outcome = run(options.seed, &plan);
    let only = options.only.as_deref().unwrap_or_default();
    for line in outcome.lines.iter().filter(|line| line.contains(only)) {
        println!("{line}");
    }
    println!(
        "{} events in {} s, step {} is the last; hash {}",
        outcome.events,
        outcome.simulated_ms / 1_000,
        outcome.head,
        outcome.hash
    );
    outcome.violation.is_none()
}

/// A threshold and a number of members that the protocol allows.
fn size(text: &str) -> Result<(u16, u16), String> {
    let parts = text.split_once("-of-");
    let number = |text: &str| text.parse::<u16>().ok();
    let size = parts.and_then(|(t, n)| Some((number(t)?, number(n)?)));
    let (threshold, members) = size.ok_or_else(|| format!("{text:?} is no size such as 4-of-5"))?;
    let quorum = Quorum::new(members, threshold).map_err(|error| error.to_string());
    quorum.map(|_| (threshold, members))
}

fn seeds(text: &str) -> Result<(u64, u64), String> {
    let parts = text.split_once("..");
    let number = |text: &str| text.parse::<u64>().ok();
    let range = parts.and_then(|(first, end)| Some((number(first)?, number(end)?)));
    range
        .filter(|(first, end)| first < end)
        .ok_or_else(|| format!("{text:?} is no range of seeds such as 0..1000"))
}
