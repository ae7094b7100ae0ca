//! A committee of processes under load.

use std::collections::BTreeMap;
use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use attestation::codec::{Layout, encode};
use attestation::ids::{CommitteeId, Digest, GroupKey, ModuleDigest, NetworkId, ZappId};
use attestation::tags;
use attestation::verify::verify_receipt;
use launch::{Caller, Committee, Economy, Http, Plan, Programs};
use serde_json::Value;
use state::system::Deploy;

use crate::Options;
use crate::processes::cpu_seconds;
use crate::raw::median_us;
use crate::step::StepCosts;

/// What was seen of one number of callers.
pub(crate) struct Load {
    pub(crate) callers: u16,
    pub(crate) attested: u64,
    pub(crate) failed: u64,
    pub(crate) steps: u64,
    pub(crate) elapsed: Duration,
    /// Of each attested call, sorted.
    pub(crate) latencies: Vec<Duration>,
    /// CPU seconds of all members' processes by program.
    pub(crate) cpu: BTreeMap<String, f64>,
}

/// What was seen in all.
pub(crate) struct Figures {
    /// Of calls one at a time, sorted.
    pub(crate) latencies: Vec<Duration>,
    pub(crate) step: StepCosts,
    /// Verification of the newest step's last receipt, key and leaf included: µs, median.
    pub(crate) verify_us: f64,
    pub(crate) loads: Vec<Load>,
}

/// Starts a committee, measures, stops it.
pub(crate) fn measure(options: &Options) -> Result<Figures> {
    let dir = std::env::temp_dir().join(format!("zquorum-bench-{}", std::process::id()));
    let _cleanup = Cleanup(dir.clone());
    let path = options.zapps.join("counter.wasm");
    let wasm = fs::read(&path)
        .with_context(|| format!("no {}: run `cargo xtask zapps`", path.display()))?;
    let plan = Plan {
        members: options.members,
        threshold: options.threshold,
        coordinators: 2,
        dir,
        machines: None,
        evm: false,
        economy: Economy::default(),
    };
    let mut committee = Committee::create(Programs::beside_current()?, &plan)?;
    let step = crate::step::measure(committee.record(), &wasm)?;
    committee.start()?;
    committee.wait_ready(Duration::from_secs(120))?;
    let target = Target::of(&committee)?;
    let mut caller = Caller::new(target.network, target.committee)?;
    let counter = deploy(&target.http, &mut caller, &wasm)?;

    let mut latencies = Vec::new();
    for _ in 0..options.calls {
        let request = caller.request(counter, "add", 1u64.to_be_bytes().to_vec())?;
        let began = Instant::now();
        accepted(&caller.submit(&target.http, &request, 60)?)?;
        latencies.push(began.elapsed());
    }
    latencies.sort();
    let verify_us = verification(&target.http)?;
    let loads = options.callers.iter().map(|callers| {
        eprintln!("{callers} callers for {} s …", options.seconds);
        load(&target, counter, *callers, options.seconds)
    });
    Ok(Figures {
        latencies,
        step,
        verify_us,
        loads: loads.collect::<Result<_>>()?,
    })
}

/// What whoever relies on an attestation does with it.
fn verification(http: &Http) -> Result<f64> {
    let committee = http.get("/v1/committee")?;
    let key = committee.get("group_key").and_then(Value::as_str);
    let key: GroupKey = key.context("group_key")?.parse()?;
    let path = format!("/v1/attestations/{}/1", head(http)?);
    let receipt = http.get_bytes(&path)?;
    let leaf = http.get_bytes(&format!("{path}/leaf"))?;
    let verify = || verify_receipt(&receipt, Some(&leaf), &key, None);
    verify().context("an attestation of this committee")?;
    Ok(median_us(2_000, verify))
}

/// Where calls go.
pub(crate) struct Target {
    pub(crate) http: Http,
    pub(crate) network: NetworkId,
    pub(crate) committee: CommitteeId,
    /// Process ids of the nodes.
    pub(crate) nodes: Vec<u32>,
}

impl Target {
    /// The first member's node.
    pub(crate) fn of(committee: &Committee) -> Result<Self> {
        Ok(Self {
            http: committee.http(1)?,
            network: committee.record().network,
            committee: committee.record().id(),
            nodes: committee
                .members()
                .iter()
                .filter_map(launch::Member::pid)
                .collect(),
        })
    }
}

/// A directory that goes with this value.
pub(crate) struct Cleanup(pub(crate) std::path::PathBuf);

impl Drop for Cleanup {
    fn drop(&mut self) {
        // Best effort: the directory is in the system's temporary files.
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub(crate) fn deploy(http: &Http, caller: &mut Caller, wasm: &[u8]) -> Result<ZappId> {
    let answer = http.put("/v1/modules", "application/wasm", wasm)?;
    let module = answer
        .get("module")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let module: ModuleDigest = module.parse().context("module digest")?;
    let salt = Digest::from_bytes([1; 32]);
    let input = encode(&Deploy {
        module,
        salt,
        escrow: 0,
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

pub(crate) fn accepted(answer: &Value) -> Result<()> {
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
pub(crate) fn load(target: &Target, counter: ZappId, callers: u16, seconds: u64) -> Result<Load> {
    let (cpu_before, steps_before) = (cpu_seconds(&target.nodes), head(&target.http)?);
    let began = Instant::now();
    let until = began + Duration::from_secs(seconds);
    let mut threads = Vec::new();
    for _ in 0..callers {
        let base = target.http.base().trim_start_matches("http://").to_owned();
        let caller = Caller::new(target.network, target.committee)?;
        threads.push(std::thread::spawn(move || {
            call_until(&Http::new(&base), caller, counter, until)
        }));
    }
    let (mut latencies, mut failed) = (Vec::new(), 0);
    for thread in threads {
        let called = thread.join();
        let (seen, refused) = called.map_err(|_| anyhow::anyhow!("a caller died"))??;
        latencies.extend(seen);
        failed += refused;
    }
    let elapsed = began.elapsed();
    let mut cpu = cpu_seconds(&target.nodes);
    for (name, before) in cpu_before {
        *cpu.entry(name).or_default() -= before;
    }
    latencies.sort();
    Ok(Load {
        callers,
        attested: u64::try_from(latencies.len()).unwrap_or(u64::MAX),
        failed,
        steps: head(&target.http)? - steps_before,
        elapsed,
        latencies,
        cpu,
    })
}

/// Latencies of attested calls, and how many were not attested.
fn call_until(
    http: &Http,
    mut caller: Caller,
    counter: ZappId,
    until: Instant,
) -> Result<(Vec<Duration>, u64)> {
    let (mut latencies, mut failed) = (Vec::new(), 0);
    while Instant::now() < until {
        let request = caller.request(counter, "add", 1u64.to_be_bytes().to_vec())?;
        let began = Instant::now();
        let attested = caller
            .submit(http, &request, 60)
            .map_err(anyhow::Error::from)
            .and_then(|answer| accepted(&answer));
        match attested {
            Ok(()) => latencies.push(began.elapsed()),
            Err(error) => {
                eprintln!("not attested: {error:#}");
                failed += 1;
            }
        }
    }
    Ok((latencies, failed))
}
