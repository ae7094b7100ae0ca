//! Key generation without a dealer (rule B2).

mod record;
mod share;

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use core::marker::PhantomData;

use attestation::committee::CreationRecord;
use attestation::ids::{Boot, Slot};
use frost_core::Ciphersuite;
use rand_core::{CryptoRng, RngCore};

pub use self::record::{KeyRecord, KeyRecordError};
pub use self::share::{KeyShare, ShareError};
use crate::identity::{SignIdentity, VerifyIdentity};
use crate::message::DkgMessage;
use crate::sealed::ShareBytes;

/// What a key generation wants of its driver.
#[derive(Debug)]
pub enum DkgOutput<C: Ciphersuite> {
    /// Send this message through the channel to the signer of `to`.
    Send {
        /// Receiver.
        to: Slot,
        /// The message.
        message: DkgMessage,
    },
    /// Seal these bytes, make them durable, then call [`Dkg::persisted`].
    Persist(ShareBytes),
    /// The key is usable.
    Done(KeyRecord, KeyShare<C>),
    /// This key generation is over; a new one needs an operator.
    Aborted {
        /// Who is to blame; empty if nobody provably is.
        culprits: Vec<Slot>,
        /// What happened.
        act: Act,
    },
}

/// What ended a key generation.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Act {
    /// A member sent two different round-1 packages in one session.
    #[error("two different round-1 packages in one session")]
    Equivocation,
}

/// Why a message was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DkgError {
    /// The slot is not in the creation record, or its key is not this identity's.
    #[error("this identity is not the member in that slot")]
    NotMember,
}

/// One member's part in a key generation.
pub struct Dkg<C: Ciphersuite, I, V> {
    outputs: VecDeque<DkgOutput<C>>,
    identity: I,
    verify: PhantomData<V>,
}

impl<C: Ciphersuite, I: SignIdentity, V: VerifyIdentity> Dkg<C, I, V> {
    /// The part of the member in `slot`. `pending` is the share that an earlier run of this
    /// process made durable, if any; `boot` is how often the signer has started.
    ///
    /// # Errors
    /// [`DkgError::NotMember`] if the identity is not the slot's.
    pub fn new(
        record: &CreationRecord,
        slot: Slot,
        boot: Boot,
        identity: I,
        _verify: V,
        _pending: Option<KeyShare<C>>,
    ) -> Result<Self, DkgError> {
        let _ = boot;
        match record.member(slot) {
            Some(card) if card.identity == identity.key() => Ok(Self {
                outputs: VecDeque::new(),
                identity,
                verify: PhantomData,
            }),
            _ => Err(DkgError::NotMember),
        }
    }

    /// Takes a message that arrived through the channel of the signer of `from`.
    ///
    /// # Errors
    /// [`DkgError`] says why the message was dropped; the reaction is to count it.
    pub fn handle(
        &mut self,
        _now_ms: u64,
        _rng: &mut (impl RngCore + CryptoRng),
        _from: Slot,
        _message: DkgMessage,
    ) -> Result<(), DkgError> {
        let _ = self.identity.key();
        Ok(())
    }

    /// Starts at the first call; later repeats messages that may be lost.
    pub fn handle_timeout(&mut self, _now_ms: u64, _rng: &mut (impl RngCore + CryptoRng)) {}

    /// The share of [`DkgOutput::Persist`] is durable.
    pub fn persisted(&mut self, _now_ms: u64, _rng: &mut (impl RngCore + CryptoRng)) {}

    /// When [`Self::handle_timeout`] wants to be called, Unix milliseconds.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<u64> {
        None
    }

    /// The next thing to do, if any.
    pub fn poll(&mut self) -> Option<DkgOutput<C>> {
        self.outputs.pop_front()
    }
}
