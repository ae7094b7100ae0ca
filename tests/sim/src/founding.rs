//! Who is in a committee, under which keys: fixed for each size, so that a seed says everything.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::marker::PhantomData;
use std::rc::Rc;

use attestation::committee::{Card, CreationRecord};
use attestation::conditions::Conditions;
use attestation::ids::{
    ChannelKey, Digest, GroupKey, IdentityKey, NetworkId, RuntimeProfile, Signature, Slot,
};
use attestation::step_attestation::StepAttestation;
use attestation::terms::Terms;
use frost_core::Identifier;
use frost_core::keys::{self, IdentifierList, KeyPackage, PublicKeyPackage};
use sha2::{Digest as _, Sha256};
use signer_protocol::committee::Committee;
use signer_protocol::dkg::{KeyRecord, KeyShare};
use signer_protocol::identity::{Ed25519Verify, SignIdentity as _, VerifyGroup, VerifyIdentity};
use signer_protocol::membership::Membership;
use signer_protocol::message::Endpoint;
use signer_protocol::sealed::ShareBytes;
use state::step::{Params, Previous};

use crate::dice::Dice;
use crate::suite::Suite;

/// When the virtual clock starts, Unix milliseconds.
pub const START_MS: u64 = 1_700_000_000_000;

/// The runtime profile of every epoch.
pub const PROFILE: RuntimeProfile = RuntimeProfile::from_bytes([5; 32]);

/// Group key and shares.
#[derive(Clone, Debug)]
pub struct Keys<S: Suite> {
    /// By slot.
    pub shares: BTreeMap<Slot, KeyPackage<S::Cipher>>,
    /// Verifying shares.
    pub public: PublicKeyPackage<S::Cipher>,
}

/// A committee before its first step.
#[derive(Debug)]
pub struct Founding<S: Suite> {
    /// Its creation record.
    pub record: CreationRecord,
    /// Members and coordinators as their protocol sees them.
    pub committee: Committee,
    /// What its steps are bound to.
    pub params: Params,
    /// What comes before step 1.
    pub genesis: Previous,
    /// Its keys.
    pub keys: Keys<S>,
    /// Verifies everything.
    pub verify: S::Verify,
}

impl<S: Suite> Founding<S> {
    /// A committee under these keys.
    ///
    /// # Panics
    /// If the keys are not of the record's committee.
    #[must_use]
    pub fn new(record: CreationRecord, keys: Keys<S>) -> Self {
        let group = keys.public.verifying_key().serialize();
        let group = group.ok().and_then(|bytes| bytes.try_into().ok());
        let group_key = GroupKey::from_bytes(group.expect("keys of both suites have 32 bytes"));
        Self {
            committee: Committee::new(&record, group_key).expect("sizes are those of the protocol"),
            params: Params::of(&record),
            genesis: Previous::genesis(&record),
            record,
            keys,
            verify: S::Verify::default(),
        }
    }

    /// The identity of a member or coordinator.
    #[must_use]
    pub fn identity(&self, party: Endpoint) -> S::Identity {
        S::identity(&match party {
            Endpoint::Signer(slot) | Endpoint::Executor(slot) | Endpoint::Node(slot) => {
                member_seed(slot.0)
            }
            Endpoint::Coordinator(rank) => coordinator_seed(rank),
        })
    }
}

/// A committee with a key that it has generated, whose members and threshold may change.
#[derive(Debug)]
pub struct Base<S: Suite> {
    /// Its creation record.
    pub record: CreationRecord,
    /// Its members.
    pub members: Membership,
    /// Its key.
    pub key: KeyRecord,
    shares: BTreeMap<Slot, ShareBytes>,
    suite: PhantomData<S>,
}

/// What a thread makes once for each size.
#[derive(Debug)]
pub struct Kept<S: Suite> {
    bases: BTreeMap<(u16, u16), Rc<Base<S>>>,
    dealt: BTreeMap<(u16, u16), Keys<S>>,
}

impl<S: Suite> Default for Kept<S> {
    fn default() -> Self {
        Self {
            bases: BTreeMap::new(),
            dealt: BTreeMap::new(),
        }
    }
}

impl<S: Suite> Base<S> {
    /// All members.
    pub fn slots(&self) -> impl Iterator<Item = Slot> + '_ {
        self.members.slots()
    }

    /// The committee after a change that has left this key and these shares.
    #[must_use]
    pub fn changed(
        &self,
        members: Membership,
        key: KeyRecord,
        shares: BTreeMap<Slot, KeyShare<S::Cipher>>,
    ) -> Self {
        let shares = shares.iter();
        Self {
            record: self.record.clone(),
            members,
            key,
            shares: shares
                .map(|(slot, share)| (*slot, share.to_bytes()))
                .collect(),
            suite: PhantomData,
        }
    }

    /// A member's share, as it reads it from its sealed record.
    #[must_use]
    pub fn share(&self, slot: Slot) -> Option<KeyShare<S::Cipher>> {
        KeyShare::from_bytes(self.shares.get(&slot)?).ok()
    }
}

/// A committee of this size after a key generation without faults, the same at every call.
///
/// # Panics
/// If the protocol forbids the size.
#[must_use]
pub fn base<S: Suite>(members: u16, threshold: u16) -> Rc<Base<S>> {
    let size = (members, threshold);
    if let Some(made) = S::kept(|kept| kept.bases.get(&size).cloned()) {
        return made;
    }
    // A key generation asks for dealt keys in between: nothing is borrowed meanwhile.
    let made = Rc::new(founded(record::<S>(members, threshold, 2)));
    S::kept(|kept| kept.bases.insert(size, Rc::clone(&made)));
    made
}

/// The committee of a record after a key generation without faults.
///
/// # Panics
/// If the record's members are not of this crate.
#[must_use]
pub fn founded<S: Suite>(record: CreationRecord) -> Base<S> {
    let members = record.members.len() as u64;
    let mut dice = Dice::new(members << 24 | u64::from(record.threshold));
    let ended = crate::ceremony::without_faults::<S>(&record, &mut dice);
    let (mut shares, mut key) = (BTreeMap::new(), None);
    for (slot, (generated, share)) in ended.expect("nothing fails") {
        shares.insert(slot, share.to_bytes());
        key = Some(generated);
    }
    Base {
        members: Membership::of(&record),
        record,
        key: key.expect("there are members"),
        shares,
        suite: PhantomData,
    }
}

/// The creation record of a committee of this size.
///
/// # Panics
/// If the protocol forbids the size.
#[must_use]
pub fn record<S: Suite>(members: u16, threshold: u16, coordinators: u16) -> CreationRecord {
    let record = CreationRecord {
        network: NetworkId(3),
        threshold,
        members: (1..=members)
            .map(|slot| card::<S>(&member_seed(slot)))
            .collect(),
        coordinators: (0..coordinators)
            .map(|rank| card::<S>(&coordinator_seed(rank)))
            .collect(),
        profile: PROFILE,
        created_ms: START_MS - 1_000,
        salt: Digest::from_bytes([1; 32]),
        terms: Terms::FREE,
        grants: Vec::new(),
        evm: false,
        conditions: Conditions::default(),
    };
    S::check(&record).expect("sizes are those of the protocol");
    record
}

/// Keys dealt for a committee of this size, the same at every call.
///
/// # Panics
/// If the protocol forbids the size.
#[must_use]
pub fn dealt<S: Suite>(members: u16, threshold: u16) -> Keys<S> {
    S::kept(|kept| {
        let keys = kept.dealt.entry((members, threshold)).or_insert_with(|| {
            let mut dice = Dice::new(u64::from(members) << 16 | u64::from(threshold));
            let list = IdentifierList::Default;
            let (shares, public) =
                keys::generate_with_dealer(members, threshold, list, &mut dice.rng)
                    .expect("sizes are those of the protocol");
            let shares = (1..=members).filter_map(|slot| {
                let id = Identifier::<S::Cipher>::try_from(slot).ok()?;
                let share = shares.get(&id)?.clone();
                Some((Slot(slot), KeyPackage::try_from(share).ok()?))
            });
            Keys {
                shares: shares.collect(),
                public,
            }
        });
        keys.clone()
    })
}

/// The seed of a member's identity.
#[must_use]
pub fn member_seed(slot: u16) -> [u8; 32] {
    seed(1, slot)
}

/// The card of the member in a slot.
#[must_use]
pub fn member_card<S: Suite>(slot: u16) -> Card {
    card::<S>(&member_seed(slot))
}

fn coordinator_seed(rank: u16) -> [u8; 32] {
    seed(2, rank)
}

/// The seed of the caller with this number.
#[must_use]
pub fn caller_seed(number: u16) -> [u8; 32] {
    seed(3, number)
}

fn seed(kind: u8, number: u16) -> [u8; 32] {
    let [high, low] = number.to_be_bytes();
    let mut seed = [kind; 32];
    let [first, second, ..] = &mut seed;
    (*first, *second) = (high, low);
    seed
}

fn card<S: Suite>(seed: &[u8; 32]) -> Card {
    let identity = S::identity(seed);
    let channel = ChannelKey::from_bytes(Sha256::digest(seed).into());
    let image = Digest::from_bytes([0; 32]);
    let key = identity.key();
    Card::signed((key, channel), image, Card::NO_PAYOUT, |bytes| {
        identity.sign(bytes)
    })
}

/// Verifies with the shipped equations, and remembers: in one thread, the second who looks at a
/// signature sees what the first saw.
#[derive(Clone, Debug, Default)]
pub struct Verified(Rc<RefCell<HashMap<[u8; 32], bool>>>);

impl Verified {
    fn once(&self, parts: &[&[u8]], verify: impl FnOnce() -> bool) -> bool {
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let key = hash.finalize().into();
        if let Some(known) = self.0.borrow().get(&key) {
            return *known;
        }
        let verdict = verify();
        self.0.borrow_mut().insert(key, verdict);
        verdict
    }
}

impl VerifyIdentity for Verified {
    fn verify(&self, key: &IdentityKey, message: &[u8], signature: &Signature) -> bool {
        self.once(&[key.as_bytes(), message, signature.as_bytes()], || {
            Ed25519Verify.verify(key, message, signature)
        })
    }
}

impl VerifyGroup for Verified {
    fn attests(&self, key: &GroupKey, step: &StepAttestation) -> bool {
        self.once(&[key.as_bytes(), &step.to_bytes()], || {
            Ed25519Verify.attests(key, step)
        })
    }
}
