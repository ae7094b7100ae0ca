//! A running committee.

use std::collections::BTreeMap;
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use attestation::committee::CreationRecord;
use attestation::ids::IdentityKey;
use attestation::terms::{Grant, Terms};
use serde_json::Value;

use crate::http::Http;
use crate::machines::{Machines, Taps};
use crate::ports::{self, Port};
use crate::record::{self, Programs};

/// A node ends its connections and its guests well within this.
const STOP_WITHIN: Duration = Duration::from_secs(10);

/// What to start.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Members n.
    pub members: u16,
    /// Threshold t.
    pub threshold: u16,
    /// Ranked coordinators, hosted by the first members.
    pub coordinators: u16,
    /// Where the members' data directories go.
    pub dir: PathBuf,
    /// Boots the guests in virtual machines; processes otherwise.
    pub machines: Option<Machines>,
    /// What requests and state cost, and who has something to pay with.
    pub economy: Economy,
    /// Whether the committee signs for EVM chains, too.
    pub evm: bool,
}

/// Prices and first balances.
#[derive(Clone, Debug, Default)]
pub struct Economy {
    /// Prices.
    pub terms: Terms,
    /// First balances, in order of account.
    pub grants: Vec<Grant>,
    /// Account that gets what the members earn.
    pub payout: Option<IdentityKey>,
}

/// One member: its node's process and where it listens.
#[derive(Debug)]
pub struct Member {
    /// Slot, from 1.
    pub slot: u16,
    /// Data directory.
    pub dir: PathBuf,
    /// Address of the HTTP API.
    pub http: String,
    /// Address at which other nodes reach it.
    pub peers: String,
    coordinator: Option<u16>,
    process: Option<Child>,
    ports: [Port; 2],
}

impl Member {
    /// Process id of the running node.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }
}

/// A committee of processes; all of them end when it is dropped, and when this process ends in
/// whatever way: each node holds the reading end of a pipe of ours and stops when it closes.
#[derive(Debug)]
pub struct Committee {
    programs: Programs,
    record_path: PathBuf,
    record: CreationRecord,
    members: Vec<Member>,
    extra_arguments: Vec<String>,
    /// Where one member dials another, if not where that one listens.
    detours: BTreeMap<(u16, u16), String>,
    cancelled: fn() -> bool,
    node_program: PathBuf,
    machines: Option<Machines>,
    // After the members: their guests use them.
    taps: Option<Taps>,
}

impl Committee {
    /// Makes data directories, keys and the creation record; starts nothing.
    ///
    /// # Errors
    /// If a directory cannot be written or `zq-node init` fails.
    pub fn create(programs: Programs, plan: &Plan) -> Result<Self> {
        fs::create_dir_all(&plan.dir)?;
        let machines = plan.machines.as_ref();
        let taps = machines.filter(|machines| machines.taps);
        let taps = taps.map(|_| Taps::make(plan.members)).transpose()?;
        let mut cards = Vec::new();
        let mut members = Vec::new();
        for slot in 1..=plan.members {
            let [http, peers] = [ports::free()?, ports::free()?];
            let dir = plan.dir.join(format!("member-{slot}"));
            let coordinator = (slot <= plan.coordinators).then_some(slot - 1);
            cards.push(record::init(
                &programs,
                &dir,
                coordinator.is_some(),
                plan.economy.payout.as_ref(),
                machines.filter(|machines| machines.has(slot)),
            )?);
            members.push(Member {
                slot,
                dir,
                http: http.address(),
                peers: peers.address(),
                coordinator,
                process: None,
                ports: [http, peers],
            });
        }
        let record_path = plan.dir.join("committee.record");
        let record = record::compose(
            &cards,
            plan.threshold,
            &plan.economy,
            plan.evm,
            &record_path,
        )?;
        for member in &members {
            fs::copy(&record_path, member.dir.join("committee.record"))?;
        }
        Ok(Self {
            node_program: programs.path("zq-node"),
            programs,
            record_path,
            record,
            members,
            extra_arguments: Vec::new(),
            detours: BTreeMap::new(),
            cancelled: || false,
            machines: plan.machines.clone(),
            taps,
        })
    }

    /// Makes the data directory of one more member, with the next slot; it joins with a change that
    /// the others approve.
    ///
    /// # Errors
    /// If the directory cannot be written or `zq-node init` fails.
    pub fn enrol(&mut self) -> Result<u16> {
        let last = self.members.last().context("a committee has members")?;
        let slot = last.slot + 1;
        let dir = last.dir.with_file_name(format!("member-{slot}"));
        let [http, peers] = [ports::free()?, ports::free()?];
        let machines = self.machines.as_ref();
        let machines = machines.filter(|machines| machines.has(slot));
        record::init(&self.programs, &dir, false, None, machines)?;
        self.members.push(Member {
            slot,
            dir,
            http: http.address(),
            peers: peers.address(),
            coordinator: None,
            process: None,
            ports: [http, peers],
        });
        Ok(slot)
    }

    /// A change is approved at the member in `slot`, which learns where those that it does not know
    /// listen.
    ///
    /// # Errors
    /// If `zq-node approve` refuses; the error is what it says.
    pub fn approve(&self, slot: u16, change: &Path) -> Result<()> {
        let member = self.members.iter().find(|member| member.slot == slot);
        let member = member.with_context(|| format!("no member {slot}"))?;
        let mut command = self.programs.command("zq-node");
        command.args(["approve", "--yes", "--dir"]).arg(&member.dir);
        command.arg(change);
        for other in self.members.iter().filter(|other| other.slot != slot) {
            command.args(["--peer", &format!("{}={}", other.slot, other.peers)]);
        }
        let output = command.stdin(Stdio::null()).output()?;
        if output.status.success() {
            return Ok(());
        }
        bail!("{}", String::from_utf8_lossy(&output.stderr).trim())
    }

    /// Waiting ends with an error as soon as `cancelled` holds.
    pub fn cancel_when(&mut self, cancelled: fn() -> bool) {
        self.cancelled = cancelled;
    }

    /// Arguments that every node gets besides the usual ones.
    pub fn extra_arguments(&mut self, arguments: &[&str]) {
        self.extra_arguments = arguments.iter().map(ToString::to_string).collect();
    }

    /// The node in `slot` dials `peer` at this address from its next start on.
    pub fn dial_at(&mut self, slot: u16, peer: u16, address: String) {
        self.detours.insert((slot, peer), address);
    }

    /// The node in `slot` listens on this address in place of loopback from its next start on.
    ///
    /// # Errors
    /// If there is no such member.
    pub fn listen_on(&mut self, slot: u16, host: Ipv4Addr) -> Result<()> {
        let member = self.members.iter_mut().find(|member| member.slot == slot);
        let member = member.with_context(|| format!("no member {slot}"))?;
        let [http, peers] = member.ports.each_ref().map(|port| port.address_on(host));
        (member.http, member.peers) = (http, peers);
        Ok(())
    }

    /// The program that every node started from now on is: `zq-node`, or one with its arguments.
    pub fn node_program(&mut self, program: PathBuf) {
        self.node_program = program;
    }

    /// The creation record.
    #[must_use]
    pub fn record(&self) -> &CreationRecord {
        &self.record
    }

    /// The programs in use.
    #[must_use]
    pub fn programs(&self) -> &Programs {
        &self.programs
    }

    /// The members in slot order.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.members
    }

    /// A client for the API of the member in `slot`.
    ///
    /// # Errors
    /// If there is no such member.
    pub fn http(&self, slot: u16) -> Result<Http> {
        let member = self.members.iter().find(|member| member.slot == slot);
        Ok(Http::new(
            &member.with_context(|| format!("no member {slot}"))?.http,
        ))
    }

    /// Starts every node that is not running.
    ///
    /// # Errors
    /// If a process cannot be started.
    pub fn start(&mut self) -> Result<()> {
        let slots: Vec<u16> = self.members.iter().map(|member| member.slot).collect();
        slots
            .into_iter()
            .try_for_each(|slot| self.start_member(slot))
    }

    /// Starts one node; its output goes to `node.log` in its data directory.
    ///
    /// # Errors
    /// If the process cannot be started.
    pub fn start_member(&mut self, slot: u16) -> Result<()> {
        let peers: Vec<String> = self
            .members
            .iter()
            .filter(|member| member.slot != slot)
            .map(|member| {
                let detour = self.detours.get(&(slot, member.slot));
                format!("{}={}", member.slot, detour.unwrap_or(&member.peers))
            })
            .collect();
        let member = self.members.iter_mut().find(|member| member.slot == slot);
        let member = member.with_context(|| format!("no member {slot}"))?;
        if member.process.is_some() {
            return Ok(());
        }
        fs::create_dir_all(&member.dir)?;
        let log = fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(member.dir.join("node.log"))
            .context("cannot write the node's log")?;
        let mut command = Command::new(&self.node_program);
        command
            .arg("run")
            .arg("--dir")
            .arg(&member.dir)
            .arg("--passphrase-file")
            .arg(record::passphrase_file(&member.dir))
            .arg("--record")
            .arg(&self.record_path)
            .args(["--slot", &slot.to_string()])
            .args(["--peers-listen", &member.peers])
            .args(["--http", &member.http]);
        for peer in &peers {
            command.args(["--peer", peer]);
        }
        if let Some(rank) = member.coordinator {
            command.args(["--coordinator", &rank.to_string()]);
        }
        if let Some(machines) = &self.machines
            && machines.has(slot)
        {
            command.args(machines.arguments());
        }
        if let Some(taps) = &self.taps {
            command.args(taps.arguments(slot)?);
        }
        command.args(&self.extra_arguments);
        command
            .arg("--until-stdin-ends")
            // The terminal's Ctrl-C is for us: we end the nodes, and they their guests, in order.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(log.try_clone()?)
            .stderr(log);
        member.process = Some(command.spawn().context("cannot start zq-node")?);
        Ok(())
    }

    /// Kills one node with SIGKILL. Its guests end when their node's connection closes.
    ///
    /// # Errors
    /// If the process cannot be killed.
    pub fn kill_member(&mut self, slot: u16) -> Result<()> {
        let member = self.members.iter_mut().find(|member| member.slot == slot);
        let member = member.with_context(|| format!("no member {slot}"))?;
        if let Some(mut process) = member.process.take() {
            process.kill()?;
            process.wait()?;
        }
        Ok(())
    }

    /// Lets one node stop in order; kills it if it takes too long.
    ///
    /// # Errors
    /// If it is not running, or cannot be waited for.
    pub fn stop_member(&mut self, slot: u16) -> Result<ExitStatus> {
        let member = self.members.iter_mut().find(|member| member.slot == slot);
        let process = member.and_then(|member| member.process.take());
        let mut process = process.with_context(|| format!("member {slot} is not running"))?;
        drop(process.stdin.take());
        Ok(ended(&mut process)?)
    }

    /// Waits until every running node says that the committee has its key.
    ///
    /// # Errors
    /// If any node ends or the time is up; the error holds the end of a node's log.
    pub fn wait_ready(&mut self, within: Duration) -> Result<()> {
        let slots: Vec<u16> = self
            .members
            .iter()
            .filter(|member| member.process.is_some())
            .map(|member| member.slot)
            .collect();
        for slot in slots {
            self.wait_for(slot, within, "the committee's key", |http| {
                http.get("/v1/health").is_ok()
            })?;
        }
        Ok(())
    }

    /// Waits until `reached` holds for the API of the member in `slot`.
    ///
    /// # Errors
    /// If any node ends or the time is up; the error holds the end of a node's log.
    pub fn wait_for(
        &mut self,
        slot: u16,
        within: Duration,
        what: &str,
        mut reached: impl FnMut(&Http) -> bool,
    ) -> Result<()> {
        let http = self.http(slot)?;
        let began = Instant::now();
        loop {
            if reached(&http) {
                return Ok(());
            }
            // Whichever it is: the awaited may need the one that ended.
            for member in &mut self.members {
                if let Some(process) = &mut member.process
                    && let Some(status) = process.try_wait()?
                {
                    let (ended, log) = (member.slot, log_end(&member.dir));
                    bail!(
                        "node {ended} ended with {status} while waiting for {what} of node {slot}:\n{log}"
                    );
                }
            }
            if (self.cancelled)() {
                bail!("interrupted while waiting for {what}");
            }
            if began.elapsed() > within {
                let member = self.members.iter().find(|member| member.slot == slot);
                let log = member
                    .map(|member| log_end(&member.dir))
                    .unwrap_or_default();
                bail!(
                    "node {slot}: no {what} within {} s:\n{log}",
                    within.as_secs()
                );
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The process of a guest of the member in `slot` that is connected; `part` is `signer` or its
    /// like. A guest in a virtual machine has that of its emulator.
    ///
    /// # Errors
    /// If the node does not answer, or says that the guest is down.
    pub fn guest(&self, slot: u16, part: &str) -> Result<i32> {
        let status = self.http(slot)?.get("/v1/status")?;
        let parts = status.pointer("/node/parts").and_then(Value::as_array);
        let mut parts = parts.context("the node's parts")?.iter();
        let named = |found: &&Value| found.pointer("/name").and_then(Value::as_str) == Some(part);
        let part = parts.find(named).context("the part")?;
        if part.pointer("/up") != Some(&Value::Bool(true)) {
            bail!("down: {part}");
        }
        let detail = part.pointer("/detail").and_then(Value::as_str);
        let pid = detail
            .and_then(|detail| detail.strip_prefix("pid "))
            .and_then(|rest| rest.split(',').next());
        Ok(pid.context("a pid")?.parse()?)
    }

    /// A number that the node of the member in `slot` counts, by its name in `/metrics` with what
    /// separates it from the value.
    ///
    /// # Errors
    /// If the node does not answer, or counts no such thing.
    pub fn metric(&self, slot: u16, name: &str) -> Result<u64> {
        let text = String::from_utf8(self.http(slot)?.get_bytes("/metrics")?)?;
        let mut values = text.lines().filter_map(|line| line.strip_prefix(name));
        let value = values.find_map(|value| value.trim().parse().ok());
        value.with_context(|| format!("no {name}"))
    }

    /// The committee as the nodes publish it.
    ///
    /// # Errors
    /// If the member in `slot` does not answer.
    pub fn committee_json(&self, slot: u16) -> Result<Value> {
        Ok(self.http(slot)?.get("/v1/committee")?)
    }
}

impl Drop for Committee {
    fn drop(&mut self) {
        let mut processes: Vec<Child> = self
            .members
            .iter_mut()
            .filter_map(|member| member.process.take())
            .collect();
        for process in &mut processes {
            drop(process.stdin.take());
        }
        for process in &mut processes {
            // Nothing is left to do for one that cannot be waited for.
            let _ = ended(process);
        }
    }
}

/// Waits for a node that was told to stop; after [`STOP_WITHIN`] it is killed.
fn ended(process: &mut Child) -> std::io::Result<ExitStatus> {
    let began = Instant::now();
    while began.elapsed() < STOP_WITHIN {
        if let Some(status) = process.try_wait()? {
            return Ok(status);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    process.kill()?;
    process.wait()
}

fn log_end(dir: &Path) -> String {
    let log = fs::read_to_string(dir.join("node.log")).unwrap_or_default();
    let lines: Vec<&str> = log.lines().rev().take(15).collect();
    lines.into_iter().rev().collect::<Vec<_>>().join("\n")
}
