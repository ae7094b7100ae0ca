//! Leaves of outbound messages and of key changes, in the layout of `solidity/Leaf.sol`.

use attestation::ids::{Seq, ZappId};

use crate::chain::Account;

/// Kind of a message leaf.
pub const MESSAGE: u8 = 2;
/// Kind of a key-change leaf.
pub const KEY_CHANGE: u8 = 3;
/// Suite FROST(secp256k1, KECCAK-256).
pub const SECP256K1: u8 = 1;
/// Length of a message leaf without its payload.
pub const MESSAGE_LEN: usize = 162;
/// Length of a key-change leaf.
pub const KEY_CHANGE_LEN: usize = 117;

/// An outbound message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// The zApp that sends it.
    pub zapp: ZappId,
    /// The step.
    pub seq: Seq,
    /// EIP-155 id of the destination.
    pub chain: u64,
    /// The contract that accepts it, left-padded.
    pub contract: [u8; 32],
    /// Whom that contract calls, left-padded.
    pub receiver: [u8; 32],
    /// The channel.
    pub channel: [u8; 32],
    /// Number in the channel, from 1.
    pub number: u64,
    /// Gas that the call is given.
    pub gas: u64,
    /// What is sent.
    pub payload: Vec<u8>,
}

/// The end of a group key, and its successor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyChange {
    /// The step.
    pub seq: Seq,
    /// Whose key it is.
    pub suite: u8,
    /// Last seq of the old key.
    pub last_seq: u64,
    /// The old key, SEC1 compressed.
    pub old: [u8; 33],
    /// The new key, SEC1 compressed.
    pub new: [u8; 33],
}

impl Message {
    /// The fixed-offset layout.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = head(MESSAGE, &self.zapp, self.seq);
        out.extend_from_slice(&self.chain.to_be_bytes());
        out.extend_from_slice(&self.contract);
        out.extend_from_slice(&self.receiver);
        out.extend_from_slice(&self.channel);
        out.extend_from_slice(&self.number.to_be_bytes());
        out.extend_from_slice(&self.gas.to_be_bytes());
        out.extend_from_slice(&self.payload);
        out
    }
}

impl KeyChange {
    /// The fixed-offset layout.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = head(KEY_CHANGE, &ZappId::SYSTEM, self.seq);
        out.push(self.suite);
        out.extend_from_slice(&self.last_seq.to_be_bytes());
        out.extend_from_slice(&self.old);
        out.extend_from_slice(&self.new);
        out
    }
}

/// An account as 32 bytes.
#[must_use]
pub fn padded(account: Account) -> [u8; 32] {
    let mut out = [0; 32];
    out[12..].copy_from_slice(&account);
    out
}

fn head(kind: u8, zapp: &ZappId, seq: Seq) -> Vec<u8> {
    let mut out = vec![1, kind];
    out.extend_from_slice(zapp.as_bytes());
    out.extend_from_slice(&seq.0.to_be_bytes());
    out
}
