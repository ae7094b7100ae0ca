//! `FrostSecp256k1.sol` against frost's own verifier, over signatures of real committees.

use attestation::ids::StatementId;
use conformance::sample;
use evm::abi::{Value, call, encode, number, word};
use evm::chain::{Account, Answer, Chain};
use evm::committee::{Committee, Key, Signature, frost_accepts};
use frost_secp256k1_evm::{Ciphersuite as _, Secp256K1Keccak256};
use k256::elliptic_curve::PrimeField as _;
use k256::elliptic_curve::bigint::CheckedAdd as _;
use k256::{AffinePoint, EncodedPoint, Scalar, U256};
use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore as _, SeedableRng as _};

use crate::{contracts, world};

/// Order of the group.
const N: &str = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";
/// Order of the field.
const P: &str = "fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f";

const NONE: u64 = 0;
const SCALAR_RANGE: u64 = 1;
const POINT_OFF_CURVE: u64 = 2;
const EQUATION: u64 = 3;

struct Verifier<'a> {
    chain: Chain<'a>,
    at: Account,
}

impl Verifier<'_> {
    fn new() -> Option<Self> {
        let mut chain = Chain::new(contracts()?);
        let at = chain.deploy("Harness", &[]).unwrap();
        Some(Self { chain, at })
    }

    fn flaw(&mut self, key: &Key, message: &[u8; 32], signature: &Signature) -> u64 {
        let Signature { rx, ry, z } = *signature;
        let data = call(
            "flaw(uint256,bool,bytes32,uint256,uint256,uint256)",
            &[
                Value::Word(key.x),
                number(u64::from(key.y[31] & 1)),
                Value::Word(*message),
                Value::Word(rx),
                Value::Word(ry),
                Value::Word(z),
            ],
        );
        self.chain.number(self.at, &data)
    }

    fn is_key(&mut self, x: [u8; 32], y: [u8; 32]) -> bool {
        let data = call("isKey(uint256,uint256)", &[Value::Word(x), Value::Word(y)]);
        self.chain.number(self.at, &data) == 1
    }

    fn is_key_x(&mut self, x: [u8; 32]) -> bool {
        let data = call("isKeyX(uint256)", &[Value::Word(x)]);
        self.chain.number(self.at, &data) == 1
    }
}

fn constant(text: &str) -> [u8; 32] {
    hex::decode(text).unwrap().try_into().unwrap()
}

/// A 256-bit sum, if there is one.
fn plus(a: &[u8; 32], b: &[u8; 32]) -> Option<[u8; 32]> {
    let sum = U256::from_be_slice(a).checked_add(&U256::from_be_slice(b));
    Option::<U256>::from(sum).map(|sum| bytes(&sum))
}

fn minus(a: &[u8; 32], b: &[u8; 32]) -> [u8; 32] {
    bytes(&U256::from_be_slice(a).wrapping_sub(&U256::from_be_slice(b)))
}

fn bytes(number: &U256) -> [u8; 32] {
    let mut out = [0; 32];
    for (limb, chunk) in number.to_words().iter().rev().zip(out.chunks_mut(8)) {
        chunk.copy_from_slice(&limb.to_be_bytes());
    }
    out
}

/// The y-coordinates of a point with this x, if there is one.
fn point(x: [u8; 32]) -> Option<[u8; 32]> {
    let encoded = EncodedPoint::from_bytes([[2].as_slice(), &x].concat()).ok()?;
    let point = AffinePoint::try_from(&encoded).ok()?;
    let full = k256::elliptic_curve::sec1::ToEncodedPoint::to_encoded_point(&point, false);
    Some((*full.y()?).into())
}

fn statement(name: &str) -> StatementId {
    StatementId::from_bytes(sample::digest(name))
}

/// Committees whose keys have an even and an odd y.
fn committees() -> [Committee; 2] {
    let odd = |committee: &Committee| committee.key().y[31] & 1;
    [0, 1].map(|wanted| {
        (0..64)
            .map(Committee::new)
            .find(|committee| odd(committee) == wanted)
            .unwrap()
    })
}

#[test]
fn signatures_of_committees_verify_whatever_the_parities() {
    let Some(mut verifier) = Verifier::new() else {
        return;
    };
    let mut parities = [[0; 2]; 2];
    for mut committee in committees() {
        let key = committee.key();
        for round in 0..12 {
            let statement = statement(&format!("statement {round}"));
            let signature = committee.sign(&statement);
            let found = verifier.flaw(&key, statement.as_bytes(), &signature);
            assert_eq!(found, NONE, "{signature:?}");
            parities[usize::from(key.y[31] & 1)][usize::from(signature.ry[31] & 1)] += 1;
        }
    }
    assert!(parities.iter().flatten().all(|count| *count > 0));
}

#[test]
fn the_challenge_is_that_of_the_suite() {
    let Some(mut verifier) = Verifier::new() else {
        return;
    };
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    for round in 0..40_u8 {
        let mut random = || {
            let mut bytes = [0; 32];
            rng.fill_bytes(&mut bytes);
            bytes
        };
        let (x, message, rx) = (random(), random(), random());
        let (odd, r_odd) = (round & 1, round >> 1 & 1);
        let data = call(
            "challenge(uint256,bool,bytes32,uint256,bool)",
            &[
                Value::Word(x),
                number(odd.into()),
                Value::Word(message),
                Value::Word(rx),
                number(r_odd.into()),
            ],
        );
        let preimage = [&[2 + r_odd], rx.as_slice(), &[2 + odd], &x, &message].concat();
        let wanted: [u8; 32] = Secp256K1Keccak256::H2(&preimage).to_bytes().into();
        let answer = verifier.chain.view(verifier.at, &data).answer;
        assert_eq!(answer, Answer::Returned(wanted.to_vec()));
    }
}

#[test]
fn each_flaw_of_a_signature_is_named() {
    let Some(mut verifier) = Verifier::new() else {
        return;
    };
    let [mut committee, other] = committees();
    let (key, message) = (committee.key(), statement("message"));
    let good = committee.sign(&message);
    let (n, p) = (constant(N), constant(P));
    let with = |change: &dyn Fn(&mut Signature)| {
        let mut signature = good;
        change(&mut signature);
        signature
    };
    let small_y = point(word(1)).unwrap();
    let cases = [
        ("z of zero", with(&|s| s.z = [0; 32]), SCALAR_RANGE),
        ("z of N", with(&|s| s.z = n), SCALAR_RANGE),
        ("the highest z", with(&|s| s.z = [0xff; 32]), SCALAR_RANGE),
        ("z of N - 1", with(&|s| s.z = minus(&n, &word(1))), EQUATION),
        ("N - z", with(&|s| s.z = minus(&n, &s.z)), EQUATION),
        ("-R", with(&|s| s.ry = minus(&p, &s.ry)), EQUATION),
        (
            "-R and N - z",
            with(&|s| (s.ry, s.z) = (minus(&p, &s.ry), minus(&n, &s.z))),
            EQUATION,
        ),
        ("another y of R", with(&|s| s.ry[0] ^= 1), POINT_OFF_CURVE),
        ("another x of R", with(&|s| s.rx[31] ^= 1), POINT_OFF_CURVE),
        (
            "R of zeros",
            with(&|s| (s.rx, s.ry) = ([0; 32], [0; 32])),
            POINT_OFF_CURVE,
        ),
        (
            "R with a small x",
            with(&|s| (s.rx, s.ry) = (word(1), small_y)),
            EQUATION,
        ),
        (
            "the same R in a second encoding of x",
            with(&|s| (s.rx, s.ry) = (plus(&p, &word(1)).unwrap(), small_y)),
            POINT_OFF_CURVE,
        ),
        ("R and z exchanged", with(&|s| (s.rx, s.z) = (s.z, s.rx)), 9),
    ];
    for (name, signature, wanted) in cases {
        let found = verifier.flaw(&key, message.as_bytes(), &signature);
        match wanted {
            9 => assert_ne!(found, NONE, "{name}"),
            _ => assert_eq!(found, wanted, "{name}"),
        }
    }
    // Coordinates that are small enough to have a second encoding: y = 7^(1/2) has none of x = 0.
    let found = verifier.flaw(&key, message.as_bytes(), &high_y(&good));
    assert_eq!(found, POINT_OFF_CURVE, "a second encoding of y");
    let found = verifier.flaw(&other.key(), message.as_bytes(), &good);
    assert_eq!(found, EQUATION, "another key");
    let found = verifier.flaw(&key, statement("other").as_bytes(), &good);
    assert_eq!(found, EQUATION, "another message");
    assert_eq!(verifier.flaw(&key, message.as_bytes(), &good), NONE);
}

/// R in a second encoding of a small y: a point's y below 2^256 - P, written with P more. There
/// are such points: x³ = y² - 7 has a solution for a third of all y.
fn high_y(good: &Signature) -> Signature {
    let p = constant(P);
    let (y, x) = (1..200)
        .find_map(|y| Some((word(y), cube_root_of_square_minus_7(y)?)))
        .unwrap();
    assert!(point(x).is_some_and(|found| found == y || minus(&p, &found) == y));
    Signature {
        rx: x,
        ry: plus(&y, &p).unwrap(),
        z: good.z,
    }
}

/// The x of the curve's point with this y, if there is one. P = 7 mod 9, so that a cube's root is
/// its power (P + 2) / 9.
fn cube_root_of_square_minus_7(y: u64) -> Option<[u8; 32]> {
    use k256::FieldElement;
    let target = FieldElement::from_u64(y * y) - FieldElement::from_u64(7);
    let exponent = (U256::from_be_slice(&constant(P)).wrapping_add(&U256::from(2u64))).to_words();
    let exponent = divide_by_9(exponent);
    let mut root = FieldElement::ONE;
    for bit in exponent
        .iter()
        .rev()
        .flat_map(|limb| (0..64).rev().map(move |at| limb >> at & 1))
    {
        root = root.square();
        if bit == 1 {
            root *= target;
        }
    }
    let root = root.normalize();
    let cube = (root.square() * root).normalize();
    (cube == target.normalize()).then(|| root.to_bytes().into())
}

/// Of a little-endian number.
fn divide_by_9(limbs: [u64; 4]) -> [u64; 4] {
    let (mut out, mut rest) = ([0; 4], 0_u128);
    for at in (0..4).rev() {
        let dividend = rest << 64 | u128::from(limbs[at]);
        out[at] = (dividend / 9) as u64;
        rest = dividend % 9;
    }
    out
}

#[test]
fn changed_and_random_signatures_get_the_verdict_of_frost() {
    let Some(mut verifier) = Verifier::new() else {
        return;
    };
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let (mut valid, mut invalid) = (0, 0);
    for mut committee in committees() {
        let key = committee.key();
        for round in 0..200 {
            let statement = statement(&format!("statement {}", round / 4));
            let mut signature = committee.sign(&statement);
            let mut message = *statement.as_bytes();
            match rng.next_u32() % 8 {
                0 => signature.rx = random(&mut rng),
                1 => signature.ry = random(&mut rng),
                2 => signature.z = random(&mut rng),
                3 => flip(&mut signature.rx, &mut rng),
                4 => flip(&mut signature.ry, &mut rng),
                5 => flip(&mut signature.z, &mut rng),
                6 => flip(&mut message, &mut rng),
                _ => {}
            }
            let wanted = frost_accepts(committee.verifying_key(), &message, &signature);
            let found = verifier.flaw(&key, &message, &signature) == NONE;
            assert_eq!(found, wanted, "{message:?} {signature:?}");
            *(if wanted { &mut valid } else { &mut invalid }) += 1;
        }
    }
    assert!(valid > 20 && invalid > 200, "{valid} {invalid}");
}

fn random(rng: &mut ChaCha8Rng) -> [u8; 32] {
    let mut bytes = [0; 32];
    rng.fill_bytes(&mut bytes);
    bytes
}

fn flip(bytes: &mut [u8; 32], rng: &mut ChaCha8Rng) {
    let bit = rng.next_u32() % 256;
    bytes[bit as usize / 8] ^= 1 << (bit % 8);
}

#[test]
fn only_points_with_a_small_x_are_keys() {
    let Some(mut verifier) = Verifier::new() else {
        return;
    };
    let (n, p) = (constant(N), constant(P));
    for committee in committees() {
        let Key { x, y } = committee.key();
        assert!(verifier.is_key(x, y) && verifier.is_key_x(x));
        assert!(verifier.is_key(x, minus(&p, &y)), "the key's negative");
        assert!(!verifier.is_key(y, x), "no point");
        assert!(!verifier.is_key(x, plus(&y, &word(1)).unwrap()), "no point");
    }
    // The curve's own point with x from N up, which `ecrecover` does not take.
    let (x, y) = (0..64)
        .filter_map(|more| plus(&n, &word(more)))
        .find_map(|x| Some((x, point(x)?)))
        .unwrap();
    assert!(!verifier.is_key(x, y) && !verifier.is_key_x(x));
    let high = plus(&p, &word(1)).unwrap();
    assert!(
        !verifier.is_key(high, point(word(1)).unwrap()),
        "x of P + 1"
    );
    assert!(!verifier.is_key_x(high), "x of P + 1");
    assert!(!verifier.is_key([0; 32], [0; 32]) && !verifier.is_key_x([0; 32]));
    let without_point = (1..64).map(word).find(|x| point(*x).is_none()).unwrap();
    assert!(!verifier.is_key_x(without_point));
    for x in (1..40).map(word) {
        assert_eq!(verifier.is_key_x(x), point(x).is_some(), "{x:?}");
        assert!(Option::<Scalar>::from(Scalar::from_repr(x.into())).is_some());
    }
}

#[test]
fn what_a_constructor_is_given_as_a_key_must_be_one() {
    let Some(contracts) = contracts() else {
        return;
    };
    let committee = committees();
    let Key { x, y } = committee[0].key();
    let deploy = |name: &str, x, y| {
        let key = [Value::Word(x), Value::Word(y)];
        let mut terms = world::terms(&committee[0], world::GUARDIAN);
        terms[2..4].clone_from_slice(&key);
        let arguments = match name {
            "LedgerAcceptor" => {
                let (terms, head) = ([0, 0, 0].map(number), [0, 1, 0, 0].map(number));
                [terms.as_slice(), &key, &head].concat()
            }
            "MessageAcceptor" => [terms, vec![number(world::GAS_MAX)]].concat(),
            _ => terms,
        };
        Chain::new(contracts).deploy(name, &encode(&arguments))
    };
    for name in ["LedgerAcceptor", "MessageAcceptor", "OutputAcceptor"] {
        assert!(deploy(name, x, y).is_ok());
        let refused = Err(Answer::Refused("UntrustworthyKey()".into()));
        assert_eq!(deploy(name, y, x), refused);
        assert_eq!(deploy(name, [0; 32], [0; 32]), refused);
    }
}
