//! `zq-node repair`: an operator's word for the repair of a member's lost key share, and how a running
//! node takes it up.
//!
//! A member helps under a plan that its own operator has approved and under no other: the share goes
//! to whoever holds the keys of the plan's slot. Each approval is one try: it is over when the signer
//! starts anew, since what a try needs lives in memory alone.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use attestation::codec;
use attestation::committee::CreationRecord;
use attestation::ids::Slot;
use clap::Args;
use link::local::{Role, ToGuest};
use serde_json::{Value, json};
use signer_protocol::dkg::KeyRecord;
use signer_protocol::lineage::{EpochRecord, Lineage};
use signer_protocol::repair::{REPAIR_PLAN_BYTES_MAX, RepairPlan};

use crate::consent::{Asking, Own, check_owner, place, read};
use crate::files;
use crate::node::Node;

/// Arguments of `zq-node repair`.
#[derive(Args, Debug)]
pub struct Approve {
    /// Data directory of a node that runs.
    #[arg(long)]
    dir: PathBuf,
    /// The repair, made by `zq committee repair`.
    repair: PathBuf,
    /// Approve without asking.
    #[arg(long)]
    yes: bool,
    /// Print what is approved as JSON; needs --yes.
    #[arg(long, requires = "yes")]
    json: bool,
}

/// Shows the repair, asks, and writes it where the node takes it up.
///
/// # Errors
/// If the repair is none of this member's committee, epoch and key, or it has no part in it, or it
/// cannot be written.
pub fn approve(arguments: &Approve) -> Result<()> {
    let dir = &arguments.dir;
    check_owner(dir)?;
    let bytes = read(&arguments.repair, REPAIR_PLAN_BYTES_MAX as u64)?;
    let plan = RepairPlan::from_bytes(&bytes).context("not a repair of a share")?;
    let lineage = lineage(dir)?;
    check(&plan, &lineage).context("this repair is not to be approved")?;
    let own = Own::of(dir)?.slot(lineage.members());
    let own = own.with_context(|| format!("no member of epoch {}", lineage.epoch()))?;
    ensure!(
        own == plan.lost || plan.helpers.contains(&own),
        "member {own} has no part in this repair"
    );
    let summary = json!({
        "committee": plan.committee,
        "epoch": plan.epoch,
        "key": plan.key,
        "lost": plan.lost,
        "identity": lineage.members().member(plan.lost).map(|card| card.identity),
        "helpers": plan.helpers,
        "attempt": plan.attempt,
        "own_slot": own,
    });
    let (yes, json) = (arguments.yes, arguments.json);
    Asking { yes, json }.consent(&summary, text)?;
    place(dir, files::REPAIR, &bytes)
}

fn text(summary: &Value) -> String {
    let part = |name: &str| match summary.get(name) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(slots)) => {
            let slots: Vec<String> = slots.iter().map(Value::to_string).collect();
            slots.join(", ")
        }
        other => other.map(Value::to_string).unwrap_or_default(),
    };
    format!(
        "committee  {}\nepoch      {}\nattempt    {}\nlost       the share of member {} ({})\n\
         help       {}\nyou are    {}",
        part("committee"),
        part("epoch"),
        part("attempt"),
        part("lost"),
        part("identity"),
        part("helpers"),
        part("own_slot"),
    )
}

/// The plan is of the epoch in force and of its key.
fn check(plan: &RepairPlan, lineage: &Lineage) -> Result<()> {
    plan.check(lineage.members())?;
    ensure!(
        plan.key == lineage.key().package_digest(),
        "it is of another key than that of epoch {}",
        lineage.epoch()
    );
    Ok(())
}

/// What the directory knows of its committee.
fn lineage(dir: &Path) -> Result<Lineage> {
    const RECORD_BYTES_MAX: u64 = 1024 * 1024;
    let record = read(&dir.join(files::RECORD), RECORD_BYTES_MAX)?;
    let record = CreationRecord::from_bytes(&record).context(files::RECORD)?;
    let key = read(&dir.join(files::KEY), files::KEY_BYTES_MAX)
        .context("this member knows of no key yet")?;
    let key = KeyRecord::from_bytes(&key).context(files::KEY)?;
    let path = dir.join(files::EPOCHS);
    let epochs: Vec<EpochRecord> = match path.exists() {
        true => {
            let bytes = read(&path, crate::change::EPOCHS_BYTES_MAX as u64)?;
            codec::decode(&bytes, crate::change::EPOCHS_BYTES_MAX).context(files::EPOCHS)?
        }
        false => Vec::new(),
    };
    Ok(Lineage::new(&record, &key)?.through(&epochs)?)
}

/// Hands a repair to the signer that the operator has approved.
///
/// `refused` is why the last one was not taken up: what stays wrong is said once.
pub async fn look(node: &Arc<Node>, refused: &mut String) {
    let Some(session) = node.routes.guest(Role::Signer) else {
        return;
    };
    match taken(node) {
        Ok(None) => {}
        Ok(Some(plan)) => {
            tracing::info!(lost = %plan.lost, attempt = plan.attempt, "the operator approved a repair");
            node.board.repair_begun(plan.lost, plan.attempt);
            let _turn = node.turn(Role::Signer).await;
            let told = session.send(&ToGuest::Repair(Box::new(plan))).await;
            // One that ended before the board had the repair did not end it there.
            if told.is_err() || !node.routes.is_current(Role::Signer, session.generation) {
                node.board.repair_forgotten();
            }
        }
        Err(error) => {
            let line = format!("the approved repair is not taken up: {error:#}");
            if line != *refused {
                tracing::warn!("{line}");
                node.board.alert(line.clone());
                *refused = line;
            }
        }
    }
}

/// The approved repair. Whatever becomes of it, it is not there any more; if it is tried, that is
/// written down.
fn taken(node: &Node) -> Result<Option<RepairPlan>> {
    let bytes = node
        .disk
        .load(files::REPAIR, REPAIR_PLAN_BYTES_MAX as u64)
        .context(files::REPAIR)?;
    let Some(bytes) = bytes.filter(|bytes| !bytes.is_empty()) else {
        return Ok(None);
    };
    let plan = taken_up(node, &bytes);
    if plan.is_ok() {
        note(node, &bytes)?;
    }
    node.disk
        .replace(files::REPAIR, &[])
        .context(files::REPAIR)?;
    plan.map(Some)
}

fn taken_up(node: &Node, bytes: &[u8]) -> Result<RepairPlan> {
    let plan = RepairPlan::from_bytes(bytes).context(files::REPAIR)?;
    let epochs = node.epochs();
    let lineage = epochs.lineage().context("there is no key yet")?;
    check(&plan, lineage)?;
    Ok(plan)
}

/// Writes down which repair is tried; none, if nothing is.
fn note(node: &Node, plan: &[u8]) -> Result<()> {
    node.disk
        .replace(files::REPAIR_TRIED, plan)
        .context(files::REPAIR_TRIED)
}

/// Whoever lost its share has it again.
pub fn done(node: &Node, lost: Slot) {
    tracing::info!(member = %lost, "has its key share again");
    node.board.repaired(lost);
    forget(node);
}

/// The signer says that the repair is over without a share.
pub fn aborted(node: &Node, why: &str) {
    tracing::error!(%why, "the repair of a share is aborted");
    node.board.repair_ended(why);
    forget(node);
}

/// At the node's start: shows the repair that it did not see the end of.
pub fn resume(node: &Node) {
    let tried = node
        .disk
        .load(files::REPAIR_TRIED, REPAIR_PLAN_BYTES_MAX as u64);
    // It is for the operator's eyes alone: a file that is none of this epoch says nothing.
    let plan = tried.ok().flatten();
    if let Some(Ok(plan)) = plan.map(|bytes| taken_up(node, &bytes)) {
        node.board.repair_begun(plan.lost, plan.attempt);
        node.board.repair_forgotten();
    }
}

fn forget(node: &Node) {
    if let Err(error) = note(node, &[]) {
        tracing::warn!("{error:#}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repair_is_not_placed_where_the_node_of_another_user_reads() {
        let dir = tempfile::tempdir().expect("a directory");
        // To whom it is given; who may not give it away uses one that is root's.
        let given = std::os::unix::fs::chown(dir.path(), Some(1), None);
        let dir = given.map_or_else(|_| "/".into(), |()| dir.path().to_owned());
        let arguments = Approve {
            repair: dir.join("repair.plan"),
            dir,
            yes: true,
            json: false,
        };
        let refused = approve(&arguments).expect_err("another user's");
        assert!(refused.to_string().contains("another user's"), "{refused}");
    }
}
