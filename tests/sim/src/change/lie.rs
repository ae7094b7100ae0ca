//! One party that does not follow a reshare: an honest machine whose messages are changed and signed
//! again on their way out.

use attestation::codec;
use attestation::ids::{Digest, Slot};
use serde_bytes::ByteBuf;
use signer_protocol::message::{DkgBody, DkgMessage, SecretPackage};
use zeroize::Zeroizing;

use crate::dice::Dice;

/// What it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lie {
    /// Commits to another constant than its old share: the key would change.
    Constant,
    /// Deals a share that does not fit.
    Share,
    /// Tells some another round 1 than the others.
    TwoRound1,
    /// Denies in its echo what it dealt.
    Echo,
    /// Accuses a dealer of the share that fits.
    Slander,
    /// Certifies another key.
    Certify,
    /// Certifies another key before some.
    TwoCertify,
    /// Gives some canary commitments that are none.
    Nonces,
    /// Gives some other canary commitments than the others.
    TwoNonces,
    /// Gives a canary share that is none.
    Canary,
    /// Gives some a canary share that is none.
    SomeCanary,
    /// Says nothing from some point on.
    Silent,
}

const ALL: [Lie; 12] = [
    Lie::Constant,
    Lie::Share,
    Lie::TwoRound1,
    Lie::Echo,
    Lie::Slander,
    Lie::Certify,
    Lie::TwoCertify,
    Lie::Nonces,
    Lie::TwoNonces,
    Lie::Canary,
    Lie::SomeCanary,
    Lie::Silent,
];

impl Lie {
    pub(super) fn draw(dice: &mut Dice) -> Self {
        dice.pick(&ALL).copied().unwrap_or(Self::Silent)
    }

    /// What leaves instead of a body; `heard` is a share that was dealt to the liar.
    pub(super) fn bodies(
        self,
        to: Slot,
        body: DkgBody,
        heard: Option<&DkgMessage>,
    ) -> Vec<DkgBody> {
        let is_some = to.0.is_multiple_of(2);
        let changed = match (self, body) {
            (Self::Silent, _) => return Vec::new(),
            (Self::Constant, DkgBody::Round1(bytes)) => DkgBody::Round1(shifted(&bytes)),
            (Self::TwoRound1, DkgBody::Round1(bytes)) if is_some => {
                DkgBody::Round1(shifted(&bytes))
            }
            (Self::Share, DkgBody::Round2 { to, package }) => {
                let mut bytes = package.bytes().to_vec();
                let at = bytes.len().saturating_sub(32);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte ^= 1;
                }
                let package = SecretPackage::new(Zeroizing::new(bytes));
                DkgBody::Round2 { to, package }
            }
            (Self::Echo, DkgBody::Echo(digests)) => {
                let denied = digests.into_iter().map(|_| Digest::from_bytes([7; 32]));
                DkgBody::Echo(denied.collect())
            }
            (Self::Certify, DkgBody::Certify(_)) => DkgBody::Certify(Digest::from_bytes([7; 32])),
            (Self::TwoCertify, DkgBody::Certify(_)) if is_some => {
                DkgBody::Certify(Digest::from_bytes([7; 32]))
            }
            (Self::Nonces | Self::TwoNonces, DkgBody::CanaryNonces { round, commitments })
                if is_some =>
            {
                let commitments = match self {
                    Self::Nonces => ByteBuf::from([&commitments[..], &[0]].concat()),
                    _ => swapped(&commitments),
                };
                DkgBody::CanaryNonces { round, commitments }
            }
            (
                Self::Canary | Self::SomeCanary,
                DkgBody::CanaryShare {
                    round,
                    package,
                    mut share,
                },
            ) if is_some || self == Self::Canary => {
                if let Some(byte) = share.first_mut() {
                    *byte ^= 1;
                }
                DkgBody::CanaryShare {
                    round,
                    package,
                    share,
                }
            }
            (Self::Slander, body) => {
                let accused = heard.map(|dealt| {
                    let bytes = Zeroizing::new(codec::encode(dealt));
                    DkgBody::Evidence(SecretPackage::new(bytes))
                });
                return accused.into_iter().chain([body]).collect();
            }
            (_, body) => body,
        };
        vec![changed]
    }
}

/// The two commitments to nonces, each in the place of the other.
fn swapped(bytes: &ByteBuf) -> ByteBuf {
    const HEADER: usize = 5;
    let (header, both) = bytes.split_at_checked(HEADER).unwrap_or((bytes, &[]));
    let (hiding, binding) = both.split_at(both.len() / 2);
    ByteBuf::from([header, binding, hiding].concat())
}

/// Commitments in another order: points like before, to something else.
fn shifted(bytes: &ByteBuf) -> ByteBuf {
    let points: Vec<&[u8]> = bytes.chunks(32).collect();
    ByteBuf::from(points.into_iter().rev().collect::<Vec<_>>().concat())
}
