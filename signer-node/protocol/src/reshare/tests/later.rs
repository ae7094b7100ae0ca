//! Evidence of what is done after members have changed: measured by the creation record and the
//! changes that lead from it.

use alloc::boxed::Box;

use attestation::commit::Commit;
use attestation::ids::{
    Attempt, Boot, Digest, IdentityKey, LeafRoot, Seq, Signature, StateRoot, StatementId, View,
};
use attestation::receipt;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use serde_bytes::ByteBuf;
use state::job::SignedVote;
use zeroize::Zeroizing;

use super::*;
use crate::blame::{Act, Culprit};
use crate::dkg::tests::resigned;
use crate::evidence::{Evidence, EvidenceError, Fact, History, Kind, Place};
use crate::identity::SignIdentity as _;
use crate::lineage::EpochRecord;
use crate::message::{
    Certificate, DkgBody, Lane, SecretPackage, SignedNonces, SignedPackage, SignedProposal,
    SignedShare, Stated,
};

/// The one coordinator of every test's committee.
const COORDINATOR: u16 = 1_000;

/// Members 1 to 5 in the first epoch, 1 to 4 and 6 in the second, 2, 3, 4 and 6 in the third.
struct Epochs {
    held: [Held; 3],
    history: History,
}

impl Epochs {
    fn new() -> Self {
        let first = Held::first(5);
        let to_second = first.plan(&[1, 2, 3, 4], &[1, 2, 3, 4, 6], 4);
        let second = first.change(&[1, 2, 3, 4], &[1, 2, 3, 4, 6], 4);
        let to_third = second.plan(&[1, 2, 3, 6], &[2, 3, 4, 6], 3);
        let third = second.change(&[1, 2, 3, 6], &[2, 3, 4, 6], 3);
        let change = |plan, held: &Held| EpochRecord {
            plan,
            key: held.key.clone(),
        };
        let history = History {
            key: first.key.clone(),
            epochs: vec![change(to_second, &second), change(to_third, &third)],
        };
        Self {
            held: [first, second, third],
            history,
        }
    }

    fn domain(&self) -> state::job::Domain {
        *self.held[0].base.domain()
    }

    fn vote(&self, slot: u16, epoch: u64, statement: StatementId) -> SignedVote {
        let mut vote = SignedVote {
            slot: Slot(slot),
            epoch: Epoch(epoch),
            seq: Seq(70),
            view: View(5),
            statement,
            mask: Digest::from_bytes([0; 32]),
            signature: Signature::from_bytes([0; 64]),
        };
        vote.signature = identity(slot).sign(&vote.signed_bytes(&self.domain()));
        vote
    }

    fn two_votes(&self, slot: u16, epoch: u64) -> Act {
        let vote = |of| self.vote(slot, epoch, StatementId::from_bytes([of; 32]));
        Act::VotedTwice(Box::new([vote(1), vote(2)]))
    }

    /// For the same seq and view in two epochs, of which a seq has one (rule B4).
    fn votes_of(&self, slot: u16, epochs: [u64; 2]) -> Act {
        let statement = StatementId::from_bytes([1; 32]);
        Act::VotedTwice(Box::new(
            epochs.map(|epoch| self.vote(slot, epoch, statement)),
        ))
    }

    fn two_proposals(&self, epoch: u64) -> Act {
        let proposal = |job| {
            let mut proposal = SignedProposal {
                rank: 0,
                epoch: Epoch(epoch),
                seq: Seq(70),
                view: View(5),
                job: Digest::from_bytes([job; 32]),
                signature: Signature::from_bytes([0; 64]),
            };
            let signed = proposal.signed_bytes(&self.domain());
            proposal.signature = identity(COORDINATOR).sign(&signed);
            proposal
        };
        Act::ProposedTwice(Box::new([proposal(1), proposal(2)]))
    }

    fn two_packages(&self, epoch: u64) -> Act {
        let package = |of| {
            let vote = self.vote(2, epoch, StatementId::from_bytes([of; 32]));
            self.package(vec![vote], vec![])
        };
        Act::PackagedTwice(Box::new([package(1), package(2)]))
    }

    fn package(&self, votes: Vec<SignedVote>, nonces: Vec<SignedNonces>) -> SignedPackage {
        let mut package = SignedPackage {
            rank: 0,
            certificate: Certificate { votes },
            attempt: Attempt(1),
            nonces,
            signature: Signature::from_bytes([0; 64]),
        };
        package.signature = identity(COORDINATOR).sign(&package.signed_bytes(&self.domain()));
        package
    }

    /// The share of member 6 in the third epoch, of a step that 2, 3 and 6 sign; spoiled, or not.
    fn share(&self, is_bad: bool) -> Act {
        let (slots, held) = ([2, 3, 6], &self.held[2]);
        let mut rng = ChaCha20Rng::seed_from_u64(4);
        let zeros = Digest::from_bytes([0; 32]);
        let commit = Commit {
            network: self.domain().network,
            committee: self.domain().committee,
            epoch: Epoch(3),
            seq: Seq(70),
            tree_size: 1,
            previous_state: StateRoot::from_bytes([1; 32]),
            state: StateRoot::from_bytes([2; 32]),
            profile: PROFILE,
            previous: StatementId::from_bytes([3; 32]),
            anchor_height: 0,
            anchor: zeros,
            time_ms: 1,
            gas_used: 0,
            inputs: zeros,
            trace: zeros,
        };
        let stated = Stated {
            commit,
            root: LeafRoot::from_bytes([4; 32]),
        };
        let mut secrets = BTreeMap::new();
        let mut nonces = vec![];
        for slot in slots {
            let key = held.shares[&Slot(slot)].key_package();
            let (secret, commitments) =
                frost_core::round1::commit::<Suite, _>(key.signing_share(), &mut rng);
            secrets.insert(slot, secret);
            let mut signed = SignedNonces {
                slot: Slot(slot),
                lane: Lane::Steps,
                epoch: Epoch(3),
                seq: Seq(70),
                view: View(5),
                attempt: Attempt(1),
                boot: Boot(1),
                commitments: ByteBuf::from(commitments.serialize().unwrap()),
                signature: Signature::from_bytes([0; 64]),
            };
            signed.signature = identity(slot).sign(&signed.signed_bytes(&self.domain()));
            nonces.push(signed);
        }
        let votes = slots.map(|slot| self.vote(slot, 3, stated.statement()));
        let package = self.package(votes.to_vec(), nonces.clone());
        let group_key = held.key.ed25519_key().unwrap();
        let message = receipt::sig_structure(&stated.commit, &stated.root, &group_key);
        let signing = crate::signer::signing_package::<Suite>(&nonces, &message).unwrap();
        let key = held.shares[&Slot(6)].key_package();
        let share = frost_core::round2::sign(&signing, &secrets[&6], key).unwrap();
        let mut bytes = share.serialize();
        bytes[0] ^= u8::from(is_bad);
        let mut share = SignedShare {
            slot: Slot(6),
            epoch: Epoch(3),
            seq: Seq(70),
            view: View(5),
            attempt: Attempt(1),
            package: package.digest(&self.domain()),
            share: ByteBuf::from(bytes),
            signature: Signature::from_bytes([0; 64]),
            next: nonces[2].clone(),
        };
        share.signature = identity(6).sign(&share.signed_bytes(&self.domain()));
        Act::BadShare {
            share: Box::new(share),
            package: Box::new(package),
            stated: Box::new(stated),
        }
    }

    fn file(&self, culprit: Culprit, act: &Act) -> Evidence {
        let file = Evidence::of_step(self.domain().committee, culprit, act);
        file.expect("it claims a proof").with_history(&self.history)
    }

    /// What the file says to whoever has the creation record alone, after it was written and read.
    fn judged(&self, file: &Evidence) -> Result<(Kind, Epoch, IdentityKey), EvidenceError> {
        let read = Evidence::from_bytes(&file.to_bytes())?;
        assert_eq!(read, *file);
        let conviction = read.verify(&self.held[0].record)?;
        assert_eq!(conviction.culprit, file.culprit);
        Ok((conviction.kind, conviction.epoch, conviction.identity))
    }
}

fn member(slot: u16) -> Culprit {
    Culprit::Member(Slot(slot))
}

#[test]
fn a_file_convicts_in_every_epoch_with_the_changes_that_lead_there() {
    let epochs = Epochs::new();
    let coordinator = Culprit::Coordinator(0);
    let crossed = |of| epochs.votes_of(2, of);
    let cases = [
        (member(1), epochs.two_votes(1, 1), 1, Kind::VotedTwice, 0),
        (member(6), epochs.two_votes(6, 2), 2, Kind::VotedTwice, 1),
        (member(6), epochs.two_votes(6, 3), 3, Kind::VotedTwice, 2),
        (member(2), crossed([1, 2]), 1, Kind::VotedTwice, 0),
        (member(2), crossed([3, 2]), 3, Kind::VotedTwice, 2),
        (
            coordinator,
            epochs.two_proposals(2),
            2,
            Kind::ProposedTwice,
            1,
        ),
        // Packages are measured by the creation record in every epoch.
        (
            coordinator,
            epochs.two_packages(3),
            3,
            Kind::PackagedTwice,
            0,
        ),
        (member(6), epochs.share(true), 3, Kind::BadShare, 2),
    ];
    for (culprit, act, epoch, kind, changes) in &cases {
        let file = epochs.file(*culprit, act);
        let carried = file
            .history
            .as_ref()
            .map_or(0, |history| history.epochs.len());
        assert_eq!(carried, *changes, "{kind} carries what it needs alone");
        let key = match culprit {
            Culprit::Member(slot) => identity(slot.0).key(),
            Culprit::Coordinator(_) => identity(COORDINATOR).key(),
        };
        assert_eq!(epochs.judged(&file), Ok((*kind, Epoch(*epoch), key)));
        for slot in 0..=7 {
            for accused in [member(slot), Culprit::Coordinator(slot)] {
                let mut other = file.clone();
                other.culprit = accused;
                let is_convicted = other.verify(&epochs.held[0].record).is_ok();
                assert_eq!(is_convicted, accused == *culprit, "{kind}");
            }
        }
    }
}

#[test]
fn a_vote_of_another_epoch_convicts_only_whoever_signed_it() {
    let epochs = Epochs::new();
    let Act::VotedTwice(both) = epochs.votes_of(2, [1, 2]) else {
        unreachable!("they are votes");
    };
    type Change = fn(&mut SignedVote);
    let cases: [(&str, Change); 4] = [
        ("the same vote", |vote| vote.epoch = Epoch(1)),
        ("of a later view", |vote| vote.view = View(6)),
        ("of the next seq", |vote| vote.seq = Seq(71)),
        ("of another member", |vote| vote.slot = Slot(3)),
    ];
    for (what, change) in cases {
        let mut both = both.clone();
        let [_, second] = both.as_mut();
        change(second);
        let signed = second.signed_bytes(&epochs.domain());
        second.signature = identity(second.slot.0).sign(&signed);
        let file = epochs.file(member(2), &Act::VotedTwice(both));
        let unfounded = Err(EvidenceError::Unfounded);
        assert_eq!(epochs.judged(&file), unfounded, "{what}");
    }
    let mut forged = both.clone();
    let [_, second] = forged.as_mut();
    second.signature = identity(3).sign(&second.signed_bytes(&epochs.domain()));
    let file = epochs.file(member(2), &Act::VotedTwice(forged));
    assert_eq!(epochs.judged(&file), Err(EvidenceError::Signature));
}

#[test]
fn a_share_that_fits_its_own_epoch_convicts_nobody_by_the_key_of_another() {
    let epochs = Epochs::new();
    let file = epochs.file(member(6), &epochs.share(false));
    assert_eq!(epochs.judged(&file), Err(EvidenceError::Unfounded));
    let mut by_another = file.clone();
    by_another.history = epochs.history.up_to(Epoch(2)).map(Box::new);
    let refused = epochs.judged(&by_another);
    assert_eq!(refused, Err(EvidenceError::Epoch(Epoch(3))));
}

#[test]
fn changes_that_do_not_lead_from_the_creation_record_to_the_epoch_convict_nobody() {
    let epochs = Epochs::new();
    let good = epochs.file(member(6), &epochs.two_votes(6, 3));
    assert!(epochs.judged(&good).is_ok());
    type Spoil = fn(&mut History, &Epochs);
    let missing = EvidenceError::Epoch(Epoch(3));
    let cases: [(&str, Option<EvidenceError>, Spoil); 8] = [
        ("none", Some(missing), |history, _| history.epochs.clear()),
        ("the last is missing", Some(missing), |history, _| {
            history.epochs.truncate(1);
        }),
        ("the first is missing", None, |history, _| {
            history.epochs.remove(0);
        }),
        ("twice", None, |history, _| {
            let last = history.epochs[1].clone();
            history.epochs.push(last);
        }),
        ("another key of the last", None, |history, epochs| {
            history.epochs[1].key = epochs.held[1].key.clone();
        }),
        ("another first key", None, |history, epochs| {
            history.key = epochs.held[2].key.clone();
        }),
        ("other members", None, |history, _| {
            history.epochs[1].plan.members[3].card = card(7);
        }),
        ("another threshold", None, |history, _| {
            history.epochs[1].plan.threshold = 4;
        }),
    ];
    for (what, expected, spoil) in cases {
        let mut file = good.clone();
        spoil(file.history.as_mut().unwrap(), &epochs);
        let judged = epochs.judged(&file).expect_err(what);
        match expected {
            Some(expected) => assert_eq!(judged, expected, "{what}"),
            None => assert!(matches!(judged, EvidenceError::Key(_)), "{what}: {judged}"),
        }
    }
    let mut without = good.clone();
    without.history = None;
    let refused = epochs.judged(&without);
    assert_eq!(refused, Err(EvidenceError::NoHistory(Epoch(3))));
    // A file has one form: what it does not need is not in it.
    let mut first = epochs.file(member(1), &epochs.two_votes(1, 1));
    assert_eq!(first.history, None);
    first.history = good.history.clone();
    let refused = epochs.judged(&first);
    assert_eq!(refused, Err(EvidenceError::Epoch(Epoch(1))));
    // Who has left signs nothing any more, and who has not come yet neither.
    for (slot, epoch) in [(1, 3), (5, 2), (6, 1)] {
        let file = epochs.file(member(slot), &epochs.two_votes(slot, epoch));
        assert_eq!(epochs.judged(&file), Err(EvidenceError::Signature));
    }
    // Another committee's history, whose members sign with the same keys.
    let mut record = epochs.held[0].record.clone();
    record.salt = Digest::from_bytes([9; 32]);
    let mut elsewhere = good;
    assert_eq!(elsewhere.verify(&record), Err(EvidenceError::Committee));
    elsewhere.committee = record.id();
    let refused = elsewhere.verify(&record);
    assert!(matches!(refused, Err(EvidenceError::Key(_))), "{refused:?}");
}

#[test]
fn one_changed_bit_of_a_file_about_a_later_epoch_convicts_nobody() {
    let epochs = Epochs::new();
    let file = epochs.file(member(6), &epochs.two_votes(6, 3));
    let bytes = file.to_bytes();
    let record = &epochs.held[0].record;
    for at in (0..bytes.len()).step_by(3) {
        let mut changed = bytes.clone();
        changed[at] ^= 1 << (at % 8);
        let judged = Evidence::from_bytes(&changed).and_then(|one| one.verify(record));
        assert!(judged.is_err(), "byte {at}: {judged:?}");
    }
    for cut in (0..bytes.len()).step_by(61) {
        assert!(Evidence::from_bytes(&bytes[..cut]).is_err());
    }
}

#[test]
fn what_ends_a_reshare_of_a_later_epoch_convicts_with_the_changes_before_it() {
    let epochs = Epochs::new();
    let second = &epochs.held[1];
    let plan = epochs.history.epochs[1].plan.clone();
    let mut net = second.net(&plan, 8);
    let record = net.record.clone();
    net.tamper = Box::new(move |to, mut message| {
        if let DkgBody::Round2 { package, .. } = &mut message.body
            && (message.slot, to) == (Slot(6), Slot(3))
        {
            let mut bytes = package.bytes().to_vec();
            let last = bytes.len() - 32;
            bytes[last] ^= 1;
            *package = SecretPackage::new(Zeroizing::new(bytes));
            return vec![resigned(&record, message)];
        }
        vec![message]
    });
    net.run(2_000);
    let (culprits, act) = net.members[&Slot(2)].aborted.as_ref().expect("it ended");
    assert_eq!(culprits, &[Slot(6)], "{act}");
    let machine = net.members[&Slot(2)].machine.as_ref().unwrap();
    let bare = machine.proof().expect("a proof").clone();
    assert_eq!(bare.needs(), Some(Epoch(2)), "the epoch that it changes");
    assert_eq!(
        epochs.judged(&bare),
        Err(EvidenceError::NoHistory(Epoch(2)))
    );
    let file = bare.clone().with_history(&epochs.history);
    let convicted = Ok((Kind::BadDealing, Epoch(3), identity(6).key()));
    assert_eq!(epochs.judged(&file), convicted);
    let conviction = file.verify(&epochs.held[0].record).unwrap();
    assert!(matches!(
        conviction.place,
        Place::Ceremony { attempt: 1, .. }
    ));
    // A history that does not lead there gives nothing.
    let short = History {
        epochs: vec![],
        ..epochs.history.clone()
    };
    assert_eq!(bare.with_history(&short).history, None);
    // Under another plan the same words are of another session.
    let mut other = file;
    let Fact::Ceremony { plan, .. } = &mut other.fact else {
        panic!("{:?}", other.fact);
    };
    plan.as_mut().unwrap().dealers = [1, 2, 3, 4].map(Slot).to_vec();
    assert_eq!(epochs.judged(&other), Err(EvidenceError::Signature));
}
