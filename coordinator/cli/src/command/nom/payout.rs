//! `zq nom payout SEQ`: from an attested leaf to a momentum.

use std::path::Path;

use attestation::leaf::{BlockLeaf, Leaf};
use attestation::verify::verify_receipt;
use nom::client::{Client, Limits, Standing};
use nom::{Address, Amount, Hash, TokenStandard, sha3_256};
use serde_json::{Value, json};
use state::system::nom::Order;

use super::rpc_failure;
use crate::arguments::nom::Rpc;
use crate::command::attestation::invalid;
use crate::command::trust::Trust;
use crate::failure::Failure;
use crate::node::Node;
use crate::print::{Print, fields};

/// Momentums that are counted; more are as good.
const DEPTH: u64 = 60;

pub(super) fn trace(
    seq: u64,
    rpc: &Rpc,
    committee: Option<&Path>,
    node: &Node,
    print: &Print,
) -> Result<(), Failure> {
    let trust = match committee {
        Some(path) => Trust::from_file(path)?,
        None => Trust::from_json(&node.get("/v1/committee")?)?,
    };
    let step = node.get(&format!("/v1/steps/{seq}"))?;
    let leaves = step.get("leaves").and_then(Value::as_array);
    let index = leaves.into_iter().flatten().find_map(|leaf| {
        let is_block = leaf.get("kind").and_then(Value::as_str) == Some("block");
        is_block.then(|| leaf.get("leaf")?.as_u64()).flatten()
    });
    let index = index.ok_or_else(|| {
        Failure::new(
            format!("step {seq} issued no block"),
            "zq nom payout shows which steps did",
        )
    })?;
    let path = format!("/v1/attestations/{seq}/{index}");
    let receipt = node.get_bytes(&path)?;
    let bytes = node.get_bytes(&format!("{path}/leaf"))?;
    let verified = verify_receipt(&receipt, Some(&bytes), &trust.key, trust.committee.as_ref())
        .map_err(|error| invalid(&error))?;
    let Some(Leaf::Block(leaf)) = verified.leaf else {
        return Err(Failure::Invalid {
            check: "leaf",
            error: "the leaf is no block".to_owned(),
        });
    };
    let hash = sha3_256(bytes.get(BlockLeaf::HASHED_FROM..).unwrap_or_default());
    let mut value = said(&leaf, &hash);
    let standing = match &rpc.nom_rpc {
        Some(url) => standing(url, &leaf, &hash)?,
        None => json!({ "standing": "not asked: give --nom-rpc" }),
    };
    if let (Some(value), Some(standing)) = (value.as_object_mut(), standing.as_object()) {
        value.insert("seq".to_owned(), json!(seq));
        value.insert("leaf".to_owned(), json!(index));
        value.insert("statement".to_owned(), json!(verified.statement));
        value.extend(standing.clone());
    }
    print.result(&value, fields);
    Ok(())
}

fn said(leaf: &BlockLeaf, hash: &Hash) -> Value {
    let account = Address::from_bytes(leaf.account);
    let to = Address::from_bytes(leaf.to);
    let kind = match leaf.block_type {
        BlockLeaf::RECEIVE => "receive",
        _ if leaf.to == Order::NOBODY => "anchor",
        _ => "payout",
    };
    json!({
        "block": hash.to_string(),
        "kind": kind,
        "account": account.to_string(),
        "height": leaf.height,
        "to": to.to_string(),
        "token": TokenStandard::from_bytes(leaf.token).to_string(),
        "amount": Amount::from_bytes(leaf.amount).to_string(),
        "source": Hash::from_bytes(leaf.source).to_string(),
    })
}

/// Where the chain has the block.
fn standing(url: &str, leaf: &BlockLeaf, hash: &Hash) -> Result<Value, Failure> {
    let client = Client::new(url, leaf.chain, Limits::default());
    let client = client.map_err(|error| rpc_failure(&error))?;
    let account = Address::from_bytes(leaf.account);
    let held = client.blocks(&account, leaf.height, 1);
    let held = held.map_err(|error| rpc_failure(&error))?;
    let Some(held) = held.into_iter().next() else {
        return Ok(json!({ "standing": "unknown to the NoM node" }));
    };
    if held.block.hash != *hash {
        let other = held.block.hash.to_string();
        return Ok(json!({ "standing": "another block is at its height", "other": other }));
    }
    let standing = client.standing(&held.block, DEPTH);
    Ok(match standing.map_err(|error| rpc_failure(&error))? {
        Standing::Confirmed(now) => json!({
            "standing": "confirmed",
            "momentum": now.momentum.height,
            "momentum_hash": now.momentum.hash.to_string(),
            "depth": now.depth,
        }),
        Standing::Pending => json!({ "standing": "in no momentum yet" }),
        Standing::Unknown => json!({ "standing": "unknown to the NoM node" }),
    })
}
