//! A real threshold key: receipts that third parties verify are signed by FROST, not by one key.

use std::collections::BTreeMap;

use attestation::commit::Commit;
use attestation::ids::{GroupKey, Signature};
use attestation::step_attestation::StepAttestation;
use attestation::{merkle, receipt};
use frost_ed25519 as frost;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;

/// Five members of whom four sign.
#[derive(Debug)]
pub struct Committee {
    packages: BTreeMap<frost::Identifier, frost::keys::KeyPackage>,
    public: frost::keys::PublicKeyPackage,
    rng: ChaCha20Rng,
}

impl Committee {
    /// A dealt key from a seed.
    ///
    /// # Panics
    /// Never: 4 of 5 is a valid threshold.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let (shares, public) =
            frost::keys::generate_with_dealer(5, 4, frost::keys::IdentifierList::Default, &mut rng)
                .expect("4 of 5 is a threshold");
        let packages = shares
            .into_iter()
            .map(|(id, share)| {
                (
                    id,
                    share.try_into().expect("a dealt share is a key package"),
                )
            })
            .collect();
        Self {
            packages,
            public,
            rng,
        }
    }

    /// The group key.
    ///
    /// # Panics
    /// Never: a group key is 32 bytes.
    #[must_use]
    pub fn key(&self) -> GroupKey {
        let bytes = self.public.verifying_key().serialize();
        let bytes = bytes.expect("a group key serialises");
        GroupKey::from_bytes(bytes.try_into().expect("an Ed25519 key has 32 bytes"))
    }

    /// Attests a step by two rounds of FROST among four members.
    ///
    /// # Panics
    /// Never: honest shares aggregate.
    pub fn attest(&mut self, commit: Commit, leaves: &[Vec<u8>]) -> StepAttestation {
        let root = merkle::root(leaves);
        let message = receipt::sig_structure(&commit, &root, &self.key());
        StepAttestation {
            commit,
            root,
            signature: self.sign(&message),
        }
    }

    /// Signs a message by two rounds of FROST among four members.
    ///
    /// # Panics
    /// Never: honest shares aggregate.
    pub fn sign(&mut self, message: &[u8]) -> Signature {
        let signers: Vec<_> = self.packages.iter().take(4).collect();
        let (mut nonces, mut commitments) = (BTreeMap::new(), BTreeMap::new());
        for (id, package) in &signers {
            let (nonce, commitment) = frost::round1::commit(package.signing_share(), &mut self.rng);
            nonces.insert(**id, nonce);
            commitments.insert(**id, commitment);
        }
        let package = frost::SigningPackage::new(commitments, message);
        let shares = signers
            .iter()
            .map(|(id, key)| {
                let nonce = nonces.get(id).expect("made above");
                let share = frost::round2::sign(&package, nonce, key).expect("an honest share");
                (**id, share)
            })
            .collect();
        let signature = frost::aggregate(&package, &shares, &self.public).expect("honest shares");
        let bytes = signature.serialize().expect("a signature serialises");
        Signature::from_bytes(bytes.try_into().expect("an Ed25519 signature has 64 bytes"))
    }
}
