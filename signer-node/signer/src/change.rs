//! A change of members, as this member takes part in it (rules B3, B4).

use attestation::ids::{Boot, Slot};
use link::local::PendingChange;
use signer_protocol::dkg::{
    Dkg, DkgError, DkgOutput, DkgProgress, KeyRecord, KeyShare, PendingShares, Start,
};
use signer_protocol::evidence::Evidence;
use signer_protocol::identity::Ed25519Verify;
use signer_protocol::lineage::{EpochRecord, Lineage};
use signer_protocol::reshare::{Change, ChangePlan};
use signer_protocol::sealed::Secrets;

use crate::SignerError;
use crate::guest::{Generation, Suite};

/// The change that the operator has approved.
pub(crate) struct Changing {
    plan: ChangePlan,
    /// `None` for a member that neither deals nor gets a share.
    pub(crate) ceremony: Option<Generation>,
    /// Input of the request that puts the change into force, once this member is ready for it.
    pub(crate) cutover: Option<Vec<u8>>,
    /// What the node was last told.
    told: Option<DkgProgress>,
}

impl Changing {
    pub(crate) fn poll_timeout(&self) -> Option<u64> {
        self.ceremony.as_ref()?.poll_timeout()
    }

    pub(crate) fn poll(&mut self) -> Option<DkgOutput<Suite>> {
        self.ceremony.as_mut()?.poll()
    }

    /// What convicts whoever ended the ceremony.
    pub(crate) fn proof(&self) -> Option<&Evidence> {
        self.ceremony.as_ref()?.proof()
    }

    /// How far the ceremony is, if that has changed since it was asked last.
    pub(crate) fn news(&mut self) -> Option<DkgProgress> {
        let progress = self.ceremony.as_ref()?.progress()?;
        (self.told.as_ref() != Some(&progress)).then(|| {
            self.told = Some(progress.clone());
            progress
        })
    }

    /// Takes the change up: from nothing, from a durable share, or only to answer others.
    pub(crate) fn begin(
        lineage: &Lineage,
        pending: PendingChange,
        (slot, boot): (Slot, Boot),
        secrets: &Secrets,
    ) -> Result<Self, SignerError> {
        let planned = lineage.planned(&pending.plan).map_err(DkgError::from)?;
        let epoch = planned.epoch();
        let old = match (
            lineage.members().member(slot),
            secrets.share(lineage.epoch()),
        ) {
            (Some(_), Some(bytes)) => Some(KeyShare::of_key(bytes, lineage.key())?),
            _ => None,
        };
        let new = secrets.share(epoch);
        secrets.room_for(epoch)?;
        let start = match (&pending.key, new) {
            (Some(key), _) => Start::Finished(key.clone()),
            (None, Some(bytes)) => Start::Pending(PendingShares::from_bytes(bytes)?),
            (None, None) => Start::Fresh,
        };
        let used = matches!(&start, Start::Pending(_));
        let change = Change {
            plan: &pending.plan,
            base: lineage.members(),
            key: lineage.key(),
            share: old.as_ref(),
        };
        let identity = secrets.identity();
        let ceremony = match Dkg::reshare(&change, slot, boot, identity, Ed25519Verify, start) {
            Ok(ceremony) => Some(ceremony),
            Err(DkgError::NotMember) => None,
            Err(DkgError::Foreign) if used => return Err(SignerError::EpochUsed(epoch)),
            Err(error) => return Err(error.into()),
        };
        let mut changing = Self {
            plan: pending.plan,
            ceremony,
            cutover: None,
            told: None,
        };
        if let Some(key) = &pending.key {
            // One that stays and has no share of the new epoch is not ready for it.
            let stays = planned.member(slot).is_some();
            let has_share = new.is_some_and(|bytes| KeyShare::<Suite>::of_key(bytes, key).is_ok());
            if has_share || !stays {
                changing.complete(lineage, key)?;
            }
        }
        Ok(changing)
    }

    /// The ceremony is complete, and this member's part of it is durable.
    pub(crate) fn complete(
        &mut self,
        lineage: &Lineage,
        key: &KeyRecord,
    ) -> Result<(), SignerError> {
        let change = EpochRecord {
            plan: self.plan.clone(),
            key: key.clone(),
        };
        lineage.after(&change)?;
        self.cutover = Some(change.cutover().to_bytes());
        Ok(())
    }
}
