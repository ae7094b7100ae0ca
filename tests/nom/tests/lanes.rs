//! What a committee signs because an attested leaf says so: on real FROST keys and registers, with
//! members and coordinators that err.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a panic is a failed test"
)]

use attestation::codec;
use attestation::commit::Commit;
use attestation::ids::{CommitteeId, Digest, ModuleDigest, RequestId, Seq, Slot, ZappId};
use attestation::leaf::{BlockLeaf, Leaf};
use attestation::step_attestation::StepAttestation;
use coordinator_protocol::lane::LaneOutput;
use devnet::{Quorum, Steps};
use signer_protocol::blame::{Act, Culprit};
use signer_protocol::evidence::leaf_share_fails;
use signer_protocol::lane::{FromLane, LaneError, LanePackage, Proof, ToLane};
use signer_protocol::message::Lane;
use signer_protocol::register::Refused;
use state::execute::{Executable, Execute, ExecuteError, Execution, Verdict};
use state::journal::Journal;
use state::step::StepOutcome;
use state::system::nom::{ANCHOR, CONFIRM, Confirm, ISSUE, Issue, OPEN, Open};

/// No zApp runs in these steps.
struct NoZapp;

impl Execute for NoZapp {
    fn prepare(&mut self, _: &RequestId, module: &ModuleDigest) -> Result<Verdict, ExecuteError> {
        Err(ExecuteError::Module(*module))
    }

    fn execute(
        &mut self,
        call: &Executable<'_>,
        _: &mut Journal<'_>,
    ) -> Result<Execution, ExecuteError> {
        Err(ExecuteError::Hung(call.request))
    }
}

/// A committee with its account begun and an anchor ordered.
fn committee() -> (Quorum, Steps) {
    let mut quorum = Quorum::new(321, 7);
    let mut steps = Steps::new(&quorum.record);
    let open = Open {
        key: *quorum.committee.group_key(),
    };
    system(&mut quorum, &mut steps, OPEN, codec::encode(&open));
    system(&mut quorum, &mut steps, ANCHOR, Vec::new());
    (quorum, steps)
}

fn system(
    quorum: &mut Quorum,
    steps: &mut Steps,
    method: &str,
    input: Vec<u8>,
) -> (StepOutcome, StepAttestation) {
    steps.step(quorum, &mut NoZapp, ZappId::SYSTEM, (method, input))
}

const fn paid(plasma: u64) -> Issue {
    Issue {
        momentum: Digest::from_bytes([3; 32]),
        momentum_height: 9,
        fused_plasma: plasma,
        difficulty: 0,
        nonce: 0,
    }
}

fn issue(quorum: &mut Quorum, steps: &mut Steps, plasma: u64) -> Proof {
    let input = codec::encode(&paid(plasma));
    Steps::issued(&system(quorum, steps, ISSUE, input))
}

fn honest(_: Slot, answer: FromLane) -> Option<FromLane> {
    Some(answer)
}

/// Whether a block of the leaf with this signature is one that the network takes.
fn is_valid(quorum: &Quorum, proof: &Proof, signature: &[u8; 64]) -> bool {
    let hash = nom::sha3_256(&proof.leaf[BlockLeaf::HASHED_FROM..]);
    let key = quorum.committee.group_key().as_bytes();
    let key = ed25519_dalek::VerifyingKey::from_bytes(key).unwrap();
    let signature = ed25519_dalek::Signature::from_bytes(signature);
    key.verify_strict(hash.as_bytes(), &signature).is_ok()
}

#[test]
fn four_of_five_sign_the_block_that_a_leaf_fixes() {
    let (mut quorum, mut steps) = committee();
    let proof = issue(&mut quorum, &mut steps, 30_000);
    let (signature, reported) = quorum.sign(&proof, honest);
    assert!(is_valid(&quorum, &proof, &signature));
    assert_eq!(reported, []);
    let warrant = quorum.warrant(&proof).unwrap();
    assert_eq!((warrant.lane, warrant.position), (Lane::Nom, 1));
    let signed: Vec<_> = quorum
        .members
        .iter()
        .filter_map(|member| member.chain.lane(Lane::Nom).signed)
        .collect();
    // In the register of the four that signed, and of nobody else.
    assert_eq!(signed.len(), 4);
    assert!(signed.iter().all(|signed| signed.position == 1));
}

#[test]
fn one_silent_member_and_one_that_gives_bad_shares_are_told_and_passed_over() {
    let (mut quorum, mut steps) = committee();
    let proof = issue(&mut quorum, &mut steps, 30_000);
    let silent = |slot: Slot, answer| (slot != Slot(2) || is_nonces(&answer)).then_some(answer);
    let (signature, reported) = quorum.sign(&proof, silent);
    assert!(is_valid(&quorum, &proof, &signature));
    assert_eq!(reported, [LaneOutput::Silent(Slot(2))]);

    // Slot 3 signs a share that is none: rightly signed, so that it convicts itself.
    let (mut quorum, mut steps) = committee();
    let proof = issue(&mut quorum, &mut steps, 30_000);
    let domain = *quorum.committee.domain();
    let bad = |slot, answer| match answer {
        FromLane::Share(mut share) if slot == Slot(3) => {
            share.share[0] ^= 1;
            let identity = signer_protocol::identity::Ed25519Identity::from_seed(&[3; 32]);
            share.signature = signer_protocol::identity::SignIdentity::sign(
                &identity,
                &share.signed_bytes(&domain),
            );
            Some(FromLane::Share(share))
        }
        other => Some(other),
    };
    let (signature, reported) = quorum.sign(&proof, bad);
    assert!(is_valid(&quorum, &proof, &signature));
    let [LaneOutput::BadShare(leaf)] = reported.as_slice() else {
        panic!("{reported:?}");
    };
    assert_eq!(leaf.share.slot, Slot(3));
    let warrant = quorum.warrant(&proof).unwrap();
    assert_eq!(*leaf.message, warrant.message);
    assert!(leaf_share_fails(quorum.public(), leaf));
    let act = Act::BadLeafShare(leaf.clone());
    let verify = signer_protocol::identity::Ed25519Verify;
    let proves = |slot| act.proves(Culprit::Member(Slot(slot)), &quorum.committee, &verify);
    assert!(proves(3) && !proves(4));
}

#[test]
fn nobody_signs_what_is_not_attested_not_held_or_of_another_account() {
    let (mut quorum, mut steps) = committee();
    let proof = issue(&mut quorum, &mut steps, 30_000);
    let offer = |quorum: &mut Quorum, proof: &Proof, rank| {
        quorum.tell(Slot(1), rank, ToLane::Offer(proof.clone()))
    };
    let mut other = proof.clone();
    other.leaf[340] ^= 1;
    let mut place = proof.clone();
    place.index -= 1;
    let mut signature = proof.clone();
    let last = signature.attestation.len() - 1;
    signature.attestation[last] ^= 1;
    let mut longer = proof.clone();
    longer.path = vec![longer.path[0]; 17];
    // Another committee's, rightly attested by it.
    let mut stranger = Quorum::new(321, 8);
    let mut its = Steps::new(&stranger.record);
    let open = Open {
        key: *quorum.committee.group_key(),
    };
    system(&mut stranger, &mut its, OPEN, codec::encode(&open));
    system(&mut stranger, &mut its, ANCHOR, Vec::new());
    let foreign = issue(&mut stranger, &mut its, 30_000);
    for proof in [&other, &place, &signature, &longer, &foreign] {
        assert_eq!(offer(&mut quorum, proof, 0), Err(LaneError::Proof));
        assert_eq!(quorum.lead(proof.clone()).err(), Some(LaneError::Proof));
    }
    // Attested by the stranger itself, but for an account of ours.
    assert_eq!(
        stranger.tell(Slot(1), 0, ToLane::Offer(foreign)),
        Err(LaneError::Proof)
    );
    // Of another step, network or committee, under the same key.
    let Leaf::Block(block) = Leaf::from_bytes(&proof.leaf).unwrap() else {
        panic!("a block");
    };
    let changes: [fn(&mut Commit); 3] = [
        |commit| commit.seq.0 += 1,
        |commit| commit.network.0 += 1,
        |commit| commit.committee = CommitteeId::from_bytes([1; 32]),
    ];
    for change in changes {
        let elsewhere = attested_as(&mut quorum, &proof, &block, change);
        assert_eq!(offer(&mut quorum, &elsewhere, 0), Err(LaneError::Proof));
    }
    // A leaf of another kind.
    let outcome = system(&mut quorum, &mut steps, ANCHOR, Vec::new());
    let settlement = Proof::of(&outcome.1, &outcome.0.leaves, 0).unwrap();
    assert_eq!(offer(&mut quorum, &settlement, 0), Err(LaneError::Proof));

    assert_eq!(offer(&mut quorum, &proof, 1), Err(LaneError::Coordinator));
    quorum.members[0].head = Seq(2);
    assert_eq!(offer(&mut quorum, &proof, 0), Err(LaneError::Unheld));
    quorum.members[0].head = Seq(3);
    assert!(offer(&mut quorum, &proof, 0).is_ok());
}

#[test]
fn a_package_is_signed_only_as_its_commitments_were_offered_and_once() {
    let (mut quorum, mut steps) = committee();
    let proof = issue(&mut quorum, &mut steps, 30_000);
    let first = package(&quorum_nonces(&mut quorum, &proof), &quorum, &proof);
    let ask = |quorum: &mut Quorum, rank, package: &LanePackage| {
        quorum.tell(Slot(1), rank, ToLane::Package(package.clone()))
    };
    let altered = |change: fn(&mut LanePackage)| {
        let mut package = first.clone();
        change(&mut package);
        resigned(package, &quorum)
    };
    let cases = [
        (
            altered(|package| package.message = Digest::from_bytes([1; 32])),
            LaneError::NotAsked,
        ),
        (altered(|package| package.rank = 1), LaneError::Coordinator),
        (
            altered(|package| {
                package.nonces.pop();
            }),
            LaneError::Set,
        ),
        (altered(|package| package.nonces.swap(2, 3)), LaneError::Set),
        (
            altered(|package| package.nonces[3] = package.nonces[2].clone()),
            LaneError::Set,
        ),
        (
            altered(|package| package.nonces[0].attempt.0 += 1),
            LaneError::OwnCommitments,
        ),
        (
            altered(|package| package.nonces[1].commitments[9] ^= 1),
            LaneError::Commitments,
        ),
        (
            altered(|package| package.nonces[1].seq.0 += 1),
            LaneError::Commitments,
        ),
    ];
    for (package, error) in cases {
        assert_eq!(ask(&mut quorum, 0, &package), Err(error), "{error}");
    }
    let mut unsigned = first.clone();
    unsigned.signature = attestation::ids::Signature::from_bytes([0; 64]);
    assert_eq!(ask(&mut quorum, 0, &unsigned), Err(LaneError::Coordinator));
    assert_eq!(ask(&mut quorum, 1, &first), Err(LaneError::NotAsked));
    assert_eq!(quorum.members[0].chain.lane(Lane::Nom).signed, None);

    assert_eq!(ask(&mut quorum, 0, &first).unwrap().len(), 1);
    // The nonces are gone.
    assert_eq!(ask(&mut quorum, 0, &first), Err(LaneError::NotAsked));
    // Those of an earlier start, too.
    let second = package(&quorum_nonces(&mut quorum, &proof), &quorum, &proof);
    quorum.restart(Slot(1));
    assert_eq!(ask(&mut quorum, 0, &second), Err(LaneError::NotAsked));
}

#[test]
fn a_height_is_signed_once_and_again_only_for_the_same_effect_also_after_a_restart() {
    let (mut quorum, mut steps) = committee();
    let first = issue(&mut quorum, &mut steps, 30_000);
    let again = issue(&mut quorum, &mut steps, 31_000);
    quorum.sign(&first, honest);
    quorum.restart(Slot(1));
    let (signature, _) = quorum.sign(&again, honest);
    assert!(is_valid(&quorum, &again, &signature));
    // The first may be the one that the network takes after all.
    quorum.sign(&first, honest);

    // The committee goes on after the second, with another block at height 2.
    let hash = nom::sha3_256(&again.leaf[BlockLeaf::HASHED_FROM..]);
    let confirm = Confirm {
        block: Digest::from_bytes(*hash.as_bytes()),
        issue: paid(31_000),
    };
    system(&mut quorum, &mut steps, CONFIRM, codec::encode(&confirm));
    system(&mut quorum, &mut steps, ANCHOR, Vec::new());
    let next = issue(&mut quorum, &mut steps, 32_000);
    quorum.sign(&next, honest);

    // An order that has gone by is signed no more: not even by a coordinator that replays its leaf.
    let refused = Refused::Position {
        current: 2,
        actual: 1,
    };
    for slot in 1..=4 {
        if slot == 2 {
            quorum.restart(Slot(slot));
        }
        assert_eq!(
            sign_alone(&mut quorum, Slot(slot), &first),
            Err(refused.into())
        );
    }
    // At the same height, another effect: what only a state machine that errs could attest.
    let Leaf::Block(mut block) = Leaf::from_bytes(&next.leaf).unwrap() else {
        panic!("a block");
    };
    block.to = [0x99; 20];
    let forged = attested(&mut quorum, &next, &block);
    let refused = Refused::Position {
        current: 2,
        actual: 2,
    };
    assert_eq!(
        sign_alone(&mut quorum, Slot(1), &forged),
        Err(refused.into())
    );
    block.height = 3;
    let later = attested(&mut quorum, &next, &block);
    assert!(sign_alone(&mut quorum, Slot(1), &later).is_ok());
}

fn is_nonces(answer: &FromLane) -> bool {
    matches!(answer, FromLane::Nonces(_))
}

/// The commitments of slots 1 to 4.
fn quorum_nonces(
    quorum: &mut Quorum,
    proof: &Proof,
) -> Vec<signer_protocol::message::SignedNonces> {
    let offers = (1..=4).map(|slot| {
        let answers = quorum.tell(Slot(slot), 0, ToLane::Offer(proof.clone()));
        match answers.unwrap().remove(0) {
            FromLane::Nonces(nonces) => nonces,
            FromLane::Share(_) => panic!("no package was sent"),
        }
    });
    offers.collect()
}

fn package(
    nonces: &[signer_protocol::message::SignedNonces],
    quorum: &Quorum,
    proof: &Proof,
) -> LanePackage {
    let warrant = quorum.warrant(proof).unwrap();
    let package = LanePackage {
        rank: 0,
        message: signer_protocol::lane::digest(&warrant.message),
        nonces: nonces.to_vec(),
        signature: attestation::ids::Signature::from_bytes([0; 64]),
    };
    resigned(package, quorum)
}

fn resigned(mut package: LanePackage, quorum: &Quorum) -> LanePackage {
    let identity = signer_protocol::identity::Ed25519Identity::from_seed(&[99; 32]);
    let bytes = package.signed_bytes(quorum.committee.domain());
    package.signature = signer_protocol::identity::SignIdentity::sign(&identity, &bytes);
    package
}

/// One member's share, of a package that a coordinator makes of the first four's commitments.
fn sign_alone(quorum: &mut Quorum, slot: Slot, proof: &Proof) -> Result<usize, LaneError> {
    let nonces = quorum_nonces(quorum, proof);
    let package = package(&nonces, quorum, proof);
    Ok(quorum.tell(slot, 0, ToLane::Package(package))?.len())
}

/// A leaf in the place of another's, attested as if all members had agreed to it.
fn attested(quorum: &mut Quorum, like: &Proof, block: &BlockLeaf) -> Proof {
    attested_as(quorum, like, block, |_| {})
}

fn attested_as(
    quorum: &mut Quorum,
    like: &Proof,
    block: &BlockLeaf,
    change: fn(&mut Commit),
) -> Proof {
    let step = StepAttestation::from_bytes(&like.attestation).unwrap();
    let leaves = vec![vec![0], block.to_bytes()];
    let mut commit = step.commit;
    commit.tree_size = 2;
    change(&mut commit);
    let outcome = StepOutcome {
        commit,
        root: attestation::merkle::root(&leaves),
        leaves: leaves.clone(),
        reports: Vec::new(),
        outcomes: Vec::new(),
        writes: Vec::new(),
        trace_root: attestation::ids::TraceRoot::from_bytes([0; 32]),
        touched: Default::default(),
    };
    let attestation = quorum.attest(&outcome);
    Proof::of(&attestation, &leaves, 1).unwrap()
}
