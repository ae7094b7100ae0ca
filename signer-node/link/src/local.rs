//! Control messages between a guest and its own node (CBOR, frames of kind Local).
//!
//! The node is trusted by its own guests only so far as their availability, their records and the
//! sealed blob go; it never sees a key share in the clear. What it hands out that others signed
//! (attestations, jobs, key records) the guest checks as if a stranger had sent it.

use attestation::codec::{self, Malformed};
use attestation::committee::{Card, CreationRecord};
use attestation::conditions::Engine;
use attestation::ids::{
    ChannelKey, Digest, Epoch, IdentityKey, ModuleDigest, RequestId, RuntimeProfile, Seq, Slot,
    StatementId, View,
};
use attestation::step_attestation::StepAttestation;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use signer_protocol::blame::{Act, Culprit, Divergence};
use signer_protocol::dkg::{DkgProgress, KeyRecord};
use signer_protocol::evidence::Evidence;
use signer_protocol::lane::{Proof, Signed, Signing};
use signer_protocol::lineage::EpochRecord;
use signer_protocol::message::{MESSAGE_BYTES_MAX, Remembered};
use signer_protocol::register::{ENTRY_BYTES_MAX, Refused};
use signer_protocol::repair::RepairPlan;
use signer_protocol::reshare::ChangePlan;
use signer_protocol::signer::{Sight, Sighting};
use state::entry::EntryWrite;
use state::execute::Event;
use state::job::{BuildJob, Job};
use state::pull::SignedObservation;
use state::step::StepOutcome;

use crate::secret::{BootSeed, LinkToken, SealingKey};

/// Longest control message: a job with what followed from it, or a module's artifact.
pub const LOCAL_BYTES_MAX: usize = MESSAGE_BYTES_MAX + RAN_BYTES_MAX + 64 * 1024;
/// Most bytes of what followed from a job; of larger steps the node is told nothing.
pub const RAN_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Version of these messages; a node refuses guests of another one.
pub const LINK_VERSION: u16 = 15;
/// Most leaves of what followed from a job.
#[allow(clippy::cast_possible_truncation, reason = "65,536")]
const LEAVES_MAX: usize = attestation::leaf::LEAVES_MAX as usize;
/// Longest text in a control message.
pub const TEXT_BYTES_MAX: usize = 512;
/// Longest sealed blob.
pub const SEALED_BYTES_MAX: usize = 640 * 1024;
const _: () = assert!(SEALED_BYTES_MAX >= signer_protocol::sealed::SEALED_BYTES_MAX);

/// What a guest program is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Role {
    /// Holds the member's key share.
    Signer,
    /// Runs WebAssembly.
    Executor,
    /// Leads steps.
    Coordinator,
}

/// The system that a guest program runs on: artifacts are compiled for one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum System {
    /// A process of Linux.
    Linux,
    /// A virtual machine of its own.
    Hermit,
}

impl System {
    /// The one that this program runs on.
    pub const HERE: Self = if cfg!(target_os = "hermit") {
        Self::Hermit
    } else {
        Self::Linux
    };
}

/// Guest to node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToNode {
    /// The first message.
    Hello {
        /// [`LINK_VERSION`].
        version: u16,
        /// What the guest is.
        role: Role,
        /// The token that the node gave the process it started; zeros where the network between
        /// guest and node is private.
        token: LinkToken,
    },
    /// Signer, coordinator: the public card that belongs to the sealed secrets.
    Card(Card),
    /// Executor: its channel key, fresh in every process, and what it runs.
    Executor {
        /// Noise static key.
        channel: ChannelKey,
        /// Runtime profile.
        profile: RuntimeProfile,
    },
    /// Signer: append this entry to the register, durably (rule C1).
    Append {
        /// `signer_protocol::register::Entry`.
        #[serde(with = "serde_bytes")]
        entry: Vec<u8>,
    },
    /// Replace the sealed secrets, durably.
    Replace {
        /// The new blob.
        #[serde(with = "serde_bytes")]
        sealed: Vec<u8>,
    },
    /// Signer: keep this job durably (rule A4).
    StoreJob {
        /// The statement that the job leads to.
        statement: StatementId,
        /// Its step.
        seq: Seq,
        /// [`Job::digest`], echoed in the answer.
        digest: Digest,
        /// The job's encoding: the node keeps it unread.
        job: ByteBuf,
    },
    /// Signer: hand back a stored job.
    LoadJob {
        /// Its statement.
        statement: StatementId,
    },
    /// Signer: a step is attested.
    Attested {
        /// The attestation.
        attestation: Box<StepAttestation>,
        /// The job, if the signer has it and the node was not told to keep it before.
        job: Option<Box<Job>>,
        /// What followed, if the signer ran it: the node need not run it again.
        ran: Option<Box<Ran>>,
    },
    /// Signer: the key that the committee generated; its share is sealed and durable.
    Key(Box<KeyRecord>),
    /// Signer: the second key, for EVM chains; its share is sealed and durable.
    EvmKey(Box<KeyRecord>),
    /// Signer: how far key generation is.
    Progress(Progress),
    /// Signer: key generation is over without a key.
    GenerationAborted {
        /// Whether it was that of the key for EVM chains.
        evm: bool,
        /// Who is to blame; empty if nobody provably is.
        culprits: Vec<Slot>,
        /// What happened, at most [`TEXT_BYTES_MAX`] bytes.
        act: String,
    },
    /// Signer: how far the ceremony of the change is that the operator approved.
    ChangeProgress(DkgProgress),
    /// Signer: the ceremony is complete, and this member's share of the new epoch, if it gets one,
    /// is sealed and durable.
    Changed(Box<KeyRecord>),
    /// Signer: the ceremony is over without new shares; those of the epoch in force stay.
    ChangeAborted {
        /// Who is to blame; empty if nobody provably is.
        culprits: Vec<Slot>,
        /// What happened, at most [`TEXT_BYTES_MAX`] bytes.
        act: String,
    },
    /// Signer: this member, or the one that it helped, has its share again, sealed and durable (rule
    /// B3).
    Repaired {
        /// Whose share it is.
        lost: Slot,
    },
    /// Signer: the repair is over without a share.
    RepairAborted {
        /// Who is to blame; empty if nobody provably is.
        culprits: Vec<Slot>,
        /// What happened, at most [`TEXT_BYTES_MAX`] bytes.
        act: String,
    },
    /// Signer: what convicts whoever ended a ceremony, after the message that it is over. The history
    /// that it may need is the node's to add.
    Evidence(Box<Evidence>),
    /// Signer: its own register did not allow a vote, and nothing was signed.
    Refused(Refused),
    /// Signer: its register lost entries, or is on a restored disk; it only watches (rule C2).
    Behind {
        /// Until after this epoch.
        epoch: Epoch,
        /// What it signed and its register does not know, if another member remembered it.
        remembered: Option<Box<Remembered>>,
    },
    /// Signer: where it stands, for `zq status`.
    Standing(Standing),
    /// Coordinator: build a job on this head.
    BuildJob(Box<BuildJob>),
    /// Coordinator: it made this attestation.
    Publish(Box<StepAttestation>),
    /// Executor: send this module's compiled artifact.
    NeedArtifact {
        /// The module as deployed.
        module: ModuleDigest,
        /// The system that the executor runs on.
        system: System,
    },
    /// Executor: send this module's original bytes.
    NeedModule {
        /// The module as deployed.
        module: ModuleDigest,
    },
    /// A party did what the rules forbid, or did not do what they ask for.
    Blame {
        /// Who.
        culprit: Culprit,
        /// What, with evidence.
        act: Box<Act>,
    },
    /// Coordinator: a view ended without a certificate.
    Divergence {
        /// Who said what.
        report: Box<Divergence>,
        /// The job that they said it of.
        job: Box<Job>,
    },
    /// Signer: it ran a job to another statement than t other members did.
    Dissent {
        /// The step.
        seq: Seq,
        /// The view.
        view: View,
        /// What t members voted for.
        certified: StatementId,
        /// What this member computed.
        own: StatementId,
    },
    /// Signer: this member's observation, signed (rule A13).
    Observed(Box<SignedObservation>),
    /// Coordinator: the group has signed what an attested leaf orders (rule E3).
    LeafSigned(Box<Signed>),
    /// Coordinator: no quorum signed it; the node may ask again.
    LeafGivenUp(Signing),
    /// Answer to [`ToGuest::Ping`].
    Pong,
    /// The guest stops, and why.
    Halt {
        /// For the operator, without secrets, at most [`TEXT_BYTES_MAX`] bytes.
        reason: String,
    },
}

/// Node to guest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToGuest {
    /// Entries of the register, in order, before [`ToGuest::Boot`]; several messages if long.
    Register {
        /// The entries.
        entries: Vec<ByteBuf>,
    },
    /// Everything else that a guest starts from.
    Boot(Box<Boot>),
    /// All entries up to this position are durable.
    Appended {
        /// Position.
        index: u64,
    },
    /// An entry is not durable and will not be: the signer stops.
    AppendRefused(AppendRefusal),
    /// The sealed secrets are durable.
    Replaced,
    /// The sealed secrets could not be written: the guest stops.
    ReplaceRefused,
    /// The job is durable.
    JobStored {
        /// [`Job::digest`].
        digest: Digest,
    },
    /// Answer to [`ToNode::LoadJob`].
    JobLoaded {
        /// The statement asked for.
        statement: StatementId,
        /// The job, if the node has it.
        job: Option<Box<Job>>,
    },
    /// Whether a request executable at the head waits (rule A10).
    Executable(bool),
    /// A request that was executable has been passed over in 16 attested steps (rule A10).
    PassedOver(RequestId),
    /// The newest attested step that the node has applied.
    Head(Box<StepAttestation>),
    /// Answer to [`ToNode::BuildJob`]; `None` if nothing is to be done.
    JobBuilt {
        /// The step asked for.
        seq: Seq,
        /// The view asked for.
        view: View,
        /// The job.
        job: Option<Box<Job>>,
    },
    /// Answer to [`ToNode::NeedArtifact`].
    Artifact {
        /// The module asked for.
        module: ModuleDigest,
        /// The artifact, if the node has it.
        artifact: Option<Artifact>,
    },
    /// Answer to [`ToNode::NeedModule`].
    Module {
        /// The module asked for.
        module: ModuleDigest,
        /// Its bytes, if the node has them.
        wasm: Option<ByteBuf>,
    },
    /// Signer: its executor has started anew.
    ExecutorKey {
        /// The executor's Noise static key.
        channel: ChannelKey,
    },
    /// Coordinator: the committee has a key now.
    Key(Box<KeyRecord>),
    /// Signer: what the node saw at the sources of a request, to be signed (rule A13).
    Observe(Box<Sighting>),
    /// Coordinator: the committee has its second key now, for EVM chains.
    EvmKey(Box<KeyRecord>),
    /// Coordinator: lead the signing of what this leaf orders (rule E3).
    SignLeaf(Box<Proof>),
    /// Signer: what the operator's node has seen of the Network of Momentum (rules A2, E4).
    Sight(Box<Sight>),
    /// Signer: take part in this repair, which the operator has approved (rule B3). Whatever it did
    /// for an earlier one is over.
    Repair(Box<RepairPlan>),
    /// Whether the guest's loop still runs: it answers [`ToNode::Pong`] wherever it waits.
    Ping,
}

/// What a guest starts from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boot {
    /// The member's slot; absent when only the card is wanted, before the committee exists.
    pub slot: Option<Slot>,
    /// The rank, for a coordinator.
    pub rank: Option<u16>,
    /// What fixes the committee; absent with `slot`.
    pub record: Option<CreationRecord>,
    /// Opens and seals the secrets; absent for an executor, which has none.
    pub sealing_key: Option<SealingKey>,
    /// The sealed secrets; absent on the very first start.
    pub sealed: Option<ByteBuf>,
    /// The key of the committee's first epoch, if the node knows it.
    pub key: Option<KeyRecord>,
    /// The second key, for EVM chains, if the node knows it.
    pub evm_key: Option<KeyRecord>,
    /// Changes of members that are in force, in order.
    pub epochs: Vec<EpochRecord>,
    /// The change that the operator has approved, if it is not in force yet.
    pub change: Option<PendingChange>,
    /// Attestation of the node's head, if there is one.
    pub head: Option<StepAttestation>,
    /// The executor's channel key, for a signer; it may follow later.
    pub executor: Option<ChannelKey>,
    /// The signer's channel key, for an executor.
    pub signer: Option<ChannelKey>,
    /// Digest of the image that the guest was booted from, for its card; absent for a process.
    pub image: Option<Digest>,
    /// Account that gets what the member earns, for its card; only while the card is made.
    pub payout: Option<IdentityKey>,
    /// What the member's executor is to run zApps with, for its card; only while the card is made.
    pub engine: Option<Engine>,
    /// The operator says that the register is on a new or restored disk (rule C2).
    pub restored: bool,
    /// Randomness of the node's machine for this start.
    pub seed: BootSeed,
}

/// A change of members that is not in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingChange {
    /// What is planned.
    pub plan: ChangePlan,
    /// What its ceremony came to, if it is complete.
    pub key: Option<KeyRecord>,
}

/// A compiled module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// SHA-256 of `bytes`, as the node's own compiler gave it.
    pub digest: Digest,
    /// The engine's serialised code.
    #[serde(with = "serde_bytes")]
    pub bytes: Vec<u8>,
}

/// What followed from a job, as far as the attestation commits to it: the node checks it there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ran {
    /// The leaves' exact bytes, in order.
    #[serde(deserialize_with = "codec::at_most::<LEAVES_MAX, _, _>")]
    pub leaves: Vec<ByteBuf>,
    /// The entries that changed.
    pub writes: Vec<EntryWrite>,
    /// Output, events and fee of each request, in order.
    pub outputs: Vec<(ByteBuf, Vec<Event>, u64)>,
}

impl Ran {
    /// What followed, or `None` if that is more than [`RAN_BYTES_MAX`].
    #[must_use]
    pub fn of(outcome: StepOutcome) -> Option<Self> {
        let outputs = outcome.outcomes.into_iter();
        let ran = Self {
            leaves: outcome.leaves.into_iter().map(ByteBuf::from).collect(),
            writes: outcome.writes,
            outputs: outputs
                .map(|outcome| (ByteBuf::from(outcome.output), outcome.events, outcome.fee))
                .collect(),
        };
        (ran.bytes() <= RAN_BYTES_MAX).then_some(ran)
    }

    /// An upper bound of its encoded length.
    fn bytes(&self) -> usize {
        /// Lengths, field names and a zApp's id.
        const OVERHEAD: usize = 96;
        let leaves = self.leaves.iter().map(|leaf| leaf.len());
        let writes = self
            .writes
            .iter()
            .map(|write| write.key.len() + write.value.as_ref().map_or(0, Vec::len));
        let outputs = self.outputs.iter().map(|(output, _, _)| output.len());
        let events = self.outputs.iter().flat_map(|(_, events, _)| events);
        let parts = leaves.chain(writes).chain(outputs);
        parts
            .chain(events.map(Event::bytes))
            .map(|bytes| bytes + OVERHEAD)
            .sum::<usize>()
            + OVERHEAD
    }
}

/// Why the node does not append a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AppendRefusal {
    /// The register's rules do not allow it: a twin is writing, or the signer errs.
    Rules(Refused),
    /// The disk refuses it: full, or failing.
    Disk,
}

/// How far key generation is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// Other members whose signers have been connected to this one.
    pub connected: u16,
    /// Other members in all.
    pub others: u16,
    /// How far it is, once it has begun and before it is over.
    pub generation: Option<DkgProgress>,
    /// The same of the key for EVM chains.
    pub evm: Option<DkgProgress>,
}

/// Where a signer stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Its view.
    pub view: View,
    /// Its last attested step.
    pub head: Seq,
}

impl ToNode {
    /// The canonical encoding.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Decodes a message.
    ///
    /// # Errors
    /// [`Malformed`] if the bytes are too long, not canonical, or a text exceeds its bound.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        let message = codec::decode(bytes, LOCAL_BYTES_MAX)?;
        let (actual, max) = match &message {
            Self::Append { entry } => (entry.len(), ENTRY_BYTES_MAX),
            Self::Replace { sealed } => (sealed.len(), SEALED_BYTES_MAX),
            Self::Halt { reason: text }
            | Self::GenerationAborted { act: text, .. }
            | Self::ChangeAborted { act: text, .. } => (text.len(), TEXT_BYTES_MAX),
            _ => (0, 0),
        };
        if actual > max {
            return Err(Malformed::TooLong { actual, max });
        }
        Ok(message)
    }
}

impl ToGuest {
    /// The canonical encoding.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Decodes a message.
    ///
    /// # Errors
    /// [`Malformed`] if the bytes are too long or not canonical.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        codec::decode(bytes, LOCAL_BYTES_MAX)
    }
}

#[cfg(test)]
mod tests {
    use attestation::ids::ZappId;
    use signer_protocol::dkg::{DkgStage, MISSING_MAX};

    use super::*;

    fn ran(output: usize, write: usize) -> Ran {
        Ran {
            leaves: vec![ByteBuf::from(vec![1; 150])],
            writes: vec![EntryWrite {
                zapp: ZappId::SYSTEM,
                key: vec![2; 64],
                value: Some(vec![3; write]),
            }],
            outputs: vec![(
                ByteBuf::from(vec![4; output]),
                vec![Event {
                    zapp: ZappId::SYSTEM,
                    topic: vec![5; 32],
                    data: vec![6; 100],
                }],
                u64::MAX,
            )],
        }
    }

    #[test]
    fn the_bound_of_what_followed_covers_its_encoding() {
        for (output, write) in [(0, 0), (1, 70_000), (70_000, 1)] {
            let ran = ran(output, write);
            assert!(
                codec::encode(&ran).len() <= ran.bytes(),
                "{output}, {write}"
            );
        }
    }

    #[test]
    fn long_texts_and_blobs_are_malformed() {
        let text = |length| ToNode::Halt {
            reason: "x".repeat(length),
        };
        let blob = |length| ToNode::Replace {
            sealed: vec![0; length],
        };
        for (message, ok) in [
            (text(TEXT_BYTES_MAX), true),
            (text(TEXT_BYTES_MAX + 1), false),
            (blob(SEALED_BYTES_MAX), true),
            (blob(SEALED_BYTES_MAX + 1), false),
        ] {
            assert_eq!(ToNode::from_bytes(&message.to_bytes()).is_ok(), ok);
        }
    }

    #[test]
    fn a_list_of_more_missing_members_than_there_can_be_is_malformed() {
        let message = |missing| {
            ToNode::ChangeProgress(DkgProgress {
                attempt: 1,
                stage: DkgStage::Round1,
                here: 1,
                missing: vec![Slot(2); missing],
            })
        };
        for (missing, ok) in [(MISSING_MAX, true), (MISSING_MAX + 1, false)] {
            let read = ToNode::from_bytes(&message(missing).to_bytes());
            assert_eq!(read.is_ok(), ok, "{missing}");
        }
    }

    #[test]
    fn secrets_in_a_boot_message_do_not_print() {
        let boot = Boot {
            slot: None,
            rank: None,
            record: None,
            sealing_key: Some(SealingKey::from_bytes([0x5a; 32])),
            sealed: None,
            key: None,
            evm_key: None,
            epochs: Vec::new(),
            change: None,
            head: None,
            executor: None,
            signer: None,
            image: Some(Digest::from_bytes([0x11; 32])),
            payout: Some(IdentityKey::from_bytes([0x12; 32])),
            engine: Some(Engine::Wasmi),
            restored: false,
            seed: BootSeed::from_bytes([0x5b; 32]),
        };
        let printed = format!("{:?}", ToGuest::Boot(Box::new(boot)));
        assert!(
            !printed.contains("90") && !printed.contains("5a"),
            "{printed}"
        );
    }
}
