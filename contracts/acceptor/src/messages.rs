//! Rule E2 for messages: each outbound message once, in its channel's order.
//!
//! A channel is one zApp's to one destination under one label; the committee numbers its messages
//! from 1. What becomes of a message after [`Messages::accept`] is the caller's matter, and never
//! undoes that its number is consumed: a message that fails does not hold up the next.

use alloc::collections::BTreeMap;

use attestation::group::{TrustedKey, VerifyGroup};
use attestation::ids::{Digest, Seq};
use attestation::leaf::{Leaf, MessageLeaf};

use crate::Terms;
use crate::proof::{self, Unproven};

/// Where the last consumed number of every channel is remembered, for as long as the acceptor
/// lives.
pub trait Channels {
    /// Number of the last message consumed; 0 before the first.
    fn last(&self, channel: &Digest) -> u64;

    /// Remembers a number. Durable, and before the message has any effect.
    fn consume(&mut self, channel: &Digest, number: u64);
}

impl Channels for BTreeMap<[u8; 32], u64> {
    fn last(&self, channel: &Digest) -> u64 {
        self.get(channel.as_bytes()).copied().unwrap_or_default()
    }

    fn consume(&mut self, channel: &Digest, number: u64) {
        self.insert(*channel.as_bytes(), number);
    }
}

/// Where an acceptor is, as messages name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Destination {
    /// Its chain: an EIP-155 id, or [`MessageLeaf::cosmos`].
    pub chain: u64,
    /// The acceptor itself, left-padded.
    pub contract: [u8; 32],
}

/// An acceptor of one committee's messages.
#[derive(Clone, Debug)]
pub struct Messages<C, K = TrustedKey> {
    terms: Terms<K>,
    last: Option<Seq>,
    here: Destination,
    channels: C,
}

/// Why a message is not accepted. Nothing changes on a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The leaf is not proven.
    #[error(transparent)]
    Unproven(#[from] Unproven),
    /// The leaf is not a message.
    #[error("leaf {0} is not a message")]
    NotAMessage(u64),
    /// The message is for another chain.
    #[error("message is for chain {0}")]
    WrongChain(u64),
    /// The message is for another contract.
    #[error("message is for another contract")]
    WrongContract,
    /// The channel's next message is another one.
    #[error("message {actual} of its channel; the next one is {expected}")]
    OutOfOrder {
        /// Number of the message.
        actual: u64,
        /// The channel's next; 0 if its numbers are used up.
        expected: u64,
    },
}

impl Refused {
    /// The refusal's name in the rulebook.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Unproven(error) => error.name(),
            Self::NotAMessage(_) => "not-a-message",
            Self::WrongChain(_) => "wrong-chain",
            Self::WrongContract => "wrong-contract",
            Self::OutOfOrder { .. } => "out-of-order",
        }
    }
}

impl<C: Channels, K: VerifyGroup> Messages<C, K> {
    /// An acceptor over what was consumed before.
    #[must_use]
    pub const fn new(terms: Terms<K>, here: Destination, channels: C) -> Self {
        Self {
            terms,
            last: None,
            here,
            channels,
        }
    }

    /// The same while a change of the key is pending: steps after the key's last are refused.
    #[must_use]
    pub fn until(self, last: Option<Seq>) -> Self {
        Self { last, ..self }
    }

    /// Accepts the next message of a channel; its number is consumed.
    ///
    /// # Errors
    /// [`Refused`] by the first rule that is broken.
    pub fn accept(&mut self, receipt: &[u8], leaf: &[u8]) -> Result<MessageLeaf, Refused> {
        let proven = proof::prove(&self.terms, self.last, receipt, leaf)?;
        let Leaf::Message(message) = proven.leaf else {
            return Err(Refused::NotAMessage(proven.index));
        };
        if message.chain != self.here.chain {
            return Err(Refused::WrongChain(message.chain));
        }
        if message.contract != self.here.contract {
            return Err(Refused::WrongContract);
        }
        // Numbers begin with 1: after the last one that 64 bits hold, none is next.
        let expected = self.channels.last(&message.channel).wrapping_add(1);
        if message.number != expected {
            return Err(Refused::OutOfOrder {
                actual: message.number,
                expected,
            });
        }
        self.channels.consume(&message.channel, message.number);
        Ok(message)
    }
}
