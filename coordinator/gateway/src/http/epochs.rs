//! JSON of a committee's epochs.

use attestation::codec;
use attestation::committee::{CreationRecord, EVM_SUITE};
use attestation::ids::{Digest, EvmKey, Slot};
use serde::Serialize;
use signer_protocol::dkg::KeyRecord;
use signer_protocol::suite;

use super::answers::Hex;
use crate::epochs::{ChangeStage, ChangeView, EpochView};
use crate::status::{CeremonyStatus, NodeStatus};

/// All that proves who the members are: whoever has it need not believe the gateway.
#[derive(Debug, Serialize)]
pub(super) struct EpochsAnswer {
    /// The epoch in force.
    epoch: u64,
    /// The creation record.
    record: Hex,
    /// The key record of the key generation.
    key: Hex,
    /// Each change that is in force, in order: its plan and key record.
    epochs: Vec<Hex>,
}

impl EpochsAnswer {
    pub(super) fn new(record: &CreationRecord, view: &EpochView) -> Self {
        let epochs = view.epochs.iter();
        Self {
            epoch: view.lineage.epoch().0,
            record: Hex(record.to_bytes()),
            key: Hex(view.key.to_bytes()),
            epochs: epochs.map(|epoch| Hex(codec::encode(epoch))).collect(),
        }
    }
}

/// The group key that EVM contracts trust, as their constructors take it: 0x and hexadecimal.
#[derive(Debug, Serialize)]
pub(super) struct EvmKeyAnswer {
    /// The suite (RFC 9591 §6).
    suite: &'static str,
    /// The key, compressed (SEC 1).
    key: EvmKey,
    x: String,
    y: String,
    /// Whether y is odd: with x all that a contract keeps.
    odd: bool,
    /// The last 20 bytes of Keccak-256 over x and y, to compare by eye.
    address: String,
    /// The key record, which all members signed.
    record: Hex,
}

impl EvmKeyAnswer {
    /// `None` if the record is none of such a key, which the node has checked.
    pub(super) fn new(record: &KeyRecord) -> Option<Self> {
        let key = record.group_key.evm()?;
        let point = suite::evm_point(&key)?;
        Some(Self {
            suite: EVM_SUITE,
            key,
            x: prefixed(&point.x),
            y: prefixed(&point.y),
            odd: point.is_odd(),
            address: prefixed(&point.address()),
            record: Hex(record.to_bytes()),
        })
    }
}

/// Hexadecimal text as EVM tools write it.
pub(super) fn prefixed(bytes: &[u8]) -> String {
    format!("0x{}", hex::encode(bytes))
}

/// A change of members that is under way at this member.
#[derive(Debug, Serialize)]
pub(super) struct ChangeAnswer {
    /// Digest of its plan.
    plan: Digest,
    base: u64,
    epoch: u64,
    threshold: u16,
    /// Slots of the new members.
    members: Vec<Slot>,
    /// Slots of those that deal.
    dealers: Vec<Slot>,
    /// `approved`, `ceremony`, `ready` or `aborted`.
    stage: &'static str,
    /// What a ceremony waits for, and how many parts of that are here; why it was aborted.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// How far the members are in it, as they say.
    #[serde(skip_serializing_if = "Option::is_none")]
    ceremony: Option<CeremonyStatus>,
    /// Input of the system zApp's `cutover`, once the change is ready.
    #[serde(skip_serializing_if = "Option::is_none")]
    cutover: Option<Hex>,
}

impl ChangeAnswer {
    pub(super) fn new(change: &ChangeView, node: NodeStatus) -> Self {
        let plan = &change.plan;
        let digest = plan.digest();
        let mut ceremonies = node.ceremonies.into_iter();
        let (stage, detail, cutover) = match &change.stage {
            ChangeStage::Approved => ("approved", None, None),
            ChangeStage::Ceremony(progress) => {
                let detail = format!(
                    "attempt {}: {} of {} members are here",
                    progress.attempt, progress.stage, progress.here
                );
                ("ceremony", Some(detail), None)
            }
            ChangeStage::Ready(input) => ("ready", None, Some(Hex(input.clone()))),
            ChangeStage::Aborted(why) => ("aborted", Some(why.clone()), None),
        };
        Self {
            plan: digest,
            base: plan.base.0,
            epoch: plan.epoch.0,
            threshold: plan.threshold,
            members: plan.members.iter().map(|member| member.slot).collect(),
            dealers: plan.dealers.clone(),
            stage,
            detail,
            ceremony: ceremonies.find(|ceremony| ceremony.plan == Some(digest)),
            cutover,
        }
    }
}
