//! Whole committees of processes, with faults.
//!
//! Helpers for the tests beside this file. They wait for what can be observed over HTTP, with
//! deadlines that only a stuck committee misses; nothing sleeps for a fixed time.

pub mod cuts;
pub mod kills;
pub mod links;
mod load;
mod machines;
pub mod namespaces;
pub mod power;
pub mod town;

pub use load::Load;
pub use machines::{images, skip};

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use attestation::ids::{Digest, ModuleDigest, ZappId};
use launch::{Caller, Committee, Economy, Machines, Plan, Programs};

use lossy_disk::LossyDisk;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use state::system::Deploy;
use tempfile::TempDir;

/// Far beyond what anything here takes on a loaded machine.
pub const DEADLINE: Duration = Duration::from_secs(120);
/// How long a node is asked to wait for an attestation, in seconds.
pub const WAIT_S: u64 = 30;

/// Counts its calls and answers with the count, little-endian; a view answers with the next one.
pub const COUNTER: &str = r#"(module
  (import "zapp0" "get" (func $get (param i32 i32 i32 i32) (result i32)))
  (import "zapp0" "set" (func $set (param i32 i32 i32 i32)))
  (import "zapp0" "output" (func $output (param i32 i32)))
  (memory (export "memory") 1 1)
  (data (i32.const 0) "n")
  (func (export "zapp_main") (param $op i32) (param $length i32) (result i32)
    (if (i32.eqz (local.get $op)) (then (return (i32.const 0))))
    (drop (call $get (i32.const 0) (i32.const 1) (i32.const 8) (i32.const 8)))
    (i64.store (i32.const 8) (i64.add (i64.load (i32.const 8)) (i64.const 1)))
    (if (i32.eq (local.get $op) (i32.const 1))
      (then (call $set (i32.const 0) (i32.const 1) (i32.const 8) (i32.const 8))))
    (call $output (i32.const 8) (i32.const 8))
    (i32.const 0)))"#;

/// A running committee in a directory of its own.
pub struct Running {
    /// The processes.
    pub committee: Committee,
    /// Someone who calls.
    pub caller: Caller,
    place: Place,
}

/// Where the members' data is; gone when dropped.
enum Place {
    Temporary(TempDir),
    Disk(LossyDisk),
}

impl Place {
    fn path(&self) -> &Path {
        match self {
            Self::Temporary(dir) => dir.path(),
            Self::Disk(disk) => disk.path(),
        }
    }
}

impl Running {
    /// Makes a committee of five members at threshold 4 with two coordinators; starts nothing.
    ///
    /// # Errors
    /// If programs are missing or `zq-node init` fails.
    pub fn prepare() -> Result<Self> {
        Self::prepare_in(None)
    }

    /// The same with guests in virtual machines, as said.
    ///
    /// # Errors
    /// If programs are missing or `zq-node init` fails.
    pub fn prepare_in(machines: Option<Machines>) -> Result<Self> {
        let place = Place::Temporary(TempDir::new()?);
        Self::prepare_at(place, machines, Economy::default(), false)
    }

    /// The same with all data on a disk whose power can be cut.
    ///
    /// # Errors
    /// If programs are missing or `zq-node init` fails.
    pub fn prepare_on(disk: LossyDisk, machines: Option<Machines>) -> Result<Self> {
        Self::prepare_at(Place::Disk(disk), machines, Economy::default(), false)
    }

    /// The same for a committee that charges.
    ///
    /// # Errors
    /// If programs are missing or `zq-node init` fails.
    pub fn prepare_charging(economy: Economy) -> Result<Self> {
        Self::prepare_at(Place::Temporary(TempDir::new()?), None, economy, false)
    }

    /// The same for a committee that signs for EVM chains.
    ///
    /// # Errors
    /// If programs are missing or `zq-node init` fails.
    pub fn prepare_for_evm() -> Result<Self> {
        let place = Place::Temporary(TempDir::new()?);
        Self::prepare_at(place, None, Economy::default(), true)
    }

    fn prepare_at(
        place: Place,
        machines: Option<Machines>,
        economy: Economy,
        evm: bool,
    ) -> Result<Self> {
        let plan = Plan {
            members: 5,
            threshold: 4,
            coordinators: 2,
            dir: place.path().to_owned(),
            machines,
            economy,
            evm,
        };
        let committee = Committee::create(Programs::beside_current()?, &plan)?;
        let record = committee.record();
        let caller = Caller::new(record.network, record.id())?;
        Ok(Self {
            committee,
            caller,
            place,
        })
    }

    /// Starts all members and waits for the key.
    ///
    /// # Errors
    /// If the committee does not get its key.
    pub fn start() -> Result<Self> {
        let mut running = Self::prepare()?;
        running.committee.start()?;
        running.committee.wait_ready(DEADLINE)?;
        Ok(running)
    }

    /// Starts all members with their guests in virtual machines, and waits for the key.
    ///
    /// # Errors
    /// If the committee does not get its key.
    pub fn start_in(machines: Machines) -> Result<Self> {
        let mut running = Self::prepare_in(Some(machines))?;
        running.committee.start()?;
        running.committee.wait_ready(DEADLINE)?;
        Ok(running)
    }

    /// Deploys the counter through the node of `slot`; returns its id.
    ///
    /// # Errors
    /// If the committee does not attest the deployment.
    pub fn deploy_counter(&mut self, slot: u16) -> Result<ZappId> {
        self.deploy(slot, &wat::parse_str(COUNTER)?)
    }

    /// Deploys a module through the node of `slot`; returns its id.
    ///
    /// # Errors
    /// If the committee does not attest the deployment.
    pub fn deploy(&mut self, slot: u16, wasm: &[u8]) -> Result<ZappId> {
        let module = self.upload(slot, wasm)?;
        self.deploy_module(slot, module, Vec::new())
    }

    /// Gives a module to the node of `slot`.
    ///
    /// # Errors
    /// If the node refuses it.
    pub fn upload(&self, slot: u16, wasm: &[u8]) -> Result<ModuleDigest> {
        let http = self.committee.http(slot)?;
        let stored = http.put("/v1/modules", "application/wasm", wasm)?;
        Ok(text(&stored, "/module").context("a digest")?.parse()?)
    }

    /// Deploys a module that the node of `slot` has, with the input of its init; returns its id.
    ///
    /// # Errors
    /// If the committee does not attest the deployment.
    pub fn deploy_module(
        &mut self,
        slot: u16,
        module: ModuleDigest,
        init: Vec<u8>,
    ) -> Result<ZappId> {
        let http = self.committee.http(slot)?;
        let deploy = Deploy {
            init,
            ..Self::deployment(module)
        };
        let request = self
            .caller
            .request(ZappId::SYSTEM, "deploy", deploy.to_bytes())?;
        check_succeeded(&self.caller.submit(&http, &request, WAIT_S)?)?;
        Ok(self.zapp(module))
    }

    /// The id that a zApp of this module gets.
    #[must_use]
    pub fn zapp(&self, module: ModuleDigest) -> ZappId {
        Self::deployment(module).zapp(&self.caller.identity())
    }

    fn deployment(module: ModuleDigest) -> Deploy {
        Deploy {
            module,
            // Each module gets an id of its own.
            salt: Digest::from_bytes(*module.as_bytes()),
            escrow: 0,
            init: Vec::new(),
        }
    }

    /// Sends one call and waits for the attestation of its success.
    ///
    /// # Errors
    /// If the node refuses, the attestation does not come in time, or the call failed.
    pub fn call(&mut self, slot: u16, zapp: ZappId, method: &str) -> Result<Value> {
        let http = self.committee.http(slot)?;
        let request = self.caller.request(zapp, method, Vec::new())?;
        let answer = self.caller.submit(&http, &request, WAIT_S)?;
        check_succeeded(&answer)?;
        Ok(answer)
    }

    /// Starts all members, those in `slots` with a guest that errs as `fault` says in the place of
    /// their `part`, and waits for the key.
    ///
    /// # Errors
    /// If the committee does not get its key.
    pub fn start_with_faulty(&mut self, part: &str, slots: &[u16], fault: &str) -> Result<()> {
        let faulty = self.program(&format!("zq-faulty-{part}"))?;
        let (program, argument) = (format!("--{part}"), format!("--{part}-argument"));
        self.start_with(slots, &[&program, &faulty, &argument, fault])
    }

    /// Starts all members, those in `slots` with more arguments, and waits for the key.
    ///
    /// # Errors
    /// If the committee does not get its key.
    pub fn start_with(&mut self, slots: &[u16], arguments: &[&str]) -> Result<()> {
        for slot in 1..=5 {
            let some = if slots.contains(&slot) {
                arguments
            } else {
                &[]
            };
            self.committee.extra_arguments(some);
            self.committee.start_member(slot)?;
        }
        self.committee.extra_arguments(&[]);
        self.committee.wait_ready(DEADLINE)
    }

    /// Path of a built program.
    ///
    /// # Errors
    /// If it is not UTF-8.
    pub fn program(&self, name: &str) -> Result<String> {
        let path = self.committee.programs().path(name);
        Ok(path.to_str().context("a path in UTF-8")?.to_owned())
    }

    /// What `zq` prints with these arguments, asking the node of `slot`, and its exit code.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn zq(&self, slot: u16, arguments: &[&str]) -> Result<(String, Option<i32>)> {
        let mut command = self.committee.programs().command("zq");
        command.args(["--node", self.committee.http(slot)?.base()]);
        let output = command.args(arguments).output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok((text, output.status.code()))
    }

    /// What `zq` prints with these arguments, asking no node, and its exit code.
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn offline(arguments: &[&str]) -> Result<(String, Option<i32>)> {
        let mut command = Programs::beside_current()?.command("zq");
        let output = command.args(arguments).output()?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        Ok((text, output.status.code()))
    }

    /// Waits until `zq status` of the node of `slot` shows a line with all of `parts`.
    ///
    /// # Errors
    /// If it does not show one in time.
    pub fn wait_for_status(&self, slot: u16, parts: &[&str]) -> Result<String> {
        wait_for(&format!("{parts:?} in zq status"), || {
            let (text, _) = self.zq(slot, &["status"]).ok()?;
            let mut lines = text.lines();
            let found = lines.find(|line| parts.iter().all(|part| line.contains(part)));
            found.map(str::to_owned)
        })
    }

    /// Waits until the node of `slot` has accepted step `head`.
    ///
    /// # Errors
    /// If it does not get there in time.
    pub fn wait_for_head(&self, slot: u16, head: u64) -> Result<()> {
        wait_for(&format!("step {head} at node {slot}"), || {
            self.head(slot).filter(|seen| *seen >= head).map(drop)
        })
    }

    /// What the node of `slot` says of itself.
    #[must_use]
    pub fn status(&self, slot: u16) -> Option<Value> {
        self.committee.http(slot).ok()?.get("/v1/status").ok()
    }

    /// The head of the node of `slot`.
    #[must_use]
    pub fn head(&self, slot: u16) -> Option<u64> {
        self.status(slot)?.pointer("/head")?.as_u64()
    }

    /// The state root of the node of `slot`.
    #[must_use]
    pub fn state(&self, slot: u16) -> Option<String> {
        Some(text(&self.status(slot)?, "/state")?.to_owned())
    }

    /// The alerts of the node of `slot`.
    #[must_use]
    pub fn alerts(&self, slot: u16) -> Vec<String> {
        let status = self.status(slot).unwrap_or_default();
        let alerts = status.pointer("/node/alerts").and_then(Value::as_array);
        let alerts = alerts.cloned().unwrap_or_default().into_iter();
        alerts
            .filter_map(|alert| Some(alert.as_str()?.to_owned()))
            .collect()
    }

    /// The process of a guest that is connected.
    ///
    /// # Errors
    /// If the node does not say.
    pub fn guest(&self, slot: u16, part: &str) -> Result<i32> {
        self.committee.guest(slot, part)
    }

    /// The processes in which the node of `slot` runs zApps.
    #[must_use]
    pub fn engines(&self, slot: u16) -> Vec<i32> {
        let members = self.committee.members();
        let member = members.iter().find(|member| member.slot == slot);
        let Some(node) = member.and_then(launch::Member::pid) else {
            return Vec::new();
        };
        let processes = std::fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter(|pid| is_engine_of(*pid, node)).collect()
    }

    /// Kills a guest with SIGKILL.
    ///
    /// # Errors
    /// If there is none.
    pub fn kill_guest(&self, slot: u16, part: &str) -> Result<()> {
        signal(self.guest(slot, part)?, Signal::KILL)
    }

    /// Stops a guest with SIGSTOP until the answer is dropped.
    ///
    /// # Errors
    /// If there is none.
    pub fn pause_guest(&self, slot: u16, part: &str) -> Result<Paused> {
        Paused::new(self.guest(slot, part)?)
    }

    /// The directory of all members.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.place.path()
    }

    /// The disk whose power can be cut.
    ///
    /// # Errors
    /// If the committee has none.
    pub fn disk(&self) -> Result<&LossyDisk> {
        match &self.place {
            Place::Disk(disk) => Ok(disk),
            Place::Temporary(_) => bail!("an ordinary directory"),
        }
    }

    /// A number that the node of `slot` counts.
    #[must_use]
    pub fn metric(&self, slot: u16, name: &str) -> Option<u64> {
        self.committee.metric(slot, name).ok()
    }
}

/// A process that SIGSTOP has stopped; it goes on when this is dropped.
pub struct Paused(i32);

impl Paused {
    /// Stops the process.
    ///
    /// # Errors
    /// If there is none.
    pub fn new(pid: i32) -> Result<Self> {
        signal(pid, Signal::STOP)?;
        Ok(Self(pid))
    }

    /// Its process id.
    #[must_use]
    pub const fn pid(&self) -> i32 {
        self.0
    }
}

impl Drop for Paused {
    fn drop(&mut self) {
        // It may have been killed meanwhile.
        let _ = signal(self.0, Signal::CONT);
    }
}

/// Sends a signal.
///
/// # Errors
/// If there is no such process.
pub fn signal(pid: i32, signal: Signal) -> Result<()> {
    let pid = Pid::from_raw(pid).context("a pid")?;
    Ok(kill_process(pid, signal)?)
}

/// Whether a process runs or is stopped; one that ended and was not waited for does neither.
#[must_use]
pub fn is_alive(pid: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").map(|(_, rest)| rest);
    state.is_some_and(|state| !state.starts_with(['Z', 'X']))
}

/// Whether a process is `zq-node engine` and the child of this node.
fn is_engine_of(pid: i32, node: u32) -> bool {
    let read = |name: &str| std::fs::read_to_string(format!("/proc/{pid}/{name}"));
    let stat = read("stat").unwrap_or_default();
    // After the name in brackets: state, then the parent.
    let after = stat.rsplit_once(") ").map(|(_, rest)| rest);
    let parent = after.and_then(|rest| rest.split(' ').nth(1)?.parse().ok());
    let arguments = read("cmdline").unwrap_or_default();
    parent == Some(node) && arguments.split('\0').nth(1) == Some("engine")
}

/// Whether a node's answer to a request says that it is attested.
///
/// # Errors
/// If it says something else.
pub fn check_attested(answer: &Value) -> Result<()> {
    if text(answer, "/state") == Some("accepted") {
        return Ok(());
    }
    bail!("not attested: {answer}")
}

/// Whether a node's answer to a request says that it is attested and did what it was sent for: one
/// that trapped, was refused or hung too many executors is attested as well.
///
/// # Errors
/// If it says something else.
pub fn check_succeeded(answer: &Value) -> Result<()> {
    check_attested(answer)?;
    if text(answer, "/outcome/status") == Some("ok") {
        return Ok(());
    }
    bail!("attested as failed: {answer}")
}

/// The count in the counter's answer.
#[must_use]
pub fn count(answer: &Value) -> Option<u64> {
    let output = text(answer, "/outcome/output")?;
    let bytes = (0..8).map(|at| u8::from_str_radix(output.get(2 * at..2 * at + 2)?, 16).ok());
    let bytes: Option<Vec<u8>> = bytes.collect();
    Some(u64::from_le_bytes(bytes?.try_into().ok()?))
}

/// Waits until `look` gives a value.
///
/// # Errors
/// If it gives none within [`DEADLINE`].
pub fn wait_for<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> Result<T> {
    let began = Instant::now();
    loop {
        if let Some(seen) = look() {
            return Ok(seen);
        }
        if began.elapsed() > DEADLINE {
            bail!("waited {} s for {what}", DEADLINE.as_secs());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn text<'a>(json: &'a Value, pointer: &str) -> Option<&'a str> {
    json.pointer(pointer)?.as_str()
}
