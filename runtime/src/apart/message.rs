//! What node and engine process say to each other.

use attestation::ids::{
    CommitteeId, Digest, Epoch, IdentityKey, ModuleDigest, NetworkId, RequestId, Seq, StateRoot,
    ZappId,
};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use state::execute::{Environment, Executable, Execution, Op};
use state::job::Context;
use state::pull::Pulled;

use crate::abi::HostFault;

/// Longest message to the engine process: an artifact, as long as a node's compiler makes them.
pub(super) const TO_ENGINE_BYTES_MAX: usize = 16 * 1024 * 1024 + 64 * 1024;
/// Longest message from it: an outcome with output, events and log at their limits.
pub(super) const TO_NODE_BYTES_MAX: usize = 384 * 1024;

const _: () = assert!(
    state::limits::OUTPUT_BYTES_MAX
        + state::limits::EVENTS_BYTES_MAX
        + state::limits::POSTS_BYTES_MAX
        + crate::limits::LOG_TOTAL_BYTES_MAX
        < TO_NODE_BYTES_MAX - 64 * 1024
);
const _: () = assert!(state::limits::VALUE_BYTES_MAX < TO_NODE_BYTES_MAX - 64 * 1024);

/// Node to engine process.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum ToEngine {
    /// Run this.
    Run(Box<Call>),
    /// Answer to [`ToNode::NeedArtifact`]: bytes and the digest that they had when they were made.
    Artifact(Option<(ByteBuf, Digest)>),
    /// Answer to [`ToNode::Get`].
    Value(Option<ByteBuf>),
    /// Answer to [`ToNode::Next`]: the key, and how many were passed over.
    Next(Option<ByteBuf>, u64),
    /// Answer to [`ToNode::Set`].
    Set(Option<HostFault>),
    /// Answer to [`ToNode::Enter`]: module and metered module of the zApp, if it can be called.
    Entered(Option<(ModuleDigest, Digest)>),
    /// Answer to [`ToNode::Leave`].
    Left,
    /// Answer to any question about the state that this state cannot answer.
    Hole([u8; 32]),
}

/// Engine process to node.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum ToNode {
    /// The compiled module, please.
    NeedArtifact(ModuleDigest),
    /// The value of a key.
    Get(ByteBuf),
    /// The smallest key above this one.
    Next(ByteBuf),
    /// Set a value, or delete the entry.
    Set(ByteBuf, Option<ByteBuf>),
    /// Go on as a zApp that the running one calls.
    Enter(ZappId),
    /// Go back to the one that called, keeping what the other wrote or not.
    Leave(bool),
    /// The outcome.
    Ran {
        /// As it counts.
        execution: Execution,
        /// For the author.
        fault: Option<HostFault>,
        /// For the author.
        log: Vec<ByteBuf>,
    },
    /// No outcome.
    Failed(Failure),
}

/// Why there is no outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Failure {
    /// The node answered [`ToEngine::Hole`].
    Hole,
    /// This module is not at hand, or its artifact does not load.
    Module(ModuleDigest),
    /// The engine failed.
    Engine,
}

/// [`Executable`] and [`Environment`] as they travel.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Call {
    op: u8,
    request: RequestId,
    zapp: ZappId,
    module: ModuleDigest,
    metered: Digest,
    caller: IdentityKey,
    origin: IdentityKey,
    method: String,
    input: ByteBuf,
    gas_limit: u64,
    network: NetworkId,
    committee: CommitteeId,
    epoch: Epoch,
    seq: Seq,
    context: Context,
    previous_state: StateRoot,
    pulled: Vec<Pulled>,
}

impl Call {
    pub(super) fn of(call: &Executable<'_>) -> Self {
        let environment = call.environment;
        Self {
            op: call.op as u8,
            request: call.request,
            zapp: call.zapp,
            module: call.module,
            metered: call.metered,
            caller: call.caller,
            origin: call.origin,
            method: call.method.to_owned(),
            input: ByteBuf::from(call.input),
            gas_limit: call.gas_limit,
            network: environment.network,
            committee: environment.committee,
            epoch: environment.epoch,
            seq: environment.seq,
            context: environment.context,
            previous_state: environment.previous_state,
            pulled: call.pulled.to_vec(),
        }
    }

    pub(super) const fn environment(&self) -> Environment {
        Environment {
            network: self.network,
            committee: self.committee,
            epoch: self.epoch,
            seq: self.seq,
            context: self.context,
            previous_state: self.previous_state,
        }
    }

    /// `None` if there is no such entry point.
    pub(super) fn executable<'a>(&'a self, environment: &'a Environment) -> Option<Executable<'a>> {
        const OPS: [Op; 4] = [Op::Init, Op::Call, Op::View, Op::Migrate];
        let op = OPS.into_iter().find(|op| *op as u8 == self.op)?;
        Some(Executable {
            op,
            request: self.request,
            zapp: self.zapp,
            module: self.module,
            metered: self.metered,
            caller: self.caller,
            origin: self.origin,
            method: &self.method,
            input: &self.input,
            gas_limit: self.gas_limit,
            environment,
            pulled: &self.pulled,
        })
    }
}
