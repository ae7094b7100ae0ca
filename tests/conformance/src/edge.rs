//! Ed25519 signatures on which verifiers differ, and which rule of ours each of them breaks.
//!
//! Points are computed: the eight of small order, every second encoding that a point can have,
//! and keys and nonces with a torsion part; what others published is in [`published`]. [`flaw`]
//! judges rule by rule, apart
//! from the library that the product verifies with.

use attestation::ids::Signature;
use curve25519_dalek::constants::EIGHT_TORSION;
use curve25519_dalek::edwards::{CompressedEdwardsY, EdwardsPoint};
use curve25519_dalek::scalar::Scalar;
use curve25519_dalek::traits::IsIdentity as _;
use ed25519_dalek::{Signer as _, SigningKey};
use sha2::{Digest as _, Sha512};

use crate::{published, sample};

/// A key, a message, and bytes that may be the key's signature over it.
#[derive(Clone, Debug)]
pub struct Edge {
    /// What is special about it.
    pub name: String,
    /// The rule that it breaks, written down beside the case; `None` if it is a signature.
    pub error: Option<&'static str>,
    /// Ed25519 key.
    pub key: [u8; 32],
    /// What is signed.
    pub message: Vec<u8>,
    /// R ‖ S.
    pub signature: [u8; 64],
}

/// Which equations hold for a key, a message and a signature, points and scalars read as laxly as
/// any verifier does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Equations {
    /// \[S\]B = R + \[k\]A.
    pub plain: bool,
    /// \[8\]\[S\]B = \[8\]R + \[8\]\[k\]A.
    pub cofactored: bool,
}

/// Every case.
#[must_use]
pub fn cases() -> Vec<Edge> {
    let mut cases = ordinary();
    cases.extend(with_torsion());
    cases.extend(scalars());
    cases.extend(nonce_points());
    cases.extend(keys());
    cases.extend(published::cases());
    cases
}

/// The first rule that a signature breaks; `None` if it is one.
#[must_use]
pub fn flaw(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> Option<&'static str> {
    let (r, s) = halves(signature);
    let Some(point) = CompressedEdwardsY(*key).decompress() else {
        return Some("KeyNotAPoint");
    };
    if point.compress().as_bytes() != key {
        return Some("KeyNotCanonical");
    }
    if point.is_small_order() {
        return Some("KeySmallOrder");
    }
    if bool::from(Scalar::from_canonical_bytes(s).is_none()) {
        return Some("ScalarNotReduced");
    }
    let Some(nonce) = CompressedEdwardsY(r).decompress() else {
        return Some("RNotAPoint");
    };
    if nonce.compress().as_bytes() != &r {
        return Some("RNotCanonical");
    }
    if nonce.is_small_order() {
        return Some("RSmallOrder");
    }
    let equations = equations(key, message, signature).expect("both are points");
    (!equations.plain).then_some("Equation")
}

/// The equations; `None` if key or R are no points.
#[must_use]
pub fn equations(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> Option<Equations> {
    let (r, s) = halves(signature);
    let key_point = CompressedEdwardsY(*key).decompress()?;
    let nonce_point = CompressedEdwardsY(r).decompress()?;
    let left = EdwardsPoint::mul_base(&Scalar::from_bytes_mod_order(s));
    let difference = left - challenge(&r, key, message) * key_point - nonce_point;
    Some(Equations {
        plain: difference.is_identity(),
        cofactored: difference.mul_by_cofactor().is_identity(),
    })
}

/// A signature whose R is `nonce` times the base point plus one of the eight points of small
/// order: without `nonce` R itself is of small order.
#[must_use]
pub fn sign_with_torsion(
    secret: &SigningKey,
    nonce: u64,
    torsion: usize,
    message: &[u8],
) -> Signature {
    let (key, nonce) = (secret.verifying_key().to_bytes(), Scalar::from(nonce));
    let r = point(&nonce, torsion);
    Signature::from_bytes(solve(&key, &secret.to_scalar(), &r, &nonce, message))
}

/// A second signature for every equation that reduces S: R ‖ S + ℓ.
///
/// # Panics
/// Never for a signature: S + ℓ fits into 32 bytes.
#[must_use]
pub fn plus_order_once(signature: &Signature) -> Signature {
    let (r, s) = halves(signature.as_bytes());
    let s = plus_order(&s).expect("S is below the order");
    Signature::from_bytes(join(&r, &s))
}

/// What RFC 8032's signer makes, and one changed bit in each part of it.
fn ordinary() -> Vec<Edge> {
    let mut cases: Vec<Edge> = [0, 1, 64, 1_023]
        .into_iter()
        .map(|length| {
            let secret = SigningKey::from_bytes(&sample::digest(&format!("edge {length}")));
            let message = vec![0xab; length];
            Edge {
                name: format!("an ordinary signature over {length} bytes"),
                error: None,
                key: secret.verifying_key().to_bytes(),
                signature: secret.sign(&message).to_bytes(),
                message,
            }
        })
        .collect();
    let good = good();
    let changed = |name: &str, change: &dyn Fn(&mut Edge)| {
        let mut case = good.clone();
        case.name = name.into();
        case.error = Some("Equation");
        change(&mut case);
        case
    };
    let others = SigningKey::from_bytes(&sample::digest("edge other"));
    cases.extend([
        changed("another message", &|case| case.message.push(0)),
        changed("another key", &|case| {
            case.key = others.verifying_key().to_bytes();
        }),
        changed("another S", &|case| case.signature[32] ^= 1),
        changed("another R", &|case| {
            case.signature[..32].copy_from_slice(&point(&Scalar::from(9u8), TORSION_FREE));
        }),
        changed("R with the other sign", &|case| case.signature[31] ^= 0x80),
    ]);
    cases
}

/// Keys and nonces with a torsion part: the equations differ unless the parts cancel.
fn with_torsion() -> Vec<Edge> {
    let mut cases = Vec::new();
    for key_part in 0..8 {
        for nonce_part in 0..8 {
            if (key_part, nonce_part) == (0, 0) {
                continue;
            }
            // S takes care of the rest; what is left is the torsion of R + [k]A.
            for holds in [true, false] {
                let parts = (key_part, nonce_part);
                cases.extend(torsion_case(parts, holds));
            }
        }
    }
    cases
}

/// A case in which the plain equation holds, or does not while the cofactored one does; `None` if
/// these torsion parts have no such message.
fn torsion_case((key_part, nonce_part): (usize, usize), holds: bool) -> Option<Edge> {
    let (secret, nonce) = secrets();
    let key = point(&secret, key_part);
    let r = point(&nonce, nonce_part);
    (0u8..64).find_map(|attempt| {
        let message = vec![attempt];
        let signature = solve(&key, &secret, &r, &nonce, &message);
        let found = equations(&key, &message, &signature)?;
        assert!(found.cofactored, "S solves the equation but for torsion");
        (found.plain == holds).then(|| Edge {
            name: format!(
                "key with torsion part {key_part}, R with {nonce_part}, plain equation {}",
                if holds { "holds" } else { "does not hold" }
            ),
            error: (!holds).then_some("Equation"),
            key,
            message,
            signature,
        })
    })
}

/// S at and above the order.
fn scalars() -> Vec<Edge> {
    let good = good();
    let with_s = |name: String, error, s: [u8; 32]| {
        let mut case = good.clone();
        case.signature[32..].copy_from_slice(&s);
        Edge {
            name,
            error,
            ..case
        }
    };
    let (_, s) = halves(&good.signature);
    // One signature and its second, third, … form: as often as the order fits into 32 bytes.
    let mut cases = Vec::new();
    let mut more = s;
    for times in 1.. {
        let Some(next) = plus_order(&more) else { break };
        more = next;
        cases.push(with_s(
            format!("S plus {times} times the order"),
            Some("ScalarNotReduced"),
            more,
        ));
    }
    assert_eq!(cases.len(), 15, "16 times the order is above 2^256");
    let order = plus_order(&[0; 32]).expect("the order has 253 bits");
    let mut below = order;
    below[0] -= 1;
    let mut power = [0; 32];
    power[31] = 0x10;
    cases.extend([
        with_s("S is 0".into(), Some("Equation"), [0; 32]),
        with_s("S is 2^252".into(), Some("Equation"), power),
        with_s("S is the order less 1".into(), Some("Equation"), below),
        with_s("S is the order".into(), Some("ScalarNotReduced"), order),
        with_s(
            "S is 2^256 - 1".into(),
            Some("ScalarNotReduced"),
            [0xff; 32],
        ),
    ]);
    cases
}

/// R of small order, in a second encoding, and no point.
fn nonce_points() -> Vec<Edge> {
    let (secret, _) = secrets();
    let key = point(&secret, TORSION_FREE);
    let with_r = |name: String, error, r: [u8; 32]| {
        let message = b"message".to_vec();
        // As if R were the identity: the plain equation holds for the identity, the cofactored
        // one for every R of small order.
        let signature = solve(&key, &secret, &r, &Scalar::ZERO, &message);
        Edge {
            name,
            error: Some(error),
            key,
            message,
            signature,
        }
    };
    let mut cases: Vec<Edge> = small_order()
        .map(|(name, r)| with_r(format!("R {name}"), "RSmallOrder", r))
        .collect();
    cases.extend(
        second_encodings().map(|(name, r)| with_r(format!("R is {name}"), "RNotCanonical", r)),
    );
    cases.extend(no_points().map(|(name, r)| with_r(format!("R is {name}"), "RNotAPoint", r)));
    cases
}

/// Keys of small order, in a second encoding, and no point.
fn keys() -> Vec<Edge> {
    let (_, nonce) = secrets();
    let r = point(&nonce, TORSION_FREE);
    let with_key = |name: String, error, key: [u8; 32]| {
        // As if the secret were 0. For a key of small order some message makes even the plain
        // equation hold.
        let edge = |attempt: u8| {
            let message = vec![attempt];
            let signature = solve(&key, &Scalar::ZERO, &r, &nonce, &message);
            Edge {
                name: name.clone(),
                error: Some(error),
                key,
                message,
                signature,
            }
        };
        (0..64)
            .map(edge)
            .find(|edge| {
                let found = equations(&edge.key, &edge.message, &edge.signature);
                found.is_some_and(|found| found.plain)
            })
            .unwrap_or_else(|| edge(0))
    };
    let mut cases: Vec<Edge> = small_order()
        .map(|(name, key)| with_key(format!("key {name}"), "KeySmallOrder", key))
        .collect();
    cases.extend(
        second_encodings()
            .map(|(name, key)| with_key(format!("key is {name}"), "KeyNotCanonical", key)),
    );
    cases.extend(
        no_points().map(|(name, key)| with_key(format!("key is {name}"), "KeyNotAPoint", key)),
    );
    cases.extend(small_order().map(|(name, key)| Edge {
        name: format!("key and R {name}, S is 0"),
        error: Some("KeySmallOrder"),
        key,
        message: b"message".to_vec(),
        signature: join(&key, &[0; 32]),
    }));
    cases
}

/// The index in [`EIGHT_TORSION`] of no torsion at all.
const TORSION_FREE: usize = 0;

/// An ordinary signature to change.
fn good() -> Edge {
    let mut first = Vec::new();
    let (secret, nonce) = secrets();
    let (key, r) = (point(&secret, TORSION_FREE), point(&nonce, TORSION_FREE));
    first.extend_from_slice(b"message");
    Edge {
        name: "an ordinary signature".into(),
        error: None,
        key,
        signature: solve(&key, &secret, &r, &nonce, &first),
        message: first,
    }
}

/// A secret key and a secret nonce; both public here.
fn secrets() -> (Scalar, Scalar) {
    let scalar = |name: &str| Scalar::from_bytes_mod_order(sample::digest(name));
    (scalar("edge secret"), scalar("edge nonce"))
}

/// A multiple of the base point plus one of the eight points of small order, encoded.
fn point(scalar: &Scalar, torsion: usize) -> [u8; 32] {
    (EdwardsPoint::mul_base(scalar) + EIGHT_TORSION[torsion])
        .compress()
        .to_bytes()
}

/// R ‖ S with S = r + k·a: a signature, but for what R and key have beside r and a.
fn solve(
    key: &[u8; 32],
    secret: &Scalar,
    r: &[u8; 32],
    nonce: &Scalar,
    message: &[u8],
) -> [u8; 64] {
    let s = nonce + challenge(r, key, message) * secret;
    join(r, s.as_bytes())
}

fn challenge(r: &[u8; 32], key: &[u8; 32], message: &[u8]) -> Scalar {
    let hash = Sha512::new()
        .chain_update(r)
        .chain_update(key)
        .chain_update(message);
    Scalar::from_hash(hash)
}

fn join(r: &[u8; 32], s: &[u8; 32]) -> [u8; 64] {
    let mut signature = [0; 64];
    signature[..32].copy_from_slice(r);
    signature[32..].copy_from_slice(s);
    signature
}

fn halves(signature: &[u8; 64]) -> ([u8; 32], [u8; 32]) {
    let (r, s) = signature.split_at(32);
    let half = |half: &[u8]| half.try_into().expect("half of 64 bytes");
    (half(r), half(s))
}

/// The sum with the order ℓ as 256-bit numbers; `None` if it does not fit.
fn plus_order(number: &[u8; 32]) -> Option<[u8; 32]> {
    let mut order = (-Scalar::ONE).to_bytes();
    order[0] += 1;
    let (mut sum, mut carry) = ([0; 32], false);
    for (to, (left, right)) in sum.iter_mut().zip(number.iter().zip(order)) {
        let (part, over) = left.overflowing_add(right);
        let (part, more) = part.overflowing_add(u8::from(carry));
        (*to, carry) = (part, over || more);
    }
    (!carry).then_some(sum)
}

/// The canonical encodings of the eight points of small order.
pub(crate) fn small_order() -> impl Iterator<Item = (String, [u8; 32])> {
    EIGHT_TORSION.iter().enumerate().map(|(at, point)| {
        assert!(point.is_small_order());
        (
            format!("of small order, number {at}"),
            point.compress().to_bytes(),
        )
    })
}

/// All encodings of points that decoders take beside the canonical one: y of p and above, and a
/// sign for x = 0.
pub(crate) fn second_encodings() -> impl Iterator<Item = (String, [u8; 32])> {
    candidates().filter_map(|(name, bytes)| {
        let point = CompressedEdwardsY(bytes).decompress()?;
        (point.compress().as_bytes() != &bytes).then_some((name, bytes))
    })
}

/// Encodings of no point, below and above p.
fn no_points() -> impl Iterator<Item = (String, [u8; 32])> {
    candidates()
        .chain((0..19).map(|y| (format!("y = {y}"), encoding_of(y))))
        .filter(|(_, bytes)| CompressedEdwardsY(*bytes).decompress().is_none())
}

/// Every y from p to 2^255 − 1 with either sign; 1 and p − 1, where x = 0, with the sign.
fn candidates() -> impl Iterator<Item = (String, [u8; 32])> {
    let signed = |(name, mut bytes): (String, [u8; 32])| {
        bytes[31] |= 0x80;
        (format!("{name} with sign"), bytes)
    };
    let above = (0..19).flat_map(move |more| {
        let case = (format!("y = p + {more}"), with_p(more));
        [case.clone(), signed(case)]
    });
    let mut last = with_p(0);
    last[0] -= 1;
    let no_x = [
        ("y = 1".to_owned(), encoding_of(1)),
        ("y = p - 1".to_owned(), last),
    ];
    above.chain(no_x.map(signed))
}

/// p + `more`, little-endian.
fn with_p(more: u8) -> [u8; 32] {
    let mut bytes = [0xff; 32];
    (bytes[0], bytes[31]) = (0xed + more, 0x7f);
    bytes
}

fn encoding_of(y: u8) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[0] = y;
    bytes
}

#[cfg(test)]
mod tests {
    use attestation::identity;
    use attestation::ids::{GroupKey, IdentityKey};

    use super::*;

    #[test]
    fn the_product_accepts_exactly_what_breaks_no_rule() {
        for case in cases() {
            let flaw = flaw(&case.key, &case.message, &case.signature);
            assert_eq!(flaw, case.error, "{}", case.name);
            let signature = Signature::from_bytes(case.signature);
            let (member, group) = (
                IdentityKey::from_bytes(case.key),
                GroupKey::from_bytes(case.key),
            );
            let accepted = identity::verify(&member, &case.message, &signature);
            assert_eq!(accepted, case.error.is_none(), "{}", case.name);
            let accepted = identity::verify_group(&group, &case.message, &signature);
            assert_eq!(accepted, case.error.is_none(), "{}", case.name);
        }
    }

    /// Without these a verifier with the other equation would pass.
    #[test]
    fn some_cases_tell_the_two_equations_apart() {
        let of = |case: &Edge| equations(&case.key, &case.message, &case.signature);
        let only_cofactored = |error| {
            let count = |case: &&Edge| {
                case.error == Some(error)
                    && of(case).is_some_and(|found| found.cofactored && !found.plain)
            };
            cases().iter().filter(count).count()
        };
        assert!(only_cofactored("Equation") >= 56);
        assert!(only_cofactored("RSmallOrder") >= 7);
        let plain_and_refused = |error| {
            let count = |case: &&Edge| {
                case.error == Some(error) && of(case).is_some_and(|found| found.plain)
            };
            cases().iter().filter(count).count()
        };
        assert!(plain_and_refused("KeySmallOrder") >= 8);
        assert!(plain_and_refused("RSmallOrder") >= 1);
        assert!(plain_and_refused("ScalarNotReduced") >= 15);
        assert!(plain_and_refused("KeyNotCanonical") >= 2);
        assert!(plain_and_refused("RNotCanonical") >= 1);
    }
}
