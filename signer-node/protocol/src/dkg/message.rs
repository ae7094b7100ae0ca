//! The messages of a key generation and of a reshare.

use alloc::vec::Vec;
use core::fmt;

use attestation::ids::{Boot, Digest, Signature, Slot};
use attestation::tags;
pub use light_client::key_record::Certification;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use state::job::Domain;
use zeroize::Zeroizing;

/// One message of a key generation (rule B2) or a reshare (rule B3). The envelope binds it to session and sender.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DkgMessage {
    /// Session id: committee, members, threshold, suite and attempt; in a reshare also the plan.
    pub session: Digest,
    /// The attempt within `session`, from 1.
    pub attempt: u64,
    /// The sender.
    pub slot: Slot,
    /// The sender's start count: a member that restarts has lost its secrets and says so.
    pub boot: Boot,
    /// The body.
    pub body: DkgBody,
    /// Signature by the sender's identity key over [`DkgMessage::signed_bytes`].
    pub signature: Signature,
}

/// The body of a message of a key generation or a reshare.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum DkgBody {
    /// `dkg::round1::Package`, the same to all. In a reshare the dealer's commitment
    /// (`VerifiableSecretSharingCommitment::serialize_whole`), or nothing of who does not deal.
    Round1(ByteBuf),
    /// Digests of the round-1 envelopes of all members, in slot order.
    Echo(Vec<Digest>),
    /// Another member's signed envelope for the receiver to compare with what it holds: a round-1
    /// package, canary commitments, a certification. A round-2 package here is an accusation of its
    /// dealer, which honest members never make: they show [`DkgBody::Proof`].
    Evidence(SecretPackage),
    /// `dkg::round2::Package` for the receiver only.
    Round2 {
        /// The receiver.
        to: Slot,
        /// The package.
        package: SecretPackage,
    },
    /// The sender's share is durable; digest over round 1 and public key package.
    Certify(Digest),
    /// All members have certified: for one that missed some of it or has left the attempt.
    Certificate {
        /// What they certified.
        digest: Digest,
        /// Their certifications, in slot order.
        certifications: Vec<Certification>,
    },
    /// Commitments for the canary signature.
    CanaryNonces {
        /// The canary round, from 1.
        round: u64,
        /// `round1::SigningCommitments`.
        commitments: ByteBuf,
    },
    /// Signature share of the canary.
    CanaryShare {
        /// The canary round.
        round: u64,
        /// Digest over round, key and the commitments of all members.
        package: Digest,
        /// `round2::SignatureShare`.
        share: ByteBuf,
    },
    /// The finished key record, for one that missed the end.
    Finished(ByteBuf),
    /// Everything that convicts a party, a [`CeremonyAct`](crate::evidence::CeremonyAct): whoever
    /// has started anew since, and holds nothing to measure by, can judge it as well.
    Proof(SecretPackage),
}

/// A package with a secret share inside. Redacted when printed, zeroised on drop.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretPackage(Zeroizing<Vec<u8>>);

impl SecretPackage {
    /// Takes an encoded package.
    #[must_use]
    pub const fn new(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(bytes)
    }

    /// The encoded package.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SecretPackage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretPackage({} bytes, redacted)", self.0.len())
    }
}

impl Serialize for SecretPackage {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(&self.0)
    }
}

impl<'de> Deserialize<'de> for SecretPackage {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        ByteBuf::deserialize(deserializer).map(|bytes| Self(Zeroizing::new(bytes.into_vec())))
    }
}

impl DkgMessage {
    /// The bytes that the sender signs.
    #[must_use]
    pub fn signed_bytes(&self, domain: &Domain) -> Vec<u8> {
        if let DkgBody::Certify(digest) = &self.body {
            let who = (self.slot, self.boot);
            return Certification::signed_bytes(domain, &self.session, who, digest);
        }
        let tag = match &self.body {
            DkgBody::Round1(_) => tags::DKG_ROUND1,
            DkgBody::Echo(_) | DkgBody::Evidence(_) | DkgBody::Proof(_) => tags::DKG_ECHO,
            DkgBody::Round2 { .. } => tags::DKG_ROUND2,
            DkgBody::Certify(_) | DkgBody::Certificate { .. } | DkgBody::Finished(_) => {
                tags::DKG_CERTIFY
            }
            DkgBody::CanaryNonces { .. } | DkgBody::CanaryShare { .. } => tags::DKG_CANARY,
        };
        let layout = domain
            .layout(tag)
            .fixed(self.session.as_bytes())
            .number(self.slot.0)
            .number(self.boot.0);
        match &self.body {
            DkgBody::Round1(package) => layout.bytes(package),
            DkgBody::Echo(digests) => digests.iter().fold(
                layout.number(1u64).number(digests.len() as u64),
                |layout, digest| layout.fixed(digest.as_bytes()),
            ),
            DkgBody::Evidence(envelope) => layout.number(2u64).bytes(envelope.bytes()),
            DkgBody::Proof(act) => layout.number(3u64).bytes(act.bytes()),
            DkgBody::Round2 { to, package } => layout.number(to.0).bytes(package.bytes()),
            DkgBody::Certify(digest) => layout.number(1u64).fixed(digest.as_bytes()),
            DkgBody::Certificate {
                digest,
                certifications,
            } => certifications.iter().fold(
                layout
                    .number(2u64)
                    .fixed(digest.as_bytes())
                    .number(certifications.len() as u64),
                |layout, certification| {
                    layout
                        .number(certification.boot.0)
                        .fixed(certification.signature.as_bytes())
                },
            ),
            DkgBody::Finished(record) => layout.number(3u64).bytes(record),
            DkgBody::CanaryNonces { round, commitments } => {
                layout.number(1u64).number(*round).bytes(commitments)
            }
            DkgBody::CanaryShare {
                round,
                package,
                share,
            } => layout
                .number(2u64)
                .number(*round)
                .fixed(package.as_bytes())
                .bytes(share),
        }
        .into_bytes()
    }
}
