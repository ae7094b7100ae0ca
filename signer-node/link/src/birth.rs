//! What signer and coordinator have in common at their start: a boot message, sealed secrets that
//! are opened or made, and the card that belongs to them.

use std::time::{Duration, Instant};

use attestation::committee::Card;
use signer_protocol::entropy::EntropyError;
use signer_protocol::identity::SignIdentity as _;
use signer_protocol::sealed::{SealedError, SealingKey, Secrets};

use crate::connection::{Arrival, Link, LinkError};
use crate::local::{Boot, TEXT_BYTES_MAX, ToGuest, ToNode};
use crate::platform::unsealed;
use crate::secret::BootSeed;

/// Most messages that a node may send before it answers.
const EARLY_MAX: usize = 64;
/// How long a guest that stops waits for its node to have heard why.
const HALT_WAIT: Duration = Duration::from_secs(2);

/// Why a guest does not get to its work.
#[derive(Debug, thiserror::Error)]
pub enum BirthError {
    /// The connection.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// Randomness.
    #[error(transparent)]
    Entropy(#[from] EntropyError),
    /// The sealed secrets do not open.
    #[error("sealed secrets: {0}")]
    Sealed(#[from] SealedError),
    /// The node could not keep the sealed secrets.
    #[error("the node cannot write the sealed secrets: free or replace its disk")]
    Replace,
    /// The node's messages came in an order that guests do not know.
    #[error("the node sent something else than what this guest starts from")]
    OutOfTurn,
}

/// Waits for the boot message; returns it with the register entries that came before it.
///
/// # Errors
/// [`BirthError`].
pub fn boot(link: &Link) -> Result<(Vec<Vec<u8>>, Boot), BirthError> {
    let mut register = Vec::new();
    loop {
        match local(link)? {
            ToGuest::Register { entries } => {
                register.extend(entries.into_iter().map(serde_bytes::ByteBuf::into_vec));
            }
            ToGuest::Boot(message) => return Ok((register, *message)),
            _ => return Err(BirthError::OutOfTurn),
        }
    }
}

/// The node's answer to a request for durability. What the node tells of its own accord meanwhile
/// is put aside in `early`, to be taken once the guest is at work.
///
/// # Errors
/// [`BirthError`].
pub fn durable(link: &Link, early: &mut Vec<ToGuest>) -> Result<ToGuest, BirthError> {
    while early.len() < EARLY_MAX {
        match local(link)? {
            answer @ (ToGuest::Appended { .. }
            | ToGuest::AppendRefused(_)
            | ToGuest::Replaced
            | ToGuest::ReplaceRefused) => return Ok(answer),
            told => early.push(told),
        }
    }
    Err(BirthError::OutOfTurn)
}

/// The next control message. Packets that arrive before there are channels are dropped: their
/// senders send again.
///
/// # Errors
/// [`BirthError::Link`].
pub fn local(link: &Link) -> Result<ToGuest, BirthError> {
    loop {
        match link.receive(None)? {
            Some(Arrival::Local(message)) => return Ok(*message),
            Some(Arrival::Packet { .. } | Arrival::Woken) | None => {}
        }
    }
}

/// Opens the guest's secrets, or makes them and has them kept; the node gets their card.
///
/// # Errors
/// [`BirthError`].
pub fn secrets(link: &mut Link, message: &Boot) -> Result<(Secrets, SealingKey), BirthError> {
    let sealing = message.sealing_key.as_ref().ok_or(BirthError::OutOfTurn)?;
    let sealing = SealingKey::from_bytes(*sealing.expose());
    let secrets = match &message.sealed {
        Some(sealed) => Secrets::open(sealed, &sealing)?,
        None => make(link, &sealing, &message.seed)?,
    };
    link.send(&ToNode::Card(card(&secrets, message)))?;
    Ok((secrets, sealing))
}

/// Tells the node why this process ends, and waits until the node closes the connection: bytes
/// that are still on their way would be lost with the socket.
pub fn halt(link: &mut Link, error: &impl core::fmt::Display) {
    let reason = bounded(error);
    // The connection may be what failed; then there is nothing to wait for.
    if link.send(&ToNode::Halt { reason }).is_err() {
        return;
    }
    let patience = Instant::now() + HALT_WAIT;
    while let Some(left) = patience.checked_duration_since(Instant::now()) {
        if link.receive(Some(left)).is_err() {
            return;
        }
    }
}

/// An error's text within [`TEXT_BYTES_MAX`].
#[must_use]
pub fn bounded(error: &impl core::fmt::Display) -> String {
    let mut text = error.to_string();
    text.truncate(text.floor_char_boundary(TEXT_BYTES_MAX));
    text
}

/// Reads until the node ends the connection: it has what it wanted.
///
/// # Errors
/// [`BirthError::Link`] if the connection fails otherwise.
pub fn wait_for_the_end(link: &Link) -> Result<(), BirthError> {
    loop {
        match link.receive(None) {
            Ok(_) => {}
            Err(LinkError::Closed) => return Ok(()),
            Err(error) => return Err(error.into()),
        }
    }
}

fn make(link: &mut Link, sealing: &SealingKey, seed: &BootSeed) -> Result<Secrets, BirthError> {
    let mut entropy = unsealed(seed)?;
    let secrets = Secrets::generate(&mut entropy.generator()?);
    let sealed = secrets.seal(sealing, &mut entropy.generator()?);
    link.send(&ToNode::Replace { sealed })?;
    match local(link)? {
        ToGuest::Replaced => Ok(secrets),
        ToGuest::ReplaceRefused => Err(BirthError::Replace),
        _ => Err(BirthError::OutOfTurn),
    }
}

fn card(secrets: &Secrets, message: &Boot) -> Card {
    let identity = secrets.identity();
    let keys = (identity.key(), secrets.channel().key());
    // A native process claims no image.
    let image = message.image.unwrap_or(Card::NO_IMAGE);
    let payout = message.payout.unwrap_or(Card::NO_PAYOUT);
    let card = Card::signed(keys, image, payout, |bytes| identity.sign(bytes));
    match message.engine {
        Some(engine) => card.running(engine, |bytes| identity.sign(bytes)),
        None => card,
    }
}
