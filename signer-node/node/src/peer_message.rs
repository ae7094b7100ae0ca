//! What nodes tell each other (CBOR, frames of kind Peer).
//!
//! Nodes do not authenticate each other, because nothing between them needs it: guests' packets
//! are sealed end to end, requests are signed by their callers, modules are named by their hash,
//! and steps are attested. A stranger on the peer port can waste bandwidth, within the bounds of
//! [`crate::peers`], and nothing else.

use std::fmt;

use attestation::codec::{self, Malformed};
use attestation::ids::{CommitteeId, ModuleDigest, Seq, Slot};
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use serde_bytes::ByteBuf;

/// Longest message between nodes: a step's bundle.
pub const PEER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Most requests in one message.
pub const REQUESTS_MAX: usize = 64;

/// A message between nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PeerMessage {
    /// The first message of a connection.
    Hello {
        /// The committee.
        committee: CommitteeId,
        /// The sender's member.
        from: Slot,
        /// The receiver's member.
        to: Slot,
    },
    /// The sender's head.
    Head(Seq),
    /// Requests that wait at the sender (rule A10), at most [`REQUESTS_MAX`].
    Requests(#[serde(deserialize_with = "requests")] Vec<ByteBuf>),
    /// The sender misses this step.
    WantStep(Seq),
    /// A step's bundle.
    Step {
        /// The step.
        seq: Seq,
        /// `gateway`'s bundle: verified by applying it.
        #[serde(with = "serde_bytes")]
        bundle: Vec<u8>,
    },
    /// The sender has this module.
    HaveModule(ModuleDigest),
    /// The sender needs this module.
    WantModule(ModuleDigest),
    /// A module's bytes.
    Module(ByteBuf),
}

impl PeerMessage {
    /// The canonical encoding.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Decodes a message.
    ///
    /// # Errors
    /// [`Malformed`] if the bytes are too long or not what [`Self::to_bytes`] writes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, Malformed> {
        codec::decode(bytes, PEER_BYTES_MAX)
    }
}

/// Stops at the bound: an empty request is one byte on the wire and 24 in memory.
fn requests<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<ByteBuf>, D::Error> {
    struct Bounded;

    impl<'de> Visitor<'de> for Bounded {
        type Value = Vec<ByteBuf>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            write!(f, "at most {REQUESTS_MAX} requests")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<ByteBuf>, A::Error> {
            let mut requests = Vec::new();
            while let Some(request) = items.next_element()? {
                if requests.len() == REQUESTS_MAX {
                    return Err(A::Error::custom("too many requests"));
                }
                requests.push(request);
            }
            Ok(requests)
        }
    }

    deserializer.deserialize_seq(Bounded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_survive_the_codec_and_long_lists_do_not() {
        let want = PeerMessage::WantStep(Seq(7));
        assert_eq!(PeerMessage::from_bytes(&want.to_bytes()), Ok(want));
        let list = |length| PeerMessage::Requests(vec![ByteBuf::new(); length]);
        assert!(PeerMessage::from_bytes(&list(REQUESTS_MAX).to_bytes()).is_ok());
        assert_eq!(
            PeerMessage::from_bytes(&list(REQUESTS_MAX + 1).to_bytes()),
            Err(Malformed::Structure)
        );
    }
}
