//! Signatures under the key for EVM chains.

use attestation::ids::{EvmSignature, Seq};
use sqlx::SqliteConnection;

use super::{Store, fixed, integer, number};
use crate::rows::StoreError;

impl Store {
    /// The signature of a step under the key for EVM chains.
    pub async fn evm_signature(&self, seq: Seq) -> Result<Option<EvmSignature>, StoreError> {
        let row = sqlx::query("SELECT signature FROM evm_signatures WHERE seq = ?")
            .bind(integer(seq.0)?)
            .fetch_optional(&self.readers)
            .await?;
        row.map(|row| {
            let signature = fixed(&row, 0, "evm_signatures")?;
            Ok(EvmSignature::from_bytes(signature))
        })
        .transpose()
    }

    /// The first `limit` accepted steps from `from` on that have none.
    pub async fn without_evm_signature(
        &self,
        from: Seq,
        limit: u16,
    ) -> Result<Vec<Seq>, StoreError> {
        let rows = sqlx::query(
            "SELECT seq FROM steps WHERE seq >= ? \
             AND seq NOT IN (SELECT seq FROM evm_signatures) ORDER BY seq LIMIT ?",
        )
        .bind(integer(from.0)?)
        .bind(i64::from(limit))
        .fetch_all(&self.readers)
        .await?;
        let rows = rows.iter();
        rows.map(|row| Ok(Seq(number(row, 0, "steps")?))).collect()
    }
}

/// Keeps a step's signature; the first one stays.
pub(super) async fn put(
    connection: &mut SqliteConnection,
    seq: Seq,
    signature: &EvmSignature,
) -> Result<(), StoreError> {
    sqlx::query("INSERT OR IGNORE INTO evm_signatures (seq, signature) VALUES (?, ?)")
        .bind(integer(seq.0)?)
        .bind(signature.as_bytes().as_slice())
        .execute(connection)
        .await?;
    Ok(())
}
