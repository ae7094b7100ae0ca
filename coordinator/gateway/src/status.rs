//! What the node tells of itself for `/v1/status`; the gateway knows only its own part.

use attestation::ids::{Digest, Slot};
use prometheus_client::registry::Registry;
use serde::Serialize;

/// Where a node's status comes from: the node implements it.
pub trait StatusSource: Send + Sync + 'static {
    /// The status now; called for every `GET /v1/status`, so it must not block.
    fn status(&self) -> NodeStatus;

    /// Adds the node's own counters to `/metrics`; what a status shows is there already.
    fn register(&self, _registry: &mut Registry) {}
}

/// A node as it sees itself and its committee.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct NodeStatus {
    /// The member's slot.
    pub slot: u16,
    /// The signer's view, once it told one.
    pub view: Option<u64>,
    /// What the node is made of: `signer`, `executor`, `coordinator`, `register`, `store`.
    pub parts: Vec<PartStatus>,
    /// The committee's members in slot order, this one included.
    pub members: Vec<MemberStatus>,
    /// Key generations and changes that a member takes part in.
    pub ceremonies: Vec<CeremonyStatus>,
    /// What an operator should look at, most urgent first: what is wrong and what to do.
    pub alerts: Vec<String>,
}

/// One part of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PartStatus {
    /// Its name.
    pub name: String,
    /// Whether it works.
    pub up: bool,
    /// What it does, or why it does not work.
    pub detail: String,
    /// Milliseconds from a guest's start to its connection, once it connected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boot_ms: Option<u64>,
    /// Seconds since a guest was started, while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub uptime_s: Option<u64>,
    /// The virtual machine of a guest that is no process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub machine: Option<MachineStatus>,
}

/// A guest's virtual machine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MachineStatus {
    /// Digest of the image, in hexadecimal digits.
    pub image: String,
    /// What runs it: `kvm`, or `tcg` for software emulation.
    pub accelerator: String,
    /// Its memory in MiB.
    pub memory_mib: u64,
}

/// A member as this node sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MemberStatus {
    /// Its slot.
    pub slot: u16,
    /// Whether its node is connected.
    pub up: bool,
    /// Whether it can vote: its node says that its signer answers and nothing keeps it from it.
    pub votes: bool,
    /// Its head, once it told one.
    pub head: Option<u64>,
}

/// A key generation or change, as the members say it of themselves: nobody signs that.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CeremonyStatus {
    /// `key`, `evm_key` or `change`.
    pub ceremony: &'static str,
    /// Digest of a change's plan.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<Digest>,
    /// What members say, in slot order; one that says nothing is not here.
    pub members_say: Vec<MemberSays>,
    /// Whom they wait for, in slot order.
    pub waited_for: Vec<WaitedFor>,
}

/// A member's word on its part in a ceremony.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MemberSays {
    /// The member that says so.
    pub slot: Slot,
    /// Whose parts it waits for: `commitments`, `echoes`, `shares`, `certificates` or `canary
    /// shares`; `complete` or `aborted` if it waits no more.
    pub stage: String,
    /// The attempt, while it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u64>,
    /// Members whose part it has, its own included, while it waits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub here: Option<u16>,
    /// Members whose part it has not.
    pub missing: Vec<Slot>,
}

/// A member whose part others have not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct WaitedFor {
    /// Its slot.
    pub slot: Slot,
    /// Who waits for it.
    pub by: Vec<Slot>,
}

/// For tests and tools that have no node.
impl<F: Fn() -> NodeStatus + Send + Sync + 'static> StatusSource for F {
    fn status(&self) -> NodeStatus {
        self()
    }
}
