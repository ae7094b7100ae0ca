//! The system zApp: committee, registry, nonces, votes and totals, kept by every signer itself.
//!
//! Its entries lie in the same tree as all others, under [`ZappId::SYSTEM`]:
//!
//! | key | value |
//! |---|---|
//! | `committee` | [`Committee`]: epoch, n, t, key package, runtime profile, terms |
//! | `epoch/` ‖ base | [`Successor`]: which epoch followed that one, 8 bytes big-endian |
//! | `totals` | [`Totals`] since genesis, as the settlement leaf shows them |
//! | `votes` | [`Listed`]: votes of the step before, not yet credited (rule A12) |
//! | `credits` | [`Credits`]: what each member is credited with |
//! | `funds` | [`Funds`]: all money, by where it is |
//! | `payout/` ‖ slot | account that gets what the member earns; none where nobody is to |
//! | `nonce/` ‖ caller | the caller's last nonce, 8 bytes big-endian |
//! | `zapp/` ‖ zApp | [`ZappRecord`] |
//! | `lease/` ‖ zApp | [`Lease`]: what the zApp may spend, and on what |
//! | `channel/` ‖ channel | number of its last outbound message, 8 bytes big-endian |
//! | `account/` ‖ key | balance in 10⁻⁸ QSR, 8 bytes big-endian; absent where it is nothing |
//!
//! Entries that begin with `nom` are the committee's account on the Network of Momentum ([`nom`]).
//! [`methods`] lists what it does on request; a request for any other method is refused.

pub mod methods;
pub mod nom;

use alloc::vec::Vec;

use attestation::codec;
use attestation::committee::{Card, CreationRecord};
use attestation::ids::{
    Digest, Epoch, IdentityKey, ModuleDigest, RuntimeProfile, Seq, Slot, ZappId,
};
use attestation::terms::{Grant, Terms};
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
/// Key of [`Funds`].
pub const FUNDS: &[u8] = b"funds";
pub use methods::{
    Abort, Claim, Cutover, DEPLOY, Deploy, Freeze, Fund, LeaseTerms, Seat, Transfer, Upgrade,
};

/// The committee as the next step finds it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Committee {
    /// Generation of key shares that signs the next step.
    pub epoch: Epoch,
    /// n.
    pub members: u16,
    /// t.
    pub threshold: u16,
    /// Highest slot that any epoch has had.
    pub slot_max: Slot,
    /// Digest of the plan that this epoch comes from; zeros in the first.
    pub plan: Digest,
    /// Digest of the epoch's public key package; zeros in the first, which begins without a key.
    pub package: Digest,
    /// Engine, gas schedule, host ABI and limits of the next step.
    pub profile: RuntimeProfile,
    /// What requests and state cost.
    pub terms: Terms,
}

/// The epoch that followed another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Successor {
    /// Its number.
    pub epoch: Epoch,
    /// Digest of the plan of the change.
    pub plan: Digest,
    /// Digest of its public key package.
    pub package: Digest,
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
    /// Its fees, to be divided among those whose votes match.
    pub fees: u64,
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

/// What members are credited with, in slot order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credits(pub Vec<Credit>);

/// What one member is credited with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credit {
    /// The member.
    pub slot: Slot,
    /// Steps that it provably ran and voted for.
    pub steps: u64,
    /// Its share of their fees that it has not claimed, 10⁻⁸ QSR.
    pub earned: u64,
}

/// All money that there is, 10⁻⁸ QSR, by where it is. What came in is always the sum of the rest:
/// no step is voted for after which it is not.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Funds {
    /// What ever came in.
    pub deposits: u64,
    /// In accounts.
    pub accounts: u64,
    /// In escrows of zApps.
    pub escrows: u64,
    /// Deposits for stored bytes.
    pub held: u64,
    /// Earned by members and not claimed.
    pub earned: u64,
    /// Fees that are not divided yet: of this step and the one before.
    pub pending: u64,
    /// Fees that no member earned.
    pub unassigned: u64,
    /// Fees of the last step; part of `pending`.
    pub last: u64,
}

/// What a zApp may spend, and on what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// Pays for requests that say so, and for stored bytes.
    pub escrow: u64,
    /// Bytes stored, keys and values; a deposit is held for each.
    pub stored: u64,
    /// The escrow is kept from falling below this by requests that it pays for.
    pub reserve: u64,
    /// Most gas of a request that it pays for; 0 where the owner has set no bound, and
    /// [`ESCROW_CALL_GAS`](crate::limits::ESCROW_CALL_GAS) is it.
    pub call_gas_max: u64,
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
    /// The step that deployed it, or this module of it.
    pub seq: Seq,
    /// Whether its module can call other zApps.
    pub calls: bool,
    /// Pages of memory that its module may grow to.
    pub pages: u32,
    /// How often its module was replaced.
    pub version: u32,
    /// Its module stays for ever.
    pub frozen: bool,
    /// Its owner has ended it: it takes no calls.
    pub aborted: bool,
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
    /// Whoever should pay cannot: account or escrow holds less than the most that it may cost.
    #[error("the account or escrow that should pay holds less than this may cost")]
    Unpaid = 6,
    /// It ran, and its zApp's escrow cannot pay the deposit for what it stored: nothing is written.
    #[error("the zApp's escrow cannot pay the deposit for what the call stored")]
    Deposit = 7,
    /// The zApp pays for calls of less gas only.
    #[error("the zApp pays for calls with a lower gas limit only")]
    CallGas = 8,
    /// The id does not show the work asked for, work pays for less gas only, or the request is
    /// valid for longer than a quarter of an hour.
    #[error("the id does not show the work asked for, or too much gas or time is asked for")]
    Work = 9,
    /// Only the owner may do this.
    #[error("only the zApp's owner may do this")]
    NotOwner = 10,
    /// The zApp's module is frozen.
    #[error("the zApp's module is frozen")]
    Frozen = 11,
    /// The zApp's owner has ended it.
    #[error("the zApp's owner has ended it")]
    Aborted = 12,
    /// The account or escrow holds less than the amount.
    #[error("the account or escrow holds less than the amount")]
    Balance = 13,
    /// There is no account to pay what this slot earned.
    #[error("there is no account to pay what this slot earned")]
    NoPayout = 14,
    /// The change is not of the epoch in force.
    #[error("the change is not of the epoch in force")]
    Epoch = 15,
    /// The deadline for observations of the request's sources has passed (rule A13).
    #[error("members' observations of the request's sources did not come together in time")]
    Unobserved = 16,
    /// The committee's NoM account was not begun yet.
    #[error("the committee's NoM account was not begun yet")]
    NoAccount = 32,
    /// Not a block to or of the committee's NoM account, or not an authentic one.
    #[error("not an authentic block to the committee's NoM account, or none that was issued")]
    Block = 33,
    /// The deposit was taken before.
    #[error("the deposit was taken before")]
    Taken = 34,
    /// No order waits, too many do, or its block was issued too often.
    #[error("no order waits, too many do, or its block was issued too often")]
    Orders = 35,
    /// A message to the Network of Momentum that no block can carry.
    #[error("a message to the Network of Momentum that no block can carry")]
    Order = 36,
    /// Momentum, plasma or work with which the network would refuse the block.
    #[error("momentum, plasma or work with which the network would refuse the block")]
    Issue = 37,
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
            6 => Self::Unpaid,
            7 => Self::Deposit,
            8 => Self::CallGas,
            9 => Self::Work,
            10 => Self::NotOwner,
            11 => Self::Frozen,
            12 => Self::Aborted,
            13 => Self::Balance,
            14 => Self::NoPayout,
            15 => Self::Epoch,
            16 => Self::Unobserved,
            32 => Self::NoAccount,
            33 => Self::Block,
            34 => Self::Taken,
            35 => Self::Orders,
            36 => Self::Order,
            37 => Self::Issue,
            _ => return None,
        })
    }

    /// The leaf's code.
    #[must_use]
    pub const fn code(self) -> u32 {
        self as u32
    }
}

impl Credits {
    /// Adds one step, and a share of its fees, to a member's credit.
    pub fn add(&mut self, slot: Slot, share: u64) {
        let credit = match self.0.binary_search_by_key(&slot, |credit| credit.slot) {
            Ok(at) => self.0.get_mut(at),
            Err(at) => {
                let credit = Credit {
                    slot,
                    steps: 0,
                    earned: 0,
                };
                self.0.insert(at, credit);
                self.0.get_mut(at)
            }
        };
        if let Some(credit) = credit {
            credit.steps = credit.steps.saturating_add(1);
            credit.earned = credit.earned.saturating_add(share);
        }
    }

    /// Takes what a member has earned.
    pub fn take(&mut self, slot: Slot) -> u64 {
        let credit = self.0.iter_mut().find(|credit| credit.slot == slot);
        credit.map_or(0, |credit| core::mem::take(&mut credit.earned))
    }

    /// What all members have earned.
    #[must_use]
    pub fn earned(&self) -> u64 {
        self.0.iter().map(|credit| credit.earned).sum()
    }
}

impl Funds {
    /// Whether what came in is the sum of what is there.
    #[must_use]
    pub fn balance(&self) -> bool {
        let parts = [
            self.accounts,
            self.escrows,
            self.held,
            self.earned,
            self.pending,
            self.unassigned,
        ];
        let sum = parts.into_iter().map(u128::from).sum::<u128>();
        sum == u128::from(self.deposits) && self.last <= self.pending
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

/// Key of a zApp's [`Lease`].
#[must_use]
pub fn lease_key(zapp: &ZappId) -> Vec<u8> {
    [LEASES, zapp.as_bytes()].concat()
}

/// Key of the last number of a channel of outbound messages.
#[must_use]
pub fn channel_key(channel: &Digest) -> Vec<u8> {
    [b"channel/".as_slice(), channel.as_bytes()].concat()
}

/// Key of an account's balance.
#[must_use]
pub fn account_key(account: &IdentityKey) -> Vec<u8> {
    [ACCOUNTS, account.as_bytes()].concat()
}

/// Key of the [`Successor`] of an epoch.
#[must_use]
pub fn successor_key(base: Epoch) -> Vec<u8> {
    [b"epoch/".as_slice(), &base.0.to_be_bytes()].concat()
}

/// Key of the account that gets what a member earns.
#[must_use]
pub fn payout_key(slot: Slot) -> Vec<u8> {
    [b"payout/".as_slice(), &slot.0.to_be_bytes()].concat()
}

/// The state before the first step.
#[must_use]
pub fn genesis(record: &CreationRecord) -> State {
    let zeros = Digest::from_bytes([0; 32]);
    let members = u16::try_from(record.members.len()).unwrap_or(u16::MAX);
    let committee = Committee {
        epoch: Epoch(1),
        members,
        threshold: record.threshold,
        slot_max: Slot(members),
        plan: zeros,
        package: zeros,
        profile: record.profile,
        terms: record.terms,
    };
    let votes = Listed {
        seq: Seq(0),
        trace: zeros,
        fees: 0,
        votes: Vec::new(),
    };
    let granted = Grant::sum(&record.grants);
    let funds = Funds {
        deposits: granted,
        accounts: granted,
        ..Funds::default()
    };
    let entries = [
        (HEAD.to_vec(), Vec::new()),
        (COMMITTEE.to_vec(), codec::encode(&committee)),
        (TOTALS.to_vec(), codec::encode(&Totals::default())),
        (VOTES.to_vec(), codec::encode(&votes)),
        (CREDITS.to_vec(), codec::encode(&Credits::default())),
        (FUNDS.to_vec(), codec::encode(&funds)),
    ];
    let members = record.slots().zip(&record.members);
    let payouts = members
        .filter(|(_, card)| card.payout != Card::NO_PAYOUT)
        .map(|(slot, card)| (payout_key(slot), card.payout.as_bytes().to_vec()));
    let grants = record.grants.iter().map(|grant| {
        let balance = grant.amount.to_be_bytes().to_vec();
        (account_key(&grant.account), balance)
    });
    let entries = entries.into_iter().chain(payouts).chain(grants);
    let entries = entries.map(|(key, value)| (ZappId::SYSTEM, key, value));
    State::from_entries(entries).expect("the head sentinel is among the entries")
}

/// Reads the value of an entry of the system zApp.
pub(crate) fn read<T: Serialize + DeserializeOwned>(value: &[u8]) -> Option<T> {
    codec::decode(value, VALUE_BYTES_MAX).ok()
}

/// Reads a balance or count; 0 where there is no entry.
pub(crate) fn read_number(value: Option<&[u8]>) -> Option<u64> {
    match value {
        Some(value) => value.try_into().ok().map(u64::from_be_bytes),
        None => Some(0),
    }
}

pub(crate) const ACCOUNTS: &[u8] = b"account/";
pub(crate) const LEASES: &[u8] = b"lease/";
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

    /// The epoch that followed `base`, if that is over.
    ///
    /// # Errors
    /// [`NeedState`] if a pruned state does not show it.
    pub fn successor(&self, base: Epoch) -> Result<Option<Successor>, NeedState> {
        let value = self.get(&ZappId::SYSTEM, &successor_key(base))?;
        Ok(value.and_then(read))
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

    /// What a zApp may spend; nothing where it never had anything.
    ///
    /// # Errors
    /// [`NeedState`] if a pruned state does not show it.
    pub fn lease(&self, zapp: &ZappId) -> Result<Lease, NeedState> {
        let value = self.get(&ZappId::SYSTEM, &lease_key(zapp))?;
        Ok(value.and_then(read).unwrap_or_default())
    }

    /// The balance of an account, 10⁻⁸ QSR.
    ///
    /// # Errors
    /// [`NeedState`] if a pruned state does not show it.
    pub fn balance(&self, account: &IdentityKey) -> Result<u64, NeedState> {
        let value = self.get(&ZappId::SYSTEM, &account_key(account))?;
        Ok(read_number(value).unwrap_or_default())
    }

    /// All money, by where it is; `None` only in a state that is not a committee's.
    ///
    /// # Errors
    /// [`NeedState`] if a pruned state does not show it.
    pub fn funds(&self) -> Result<Option<Funds>, NeedState> {
        Ok(self.get(&ZappId::SYSTEM, FUNDS)?.and_then(read))
    }

    /// What members are credited with; `None` only in a state that is not a committee's.
    ///
    /// # Errors
    /// [`NeedState`] if a pruned state does not show it.
    pub fn credits(&self) -> Result<Option<Credits>, NeedState> {
        Ok(self.get(&ZappId::SYSTEM, CREDITS)?.and_then(read))
    }

    /// Votes of the step before, not yet credited; `None` only in a state that is not a committee's.
    ///
    /// # Errors
    /// [`NeedState`] if a pruned state does not show it.
    pub fn listed(&self) -> Result<Option<Listed>, NeedState> {
        Ok(self.get(&ZappId::SYSTEM, VOTES)?.and_then(read))
    }

    /// Every deployed zApp, in order of its id.
    pub fn zapps(&self) -> impl Iterator<Item = (ZappId, ZappRecord)> {
        self.of(&ZappId::SYSTEM).filter_map(|(key, entry)| {
            let zapp = key.strip_prefix(ZAPPS)?.try_into().ok()?;
            Some((ZappId::from_bytes(zapp), read(&entry.value)?))
        })
    }
}
