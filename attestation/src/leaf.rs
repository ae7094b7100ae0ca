//! Leaves: the outputs of a step, each a fixed-offset binary record that contracts slice.
//!
//! Every leaf begins with the same 42 bytes; numbers are big-endian.
//!
//! | at | bytes | field |
//! |---|---|---|
//! | 0 | 1 | version, 1 |
//! | 1 | 1 | kind: 0 output, 1 settlement, 2 message, 3 key change, 4 block |
//! | 2 | 32 | zApp; zeros (the system zApp) in a settlement, a key change and a block |
//! | 34 | 8 | seq |
//!
//! | at | bytes | output leaf (151) | at | bytes | settlement leaf (94) |
//! |---|---|---|---|---|---|
//! | 42 | 32 | request id | 42 | 8 | epoch |
//! | 74 | 1 | status | 50 | 4 | requests of this step |
//! | 75 | 4 | code | 54 | 8 | gas of this step |
//! | 79 | 8 | gas | 62 | 8 | fees of this step, 10⁻⁸ QSR |
//! | 87 | 32 | SHA-256(output) | 70 | 8 | requests since genesis |
//! | 119 | 32 | events digest | 78 | 8 | gas since genesis |
//! | | | | 86 | 8 | fees since genesis, 10⁻⁸ QSR |
//!
//! | at | bytes | message leaf (162 and the payload) | at | bytes | key-change leaf (117) |
//! |---|---|---|---|---|---|
//! | 42 | 8 | chain of the destination | 42 | 1 | suite: 1 FROST(secp256k1, KECCAK-256), 2 FROST(Ed25519, SHA-512) |
//! | 50 | 32 | contract that accepts it | 43 | 8 | last seq of the old key |
//! | 82 | 32 | receiver that the contract calls | 51 | 33 | old key: SEC1 compressed, or 0 and the Ed25519 key |
//! | 114 | 32 | channel | 84 | 33 | new key, likewise |
//! | 146 | 8 | number in the channel, from 1 | | | |
//! | 154 | 8 | gas that the call is given | | | |
//! | 162 | | payload | | | |
//!
//! | at | bytes | block leaf (348) | at | bytes | |
//! |---|---|---|---|---|---|
//! | 42 | 8 | version of the block, 1 | 186 | 32 | amount |
//! | 50 | 8 | chain identifier | 218 | 10 | token standard |
//! | 58 | 8 | type: 2 send, 3 receive | 228 | 32 | source block |
//! | 66 | 32 | previous block | 260 | 32 | SHA3-256 of nothing: no descendants |
//! | 98 | 8 | height, from 1 | 292 | 32 | SHA3-256(data) |
//! | 106 | 32 | momentum | 324 | 8 | fused plasma |
//! | 138 | 8 | its height | 332 | 8 | difficulty |
//! | 146 | 20 | account | 340 | 8 | nonce |
//! | 166 | 20 | recipient | | | |
//!
//! What a block leaf holds from 42 on is what a block of the Network of Momentum hashes.
//!
//! The chain of a destination is its EIP-155 id, or [`MessageLeaf::cosmos`] of its chain id. A
//! contract or receiver of 20 bytes stands in the last 20 of its 32. A channel is
//! [`MessageLeaf::channel`] of its committee, zApp and destination.
//!
//! Leaf 0 is always the settlement, and a step has at least one request: a tree has at least two
//! leaves and an inclusion path is never empty (RFC 9942 demands that).
//! Totals are cumulative, so that a consumer may skip steps and still settle exactly.

mod block;
mod key_change;

use alloc::vec::Vec;

use serde::{Deserialize, Serialize};

use crate::codec::{Layout, Malformed};
use crate::ids::{CommitteeId, Digest, Epoch, RequestId, Seq, ZappId};
use crate::tags;

pub use block::BlockLeaf;
pub use key_change::KeyChangeLeaf;

/// Most leaves in a step.
pub const LEAVES_MAX: u64 = 1 << 16;
/// Longest payload of a message.
pub const PAYLOAD_BYTES_MAX: usize = 16 * 1024;
/// Longest label of a channel.
pub const LABEL_BYTES_MAX: usize = 32;

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(into = "u8", try_from = "u8")]
pub enum Status {
    /// It ran, and its writes stand.
    Ok,
    /// The zApp gave up with a code; no writes.
    Reverted,
    /// The module trapped; no writes.
    Trapped,
    /// The gas limit was reached; no writes.
    OutOfGas,
    /// It did not run: out of date, replayed, unknown zApp, or not paid for.
    Refused,
    /// It did not run: t members could not run it (rule A11).
    Faulted,
}

impl Status {
    /// The name that interfaces show.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Reverted => "reverted",
            Self::Trapped => "trapped",
            Self::OutOfGas => "out_of_gas",
            Self::Refused => "refused",
            Self::Faulted => "faulted",
        }
    }
}

impl From<Status> for u8 {
    fn from(status: Status) -> Self {
        match status {
            Status::Ok => 0,
            Status::Reverted => 1,
            Status::Trapped => 2,
            Status::OutOfGas => 3,
            Status::Refused => 4,
            Status::Faulted => 5,
        }
    }
}

impl TryFrom<u8> for Status {
    type Error = &'static str;

    fn try_from(value: u8) -> Result<Self, Self::Error> {
        Ok(match value {
            0 => Self::Ok,
            1 => Self::Reverted,
            2 => Self::Trapped,
            3 => Self::OutOfGas,
            4 => Self::Refused,
            5 => Self::Faulted,
            _ => return Err("status is 0 to 5"),
        })
    }
}

/// The outcome of one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutputLeaf {
    /// The zApp called.
    pub zapp: ZappId,
    /// The step.
    pub seq: Seq,
    /// The request.
    pub request: RequestId,
    /// How it ended.
    pub status: Status,
    /// The zApp's own code for a revert, the reason's number for a refusal, else 0.
    pub code: u32,
    /// Gas charged.
    pub gas: u64,
    /// SHA-256 of the output bytes.
    pub output: Digest,
    /// Digest of the events.
    pub events: Digest,
}

/// The step's bill. Fees are 0 while no lease prices gas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SettlementLeaf {
    /// The step.
    pub seq: Seq,
    /// Its epoch.
    pub epoch: Epoch,
    /// Requests in this step.
    pub requests: u32,
    /// Gas used by this step.
    pub gas: u64,
    /// Fees charged by this step in 10⁻⁸ QSR.
    pub fees: u64,
    /// Requests since genesis, this step included.
    pub requests_total: u64,
    /// Gas since genesis, this step included.
    pub gas_total: u64,
    /// Fees since genesis in 10⁻⁸ QSR, this step included.
    pub fees_total: u64,
}

/// An outbound message: what a contract elsewhere is asked to do (rule E2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MessageLeaf {
    /// The zApp that sends it.
    pub zapp: ZappId,
    /// The step.
    pub seq: Seq,
    /// The destination's chain: EIP-155 id, or [`MessageLeaf::cosmos`].
    pub chain: u64,
    /// The contract that accepts it, left-padded.
    pub contract: [u8; 32],
    /// Whom that contract calls, left-padded.
    pub receiver: [u8; 32],
    /// The channel.
    pub channel: Digest,
    /// Number in the channel, from 1, without gaps.
    pub number: u64,
    /// Gas that the call is given.
    pub gas: u64,
    /// What is sent, at most [`PAYLOAD_BYTES_MAX`].
    pub payload: Vec<u8>,
}

/// One leaf of a step's tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Leaf {
    /// Outcome of a request.
    Output(OutputLeaf),
    /// The step's bill, always leaf 0.
    Settlement(SettlementLeaf),
    /// An outbound message.
    Message(MessageLeaf),
    /// The end of a group key, and its successor.
    KeyChange(KeyChangeLeaf),
    /// A block of the committee's NoM account.
    Block(BlockLeaf),
}

impl Leaf {
    /// The fixed-offset layout of the module's table.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Output(leaf) => leaf.to_bytes(),
            Self::Settlement(leaf) => leaf.to_bytes(),
            Self::Message(leaf) => leaf.to_bytes(),
            Self::KeyChange(leaf) => leaf.to_bytes(),
            Self::Block(leaf) => leaf.to_bytes(),
        }
    }

    /// Reads a leaf of any known kind.
    ///
    /// # Errors
    /// [`Malformed::Length`], or [`Malformed::At`] with the offset of an unknown version, kind,
    /// status, suite or type of block, of a number 0 of a message or height 0 of a block, of
    /// descendants of a block, or of a zApp that is not zeros where it must be.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        match bytes {
            [VERSION, OUTPUT, ..] => OutputLeaf::from_bytes(bytes).map(Self::Output),
            [VERSION, SETTLEMENT, ..] => SettlementLeaf::from_bytes(bytes).map(Self::Settlement),
            [VERSION, MESSAGE, ..] => MessageLeaf::from_bytes(bytes).map(Self::Message),
            [VERSION, KEY_CHANGE, ..] => KeyChangeLeaf::from_bytes(bytes).map(Self::KeyChange),
            [VERSION, BLOCK, ..] => BlockLeaf::from_bytes(bytes).map(Self::Block),
            [VERSION, ..] => Err(Malformed::At { offset: 1 }),
            _ => Err(Malformed::At { offset: 0 }),
        }
    }

    /// The step that the leaf says it belongs to.
    #[must_use]
    pub const fn seq(&self) -> Seq {
        match self {
            Self::Output(leaf) => leaf.seq,
            Self::Settlement(leaf) => leaf.seq,
            Self::Message(leaf) => leaf.seq,
            Self::KeyChange(leaf) => leaf.seq,
            Self::Block(leaf) => leaf.seq,
        }
    }
}

impl OutputLeaf {
    /// Length in bytes.
    pub const LEN: usize = 151;

    /// The fixed-offset layout of the module's table.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = head(OUTPUT, &self.zapp, self.seq, Self::LEN);
        out.extend_from_slice(self.request.as_bytes());
        out.push(self.status.into());
        out.extend_from_slice(&self.code.to_be_bytes());
        out.extend_from_slice(&self.gas.to_be_bytes());
        out.extend_from_slice(self.output.as_bytes());
        out.extend_from_slice(self.events.as_bytes());
        out
    }

    /// Reads an output leaf.
    ///
    /// # Errors
    /// As [`Leaf::from_bytes`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Fields::new(bytes, Self::LEN, OUTPUT)?;
        Ok(Self {
            zapp: ZappId::from_bytes(fields.take()?),
            seq: Seq(fields.number()?),
            request: RequestId::from_bytes(fields.take()?),
            status: {
                let at = fields.here();
                let [status] = fields.take()?;
                Status::try_from(status).map_err(|_| at)?
            },
            code: u32::from_be_bytes(fields.take()?),
            gas: fields.number()?,
            output: Digest::from_bytes(fields.take()?),
            events: Digest::from_bytes(fields.take()?),
        })
    }
}

impl SettlementLeaf {
    /// Length in bytes.
    pub const LEN: usize = 94;

    /// The fixed-offset layout of the module's table.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = head(SETTLEMENT, &ZappId::SYSTEM, self.seq, Self::LEN);
        out.extend_from_slice(&self.epoch.0.to_be_bytes());
        out.extend_from_slice(&self.requests.to_be_bytes());
        out.extend_from_slice(&self.gas.to_be_bytes());
        out.extend_from_slice(&self.fees.to_be_bytes());
        out.extend_from_slice(&self.requests_total.to_be_bytes());
        out.extend_from_slice(&self.gas_total.to_be_bytes());
        out.extend_from_slice(&self.fees_total.to_be_bytes());
        out
    }

    /// Reads a settlement leaf.
    ///
    /// # Errors
    /// As [`Leaf::from_bytes`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut fields = Fields::new(bytes, Self::LEN, SETTLEMENT)?;
        fields.system()?;
        Ok(Self {
            seq: Seq(fields.number()?),
            epoch: Epoch(fields.number()?),
            requests: u32::from_be_bytes(fields.take()?),
            gas: fields.number()?,
            fees: fields.number()?,
            requests_total: fields.number()?,
            gas_total: fields.number()?,
            fees_total: fields.number()?,
        })
    }
}

impl MessageLeaf {
    /// Length in bytes without the payload.
    pub const LEN: usize = 162;
    /// The chain of a message that orders a payout from the committee's account on the Network of
    /// Momentum: no EIP-155 id. The contract is the token's 10 bytes and the receiver the
    /// recipient's 20, both left-padded; the payload is the amount, 32 bytes big-endian, and data.
    pub const NOM: u64 = u64::MAX;

    /// The number of a Cosmos chain: the first 8 bytes of a digest of its chain id, the highest bit
    /// set. No EIP-155 id has that bit (EIP-2294).
    #[must_use]
    pub fn cosmos(chain_id: &str) -> u64 {
        let digest = Layout::new(tags::COSMOS_CHAIN)
            .bytes(chain_id.as_bytes())
            .digest();
        let head = digest
            .as_bytes()
            .first_chunk()
            .expect("32 bytes are 8 and more");
        u64::from_be_bytes(*head) | 1 << 63
    }

    /// The channel of a zApp to a destination, under a label that is the zApp's own.
    #[must_use]
    pub fn channel(
        committee: &CommitteeId,
        zapp: &ZappId,
        (chain, contract): (u64, &[u8; 32]),
        label: &[u8],
    ) -> Digest {
        Layout::new(tags::MESSAGE_CHANNEL)
            .fixed(committee.as_bytes())
            .fixed(zapp.as_bytes())
            .number(chain)
            .fixed(contract)
            .bytes(label)
            .digest()
    }

    /// The fixed-offset layout of the module's table.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let len = Self::LEN + self.payload.len();
        let mut out = head(MESSAGE, &self.zapp, self.seq, len);
        out.extend_from_slice(&self.chain.to_be_bytes());
        out.extend_from_slice(&self.contract);
        out.extend_from_slice(&self.receiver);
        out.extend_from_slice(self.channel.as_bytes());
        out.extend_from_slice(&self.number.to_be_bytes());
        out.extend_from_slice(&self.gas.to_be_bytes());
        out.extend_from_slice(&self.payload);
        out
    }

    /// Reads a message leaf.
    ///
    /// # Errors
    /// As [`Leaf::from_bytes`].
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        let len = bytes.len().clamp(Self::LEN, Self::LEN + PAYLOAD_BYTES_MAX);
        let mut fields = Fields::new(bytes, len, MESSAGE)?;
        Ok(Self {
            zapp: ZappId::from_bytes(fields.take()?),
            seq: Seq(fields.number()?),
            chain: fields.number()?,
            contract: fields.take()?,
            receiver: fields.take()?,
            channel: Digest::from_bytes(fields.take()?),
            number: {
                let at = fields.here();
                match fields.number()? {
                    0 => return Err(at),
                    number => number,
                }
            },
            gas: fields.number()?,
            payload: fields.rest.to_vec(),
        })
    }
}

const VERSION: u8 = 1;
const OUTPUT: u8 = 0;
const SETTLEMENT: u8 = 1;
const MESSAGE: u8 = 2;
const KEY_CHANGE: u8 = 3;
const BLOCK: u8 = 4;

fn head(kind: u8, zapp: &ZappId, seq: Seq, len: usize) -> Vec<u8> {
    let mut out = Vec::with_capacity(len);
    out.extend_from_slice(&[VERSION, kind]);
    out.extend_from_slice(zapp.as_bytes());
    out.extend_from_slice(&seq.0.to_be_bytes());
    out
}

/// The fields of a leaf not read yet.
struct Fields<'a> {
    rest: &'a [u8],
    len: usize,
}

impl<'a> Fields<'a> {
    fn new(bytes: &'a [u8], len: usize, kind: u8) -> Result<Self, Malformed> {
        if bytes.len() != len {
            return Err(Malformed::Length {
                actual: bytes.len(),
                expected: len,
            });
        }
        let mut fields = Self { rest: bytes, len };
        for expected in [VERSION, kind] {
            let at = fields.here();
            if fields.take()? != [expected] {
                return Err(at);
            }
        }
        Ok(fields)
    }

    /// A zApp that must be the system zApp.
    fn system(&mut self) -> Result<(), Malformed> {
        let at = self.here();
        match ZappId::from_bytes(self.take()?) {
            ZappId::SYSTEM => Ok(()),
            _ => Err(at),
        }
    }

    /// A field that has one value.
    fn expect<const N: usize>(&mut self, value: [u8; N]) -> Result<(), Malformed> {
        let at = self.here();
        if self.take()? == value {
            Ok(())
        } else {
            Err(at)
        }
    }

    fn number(&mut self) -> Result<u64, Malformed> {
        self.take().map(u64::from_be_bytes)
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (field, rest) = self.rest.split_first_chunk().ok_or_else(|| self.here())?;
        self.rest = rest;
        Ok(*field)
    }

    fn here(&self) -> Malformed {
        Malformed::At {
            offset: self.len - self.rest.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_number_of_a_cosmos_chain_is_no_eip_155_id_and_tells_chains_apart() {
        // The layout of a digest: tag, then each field of any length behind its length.
        let mut bytes = tags::COSMOS_CHAIN.0.to_vec();
        bytes.extend_from_slice(&8u64.to_be_bytes());
        bytes.extend_from_slice(b"chain-24");
        let digest: [u8; 32] = <sha2::Sha256 as sha2::Digest>::digest(bytes).into();
        let head = u64::from_be_bytes(digest[..8].try_into().unwrap());
        assert_eq!(MessageLeaf::cosmos("chain-24"), head | 1 << 63);
        assert_ne!(
            MessageLeaf::cosmos("chain-24"),
            MessageLeaf::cosmos("chain-25")
        );
        for at in 0..100 {
            let number = MessageLeaf::cosmos(&alloc::format!("chain-{at}"));
            // EIP-2294 bounds ids below 2^63; the highest number of all is the Network of Momentum.
            assert!(number >= 1 << 63 && number != MessageLeaf::NOM);
        }
    }

    #[test]
    fn an_ed25519_key_stands_after_a_zero_byte() {
        let (old, new) = ([3; 32], [4; 32]);
        let keys = (old, new);
        let key = crate::ids::GroupKey::from_bytes;
        let leaf = KeyChangeLeaf::of_ed25519(Seq(7), 9, &key(keys.0), &key(keys.1));
        let bytes = leaf.to_bytes();
        assert_eq!(bytes[42], 2);
        assert_eq!((bytes[51], bytes[84]), (0, 0));
        assert_eq!((&bytes[52..84], &bytes[85..]), (&old[..], &new[..]));
        assert_eq!(leaf.ed25519(), Some((key(old), key(new))));
        for at in [51, 84] {
            let mut other = bytes.clone();
            other[at] = 2;
            assert_eq!(KeyChangeLeaf::from_bytes(&other).unwrap().ed25519(), None);
        }
        let secp256k1 = KeyChangeLeaf {
            suite: KeyChangeLeaf::SECP256K1,
            ..leaf
        };
        assert_eq!(secp256k1.ed25519(), None);
    }
}
