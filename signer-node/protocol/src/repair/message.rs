//! The messages of a repair.

use alloc::vec::Vec;

use attestation::ids::{Boot, Digest, Signature, Slot};
use attestation::tags;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use state::job::Domain;

use crate::message::SecretPackage;

/// One message of a repair (rule B3). The envelope binds it to session and sender.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RepairMessage {
    /// Session id: committee, epoch, key, helpers, the member that lost its share, attempt, suite.
    pub session: Digest,
    /// The sender.
    pub slot: Slot,
    /// The sender's start count: one that starts anew has lost its mask.
    pub boot: Boot,
    /// The body.
    pub body: RepairBody,
    /// Signature by the sender's identity key over [`RepairMessage::signed_bytes`].
    pub signature: Signature,
}

/// The body of a repair's message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RepairBody {
    /// A helper's commitments to its mask, the same to all.
    Mask(ByteBuf),
    /// Digests of the mask envelopes of all helpers, in slot order.
    Echo(Vec<Digest>),
    /// The value of the sender's mask at another helper.
    Part {
        /// The receiver.
        to: Slot,
        /// `dkg::round2::Package`.
        package: SecretPackage,
    },
    /// The sender's share under the sum of all masks, for the member that lost its own.
    Sum(SecretPackage),
    /// Another member's signed envelope that proves a fault of its, or of its accuser.
    Evidence(SecretPackage),
    /// The share is durable again.
    Restored,
}

impl RepairMessage {
    /// The bytes that the sender signs.
    #[must_use]
    pub fn signed_bytes(&self, domain: &Domain) -> Vec<u8> {
        let layout = domain
            .layout(tags::REPAIR)
            .fixed(self.session.as_bytes())
            .number(self.slot.0)
            .number(self.boot.0);
        match &self.body {
            RepairBody::Mask(commitment) => layout.number(1u64).bytes(commitment),
            RepairBody::Echo(digests) => digests.iter().fold(
                layout.number(2u64).number(digests.len() as u64),
                |layout, digest| layout.fixed(digest.as_bytes()),
            ),
            RepairBody::Part { to, package } => {
                layout.number(3u64).number(to.0).bytes(package.bytes())
            }
            RepairBody::Sum(package) => layout.number(4u64).bytes(package.bytes()),
            RepairBody::Evidence(envelope) => layout.number(5u64).bytes(envelope.bytes()),
            RepairBody::Restored => layout.number(6u64),
        }
        .into_bytes()
    }
}
