//! The commit: what a step did, in a layout that contracts slice.
//!
//! A commit is a deterministic CBOR array (RFC 8949 §4.2) of sixteen byte strings of 8 or 32
//! bytes. Any CBOR tool prints it, and every field stands at a constant offset, so that a
//! contract reads it without a parser. Numbers are big-endian `u64`.
//!
//! | # | field | bytes | data at | # | field | bytes | data at |
//! |---|---|---|---|---|---|---|---|
//! | 0 | `"ZQSTEP1\0"` | 8 | 2 | 8 | runtime profile | 32 | 150 |
//! | 1 | network | 8 | 11 | 9 | previous statement | 32 | 184 |
//! | 2 | committee | 32 | 21 | 10 | anchor height | 8 | 217 |
//! | 3 | epoch | 8 | 54 | 11 | anchor | 32 | 227 |
//! | 4 | seq | 8 | 63 | 12 | time, Unix ms | 8 | 260 |
//! | 5 | tree size | 8 | 72 | 13 | gas used | 8 | 269 |
//! | 6 | previous state root | 32 | 82 | 14 | inputs root | 32 | 279 |
//! | 7 | state root | 32 | 116 | 15 | SHA-256(trace root) | 32 | 313 |
//!
//! The first ten bytes, `90 48 "ZQSTEP1\0"`, are a magic.

use alloc::vec::Vec;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest as _, Sha256};

use crate::codec::Malformed;
use crate::ids::{
    CommitteeId, Digest, Epoch, LeafRoot, NetworkId, RuntimeProfile, Seq, StateRoot, StatementId,
};
use crate::tags;

/// Where each field's data begins; [`offset::ALL`] lists them in field order.
pub mod offset {
    /// `"ZQSTEP1\0"`.
    pub const MAGIC: usize = 2;
    /// Network.
    pub const NETWORK: usize = 11;
    /// Committee.
    pub const COMMITTEE: usize = 21;
    /// Epoch.
    pub const EPOCH: usize = 54;
    /// Seq.
    pub const SEQ: usize = 63;
    /// Tree size.
    pub const TREE_SIZE: usize = 72;
    /// Previous state root.
    pub const PREVIOUS_STATE: usize = 82;
    /// State root.
    pub const STATE: usize = 116;
    /// Runtime profile.
    pub const PROFILE: usize = 150;
    /// Previous statement.
    pub const PREVIOUS: usize = 184;
    /// Anchor height.
    pub const ANCHOR_HEIGHT: usize = 217;
    /// Anchor.
    pub const ANCHOR: usize = 227;
    /// Time.
    pub const TIME: usize = 260;
    /// Gas used.
    pub const GAS_USED: usize = 269;
    /// Inputs root.
    pub const INPUTS: usize = 279;
    /// SHA-256 of the trace root.
    pub const TRACE: usize = 313;

    /// All offsets in field order.
    pub const ALL: [usize; 16] = [
        MAGIC,
        NETWORK,
        COMMITTEE,
        EPOCH,
        SEQ,
        TREE_SIZE,
        PREVIOUS_STATE,
        STATE,
        PROFILE,
        PREVIOUS,
        ANCHOR_HEIGHT,
        ANCHOR,
        TIME,
        GAS_USED,
        INPUTS,
        TRACE,
    ];
}

/// What a step did. Together with the leaf root it is the statement that members vote for and
/// the group key signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Network of the committee.
    pub network: NetworkId,
    /// Digest of the committee's creation record; outlives epochs.
    pub committee: CommitteeId,
    /// Generation of key shares that signs.
    pub epoch: Epoch,
    /// Position in the committee's chain, from 1.
    pub seq: Seq,
    /// Number of leaves: an RFC 9162 root does not commit to it.
    pub tree_size: u64,
    /// State root before the step.
    pub previous_state: StateRoot,
    /// State root after the step.
    pub state: StateRoot,
    /// Engine, gas schedule, host ABI and limits.
    pub profile: RuntimeProfile,
    /// SHA-256(previous commit ‖ previous root); the committee id's bytes for seq 1.
    pub previous: StatementId,
    /// Height of the chain anchor; 0 where the committee follows no chain.
    pub anchor_height: u64,
    /// Hash of the chain anchor; zeros where the committee follows no chain.
    pub anchor: Digest,
    /// Time of the step, Unix milliseconds.
    pub time_ms: u64,
    /// Gas used by all requests of the step.
    pub gas_used: u64,
    /// Inputs root: ordered requests, observations, listed votes, faults.
    pub inputs: Digest,
    /// SHA-256(trace root) (rule A12).
    pub trace: Digest,
}

impl Commit {
    /// Length in bytes.
    pub const LEN: usize = 345;

    /// The layout of the module's table.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let mut out = Vec::with_capacity(Self::LEN);
        out.push(ARRAY_OF_16);
        put_8(&mut out, tags::COMMIT.0);
        put_8(&mut out, self.network.0.to_be_bytes());
        put_32(&mut out, self.committee.as_bytes());
        put_8(&mut out, self.epoch.0.to_be_bytes());
        put_8(&mut out, self.seq.0.to_be_bytes());
        put_8(&mut out, self.tree_size.to_be_bytes());
        put_32(&mut out, self.previous_state.as_bytes());
        put_32(&mut out, self.state.as_bytes());
        put_32(&mut out, self.profile.as_bytes());
        put_32(&mut out, self.previous.as_bytes());
        put_8(&mut out, self.anchor_height.to_be_bytes());
        put_32(&mut out, self.anchor.as_bytes());
        put_8(&mut out, self.time_ms.to_be_bytes());
        put_8(&mut out, self.gas_used.to_be_bytes());
        put_32(&mut out, self.inputs.as_bytes());
        put_32(&mut out, self.trace.as_bytes());
        out.try_into()
            .expect("1 + 8 fields of 9 bytes + 8 fields of 34 bytes are 345")
    }

    /// Reads the layout of the module's table.
    ///
    /// # Errors
    /// [`Malformed::Length`] or [`Malformed::At`] with the first offset that is wrong.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        if bytes.len() != Self::LEN {
            return Err(Malformed::Length {
                actual: bytes.len(),
                expected: Self::LEN,
            });
        }
        let mut fields = Fields { rest: bytes };
        fields.expect(&[ARRAY_OF_16])?;
        fields.expect(&[STRING_OF_8])?;
        fields.expect(&tags::COMMIT.0)?;
        Ok(Self {
            network: NetworkId(fields.number()?),
            committee: CommitteeId::from_bytes(fields.digest()?),
            epoch: Epoch(fields.number()?),
            seq: Seq(fields.number()?),
            tree_size: fields.number()?,
            previous_state: StateRoot::from_bytes(fields.digest()?),
            state: StateRoot::from_bytes(fields.digest()?),
            profile: RuntimeProfile::from_bytes(fields.digest()?),
            previous: StatementId::from_bytes(fields.digest()?),
            anchor_height: fields.number()?,
            anchor: Digest::from_bytes(fields.digest()?),
            time_ms: fields.number()?,
            gas_used: fields.number()?,
            inputs: Digest::from_bytes(fields.digest()?),
            trace: Digest::from_bytes(fields.digest()?),
        })
    }

    /// SHA-256(commit ‖ root): what members vote for, and the id of the attestation.
    #[must_use]
    pub fn statement(&self, root: &LeafRoot) -> StatementId {
        let mut hash = Sha256::new();
        hash.update(self.to_bytes());
        hash.update(root.as_bytes());
        StatementId::from_bytes(hash.finalize().into())
    }

    /// What `previous` is for seq 1: the committee id's bytes.
    #[must_use]
    pub const fn genesis_statement(committee: &CommitteeId) -> StatementId {
        StatementId::from_bytes(*committee.as_bytes())
    }
}

impl Serialize for Commit {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.serialize_str(&hex::encode(self.to_bytes()))
        } else {
            serializer.serialize_bytes(&self.to_bytes())
        }
    }
}

impl<'de> Deserialize<'de> for Commit {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error as _;
        if deserializer.is_human_readable() {
            let text = <alloc::borrow::Cow<'de, str>>::deserialize(deserializer)?;
            let bytes = hex::decode(text.as_bytes()).map_err(D::Error::custom)?;
            Self::from_bytes(&bytes).map_err(D::Error::custom)
        } else {
            let bytes = serde_bytes::ByteBuf::deserialize(deserializer)?;
            Self::from_bytes(&bytes).map_err(D::Error::custom)
        }
    }
}

/// CBOR head of an array of sixteen items.
const ARRAY_OF_16: u8 = 0x90;
/// CBOR head of a byte string of 8 bytes.
const STRING_OF_8: u8 = 0x48;
/// CBOR head of a byte string of 32 bytes.
const STRING_OF_32: [u8; 2] = [0x58, 0x20];

fn put_8(out: &mut Vec<u8>, field: [u8; 8]) {
    out.push(STRING_OF_8);
    out.extend_from_slice(&field);
}

fn put_32(out: &mut Vec<u8>, field: &[u8; 32]) {
    out.extend_from_slice(&STRING_OF_32);
    out.extend_from_slice(field);
}

/// The fields of a commit not read yet.
struct Fields<'a> {
    rest: &'a [u8],
}

impl Fields<'_> {
    fn expect(&mut self, head: &[u8]) -> Result<(), Malformed> {
        self.rest = self.rest.strip_prefix(head).ok_or_else(|| self.here())?;
        Ok(())
    }

    fn number(&mut self) -> Result<u64, Malformed> {
        self.expect(&[STRING_OF_8])?;
        self.take().map(u64::from_be_bytes)
    }

    fn digest(&mut self) -> Result<[u8; 32], Malformed> {
        self.expect(&STRING_OF_32)?;
        self.take()
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (field, rest) = self.rest.split_first_chunk().ok_or_else(|| self.here())?;
        self.rest = rest;
        Ok(*field)
    }

    fn here(&self) -> Malformed {
        Malformed::At {
            offset: Commit::LEN - self.rest.len(),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A commit in which every field differs.
    pub(crate) fn sample() -> Commit {
        Commit {
            network: NetworkId(321),
            committee: CommitteeId::from_bytes([2; 32]),
            epoch: Epoch(3),
            seq: Seq(4),
            tree_size: 2,
            previous_state: StateRoot::from_bytes([6; 32]),
            state: StateRoot::from_bytes([7; 32]),
            profile: RuntimeProfile::from_bytes([8; 32]),
            previous: StatementId::from_bytes([9; 32]),
            anchor_height: 10,
            anchor: Digest::from_bytes([11; 32]),
            time_ms: 12,
            gas_used: 13,
            inputs: Digest::from_bytes([14; 32]),
            trace: Digest::from_bytes([15; 32]),
        }
    }

    #[test]
    fn every_field_stands_at_its_offset() {
        let bytes = sample().to_bytes();
        let fields = offset::ALL.map(|at| match bytes[at - 1] {
            STRING_OF_8 => u64::from_be_bytes(bytes[at..at + 8].try_into().unwrap()),
            // Sample digests repeat one byte.
            _ => u64::from(bytes[at + 31]),
        });
        let magic = u64::from_be_bytes(tags::COMMIT.0);
        let expected = [magic, 321, 2, 3, 4, 2, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15];
        assert_eq!(fields, expected);
        assert_eq!(Commit::from_bytes(&bytes), Ok(sample()));
    }

    #[test]
    fn every_byte_that_is_not_data_is_fixed() {
        let good = sample().to_bytes();
        let data: Vec<usize> = offset::ALL
            .into_iter()
            .skip(1)
            .flat_map(|at| at..at + if good[at - 1] == STRING_OF_8 { 8 } else { 32 })
            .collect();
        for at in 0..Commit::LEN {
            let mut bytes = good;
            bytes[at] ^= 1;
            let read = Commit::from_bytes(&bytes);
            assert_eq!(read.is_ok(), data.contains(&at), "byte {at}");
        }
    }
}
