//! What can go wrong with a node, by what the caller does about it.

use std::io;
use std::string::String;

use thiserror::Error;

use crate::{Hash, JsonError, MomentumRef, Refusal};

/// Why a call has no answer to rely on.
#[derive(Debug, Error)]
pub enum ClientError {
    /// Not an address of a node: give another.
    #[error("{url}: the address of a NoM node begins with http:// and names host and port")]
    Address {
        /// What was given.
        url: String,
    },
    /// No answer: try again, or see after the node.
    #[error("the NoM node at {url} gives no answer to {method}: {fault}")]
    Unavailable {
        /// The node.
        url: String,
        /// The method called.
        method: &'static str,
        /// What is wrong.
        fault: Fault,
    },
    /// The node declined; its own words say why.
    #[error("the NoM node refuses {method}: {said} (code {code})")]
    Declined {
        /// The method called.
        method: &'static str,
        /// JSON-RPC's code: −32000 for whatever the ledger refuses.
        code: i64,
        /// The node's words, cut to 300 characters.
        said: String,
    },
    /// Not what a node of this network answers: is it one, and of a version that is known?
    #[error("the answer to {method} is not in znnd's form: {error}")]
    Form {
        /// The method called.
        method: &'static str,
        /// What is wrong with it.
        error: JsonError,
    },
    /// The answer contradicts itself or the question: use another node.
    #[error("the NoM node lies in its answer to {method}: {lie}")]
    Lied {
        /// The method called.
        method: &'static str,
        /// How it shows.
        lie: Lie,
    },
    /// The node is of another chain: correct its address or the chain that is configured.
    #[error("the NoM node is of chain {actual}, not {expected}; give a node of chain {expected}")]
    OtherChain {
        /// The chain that was asked for.
        expected: u64,
        /// The chain of the node.
        actual: u64,
    },
    /// Momentums that had been seen are no longer part of the chain: what was read from them is to
    /// be read again.
    #[error(
        "the momentum at height {} was {} and is {} now: the chain was reorganised; read again \
         what came from there",
        theirs.height, ours.hash, theirs.hash
    )]
    Reorganised {
        /// What had been seen.
        ours: MomentumRef,
        /// What stands there now.
        theirs: MomentumRef,
    },
    /// Another block stands at this height of the account: this one can never be confirmed if that
    /// one is.
    #[error(
        "at height {height} of the account stands {theirs}, not {ours}{}",
        if *is_confirmed { ", confirmed: this block is dead" } else { ", not yet confirmed" }
    )]
    Displaced {
        /// The height.
        height: u64,
        /// The block that was asked for.
        ours: Hash,
        /// The block that stands there.
        theirs: Hash,
        /// Whether a momentum holds it.
        is_confirmed: bool,
    },
    /// The node took the block and the time is over: it may still be confirmed. Ask again for the
    /// same block; sign no other at its height.
    #[error(
        "block {hash} was published and is not confirmed in time; it may be still: wait, and sign \
         no other block at height {height}"
    )]
    NotConfirmed {
        /// The block.
        hash: Hash,
        /// Its height.
        height: u64,
    },
    /// The block breaks a rule: it was not sent.
    #[error("the block was not published: {0}")]
    Refused(#[from] Refusal),
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum Fault {
    /// No connection, or one that broke.
    #[error("{0}")]
    Unreachable(#[from] io::Error),
    /// Not within the time that [`super::Limits`] give.
    #[error("not within the time given to it")]
    TooSlow,
    /// Longer than [`super::Limits`] allow.
    #[error("longer than {bytes_max} bytes")]
    TooLong {
        /// The bound.
        bytes_max: u64,
    },
    /// HTTP, but not the answer of a node.
    #[error("HTTP status {0}: is this the address of a NoM node's RPC?")]
    Status(u16),
    /// Not HTTP.
    #[error("not HTTP as a NoM node speaks it")]
    Protocol,
}

/// How an answer contradicts itself or the question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Lie {
    /// A block's fields, hash, signature or work do not go together.
    #[error("a block is not valid: {0}")]
    Block(Refusal),
    /// A momentum's fields, hash, producer or signature do not go together.
    #[error("a momentum is not valid: {0}")]
    Momentum(Refusal),
    /// A block of another account.
    #[error("a block of another account than was asked for")]
    Account,
    /// A block to another account.
    #[error("a block to another account than was asked for")]
    Recipient,
    /// A block or momentum of another height: left out, given twice, or in another order.
    #[error("height {actual} stands where {expected} belongs")]
    Height {
        /// Which was its turn.
        expected: u64,
        /// Which was given.
        actual: u64,
    },
    /// A block of another hash.
    #[error("another block than was asked for")]
    Hash,
    /// The block or momentum after it names another one before it.
    #[error("what follows height {0} does not link to it")]
    Link(u64),
    /// A momentum confirms blocks that were not shown.
    #[error("not all that the momentum at height {0} confirms is shown")]
    LeftOut(u64),
    /// More than was asked for.
    #[error("more entries than were asked for")]
    TooMany,
    /// The momentum that is said to hold a block does not.
    #[error("the momentum at height {0} does not hold the block that it is said to confirm")]
    NotHeld(u64),
    /// Another price than the network's.
    #[error("another plasma than the block costs")]
    Plasma,
}
