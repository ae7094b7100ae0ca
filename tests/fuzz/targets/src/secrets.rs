//! Sealed records and key shares.

use attestation::ids::Epoch;
use frost_ed25519::Ed25519Sha512;
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng as _;
use signer_protocol::dkg::KeyShare;
use signer_protocol::identity::SignIdentity as _;
use signer_protocol::sealed::{SealingKey, Secrets, ShareBytes, owner};
use zeroize::Zeroizing;

/// The key of the corpus.
#[must_use]
pub fn sealing_key() -> SealingKey {
    SealingKey::from_bytes([7; 32])
}

/// What opens under the key says whose it is and can be sealed again; a share that is read is
/// written as it was read.
pub fn sealed(bytes: &[u8]) -> bool {
    let Some((kind, bytes)) = bytes.split_first() else {
        return false;
    };
    if kind % 2 == 0 {
        let Ok(secrets) = Secrets::open(bytes, &sealing_key()) else {
            return owner(bytes).is_ok();
        };
        assert_eq!(owner(bytes).ok(), Some(secrets.identity().key()));
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let again = secrets.seal(&sealing_key(), &mut rng);
        assert!(Secrets::open(&again, &sealing_key()).is_ok());
        return true;
    }
    let share = ShareBytes::new(Epoch(1), Zeroizing::new(bytes.to_vec()));
    KeyShare::<Ed25519Sha512>::from_bytes(&share).is_ok_and(|share| {
        assert_eq!(share.to_bytes().bytes(), bytes, "another encoding is read");
        true
    })
}
