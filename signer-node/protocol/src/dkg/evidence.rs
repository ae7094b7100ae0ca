//! What a ceremony's messages prove to whoever took no part in it.

use alloc::boxed::Box;

use attestation::codec;
use attestation::committee::CreationRecord;
use attestation::ids::{Digest, Slot};
use frost_core::Ciphersuite;
use frost_core::keys::dkg::verify_proof_of_knowledge;
use frost_ed25519::Ed25519Sha512;
use light_client::Generation;
use sha2::{Digest as _, Sha256};
use zeroize::Zeroizing;

use super::attempt::Attempt;
use super::canary::{CANARY_BYTES_MAX, canary_share_fails, commitments_of};
use super::packages::{ENVELOPE_BYTES_MAX, commitment_of, decode_round1, identifier, share_fits};
use super::setup::Setup;
use super::{Act, DkgError};
use crate::blame::Culprit;
use crate::evidence::{CeremonyAct, Evidence, EvidenceError, Fact, Guilt, Place};
use crate::identity::{Ed25519Verify, VerifyIdentity};
use crate::message::{DkgBody, DkgMessage, SecretPackage};
use crate::reshare::{Change, ChangePlan};
use crate::suite::Evm;

/// Who is convicted, and where it was. What leads to the epoch that a reshare changes is proven.
pub(crate) fn judge(
    record: &CreationRecord,
    act: &CeremonyAct,
    plan: Option<&ChangePlan>,
    base: Option<&Generation>,
) -> Result<Guilt, EvidenceError> {
    let Some(plan) = plan else {
        let evm = Setup::<Evm>::watching(record);
        return match record.evm && is_of(&evm, act) {
            true => guilt(&evm, act),
            false => guilt(&Setup::<Ed25519Sha512>::watching(record), act),
        };
    };
    let base = base.ok_or(EvidenceError::NoHistory(plan.base))?;
    let change = Change::<Ed25519Sha512> {
        plan,
        base: base.members(),
        key: base.key(),
        share: None,
    };
    let setup = Setup::watching_change(&change).map_err(|error| match error {
        DkgError::Plan(error) => EvidenceError::Plan(error),
        _ => EvidenceError::Unfounded,
    })?;
    guilt(&setup, act)
}

fn guilt<C: Ciphersuite>(setup: &Setup<C>, act: &CeremonyAct) -> Result<Guilt, EvidenceError> {
    let (slot, place) = convict(setup, act, &Ed25519Verify)?;
    let identity = setup.identity(slot).ok_or(EvidenceError::Unfounded)?;
    Ok(Guilt {
        culprit: Culprit::Member(slot),
        identity: *identity,
        epoch: setup.membership.epoch(),
        place,
    })
}

/// Whether an act is of the ceremony of this suite.
fn is_of<C: Ciphersuite>(setup: &Setup<C>, act: &CeremonyAct) -> bool {
    let first = messages(act).first();
    first.is_some_and(|message| message.session == setup.session(message.attempt))
}

/// Who is convicted by signed words of one attempt, and of which: the rules by which those who take
/// part judge too, and nothing that they have to have seen themselves.
pub(super) fn convict<C: Ciphersuite>(
    setup: &Setup<C>,
    act: &CeremonyAct,
    verify: &impl VerifyIdentity,
) -> Result<(Slot, Place), EvidenceError> {
    let messages = messages(act);
    let first = messages.first().ok_or(EvidenceError::Unfounded)?;
    for message in messages {
        setup
            .verify(message, verify)
            .map_err(|_| EvidenceError::Signature)?;
        if (message.session, message.attempt) != (first.session, first.attempt) {
            return Err(EvidenceError::Unfounded);
        }
    }
    let slot = culprit(setup, act, verify).ok_or(EvidenceError::Unfounded)?;
    let place = Place::Ceremony {
        session: first.session,
        attempt: first.attempt,
    };
    Ok((slot, place))
}

fn messages(act: &CeremonyAct) -> &[DkgMessage] {
    match act {
        CeremonyAct::BadRound1(one) | CeremonyAct::BadNonces(one) => core::slice::from_ref(one),
        CeremonyAct::Round1Twice(both)
        | CeremonyAct::EchoTwice(both)
        | CeremonyAct::EchoDeniesOwn(both)
        | CeremonyAct::BadDealing(both)
        | CeremonyAct::CertifiedTwice(both)
        | CeremonyAct::NoncesTwice(both) => &both[..],
        CeremonyAct::FalseAccusation(three) => &three[..],
        CeremonyAct::BadCanaryShare(deed) => core::slice::from_ref(&deed.share),
    }
}

/// Whom verified messages of one session convict.
fn culprit<C: Ciphersuite>(
    setup: &Setup<C>,
    act: &CeremonyAct,
    verify: &impl VerifyIdentity,
) -> Option<Slot> {
    match act {
        CeremonyAct::Round1Twice(both) => {
            let [a, b] = both.as_ref();
            let are = matches!((&a.body, &b.body), (DkgBody::Round1(_), DkgBody::Round1(_)));
            (are && one_start(a, b) && a.body != b.body).then_some(a.slot)
        }
        CeremonyAct::EchoTwice(both) => {
            let [a, b] = both.as_ref();
            let are = matches!((&a.body, &b.body), (DkgBody::Echo(_), DkgBody::Echo(_)));
            (are && one_start(a, b) && a.body != b.body).then_some(a.slot)
        }
        CeremonyAct::EchoDeniesOwn(both) => {
            let [round1, echo] = both.as_ref();
            let is_denied = echoed(setup, echo, round1.slot)? != digest(setup, round1);
            let is_round1 = matches!(round1.body, DkgBody::Round1(_));
            (is_round1 && one_start(round1, echo) && is_denied).then_some(echo.slot)
        }
        CeremonyAct::BadRound1(round1) => {
            let is_round1 = matches!(round1.body, DkgBody::Round1(_));
            (is_round1 && !is_sound(setup, round1)).then_some(round1.slot)
        }
        CeremonyAct::BadDealing(both) => {
            let [round1, round2] = both.as_ref();
            let fits = fits(setup, round1, round2)?;
            (!fits).then_some(round2.slot)
        }
        CeremonyAct::FalseAccusation(three) => {
            let [round1, echo, accusation] = three.as_ref();
            let DkgBody::Evidence(bytes) = &accusation.body else {
                return None;
            };
            let round2: DkgMessage = codec::decode(bytes.bytes(), ENVELOPE_BYTES_MAX).ok()?;
            setup.verify(&round2, verify).ok()?;
            // The accuser has signed that it measures by this very package.
            let is_measured = echoed(setup, echo, round1.slot)? == digest(setup, round1);
            let is_false = fits(setup, round1, &round2)?;
            (echo.slot == accusation.slot
                && accusation.slot != round2.slot
                && round2.session == round1.session
                && is_measured
                && is_false)
                .then_some(accusation.slot)
        }
        CeremonyAct::CertifiedTwice(both) => {
            let [a, b] = both.as_ref();
            let are = matches!(
                (&a.body, &b.body),
                (DkgBody::Certify(_), DkgBody::Certify(_))
            );
            (are && one_start(a, b) && a.body != b.body).then_some(a.slot)
        }
        CeremonyAct::NoncesTwice(both) => {
            let [a, b] = both.as_ref();
            let ((round, one), (same, other)) = (nonces(a)?, nonces(b)?);
            (round == same && one_start(a, b) && one != other).then_some(a.slot)
        }
        CeremonyAct::BadNonces(one) => {
            let (_, bytes) = nonces(one)?;
            let is_bad = bytes.len() <= CANARY_BYTES_MAX && commitments_of::<C>(bytes).is_none();
            (setup.receives(one.slot) && is_bad).then_some(one.slot)
        }
        CeremonyAct::BadCanaryShare(deed) => {
            let fails = canary_share_fails(setup, deed)?;
            fails.then_some(deed.share.slot)
        }
    }
}

/// Round and commitments of a message of the canary.
fn nonces(message: &DkgMessage) -> Option<(u64, &[u8])> {
    match &message.body {
        DkgBody::CanaryNonces { round, commitments } => Some((*round, commitments)),
        _ => None,
    }
}

fn one_start(a: &DkgMessage, b: &DkgMessage) -> bool {
    (a.slot, a.boot) == (b.slot, b.boot)
}

pub(super) fn digest<C: Ciphersuite>(setup: &Setup<C>, message: &DkgMessage) -> Digest {
    Digest::from_bytes(Sha256::digest(message.signed_bytes(&setup.domain)).into())
}

/// What an echo says of a party's round-1 package.
pub(super) fn echoed<C: Ciphersuite>(
    setup: &Setup<C>,
    echo: &DkgMessage,
    of: Slot,
) -> Option<Digest> {
    let DkgBody::Echo(digests) = &echo.body else {
        return None;
    };
    let at = setup.all().position(|slot| slot == of)?;
    (digests.len() == setup.parties())
        .then(|| digests.get(at).copied())
        .flatten()
}

/// Whether a round-1 package is one that others go on with.
pub(super) fn is_sound<C: Ciphersuite>(setup: &Setup<C>, round1: &DkgMessage) -> bool {
    if setup.change.is_some() {
        return match &round1.body {
            DkgBody::Round1(bytes) if !setup.deals(round1.slot) => bytes.is_empty(),
            _ => commitment_of(setup, round1).is_some(),
        };
    }
    decode_round1::<C>(round1, setup.membership.threshold()).is_some_and(|package| {
        let (commitment, proof) = (package.commitment(), package.proof_of_knowledge());
        verify_proof_of_knowledge(identifier(round1.slot), commitment, proof).is_ok()
    })
}

/// Whether a share fits its dealer's commitments; `None` if the two are not of one dealing.
fn fits<C: Ciphersuite>(
    setup: &Setup<C>,
    round1: &DkgMessage,
    round2: &DkgMessage,
) -> Option<bool> {
    let DkgBody::Round2 { to, package } = &round2.body else {
        return None;
    };
    if !one_start(round1, round2) || !setup.deals(round2.slot) || !setup.receives(*to) {
        return None;
    }
    let commitment = commitment_of(setup, round1)?;
    Some(share_fits::<C>(identifier(*to), package, &commitment))
}

/// A file of evidence, for those who take part.
pub(super) fn body(evidence: &Evidence) -> Option<DkgBody> {
    let Fact::Ceremony { act, .. } = &evidence.fact else {
        return None;
    };
    let bytes = Zeroizing::new(codec::encode(act));
    Some(DkgBody::Proof(SecretPackage::new(bytes)))
}

/// What others prove, as this member names it.
pub(super) fn act(act: CeremonyAct) -> Act {
    match act {
        CeremonyAct::Round1Twice(both) => Act::Equivocation(both),
        CeremonyAct::BadRound1(one) => Act::Round1(one),
        CeremonyAct::EchoTwice(both) | CeremonyAct::EchoDeniesOwn(both) => Act::Echo(both),
        CeremonyAct::BadDealing(both) => {
            let [_, round2] = *both;
            Act::Round2(Box::new(round2))
        }
        CeremonyAct::FalseAccusation(three) => {
            let [_, echo, accusation] = *three;
            Act::Accusation(Box::new([echo, accusation]))
        }
        CeremonyAct::CertifiedTwice(both) => Act::CertifiedTwice(both),
        CeremonyAct::NoncesTwice(both) => Act::CanaryNonces(both),
        CeremonyAct::BadNonces(one) => Act::BadNonces(one),
        CeremonyAct::BadCanaryShare(deed) => Act::CanaryShare(deed),
    }
}

/// The evidence of what ended a ceremony, for a file.
pub(super) fn of<C: Ciphersuite>(
    setup: &Setup<C>,
    attempt: &Attempt<C>,
    culprit: Slot,
    act: &Act,
) -> Option<Evidence> {
    let round1 = |slot: &Slot| attempt.inbox.round1.get(slot).cloned();
    let act = match act {
        Act::Equivocation(both) => CeremonyAct::Round1Twice(both.clone()),
        Act::Round1(one) => CeremonyAct::BadRound1(one.clone()),
        Act::Echo(both) => match both.as_ref() {
            [
                DkgMessage {
                    body: DkgBody::Echo(_),
                    ..
                },
                _,
            ] => CeremonyAct::EchoTwice(both.clone()),
            _ => CeremonyAct::EchoDeniesOwn(both.clone()),
        },
        Act::Round2(round2) => {
            let dealer = round1(&round2.slot)?;
            CeremonyAct::BadDealing(Box::new([dealer, round2.as_ref().clone()]))
        }
        Act::Accusation(both) => {
            let [echo, accusation] = both.as_ref();
            let DkgBody::Evidence(bytes) = &accusation.body else {
                return None;
            };
            let envelope = codec::decode::<DkgMessage>(bytes.bytes(), ENVELOPE_BYTES_MAX);
            let dealer = round1(&envelope.ok()?.slot)?;
            CeremonyAct::FalseAccusation(Box::new([dealer, echo.clone(), accusation.clone()]))
        }
        Act::CertifiedTwice(both) => CeremonyAct::CertifiedTwice(both.clone()),
        Act::CanaryNonces(both) => CeremonyAct::NoncesTwice(both.clone()),
        Act::BadNonces(one) => CeremonyAct::BadNonces(one.clone()),
        Act::CanaryShare(deed) => CeremonyAct::BadCanaryShare(deed.clone()),
        // Only who holds all of round 1 can tell.
        Act::Certify(_) | Act::Refused | Act::ShareLost => return None,
    };
    Some(file(setup, culprit, act))
}

/// A file of evidence about this ceremony, without the history that a reshare's needs.
pub(super) fn file<C: Ciphersuite>(setup: &Setup<C>, culprit: Slot, act: CeremonyAct) -> Evidence {
    let plan = setup.change.as_ref().map(|change| change.plan.clone());
    let fact = Fact::Ceremony { act, plan };
    Evidence::new(setup.domain.committee, Culprit::Member(culprit), fact)
}
