//! What a committee of one form does in a round.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use attestation::ids::ZappId;
use launch::{Caller, Committee, Economy, Http, Plan, Programs};
use rustix::process::{Pid, Signal, kill_process};

use super::form::{Form, Guests};
use crate::committee::{Load, Target, accepted, deploy, load};

/// What rounds are made of.
pub(crate) struct Bench<'a> {
    pub(crate) guests: &'a Guests,
    pub(crate) wasm: &'a [u8],
    /// Where members' data goes.
    pub(crate) dir: &'a Path,
    /// Calls one at a time.
    pub(crate) calls: u32,
    /// Callers at once, and for how long.
    pub(crate) callers: u16,
    pub(crate) load: Duration,
}

/// The committee of a form, and what was seen of it in all rounds.
pub(crate) struct Measured {
    pub(crate) form: Form,
    /// From the first start of the nodes to the key.
    pub(crate) key: Duration,
    /// From the start of the nodes to the first attestation.
    pub(crate) first_step: Vec<Duration>,
    /// Of calls one at a time.
    pub(crate) latencies: Vec<Duration>,
    pub(crate) loads: Vec<Load>,
    pub(crate) returns: Vec<Return>,
    /// Calls that were attested while signers were killed.
    pub(crate) meanwhile: u64,
    committee: Committee,
    caller: Caller,
    counter: ZappId,
}

/// A signer that was killed, from then on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Return {
    /// Its successor has said hello.
    pub(crate) connected: Duration,
    /// A vote of it is in the register.
    pub(crate) voted: Duration,
}

impl Measured {
    /// Makes a committee, lets it generate its key, deploys the counter and stops it.
    pub(crate) fn prepare(bench: &Bench, form: Form) -> Result<Self> {
        let plan = Plan {
            members: MEMBERS,
            threshold: 4,
            coordinators: 2,
            dir: bench.dir.join(form.name().replace(' ', "-")),
            machines: bench.guests.machines(form),
            economy: Economy::default(),
            evm: false,
        };
        fs::create_dir_all(&plan.dir)?;
        let mut committee = Committee::create(Programs::beside_current()?, &plan)?;
        let record = committee.record();
        let mut caller = Caller::new(record.network, record.id())?;
        let began = Instant::now();
        start(bench, form, &mut committee)?;
        committee.wait_ready(WAIT_MAX)?;
        let key = began.elapsed();
        let counter = deploy(&committee.http(1)?, &mut caller, bench.wasm)?;
        stop(&mut committee)?;
        Ok(Self {
            form,
            key,
            first_step: Vec::new(),
            latencies: Vec::new(),
            loads: Vec::new(),
            returns: Vec::new(),
            meanwhile: 0,
            committee,
            caller,
            counter,
        })
    }

    /// Starts the committee, measures everything once, and stops it.
    pub(crate) fn round(&mut self, bench: &Bench) -> Result<()> {
        let first = self.first_step(bench)?;
        self.first_step.push(first);
        self.committee.wait_ready(WAIT_MAX)?;
        for slot in 1..=MEMBERS {
            // A signer that has not said hello yet would come in the middle of the load.
            until("a signer", || self.committee.guest(slot, SIGNER).ok())?;
        }
        for _ in 0..bench.calls {
            let began = Instant::now();
            let http = self.committee.http(1)?;
            call(&http, &mut self.caller, self.counter)?;
            self.latencies.push(began.elapsed());
        }
        let target = Target::of(&self.committee)?;
        let seconds = bench.load.as_secs();
        self.loads
            .push(load(&target, self.counter, bench.callers, seconds)?);
        for slot in 1..=MEMBERS {
            // Not through the node whose signer is killed: its callers have no part in this.
            let busy = Busy::start(&self.committee, self.counter, 1 + slot % MEMBERS)?;
            let returned = kill_signer(&self.committee, slot);
            self.meanwhile += busy.finish()?;
            self.returns.push(returned?);
        }
        stop(&mut self.committee)
    }

    /// Starts everything and calls until a call is attested.
    fn first_step(&mut self, bench: &Bench) -> Result<Duration> {
        let began = Instant::now();
        start(bench, self.form, &mut self.committee)?;
        let http = self.committee.http(1)?;
        let request = self.caller.request(self.counter, "add", one())?;
        until("a first step", || {
            let answer = self.caller.submit(&http, &request, 60).ok()?;
            accepted(&answer).ok()
        })?;
        Ok(began.elapsed())
    }
}

/// Starts all nodes with signers of this form.
fn start(bench: &Bench, form: Form, committee: &mut Committee) -> Result<()> {
    for slot in 1..=MEMBERS {
        let programs = committee.programs();
        let program = |name: &str| programs.path(name);
        let arguments = bench.guests.arguments(form, slot, program)?;
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        committee.extra_arguments(&arguments);
        committee.start_member(slot)?;
    }
    Ok(())
}

fn stop(committee: &mut Committee) -> Result<()> {
    for slot in 1..=MEMBERS {
        committee.stop_member(slot)?;
    }
    Ok(())
}

/// Pulls the plug of a signer and waits for its successor's first vote.
fn kill_signer(committee: &Committee, slot: u16) -> Result<Return> {
    let killed = committee.guest(slot, SIGNER)?;
    let pid = Pid::from_raw(killed).context("a pid")?;
    kill_process(pid, Signal::KILL)?;
    let began = Instant::now();
    until("the signer's successor", || {
        let guest = committee.guest(slot, SIGNER).ok();
        guest.filter(|guest| *guest != killed)
    })?;
    let connected = began.elapsed();
    // What the one that was killed voted for is in the register by now.
    let votes = committee.metric(slot, VOTES)?;
    until("a vote of it", || {
        let now = committee.metric(slot, VOTES).ok();
        now.filter(|now| *now > votes)
    })?;
    Ok(Return {
        connected,
        voted: began.elapsed(),
    })
}

/// Callers that keep a committee busy until they are told to stop.
struct Busy {
    stop: Arc<AtomicBool>,
    attested: Arc<AtomicU64>,
    threads: Vec<JoinHandle<Result<()>>>,
}

impl Busy {
    fn start(committee: &Committee, counter: ZappId, slot: u16) -> Result<Self> {
        let mut busy = Self {
            stop: Arc::default(),
            attested: Arc::default(),
            threads: Vec::new(),
        };
        for _ in 0..BUSY_CALLERS {
            let http = committee.http(slot)?;
            let record = committee.record();
            let mut caller = Caller::new(record.network, record.id())?;
            let (stop, attested) = (busy.stop.clone(), busy.attested.clone());
            busy.threads.push(thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    call(&http, &mut caller, counter)?;
                    attested.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            }));
        }
        Ok(busy)
    }

    /// How many calls were attested.
    fn finish(self) -> Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads {
            let called = thread.join();
            called.map_err(|_| anyhow::anyhow!("a caller died"))??;
        }
        Ok(self.attested.load(Ordering::Relaxed))
    }
}

fn call(http: &Http, caller: &mut Caller, counter: ZappId) -> Result<()> {
    let request = caller.request(counter, "add", one())?;
    accepted(&caller.submit(http, &request, 60)?)
}

/// What the counter is asked to add.
fn one() -> Vec<u8> {
    1_u64.to_be_bytes().to_vec()
}

fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> Result<T> {
    let began = Instant::now();
    loop {
        if let Some(seen) = look() {
            return Ok(seen);
        }
        if began.elapsed() > WAIT_MAX {
            bail!("no {what} within {} s", WAIT_MAX.as_secs());
        }
        thread::sleep(POLL);
    }
}

const MEMBERS: u16 = 5;
const SIGNER: &str = "signer";
const VOTES: &str = "zq_votes_total ";
/// Enough that steps follow each other, few enough that guests of the same cores can boot.
const BUSY_CALLERS: usize = 4;
/// Guests under emulation on a busy machine take their time.
const WAIT_MAX: Duration = Duration::from_secs(300);
const POLL: Duration = Duration::from_millis(5);
