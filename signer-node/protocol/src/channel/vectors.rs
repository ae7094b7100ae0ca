//! Noise_KK vectors of cacophony and snow, through this file's own entry points.

use alloc::string::String;

use super::*;

/// A Noise test vector as cacophony and snow publish them.
#[derive(serde::Deserialize)]
struct Vector {
    init_prologue: String,
    init_static: String,
    init_ephemeral: String,
    init_remote_static: String,
    resp_static: String,
    resp_ephemeral: String,
    resp_remote_static: String,
    messages: Vec<VectorMessage>,
}

#[derive(serde::Deserialize)]
struct VectorMessage {
    payload: String,
    ciphertext: String,
}

/// Hands out one ephemeral key.
struct Fixed(Vec<u8>);

impl RngCore for Fixed {
    fn next_u32(&mut self) -> u32 {
        unreachable!("handshakes draw bytes")
    }

    fn next_u64(&mut self) -> u64 {
        unreachable!("handshakes draw bytes")
    }

    fn fill_bytes(&mut self, dest: &mut [u8]) {
        dest.copy_from_slice(&self.0);
    }

    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill_bytes(dest);
        Ok(())
    }
}

impl CryptoRng for Fixed {}

fn bytes(text: &str) -> Vec<u8> {
    hex::decode(text).unwrap()
}

fn array(text: &str) -> [u8; 32] {
    bytes(text).try_into().unwrap()
}

#[test]
fn published_noise_kk_vectors_hold() {
    let vectors: Vec<Vector> = serde_json::from_str(include_str!("kk-vectors.json")).unwrap();
    assert_eq!(vectors.len(), 2);
    for vector in vectors {
        let prologue = bytes(&vector.init_prologue);
        let side = |initiator, own: &str, peer: &str, ephemeral: &str| {
            let secret = ChannelSecret::from_bytes(&array(own));
            let peer = ChannelKey::from_bytes(array(peer));
            let mut ephemeral = Fixed(bytes(ephemeral));
            Handshake::new(initiator, &secret, &peer, &prologue, &mut ephemeral)
        };
        let (own, peer) = (&vector.init_static, &vector.init_remote_static);
        let mut initiator = side(true, own, peer, &vector.init_ephemeral);
        let (own, peer) = (&vector.resp_static, &vector.resp_remote_static);
        let mut responder = side(false, own, peer, &vector.resp_ephemeral);

        let mut messages = vector.messages.iter();
        for step in 0..2 {
            let message = messages.next().unwrap();
            let (writer, reader) = match step {
                0 => (&mut initiator, &mut responder),
                _ => (&mut responder, &mut initiator),
            };
            let written = writer.write(&bytes(&message.payload)).unwrap();
            assert_eq!(written, bytes(&message.ciphertext));
            assert_eq!(reader.read(&written).unwrap(), bytes(&message.payload));
        }
        let mut sessions = [initiator, responder].map(|side| side.into_session().unwrap());
        for (at, message) in messages.enumerate() {
            let (from, to) = (at % 2, 1 - at % 2);
            let sealed = sessions[from].seal(&bytes(&message.payload)).unwrap();
            let (header, ciphertext) = sealed.split_at(DATA_HEADER_BYTES - 1);
            assert_eq!(ciphertext, bytes(&message.ciphertext));
            let counter = u64::from_be_bytes(header[SESSION_BYTES..].try_into().unwrap());
            assert_eq!(
                sessions[to].open(counter, ciphertext).unwrap(),
                bytes(&message.payload)
            );
        }
    }
}
