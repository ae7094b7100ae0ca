//! frost's packages and members' envelopes as bytes.

use alloc::vec::Vec;

use attestation::codec;
use attestation::ids::Slot;
use frost_core::keys::dkg::{round1, round2};
use frost_core::keys::{SecretShare, VerifiableSecretSharingCommitment};
use frost_core::{Ciphersuite, Error, Identifier};
use zeroize::Zeroizing;

use super::setup::Setup;
use crate::message::{DkgBody, DkgMessage, SecretPackage};

/// Longest encoded envelope that can be evidence: a round-1 package of threshold 150.
pub(super) const ENVELOPE_BYTES_MAX: usize = PACKAGE_BYTES_MAX + 1024;
/// Longest encoded [`CeremonyAct`](crate::evidence::CeremonyAct): three such envelopes.
pub(super) const PROOF_BYTES_MAX: usize = 3 * ENVELOPE_BYTES_MAX + 1024;
/// Longest round-1 or round-2 package, with room for suites with longer elements.
pub(super) const PACKAGE_BYTES_MAX: usize = 16 * 1024;

/// A slot's FROST identifier.
pub(crate) fn identifier<C: Ciphersuite>(slot: Slot) -> Identifier<C> {
    Identifier::try_from(slot.0).expect("slots of a creation record start at 1")
}

/// A value whose bytes are the only ones that decode to it (frost's decoders ignore trailing
/// bytes).
pub(crate) fn canonical<T, E>(
    bytes: &[u8],
    decode: impl Fn(&[u8]) -> Result<T, E>,
    encode: impl Fn(&T) -> Result<Vec<u8>, E>,
) -> Option<T> {
    let value = decode(bytes).ok()?;
    (encode(&value).ok()? == bytes).then_some(value)
}

pub(super) fn decode_round1<C: Ciphersuite>(
    envelope: &DkgMessage,
    threshold: u16,
) -> Option<round1::Package<C>> {
    let DkgBody::Round1(bytes) = &envelope.body else {
        return None;
    };
    canonical(
        bytes,
        round1::Package::deserialize,
        round1::Package::serialize,
    )
    .filter(|package| package.commitment().coefficients().len() == usize::from(threshold))
}

pub(crate) fn decode_round2<C: Ciphersuite>(package: &SecretPackage) -> Option<round2::Package<C>> {
    canonical(
        package.bytes(),
        round2::Package::deserialize,
        round2::Package::serialize,
    )
}

/// Feldman's check: the share is the commitment's value at the receiver.
pub(crate) fn share_fits<C: Ciphersuite>(
    receiver: Identifier<C>,
    package: &SecretPackage,
    commitment: &VerifiableSecretSharingCommitment<C>,
) -> bool {
    decode_round2(package).is_some_and(|package| {
        SecretShare::new(receiver, *package.signing_share(), commitment.clone())
            .verify()
            .is_ok()
    })
}

/// What a dealer commits to. Of a reshare only if its constant is the one it must be: it keeps the
/// group key.
pub(super) fn commitment_of<C: Ciphersuite>(
    setup: &Setup<C>,
    envelope: &DkgMessage,
) -> Option<VerifiableSecretSharingCommitment<C>> {
    let threshold = setup.membership.threshold();
    let Some(change) = &setup.change else {
        return decode_round1(envelope, threshold).map(|package| package.commitment().clone());
    };
    let DkgBody::Round1(bytes) = &envelope.body else {
        return None;
    };
    let constant = change.constants.get(&envelope.slot)?;
    canonical(
        bytes,
        VerifiableSecretSharingCommitment::deserialize_whole,
        VerifiableSecretSharingCommitment::serialize_whole,
    )
    .filter(|commitment| {
        let coefficients = commitment.coefficients();
        coefficients.len() == usize::from(threshold)
            && coefficients
                .first()
                .is_some_and(|first| first.value() == *constant)
    })
}

pub(super) fn culprit_of<C: Ciphersuite>(setup: &Setup<C>, error: &Error<C>) -> Option<Slot> {
    let culprits = error.culprits();
    setup
        .others()
        .find(|slot| culprits.contains(&identifier(*slot)))
}

pub(super) fn encode(envelope: &DkgMessage) -> SecretPackage {
    SecretPackage::new(Zeroizing::new(codec::encode(envelope)))
}
