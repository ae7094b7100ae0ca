//! Why a relay stops.

use attestation::ids::{CommitteeId, Digest, EvmKey};

use crate::rpc::RpcError;
use crate::transaction::Address;

/// Why a relay stops.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RelayError<E> {
    /// The source's.
    #[error("the source of attestations gives none")]
    Source(E),
    /// The chain's node.
    #[error(transparent)]
    Rpc(#[from] RpcError),
    /// The node is of another chain.
    #[error("the node is of chain {actual}, not {expected}")]
    Chain {
        /// The node's.
        actual: u64,
        /// The operator's.
        expected: u64,
    },
    /// There is no code at the address.
    #[error("there is no contract at 0x{}", hex::encode(.0))]
    NoContract(Address),
    /// The contract is of another committee or network.
    #[error("the contract trusts committee {actual}, the gateway's is {expected}")]
    Committee {
        /// The contract's.
        actual: CommitteeId,
        /// The gateway's.
        expected: CommitteeId,
    },
    /// The contract trusts another key.
    #[error("the contract trusts key {actual}, the committee's is {expected}")]
    Key {
        /// The contract's.
        actual: EvmKey,
        /// The gateway's.
        expected: EvmKey,
    },
    /// What the gateway gave does not prove the leaf.
    #[error("step {seq}, leaf {index}: what the gateway gives proves nothing: {why}")]
    Proof {
        /// The step.
        seq: u64,
        /// The leaf.
        index: u64,
        /// What is wrong.
        why: &'static str,
    },
    /// Messages of a channel are missing before this one.
    #[error("channel {channel}: message {number} comes next but {consumed} are consumed")]
    Missing {
        /// The channel.
        channel: Digest,
        /// The first message at hand.
        number: u64,
        /// How many the contract has consumed.
        consumed: u64,
    },
    /// The contract does not trust the key yet that signed the step or that the leaf replaces.
    #[error("step {seq} is for a key that the contract does not trust yet")]
    NextKey {
        /// The step.
        seq: u64,
    },
    /// Too much waits for confirmations to remember more.
    #[error(
        "{0} messages are in blocks that are not confirmed yet; no other is brought before the \
         chain has gone on"
    )]
    Unconfirmed(usize),
    /// The contract would refuse.
    #[error("the contract refuses step {seq}: {why}")]
    Refused {
        /// The step.
        seq: u64,
        /// Its custom error.
        why: String,
    },
    /// It needs more gas than is allowed: by the operator for a message, by this relay otherwise.
    #[error("step {seq}: the transaction needs {gas} gas, at most {allowed} are allowed")]
    Gas {
        /// The step.
        seq: u64,
        /// What it needs.
        gas: u64,
        /// What is allowed.
        allowed: u64,
    },
    /// The next transaction could cost more than is left of the budget.
    #[error(
        "{spent} wei are spent, the next transaction may cost {needed} more, and the budget is \
         {budget}"
    )]
    Budget {
        /// What was paid.
        spent: u128,
        /// What may be needed.
        needed: u128,
        /// What the operator allows.
        budget: u128,
    },
    /// Gas is dearer than the operator allows.
    #[error("gas costs {needed} wei now, at most {allowed} are allowed")]
    Fee {
        /// What it costs.
        needed: u128,
        /// What is allowed.
        allowed: u128,
    },
    /// The account cannot pay.
    #[error("0x{} holds {balance} wei, the transaction may cost {needed}", hex::encode(.account))]
    Funds {
        /// The relay's account.
        account: Address,
        /// What it holds.
        balance: u128,
        /// What is needed.
        needed: u128,
    },
    /// A transaction is in no block.
    #[error("transaction 0x{} is in no block yet", hex::encode(.0))]
    Unmined([u8; 32]),
    /// A transaction of an earlier run holds up the account, and what is allowed does not outbid it.
    #[error("a transaction of an earlier run, nonce {nonce}, is in no block yet")]
    Stuck {
        /// Its nonce.
        nonce: u64,
    },
    /// The account sends through another program, too, or the node is behind.
    #[error("the node says that the account has used nonce {nonce} already")]
    Nonce {
        /// The nonce.
        nonce: u64,
    },
    /// The node counts transactions of the account that nobody can have sent meanwhile.
    #[error(
        "the node says that the next nonce of the account is {nonce}, and the last transaction had \
         {last}"
    )]
    Leap {
        /// What the node says.
        nonce: u64,
        /// The last transaction's.
        last: u64,
    },
    /// The operator ends the relay.
    #[error("interrupted")]
    Interrupted,
    /// The key signs nothing.
    #[error("the account's key signs nothing")]
    Signing,
    /// A transaction failed although its estimate did not.
    #[error("transaction 0x{} failed: another relay may have been first", hex::encode(.0))]
    Failed([u8; 32]),
}

impl<E> RelayError<E> {
    /// Whether it concerns one leaf: others may be brought all the same.
    pub(super) fn is_of_one_leaf(&self) -> bool {
        match self {
            Self::Missing { .. }
            | Self::Refused { .. }
            | Self::NextKey { .. }
            | Self::Gas { .. }
            | Self::Funds { .. }
            | Self::Failed(_) => true,
            // What a node refuses to estimate or to take needs more gas than fits into a block.
            Self::Rpc(RpcError::Refused { method, .. }) => {
                matches!(*method, "eth_estimateGas" | "eth_sendRawTransaction")
            }
            _ => self.is_slow(),
        }
    }

    /// Whether the node was too slow with a question whose answer costs it as much work as the leaf's
    /// sender likes.
    pub(super) const fn is_slow(&self) -> bool {
        matches!(self, Self::Rpc(RpcError::Slow { method, .. }) if is_estimate(method))
    }
}

const fn is_estimate(method: &str) -> bool {
    matches!(method.as_bytes(), b"eth_estimateGas")
}
