//! The lanes that a coordinator leads beside the steps (rule E3).
//!
//! A lane is its suite, what its leaves say, and who takes its signatures. Everything else is the
//! driver's: another lane is another entry of [`Lanes::new`].

use attestation::ids::{EvmKey, EvmSignature, Signature, Slot};
use coordinator_protocol::lane::Leader;
use coordinator_protocol::lanes::{LaneEvent, LaneLeader, LeadLane};
use frost_ed25519::Ed25519Sha512;
use signer_protocol::identity::{Ed25519Identity, Ed25519Verify};
use signer_protocol::lane::{EvmStatements, FromLane, NomBlocks, Proof};
use signer_protocol::suite::{self, Evm};

/// All lanes of one coordinator.
pub(crate) struct Lanes(Vec<Box<dyn LeadLane>>);

impl Lanes {
    /// The lanes of a committee: blocks of its NoM account, under its Ed25519 key.
    pub(crate) fn new(leader: Leader<Ed25519Sha512, Ed25519Identity, Ed25519Verify>) -> Self {
        let key = *leader.committee.group_key();
        // As every node of the network checks a block.
        let valid = move |message: &[u8], signature: &[u8]| {
            let signature = signature.try_into().map(Signature::from_bytes);
            signature.is_ok_and(|signature| {
                attestation::identity::verify_group(&key, message, &signature)
            })
        };
        Self(vec![Box::new(LaneLeader::new(leader, NomBlocks, valid))])
    }

    /// The lane of steps under the second key, for EVM chains, once there is one.
    pub(crate) fn add_evm(
        &mut self,
        key: EvmKey,
        leader: Leader<Evm, Ed25519Identity, Ed25519Verify>,
    ) {
        // As contracts check a statement.
        let valid = move |message: &[u8], signature: &[u8]| {
            let signature = signature.try_into().map(EvmSignature::from_bytes);
            signature.is_ok_and(|signature| suite::verify_evm(&key, message, &signature))
        };
        let lane = LaneLeader::new(leader, EvmStatements, valid);
        self.0.push(Box::new(lane));
    }

    /// Leads the signing of a leaf in the lane that it belongs to; a leaf of none is dropped, and so
    /// is one too many: the node asks again.
    pub(crate) fn lead(&mut self, now_ms: u64, proof: &Proof) {
        let mut lanes = self.0.iter_mut();
        let _ = lanes.any(|lane| lane.lead(now_ms, proof.clone()).is_ok());
    }

    /// Takes a signer's answer.
    pub(crate) fn handle(&mut self, now_ms: u64, from: Slot, answer: &FromLane) {
        for lane in &mut self.0 {
            lane.handle(now_ms, from, answer);
        }
    }

    /// Does what is due at `now_ms`.
    pub(crate) fn handle_timeout(&mut self, now_ms: u64) {
        for lane in &mut self.0 {
            if lane.poll_timeout().is_some_and(|at| at <= now_ms) {
                lane.handle_timeout(now_ms);
            }
        }
    }

    /// When to call [`Self::handle_timeout`] at the latest.
    pub(crate) fn poll_timeout(&self) -> Option<u64> {
        self.0.iter().filter_map(|lane| lane.poll_timeout()).min()
    }

    /// The next thing that a lane has to say.
    pub(crate) fn poll(&mut self) -> Option<LaneEvent> {
        self.0.iter_mut().find_map(|lane| lane.poll())
    }
}
