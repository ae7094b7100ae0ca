//! The system zApp: committee, registry, nonces, votes and totals, kept by every signer itself.
//!
//! Its entries lie in the same tree as all others, under [`ZappId::SYSTEM`]:
//!
//! | key | value |
//! |---|---|
//! | `committee` | [`Committee`]: epoch, n, t, runtime profile |
//! | `totals` | [`Totals`] since genesis, as the settlement leaf shows them |
//! | `votes` | [`Listed`]: votes of the step before, not yet credited (rule A12) |
//! | `credits` | [`Credits`]: steps for which each member is credited |
//! | `nonce/` ‖ caller | the caller's last nonce, 8 bytes big-endian |
//! | `zapp/` ‖ zApp | [`ZappRecord`] |
//!
//! Its one method is `deploy`. A request for any other is refused.

use alloc::vec::Vec;

use attestation::codec::{self, Layout, Malformed};
use attestation::committee::CreationRecord;
use attestation::ids::{
    Digest, Epoch, IdentityKey, ModuleDigest, RuntimeProfile, Seq, Slot, ZappId,
};
use attestation::request::INPUT_BYTES_MAX;
use attestation::tags;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::entry::HEAD;
use crate::limits::VALUE_BYTES_MAX;
use crate::state::State;
use crate::tree::NeedState;

/// Key of [`Committee`].
pub const COMMITTEE: &[u8] = b"committee";
/// Key of [`Totals`].
pub const TOTALS: &[u8] = b"totals";
/// Key of [`Listed`].
pub const VOTES: &[u8] = b"votes";
/// Key of [`Credits`].
pub const CREDITS: &[u8] = b"credits";
/// Name of the method that deploys a zApp; its input is a [`Deploy`].
pub const DEPLOY: &str = "deploy";

/// The committee as the next step finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Committee {
    /// Generation of key shares that signs the next step.
    pub epoch: Epoch,
    /// n.
    pub members: u16,
    /// t.
    pub threshold: u16,
    /// Engine, gas schedule, host ABI and limits of the next step.
    pub profile: RuntimeProfile,
}

/// Running totals since genesis.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Requests.
    pub requests: u64,
    /// Gas.
    pub gas: u64,
    /// Fees in 10⁻⁸ QSR.
    pub fees: u64,
}

/// Votes of a step, until its trace root is revealed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listed {
    /// The step.
    pub seq: Seq,
    /// SHA-256 of its trace root, from its commit.
    pub trace: Digest,
    /// Who voted, in slot order.
    pub votes: Vec<ListedVote>,
}

/// One listed vote.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedVote {
    /// The voter.
    pub slot: Slot,
    /// Its masked trace root.
    pub mask: Digest,
}

/// Steps credited to members, in slot order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credits(pub Vec<Credit>);

/// What one member is credited with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credit {
    /// The member.
    pub slot: Slot,
    /// Steps that it provably ran and voted for.
    pub steps: u64,
}

/// A deployed zApp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ZappRecord {
    /// Who deployed it.
    pub owner: IdentityKey,
    /// SHA-256 of its module.
    pub module: ModuleDigest,
    /// SHA-256 of the metered module that runs.
    pub metered: Digest,
    /// The step that deployed it.
    pub seq: Seq,
}

/// Input of [`DEPLOY`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deploy {
    /// SHA-256 of the module; its bytes travel apart.
    pub module: ModuleDigest,
    /// Makes zApps of one owner distinct.
    pub salt: Digest,
    /// Input of the zApp's `init`.
    #[serde(with = "serde_bytes")]
    pub init: Vec<u8>,
}

/// Why a request is refused: the `code` of its leaf.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[repr(u32)]
pub enum Refusal {
    /// There is no such zApp.
    #[error("no such zApp")]
    UnknownZapp = 1,
    /// The system zApp has no such method.
    #[error("the system zApp has no such method")]
    UnknownMethod = 2,
    /// The input is not what the system zApp's method takes.
    #[error("the input is not what the method takes")]
    Input = 3,
    /// The owner has a zApp with this salt.
    #[error("the owner has deployed a zApp with this salt")]
    Exists = 4,
    /// The gatekeeper rejects the module; the output is the encoded
    /// [`Rejection`](crate::execute::Rejection).
    #[error("the gatekeeper rejects the module")]
    Module = 5,
}

impl Refusal {
    /// The reason behind a leaf's code.
    #[must_use]
    pub const fn from_code(code: u32) -> Option<Self> {
        Some(match code {
            1 => Self::UnknownZapp,
            2 => Self::UnknownMethod,
            3 => Self::Input,
            4 => Self::Exists,
            5 => Self::Module,
            _ => return None,
        })
    }

    /// The leaf's code.
    #[must_use]
    pub const fn code(self) -> u32 {
        self as u32
    }
}

impl Deploy {
    /// The canonical encoding: the request's input.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Decodes a request's input.
    ///
    /// # Errors
    /// [`Malformed`] if the bytes are too long or not what [`Self::to_bytes`] writes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        codec::decode(bytes, INPUT_BYTES_MAX)
    }

    /// The id that the zApp gets when `owner` deploys it.
    #[must_use]
    pub fn zapp(&self, owner: &IdentityKey) -> ZappId {
        let digest = Layout::new(tags::ZAPP)
            .fixed(owner.as_bytes())
            .fixed(self.salt.as_bytes())
            .digest();
        ZappId::from_bytes(*digest.as_bytes())
    }
}

impl Credits {
    /// Adds one step to a member's credit.
    pub fn add(&mut self, slot: Slot) {
        match self.0.binary_search_by_key(&slot, |credit| credit.slot) {
            Ok(at) => {
                if let Some(credit) = self.0.get_mut(at) {
                    credit.steps = credit.steps.saturating_add(1);
                }
            }
            Err(at) => self.0.insert(at, Credit { slot, steps: 1 }),
        }
    }
}

/// Key of a caller's nonce.
#[must_use]
pub fn nonce_key(caller: &IdentityKey) -> Vec<u8> {
    [b"nonce/".as_slice(), caller.as_bytes()].concat()
}

/// Key of a zApp's [`ZappRecord`].
#[must_use]
pub fn zapp_key(zapp: &ZappId) -> Vec<u8> {
    [ZAPPS, zapp.as_bytes()].concat()
}

/// The state before the first step.
#[must_use]
pub fn genesis(record: &CreationRecord) -> State {
    let committee = Committee {
        epoch: Epoch(1),
        members: u16::try_from(record.members.len()).unwrap_or(u16::MAX),
        threshold: record.threshold,
        profile: record.profile,
    };
    let votes = Listed {
        seq: Seq(0),
        trace: Digest::from_bytes([0; 32]),
        votes: Vec::new(),
    };
    let entries = [
        (HEAD, Vec::new()),
        (COMMITTEE, codec::encode(&committee)),
        (TOTALS, codec::encode(&Totals::default())),
        (VOTES, codec::encode(&votes)),
        (CREDITS, codec::encode(&Credits::default())),
    ];
    let entries = entries.map(|(key, value)| (ZappId::SYSTEM, key.to_vec(), value));
    State::from_entries(entries).expect("the head sentinel is among the entries")
}

/// Reads the value of an entry of the system zApp.
pub(crate) fn read<T: Serialize + DeserializeOwned>(value: &[u8]) -> Option<T> {
    codec::decode(value, VALUE_BYTES_MAX).ok()
}

const ZAPPS: &[u8] = b"zapp/";

impl State {
    /// The state before the first step of the committee that `record` creates.
    #[must_use]
    pub fn genesis(record: &CreationRecord) -> Self {
        genesis(record)
    }

    /// The committee as the next step finds it; `None` only in a state that is not a committee's.
    ///
    /// # Errors
    /// [`NeedState`] if a pruned state does not show it.
    pub fn committee(&self) -> Result<Option<Committee>, NeedState> {
        Ok(self.get(&ZappId::SYSTEM, COMMITTEE)?.and_then(read))
    }

    /// The last nonce of a caller.
    ///
    /// # Errors
    /// [`NeedState`] if a pruned state does not show it.
    pub fn nonce(&self, caller: &IdentityKey) -> Result<Option<u64>, NeedState> {
        let value = self.get(&ZappId::SYSTEM, &nonce_key(caller))?;
        Ok(value
            .and_then(|value| value.try_into().ok())
            .map(u64::from_be_bytes))
    }

    /// The record of a deployed zApp.
    ///
    /// # Errors
    /// [`NeedState`] if a pruned state does not show it.
    pub fn zapp(&self, zapp: &ZappId) -> Result<Option<ZappRecord>, NeedState> {
        Ok(self.get(&ZappId::SYSTEM, &zapp_key(zapp))?.and_then(read))
    }

    /// Every deployed zApp, in order of its id.
    pub fn zapps(&self) -> impl Iterator<Item = (ZappId, ZappRecord)> {
        self.of(&ZappId::SYSTEM).filter_map(|(key, entry)| {
            let zapp = key.strip_prefix(ZAPPS)?.try_into().ok()?;
            Some((ZappId::from_bytes(zapp), read(&entry.value)?))
        })
    }
}
