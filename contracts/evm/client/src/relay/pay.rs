//! Transactions of a relay: what they may cost, one after the other, each until it is in a block.

use std::time::{Duration, Instant};

use super::{Relay, RelayError, Sent};
use crate::contract;
use crate::rpc::{At, Receipt, RpcError};
use crate::transaction::{Address, Transaction};

/// How long a transaction may wait for its block.
const MINED_WITHIN: Duration = Duration::from_secs(300);
/// How often its receipt is asked for.
const MINED_EVERY: Duration = Duration::from_millis(250);
/// Gas beyond the estimate, in percent: the state may change until the block is built.
const GAS_MARGIN_PERCENT: u64 = 10;

impl Relay {
    /// Sends a transaction and waits for its block.
    pub(super) fn send<E>(
        &self,
        seq: u64,
        to: Address,
        data: Vec<u8>,
    ) -> Result<Sent, RelayError<E>> {
        let account = self.account();
        let estimate = self.rpc.estimate(&account, Some(&to), &data);
        let estimate = estimate.map_err(|error| refused(seq, error))?;
        let gas = estimate.saturating_add(estimate / 100 * GAS_MARGIN_PERCENT);
        let fees = self.rpc.fees()?;
        let needed = fees.base.saturating_add(fees.tip);
        let allowed = self.target.fee_max;
        if needed > allowed {
            return Err(RelayError::Fee { needed, allowed });
        }
        // The base fee may rise by an eighth from block to block.
        let fee_max = fees.base.saturating_mul(2).saturating_add(fees.tip);
        let fee_max = fee_max.min(allowed);
        let needed = fee_max.saturating_mul(u128::from(gas));
        let balance = self.rpc.balance(&account)?;
        if balance < needed {
            return Err(RelayError::Funds {
                account,
                balance,
                needed,
            });
        }
        let transaction = Transaction {
            chain: self.target.chain,
            nonce: self.settled_nonce()?,
            tip: fees.tip.min(fee_max),
            fee_max,
            gas,
            to: Some(to),
            data,
        };
        let signed = transaction.sign(&self.key);
        // Signing fails for no key that passed its check.
        let signed = signed.ok_or(RelayError::Failed([0; 32]))?;
        self.rpc.send(&signed.bytes)?;
        let receipt = self.mined(&signed.hash)?;
        if !receipt.succeeded {
            return Err(RelayError::Failed(signed.hash));
        }
        let hash = signed.hash;
        Ok(Sent { hash, receipt })
    }

    /// The account's nonce once nothing of it waits any more: what an earlier run sent is in a block
    /// before anything is sent again.
    fn settled_nonce<E>(&self) -> Result<u64, RelayError<E>> {
        let account = self.account();
        let began = Instant::now();
        loop {
            let latest = self.rpc.nonce(&account, At::Latest)?;
            if self.rpc.nonce(&account, At::Pending)? <= latest {
                return Ok(latest);
            }
            if began.elapsed() > MINED_WITHIN {
                return Err(RelayError::Unmined([0; 32]));
            }
            std::thread::sleep(MINED_EVERY);
        }
    }

    fn mined<E>(&self, hash: &[u8; 32]) -> Result<Receipt, RelayError<E>> {
        let began = Instant::now();
        loop {
            if let Some(receipt) = self.rpc.receipt(hash)? {
                return Ok(receipt);
            }
            if began.elapsed() > MINED_WITHIN {
                return Err(RelayError::Unmined(*hash));
            }
            std::thread::sleep(MINED_EVERY);
        }
    }
}

fn refused<E>(seq: u64, error: RpcError) -> RelayError<E> {
    match &error {
        RpcError::Refused {
            revert: Some(data), ..
        } => match contract::revert(data) {
            Some(why) => RelayError::Refused { seq, why },
            None => error.into(),
        },
        _ => error.into(),
    }
}
