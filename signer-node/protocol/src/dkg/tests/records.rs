//! Key records and key shares as bytes.

use attestation::ids::{CommitteeId, GroupKey, Signature};

use super::*;

fn finished() -> (CreationRecord, KeyRecord, KeyShare<Suite>) {
    let mut net = Net::new(4, 1);
    net.run_until(500, "good links", Net::all_done);
    let (key, share) = net.members.get_mut(&Slot(2)).unwrap().done.take().unwrap();
    (net.record, key, share)
}

#[test]
fn an_altered_key_record_is_refused() {
    let (record, key, _) = finished();
    let other = {
        let mut net = Net::new(4, 2);
        net.run_until(500, "good links", Net::all_done);
        net.assert_one_key()
    };
    type Alter = fn(&mut KeyRecord, &KeyRecord);
    let cases: [(&str, KeyRecordError, Alter); 14] = [
        ("committee", KeyRecordError::Committee, |key, _| {
            key.committee = CommitteeId::from_bytes([0; 32]);
        }),
        ("epoch", KeyRecordError::Committee, |key, _| {
            key.epoch = Epoch(2)
        }),
        ("attempt 0", KeyRecordError::Committee, |key, _| {
            key.attempt = 0
        }),
        ("attempt", KeyRecordError::Committee, |key, _| {
            key.attempt = 2
        }),
        ("threshold", KeyRecordError::Committee, |key, _| {
            key.threshold = 2
        }),
        ("session", KeyRecordError::Committee, |key, _| {
            key.session = Digest::from_bytes([0; 32]);
        }),
        ("small-order key", KeyRecordError::GroupKey, |key, _| {
            let mut one = [0; 32];
            one[0] = 1;
            key.group_key = GroupKey::from_bytes(one).into();
        }),
        (
            "another key",
            KeyRecordError::PublicPackage,
            |key, other| {
                key.group_key = other.group_key;
            },
        ),
        ("trailing byte", KeyRecordError::PublicPackage, |key, _| {
            key.public_package.push(0)
        }),
        (
            "another package",
            KeyRecordError::Certification(Slot(1)),
            |key, other| {
                key.group_key = other.group_key;
                key.public_package = other.public_package.clone();
            },
        ),
        (
            "transcript",
            KeyRecordError::Certification(Slot(1)),
            |key, _| {
                key.transcript = Digest::from_bytes([0; 32]);
            },
        ),
        (
            "n − 1 certifications",
            KeyRecordError::Certification(Slot(4)),
            |key, _| {
                key.certificate.pop();
            },
        ),
        (
            "one certification twice",
            KeyRecordError::Certification(Slot(2)),
            |key, _| {
                key.certificate[1] = key.certificate[0];
            },
        ),
        (
            "another key's canary",
            KeyRecordError::Canary,
            |key, other| key.canary = other.canary,
        ),
    ];
    for (what, expected, alter) in cases {
        let mut altered = key.clone();
        alter(&mut altered, &other);
        assert_eq!(altered.check(&record), Err(expected), "{what}");
    }
    let mut extended = key.clone();
    extended.certificate.push(extended.certificate[0]);
    assert_eq!(extended.check(&record), Err(KeyRecordError::Committee));
    assert_eq!(
        key.check(&super::record(4, 1)),
        Err(KeyRecordError::Committee)
    );
    assert_eq!(key.check(&record), Ok(()));
}

#[test]
fn a_record_without_canary_or_with_a_malleated_one_is_refused() {
    let (record, mut key, _) = finished();
    key.canary = Signature::from_bytes([0; 64]).into();
    assert_eq!(key.check(&record), Err(KeyRecordError::Canary));
}

#[test]
fn a_share_of_another_key_is_not_signed_with() {
    let (_, key, share) = finished();
    let bytes = share.to_bytes();
    assert!(KeyShare::<Suite>::of_key(&bytes, &key).is_ok());
    // What an older copy of the sealed record holds: the share of an attempt that came to nothing.
    let mut net = Net::new(4, 2);
    net.run_until(500, "good links", Net::all_done);
    let other = net.assert_one_key();
    let refused = KeyShare::<Suite>::of_key(&bytes, &other).unwrap_err();
    assert_eq!(refused, ShareError::OtherKey);
}

#[test]
fn a_share_survives_its_bytes_and_no_others() {
    let (_, key, share) = finished();
    let bytes = share.to_bytes();
    let again = KeyShare::<Suite>::from_bytes(&bytes).unwrap();
    assert!(again.belongs_to(&key) && again.slot() == Slot(2));
    assert_eq!(again.to_bytes().bytes(), bytes.bytes());

    let open = |bytes: &[u8]| {
        let bytes = ShareBytes::new(Epoch(1), Zeroizing::new(bytes.to_vec()));
        KeyShare::<Suite>::from_bytes(&bytes)
    };
    let good = bytes.bytes();
    for cut in 0..good.len() {
        assert!(open(&good[..cut]).is_err(), "cut to {cut}");
    }
    assert_eq!(
        open(&[good, &[0]].concat()).unwrap_err(),
        ShareError::Structure
    );
    let altered = |at: usize| {
        let mut bytes = good.to_vec();
        bytes[at] ^= 1;
        open(&bytes)
    };
    assert_eq!(altered(0).unwrap_err(), ShareError::Structure, "version");
    assert_eq!(altered(2).unwrap_err(), ShareError::Mismatch, "slot");
    // Header, session, transcript, flag, length, package header, identifier; then the share.
    let share_at = 1 + 2 + 8 + 64 + 1 + 2 + 5 + 32;
    assert_eq!(
        altered(share_at).unwrap_err(),
        ShareError::Mismatch,
        "secret share"
    );
    let other_epoch = ShareBytes::new(Epoch(2), Zeroizing::new(good.to_vec()));
    let refusal = KeyShare::<Suite>::from_bytes(&other_epoch).unwrap_err();
    assert_eq!(refusal, ShareError::Structure);
}

#[test]
fn what_is_durable_must_be_this_members_and_committees() {
    let (creation, key, share) = finished();
    let open = || PendingShares::<Suite>::from_bytes(&share.to_bytes()).unwrap();
    let new = |record: &CreationRecord, slot: u16, of: u16, start| {
        let machine: Result<Machine, _> = Dkg::new(
            record,
            Slot(slot),
            Boot(2),
            identity(of),
            Ed25519Verify,
            start,
        );
        machine.err()
    };
    let other = super::record(4, 1);
    assert_eq!(new(&creation, 2, 2, Start::Pending(open())), None);
    assert_eq!(
        new(&creation, 3, 3, Start::Pending(open())),
        Some(DkgError::Foreign)
    );
    assert_eq!(
        new(&other, 2, 2, Start::Pending(open())),
        Some(DkgError::Foreign)
    );
    assert_eq!(
        new(&other, 2, 2, Start::Finished(key)),
        Some(DkgError::Foreign)
    );
    assert_eq!(
        new(&creation, 2, 3, Start::Fresh),
        Some(DkgError::NotMember)
    );
    assert_eq!(
        new(&creation, 5, 5, Start::Fresh),
        Some(DkgError::NotMember)
    );
}

#[test]
fn nothing_secret_is_shown() {
    let (_, _, share) = finished();
    let secret = share.key_package().signing_share().serialize();
    let hex: alloc::string::String = secret
        .iter()
        .map(|byte| alloc::format!("{byte:02x}"))
        .collect();
    let numbers = alloc::format!("{:?}", &secret[..8]);
    let shown = alloc::format!("{share:?} {:?}", share.to_bytes());
    assert!(!shown.contains(&hex[..16]) && !shown.contains(numbers.trim_matches(['[', ']'])));
    let package = DkgBody::Round2 {
        to: Slot(1),
        package: crate::message::SecretPackage::new(Zeroizing::new(secret)),
    };
    let shown = alloc::format!("{package:?}");
    assert!(shown.contains("redacted") && !shown.contains(numbers.trim_matches(['[', ']'])));
}
