//! What a committee signs with: FROST and Ed25519 as they ship, or a stand-in that nobody here can
//! break and that costs next to nothing.
//!
//! All machines, liars and checks are the same under both. `RULES.md` says what only the real one
//! shows.

use std::cell::RefCell;
use std::fmt::{self, Debug};
use std::sync::OnceLock;

use attestation::committee::{CreationRecord, RecordError};
use attestation::ids::{Boot, GroupKey, IdentityKey, Signature, Slot};
use attestation::receipt;
use attestation::step_attestation::StepAttestation;
use clap::ValueEnum;
use frost_core::{Ciphersuite, VerifyingKey};
use frost_ed25519::Ed25519Sha512;
use sha2::{Digest as _, Sha256};
use signer_protocol::dkg::{Dkg, KeyRecord, Start};
use signer_protocol::evidence::Evidence;
use signer_protocol::identity::{
    Ed25519Identity, SignIdentity, Verify, VerifyGroup, VerifyIdentity,
};
use signer_protocol::reshare::{Change, ChangePlan};

use crate::founding::{Base, Kept, Verified};
use crate::toy::Toy;

/// Which of the two.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Crypto {
    /// FROST and Ed25519 as they ship.
    #[default]
    Real,
    /// FROST over a group without hard problems, signatures that are hashes.
    Stub,
}

impl fmt::Display for Crypto {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Real => "real",
            Self::Stub => "stub",
        })
    }
}

/// What a committee signs with.
pub trait Suite: Copy + Debug + 'static {
    /// The group's ciphersuite, whose keys have 32 bytes.
    type Cipher: Ciphersuite;
    /// Keys of members and coordinators.
    type Identity: SignIdentity;
    /// Verifies both.
    type Verify: Verify + Clone + Debug + Default;

    /// The identity of a seed.
    fn identity(seed: &[u8; 32]) -> Self::Identity;

    /// Whether a committee may be created so.
    ///
    /// # Errors
    /// The first check that failed.
    fn check(record: &CreationRecord) -> Result<(), RecordError>;

    /// Whether a generated key is sound.
    ///
    /// # Errors
    /// What is not.
    fn check_key(key: &KeyRecord, record: &CreationRecord) -> Result<(), String>;

    /// Whether a key after a change is sound.
    ///
    /// # Errors
    /// What is not.
    fn check_change(key: &KeyRecord, plan: &ChangePlan, base: &Base<Self>) -> Result<(), String>;

    /// Whether evidence convicts whoever knows nothing but the creation record.
    ///
    /// # Errors
    /// Why it does not.
    fn convicts(evidence: &Evidence, record: &CreationRecord) -> Result<(), String>;

    /// The group's signature over any bytes.
    fn signed(key: &GroupKey, message: &[u8], signature: &Signature) -> bool;

    /// The key under which the acceptor's ledger knows the group.
    fn ledger_key(key: &GroupKey) -> GroupKey;

    /// A step as that ledger is shown it.
    fn for_ledger(key: &GroupKey, step: &StepAttestation) -> StepAttestation;

    /// What this thread has made before.
    fn kept<R>(with: impl FnOnce(&mut Kept<Self>) -> R) -> R;
}

/// FROST(Ed25519, SHA-512) and Ed25519, as they ship.
#[derive(Clone, Copy, Debug)]
pub struct Real;

impl Suite for Real {
    type Cipher = Ed25519Sha512;
    type Identity = Ed25519Identity;
    type Verify = Verified;

    fn identity(seed: &[u8; 32]) -> Ed25519Identity {
        Ed25519Identity::from_seed(seed)
    }

    fn check(record: &CreationRecord) -> Result<(), RecordError> {
        record.check()
    }

    fn check_key(key: &KeyRecord, record: &CreationRecord) -> Result<(), String> {
        key.check(record).map_err(|error| error.to_string())
    }

    fn check_change(key: &KeyRecord, plan: &ChangePlan, base: &Base<Self>) -> Result<(), String> {
        let checked = key.check_change(plan, &base.members, &base.key);
        checked.map(|_| ()).map_err(|error| error.to_string())
    }

    fn convicts(evidence: &Evidence, record: &CreationRecord) -> Result<(), String> {
        let verified = evidence.verify(record);
        verified.map(|_| ()).map_err(|error| error.to_string())
    }

    fn signed(key: &GroupKey, message: &[u8], signature: &Signature) -> bool {
        attestation::identity::verify_group(key, message, signature)
    }

    fn ledger_key(key: &GroupKey) -> GroupKey {
        *key
    }

    fn for_ledger(_: &GroupKey, step: &StepAttestation) -> StepAttestation {
        *step
    }

    fn kept<R>(with: impl FnOnce(&mut Kept<Self>) -> R) -> R {
        thread_local! {
            static KEPT: RefCell<Kept<Real>> = RefCell::default();
        }
        KEPT.with_borrow_mut(with)
    }
}

/// The stand-in: a simulation of schemes that nobody breaks.
///
/// Whoever knows a public key could sign for it. Nobody here does: liars hold the identities that
/// are theirs, and the group's signatures come of shares that satisfy FROST's equations.
#[derive(Clone, Copy, Debug)]
pub struct Stub;

impl Suite for Stub {
    type Cipher = Toy;
    type Identity = StubIdentity;
    type Verify = StubVerify;

    fn identity(seed: &[u8; 32]) -> StubIdentity {
        StubIdentity(IdentityKey::from_bytes(hash(&[b"identity", seed])))
    }

    /// Cards are signed by stub identities, which the record's own check does not know.
    fn check(record: &CreationRecord) -> Result<(), RecordError> {
        record.quorum()?;
        let cards = record.members.iter().chain(&record.coordinators);
        for (at, card) in cards.enumerate() {
            if !StubVerify.verify(&card.identity, &card.signed_bytes(), &card.signature) {
                return Err(RecordError::Card(at));
            }
        }
        Ok(())
    }

    /// Whoever starts with a finished key checks all of it, under any suite.
    fn check_key(key: &KeyRecord, record: &CreationRecord) -> Result<(), String> {
        let card = record.members.first().ok_or("no members")?;
        let (identity, start) = (
            StubIdentity(card.identity),
            Start::<Toy>::Finished(key.clone()),
        );
        let started = Dkg::new(record, Slot(1), Boot(1), identity, StubVerify, start);
        started.map(|_| ()).map_err(|error| error.to_string())
    }

    fn check_change(key: &KeyRecord, plan: &ChangePlan, base: &Base<Self>) -> Result<(), String> {
        let member = plan.members.first().ok_or("no members")?;
        let (identity, start) = (
            StubIdentity(member.card.identity),
            Start::Finished(key.clone()),
        );
        let change = Change::<Toy> {
            plan,
            base: &base.members,
            key: &base.key,
            share: None,
        };
        let started = Dkg::reshare(&change, member.slot, Boot(1), identity, StubVerify, start);
        started.map(|_| ()).map_err(|error| error.to_string())
    }

    /// Evidence is for strangers, who verify Ed25519 and nothing else: the real suite shows it.
    fn convicts(_: &Evidence, _: &CreationRecord) -> Result<(), String> {
        Ok(())
    }

    fn signed(key: &GroupKey, message: &[u8], signature: &Signature) -> bool {
        let key = VerifyingKey::<Toy>::deserialize(key.as_bytes());
        let signature = frost_core::Signature::deserialize(signature.as_bytes());
        key.and_then(|key| key.verify(message, &signature?)).is_ok()
    }

    fn ledger_key(_: &GroupKey) -> GroupKey {
        GroupKey::from_bytes(*notary().key().as_bytes())
    }

    /// The ledger that ships takes Ed25519 only: a notary signs again what the group has signed, and
    /// nothing else, so that all of the ledger's rules judge stub committees, too.
    fn for_ledger(key: &GroupKey, step: &StepAttestation) -> StepAttestation {
        let mut shown = *step;
        if StubVerify.attests(key, step) {
            let key = Self::ledger_key(key);
            let message = receipt::sig_structure(&step.commit, &step.root, &key);
            shown.signature = notary().sign(&message);
        }
        shown
    }

    fn kept<R>(with: impl FnOnce(&mut Kept<Self>) -> R) -> R {
        thread_local! {
            static KEPT: RefCell<Kept<Stub>> = RefCell::default();
        }
        KEPT.with_borrow_mut(with)
    }
}

fn notary() -> &'static Ed25519Identity {
    static NOTARY: OnceLock<Ed25519Identity> = OnceLock::new();
    NOTARY.get_or_init(|| Ed25519Identity::from_seed(&[0x4e; 32]))
}

/// A party that signs with a hash of its key and the message.
#[derive(Debug)]
pub struct StubIdentity(IdentityKey);

impl SignIdentity for StubIdentity {
    fn key(&self) -> IdentityKey {
        self.0
    }

    fn sign(&self, message: &[u8]) -> Signature {
        signature(&self.0, message)
    }
}

/// Verifies what stub identities and toy groups sign.
#[derive(Clone, Copy, Debug, Default)]
pub struct StubVerify;

impl VerifyIdentity for StubVerify {
    fn verify(&self, key: &IdentityKey, message: &[u8], shown: &Signature) -> bool {
        signature(key, message) == *shown
    }
}

impl VerifyGroup for StubVerify {
    fn attests(&self, key: &GroupKey, step: &StepAttestation) -> bool {
        let message = receipt::sig_structure(&step.commit, &step.root, key);
        Stub::signed(key, &message, &step.signature)
    }
}

/// Both halves are filled, so that a bit changed anywhere is noticed.
fn signature(key: &IdentityKey, message: &[u8]) -> Signature {
    let first = hash(&[b"signature", key.as_bytes(), message]);
    let mut bytes = [0; 64];
    let (low, high) = bytes.split_at_mut(32);
    low.copy_from_slice(&first);
    high.copy_from_slice(&first);
    Signature::from_bytes(bytes)
}

fn hash(parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stub_signature_is_of_one_key_and_one_message() {
        let (a, b) = (Stub::identity(&[1; 32]), Stub::identity(&[2; 32]));
        let signature = a.sign(b"message");
        assert!(StubVerify.verify(&a.key(), b"message", &signature));
        assert!(!StubVerify.verify(&b.key(), b"message", &signature));
        assert!(!StubVerify.verify(&a.key(), b"massage", &signature));
        for at in 0..64 {
            let mut bytes = *signature.as_bytes();
            bytes[at] ^= 1;
            let changed = Signature::from_bytes(bytes);
            assert!(!StubVerify.verify(&a.key(), b"message", &changed), "{at}");
        }
    }
}
