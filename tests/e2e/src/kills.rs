//! Processes, or machines, that are killed at random while callers keep the committee busy.

use anyhow::{Context as _, Result, bail};
use attestation::ids::{GroupKey, ZappId};
use attestation::step_attestation::StepAttestation;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};

use rustix::process::Signal;

use crate::{Load, Running, signal, wait_for};

/// Parts of a member that are killed; an engine is the process in which its node runs zApps.
pub const VICTIMS: [&str; 5] = ["signer", "executor", "coordinator", "engine", "node"];

/// How many are killed: `usual`, or what `ZQ_KILLS` says, for longer runs.
///
/// # Errors
/// If that is no number.
pub fn how_many(usual: u64) -> Result<u64> {
    match std::env::var("ZQ_KILLS") {
        Ok(kills) => Ok(kills.parse().context("ZQ_KILLS")?),
        Err(_) => Ok(usual),
    }
}

/// Kills one after the other and says how many calls of the counter were attested meanwhile.
///
/// # Errors
/// If the committee does not go on, or an accepted request is lost or runs twice, or nodes disagree
/// afterwards.
pub fn at_random(running: &mut Running, counter: ZappId, kills: u64) -> Result<u64> {
    let load = Load::start(running, counter, &[1, 2, 4])?;
    let mut random = ChaCha8Rng::seed_from_u64(kills);
    for kill in 0..kills {
        load.wait_for_more(random.next_u64() % 8)?;
        let slot = u16::try_from(random.next_u64() % 5)?;
        let victim = usize::try_from(random.next_u64())? % VICTIMS.len();
        let victim = VICTIMS.get(victim).copied().unwrap_or("node");
        // Only the first two members run a coordinator.
        let slot = 1 + if victim == "coordinator" {
            slot % 2
        } else {
            slot
        };
        let killed = match victim {
            "node" => {
                running.committee.kill_member(slot)?;
                running.committee.start_member(slot)?;
                slot
            }
            "engine" => kill_engine(running, slot)?,
            // One that is down already comes back: every kill kills.
            _ => wait_for(&format!("{victim} of member {slot}"), || {
                running.kill_guest(slot, victim).ok().map(|()| slot)
            })?,
        };
        println!("kill {kill}: {victim} of member {killed}");
    }
    load.wait_for_more(5)?;
    let attested = load.finish()?;
    check_agreement(running)?;
    Ok(attested)
}

/// Kills an engine process of the node of `slot`, or of the next one that has any; says which.
///
/// # Errors
/// If none has one in time.
pub fn kill_engine(running: &Running, slot: u16) -> Result<u16> {
    wait_for("an engine process", || {
        let mut slots = (slot..=5).chain(1..slot);
        slots.find(|slot| {
            let engines = running.engines(*slot);
            engines.iter().any(|pid| signal(*pid, Signal::KILL).is_ok())
        })
    })
}

/// Whether all nodes reach the same head by the same statements, each with an attestation that
/// verifies under the group key.
///
/// # Errors
/// The first difference.
pub fn check_agreement(running: &Running) -> Result<()> {
    let heads = (1..=5).filter_map(|slot| running.head(slot));
    let head = heads.max().context("a node that answers")?;
    for slot in 1..=5 {
        running.wait_for_head(slot, head)?;
    }
    let published = running.committee.committee_json(1)?;
    let key = published.get("group_key").and_then(|key| key.as_str());
    let key: GroupKey = key.context("the group key")?.parse()?;
    for seq in 1..=head {
        for slot in 1..=5 {
            let http = running.committee.http(slot)?;
            let bytes = http.get_bytes(&format!("/v1/steps/{seq}/attestation"))?;
            let attestation = StepAttestation::from_bytes(&bytes)?;
            let verified = attestation.verify(&key);
            verified.with_context(|| format!("step {seq} at node {slot}"))?;
            if attestation.commit.seq.0 != seq {
                bail!("node {slot} shows another step as {seq}");
            }
        }
        let statement = |slot: u16| -> Result<String> {
            let step = running.committee.http(slot)?;
            let step = step.get(&format!("/v1/steps/{seq}"))?;
            let statement = step.get("statement").and_then(|value| value.as_str());
            Ok(statement.context("a step has a statement")?.to_owned())
        };
        let first = statement(1)?;
        for slot in 2..=5 {
            let other = statement(slot)?;
            if other != first {
                bail!("step {seq}: {first} at node 1, {other} at node {slot}");
            }
        }
    }
    Ok(())
}
