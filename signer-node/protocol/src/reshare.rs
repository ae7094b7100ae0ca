//! Reshare (rule B3): members of one epoch deal new shares of the same group key to the members of
//! another. It serves refresh (the same members), enrolment (more), removal (fewer) and another
//! threshold; any t old members can deal, to any new ones.
//!
//! ```text
//! dealers      Round1 ─ all ─▶ Echo ─ all equal ─▶ Round2 ────────────────▶ wait for the record
//! new members  Round1 ─ all ─▶ Echo ─ all equal ─▶ sum ─▶ Persist ─▶ Certify ─▶ Canary ─▶ Done
//! ```
//! It is the machine of [`dkg`](crate::dkg) with other sets: signed envelopes over a session id,
//! echo of the whole of round 1, certificate, canary, attempts and complaints are the same. What
//! is dealt differs: each dealer's polynomial begins with its old share times its Lagrange
//! coefficient, and everybody checks that against its old verifying share. So the group key stays
//! as it is, and a dealer that would change it, or that deals a value off its polynomial, is named
//! to all with proof. All dealers and all new members take part; who does not deal commits to
//! nothing in round 1.
//!
//! **Nothing happens to old shares.** A member that is in both epochs keeps its old share, and
//! signs with it, until the cutover is attested (rule B4). A ceremony that dies half-way leaves
//! shares of its epoch that no step uses (and that count where exposure does, rule B5). A plan of
//! another number above the same base starts beside them.
//!
//! **What it does not do.** Old shares still sign under the same group key, so that t members with
//! copies of them can: see [`exposure`](crate::exposure). A dealer that falls silent stops the
//! ceremony: it convicts nobody, and
//! [`DkgProgress::missing`](crate::dkg::DkgProgress::missing) tells whom to leave out of the next
//! plan.

#[cfg(test)]
#[allow(clippy::cast_possible_truncation, reason = "small numbers of members")]
mod tests;

use attestation::ids::{Boot, Slot};
use frost_core::Ciphersuite;

use crate::dkg::{Dkg, DkgError, KeyRecord, KeyShare, Start};
use crate::identity::{SignIdentity, VerifyIdentity};
use crate::membership::Membership;
pub use light_client::plan::{ChangePlan, KEYS_MAX, PLAN_BYTES_MAX, PlanError, PlannedMember};

/// What a reshare is entered with. One is made per suite of a committee with several group keys.
#[derive(Clone, Copy, Debug)]
pub struct Change<'a, C: Ciphersuite> {
    /// The plan, approved by this member's operator.
    pub plan: &'a ChangePlan,
    /// Members of the base epoch.
    pub base: &'a Membership,
    /// Key of the base epoch, which the caller has checked.
    pub key: &'a KeyRecord,
    /// This member's share of it, if it deals. It is only looked at.
    pub share: Option<&'a KeyShare<C>>,
}

impl<C: Ciphersuite, I: SignIdentity, V: VerifyIdentity> Dkg<C, I, V> {
    /// The part in a reshare of the member in `slot`, which deals, gets a share, or both; `boot`
    /// is how often its signer has started. [`Self::poll_timeout`] is due at once. A member that
    /// gets a share ends with [`DkgOutput::Done`](crate::dkg::DkgOutput::Done), one that only
    /// deals with [`DkgOutput::Dealt`](crate::dkg::DkgOutput::Dealt).
    ///
    /// # Errors
    /// [`DkgError::Plan`] if the plan breaks a rule, the threshold rule A15 among them;
    /// [`DkgError::NoShare`] for a dealer without a share; [`DkgError::Foreign`] if what is durable
    /// is of another member, epoch or plan; [`DkgError::NotMember`] or [`DkgError::Suite`] as
    /// [`Self::new`].
    pub fn reshare(
        change: &Change<'_, C>,
        slot: Slot,
        boot: Boot,
        identity: I,
        verify: V,
        start: impl Into<Start<C>>,
    ) -> Result<Self, DkgError> {
        Self::enter_change(change, slot, boot, identity, verify, start.into())
    }
}
