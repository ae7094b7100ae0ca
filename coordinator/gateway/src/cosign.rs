//! Signatures of steps under the second key, for EVM chains: kept beside the steps that they are of.
//!
//! They come after their step, from the own coordinator or from other nodes, and are checked like
//! anything that comes from elsewhere.

use attestation::ids::{EvmKey, EvmSignature, Seq};
use signer_protocol::suite;

use crate::gateway::Gateway;
use crate::rows::{StoreError, Write};

/// What became of a signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cosigned {
    /// It is kept from now on.
    New,
    /// The step has one.
    Known,
    /// There is no such step here, or no key to check it by.
    Early,
    /// It is not the group's over this step.
    Invalid,
}

impl Gateway {
    /// The key for EVM chains, once there is one.
    #[must_use]
    pub fn evm_key(&self) -> Option<EvmKey> {
        self.epochs()?.evm_key.as_ref()?.group_key.evm()
    }

    /// The signature of a step under that key.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read.
    pub async fn evm_signature(&self, seq: Seq) -> Result<Option<EvmSignature>, StoreError> {
        self.inner.store.evm_signature(seq).await
    }

    /// The first `limit` accepted steps from `from` on that have none.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read.
    pub async fn without_evm_signature(
        &self,
        from: Seq,
        limit: u16,
    ) -> Result<Vec<Seq>, StoreError> {
        self.inner.store.without_evm_signature(from, limit).await
    }

    /// Takes the signature of a step, if it is the group's.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read or written.
    pub async fn take_evm_signature(
        &self,
        seq: Seq,
        signature: EvmSignature,
    ) -> Result<Cosigned, StoreError> {
        let (Some(key), Some(step)) = (self.evm_key(), self.step(seq).await?) else {
            return Ok(Cosigned::Early);
        };
        if self.evm_signature(seq).await?.is_some() {
            return Ok(Cosigned::Known);
        }
        if !suite::verify_evm(&key, step.statement.as_bytes(), &signature) {
            return Ok(Cosigned::Invalid);
        }
        let write = Write::EvmSignature { seq, signature };
        self.inner.store.write(write).await?;
        Ok(Cosigned::New)
    }
}
