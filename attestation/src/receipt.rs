//! The attestation as a COSE Receipt (RFC 9942): a tagged COSE_Sign1 whose detached payload is
//! the 32-byte leaf root, with an RFC 9162 inclusion proof beside it.
//!
//! ```text
//! Receipt = #6.18([ protected: bstr .cbor Protected, unprotected: Unprotected,
//!                   payload: nil, signature: bstr .size 64 ])
//! Protected = {                       ; bytewise order of encoded keys (RFC 8949 §4.2.1)
//!   1 => -8 / -19,                    ; alg: EdDSA on the wire, Ed25519 (RFC 9864) accepted
//!   4 => bstr .size 32,               ; kid: RFC 9679 thumbprint of the group key
//!   15 => { 1 => tstr, 2 => tstr },   ; CWT claims iss, sub (RFC 9943 asks for them)
//!   16 => "application/vnd.zquorum.step+cose",  ; typ (RFC 9596)
//!   395 => 1,                         ; vds: RFC9162_SHA256
//!   -70001 => bstr .size 345 }        ; the commit
//! Unprotected = {
//!   396 => { -1 => [ bstr .cbor [tree_size: uint, leaf_index: uint, path: [+ bstr .size 32]] ] },
//!   -70002 => bstr .size 32 }         ; leaf hash
//! ```
//!
//! Every protected byte is a function of commit, group key and algorithm, and all of them have
//! one length: the signed bytes are a template of [`SIGNED_BYTES`] bytes. The leaf hash lets a
//! verifier that was not given the leaf check the rest, and tells a wrong leaf from a wrong
//! signature; nothing is trusted because of it.

use alloc::format;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use coset::cbor::value::Value;
use coset::iana;
use coset::{
    CborSerializable as _, CoseSign1, Header, HeaderBuilder, Label, ProtectedHeader,
    RegisteredLabelWithPrivate, SignatureContext, TaggedCborSerializable as _,
};
use sha2::{Digest as _, Sha256};

use crate::codec::Malformed;
use crate::commit::Commit;
use crate::ids::{Digest, GroupKey, LeafRoot, Signature};

/// Longest receipt in bytes.
pub const RECEIPT_BYTES_MAX: usize = 4096;
/// Longest inclusion path: [`crate::leaf::LEAVES_MAX`] leaves.
pub const PATH_MAX: usize = 16;
/// Length of the bytes that the group key signs.
pub const SIGNED_BYTES: usize = 597;
/// `typ` of a receipt (RFC 9596).
pub const CONTENT_TYPE: &str = "application/vnd.zquorum.step+cose";

/// The COSE algorithm that a receipt names; both mean Ed25519 here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// −8: what committees sign, since deployed verifiers know no other.
    EdDsa,
    /// −19 (RFC 9864): accepted.
    Ed25519,
}

/// Where a leaf stands in its step's tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InclusionProof {
    /// Number of leaves.
    pub tree_size: u64,
    /// Position of the leaf, from 0.
    pub index: u64,
    /// Sibling hashes from the leaf up, 1 to [`PATH_MAX`].
    pub path: Vec<[u8; 32]>,
}

/// A decoded receipt. Nothing in it is verified: see [`crate::verify`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// Algorithm named in the protected header.
    pub algorithm: Algorithm,
    /// RFC 9679 thumbprint of the group key.
    pub key_id: Digest,
    /// What the step did.
    pub commit: Commit,
    /// SHA-256(0x00 ‖ leaf).
    pub leaf_hash: [u8; 32],
    /// Where the leaf stands.
    pub proof: InclusionProof,
    /// The group's signature.
    pub signature: Signature,
}

/// Why bytes are not a receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// More bytes than a receipt can have.
    #[error("{actual} bytes, at most {RECEIPT_BYTES_MAX} allowed")]
    TooLong {
        /// Bytes received.
        actual: usize,
    },
    /// Not a tagged COSE_Sign1.
    #[error("not a tagged COSE_Sign1")]
    Cose,
    /// The payload is attached: nothing would tie it to the leaf.
    #[error("payload is attached; a receipt's payload is detached")]
    Payload,
    /// Another algorithm than −8 or −19.
    #[error("algorithm is neither EdDSA (-8) nor Ed25519 (-19)")]
    Algorithm,
    /// No 32-byte key id.
    #[error("key id is not a 32-byte thumbprint")]
    KeyId,
    /// Another `typ` than [`CONTENT_TYPE`].
    #[error("type (header 16) is not application/vnd.zquorum.step+cose")]
    ContentType,
    /// Another verifiable data structure than RFC9162_SHA256.
    #[error("verifiable data structure (header 395) is not RFC9162_SHA256 (1)")]
    DataStructure,
    /// The commit is missing or malformed.
    #[error("commit (header -70001): {0}")]
    Commit(Malformed),
    /// The claims name another committee or step than the commit.
    #[error("claims (header 15) do not name the commit's committee and step")]
    Claims,
    /// Not exactly one inclusion proof of 1 to 16 hashes.
    #[error("proofs (header 396) are not one RFC 9162 inclusion proof of 1 to 16 hashes")]
    Proof,
    /// No 32-byte leaf hash.
    #[error("leaf hash (header -70002) is not 32 bytes")]
    LeafHash,
    /// The signature has another length than 64 bytes.
    #[error("signature is not 64 bytes")]
    Signature,
    /// A header that the profile does not have, or another encoding than the deterministic one.
    #[error("not the canonical encoding of a receipt")]
    NotCanonical,
}

/// The bytes that FROST signs: the Sig_structure (RFC 9052 §4.4) of a receipt, algorithm −8.
#[must_use]
pub fn sig_structure(commit: &Commit, root: &LeafRoot, key: &GroupKey) -> Vec<u8> {
    signed_bytes(Algorithm::EdDsa, commit, root, &key_id(key))
}

/// The RFC 9679 thumbprint of a group key: SHA-256 of the deterministic COSE_Key
/// `{1: 1, -1: 6, -2: key}` (OKP, Ed25519).
#[must_use]
pub fn key_id(key: &GroupKey) -> Digest {
    let mut hash = Sha256::new();
    hash.update([0xa3, 0x01, 0x01, 0x20, 0x06, 0x21, 0x58, 0x20]);
    hash.update(key.as_bytes());
    Digest::from_bytes(hash.finalize().into())
}

impl Receipt {
    /// The canonical encoding.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let sign1 = CoseSign1 {
            protected: protected(self.algorithm, &self.commit, &self.key_id),
            unprotected: self.unprotected(),
            payload: None,
            signature: self.signature.as_bytes().to_vec(),
        };
        sign1
            .to_tagged_vec()
            .expect("headers without duplicate labels always encode")
    }

    /// Decodes a receipt: every header is read, and the bytes must be what [`Self::to_bytes`]
    /// writes.
    ///
    /// # Errors
    /// [`ReceiptError`] names the first part that is wrong.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, ReceiptError> {
        if bytes.len() > RECEIPT_BYTES_MAX {
            return Err(ReceiptError::TooLong {
                actual: bytes.len(),
            });
        }
        let sign1 = CoseSign1::from_tagged_slice(bytes).map_err(|_| ReceiptError::Cose)?;
        if sign1.payload.is_some() {
            return Err(ReceiptError::Payload);
        }
        let header = &sign1.protected.header;
        let algorithm = match header.alg {
            Some(RegisteredLabelWithPrivate::Assigned(iana::Algorithm::EdDSA)) => Algorithm::EdDsa,
            Some(RegisteredLabelWithPrivate::Assigned(iana::Algorithm::Ed25519)) => {
                Algorithm::Ed25519
            }
            _ => return Err(ReceiptError::Algorithm),
        };
        let key_id =
            <[u8; 32]>::try_from(header.key_id.as_slice()).map_err(|_| ReceiptError::KeyId)?;
        if find(header, TYP).and_then(Value::as_text) != Some(CONTENT_TYPE) {
            return Err(ReceiptError::ContentType);
        }
        if find(header, VDS) != Some(&Value::from(RFC9162_SHA256)) {
            return Err(ReceiptError::DataStructure);
        }
        let commit = find(header, COMMIT)
            .and_then(Value::as_bytes)
            .ok_or(Malformed::Structure)
            .and_then(|bytes| Commit::from_bytes(bytes))
            .map_err(ReceiptError::Commit)?;
        if find(header, CWT_CLAIMS) != Some(&claims(&commit)) {
            return Err(ReceiptError::Claims);
        }
        let receipt = Self {
            algorithm,
            key_id: Digest::from_bytes(key_id),
            commit,
            leaf_hash: find(&sign1.unprotected, LEAF_HASH)
                .and_then(Value::as_bytes)
                .and_then(|hash| hash.as_slice().try_into().ok())
                .ok_or(ReceiptError::LeafHash)?,
            proof: find(&sign1.unprotected, PROOFS)
                .and_then(InclusionProof::from_header)
                .ok_or(ReceiptError::Proof)?,
            signature: <[u8; 64]>::try_from(sign1.signature.as_slice())
                .map(Signature::from_bytes)
                .map_err(|_| ReceiptError::Signature)?,
        };
        if receipt.to_bytes() != bytes {
            return Err(ReceiptError::NotCanonical);
        }
        Ok(receipt)
    }

    /// The bytes that the signature covers, for the root that the proof leads to.
    #[must_use]
    pub fn signed_bytes(&self, root: &LeafRoot) -> Vec<u8> {
        signed_bytes(self.algorithm, &self.commit, root, &self.key_id)
    }

    fn unprotected(&self) -> Header {
        let proofs = Value::Map(vec![(
            Value::from(INCLUSION),
            Value::Array(vec![Value::Bytes(self.proof.to_bytes())]),
        )]);
        HeaderBuilder::new()
            .value(PROOFS, proofs)
            .value(LEAF_HASH, Value::Bytes(self.leaf_hash.to_vec()))
            .build()
    }
}

impl InclusionProof {
    fn to_bytes(&self) -> Vec<u8> {
        Value::Array(vec![
            Value::from(self.tree_size),
            Value::from(self.index),
            Value::Array(
                self.path
                    .iter()
                    .map(|hash| Value::Bytes(hash.to_vec()))
                    .collect(),
            ),
        ])
        .to_vec()
        .expect("integers and byte strings always encode")
    }

    fn from_header(proofs: &Value) -> Option<Self> {
        let [(Value::Integer(kind), Value::Array(proofs))] = proofs.as_map()?.as_slice() else {
            return None;
        };
        let [Value::Bytes(proof)] = proofs.as_slice() else {
            return None;
        };
        if i128::from(*kind) != i128::from(INCLUSION) {
            return None;
        }
        let proof = Value::from_slice(proof).ok()?;
        let [
            Value::Integer(size),
            Value::Integer(index),
            Value::Array(path),
        ] = proof.as_array()?.as_slice()
        else {
            return None;
        };
        if !(1..=PATH_MAX).contains(&path.len()) {
            return None;
        }
        let path = path
            .iter()
            .map(|hash| hash.as_bytes()?.as_slice().try_into().ok())
            .collect::<Option<_>>()?;
        Some(Self {
            tree_size: u64::try_from(*size).ok()?,
            index: u64::try_from(*index).ok()?,
            path,
        })
    }
}

const CWT_CLAIMS: i64 = 15;
const CWT_ISSUER: i64 = 1;
const CWT_SUBJECT: i64 = 2;
const TYP: i64 = 16;
const VDS: i64 = 395;
const RFC9162_SHA256: i64 = 1;
const PROOFS: i64 = 396;
const INCLUSION: i64 = -1;
/// Private use: below −65536 (RFC 9052 §2).
const COMMIT: i64 = -70_001;
const LEAF_HASH: i64 = -70_002;

fn signed_bytes(
    algorithm: Algorithm,
    commit: &Commit,
    root: &LeafRoot,
    key_id: &Digest,
) -> Vec<u8> {
    coset::sig_structure_data(
        SignatureContext::CoseSign1,
        protected(algorithm, commit, key_id),
        None,
        &[],
        root.as_bytes(),
    )
}

/// Coset writes alg and kid first and the rest as given: here in bytewise order.
fn protected(algorithm: Algorithm, commit: &Commit, key_id: &Digest) -> ProtectedHeader {
    let algorithm = match algorithm {
        Algorithm::EdDsa => iana::Algorithm::EdDSA,
        Algorithm::Ed25519 => iana::Algorithm::Ed25519,
    };
    let header = HeaderBuilder::new()
        .algorithm(algorithm)
        .key_id(key_id.as_bytes().to_vec())
        .value(CWT_CLAIMS, claims(commit))
        .value(TYP, Value::from(CONTENT_TYPE))
        .value(VDS, Value::from(RFC9162_SHA256))
        .value(COMMIT, Value::Bytes(commit.to_bytes().to_vec()))
        .build();
    ProtectedHeader {
        original_data: None,
        header,
    }
}

/// `iss` and `sub`: URIs of one length, numbers as 16 hexadecimal digits. One signature covers
/// all zApps of a step, so the subject is the step; the leaf names the zApp.
fn claims(commit: &Commit) -> Value {
    let issuer: String = format!("zq:{:016x}:{}", commit.network.0, commit.committee);
    let subject: String = format!("zq:step:{:016x}", commit.seq.0);
    Value::Map(vec![
        (Value::from(CWT_ISSUER), Value::from(issuer)),
        (Value::from(CWT_SUBJECT), Value::from(subject)),
    ])
}

fn find(header: &Header, label: i64) -> Option<&Value> {
    header
        .rest
        .iter()
        .find(|(at, _)| *at == Label::Int(label))
        .map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commit::tests::sample;

    #[test]
    fn the_signed_bytes_have_one_length() {
        let key = GroupKey::from_bytes([1; 32]);
        let signed = sig_structure(&sample(), &LeafRoot::from_bytes([5; 32]), &key);
        assert_eq!(signed.len(), SIGNED_BYTES);
    }
}
