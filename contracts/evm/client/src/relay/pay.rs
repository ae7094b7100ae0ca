//! Transactions of a relay: what they may cost, one after the other, each until it is in a block.

use std::time::{Duration, Instant};

use super::{Relay, RelayError, Sent};
use crate::contract;
use crate::rpc::{At, Fees, Receipt, Refusal, RpcError};
use crate::transaction::{Address, Transaction};

/// Gas beyond the estimate, in percent: the state may change until the block is built.
const GAS_MARGIN_PERCENT: u64 = 10;
/// Nodes take another transaction in the place of a waiting one for an eighth more, in both fees.
const RAISE_DIVISOR: u128 = 8;
/// What every transaction costs at least.
const GAS_MIN: u64 = 21_000;
/// Transactions by which a node's count of an account may be ahead of this relay's: more than another
/// program with the same key sends meanwhile.
const NONCE_LEAP_MAX: u64 = 1000;

/// How long a relay waits for blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// How long a transaction may wait for its block before the pass ends.
    pub block: Duration,
    /// How long its fee stays as it is.
    pub raise: Duration,
    /// How often its receipt is asked for.
    pub look: Duration,
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            block: Duration::from_secs(300),
            raise: Duration::from_secs(60),
            look: Duration::from_millis(250),
        }
    }
}

/// What a transaction is to do.
pub(super) struct Call {
    pub(super) to: Address,
    pub(super) data: Vec<u8>,
    /// Most gas: strangers choose how much their messages need, and a node says how much.
    pub(super) gas_max: u64,
}

/// A transaction that was handed in and is in no block yet, with all that took its place.
#[derive(Debug)]
pub(super) struct Pending {
    transaction: Transaction,
    /// Of each that a node may have; the last is the newest.
    hashes: Vec<[u8; 32]>,
    /// When the fee was set.
    raised: Instant,
}

impl Pending {
    const fn cost_max(&self) -> u128 {
        self.transaction.cost_max()
    }

    fn newest(&self) -> [u8; 32] {
        self.hashes.last().copied().unwrap_or_default()
    }
}

impl Relay {
    /// The transaction that waits for its block.
    #[must_use]
    pub fn pending(&self) -> Option<[u8; 32]> {
        self.pending.as_ref().map(Pending::newest)
    }

    /// What was paid since this relay began, wei: at most, where the node does not tell.
    #[must_use]
    pub const fn spent(&self) -> u128 {
        self.spent
    }

    /// Sends a transaction and waits for its block.
    pub(super) fn send<E>(&mut self, seq: u64, call: Call) -> Result<Sent, RelayError<E>> {
        let account = self.account();
        let (nonce, is_taken) = self.nonce()?;
        let estimate = self.rpc.estimate(&account, Some(&call.to), &call.data);
        let estimate = estimate.map_err(|error| refused(seq, error))?;
        let gas = estimate.saturating_add(estimate / 100 * GAS_MARGIN_PERCENT);
        let allowed = call.gas_max;
        if gas > allowed {
            return Err(RelayError::Gas { seq, gas, allowed });
        }
        let fees = self.rpc.fees()?;
        let needed = fees.base.saturating_add(fees.tip);
        let allowed = self.target.fee_max;
        if needed > allowed {
            return Err(RelayError::Fee { needed, allowed });
        }
        // The base fee may rise by an eighth from block to block.
        let fee_max = fees.base.saturating_mul(2).saturating_add(fees.tip);
        let fee_max = fee_max.min(allowed);
        let transaction = Transaction {
            chain: self.target.chain,
            nonce,
            tip: fees.tip.min(fee_max),
            fee_max,
            gas,
            to: Some(call.to),
            data: call.data,
        };
        if is_taken {
            self.take_the_place(transaction, &fees)?;
        } else {
            match self.hand_in(transaction.clone()) {
                // Something of an earlier run waits that the node does not count.
                Err(RelayError::Rpc(error)) if error.refusal() == Some(Refusal::Underpriced) => {
                    self.take_the_place(transaction, &fees)?;
                }
                handed_in => handed_in?,
            }
        }
        let sent = self.settle()?;
        // It was handed in just now.
        let sent = sent.ok_or(RelayError::Interrupted)?;
        if !sent.receipt.succeeded {
            return Err(RelayError::Failed(sent.hash));
        }
        Ok(sent)
    }

    /// Waits until what was handed in is in a block, and raises its fee on the way.
    pub(super) fn settle<E>(&mut self) -> Result<Option<Sent>, RelayError<E>> {
        let began = Instant::now();
        while let Some(pending) = &self.pending {
            let newest = pending.newest();
            for hash in pending.hashes.iter().rev().copied() {
                if let Some(receipt) = self.rpc.receipt(&hash)? {
                    let paid = paid(&receipt, &pending.transaction)
                        .ok_or(RpcError::Untrue("eth_getTransactionReceipt"))?;
                    self.spent = self.spent.saturating_add(paid);
                    self.pending = None;
                    return Ok(Some(Sent { hash, receipt }));
                }
            }
            if (self.interrupted)() {
                return Err(RelayError::Interrupted);
            }
            let (nonce, raised) = (pending.transaction.nonce, pending.raised);
            if raised.elapsed() >= self.patience.raise {
                self.raise()?;
            }
            if began.elapsed() > self.patience.block {
                // Another transaction of the account has taken its place: it comes no more. Whether
                // it was that one is the node's word, so that it counts as paid.
                let cost = self.pending.as_ref().map_or(0, Pending::cost_max);
                if self.rpc.nonce(&self.account(), At::Latest)? > nonce {
                    self.pending = None;
                    self.spent = self.spent.saturating_add(cost);
                }
                return Err(RelayError::Unmined(self.pending().unwrap_or(newest)));
            }
            std::thread::sleep(self.patience.look);
        }
        Ok(None)
    }

    /// The account's next nonce, once nothing of it waits any more; and whether something does
    /// still, which an earlier run sent and whose place must be taken.
    fn nonce<E>(&self) -> Result<(u64, bool), RelayError<E>> {
        let account = self.account();
        let began = Instant::now();
        loop {
            if (self.interrupted)() {
                return Err(RelayError::Interrupted);
            }
            let latest = self.rpc.nonce(&account, At::Latest)?;
            if let Some(last) = self.nonce
                && latest > last.saturating_add(NONCE_LEAP_MAX)
            {
                return Err(RelayError::Leap {
                    nonce: latest,
                    last,
                });
            }
            if self.rpc.nonce(&account, At::Pending)? <= latest {
                return Ok((latest, false));
            }
            if began.elapsed() > self.patience.raise {
                return Ok((latest, true));
            }
            std::thread::sleep(self.patience.look);
        }
    }

    /// Gives a node a transaction. What it refuses is not waited for; what it may have got is.
    fn hand_in<E>(&mut self, transaction: Transaction) -> Result<(), RelayError<E>> {
        self.afford(&transaction)?;
        let nonce = transaction.nonce;
        // Signing fails for no key that passed its check.
        let signed = transaction.sign(&self.key).ok_or(RelayError::Signing)?;
        self.pending = Some(Pending {
            transaction,
            hashes: vec![signed.hash],
            raised: Instant::now(),
        });
        let Err(error) = self.rpc.send(&signed.bytes) else {
            self.nonce = Some(nonce);
            return Ok(());
        };
        match error.refusal() {
            Some(Refusal::Known) => {
                self.nonce = Some(nonce);
                return Ok(());
            }
            Some(Refusal::NonceTooLow) => {
                self.pending = None;
                return Err(RelayError::Nonce { nonce });
            }
            Some(Refusal::Underpriced) | None => {}
        }
        if matches!(error, RpcError::Refused { .. }) {
            self.pending = None;
        }
        Err(error.into())
    }

    /// Takes the place of a transaction of an earlier run, whose fees are not known here.
    fn take_the_place<E>(
        &mut self,
        mut transaction: Transaction,
        fees: &Fees,
    ) -> Result<(), RelayError<E>> {
        loop {
            let nonce = transaction.nonce;
            match self.hand_in(transaction.clone()) {
                Err(RelayError::Rpc(RpcError::Refused { .. })) => {}
                other => return other,
            }
            transaction = raised(&transaction, fees, self.target.fee_max)
                .ok_or(RelayError::Stuck { nonce })?;
        }
    }

    /// Has the transaction that waits pay more, as far as the operator allows.
    fn raise<E>(&mut self) -> Result<(), RelayError<E>> {
        let fees = self.rpc.fees()?;
        let Some(pending) = &mut self.pending else {
            return Ok(());
        };
        pending.raised = Instant::now();
        let Some(transaction) = raised(&pending.transaction, &fees, self.target.fee_max) else {
            return Ok(());
        };
        if self.afford::<E>(&transaction).is_err() {
            return Ok(());
        }
        let signed = transaction.sign(&self.key).ok_or(RelayError::Signing)?;
        if let Some(pending) = &mut self.pending {
            pending.hashes.push(signed.hash);
            pending.transaction = transaction;
        }
        match self.rpc.send(&signed.bytes) {
            // It may be in a block by now.
            Ok(()) | Err(RpcError::Refused { .. }) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether budget and account bear the most that a transaction may cost.
    fn afford<E>(&self, transaction: &Transaction) -> Result<(), RelayError<E>> {
        let needed = transaction.cost_max();
        let spent = self.spent;
        if let Some(budget) = self.target.budget
            && spent.saturating_add(needed) > budget
        {
            return Err(RelayError::Budget {
                spent,
                needed,
                budget,
            });
        }
        let account = self.account();
        let balance = self.rpc.balance(&account)?;
        if balance < needed {
            return Err(RelayError::Funds {
                account,
                balance,
                needed,
            });
        }
        Ok(())
    }
}

/// What a transaction was paid for; `None` if the receipt cannot be true.
fn paid(receipt: &Receipt, transaction: &Transaction) -> Option<u128> {
    let price = receipt.price.unwrap_or(transaction.fee_max);
    let is_possible =
        (GAS_MIN..=transaction.gas).contains(&receipt.gas) && price <= transaction.fee_max;
    is_possible.then(|| price.saturating_mul(u128::from(receipt.gas)))
}

/// The same transaction for at least an eighth more; `None` if that is more than is allowed.
fn raised(transaction: &Transaction, fees: &Fees, allowed: u128) -> Option<Transaction> {
    let raise = |fee: u128| fee.saturating_add(fee.div_ceil(RAISE_DIVISOR).max(1));
    let (tip_least, fee_least) = (raise(transaction.tip), raise(transaction.fee_max));
    let tip = tip_least.max(fees.tip);
    let now = fees.base.saturating_mul(2).saturating_add(tip);
    let fee_max = fee_least.max(now).min(allowed);
    let tip = tip.min(fee_max);
    (fee_max >= fee_least && tip >= tip_least).then(|| Transaction {
        tip,
        fee_max,
        ..transaction.clone()
    })
}

/// What the contract says, if it is the contract that refuses.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fee_is_raised_by_an_eighth_or_more_and_not_beyond_what_is_allowed() {
        let transaction = |tip, fee_max| Transaction {
            chain: 1,
            nonce: 1,
            tip,
            fee_max,
            gas: 1,
            to: None,
            data: Vec::new(),
        };
        let fees = |base, tip| Fees { base, tip };
        for (before, now, allowed, expected) in [
            ((8, 80), fees(1, 1), 1_000, Some((9, 90))),
            // Rounded up.
            ((9, 81), fees(1, 1), 1_000, Some((11, 92))),
            ((0, 1), fees(0, 0), 1_000, Some((1, 2))),
            // What the chain asks by then, if that is more.
            ((8, 80), fees(100, 20), 1_000, Some((20, 220))),
            ((8, 80), fees(100, 20), 100, Some((20, 100))),
            ((8, 80), fees(1, 1), 89, None),
            ((80, 80), fees(1, 1), 90, Some((90, 90))),
        ] {
            let (tip, fee_max) = before;
            let raised = raised(&transaction(tip, fee_max), &now, allowed);
            let raised = raised.map(|raised| (raised.tip, raised.fee_max));
            assert_eq!(raised, expected, "{before:?} {now:?} {allowed}");
        }
    }
}
