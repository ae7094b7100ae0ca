//! The state entries that a step touches, with proofs against the previous root.

use serde::{Deserialize, Serialize};

/// A pruned copy of the state tree.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Witness {
    /// The pruned tree, encoded as [`crate::tree`] says.
    #[serde(with = "serde_bytes")]
    pub tree: alloc::vec::Vec<u8>,
}
