//! Steps as contracts take them: commit, root and signature, and a leaf with its path.

use attestation::commit::Commit;
use attestation::ids::{EvmSignature, LeafRoot};
use attestation::merkle;
use signer_protocol::suite::Affine;

use crate::abi::{Value, call, number};

/// A signature as contracts take it: R in affine coordinates, and the scalar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature {
    /// x-coordinate of R.
    pub rx: [u8; 32],
    /// y-coordinate of R.
    pub ry: [u8; 32],
    /// The scalar.
    pub z: [u8; 32],
}

/// A step's statement and the group's signature over it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attestation {
    /// The commit's bytes.
    pub commit: Vec<u8>,
    /// Root over the leaves.
    pub root: [u8; 32],
    /// The group's signature.
    pub signature: Signature,
}

/// A leaf and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Inclusion {
    /// The leaf's bytes.
    pub leaf: Vec<u8>,
    /// Its position.
    pub index: u64,
    /// Sibling hashes from the leaf up.
    pub path: Vec<[u8; 32]>,
}

impl Signature {
    /// From the suite's serialisation; `None` if R is no point.
    #[must_use]
    pub fn new(signature: &EvmSignature) -> Option<Self> {
        let (r, z) = signature.as_bytes().split_first_chunk::<33>()?;
        let r = Affine::decompress(r)?;
        Some(Self {
            rx: r.x,
            ry: r.y,
            z: z.try_into().ok()?,
        })
    }
}

impl Attestation {
    /// A signed step.
    #[must_use]
    pub fn new(commit: &Commit, root: &LeafRoot, signature: Signature) -> Self {
        Self {
            commit: commit.to_bytes().to_vec(),
            root: *root.as_bytes(),
            signature,
        }
    }

    /// Calldata of [`LedgerAcceptor`](../../solidity/LedgerAcceptor.sol)'s `accept`.
    #[must_use]
    pub fn accept(&self) -> Vec<u8> {
        call(
            "accept(bytes,bytes32,uint256,uint256,uint256)",
            &self.members(),
        )
    }

    fn members(&self) -> Vec<Value> {
        let Signature { rx, ry, z } = self.signature;
        vec![
            Value::Bytes(self.commit.clone()),
            Value::Word(self.root),
            Value::Word(rx),
            Value::Word(ry),
            Value::Word(z),
        ]
    }
}

impl Inclusion {
    /// The leaf at a position of a step; `None` if there is none.
    #[must_use]
    pub fn of(leaves: &[Vec<u8>], index: usize) -> Option<Self> {
        Some(Self {
            leaf: leaves.get(index)?.clone(),
            index: u64::try_from(index).ok()?,
            path: merkle::path(leaves, index)?,
        })
    }
}

/// Calldata of a function that takes an attestation and a leaf: `deliver`, `accept`, `changeKey`.
#[must_use]
pub fn calldata(function: &str, attestation: &Attestation, inclusion: &Inclusion) -> Vec<u8> {
    call(
        &format!("{function}((bytes,bytes32,uint256,uint256,uint256),(bytes,uint256,bytes32[]))"),
        &[
            Value::Struct(attestation.members()),
            Value::Struct(vec![
                Value::Bytes(inclusion.leaf.clone()),
                number(inclusion.index),
                Value::Words(inclusion.path.clone()),
            ]),
        ],
    )
}
