//! Where a relay has attestations from: a committee's gateway, which it does not trust.

use attestation::codec::Malformed;
use attestation::commit::Commit;
use attestation::ids::{CommitteeId, Digest, EvmKey, LeafRoot, ZappId};
use evm_client::calldata::Inclusion;
use evm_client::contract::Trust;
use evm_client::relay::{Item, ItemKind, Page, Proof, Source};
use evm_client::transaction::Address;
use serde_json::Value;

use crate::failure::Failure;
use crate::node::Node;

/// Steps of one answer of the gateway.
const STEPS: u64 = 100;

/// A committee's gateway.
pub(super) struct Gateway(pub(super) Node);

impl Source for Gateway {
    type Error = Failure;

    fn leaves(&mut self, from: u64, chain: u64, contract: &Address) -> Result<Page, Failure> {
        let answer = self
            .0
            .get(&format!("/v1/steps?from={from}&limit={STEPS}"))?;
        let head = number(&answer, "head")?;
        let mut page = Page {
            head,
            next: from,
            items: Vec::new(),
        };
        let mut padded = [0; 32];
        let (_, tail) = padded.split_at_mut(12);
        tail.copy_from_slice(contract);
        let contract = hex::encode(padded);
        for step in array(&answer, "steps")? {
            let seq = number(step, "seq")?;
            // One after the other: what a gateway passes over is not passed over here.
            if seq != page.next.max(1) || seq > head {
                return Err(unreadable("seq"));
            }
            page.next = seq.saturating_add(1);
            for leaf in array(step, "leaves")? {
                page.items.extend(item(seq, leaf, chain, &contract)?);
            }
        }
        Ok(page)
    }

    fn proof(&mut self, seq: u64, index: u64) -> Result<Option<Proof>, Failure> {
        let path = format!("/v1/attestations/{seq}/{index}.evm");
        match self.0.get_if(&path, "not_cosigned")? {
            Some(answer) => proof(&answer).map(Some),
            None => Ok(None),
        }
    }
}

/// A leaf that is for the contract.
fn item(seq: u64, leaf: &Value, chain: u64, contract: &str) -> Result<Option<Item>, Failure> {
    let kind = leaf.get("kind").and_then(Value::as_str);
    let kind = match kind {
        Some("message") => {
            let is_meant = number(leaf, "chain")? == chain && word(leaf, "contract")? == contract;
            if !is_meant {
                return Ok(None);
            }
            ItemKind::Message {
                zapp: parsed::<ZappId>(leaf, "zapp")?,
                channel: parsed::<Digest>(leaf, "channel")?,
                number: number(leaf, "number")?,
            }
        }
        Some("key_change") => ItemKind::KeyChange,
        _ => return Ok(None),
    };
    let index = number(leaf, "leaf")?;
    Ok(Some(Item { seq, index, kind }))
}

fn proof(answer: &Value) -> Result<Proof, Failure> {
    let commit = Commit::from_bytes(&bytes(answer, "commit")?);
    let path = array(answer, "path")?.iter().map(|hash| {
        let hash = hash.as_str().and_then(|hash| hex::decode(hash).ok());
        hash.and_then(|hash| hash.try_into().ok())
            .ok_or_else(|| unreadable("path"))
    });
    Ok(Proof {
        commit: commit.map_err(|_: Malformed| unreadable("commit"))?,
        root: parsed::<LeafRoot>(answer, "root")?,
        signature: parsed(answer, "signature")?,
        inclusion: Inclusion {
            leaf: bytes(answer, "leaf_bytes")?,
            index: number(answer, "leaf")?,
            path: path.collect::<Result<_, _>>()?,
        },
    })
}

/// Whom contracts must trust to take what this gateway has.
pub(super) fn trust(node: &Node) -> Result<Trust, Failure> {
    let committee = node.get("/v1/committee")?;
    let key = match committee.get("evm") {
        Some(key) if key.is_object() => parsed::<EvmKey>(key, "key")?,
        Some(_) => {
            return Err(Failure::new(
                "the committee's key for EVM chains is not generated yet",
                "wait until `zq committee show` has it",
            ));
        }
        None => {
            return Err(Failure::new(
                "this committee does not sign for EVM chains",
                "make one with `zq committee create --evm`",
            ));
        }
    };
    Ok(Trust {
        network: number(&committee, "network")?,
        committee: parsed::<CommitteeId>(&committee, "committee_id")?,
        key,
    })
}

fn number(value: &Value, name: &'static str) -> Result<u64, Failure> {
    let number = value.get(name).and_then(Value::as_u64);
    number.ok_or_else(|| unreadable(name))
}

fn word<'a>(value: &'a Value, name: &'static str) -> Result<&'a str, Failure> {
    let word = value.get(name).and_then(Value::as_str);
    word.ok_or_else(|| unreadable(name))
}

fn parsed<T: std::str::FromStr>(value: &Value, name: &'static str) -> Result<T, Failure> {
    word(value, name)?.parse().map_err(|_| unreadable(name))
}

fn bytes(value: &Value, name: &'static str) -> Result<Vec<u8>, Failure> {
    hex::decode(word(value, name)?).map_err(|_| unreadable(name))
}

fn array<'a>(value: &'a Value, name: &'static str) -> Result<&'a Vec<Value>, Failure> {
    let array = value.get(name).and_then(Value::as_array);
    array.ok_or_else(|| unreadable(name))
}

fn unreadable(name: &str) -> Failure {
    Failure::new(
        format!("the gateway's answer has no {name} that can be read"),
        "is this a zquorum node of the same version?",
    )
}
