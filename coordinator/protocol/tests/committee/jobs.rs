//! What a signer checks of a job before it runs it (rule A2), and of what else it is told.

use attestation::commit::Commit;
use attestation::ids::{
    Digest, NetworkId, RuntimeProfile, Seq, Signature, Slot, StateRoot, TraceRoot,
};
use attestation::receipt;
use attestation::step_attestation::StepAttestation;
use frost_ed25519::{SigningPackage, aggregate, round1, round2};
use serde_bytes::ByteBuf;
use signer_protocol::identity::SignIdentity as _;
use signer_protocol::message::{Endpoint, FromExecutor, InvalidJob, Message, Stated, ToSigner};
use signer_protocol::signer::{self, Halt};
use state::entry::EntryWrite;
use state::job::{Job, SignedFault};
use state::pull::SignedObservation;
use state::step::{Previous, run};
use state::witness::Touched;

use crate::engine::Engine;
use crate::voice::{SOON_MS, give_job, listen, propose, seized};
use crate::world::{Seen, World};

/// A flipped bit.
fn forged(signature: &Signature) -> Signature {
    let mut bytes = *signature.as_bytes();
    bytes[40] ^= 1;
    Signature::from_bytes(bytes)
}

/// A third step's job with listed votes and a revealed trace root, the coordinators silenced.
fn waiting(world: &mut World) -> Job {
    let zapp = world.deploy();
    for _ in 0..2 {
        world.request(zapp, "add", Vec::new());
        assert!(world.run_until(SOON_MS, World::all_done));
        world.run_for(20);
    }
    world.request(zapp, "add", Vec::new());
    let job = seized(world);
    assert_eq!((job.votes.len(), job.reveal.is_some()), (5, true));
    job
}

/// The group's signature over any statement, made with all keys in one hand.
pub fn attest(
    world: &mut World,
    commit: Commit,
    root: attestation::ids::LeafRoot,
) -> StepAttestation {
    let message = receipt::sig_structure(&commit, &root, world.committee.group_key());
    let keys: Vec<_> = world.keys.values().take(4).cloned().collect();
    let (mut nonces, mut commitments) = (Vec::new(), std::collections::BTreeMap::new());
    for key in &keys {
        let (own, public) = round1::commit(key.signing_share(), &mut world.rng);
        nonces.push(own);
        commitments.insert(*key.identifier(), public);
    }
    let package = SigningPackage::new(commitments, &message);
    let shares = keys.iter().zip(&nonces).map(|(key, nonces)| {
        (
            *key.identifier(),
            round2::sign(&package, nonces, key).unwrap(),
        )
    });
    let signature = aggregate(&package, &shares.collect(), &world.public).unwrap();
    let signature = Signature::from_bytes(signature.serialize().unwrap().try_into().unwrap());
    StepAttestation {
        commit,
        root,
        signature,
    }
}

/// What the job's run looks at.
fn seen(job: &Job, world: &World) -> Touched {
    let previous = StepAttestation::from_bytes(&job.previous).unwrap();
    let state = &world.members[&Slot(1)].state;
    let previous = Previous::of(&previous);
    let outcome = run(&world.params, &previous, job, state, &mut Engine::default());
    outcome.unwrap().touched
}

#[test]
fn a_job_that_rule_a2_forbids_gets_no_vote_and_its_leader_the_reason() {
    type Change = fn(&mut Job, &World);
    let request = |job: &Job| InvalidJob::Request(job.requests[0].id());
    let cases: Vec<(&str, Change, Option<InvalidJob>)> = vec![
        (
            "31 s ahead",
            |job, _| job.context.time_ms += 31_000,
            Some(InvalidJob::Time),
        ),
        (
            "31 s behind",
            |job, _| job.context.time_ms -= 31_000,
            Some(InvalidJob::Time),
        ),
        (
            "an anchor that its operator has not seen",
            |job, _| job.context.anchor_height = 7,
            Some(InvalidJob::Anchor),
        ),
        (
            "the hash of such an anchor",
            |job, _| job.context.anchor = Digest::from_bytes([7; 32]),
            Some(InvalidJob::Anchor),
        ),
        (
            "before the step before",
            |job, _| job.context.time_ms -= 29_000,
            Some(InvalidJob::Time),
        ),
        (
            "no previous attestation",
            |job, _| job.previous.clear(),
            Some(InvalidJob::Previous),
        ),
        (
            "a forged one",
            |job, _| {
                let mut previous = StepAttestation::from_bytes(&job.previous).unwrap();
                previous.commit.state = StateRoot::from_bytes([1; 32]);
                job.previous = previous.to_bytes();
            },
            Some(InvalidJob::Previous),
        ),
        (
            "an older one",
            |job, world| {
                job.previous = world.attested[&Seq(1)].to_bytes();
            },
            Some(InvalidJob::Previous),
        ),
        (
            "a request of another network",
            |job, _| {
                job.requests[0].call.network = NetworkId(9);
            },
            None,
        ),
        (
            "a forged request",
            |job, _| {
                job.requests[0].signature = forged(&job.requests[0].signature);
            },
            None,
        ),
        (
            "a request twice",
            |job, _| {
                let again = job.requests[0].clone();
                job.requests.push(again);
            },
            // The executor meets it first and cannot say more.
            Some(InvalidJob::Witness),
        ),
        (
            "no requests",
            |job, _| job.requests.clear(),
            Some(InvalidJob::Shape),
        ),
        (
            "a forged vote",
            |job, _| {
                // Four of them the signer has verified before, in another form.
                for vote in &mut job.votes {
                    vote.signature = forged(&vote.signature);
                }
            },
            Some(InvalidJob::Votes),
        ),
        (
            "a vote twice",
            |job, _| job.votes[1] = job.votes[0].clone(),
            Some(InvalidJob::Votes),
        ),
        (
            "a vote of another step",
            |job, _| job.votes[0].seq = Seq(1),
            Some(InvalidJob::Votes),
        ),
        (
            "a wrong trace root",
            |job, _| {
                job.reveal = Some(TraceRoot::from_bytes([1; 32]));
            },
            Some(InvalidJob::Votes),
        ),
        (
            "a fault that its member did not sign",
            |job, world| {
                let fault = SignedFault {
                    slot: Slot(2),
                    epoch: world.committee.epoch(),
                    seq: job.seq,
                    request: job.requests[0].id(),
                    previous_root: world.attested[&Seq(3)].commit.state,
                    inputs: job.inputs_root(),
                    signature: Signature::from_bytes([0; 64]),
                };
                job.faults.push(fault);
            },
            Some(InvalidJob::Votes),
        ),
        (
            "an observation that its member did not sign",
            |job, world| {
                job.observations.push(SignedObservation {
                    slot: Slot(2),
                    epoch: world.committee.epoch(),
                    seq: job.seq,
                    request: job.requests[0].id(),
                    time_ms: job.context.time_ms,
                    values: Vec::new(),
                    signature: Signature::from_bytes([0; 64]),
                });
            },
            Some(InvalidJob::Observations),
        ),
        (
            "a witness that hides an entry",
            |job, world| {
                let zapp = job.requests[0].call.zapp;
                let mut without = world.members[&Slot(1)].state.clone();
                let hidden = without.get(&zapp, b"count").unwrap();
                assert!(hidden.is_some(), "there is one to hide");
                let hiding = EntryWrite {
                    zapp,
                    key: b"count".to_vec(),
                    value: None,
                };
                without.apply(&[hiding]).unwrap();
                job.witness = without.witness(&seen(job, world)).unwrap();
            },
            Some(InvalidJob::Witness),
        ),
        (
            "a witness with an altered byte",
            |job, _| {
                let middle = job.witness.tree.len() / 2;
                job.witness.tree[middle] ^= 1;
            },
            Some(InvalidJob::Witness),
        ),
        (
            "a witness that lacks an entry",
            |job, world| {
                let zapp = job.requests[0].call.zapp;
                let all = seen(job, world);
                let mut some = Touched::default();
                let shown = all.keys().filter(|key| *key != (&zapp, &b"count"[..]));
                for (zapp, key) in shown {
                    some.see(zapp, key);
                }
                assert_eq!(some.keys().count() + 1, all.keys().count());
                let state = &world.members[&Slot(1)].state;
                job.witness = state.witness(&some).unwrap();
                let root = &world.attested[&Seq(job.seq.0 - 1)].commit.state;
                assert!(job.witness.open(root).is_ok(), "the root is kept");
            },
            Some(InvalidJob::Witness),
        ),
        (
            "a witness that is cut off",
            |job, _| job.witness.tree.truncate(9),
            Some(InvalidJob::Witness),
        ),
    ];
    for (case, change, reason) in cases {
        let mut world = World::four_of_five(50);
        let mut job = waiting(&mut world);
        // The step before was 20 s ago, so that only the rule at hand is broken.
        world.run_for(20_000);
        job.context.time_ms = world.now;
        let view = world.view(1);
        let heard = listen(&mut world);
        change(&mut job, &world);
        give_job(&mut world, 1, &job, view, None);
        world.run_for(20);
        assert!(heard.borrow().votes.is_empty(), "{case}");
        let expected = reason.unwrap_or_else(|| request(&job));
        assert_eq!(heard.borrow().invalid, [expected], "{case}");
    }
}

#[test]
fn the_same_job_unchanged_gets_a_vote() {
    let mut world = World::four_of_five(50);
    let mut job = waiting(&mut world);
    world.run_for(20_000);
    job.context.time_ms = world.now;
    let (view, heard) = (world.view(1), listen(&mut world));
    give_job(&mut world, 1, &job, view, None);
    world.run_for(20);
    assert_eq!(
        heard.borrow().votes.len(),
        1,
        "{:?}",
        heard.borrow().invalid
    );
}

#[test]
fn a_certified_job_is_exempt_from_the_clock() {
    let mut world = World::four_of_five(51);
    let (job, heard) = crate::voice::voted(&mut world);
    let certificate = crate::voice::package(&world, &heard.borrow().votes).certificate;
    world.run_for(60_000);
    let view = crate::voice::enter_next_view(&mut world);
    heard.borrow_mut().votes.clear();
    give_job(&mut world, 5, &job, view, None);
    world.run_for(20);
    assert_eq!(heard.borrow().invalid, [InvalidJob::Time]);
    give_job(&mut world, 5, &job, view, Some(certificate));
    world.run_for(20);
    assert_eq!(heard.borrow().votes.len(), 1);
}

#[test]
fn a_proposal_that_the_views_leader_did_not_sign_is_not_heard() {
    let mut world = World::four_of_five(52);
    let job = waiting(&mut world);
    let view = world.view(1);
    let heard = listen(&mut world);
    let good = propose(&world, &job, view);
    let other = world.identity(Endpoint::Coordinator(1));
    let mut usurped = good.clone();
    usurped.rank = 1;
    usurped.signature = other.sign(&usurped.signed_bytes(&world.domain));
    let mut forged_one = good.clone();
    forged_one.signature = forged(&good.signature);
    let mut of_another_job = good.clone();
    of_another_job.job = attestation::ids::Digest::from_bytes([1; 32]);
    let cases = [
        (0, forged_one),
        (1, usurped),
        (1, good.clone()),
        (0, of_another_job),
    ];
    for (rank, proposal) in cases {
        let from = Endpoint::Coordinator(rank);
        let job = job.clone();
        let message = Message::ToSigner(ToSigner::Job {
            proposal,
            job,
            certificate: None,
        });
        world.sign(Slot(1), signer::Input::Message { from, message });
    }
    // A job from a member is not heard either.
    let message = Message::ToSigner(ToSigner::Job {
        proposal: good,
        job,
        certificate: None,
    });
    let from = Endpoint::Signer(Slot(2));
    world.sign(Slot(1), signer::Input::Message { from, message });
    world.run_for(20);
    let heard = heard.borrow();
    assert!(heard.votes.is_empty() && heard.invalid.is_empty());
}

#[test]
fn two_attestations_of_one_seq_stop_the_signer() {
    let mut world = World::four_of_five(53);
    world.deploy();
    world.run_for(20);
    let first = world.attested[&Seq(1)];
    let mut commit = first.commit;
    commit.state = StateRoot::from_bytes([1; 32]);
    let second = attest(&mut world, commit, first.root);
    let from = Endpoint::Coordinator(1);
    let message = Message::ToSigner(ToSigner::Attested(ByteBuf::from(second.to_bytes())));
    world.sign(Slot(1), signer::Input::Message { from, message });
    let halted = |seen: &Seen| matches!(seen, Seen::Halt(Slot(1), Halt::Fork(Seq(1))));
    assert!(world.seen.iter().any(halted));
    // Of another committee it is none of this signer's business.
    let mut foreign = first.commit;
    foreign.seq = Seq(2);
    foreign.network = NetworkId(9);
    let foreign = attest(&mut world, foreign, first.root);
    let message = Message::ToSigner(ToSigner::Attested(ByteBuf::from(foreign.to_bytes())));
    world.sign(Slot(2), signer::Input::Message { from, message });
    let head = world.members[&Slot(2)]
        .signer
        .as_ref()
        .unwrap()
        .head()
        .unwrap()
        .commit
        .seq;
    assert_eq!(head, Seq(1));
}

#[test]
fn an_executor_of_another_profile_stops_the_signer_which_says_what_to_install() {
    let mut world = World::four_of_five(54);
    world.deploy();
    let from = Endpoint::Executor(Slot(1));
    let actual = RuntimeProfile::from_bytes([6; 32]);
    let message = Message::FromExecutor(FromExecutor::Ready { profile: actual });
    world.sign(
        Slot(2),
        signer::Input::Message {
            from,
            message: message.clone(),
        },
    );
    assert!(
        world.seen.is_empty(),
        "another member's executor is not heard"
    );
    world.sign(Slot(1), signer::Input::Message { from, message });
    let expected = world.record.profile;
    let why = Halt::Profile { expected, actual };
    let halted = |seen: &Seen| matches!(seen, Seen::Halt(Slot(1), told) if *told == why);
    assert!(world.seen.iter().any(halted));
}

#[test]
fn a_statement_is_the_digest_of_what_is_stated() {
    let mut world = World::four_of_five(55);
    world.deploy();
    let step = world.attested[&Seq(1)];
    let stated = Stated {
        commit: step.commit,
        root: step.root,
    };
    assert_eq!(stated.statement(), step.statement());
}

#[test]
fn a_late_vote_never_contradicts_one_of_an_earlier_start() {
    let mut world = World::four_of_five(56);
    let (job, heard) = crate::voice::voted(&mut world);
    let view = world.view(1);
    // Member 1 voted for one job, starts anew, and is given another in the same view, which is
    // attested while it still runs.
    let second = crate::voice::other(&job);
    give_job(&mut world, 5, &second, view, None);
    world.run_for(20);
    let (slot, stated) = *heard.borrow().stated.last().unwrap();
    assert_eq!(slot, Slot(5));
    world.kill_member(Slot(1));
    world.start_member(Slot(1));
    world.members.get_mut(&Slot(1)).unwrap().engine.takes_ms = 100;
    give_job(&mut world, 1, &second, view, None);
    let step = attest(&mut world, stated.commit, stated.root);
    let message = Message::ToSigner(ToSigner::Attested(ByteBuf::from(step.to_bytes())));
    let from = Endpoint::Coordinator(0);
    world.sign(Slot(1), signer::Input::Message { from, message });
    world.run_for(500);
    let heard = heard.borrow();
    let mut said = heard.votes.iter().filter(|(vote, _)| vote.slot == Slot(1));
    let first = said.next().unwrap().0.statement;
    assert!(
        said.all(|(vote, _)| vote.statement == first),
        "one statement per (seq, view)"
    );
}
