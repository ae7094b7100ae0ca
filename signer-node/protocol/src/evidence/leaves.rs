//! What members do where an attested leaf orders a signature (rule E3).

use attestation::committee::CreationRecord;
use frost_core::Ciphersuite;
use frost_core::keys::PublicKeyPackage;
use light_client::Generation;

use super::{EvidenceError, share_of_fails};
use crate::blame::LeafShare;
use crate::membership::{FIRST_EPOCH, Membership};
use crate::suite::Evm;

/// Whether a signed share for a leaf fails under the key that it was made with: that which attests in
/// its epoch, or the second one, whose record is part of what is judged.
pub(super) fn fails(
    record: &CreationRecord,
    leaf: &LeafShare,
    generation: Option<&Generation>,
) -> Result<bool, EvidenceError> {
    if let Some(key) = &leaf.evm {
        key.check_evm(record).map_err(EvidenceError::Key)?;
        let public = key.decode_package::<Evm>(&Membership::of(record));
        let public = public.ok_or(EvidenceError::Unfounded)?;
        return Ok(leaf_share_fails(&public, leaf));
    }
    let epoch = leaf.own().map_or(FIRST_EPOCH, |own| own.epoch);
    let generation = generation.ok_or(EvidenceError::NoHistory(epoch))?;
    let public = generation.key().public_key_package();
    let public = public.map_err(EvidenceError::Key)?;
    Ok(leaf_share_fails(&public, leaf))
}

/// Whether a share for a leaf fails under its member's verifying share: the part of
/// [`Act::BadLeafShare`](crate::blame::Act::BadLeafShare) that signatures alone do not show.
#[must_use]
pub fn leaf_share_fails<C: Ciphersuite>(public: &PublicKeyPackage<C>, leaf: &LeafShare) -> bool {
    let LeafShare { share, package, .. } = leaf;
    share_of_fails(
        public,
        &leaf.message,
        &package.nonces,
        (share.slot, &share.share),
    )
}
