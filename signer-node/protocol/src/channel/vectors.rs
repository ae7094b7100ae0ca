//! Noise sessions that cacophony and snow publish, through this file's own entry points.

use conformance::shipped::Draws;
use conformance::shipped::noise::{Session as Published, Side, sessions};

use super::*;

fn handshake(initiator: bool, own: &Side, peer: &Side) -> Handshake {
    let secret = ChannelSecret::from_bytes(&own.secret);
    let peer = ChannelSecret::from_bytes(&peer.secret).key();
    let mut ephemeral = Draws::new([own.ephemeral.clone()]);
    Handshake::new(initiator, &secret, &peer, &own.prologue, &mut ephemeral)
}

fn holds(published: &Published) {
    let [first, second] = &published.sides;
    let mut initiator = handshake(true, first, second);
    let mut responder = handshake(false, second, first);
    let (handshakes, transport) = published.messages.split_at(2);
    for (at, [payload, packet]) in handshakes.iter().enumerate() {
        let (writer, reader) = match at {
            0 => (&mut initiator, &mut responder),
            _ => (&mut responder, &mut initiator),
        };
        assert_eq!(writer.write(payload).unwrap(), *packet);
        assert_eq!(reader.read(packet).unwrap(), *payload);
    }
    let mut sessions = [initiator, responder].map(|side| side.into_session().unwrap());
    for session in &sessions {
        let hash = published.handshake_hash.iter();
        assert!(hash.into_iter().all(|hash| hash.starts_with(&session.id)));
    }
    for (at, [payload, packet]) in transport.iter().enumerate() {
        let (from, to) = (at % 2, 1 - at % 2);
        let sealed = sessions[from].seal(payload).unwrap();
        let (header, ciphertext) = sealed.split_at(DATA_HEADER_BYTES - 1);
        assert_eq!(ciphertext, packet);
        let counter = u64::from_be_bytes(header[SESSION_BYTES..].try_into().unwrap());
        assert_eq!(sessions[to].open(counter, packet).unwrap(), *payload);
    }
}

#[test]
fn published_noise_kk_vectors_hold() {
    let all = sessions();
    let ours: Vec<_> = all.iter().filter(|one| one.protocol == PATTERN).collect();
    assert_eq!(ours.len(), 2);
    for published in ours {
        holds(published);
    }
}

#[test]
fn published_sessions_of_other_patterns_and_suites_do_not_begin_with_the_same_keys() {
    let mut refused = 0;
    for published in sessions().iter().filter(|one| one.protocol != PATTERN) {
        let [first, second] = &published.sides;
        let [_, packet] = &published.messages[0];
        let read = handshake(false, second, first).read(packet);
        assert_eq!(read, Err(ChannelError::Handshake), "{}", published.protocol);
        refused += 1;
    }
    assert!(refused >= 526, "{refused}");
}
