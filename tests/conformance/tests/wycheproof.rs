//! Wycheproof's Ed25519 vectors through our entry points.

#![allow(
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a panic is a failed test"
)]

use attestation::identity;
use attestation::ids::{GroupKey, IdentityKey, Signature};
use wycheproof::TestResult;
use wycheproof::eddsa::{TestName, TestSet};

#[test]
fn wycheproof_ed25519() {
    let set = TestSet::load(TestName::Ed25519).unwrap();
    let (mut valid, mut invalid) = (0, 0);
    for group in set.test_groups {
        let key: [u8; 32] = group.key.pk.as_slice().try_into().unwrap();
        let (identity, group_key) = (IdentityKey::from_bytes(key), GroupKey::from_bytes(key));
        for test in group.tests {
            // A signature is 64 bytes by type: other lengths never reach the verifier.
            let signature = <[u8; 64]>::try_from(test.sig.as_slice()).map(Signature::from_bytes);
            let accepted = signature.is_ok_and(|signature| {
                let member = identity::verify(&identity, &test.msg, &signature);
                let group = identity::verify_group(&group_key, &test.msg, &signature);
                assert_eq!(member, group, "test {}", test.tc_id);
                member
            });
            match test.result {
                TestResult::Valid => valid += 1,
                TestResult::Invalid => invalid += 1,
                TestResult::Acceptable => panic!("test {} has no verdict", test.tc_id),
            }
            let expected = test.result == TestResult::Valid;
            assert_eq!(accepted, expected, "test {}: {}", test.tc_id, test.comment);
        }
    }
    assert!(
        valid > 50 && invalid > 50,
        "{valid} valid, {invalid} invalid"
    );
}
