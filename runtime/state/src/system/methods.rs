//! What the system zApp does on request: method names and their inputs, canonical CBOR.
//!
//! The caller pays for all of them; amounts are 10⁻⁸ QSR.
//!
//! | method | input | who | what |
//! |---|---|---|---|
//! | `deploy` | [`Deploy`] | anyone | a new zApp; runs its `init` |
//! | `upgrade` | [`Upgrade`] | owner | another module; runs its `migrate`; all of it stands, or none |
//! | `freeze` | [`Freeze`] | owner | the module stays for ever |
//! | `abort` | [`Abort`] | owner | the zApp takes no more calls; its escrow returns to the owner |
//! | `fund` | [`Fund`] | anyone | from the caller's account into a zApp's escrow |
//! | `withdraw` | [`Fund`] | owner | from the escrow into the owner's account |
//! | `lease` | [`LeaseTerms`] | owner | what the escrow may be spent on |
//! | `transfer` | [`Transfer`] | anyone | from the caller's account into another |
//! | `claim` | [`Claim`] | anyone | what a member earned, into the account that its card names |
//! | `cancel` | nothing | anyone | no request of the caller with a lower nonce can run any more |
//! | `cutover` | [`Cutover`] | anyone | the next step is the new epoch's; members vote for it only if their operators approved the change and its ceremony is complete (rule B4) |
//! | `nom_open` | [`nom::Open`] | anyone | begins the committee's NoM account |
//! | `nom_deposit` | [`nom::Deposit`] | anyone | a deposit to it, for the zApp that it names |
//! | `nom_anchor` | nothing | anyone | orders a block that names the step before |
//! | `nom_issue` | [`nom::Issue`] | anyone | makes the next order a block |
//! | `nom_confirm` | [`nom::Confirm`] | anyone | the chain has confirmed that block |
//!
//! [`nom::Open`]: crate::system::nom::Open
//! [`nom::Deposit`]: crate::system::nom::Deposit
//! [`nom::Issue`]: crate::system::nom::Issue
//! [`nom::Confirm`]: crate::system::nom::Confirm

use alloc::vec::Vec;

use attestation::codec::{self, Layout, Malformed};
use attestation::committee::Quorum;
use attestation::ids::{Digest, Epoch, IdentityKey, ModuleDigest, RuntimeProfile, Slot, ZappId};
use attestation::request::{Call, INPUT_BYTES_MAX};
use attestation::tags;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Deploys a zApp.
pub const DEPLOY: &str = "deploy";
/// Replaces a zApp's module.
pub const UPGRADE: &str = "upgrade";
/// Fixes a zApp's module.
pub const FREEZE: &str = "freeze";
/// Ends a zApp.
pub const ABORT: &str = "abort";
/// Fills an escrow.
pub const FUND: &str = "fund";
/// Empties an escrow.
pub const WITHDRAW: &str = "withdraw";
/// Sets what an escrow may be spent on.
pub const LEASE: &str = "lease";
/// Moves money between accounts.
pub const TRANSFER: &str = "transfer";
/// Pays out what a member earned.
pub const CLAIM: &str = "claim";
/// Uses up the nonces before its own.
pub const CANCEL: &str = "cancel";
/// Puts an epoch into force.
pub const CUTOVER: &str = "cutover";

/// Input of [`DEPLOY`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deploy {
    /// SHA-256 of the module; its bytes travel apart.
    pub module: ModuleDigest,
    /// Makes zApps of one owner distinct.
    pub salt: Digest,
    /// What the owner puts into the escrow.
    pub escrow: u64,
    /// Input of the zApp's `init`.
    #[serde(with = "serde_bytes")]
    pub init: Vec<u8>,
}

/// Input of [`UPGRADE`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Upgrade {
    /// The zApp.
    pub zapp: ZappId,
    /// SHA-256 of the new module; its bytes travel apart.
    pub module: ModuleDigest,
    /// Input of the new module's `migrate`.
    #[serde(with = "serde_bytes")]
    pub migrate: Vec<u8>,
}

/// Input of [`FREEZE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Freeze {
    /// The zApp.
    pub zapp: ZappId,
}

/// Input of [`ABORT`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Abort {
    /// The zApp.
    pub zapp: ZappId,
}

/// Input of [`FUND`] and [`WITHDRAW`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fund {
    /// The zApp.
    pub zapp: ZappId,
    /// How much.
    pub amount: u64,
}

/// Input of [`LEASE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeaseTerms {
    /// The zApp.
    pub zapp: ZappId,
    /// What requests that the zApp pays for must leave in the escrow.
    pub reserve: u64,
    /// Most gas of a request that it pays for; 0 for
    /// [`ESCROW_CALL_GAS`](crate::limits::ESCROW_CALL_GAS).
    pub call_gas_max: u64,
}

/// Input of [`TRANSFER`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Transfer {
    /// Whose account.
    pub to: IdentityKey,
    /// How much.
    pub amount: u64,
}

/// Input of [`CLAIM`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claim {
    /// The member's slot.
    pub slot: Slot,
}

/// Input of [`CUTOVER`]: what every step from the next one on is signed by. All of it follows from
/// a change's plan and key record; signers compare, steps keep it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cutover {
    /// The epoch in force.
    pub base: Epoch,
    /// The one that follows, any number above.
    pub epoch: Epoch,
    /// Digest of the plan of the change.
    pub plan: Digest,
    /// Digest of the new public key package.
    pub package: Digest,
    /// t of the new epoch.
    pub threshold: u16,
    /// Engine, gas schedule, host ABI and limits of the new epoch's steps.
    pub profile: RuntimeProfile,
    /// Members of the new epoch, slots rising.
    pub members: Vec<Seat>,
}

/// A member of a new epoch, as far as steps know members.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seat {
    /// Its slot.
    pub slot: Slot,
    /// Account that gets what it earns; zeros where nobody is to.
    pub payout: IdentityKey,
}

impl Cutover {
    /// The canonical encoding: the request's input.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Whether the new epoch's number is above the old one's, and leaves room for later ones.
    #[must_use]
    pub const fn epoch_follows(&self) -> bool {
        epoch_follows(self.base, self.epoch)
    }

    /// n, if members and threshold are those of a committee (rule A15).
    #[must_use]
    pub fn count(&self) -> Option<u16> {
        let slots = self.members.iter().map(|seat| seat.slot);
        let rises = slots.clone().zip(slots.skip(1)).all(|(a, b)| a < b);
        let count = u16::try_from(self.members.len()).ok()?;
        let first = self.members.first()?.slot;
        (rises && first > Slot(0) && Quorum::new(count, self.threshold).is_ok()).then_some(count)
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
        read(bytes)
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

/// The module whose bytes must be at hand before a request for the system zApp can run.
#[must_use]
pub fn module_of(call: &Call) -> Option<ModuleDigest> {
    if call.zapp != ZappId::SYSTEM {
        return None;
    }
    match call.method.as_str() {
        DEPLOY => Some(Deploy::from_bytes(&call.input).ok()?.module),
        UPGRADE => Some(read::<Upgrade>(&call.input).ok()?.module),
        _ => None,
    }
}

/// Most numbers that an epoch may leave out.
pub const EPOCH_JUMP_MAX: u64 = 1024;

/// Whether `epoch` can follow `base`: above it, by little enough that numbers do not run out.
#[must_use]
pub const fn epoch_follows(base: Epoch, epoch: Epoch) -> bool {
    epoch.0 > base.0 && epoch.0 - base.0 <= EPOCH_JUMP_MAX
}

/// The cutover that a request asks for, if a step in `epoch` or a later one could put it into
/// force. Any other one is refused by the step, whatever members are ready for.
#[must_use]
pub fn effective_cutover(call: &Call, epoch: Epoch) -> Option<Cutover> {
    let cutover: Cutover = is_cutover(call).then(|| read(&call.input).ok())??;
    let may_hold = cutover.base >= epoch && cutover.count().is_some() && cutover.epoch_follows();
    may_hold.then_some(cutover)
}

/// Whether a request would put an epoch into force.
#[must_use]
pub fn is_cutover(call: &Call) -> bool {
    call.zapp == ZappId::SYSTEM && call.method == CUTOVER
}

/// Decodes the input of a method.
///
/// # Errors
/// [`Malformed`] if the bytes are too long or not canonical.
pub fn read<T: Serialize + DeserializeOwned>(input: &[u8]) -> Result<T, Malformed> {
    codec::decode(input, INPUT_BYTES_MAX)
}
