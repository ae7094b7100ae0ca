//! What a repair's messages prove to whoever took no part in it.
//!
//! Values and masked shares are measured by masks, and a helper could have shown others other masks
//! than those at hand. So what depends on the masks of others convicts only with the echo in which
//! the party has signed that it holds these.

use alloc::boxed::Box;
use alloc::vec::Vec;

use attestation::codec;
use attestation::ids::{Digest, Slot};
use frost_core::keys::PublicKeyPackage;
use frost_ed25519::Ed25519Sha512;
use light_client::Generation;
use sha2::{Digest as _, Sha256};
use state::job::Domain;

use super::verdict::ENVELOPE_BYTES_MAX;
use super::{Commitment, RepairAct, RepairPlan, mask};
use crate::blame::Culprit;
use crate::dkg::packages::{decode_round2, identifier, share_fits};
use crate::evidence::{EvidenceError, Guilt, Place, RepairDeed};
use crate::identity::{Ed25519Verify, VerifyIdentity as _};
use crate::membership::Membership;
use crate::message::{RepairBody, RepairMessage};

type Suite = Ed25519Sha512;

/// Who is convicted, and where it was. What leads to the epoch of the repair is proven.
pub(crate) fn judge(
    deed: &RepairDeed,
    plan: &RepairPlan,
    generation: &Generation,
) -> Result<Guilt, EvidenceError> {
    let members = generation.members();
    plan.check(members).map_err(EvidenceError::RepairPlan)?;
    if plan.key != generation.key().package_digest() {
        return Err(EvidenceError::Unfounded);
    }
    let public = generation.key().public_key_package();
    let court = Court {
        plan,
        members,
        public: public.map_err(EvidenceError::Key)?,
        session: plan.session::<Suite>(),
    };
    for message in messages(deed) {
        if !court.is_signed(message) {
            return Err(EvidenceError::Signature);
        }
    }
    let slot = court.culprit(deed).ok_or(EvidenceError::Unfounded)?;
    let card = members.member(slot).ok_or(EvidenceError::Unfounded)?;
    Ok(Guilt {
        culprit: Culprit::Member(slot),
        identity: card.identity,
        epoch: plan.epoch,
        place: Place::Ceremony {
            session: court.session,
            attempt: plan.attempt,
        },
    })
}

fn messages(deed: &RepairDeed) -> &[RepairMessage] {
    match deed {
        RepairDeed::BadMask(one) => core::slice::from_ref(one),
        RepairDeed::MaskTwice(both) | RepairDeed::EchoTwice(both) | RepairDeed::BadPart(both) => {
            &both[..]
        }
        RepairDeed::BadSum(all) | RepairDeed::FalseAccusation(all) => all,
    }
}

/// What the messages of one repair are measured by.
struct Court<'a> {
    plan: &'a RepairPlan,
    members: &'a Membership,
    public: PublicKeyPackage<Suite>,
    session: Digest,
}

impl Court<'_> {
    /// Whether a party of this repair has signed the message.
    fn is_signed(&self, message: &RepairMessage) -> bool {
        let slot = message.slot;
        let is_party = self.is_helper(slot) || slot == self.plan.lost;
        let card = self.members.member(slot).filter(|_| is_party);
        let signed = message.signed_bytes(self.members.domain());
        message.session == self.session
            && card.is_some_and(|card| {
                Ed25519Verify.verify(&card.identity, &signed, &message.signature)
            })
    }

    fn is_helper(&self, slot: Slot) -> bool {
        self.plan.helpers.contains(&slot)
    }

    /// Whom signed messages of this repair convict.
    fn culprit(&self, deed: &RepairDeed) -> Option<Slot> {
        match deed {
            RepairDeed::MaskTwice(both) => {
                let [a, b] = both.as_ref();
                let are = matches!(
                    (&a.body, &b.body),
                    (RepairBody::Mask(_), RepairBody::Mask(_))
                );
                (are && is_one_start(a, b) && a.body != b.body).then_some(a.slot)
            }
            RepairDeed::EchoTwice(both) => {
                let [a, b] = both.as_ref();
                let are = matches!(
                    (&a.body, &b.body),
                    (RepairBody::Echo(_), RepairBody::Echo(_))
                );
                (are && is_one_start(a, b) && a.body != b.body).then_some(a.slot)
            }
            RepairDeed::BadMask(mask) => {
                let is_mask = matches!(mask.body, RepairBody::Mask(_)) && self.is_helper(mask.slot);
                (is_mask && self.commitment(mask).is_none()).then_some(mask.slot)
            }
            RepairDeed::BadPart(both) => {
                let [mask, part] = both.as_ref();
                (!self.part_fits(mask, part)?).then_some(part.slot)
            }
            RepairDeed::BadSum(all) => {
                let (masks, sum) = self.measured(all)?;
                (!self.sum_fits(masks, sum)?).then_some(sum.slot)
            }
            RepairDeed::FalseAccusation(all) => {
                let (masks, accusation) = self.measured(all)?;
                let RepairBody::Evidence(bytes) = &accusation.body else {
                    return None;
                };
                let given: RepairMessage = codec::decode(bytes.bytes(), ENVELOPE_BYTES_MAX).ok()?;
                if !self.is_signed(&given) || given.slot == accusation.slot {
                    return None;
                }
                let fits = match &given.body {
                    RepairBody::Part { .. } => {
                        let mask = masks.iter().find(|mask| mask.slot == given.slot)?;
                        self.part_fits(mask, &given)?
                    }
                    _ => self.sum_fits(masks, &given)?,
                };
                fits.then_some(accusation.slot)
            }
        }
    }

    /// The masks of all helpers in slot order, and the last message, whose sender has signed in the
    /// same start that these are the masks it holds.
    fn measured<'a>(
        &self,
        all: &'a [RepairMessage],
    ) -> Option<(&'a [RepairMessage], &'a RepairMessage)> {
        let (masks, rest) = all.split_at_checked(self.plan.helpers.len())?;
        let [echo, last] = rest else {
            return None;
        };
        let RepairBody::Echo(digests) = &echo.body else {
            return None;
        };
        let domain = self.members.domain();
        let senders = masks.iter().map(|mask| mask.slot);
        let is_measured = senders.eq(self.plan.helpers.iter().copied())
            && masks
                .iter()
                .all(|mask| matches!(mask.body, RepairBody::Mask(_)))
            && masks
                .iter()
                .map(|mask| digest(domain, mask))
                .eq(digests.iter().copied());
        (is_measured && is_one_start(echo, last)).then_some((masks, last))
    }

    fn commitment(&self, mask: &RepairMessage) -> Option<Commitment<Suite>> {
        match &mask.body {
            RepairBody::Mask(bytes) => {
                mask::decode(bytes, self.members.threshold(), self.plan.lost)
            }
            _ => None,
        }
    }

    /// Whether a value for another helper is its sender's mask there; `None` if the two are not of
    /// one helper and start.
    fn part_fits(&self, mask: &RepairMessage, part: &RepairMessage) -> Option<bool> {
        let RepairBody::Part { to, package } = &part.body else {
            return None;
        };
        if !is_one_start(mask, part) || !self.is_helper(*to) {
            return None;
        }
        let commitment = self.commitment(mask)?;
        Some(share_fits(identifier(*to), package, &commitment))
    }

    /// Whether a masked share is what masks and verifying share say; `None` if it is none of a
    /// helper in the start of its mask, or some mask is not valid.
    fn sum_fits(&self, masks: &[RepairMessage], sum: &RepairMessage) -> Option<bool> {
        let RepairBody::Sum(package) = &sum.body else {
            return None;
        };
        let own = masks.iter().find(|mask| mask.slot == sum.slot)?;
        if !is_one_start(own, sum) {
            return None;
        }
        let masks = masks.iter().map(|mask| self.commitment(mask));
        let masks = masks.collect::<Option<Vec<_>>>()?;
        Some(decode_round2::<Suite>(package).is_some_and(|package| {
            mask::fits(sum.slot, package.signing_share(), &masks, &self.public)
        }))
    }
}

fn is_one_start(a: &RepairMessage, b: &RepairMessage) -> bool {
    (a.slot, a.boot) == (b.slot, b.boot)
}

/// Digest of a mask, as echoes name it. The signature is no part of it.
pub(super) fn digest(domain: &Domain, mask: &RepairMessage) -> Digest {
    Digest::from_bytes(Sha256::digest(mask.signed_bytes(domain)).into())
}

/// What convicts whoever ended a repair, from what a party of it holds: the masks and echoes by
/// slot.
pub(super) fn of<'a>(
    act: &RepairAct,
    mut masks: impl Iterator<Item = &'a RepairMessage>,
    echo: Option<&RepairMessage>,
) -> Option<RepairDeed> {
    Some(match act {
        RepairAct::Equivocation(both) => match both.as_ref() {
            [
                RepairMessage {
                    body: RepairBody::Echo(_),
                    ..
                },
                _,
            ] => RepairDeed::EchoTwice(both.clone()),
            _ => RepairDeed::MaskTwice(both.clone()),
        },
        RepairAct::Mask(mask) => RepairDeed::BadMask(mask.clone()),
        RepairAct::Part(part) => {
            let mask = masks.find(|mask| mask.slot == part.slot)?;
            RepairDeed::BadPart(Box::new([mask.clone(), part.as_ref().clone()]))
        }
        RepairAct::Sum(sum) => RepairDeed::BadSum(with(masks, [echo?, sum.as_ref()])),
        RepairAct::Accusation(both) => {
            let [echo, accusation] = both.as_ref();
            RepairDeed::FalseAccusation(with(masks, [echo, accusation]))
        }
        RepairAct::Restarted(_) | RepairAct::Refused => return None,
    })
}

fn with<'a>(
    masks: impl Iterator<Item = &'a RepairMessage>,
    rest: [&RepairMessage; 2],
) -> Vec<RepairMessage> {
    masks.cloned().chain(rest.map(Clone::clone)).collect()
}
