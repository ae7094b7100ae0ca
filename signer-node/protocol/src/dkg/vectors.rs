//! The key generation that frost-ed25519 publishes, through what a member deals, checks and adds up.

use alloc::vec;

use conformance::shipped::Draws;
use conformance::shipped::frost_ed25519::{Generation, Member, generation};
use frost_core::keys::dkg::{round1, round2};
use frost_core::keys::{SigningShare, VerifiableSecretSharingCommitment};
use serde_bytes::ByteBuf;
use zeroize::Zeroizing;

use super::dealing::Dealt;
use super::packages::{decode_round1, decode_round2, identifier, share_fits};
use super::setup::Setup;
use super::tests::{Suite, identity, record};
use super::*;
use crate::message::SecretPackage;

type Commitment = VerifiableSecretSharingCommitment<Suite>;

/// A committee of the vector's size, smaller than any that a checked record has.
fn setups(published: &Generation) -> BTreeMap<Slot, Setup<Suite>> {
    let mut record = record(4, 1);
    record.members.truncate(published.members.len());
    record.threshold = published.threshold;
    let setup = |slot: &u16| {
        let setup = Setup::new(&record, Slot(*slot), Boot(1), &identity(*slot));
        (Slot(*slot), setup.unwrap())
    };
    published.members.keys().map(setup).collect()
}

fn commitment(member: &Member) -> Commitment {
    Commitment::deserialize(&member.commitments).unwrap()
}

fn envelope(setup: &Setup<Suite>, body: DkgBody) -> DkgMessage {
    setup.envelope(&identity(setup.slot.0), 1, body)
}

/// All round-1 packages, with the proofs that the vector has.
fn round1(
    published: &Generation,
    setups: &BTreeMap<Slot, Setup<Suite>>,
) -> BTreeMap<Slot, DkgMessage> {
    let members = published.members.values().zip(setups);
    let message = |(member, (slot, setup)): (&Member, (&Slot, &Setup<Suite>))| {
        let proof = frost_core::Signature::deserialize(&member.proof).unwrap();
        let package = round1::Package::new(commitment(member), proof);
        let body = DkgBody::Round1(ByteBuf::from(package.serialize().unwrap()));
        (*slot, envelope(setup, body))
    };
    members.map(message).collect()
}

/// What `from` deals to `to`.
fn dealt(published: &Generation, from: Slot, to: Slot) -> SecretPackage {
    let share = &published.members[&to.0].dealt[&from.0];
    let package = round2::Package::<Suite>::new(SigningShare::deserialize(share).unwrap());
    SecretPackage::new(Zeroizing::new(package.serialize().unwrap()))
}

/// A polynomial of the vector's coefficients; the proof's nonce is in no vector.
fn deal(setup: &Setup<Suite>, member: &Member) -> Dealt<Suite> {
    let wide = |scalar: &Vec<u8>| [scalar.as_slice(), &[0; 32]].concat();
    let draws = member.coefficients.iter().map(wide);
    let mut rng = Draws::new(draws.chain([vec![1; 64]]));
    let (dealt, package) = Dealt::deal(setup, &mut rng);
    let sent = envelope(setup, DkgBody::Round1(ByteBuf::from(package)));
    let sent = decode_round1::<Suite>(&sent, setup.membership.threshold()).unwrap();
    assert_eq!(*sent.commitment(), commitment(member));
    dealt
}

#[test]
fn a_published_key_generation_gives_each_member_its_published_share_of_the_published_key() {
    let published = generation();
    let setups = setups(&published);
    let round1 = round1(&published, &setups);
    let mut dealings = 0;
    for (slot, setup) in &setups {
        let member = &published.members[&slot.0];
        let own = deal(setup, member);
        let (own, packages) = own.shares(setup, &round1).ok().unwrap();
        for (to, package) in &packages {
            assert_eq!(*package, dealt(&published, *slot, *to), "{slot} to {to}");
            dealings += 1;
        }
        let message = |from: Slot, package| {
            let body = DkgBody::Round2 { to: *slot, package };
            (from, envelope(&setups[&from], body))
        };
        let others = setup.others();
        let round2 = others.map(|from| message(from, dealt(&published, from, *slot)));
        let mut round2: BTreeMap<_, _> = round2.collect();
        let (key, public) = own.sum(setup, &round1, &round2).ok().unwrap();
        assert_eq!(key.signing_share().serialize(), member.share);
        let verifying = key.verifying_share().serialize().unwrap();
        assert_eq!(verifying, member.verifying_share);
        let group = public.verifying_key().serialize().unwrap();
        assert_eq!(group, published.group_key);

        // What a dealer gave to another fits nothing here.
        let [from, third] = setup.others().collect::<Vec<_>>()[..] else {
            panic!("three members");
        };
        round2.extend([message(from, dealt(&published, from, third))]);
        let summed = own.sum(setup, &round1, &round2);
        assert_eq!(summed.err(), Some(Some(from)));
    }
    assert_eq!(dealings, 6);
}

#[test]
fn published_dealings_fit_their_dealers_commitments_and_no_others() {
    let published = generation();
    let mut fitting = 0;
    for (to, member) in &published.members {
        for from in member.dealt.keys() {
            let package = dealt(&published, Slot(*from), Slot(*to));
            assert!(decode_round2::<Suite>(&package).is_some());
            for (dealer, other) in &published.members {
                for receiver in published.members.keys() {
                    let receiver_id = identifier(Slot(*receiver));
                    let fits = share_fits(receiver_id, &package, &commitment(other));
                    assert_eq!(fits, (dealer, receiver) == (from, to));
                    fitting += usize::from(fits);
                }
            }
        }
    }
    assert_eq!(fitting, 6);
}
