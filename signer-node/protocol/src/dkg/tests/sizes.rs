//! Everything that a generation of the largest committee sends and keeps, against its bounds.

use frost_ed25519::keys::{IdentifierList, KeyPackage, generate_with_dealer};

use super::super::packages::{PACKAGE_BYTES_MAX, PROOF_BYTES_MAX, encode, identifier};
use super::*;
use crate::channel::{MEMBER_MESSAGE_BYTES_MAX, QUEUE_BYTES_MAX, QUEUE_MESSAGES_MAX};
use crate::evidence::{CanaryDeed, CeremonyAct};
use crate::message::{Certification, SecretPackage};
use crate::sealed::SHARE_BYTES_MAX;

const LARGEST: u16 = attestation::committee::MEMBERS_MAX;

/// A share and the record of its key, as a dealer makes them: the sizes are those of a generation.
fn largest(record: &CreationRecord) -> (KeyShare<Suite>, KeyRecord) {
    let mut rng = ChaCha20Rng::seed_from_u64(1);
    let list = IdentifierList::Default;
    let (shares, public) = generate_with_dealer(LARGEST, record.threshold, list, &mut rng).unwrap();
    let share = KeyShare {
        slot: Slot(LARGEST),
        epoch: Epoch(1),
        attempt: u64::MAX,
        session: Digest::from_bytes([1; 32]),
        transcript: Digest::from_bytes([2; 32]),
        bound: true,
        key: KeyPackage::try_from(shares[&identifier(Slot(LARGEST))].clone()).unwrap(),
        public,
    };
    let certification = Certification {
        boot: Boot(u64::MAX),
        signature: attestation::ids::Signature::from_bytes([3; 64]),
    };
    let certificate = vec![certification; usize::from(LARGEST)];
    let canary = attestation::ids::Signature::from_bytes([4; 64]);
    let key = share.record(&domain(record), certificate, canary.into());
    (share, key.unwrap())
}

#[test]
fn the_largest_committee_stays_within_every_bound() {
    let record = record(LARGEST, 0);
    let (share, key) = largest(&record);
    assert!(key.to_bytes().len() <= KEY_RECORD_BYTES_MAX);
    assert_eq!(KeyRecord::from_bytes(&key.to_bytes()).as_ref(), Ok(&key));
    assert!(share.to_bytes().bytes().len() <= SHARE_BYTES_MAX);

    let setup = Setup::<Suite>::new(&record, Slot(1), Boot(u64::MAX), &identity(1)).unwrap();
    let mut rng = ChaCha20Rng::seed_from_u64(2);
    let own = identifier::<Suite>(Slot(1));
    let (_, round1) =
        frost_core::keys::dkg::part1(own, LARGEST, record.threshold, &mut rng).unwrap();
    let round1 = round1.serialize().unwrap();
    assert!(round1.len() <= PACKAGE_BYTES_MAX);
    let (_, commitments) =
        frost_core::round1::commit::<Suite, _>(share.key_package().signing_share(), &mut rng);
    let envelope = |body| setup.envelope(&identity(1), u64::MAX, body);
    let digest = Digest::from_bytes([9; 32]);
    let first = envelope(DkgBody::Round1(ByteBuf::from(round1)));
    let bodies = [
        first.body.clone(),
        DkgBody::Echo(vec![digest; usize::from(LARGEST)]),
        DkgBody::Evidence(encode(&first)),
        DkgBody::Round2 {
            to: Slot(LARGEST),
            package: SecretPackage::new(Zeroizing::new(vec![1; 64])),
        },
        DkgBody::Certify(digest),
        DkgBody::Certificate {
            digest,
            certifications: key.certificate.clone(),
        },
        DkgBody::CanaryNonces {
            round: u64::MAX,
            commitments: ByteBuf::from(commitments.serialize().unwrap()),
        },
        DkgBody::CanaryShare {
            round: u64::MAX,
            package: digest,
            share: ByteBuf::from(vec![1; 32]),
        },
        DkgBody::Finished(ByteBuf::from(key.to_bytes())),
    ];
    // Commitments of the other suite are the longer ones, 71 bytes.
    let deed = CeremonyAct::BadCanaryShare(Box::new(CanaryDeed {
        share: envelope(bodies[6].clone()),
        transcript: digest,
        public_package: key.public_package.clone(),
        commitments: vec![ByteBuf::from(vec![1; 80]); usize::from(LARGEST)],
    }));
    let proof = attestation::codec::encode(&deed);
    assert!(proof.len() <= PROOF_BYTES_MAX, "{} bytes", proof.len());
    let proof = DkgBody::Proof(SecretPackage::new(Zeroizing::new(proof)));
    for body in bodies.into_iter().chain([proof]) {
        let message = Message::ToMember(ToMember::Dkg(envelope(body)));
        let bytes = message.to_bytes();
        assert_eq!(Message::from_bytes(&bytes), Ok(message));
        assert!(bytes.len() <= MEMBER_MESSAGE_BYTES_MAX);
    }
    // While all peers are away, what repeats for each of them waits whole.
    let peers = usize::from(LARGEST) - 1;
    let waiting = encode(&first).bytes().len() * QUEUE_MESSAGES_MAX * peers;
    assert!(waiting <= QUEUE_BYTES_MAX, "{waiting} bytes wait");
}

#[test]
fn a_committee_of_twenty_agrees_on_a_key() {
    let mut net = Net::new(20, 1);
    net.run_until(500, "twenty", Net::all_done);
    assert_eq!(net.assert_one_key().threshold, 14);
}
