use alloc::string::ToString as _;

use super::*;

/// The generator (SEC 2 §2.4.1), and the point of the smallest x above the order, which is on the
/// curve and no key for `ecrecover`.
const GENERATOR: &str = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
const GENERATOR_Y: &str = "483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8";

fn key(text: &str) -> EvmKey {
    text.parse().unwrap()
}

#[test]
fn a_compressed_point_has_the_coordinates_of_the_standard() {
    let point = evm_point(&key(GENERATOR)).unwrap();
    assert_eq!(hex::encode(point.x), GENERATOR[2..]);
    assert_eq!(hex::encode(point.y), GENERATOR_Y);
    assert!(!point.is_odd());
    // The account of the secret key 1.
    let account = "7e5f4552091a69125d5dfcb7b8c2659029395bdf";
    assert_eq!(hex::encode(point.address()), account);
    let other = Affine::decompress(key(&GENERATOR.replacen("02", "03", 1)).as_bytes()).unwrap();
    assert!(other.is_odd() && other.x == point.x);
}

#[test]
fn what_is_no_point_or_has_x_above_the_order_is_no_key() {
    // N and the field's prime P end alike in 128 bits that differ; between them lie points.
    let order = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
    let above = (0x41u8..=0xff).find_map(|last| {
        let text = ["02", &order[..62], &hex::encode([last])].concat();
        Affine::decompress(key(&text).as_bytes()).map(|_| text)
    });
    assert_eq!(evm_point(&key(&above.unwrap())), None);
    for bad in [
        // x = 5: 132 is no square.
        ["02", &"00".repeat(31), "05"].concat(),
        ["04", &GENERATOR[2..]].concat(),
        ["00", &"00".repeat(32)].concat(),
        ["02", &"ff".repeat(32)].concat(),
    ] {
        assert_eq!(Affine::decompress(key(&bad).as_bytes()), None, "{bad}");
    }
}

#[test]
fn keys_and_signatures_are_read_by_their_length_and_no_other() {
    for length in 0..=66 {
        let bytes = alloc::vec![2; length];
        let (key, signature) = (
            GroupPublicKey::from_bytes(&bytes),
            GroupSignature::from_bytes(&bytes),
        );
        assert_eq!(key.is_some(), [32, 33].contains(&length), "{length}");
        assert_eq!(signature.is_some(), [64, 65].contains(&length), "{length}");
        if let Some(key) = key {
            assert_eq!(key.as_bytes(), bytes);
            assert_eq!(key.to_string().parse(), Ok(key));
            let encoded = attestation::codec::encode(&key);
            assert_eq!(attestation::codec::decode(&encoded, 64), Ok(key));
        }
        let encoded = attestation::codec::encode(&serde_bytes::ByteBuf::from(bytes));
        let decoded = attestation::codec::decode::<GroupSignature>(&encoded, 128);
        assert_eq!(decoded.ok(), signature);
    }
}
