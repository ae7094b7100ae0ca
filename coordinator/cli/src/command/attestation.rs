//! `zq attestation`.

use std::fs;
use std::path::Path;

use attestation::leaf::{BlockLeaf, Leaf};
use attestation::receipt::Receipt;
use attestation::verify::{Check, Verified, VerifyError, verify_receipt};
use serde_json::{Value, json};

use crate::arguments::AttestationVerb;
use crate::command::trust::Trust;
use crate::failure::Failure;
use crate::files;
use crate::node::Node;
use crate::print::{Print, fields, plain};

pub(crate) fn run(
    verb: AttestationVerb,
    node: impl FnOnce() -> Result<Node, Failure>,
    print: &Print,
) -> Result<(), Failure> {
    match verb {
        AttestationVerb::Get {
            seq,
            leaf,
            committee,
            out,
        } => get(&node()?, (seq, leaf), committee.as_deref(), &out, print),
        AttestationVerb::Verify {
            file,
            committee,
            key,
            committee_id,
            leaf,
        } => {
            let trust = match (committee, key) {
                (Some(path), _) => Trust::from_file(&path)?,
                (None, Some(key)) => Trust {
                    key,
                    committee: committee_id,
                    network: None,
                },
                (None, None) => {
                    return Err(Failure::Usage("--committee or --key is needed".to_owned()));
                }
            };
            let receipt = files::read_proof(&file, Check::Receipt.name(), files::PROOF_BYTES_MAX)?;
            let leaf = leaf
                .map(|path| files::read_proof(&path, Check::Leaf.name(), files::PROOF_BYTES_MAX));
            verify_file(&receipt, leaf.transpose()?.as_deref(), &trust, print)
        }
        AttestationVerb::Inspect { file } => inspect(
            &files::read_proof(&file, Check::Receipt.name(), files::PROOF_BYTES_MAX)?,
            print,
        ),
    }
}

/// Writes an attestation and its leaf as SEQ.LEAF.cose and SEQ.LEAF.bin.
pub(crate) fn save(
    dir: &Path,
    (seq, leaf): (u64, u64),
    receipt: &[u8],
    bytes: &[u8],
) -> Result<(String, String), Failure> {
    fs::create_dir_all(dir).map_err(|error| Failure::file(dir, &error))?;
    let write = |extension: &str, bytes: &[u8]| {
        let path = dir.join(format!("{seq}.{leaf}.{extension}"));
        fs::write(&path, bytes).map_err(|error| Failure::file(&path, &error))?;
        Ok(path.display().to_string())
    };
    Ok((write("cose", receipt)?, write("bin", bytes)?))
}

/// What a verified attestation says, as JSON.
pub(crate) fn describe(verified: &Verified) -> Value {
    let commit = &verified.commit;
    json!({
        "statement": verified.statement,
        "committee": commit.committee,
        "seq": commit.seq,
        "epoch": commit.epoch,
        "leaf_index": verified.index,
        "tree_size": commit.tree_size,
        "time_ms": commit.time_ms,
        "state": commit.state,
        "leaf": verified.leaf.as_ref().map(leaf_json),
    })
}

fn get(
    node: &Node,
    place: (u64, u64),
    committee: Option<&Path>,
    out: &Path,
    print: &Print,
) -> Result<(), Failure> {
    let trust = match committee {
        Some(path) => Trust::from_file(path)?,
        None => Trust::from_json(&node.get("/v1/committee")?)?,
    };
    let path = format!("/v1/attestations/{}/{}", place.0, place.1);
    let receipt = node.get_bytes(&path)?;
    let leaf = node.get_bytes(&format!("{path}/leaf"))?;
    // What is kept must be what was asked for: a file is trusted by its name later.
    let verified = verify_receipt(&receipt, Some(&leaf), &trust.key, trust.committee.as_ref())
        .map_err(|error| invalid(&error))?;
    let (seq, index) = (verified.commit.seq.0, verified.index);
    if (seq, index) != place {
        return Err(Failure::Invalid {
            check: "position",
            error: format!("the node sent the attestation of leaf {seq}.{index}"),
        });
    }
    let (attestation, leaf) = save(out, place, &receipt, &leaf)?;
    let statement = verified.statement;
    print.result(
        &json!({ "attestation": attestation, "leaf": leaf, "statement": statement, "verified": true }),
        fields,
    );
    Ok(())
}

fn verify_file(
    receipt: &[u8],
    leaf: Option<&[u8]>,
    trust: &Trust,
    print: &Print,
) -> Result<(), Failure> {
    let done = verify_receipt(receipt, leaf, &trust.key, trust.committee.as_ref());
    let checks: Vec<Check> = match &done {
        Ok(verified) => verified.checks().collect(),
        Err(error) => Check::made(leaf.is_some(), trust.committee.is_some())
            .take_while(|check| *check != error.check())
            .collect(),
    };
    let mut list: Vec<Value> = checks
        .iter()
        .map(|check| json!({ "check": check.name(), "ok": true, "claim": check.claim() }))
        .collect();
    let (valid, said) = match &done {
        Ok(verified) => (true, describe(verified)),
        Err(error) => {
            let error_text = error.to_string();
            list.push(json!({ "check": error.check().name(), "ok": false, "claim": error_text }));
            (false, Value::Null)
        }
    };
    let failed = done.as_ref().err();
    let value = json!({
        "valid": valid,
        "checks": list,
        "check": failed.map(|error| error.check().name()),
        "error": failed.map(ToString::to_string),
        "says": said,
    });
    print.result(&value, verdict);
    done.map(|_| ()).map_err(|error| invalid(&error))
}

/// The failure for an attestation that does not verify.
pub(crate) fn invalid(error: &VerifyError) -> Failure {
    Failure::Invalid {
        check: error.check().name(),
        error: error.to_string(),
    }
}

fn verdict(value: &Value) -> String {
    let mut lines = Vec::new();
    for check in value
        .get("checks")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
    {
        let part = |name: &str| check.get(name).map(plain).unwrap_or_default();
        let mark = if part("ok") == "true" { "ok  " } else { "FAIL" };
        lines.push(format!("{mark}  {:<11} {}", part("check"), part("claim")));
    }
    if value.get("valid") == Some(&Value::Bool(true)) {
        let says = value.get("says").cloned().unwrap_or_default();
        lines.push(format!("\nvalid\n{}", fields(&says)));
        if let Some(leaf) = says.get("leaf").filter(|leaf| leaf.is_object()) {
            lines.push(fields(leaf));
        }
    } else {
        lines.push("\nINVALID".to_owned());
    }
    lines.join("\n")
}

fn inspect(bytes: &[u8], print: &Print) -> Result<(), Failure> {
    let receipt = Receipt::from_bytes(bytes).map_err(|error| Failure::Invalid {
        check: Check::Receipt.name(),
        error: error.to_string(),
    })?;
    let commit = &receipt.commit;
    let value = json!({
        "checked": false,
        "key_id": receipt.key_id,
        "leaf_index": receipt.proof.index,
        "tree_size": receipt.proof.tree_size,
        "path": receipt.proof.path.iter().map(hex::encode).collect::<Vec<_>>(),
        "leaf_hash": hex::encode(receipt.leaf_hash),
        "signature": receipt.signature,
        "network": commit.network,
        "committee": commit.committee,
        "epoch": commit.epoch,
        "seq": commit.seq,
        "previous_state": commit.previous_state,
        "state": commit.state,
        "profile": commit.profile,
        "previous": commit.previous,
        "anchor_height": commit.anchor_height,
        "anchor": commit.anchor,
        "time_ms": commit.time_ms,
        "gas_used": commit.gas_used,
        "inputs": commit.inputs,
        "trace": commit.trace,
    });
    print.result(&value, fields);
    Ok(())
}

/// The hash that the group signs for the block.
fn block_hash(block: &BlockLeaf) -> String {
    let bytes = block.to_bytes();
    let (_, hashed) = bytes.split_at(BlockLeaf::HASHED_FROM);
    nom::sha3_256(hashed).to_string()
}

fn leaf_json(leaf: &Leaf) -> Value {
    match leaf {
        Leaf::Settlement(bill) => json!({
            "kind": "settlement",
            "requests": bill.requests,
            "gas": bill.gas,
            "fees": bill.fees,
        }),
        Leaf::Output(output) => json!({
            "kind": "output",
            "zapp": output.zapp,
            "request": output.request,
            "status": output.status.name(),
            "code": output.code,
            "gas": output.gas,
            "output_digest": output.output,
            "events_digest": output.events,
        }),
        Leaf::Message(message) => json!({
            "kind": "message",
            "zapp": message.zapp,
            "chain": message.chain,
            "contract": hex::encode(message.contract),
            "receiver": hex::encode(message.receiver),
            "channel": message.channel,
            "number": message.number,
            "gas": message.gas,
            "payload": hex::encode(&message.payload),
        }),
        Leaf::KeyChange(change) => json!({
            "kind": "key_change",
            "suite": change.suite,
            "last_seq": change.last_seq,
            "old": hex::encode(change.old),
            "new": hex::encode(change.new),
        }),
        Leaf::Block(block) => json!({
            "kind": "block",
            "chain": block.chain,
            "block_type": block.block_type,
            "height": block.height,
            "account": nom::Address::from_bytes(block.account).to_string(),
            "to": nom::Address::from_bytes(block.to).to_string(),
            "token": nom::TokenStandard::from_bytes(block.token).to_string(),
            "amount": nom::Amount::from_bytes(block.amount).to_string(),
            "source": hex::encode(block.source),
            "data_digest": hex::encode(block.data),
            "block_hash": block_hash(block),
        }),
    }
}
