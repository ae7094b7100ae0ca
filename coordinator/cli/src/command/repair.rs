//! `zq committee repair`.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::PathBuf;

use attestation::ids::Slot;
use serde_json::json;
use signer_protocol::lineage::Lineage;
use signer_protocol::repair::RepairPlan;

use crate::command::light::proven;
use crate::command::zapp::now_ms;
use crate::failure::Failure;
use crate::node::Node;
use crate::print::{Print, fields};

/// Plans a repair from what the node proves of the committee, and writes it to `out`.
pub(crate) fn run(
    node: &Node,
    lost: u16,
    helpers: &[u16],
    out: &PathBuf,
    print: &Print,
) -> Result<(), Failure> {
    let (record, key, epochs) = proven(node)?;
    let base = Lineage::new(&record, &key).and_then(|first| first.through(&epochs));
    let base = base.map_err(|error| {
        Failure::new(
            format!("the node does not prove who its committee is: {error}"),
            "ask another member's node, with --node",
        )
    })?;
    let (members, lost) = (base.members(), Slot(lost));
    let mut helpers: Vec<Slot> = match helpers {
        [] => {
            let others = members.slots().filter(|slot| *slot != lost);
            others.take(usize::from(members.threshold())).collect()
        }
        named => named.iter().copied().map(Slot).collect(),
    };
    helpers.sort_unstable();
    let plan = RepairPlan {
        network: record.network,
        committee: record.id(),
        epoch: members.epoch(),
        key: base.key().package_digest(),
        helpers,
        lost,
        // Tries are told apart, and a later one has a higher number.
        attempt: now_ms()?,
    };
    let checked = plan.check(members);
    checked.map_err(|error| Failure::Usage(error.to_string()))?;
    let opened = OpenOptions::new().write(true).create_new(true).open(out);
    opened
        .and_then(|mut opened| {
            opened.write_all(&plan.to_bytes())?;
            opened.sync_all()
        })
        .map_err(|error| Failure::file(out, &error))?;
    let value = json!({
        "committee_id": plan.committee,
        "epoch": plan.epoch,
        "lost": plan.lost,
        "helpers": plan.helpers,
        "attempt": plan.attempt,
    });
    print.result(&value, fields);
    Ok(())
}
