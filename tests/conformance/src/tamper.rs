//! Receipts that an adversary makes of a good one.

use coset::cbor::value::Value;
use coset::{CoseSign1, Header, Label, ProtectedHeader, TaggedCborSerializable as _};

/// A receipt opened for changes; `to_bytes` writes whatever it has become.
#[derive(Clone, Debug)]
pub struct Opened(pub CoseSign1);

impl Opened {
    /// Opens a receipt.
    ///
    /// # Panics
    /// If the bytes are not a tagged COSE_Sign1.
    #[must_use]
    pub fn new(receipt: &[u8]) -> Self {
        Self(CoseSign1::from_tagged_slice(receipt).expect("a sample receipt is COSE"))
    }

    /// Changes the protected header.
    #[must_use]
    pub fn protected(mut self, change: impl FnOnce(&mut Header)) -> Self {
        let mut header = self.0.protected.header.clone();
        change(&mut header);
        self.0.protected = ProtectedHeader {
            original_data: None,
            header,
        };
        self
    }

    /// Changes the unprotected header.
    #[must_use]
    pub fn unprotected(mut self, change: impl FnOnce(&mut Header)) -> Self {
        change(&mut self.0.unprotected);
        self
    }

    /// Replaces the one inclusion proof.
    #[must_use]
    pub fn proof(self, proof: &Value) -> Self {
        let bytes = cbor(proof);
        self.unprotected(|header| {
            set(
                header,
                396,
                Value::Map(vec![(
                    Value::from(-1),
                    Value::Array(vec![Value::Bytes(bytes)]),
                )]),
            );
        })
    }

    /// What it has become.
    ///
    /// # Panics
    /// If a label was added twice.
    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        self.0.to_tagged_vec().expect("labels are distinct")
    }
}

/// Sets a header to a value.
pub fn set(header: &mut Header, label: i64, value: Value) {
    match header
        .rest
        .iter_mut()
        .find(|(at, _)| *at == Label::Int(label))
    {
        Some((_, old)) => *old = value,
        None => header.rest.push((Label::Int(label), value)),
    }
}

/// Removes a header.
pub fn remove(header: &mut Header, label: i64) {
    header.rest.retain(|(at, _)| *at != Label::Int(label));
}

/// The bytes of a CBOR value.
///
/// # Panics
/// Never: plain values encode.
#[must_use]
pub fn cbor(value: &Value) -> Vec<u8> {
    coset::CborSerializable::to_vec(value.clone()).expect("plain values encode")
}
