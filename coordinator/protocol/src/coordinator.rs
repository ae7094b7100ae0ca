//! The step machine of a coordinator (PROTOCOL part A): jobs out, votes and shares in.
//!
//! Sans-IO: [`Coordinator::handle`] takes what happened, [`Coordinator::poll`] gives what to do,
//! [`Coordinator::poll_timeout`] says when to call [`Coordinator::handle_timeout`].

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::vec::Vec;

use attestation::ids::{Digest, RequestId, Seq, Slot, TraceRoot, View};
use attestation::step_attestation::StepAttestation;
use frost_core::Ciphersuite;
use frost_core::keys::PublicKeyPackage;
use signer_protocol::blame::{Act, Culprit};
use signer_protocol::committee::Committee;
use signer_protocol::identity::{SignIdentity, VerifyIdentity};
use signer_protocol::message::{Endpoint, Message};
use state::job::{Job, SignedFault, SignedVote};

/// What happened.
#[derive(Clone, Debug)]
pub enum Input {
    /// A message came through the channel of this party.
    Message {
        /// The channel's other end.
        from: Endpoint,
        /// The message.
        message: Message,
    },
    /// Answer to [`Output::BuildJob`]; none if nothing can be run now.
    JobBuilt(Option<Box<Job>>),
    /// Whether a request that is executable at the head waits at the own node.
    Executable(bool),
    /// The own node's head.
    Head(Box<StepAttestation>),
}

/// What to do.
#[derive(Clone, Debug)]
pub enum Output {
    /// Send a message.
    Send {
        /// To whom.
        to: Endpoint,
        /// What.
        message: Message,
    },
    /// Ask the own node for a job and answer [`Input::JobBuilt`].
    BuildJob(BuildJob),
    /// A step is attested.
    Publish(Box<StepAttestation>),
    /// A party did what the rules forbid, or did not do what they ask for.
    Blame {
        /// Who.
        culprit: Culprit,
        /// What, with evidence.
        act: Act,
    },
    /// A view ended with fewer than t equal votes.
    Divergence(Box<Divergence>),
}

/// What the next job is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildJob {
    /// Step.
    pub seq: Seq,
    /// View.
    pub view: View,
    /// The head; none before seq 1.
    pub previous: Option<StepAttestation>,
    /// Votes for the head, in slot order (rule A12).
    pub votes: Vec<SignedVote>,
    /// Trace root of the step before the head, where a member has released it (rule A12). The
    /// node puts its own in its place if it ran that step.
    pub reveal: Option<TraceRoot>,
    /// Faults of this seq (rule A11).
    pub faults: Vec<SignedFault>,
    /// Most requests to take.
    pub requests_max: usize,
    /// The request to put first, if it waits: members say that it cannot be run (rule A11).
    pub first: Option<RequestId>,
    /// Requests to leave out (rule A11).
    pub set_aside: Vec<RequestId>,
}

/// Who said what in a view without certificate; anyone can run the job again offline (rule A7).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Divergence {
    /// Step.
    pub seq: Seq,
    /// View.
    pub view: View,
    /// [`Job::digest`] of what was proposed.
    pub job: Digest,
    /// All votes of the view.
    pub votes: Vec<SignedVote>,
    /// Members that did not vote.
    pub silent: Vec<Slot>,
}

/// What a coordinator is made of.
#[derive(Debug)]
pub struct Config<C: Ciphersuite, I, V> {
    /// The committee.
    pub committee: Committee,
    /// Its rank.
    pub rank: u16,
    /// Verifying shares of the members.
    pub public: PublicKeyPackage<C>,
    /// Its identity key.
    pub identity: I,
    /// Verifies the others'.
    pub verify: V,
}

/// A coordinator.
#[derive(Debug)]
pub struct Coordinator<C: Ciphersuite, I, V> {
    config: Config<C, I, V>,
    outputs: VecDeque<Output>,
}

impl<C: Ciphersuite, I: SignIdentity, V: VerifyIdentity> Coordinator<C, I, V> {
    /// Starts a coordinator: it listens until a view is its own.
    #[must_use]
    pub fn new(config: Config<C, I, V>) -> Self {
        Self {
            config,
            outputs: VecDeque::new(),
        }
    }

    /// Takes one event.
    pub fn handle(&mut self, _now_ms: u64, _input: Input) {}

    /// Does what is due at `now_ms`.
    pub fn handle_timeout(&mut self, _now_ms: u64) {}

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When to call [`Self::handle_timeout`] at the latest.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<u64> {
        None
    }

    /// Its rank.
    #[must_use]
    pub const fn rank(&self) -> u16 {
        self.config.rank
    }
}
