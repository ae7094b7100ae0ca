//! Callers that keep a committee busy while its processes die, and an account of what they were
//! promised.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use attestation::ids::ZappId;
use attestation::request::Request;
use launch::{Caller, Http, HttpError};

use crate::{DEADLINE, Running, count, text, wait_for};

/// How long a node is asked to wait before another one is asked, in seconds.
const PATIENCE_S: u64 = 1;

/// Callers of the counter, each with one request at a time.
pub struct Load {
    stop: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    /// What the counter had counted before.
    before: u64,
    callers: Vec<JoinHandle<Result<Vec<u64>>>>,
}

impl Load {
    /// Starts one caller for each of `slots`, which asks that node first and then the others.
    ///
    /// # Errors
    /// If the system has no randomness for their keys.
    pub fn start(running: &Running, zapp: ZappId, slots: &[u16]) -> Result<Self> {
        Self::start_after(running, zapp, slots, 0)
    }

    /// The same at a counter that has counted before.
    ///
    /// # Errors
    /// If the system has no randomness for their keys.
    pub fn start_after(
        running: &Running,
        zapp: ZappId,
        slots: &[u16],
        before: u64,
    ) -> Result<Self> {
        let (stop, done) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let mut callers = Vec::new();
        for slot in slots {
            let record = running.committee.record();
            let mut caller = Caller::new(record.network, record.id())?;
            let mut nodes = vec![running.committee.http(*slot)?];
            for other in (1..=5).filter(|other| other != slot) {
                nodes.push(running.committee.http(other)?);
            }
            let (stop, done) = (Arc::clone(&stop), Arc::clone(&done));
            callers.push(thread::spawn(move || {
                let mut counts = Vec::new();
                while !stop.load(Ordering::Relaxed) {
                    let request = caller.request(zapp, "add", Vec::new())?;
                    counts.push(attest(&caller, &nodes, &request)?);
                    done.fetch_add(1, Ordering::Relaxed);
                }
                Ok(counts)
            }));
        }
        Ok(Self {
            stop,
            done,
            before,
            callers,
        })
    }

    /// Requests attested so far.
    #[must_use]
    pub fn attested(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Waits until as many requests more are attested.
    ///
    /// # Errors
    /// If that does not happen in time.
    pub fn wait_for_more(&self, more: u64) -> Result<()> {
        let goal = self.attested() + more;
        wait_for(&format!("{more} more attested calls"), || {
            (self.attested() >= goal).then_some(())
        })
    }

    /// Lets each caller finish the request that it has sent, and says how many were attested.
    ///
    /// # Errors
    /// If a request was lost, or ran twice, or its attestation did not come.
    pub fn finish(self) -> Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        let mut counts = Vec::new();
        for caller in self.callers {
            let joined = caller.join().ok().context("a caller panicked")?;
            counts.extend(joined?);
        }
        counts.sort_unstable();
        // The counter gives each call a number of its own: one that ran twice leaves a gap.
        for (expected, count) in (self.before + 1..).zip(&counts) {
            if *count != expected {
                bail!("call {expected} is missing: {counts:?}");
            }
        }
        Ok(counts.len() as u64)
    }
}

/// Sends a request to one node after the other until one says that it is attested.
fn attest(caller: &Caller, nodes: &[Http], request: &Request) -> Result<u64> {
    let path = format!("/v1/requests/{}", request.id());
    let began = Instant::now();
    let mut last = String::new();
    for node in nodes.iter().cycle() {
        let answer = match caller.submit(node, request, PATIENCE_S) {
            // A node that accepted the step refuses the request, and knows what became of it.
            Err(HttpError::Refused { .. }) => node.get(&path),
            answer => answer,
        };
        match answer {
            Ok(answer) if text(&answer, "/state") == Some("accepted") => {
                // A node that learnt the step from another may hold the output's digest only.
                if let Some(count) = count(&answer) {
                    return Ok(count);
                }
                last = answer.to_string();
            }
            Ok(answer) if text(&answer, "/state") == Some("closed") => {
                bail!("an accepted request was closed: {answer}");
            }
            Ok(answer) => last = answer.to_string(),
            Err(error) => last = error.to_string(),
        }
        if began.elapsed() > DEADLINE {
            break;
        }
    }
    bail!("request {} is lost: {last}", request.id())
}
