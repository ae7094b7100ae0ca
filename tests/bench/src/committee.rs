//! A committee of processes under load.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use attestation::codec::{Layout, encode};
use attestation::ids::{CommitteeId, Digest, ModuleDigest, NetworkId, ZappId};
use attestation::tags;
use launch::{Caller, Committee, Http, Plan, Programs};
use serde_json::Value;
use state::system::Deploy;

use crate::Options;
use crate::processes::cpu_seconds;
use crate::raw::Raw;

/// What was seen.
pub(crate) struct Figures {
    latencies: Vec<Duration>,
    attested: u64,
    refused: u64,
    steps: u64,
    elapsed: Duration,
    cpu: BTreeMap<String, f64>,
}

/// Starts a committee, measures, stops it.
pub(crate) fn measure(options: &Options) -> Result<Figures> {
    let dir = std::env::temp_dir().join(format!("zquorum-bench-{}", std::process::id()));
    let _cleanup = Cleanup(dir.clone());
    let plan = Plan {
        members: options.members,
        threshold: options.threshold,
        coordinators: 2,
        dir,
    };
    let mut committee = Committee::create(Programs::beside_current()?, &plan)?;
    committee.start()?;
    committee.wait_ready(Duration::from_secs(120))?;
    let (network, id) = (committee.record().network, committee.record().id());
    let http = committee.http(1)?;
    let mut caller = Caller::new(network, id)?;
    let counter = deploy(&http, &mut caller, options)?;

    let mut latencies = Vec::new();
    for _ in 0..options.calls {
        let request = caller.request(counter, "add", 1u64.to_be_bytes().to_vec())?;
        let began = Instant::now();
        accepted(&caller.submit(&http, &request, 60)?)?;
        latencies.push(began.elapsed());
    }
    latencies.sort();

    let nodes: Vec<u32> = committee
        .members()
        .iter()
        .filter_map(launch::Member::pid)
        .collect();
    let (cpu_before, steps_before) = (cpu_seconds(&nodes), head(&http)?);
    let began = Instant::now();
    let (attested, refused) = load(&http, network, id, counter, options)?;
    let elapsed = began.elapsed();
    let mut cpu = cpu_seconds(&nodes);
    for (name, before) in cpu_before {
        *cpu.entry(name).or_default() -= before;
    }
    Ok(Figures {
        latencies,
        attested,
        refused,
        steps: head(&http)? - steps_before,
        elapsed,
        cpu,
    })
}

struct Cleanup(std::path::PathBuf);

impl Drop for Cleanup {
    fn drop(&mut self) {
        // Best effort: the directory is in the system's temporary files.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn deploy(http: &Http, caller: &mut Caller, options: &Options) -> Result<ZappId> {
    let path = options.zapps.join("counter.wasm");
    let wasm = fs::read(&path)
        .with_context(|| format!("no {}: run `cargo xtask zapps`", path.display()))?;
    let answer = http.put("/v1/modules", "application/wasm", &wasm)?;
    let module = answer
        .get("module")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let module: ModuleDigest = module.parse().context("module digest")?;
    let salt = Digest::from_bytes([1; 32]);
    let input = encode(&Deploy {
        module,
        salt,
        init: Vec::new(),
    });
    let request = caller.request(ZappId::SYSTEM, "deploy", input)?;
    accepted(&caller.submit(http, &request, 60)?)?;
    let id = Layout::new(tags::ZAPP)
        .fixed(caller.identity().as_bytes())
        .fixed(salt.as_bytes())
        .digest();
    Ok(ZappId::from_bytes(*id.as_bytes()))
}

fn accepted(answer: &Value) -> Result<()> {
    let text = |pointer| answer.pointer(pointer).and_then(Value::as_str);
    if text("/state") == Some("accepted") && text("/outcome/status") == Some("ok") {
        return Ok(());
    }
    bail!("not attested: {answer}")
}

fn head(http: &Http) -> Result<u64> {
    let steps = http.get("/v1/steps?limit=1")?;
    steps.get("head").and_then(Value::as_u64).context("head")
}

/// Every caller sends one call after the other; each has its own key and connection.
fn load(
    http: &Http,
    network: NetworkId,
    committee: CommitteeId,
    counter: ZappId,
    options: &Options,
) -> Result<(u64, u64)> {
    let stop = Arc::new(AtomicBool::new(false));
    let mut threads = Vec::new();
    for _ in 0..options.callers {
        let (stop, base) = (
            stop.clone(),
            http.base().trim_start_matches("http://").to_owned(),
        );
        let mut caller = Caller::new(network, committee)?;
        threads.push(std::thread::spawn(move || -> Result<(u64, u64)> {
            let http = Http::new(&base);
            let (mut attested, mut refused) = (0, 0);
            while !stop.load(Ordering::Relaxed) {
                let request = caller.request(counter, "add", 1u64.to_be_bytes().to_vec())?;
                match caller.submit(&http, &request, 60) {
                    Ok(answer) if accepted(&answer).is_ok() => attested += 1,
                    _ => refused += 1,
                }
            }
            Ok((attested, refused))
        }));
    }
    std::thread::sleep(Duration::from_secs(options.seconds));
    stop.store(true, Ordering::Relaxed);
    let mut sums = (0, 0);
    for thread in threads {
        let (attested, refused) = thread
            .join()
            .map_err(|_| anyhow::anyhow!("a caller died"))??;
        sums = (sums.0 + attested, sums.1 + refused);
    }
    Ok(sums)
}

impl Figures {
    /// The table of the README.
    pub(crate) fn print(&self, raw: &Raw, options: &Options) {
        let at = |share: f64| {
            let index =
                (self.latencies.len() as f64 * share).min(self.latencies.len() as f64 - 1.0);
            #[allow(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "an index between 0 and the length"
            )]
            let latency = self
                .latencies
                .get(index as usize)
                .copied()
                .unwrap_or_default();
            latency.as_secs_f64() * 1e3
        };
        let (n, t) = (options.members, options.threshold);
        let per_second = self.attested as f64 / self.elapsed.as_secs_f64();
        let calls = self.attested.max(1) as f64;
        println!("\nA committee of processes, {t} of {n}, counter zApp, fsync on");
        println!(
            "  attested call, one at a time   p50 {:.1} ms, p99 {:.1} ms",
            at(0.5),
            at(0.99)
        );
        println!(
            "  attested calls per second      {per_second:.0} with {} callers",
            options.callers
        );
        println!("  refused or failed              {}", self.refused);
        println!(
            "  requests per step              {:.1}",
            calls / self.steps.max(1) as f64
        );
        let total: f64 = self.cpu.values().sum();
        for (program, seconds) in &self.cpu {
            println!(
                "  CPU {program:<16} {:>8.0} µs per call, all members",
                seconds * 1e6 / calls
            );
        }
        let each = total * 1e6 / calls / f64::from(n);
        println!("  CPU per call per member        {each:.0} µs");
        let floor = raw.step_us(calls / self.steps.max(1) as f64);
        let ratio = total * 1e6 / calls / floor;
        println!(
            "  the same raw operations        {floor:.0} µs per call, all members; ratio {ratio:.2}"
        );
    }
}
