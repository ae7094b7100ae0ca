//! What nodes tell each other (CBOR, frames of kind Peer).
//!
//! Nodes do not authenticate each other, because nothing between them needs it: guests' packets
//! are sealed end to end, requests are signed by their callers, modules are named by their hash,
//! and steps are attested. So a stranger on the peer port forges nothing; but one that speaks as
//! a member can take that member's place among the connections and disturb handshakes, within the
//! bounds of [`crate::peers`]: keep the port to the other members' addresses.

use attestation::codec::{self, Malformed};
use attestation::ids::{CommitteeId, Digest, Epoch, EvmSignature, ModuleDigest, Seq, Slot};
use attestation::request::REQUEST_BYTES_MAX;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use state::pull::SignedObservation;

use crate::ceremonies::{PARTS_MAX, Part as CeremonyPart};
use crate::download::PART_BYTES_MAX;

/// Longest message between nodes: [`REQUESTS_MAX`] of the longest requests.
pub const PEER_BYTES_MAX: usize = 6 * 1024 * 1024;
/// Most requests in one message.
pub const REQUESTS_MAX: usize = 64;

const _: () = assert!(REQUESTS_MAX * (REQUEST_BYTES_MAX + 64) < PEER_BYTES_MAX);
const _: () = assert!(PART_BYTES_MAX + 1024 < PEER_BYTES_MAX);
const _: () = assert!(runtime::limits::MODULE_BYTES_MAX + 1024 < PEER_BYTES_MAX);

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
    /// What the sender's member can do now, and how far it is in what all do together. Said again
    /// and again: what is not, is no more.
    Able {
        /// Vote.
        votes: bool,
        /// Bear out what a step claims of the Network of Momentum.
        sees_chain: bool,
        /// Its parts in key generations and changes, as long as somebody has to know of them.
        #[serde(deserialize_with = "codec::at_most::<PARTS_MAX, _, _>")]
        parts: Vec<CeremonyPart>,
    },
    /// Requests that wait at the sender (rule A10), at most [`REQUESTS_MAX`].
    Requests(#[serde(deserialize_with = "codec::at_most::<REQUESTS_MAX, _, _>")] Vec<ByteBuf>),
    /// The sender misses this step, and of its bundle what comes from byte `at` on.
    WantStep {
        /// The step.
        seq: Seq,
        /// How much of the bundle it has.
        at: u64,
    },
    /// A part of a step's bundle.
    Step(Part),
    /// The sender has this module.
    HaveModule(ModuleDigest),
    /// The sender needs this module.
    WantModule(ModuleDigest),
    /// A module's bytes.
    Module(ByteBuf),
    /// The sender works in this epoch, and the state is in a later one.
    WantEpoch {
        /// The sender's epoch.
        base: Epoch,
    },
    /// What proves the epoch after the one asked for: `signer_protocol::lineage::EpochRecord`.
    Epoch(ByteBuf),
    /// What the sender's member saw at the sources of a request (rule A13), signed.
    Observation(Box<SignedObservation>),
    /// The sender misses this step's signature under the key for EVM chains.
    WantEvmSignature(Seq),
    /// A step's signature under that key.
    EvmSignature {
        /// The step.
        seq: Seq,
        /// The signature, verified by whoever takes it.
        signature: EvmSignature,
    },
}

/// A part of a step's bundle. The bundle is `gateway`'s, verified by applying it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// The step.
    pub seq: Seq,
    /// SHA-256 of the whole bundle.
    pub whole: Digest,
    /// Bytes of the whole bundle.
    pub length: u64,
    /// Where the part begins.
    pub at: u64,
    /// The part, at most [`PART_BYTES_MAX`] bytes.
    #[serde(with = "serde_bytes")]
    pub bytes: Vec<u8>,
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

#[cfg(test)]
mod tests {
    use signer_protocol::dkg::{DkgProgress, DkgStage, MISSING_MAX};

    use super::*;
    use crate::ceremonies::{Ceremony, PartStage};

    #[test]
    fn messages_survive_the_codec_and_long_lists_do_not() {
        let want = PeerMessage::WantStep { seq: Seq(7), at: 9 };
        assert_eq!(PeerMessage::from_bytes(&want.to_bytes()), Ok(want));
        let requests = |length| PeerMessage::Requests(vec![ByteBuf::new(); length]);
        let able = |parts: usize, missing: usize| PeerMessage::Able {
            votes: true,
            sees_chain: false,
            parts: vec![waits_for(missing); parts],
        };
        let cases = [
            (requests(REQUESTS_MAX), requests(REQUESTS_MAX + 1)),
            (able(PARTS_MAX, 0), able(PARTS_MAX + 1, 0)),
            (able(1, MISSING_MAX), able(1, MISSING_MAX + 1)),
        ];
        for (longest, longer) in cases {
            assert_eq!(PeerMessage::from_bytes(&longest.to_bytes()), Ok(longest));
            let refused = PeerMessage::from_bytes(&longer.to_bytes());
            assert_eq!(refused, Err(Malformed::Structure));
        }
    }

    fn waits_for(missing: usize) -> CeremonyPart {
        CeremonyPart {
            ceremony: Ceremony::Key,
            stage: PartStage::Waits(DkgProgress {
                attempt: 1,
                stage: DkgStage::Round1,
                here: 1,
                missing: vec![Slot(2); missing],
            }),
        }
    }
}
