//! Noise: the vectors of cacophony and of snow, as snow ships them.

use serde::Deserialize;

use super::{bytes, text};

/// Both sides' keys and all messages of one session.
#[derive(Clone, Debug)]
pub struct Session {
    /// Pattern and suite.
    pub protocol: String,
    /// The side that begins, and the one that answers.
    pub sides: [Side; 2],
    /// Payloads and what they travel as; the sides take turns.
    pub messages: Vec<[Vec<u8>; 2]>,
    /// Hash of the handshake, where the file has it.
    pub handshake_hash: Option<Vec<u8>>,
}

/// One side's secrets.
#[derive(Clone, Debug)]
pub struct Side {
    /// What both must agree on beforehand.
    pub prologue: Vec<u8>,
    /// Its static secret.
    pub secret: [u8; 32],
    /// Its ephemeral secret.
    pub ephemeral: Vec<u8>,
}

/// Every session over X25519 in which both sides have a static key.
///
/// # Panics
/// If snow's files are not there, or not of the form that cacophony defines.
#[must_use]
pub fn sessions() -> Vec<Session> {
    let read = |name: &str| {
        let text = text("snow", &format!("tests/vectors/{name}.txt"));
        let file: File = serde_json::from_str(&text).expect("vectors are JSON");
        file.vectors.into_iter().filter_map(session)
    };
    ["cacophony", "snow"].into_iter().flat_map(read).collect()
}

fn session(vector: Vector) -> Option<Session> {
    let side = |prologue: &str, secret: Option<String>, ephemeral: Option<String>| {
        Some(Side {
            prologue: bytes(prologue),
            secret: bytes(&secret?).try_into().ok()?,
            ephemeral: bytes(&ephemeral?),
        })
    };
    let is_x25519 = vector.protocol_name.split('_').nth(2) == Some("25519");
    let messages = vector.messages.iter();
    is_x25519.then_some(Session {
        sides: [
            side(
                &vector.init_prologue,
                vector.init_static,
                vector.init_ephemeral,
            )?,
            side(
                &vector.resp_prologue,
                vector.resp_static,
                vector.resp_ephemeral,
            )?,
        ],
        messages: messages
            .map(|one| [bytes(&one.payload), bytes(&one.ciphertext)])
            .collect(),
        handshake_hash: vector.handshake_hash.as_deref().map(bytes),
        protocol: vector.protocol_name,
    })
}

#[derive(Deserialize)]
struct File {
    vectors: Vec<Vector>,
}

#[derive(Deserialize)]
struct Vector {
    protocol_name: String,
    init_prologue: String,
    init_static: Option<String>,
    init_ephemeral: Option<String>,
    resp_prologue: String,
    resp_static: Option<String>,
    resp_ephemeral: Option<String>,
    handshake_hash: Option<String>,
    messages: Vec<Message>,
}

#[derive(Deserialize)]
struct Message {
    payload: String,
    ciphertext: String,
}
