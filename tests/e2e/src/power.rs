//! Power cuts: the processes of a member die, or of all, and of their data remains what was
//! fsynced.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use attestation::ids::ZappId;
use lossy_disk::LossyDisk;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};
use signer_protocol::register::Entry;

use crate::kills::check_agreement;
use crate::{DEADLINE, Load, Running, wait_for};

/// Every so many cuts hit the whole committee at once.
const ALL_EVERY: u64 = 4;

/// What a row of power cuts showed.
#[derive(Debug)]
pub struct Outcome {
    /// Calls attested meanwhile.
    pub attested: u64,
    /// For each cut of one member: from the start of its node to its next vote on disk.
    pub back: Vec<Duration>,
}

/// A disk whose power can be cut, or the line that counts as a skip.
#[must_use]
pub fn disk(test: &str) -> Option<LossyDisk> {
    let mounted = LossyDisk::mount();
    let skipped = |error: &anyhow::Error| println!("SKIP: {test}: {error:#}");
    mounted.inspect_err(skipped).ok()
}

/// Cuts the power of one member after the other, and of all at once now and then, while callers
/// keep the committee busy.
///
/// # Errors
/// If anything is gone that was acknowledged before, a member does not vote again, a request is
/// lost or runs twice, or nodes disagree afterwards.
pub fn at_random(running: &mut Running, counter: ZappId, cuts: u64) -> Result<Outcome> {
    let load = Load::start(running, counter, &[1, 2, 4])?;
    let mut random = ChaCha8Rng::seed_from_u64(cuts);
    let mut back = Vec::new();
    for cut in 1..=cuts {
        load.wait_for_more(random.next_u64() % 8)?;
        if cut % ALL_EVERY == 0 {
            println!("cut {cut}: all members");
            all(running)?;
            continue;
        }
        let slot = 1 + u16::try_from(random.next_u64() % 5)?;
        println!("cut {cut}: member {slot}");
        back.push(one(running, slot, random.next_u64().is_multiple_of(2))?);
    }
    load.wait_for_more(5)?;
    let attested = load.finish()?;
    check_agreement(running)?;
    Ok(Outcome { attested, back })
}

/// Cuts the power of one member while others keep the committee busy, and starts it again. Returns
/// how long it took from then to its next vote on disk.
///
/// # Errors
/// If anything is gone that was acknowledged before, or it does not vote again.
pub fn one(running: &mut Running, slot: u16, signer_first: bool) -> Result<Duration> {
    let promised = Promised::of(running, slot)?;
    if signer_first {
        // It may be down already.
        let _ = running.kill_guest(slot, "signer");
    }
    running.committee.kill_member(slot)?;
    let dir = promised.dir(running)?;
    running.disk()?.cut_power(&dir)?;
    promised.check_register(running)?;
    let began = Instant::now();
    running.committee.start_member(slot)?;
    wait_for(&format!("a vote of member {slot}"), || {
        votes(running, slot).filter(|votes| *votes > 0)
    })?;
    Ok(began.elapsed())
}

/// Cuts the power of all members while callers keep the committee busy, and starts them again.
///
/// # Errors
/// If anything is gone that was acknowledged before, or the committee does not come back.
pub fn all(running: &mut Running) -> Result<()> {
    let promised: Result<Vec<_>> = (1..=5).map(|slot| Promised::of(running, slot)).collect();
    let promised = promised?;
    for slot in 1..=5 {
        running.committee.kill_member(slot)?;
    }
    running.disk()?.cut_power(running.dir())?;
    for promised in &promised {
        promised.check_register(running)?;
    }
    running.committee.start()?;
    running.committee.wait_ready(DEADLINE)?;
    for promised in &promised {
        let head = wait_for("a node's head", || running.head(promised.slot))?;
        if head < promised.head {
            bail!(
                "member {} had accepted step {} and is at step {head} after a power cut",
                promised.slot,
                promised.head
            );
        }
    }
    Ok(())
}

/// What a member has made known, and so must still have after a power cut.
struct Promised {
    slot: u16,
    /// Position of a register entry that was acknowledged.
    entry: u64,
    head: u64,
}

impl Promised {
    fn of(running: &Running, slot: u16) -> Result<Self> {
        let entry = last_entry(running, slot)?;
        let before = wait_for("a node's metrics", || votes(running, slot))?;
        // Entries become durable in order: two votes later, the first one's predecessors are.
        wait_for(&format!("votes of member {slot}"), || {
            votes(running, slot).filter(|votes| *votes > before + 1)
        })?;
        let head = wait_for("a node's head", || running.head(slot))?;
        Ok(Self { slot, entry, head })
    }

    fn dir(&self, running: &Running) -> Result<std::path::PathBuf> {
        let members = running.committee.members().iter();
        let member = members.clone().find(|member| member.slot == self.slot);
        Ok(member.context("a member")?.dir.clone())
    }

    fn check_register(&self, running: &Running) -> Result<()> {
        let last = last_entry(running, self.slot)?;
        if last < self.entry {
            bail!(
                "the register of member {} had acknowledged entry {} and ends at {last} after a \
                 power cut",
                self.slot,
                self.entry
            );
        }
        Ok(())
    }
}

/// Position of the last whole entry in a member's register, as it stands in the file.
fn last_entry(running: &Running, slot: u16) -> Result<u64> {
    let member = running.committee.members().iter();
    let member = member.clone().find(|member| member.slot == slot);
    let bytes = fs::read(member.context("a member")?.dir.join("register"))?;
    let (mut rest, mut last) = (bytes.as_slice(), None);
    // Rows of `length u32 ‖ its inverse ‖ entry`.
    while let Some((length, after)) = rest.split_first_chunk::<4>() {
        let length = usize::try_from(u32::from_be_bytes(*length))?;
        let Some(entry) = after.get(4..4 + length) else {
            break;
        };
        last = Some(Entry::from_bytes(entry)?.index);
        rest = after.get(4 + length..).unwrap_or_default();
    }
    last.context("an entry in the register")
}

fn votes(running: &Running, slot: u16) -> Option<u64> {
    running.metric(slot, "zq_votes_total ")
}
