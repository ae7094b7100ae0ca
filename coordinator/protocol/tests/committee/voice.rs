//! Speaking for silenced coordinators, and hearing what signers say.

use std::cell::RefCell;
use std::rc::Rc;

use attestation::ids::{Attempt, Boot, Seq, Signature, Slot, StatementId, View};
use serde_bytes::ByteBuf;
use signer_protocol::identity::{Ed25519Identity, SignIdentity as _};
use signer_protocol::message::{
    Certificate, Endpoint, InvalidJob, Message, SignedNonces, SignedPackage, SignedProposal,
    SignedStatus, Stated, Status, ToCoordinator, ToMember, ToSigner,
};
use signer_protocol::signer;
use state::job::{Domain, Job, SignedVote};

use crate::world::World;

pub const SOON_MS: u64 = 60_000;

pub fn one(to: Endpoint, message: Message) -> Vec<(Endpoint, Message)> {
    vec![(to, message)]
}

pub fn signer(slot: u16) -> Endpoint {
    Endpoint::Signer(Slot(slot))
}

/// These members give shares that do not verify, each as soon as it is asked.
pub fn spoil_shares(world: &mut World, liars: &[u16]) {
    let identity = |slot: &u16| (signer(*slot), world.identity(signer(*slot)));
    let liars: Vec<(Endpoint, Ed25519Identity)> = liars.iter().map(identity).collect();
    let domain = world.domain;
    world.tamper = Some(Box::new(move |from, to, mut message| {
        if let Message::ToCoordinator(ToCoordinator::Share(share)) = &mut message
            && let Some((_, liar)) = liars.iter().find(|(liar, _)| *liar == from)
        {
            share.share[0] ^= 1;
            share.signature = liar.sign(&share.signed_bytes(&domain));
        }
        one(to, message)
    }));
}

/// A coordinator's package with other contents, signed anew.
pub fn repackage(
    package: &SignedPackage,
    coordinator: &Ed25519Identity,
    domain: &Domain,
    change: impl FnOnce(&mut SignedPackage),
) -> SignedPackage {
    let mut package = package.clone();
    change(&mut package);
    package.signature = coordinator.sign(&package.signed_bytes(domain));
    package
}

pub fn propose(world: &World, job: &Job, view: View) -> SignedProposal {
    let rank = world.committee.leader(view);
    let mut proposal = SignedProposal {
        rank,
        epoch: world.committee.epoch(),
        seq: job.seq,
        view,
        job: job.digest(),
        signature: Signature::from_bytes([0; 64]),
    };
    let identity = world.identity(Endpoint::Coordinator(rank));
    proposal.signature = identity.sign(&proposal.signed_bytes(&world.domain));
    proposal
}

/// The same job at another time: another statement.
pub fn other(job: &Job) -> Job {
    let mut job = job.clone();
    job.context.time_ms += 1;
    job
}

/// Runs until a job for the next step is on the network, then silences the coordinators, so that
/// the test speaks for them. Returns the job.
pub fn seized(world: &mut World) -> Job {
    let job: Rc<RefCell<Option<Job>>> = Rc::default();
    let seen = Rc::clone(&job);
    world.tamper = Some(Box::new(move |from, to, message| {
        if let Message::ToSigner(ToSigner::Job { job, .. }) = &message {
            *seen.borrow_mut() = Some(job.clone());
        }
        match from {
            Endpoint::Coordinator(_) => Vec::new(),
            _ => one(to, message),
        }
    }));
    let found = Rc::clone(&job);
    assert!(world.run_until(SOON_MS, move |_| found.borrow().is_some()));
    job.take().unwrap()
}

pub fn give_job(
    world: &mut World,
    to: u16,
    job: &Job,
    view: View,
    certificate: Option<Certificate>,
) {
    let proposal = propose(world, job, view);
    let message = Message::ToSigner(ToSigner::Job {
        proposal: proposal.clone(),
        job: job.clone(),
        certificate,
    });
    let from = Endpoint::Coordinator(proposal.rank);
    world.sign(Slot(to), signer::Input::Message { from, message });
}

/// Collects what signers tell coordinators, which hear nothing.
#[derive(Default)]
pub struct Heard {
    pub votes: Vec<(SignedVote, SignedNonces)>,
    pub shares: usize,
    pub locked: Vec<(Endpoint, Certificate)>,
    pub invalid: Vec<InvalidJob>,
    pub stated: Vec<(Slot, Stated)>,
}

pub fn listen(world: &mut World) -> Rc<RefCell<Heard>> {
    let heard: Rc<RefCell<Heard>> = Rc::default();
    let log = Rc::clone(&heard);
    world.tamper = Some(Box::new(move |from, to, message| {
        match (&message, to) {
            (
                Message::ToCoordinator(ToCoordinator::Vote {
                    vote,
                    stated,
                    nonces,
                }),
                _,
            ) => {
                log.borrow_mut().stated.push((vote.slot, *stated));
                log.borrow_mut().votes.push((vote.clone(), nonces.clone()));
            }
            (Message::ToCoordinator(ToCoordinator::Share(_)), _) => log.borrow_mut().shares += 1,
            (Message::ToCoordinator(ToCoordinator::Locked(certificate)), _) => {
                log.borrow_mut().locked.push((from, certificate.clone()));
            }
            (Message::ToCoordinator(ToCoordinator::Invalid { reason, .. }), _) => {
                log.borrow_mut().invalid.push(*reason);
            }
            _ => {}
        }
        match (from, to) {
            (Endpoint::Coordinator(_), _) | (_, Endpoint::Coordinator(_)) => Vec::new(),
            _ => one(to, message),
        }
    }));
    heard
}

/// A package of these votes, signed by the view's leader.
pub fn package(world: &World, votes: &[(SignedVote, SignedNonces)]) -> SignedPackage {
    let mut votes = votes.to_vec();
    votes.sort_by_key(|(vote, _)| vote.slot);
    let rank = world.committee.leader(votes[0].0.view);
    let package = SignedPackage {
        rank,
        certificate: Certificate {
            votes: votes.iter().map(|(vote, _)| vote.clone()).collect(),
        },
        attempt: Attempt(0),
        nonces: votes.iter().map(|(_, nonces)| nonces.clone()).collect(),
        signature: Signature::from_bytes([0; 64]),
    };
    let identity = world.identity(Endpoint::Coordinator(rank));
    repackage(&package, &identity, &world.domain, |_| {})
}

pub fn give_package(world: &mut World, to: u16, package: &SignedPackage) {
    let from = Endpoint::Coordinator(package.rank);
    let message = Message::ToSigner(ToSigner::Package(package.clone()));
    world.sign(Slot(to), signer::Input::Message { from, message });
}

/// Four members' votes for one job in the current view, the coordinators silenced.
pub fn voted(world: &mut World) -> (Job, Rc<RefCell<Heard>>) {
    let zapp = world.deploy();
    world.run_for(500);
    world.request(zapp, "add", Vec::new());
    let job = seized(world);
    let heard = listen(world);
    let view = world.view(1);
    for slot in 1..=4 {
        give_job(world, slot, &job, view, None);
    }
    world.run_for(20);
    assert_eq!(heard.borrow().votes.len(), 4);
    (job, heard)
}

/// Every member hears n − t + 1 others say that they are in the next view.
pub fn enter_next_view(world: &mut World) -> View {
    let view = View(world.view(1).0 + 1);
    let statuses: Vec<(Slot, Message)> = (1..=4).map(|slot| in_view(world, slot, view)).collect();
    for slot in 1..=5 {
        for (from, message) in statuses.iter().filter(|(from, _)| *from != Slot(slot)) {
            let (from, message) = (Endpoint::Signer(*from), message.clone());
            world.sign(Slot(slot), signer::Input::Message { from, message });
        }
    }
    world.run_for(20);
    world.view(1)
}

/// A member's word to the others that it is in a view.
pub fn in_view(world: &World, slot: u16, view: View) -> (Slot, Message) {
    let status = status(world, slot, view);
    (Slot(slot), Message::ToMember(ToMember::Status(status)))
}

/// A member's word that it is in a view.
pub fn status(world: &World, slot: u16, view: View) -> Status {
    let mut signed = SignedStatus {
        slot: Slot(slot),
        epoch: world.committee.epoch(),
        view,
        boot: Boot(1),
        head: Seq(0),
        head_statement: StatementId::from_bytes([0; 32]),
        lock: None,
        signature: Signature::from_bytes([0; 64]),
    };
    let identity = world.identity(signer(slot));
    signed.signature = identity.sign(&signed.signed_bytes(&world.domain));
    Status {
        signed,
        certificate: None,
        attestation: ByteBuf::new(),
    }
}
