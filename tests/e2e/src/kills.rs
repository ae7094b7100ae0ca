//! Processes, or machines, that are killed at random while callers keep the committee busy.

use anyhow::{Context as _, Result, bail};
use attestation::ids::ZappId;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore as _, SeedableRng as _};

use crate::{Load, Running};

const VICTIMS: [&str; 4] = ["signer", "executor", "coordinator", "node"];

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
        let slot = 1 + u16::try_from(random.next_u64() % 5)?;
        let victim = usize::try_from(random.next_u64())? % VICTIMS.len();
        let victim = VICTIMS.get(victim).copied().unwrap_or("node");
        println!("kill {kill}: {victim} of member {slot}");
        if victim == "node" {
            running.committee.kill_member(slot)?;
            running.committee.start_member(slot)?;
        } else {
            // One that is down already, or a coordinator where there is none, cannot be killed.
            let _ = running.kill_guest(slot, victim);
        }
    }
    load.wait_for_more(5)?;
    let attested = load.finish()?;
    check_agreement(running)?;
    Ok(attested)
}

/// Whether all nodes reach the same head by the same statements.
///
/// # Errors
/// The first difference.
pub fn check_agreement(running: &Running) -> Result<()> {
    let heads = (1..=5).filter_map(|slot| running.head(slot));
    let head = heads.max().context("a node that answers")?;
    for slot in 1..=5 {
        running.wait_for_head(slot, head)?;
    }
    for seq in 1..=head {
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
