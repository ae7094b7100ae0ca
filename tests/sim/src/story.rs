//! What happened, in order: hashed always, kept where somebody wants to read it.

use std::fmt::{self, Write as _};

use attestation::ids::{Digest, Slot, StatementId};
use sha2::{Digest as _, Sha256};
use signer_protocol::message::{
    FromExecutor, Message, ToCoordinator, ToExecutor, ToMember, ToSigner,
};

/// The events of one run. Two runs are the same run if their hashes are equal.
#[derive(Debug)]
pub struct Story {
    hash: Sha256,
    keep: bool,
    lines: Vec<String>,
    line: String,
    /// Events told.
    pub events: u64,
}

impl Story {
    /// An empty story; `keep` keeps its text.
    #[must_use]
    pub fn new(keep: bool) -> Self {
        Self {
            hash: Sha256::new(),
            keep,
            lines: Vec::new(),
            line: String::new(),
            events: 0,
        }
    }

    /// Tells an event.
    pub fn tell(&mut self, at_ms: u64, actor: &dyn fmt::Display, what: fmt::Arguments<'_>) {
        self.events += 1;
        self.line.clear();
        let (seconds, ms) = (at_ms / 1_000, at_ms % 1_000);
        let written = write!(self.line, "{seconds:>5}.{ms:03}  {actor:<16} {what}");
        debug_assert!(written.is_ok(), "a string takes everything");
        self.hash.update(self.line.as_bytes());
        self.hash.update(b"\n");
        if self.keep {
            self.lines.push(self.line.clone());
        }
    }

    /// SHA-256 over everything told.
    #[must_use]
    pub fn hash(&self) -> Digest {
        Digest::from_bytes(self.hash.clone().finalize().into())
    }

    /// The text, if it was kept.
    #[must_use]
    pub fn lines(&self) -> &[String] {
        &self.lines
    }
}

/// The first bytes of a digest, enough to tell two apart.
#[must_use]
pub fn short(bytes: &[u8; 32]) -> String {
    let mut text = String::new();
    for byte in bytes.iter().take(4) {
        let written = write!(text, "{byte:02x}");
        debug_assert!(written.is_ok(), "a string takes everything");
    }
    text
}

/// A statement, shortened.
#[must_use]
pub fn of(statement: &StatementId) -> String {
    short(statement.as_bytes())
}

/// A message in a few words.
#[must_use]
pub fn describe(message: &Message) -> String {
    match message {
        Message::ToSigner(message) => to_signer(message),
        Message::ToCoordinator(message) => to_coordinator(message),
        Message::ToMember(ToMember::Status(status)) => format!(
            "status: view {}, head {}, start {}",
            status.signed.view, status.signed.head, status.signed.boot
        ),
        Message::ToMember(_) => "key generation".into(),
        Message::ToLane(_) | Message::FromLane(_) => "a block's signing".into(),
        Message::ToExecutor(ToExecutor::Run { job_digest, job }) => {
            format!(
                "run job {} of step {}",
                short(job_digest.as_bytes()),
                job.seq
            )
        }
        Message::ToExecutor(ToExecutor::Cancel { .. }) => "cancel".into(),
        Message::FromExecutor(FromExecutor::Ready { .. }) => "ready".into(),
        Message::FromExecutor(FromExecutor::Ran { job_digest, .. }) => {
            format!("ran job {}", short(job_digest.as_bytes()))
        }
        Message::FromExecutor(FromExecutor::Failed { failure, .. }) => {
            format!("failed: {failure:?}")
        }
    }
}

fn to_signer(message: &ToSigner) -> String {
    match message {
        ToSigner::Job {
            proposal,
            job,
            certificate,
        } => {
            let again = certificate.as_ref().map_or_else(String::new, |shown| {
                format!(", certified in view {}", shown.view())
            });
            format!(
                "job {} for step {} view {}: {} requests{again}",
                short(proposal.job.as_bytes()),
                proposal.seq,
                proposal.view,
                job.requests.len()
            )
        }
        ToSigner::Package(package) => {
            let slots: Vec<Slot> = package.nonces.iter().map(|nonces| nonces.slot).collect();
            let claim = package
                .certificate
                .claim()
                .map_or_else(String::new, |claim| {
                    let statement = of(&claim.statement);
                    format!("{statement} step {} view {}", claim.seq, claim.view)
                });
            let set: Vec<String> = slots.iter().map(ToString::to_string).collect();
            format!(
                "package {claim} attempt {} to {}",
                package.attempt.0,
                set.join(",")
            )
        }
        ToSigner::Attested(_) => "attested".into(),
        ToSigner::SendJob { statement } => format!("send the job of {}", of(statement)),
        ToSigner::SendStatus => "send your status".into(),
    }
}

fn to_coordinator(message: &ToCoordinator) -> String {
    match message {
        ToCoordinator::Status(status) => {
            let lock = status.signed.lock.map_or_else(String::new, |lock| {
                format!(", lock {} of view {}", of(&lock.statement), lock.view)
            });
            let signed = &status.signed;
            format!("status: view {}, head {}{lock}", signed.view, signed.head)
        }
        ToCoordinator::Vote { vote, .. } => format!(
            "vote {} step {} view {}",
            of(&vote.statement),
            vote.seq,
            vote.view
        ),
        ToCoordinator::Share(share) => format!(
            "share step {} view {} attempt {}",
            share.seq, share.view, share.attempt.0
        ),
        ToCoordinator::Fault(fault) => {
            format!("fault of request {}", short(fault.request.as_bytes()))
        }
        ToCoordinator::Reveal { seq, .. } => format!("trace root of step {seq}"),
        ToCoordinator::Locked(lock) => format!("locked since view {}", lock.view()),
        ToCoordinator::Ahead(_) => "ahead: the head".into(),
        ToCoordinator::Job(job) => format!("the job of step {}", job.seq),
        ToCoordinator::Invalid { reason, .. } => format!("invalid job: {reason:?}"),
    }
}
