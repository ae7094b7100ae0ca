//! JSON as callers see it. Byte strings are hexadecimal, times are Unix milliseconds.

use attestation::address::Address;
use attestation::committee::{Card, CreationRecord};
use attestation::conditions::{Conditions, Engine};
use attestation::ids::{CommitteeId, Digest, GroupKey, RequestId, Signature, ZappId};
use attestation::leaf::{Leaf, OutputLeaf};
use attestation::request::{Call, FeePayer, Request};
use attestation::source::Pull;
use attestation::terms::Terms;
use serde::{Deserialize, Serialize};
use signer_protocol::membership::Membership;

use super::epochs::{ChangeAnswer, EvmKeyAnswer};
use crate::epochs::EpochView;
use crate::ledger::StepRecord;
use crate::status::NodeStatus;
use crate::submit::RequestState;

/// A request as JSON.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RequestJson {
    network: u64,
    committee: CommitteeId,
    zapp: ZappId,
    method: String,
    input: Hex,
    gas_limit: u64,
    fee_payer: FeePayerJson,
    nonce: u64,
    valid_until_ms: u64,
    caller: attestation::ids::IdentityKey,
    /// Sources to observe, as the CBOR encoding names them.
    #[serde(default)]
    pull: Option<Pull>,
    signature: Signature,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum FeePayerJson {
    Zapp,
    Caller,
    Work,
}

impl From<RequestJson> for Request {
    fn from(json: RequestJson) -> Self {
        Self {
            call: Call {
                network: attestation::ids::NetworkId(json.network),
                committee: json.committee,
                zapp: json.zapp,
                method: json.method,
                input: json.input.0,
                gas_limit: json.gas_limit,
                fee_payer: match json.fee_payer {
                    FeePayerJson::Zapp => FeePayer::Zapp,
                    FeePayerJson::Caller => FeePayer::Caller,
                    FeePayerJson::Work => FeePayer::Work,
                },
                nonce: json.nonce,
                valid_until_ms: json.valid_until_ms,
                caller: json.caller,
                pull: json.pull,
            },
            signature: json.signature,
        }
    }
}

/// Bytes as hexadecimal text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Hex(pub(super) Vec<u8>);

impl Serialize for Hex {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex::encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Hex {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        hex::decode(text)
            .map(Self)
            .map_err(serde::de::Error::custom)
    }
}

/// Where a request stands.
#[derive(Debug, Serialize)]
pub(super) struct RequestAnswer {
    request: RequestId,
    /// `pending`, `accepted` or `closed`.
    pub(super) state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(flatten)]
    accepted: Option<AcceptedAnswer>,
}

#[derive(Debug, Serialize)]
struct AcceptedAnswer {
    seq: u64,
    leaf: usize,
    statement: attestation::ids::StatementId,
    time_ms: u64,
    outcome: OutcomeAnswer,
    /// COSE receipt of the leaf.
    attestation: Hex,
    /// The leaf's exact bytes.
    leaf_bytes: Hex,
}

#[derive(Debug, Serialize)]
struct OutcomeAnswer {
    status: &'static str,
    code: u32,
    gas: u64,
    /// 10⁻⁸ QSR; absent like `output`.
    #[serde(skip_serializing_if = "Option::is_none")]
    fee: Option<u64>,
    output_digest: Digest,
    events_digest: Digest,
    /// Absent where this node learnt the step from another and holds only the digest.
    #[serde(skip_serializing_if = "Option::is_none")]
    output: Option<Hex>,
    #[serde(skip_serializing_if = "Option::is_none")]
    events: Option<Vec<EventAnswer>>,
}

#[derive(Debug, Serialize)]
struct EventAnswer {
    /// Who announced it: the zApp called, or one that it called.
    zapp: ZappId,
    topic: Hex,
    data: Hex,
}

impl RequestAnswer {
    /// `None` if the step is not this request's, or the receipt cannot be made: a damaged store.
    pub(super) fn new(request: RequestId, state: &RequestState, key: &GroupKey) -> Option<Self> {
        let (name, reason, accepted) = match state {
            RequestState::Pending => ("pending", None, None),
            RequestState::Closed(why) => ("closed", Some(why.name()), None),
            RequestState::Accepted { step, place } => {
                let accepted = AcceptedAnswer::new(request, step, *place, key)?;
                ("accepted", None, Some(accepted))
            }
        };
        Some(Self {
            request,
            state: name,
            reason,
            accepted,
        })
    }
}

impl AcceptedAnswer {
    fn new(request: RequestId, step: &StepRecord, place: usize, key: &GroupKey) -> Option<Self> {
        let (id, index) = *step.requests.get(place)?;
        let leaf_bytes = step.leaf(index)?;
        let leaf = OutputLeaf::from_bytes(leaf_bytes).ok()?;
        if id != request {
            return None;
        }
        let output = step.body.outputs.get(place);
        Some(Self {
            seq: step.seq().0,
            leaf: index,
            statement: step.statement,
            time_ms: step.attestation.commit.time_ms,
            outcome: OutcomeAnswer {
                status: leaf.status.name(),
                code: leaf.code,
                gas: leaf.gas,
                fee: output.map(|output| output.fee),
                output_digest: leaf.output,
                events_digest: leaf.events,
                output: output.map(|output| Hex(output.bytes.clone())),
                events: output.map(|output| {
                    let events = output.events.iter();
                    events
                        .map(|event| EventAnswer {
                            zapp: event.zapp,
                            topic: Hex(event.topic.clone()),
                            data: Hex(event.data.clone()),
                        })
                        .collect()
                }),
            },
            attestation: Hex(step.receipt(key, index)?),
            leaf_bytes: Hex(leaf_bytes.to_vec()),
        })
    }
}

/// A step.
#[derive(Debug, Serialize)]
pub(super) struct StepAnswer {
    seq: u64,
    statement: attestation::ids::StatementId,
    network: u64,
    committee: CommitteeId,
    epoch: u64,
    tree_size: u64,
    previous_state: attestation::ids::StateRoot,
    state: attestation::ids::StateRoot,
    profile: attestation::ids::RuntimeProfile,
    previous: attestation::ids::StatementId,
    anchor_height: u64,
    anchor: Digest,
    time_ms: u64,
    gas_used: u64,
    inputs: Digest,
    trace: Digest,
    root: attestation::ids::LeafRoot,
    signature: Signature,
    leaves: Vec<LeafAnswer>,
}

#[derive(Debug, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum LeafAnswer {
    Settlement {
        leaf: usize,
        requests: u32,
        gas: u64,
        fees: u64,
        requests_total: u64,
        gas_total: u64,
        fees_total: u64,
    },
    Output {
        leaf: usize,
        request: RequestId,
        zapp: ZappId,
        status: &'static str,
        code: u32,
        gas: u64,
        output_digest: Digest,
        events_digest: Digest,
    },
    Message {
        leaf: usize,
        zapp: ZappId,
        chain: u64,
        contract: Hex,
        receiver: Hex,
        channel: Digest,
        number: u64,
        gas: u64,
        payload: Hex,
    },
    KeyChange {
        leaf: usize,
        suite: u8,
        last_seq: u64,
        old: Hex,
        new: Hex,
    },
    Block {
        leaf: usize,
        chain: u64,
        block_type: u64,
        height: u64,
        account: Hex,
        to: Hex,
        token: Hex,
        amount: Hex,
        source: Hex,
        data_digest: Hex,
    },
    Unreadable {
        leaf: usize,
    },
}

impl From<&StepRecord> for StepAnswer {
    fn from(step: &StepRecord) -> Self {
        let commit = &step.attestation.commit;
        Self {
            seq: commit.seq.0,
            statement: step.statement,
            network: commit.network.0,
            committee: commit.committee,
            epoch: commit.epoch.0,
            tree_size: commit.tree_size,
            previous_state: commit.previous_state,
            state: commit.state,
            profile: commit.profile,
            previous: commit.previous,
            anchor_height: commit.anchor_height,
            anchor: commit.anchor,
            time_ms: commit.time_ms,
            gas_used: commit.gas_used,
            inputs: commit.inputs,
            trace: commit.trace,
            root: step.attestation.root,
            signature: step.attestation.signature,
            leaves: step
                .body
                .leaves
                .iter()
                .enumerate()
                .map(|(index, bytes)| LeafAnswer::new(index, bytes))
                .collect(),
        }
    }
}

impl LeafAnswer {
    fn new(leaf: usize, bytes: &[u8]) -> Self {
        match Leaf::from_bytes(bytes) {
            Ok(Leaf::Settlement(bill)) => Self::Settlement {
                leaf,
                requests: bill.requests,
                gas: bill.gas,
                fees: bill.fees,
                requests_total: bill.requests_total,
                gas_total: bill.gas_total,
                fees_total: bill.fees_total,
            },
            Ok(Leaf::Output(output)) => Self::Output {
                leaf,
                request: output.request,
                zapp: output.zapp,
                status: output.status.name(),
                code: output.code,
                gas: output.gas,
                output_digest: output.output,
                events_digest: output.events,
            },
            Ok(Leaf::Message(message)) => Self::Message {
                leaf,
                zapp: message.zapp,
                chain: message.chain,
                contract: Hex(message.contract.to_vec()),
                receiver: Hex(message.receiver.to_vec()),
                channel: message.channel,
                number: message.number,
                gas: message.gas,
                payload: Hex(message.payload),
            },
            Ok(Leaf::KeyChange(change)) => Self::KeyChange {
                leaf,
                suite: change.suite,
                last_seq: change.last_seq,
                old: Hex(change.old.to_vec()),
                new: Hex(change.new.to_vec()),
            },
            Ok(Leaf::Block(block)) => Self::Block {
                leaf,
                chain: block.chain,
                block_type: block.block_type,
                height: block.height,
                account: Hex(block.account.to_vec()),
                to: Hex(block.to.to_vec()),
                token: Hex(block.token.to_vec()),
                amount: Hex(block.amount.to_vec()),
                source: Hex(block.source.to_vec()),
                data_digest: Hex(block.data.to_vec()),
            },
            Err(_) => Self::Unreadable { leaf },
        }
    }
}

/// A committee: what a verifier needs to trust it, and what it is made of.
#[derive(Debug, Serialize)]
pub(super) struct CommitteeAnswer {
    committee_id: CommitteeId,
    /// Null until key generation is done.
    group_key: Option<GroupKey>,
    /// The group key's NoM account.
    address: Option<Address>,
    network: u64,
    /// The epoch in force; members and threshold are its.
    epoch: u64,
    threshold: u16,
    members: Vec<CardAnswer>,
    coordinators: Vec<CardAnswer>,
    profile: attestation::ids::RuntimeProfile,
    created_ms: u64,
    /// Prices, 10⁻⁸ QSR.
    terms: Terms,
    /// What is demanded of members; empty where nothing is.
    conditions: Conditions,
    /// Of a committee that signs for EVM chains: null until its second key generation is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    evm: Option<Option<EvmKeyAnswer>>,
    /// The change that this member's operator has approved and that is not in force.
    #[serde(skip_serializing_if = "Option::is_none")]
    change: Option<ChangeAnswer>,
    /// The creation record: its digest is `committee_id`.
    record: Hex,
}

#[derive(Debug, Serialize)]
struct CardAnswer {
    /// Slot of a member, rank of a coordinator.
    #[serde(skip_serializing_if = "Option::is_none")]
    slot: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rank: Option<usize>,
    identity: attestation::ids::IdentityKey,
    channel: attestation::ids::ChannelKey,
    image: Digest,
    payout: attestation::ids::IdentityKey,
    address: Address,
    /// What a member's executor runs zApps with, if its card says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    engine: Option<Engine>,
    /// The Sentinel that stands behind a member, if its card names one.
    #[serde(skip_serializing_if = "Option::is_none")]
    sentinel: Option<SentinelAnswer>,
}

/// Who registered a Sentinel, and for whom it stands. That it is active, only the network says.
#[derive(Debug, Serialize)]
struct SentinelAnswer {
    owner: attestation::ids::IdentityKey,
    /// The owner's account.
    address: Address,
}

impl CommitteeAnswer {
    pub(super) fn new(
        record: &CreationRecord,
        key: Option<GroupKey>,
        epochs: Option<&EpochView>,
        node: NodeStatus,
    ) -> Self {
        let card = |card: &Card, slot, rank| CardAnswer {
            slot,
            rank,
            identity: card.identity,
            channel: card.channel,
            image: card.image,
            payout: card.payout,
            address: Address::from(&card.identity),
            engine: card.engine,
            sentinel: card.sentinel.as_ref().map(|sentinel| SentinelAnswer {
                owner: sentinel.owner,
                address: sentinel.address(),
            }),
        };
        let first = Membership::of(record);
        let members = epochs.map_or(&first, |view| view.lineage.members());
        let seats = members
            .slots()
            .filter_map(|slot| Some(card(members.member(slot)?, Some(slot.0), None)));
        let coordinators = record.coordinators.iter().enumerate();
        Self {
            committee_id: record.id(),
            group_key: key,
            address: key.as_ref().map(Address::from),
            network: record.network.0,
            epoch: members.epoch().0,
            threshold: members.threshold(),
            members: seats.collect(),
            coordinators: coordinators
                .map(|(rank, coordinator)| card(coordinator, None, Some(rank)))
                .collect(),
            profile: record.profile,
            created_ms: record.created_ms,
            terms: record.terms,
            conditions: record.conditions,
            evm: record
                .evm
                .then(|| EvmKeyAnswer::new(epochs?.evm_key.as_ref()?)),
            change: epochs
                .and_then(|view| view.change.as_ref())
                .map(|change| ChangeAnswer::new(change, node)),
            record: Hex(record.to_bytes()),
        }
    }
}
