//! The machines name no ciphersuite: whole committees, from key generation to attested steps, under
//! another one than the protocol's.

use std::collections::BTreeMap;
use std::fmt::Debug;

use attestation::ids::{Boot, EvmSignature, GroupKey, IdentityKey, Signature, Slot};
use attestation::receipt;
use attestation::step_attestation::StepAttestation;
use frost_core::{Ciphersuite, VerifyingKey};
use frost_ed25519::Ed25519Sha512;
use frost_ristretto255::Ristretto255Sha512;
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng as _;
use signer_protocol::dkg::{Dkg, DkgOutput, KeyRecord, KeyRecordError, KeyShare, Start};
use signer_protocol::identity::{
    Ed25519Identity, Ed25519Verify, Verify, VerifyGroup, VerifyIdentity,
};
use signer_protocol::suite::{Evm, verify_evm};

use crate::world::{Founding, Network, START_MS, Seen, World, WorldOf};

/// What a committee signs its steps with.
pub trait Suite {
    type Cipher: Ciphersuite;
    type Verify: Verify + Copy + Debug;
    const VERIFY: Self::Verify;
}

pub struct Ed25519;

impl Suite for Ed25519 {
    type Cipher = Ed25519Sha512;
    type Verify = Ed25519Verify;
    const VERIFY: Ed25519Verify = Ed25519Verify;
}

pub struct Ristretto;

impl Suite for Ristretto {
    type Cipher = Ristretto255Sha512;
    type Verify = RistrettoVerify;
    const VERIFY: RistrettoVerify = RistrettoVerify;
}

pub struct ForEvm;

impl Suite for ForEvm {
    type Cipher = Evm;
    type Verify = Ed25519Verify;
    const VERIFY: Ed25519Verify = Ed25519Verify;
}

/// Identities sign with Ed25519 under every suite; only the group differs.
#[derive(Clone, Copy, Debug)]
pub struct RistrettoVerify;

impl VerifyIdentity for RistrettoVerify {
    fn verify(&self, key: &IdentityKey, message: &[u8], signature: &Signature) -> bool {
        Ed25519Verify.verify(key, message, signature)
    }
}

impl VerifyGroup for RistrettoVerify {
    fn attests(&self, key: &GroupKey, step: &StepAttestation) -> bool {
        let message = receipt::sig_structure(&step.commit, &step.root, key);
        let key = VerifyingKey::<Ristretto255Sha512>::deserialize(key.as_bytes());
        let signature = frost_ristretto255::Signature::deserialize(step.signature.as_bytes());
        key.and_then(|key| key.verify(&message, &signature?))
            .is_ok()
    }
}

pub type Keys<C> = BTreeMap<Slot, (KeyRecord, KeyShare<C>)>;

/// A key generation of all members over links that lose nothing.
pub fn generate<S: Suite>(founding: &Founding, rng: &mut ChaCha8Rng) -> Keys<S::Cipher> {
    let mut keys = BTreeMap::new();
    let mut machines: BTreeMap<Slot, Dkg<S::Cipher, _, _>> = founding
        .record
        .slots()
        .zip(&founding.identity_seeds)
        .map(|(slot, seed)| {
            let identity = Ed25519Identity::from_seed(seed);
            let boot = Boot(1);
            let machine = Dkg::new(
                &founding.record,
                slot,
                boot,
                identity,
                S::VERIFY,
                Start::Fresh,
            );
            (slot, machine.unwrap())
        })
        .collect();
    for machine in machines.values_mut() {
        machine.handle_timeout(START_MS, rng);
    }
    while keys.len() < machines.len() {
        let mut posts = Vec::new();
        for (slot, machine) in &mut machines {
            while let Some(output) = machine.poll() {
                match output {
                    DkgOutput::Send { to, message } => posts.push((to, message)),
                    DkgOutput::Persist(_) => machine.persisted(START_MS, rng),
                    DkgOutput::Done(record, share) => {
                        keys.insert(*slot, (record, share));
                    }
                    DkgOutput::Dealt(_) => panic!("all members get shares"),
                    DkgOutput::Aborted { act, .. } => panic!("{act}"),
                }
            }
        }
        assert!(
            !posts.is_empty() || keys.len() == machines.len(),
            "nobody has anything to say"
        );
        for (to, message) in posts {
            // The finished say so to what still arrives.
            let from = message.slot;
            let machine = machines.get_mut(&to).unwrap();
            let _ = machine.handle(START_MS, rng, from, message);
        }
    }
    keys
}

fn committee<S: Suite>(seed: u64) -> WorldOf<S> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let founding = Founding::new(5, 4, 2);
    let generated = generate::<S>(&founding, &mut rng);
    let (first, share) = &generated[&Slot(1)];
    let public = share.public_package().clone();
    for (record, share) in generated.values() {
        assert_eq!(record.group_key, first.group_key);
        assert_eq!(share.public_package(), &public);
    }
    let keys = generated
        .iter()
        .map(|(slot, (_, share))| (*slot, share.key_package().clone()))
        .collect();
    WorldOf::with_key(rng, founding, keys, public)
}

/// Steps over a bad network, with a crash; the world checks every rule after every event.
fn works<S: Suite>(world: &mut WorldOf<S>) {
    let zapp = world.deploy();
    world.network = Network {
        loss_percent: 10,
        double_percent: 10,
        delay_ms: (1, 40),
    };
    for round in 0..20 {
        if round == 10 {
            world.kill_member(Slot(2));
            world.restart_member_at(Slot(2), world.now + 500);
        }
        world.request(zapp, "add", Vec::new());
        assert!(world.run_until(90_000, WorldOf::all_done), "round {round}");
    }
    // Loss makes members miss votes; nothing else may be seen.
    let lost = |seen: &Seen| {
        use signer_protocol::blame::Act::{Absent, Withheld};
        matches!(
            seen,
            Seen::Divergence(_) | Seen::Blame(_, Absent { .. } | Withheld { .. })
        )
    };
    assert!(world.head().0 >= 2);
    assert!(world.seen.iter().all(lost), "{:?}", world.seen);
}

#[test]
fn a_committee_generates_its_key_and_attests_under_either_suite() {
    let mut ed25519: World = committee(1);
    works(&mut ed25519);
    let mut ristretto: WorldOf<Ristretto> = committee(1);
    works(&mut ristretto);
    let key = *ristretto.committee.group_key();
    for step in ristretto.attested.values() {
        assert!(RistrettoVerify.attests(&key, step));
        assert!(!Ed25519Verify.attests(&key, step), "of another suite");
    }
}

#[test]
fn a_second_key_of_the_evm_suite_is_a_key_of_its_own_and_signs_what_contracts_take() {
    let mut founding = Founding::new(5, 4, 2);
    founding.record.evm = true;
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    let first = generate::<Ed25519>(&founding, &mut rng);
    let second = generate::<ForEvm>(&founding, &mut rng);
    let (ed25519, evm) = (&first[&Slot(1)].0, &second[&Slot(1)].0);
    let key = evm.check_evm(&founding.record).unwrap();
    assert_ne!(evm.session, ed25519.session);
    assert_eq!(
        ed25519.check_evm(&founding.record),
        Err(KeyRecordError::GroupKey)
    );
    assert_eq!(evm.check(&founding.record), Err(KeyRecordError::GroupKey));
    let read = KeyRecord::from_bytes(&evm.to_bytes()).unwrap();
    assert_eq!(read, *evm);
    let mut unasked = founding.record.clone();
    unasked.evm = false;
    assert_eq!(evm.check_evm(&unasked), Err(KeyRecordError::Committee));
    // Any four of the five.
    let (nonces, commitments): (BTreeMap<_, _>, BTreeMap<_, _>) = second
        .values()
        .skip(1)
        .map(|(_, share)| {
            let key = share.key_package();
            let (nonces, commitments) = frost_core::round1::commit(key.signing_share(), &mut rng);
            (
                (*key.identifier(), nonces),
                (*key.identifier(), commitments),
            )
        })
        .unzip();
    let message = [7; 32];
    let package = frost_core::SigningPackage::new(commitments, &message);
    let shares = second.values().skip(1).map(|(_, share)| {
        let key = share.key_package();
        let signed = frost_core::round2::sign(&package, &nonces[key.identifier()], key);
        (*key.identifier(), signed.unwrap())
    });
    let public = second[&Slot(1)].1.public_package();
    let signature = frost_core::aggregate(&package, &shares.collect(), public).unwrap();
    let bytes = signature.serialize().unwrap().try_into().unwrap();
    let signature = EvmSignature::from_bytes(bytes);
    assert!(verify_evm(&key, &message, &signature));
    assert!(!verify_evm(&key, &[8; 32], &signature));
}
