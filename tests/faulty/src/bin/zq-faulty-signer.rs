//! A signer that errs, for tests and `zq devnet`. Its second argument says how: `bad-share` gives
//! signature shares that sign nothing, for steps and for leaves, `no-share` votes and then gives none,
//! `copycat` votes as the others do with a mask of no trace root, as one that copies an outcome instead
//! of running the step, `two-dealings` deals member 4 another package in a change of members than the
//! others. A program of its own, so that the real signer has no such switch.

use std::process::ExitCode;

use attestation::ids::{Digest, Slot};
use link::local::Role;
use serde_bytes::ByteBuf;
use signer_protocol::identity::SignIdentity as _;
use signer_protocol::lane::FromLane;
use signer_protocol::message::{DkgBody, Endpoint, Message, ToCoordinator, ToMember};
use signer_protocol::sealed::Secrets;
use signer_protocol::signer::Output;
use state::job::Domain;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_default();
    let conduct = match arguments.next().as_deref() {
        Some("bad-share") => bad_share,
        Some("no-share") => no_share,
        Some("copycat") => copycat,
        Some("two-dealings") => two_dealings,
        other => {
            eprintln!("zq-faulty-signer: no such fault: {other:?}");
            return ExitCode::FAILURE;
        }
    };
    let ended = link::start::dial(&address, Role::Signer)
        .map_err(anyhow::Error::from)
        .and_then(|link| Ok(signer::run(link, conduct)?));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("zq-faulty-signer: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// A scalar that is nobody's share, signed as this member's.
fn bad_share(secrets: &Secrets, domain: &Domain, mut output: Output) -> Option<Output> {
    let Output::Send { message, .. } = &mut output else {
        return Some(output);
    };
    match message {
        Message::ToCoordinator(ToCoordinator::Share(share)) => {
            share.share = nobodys(&share.share);
            share.signature = secrets.identity().sign(&share.signed_bytes(domain));
        }
        Message::FromLane(answer) => {
            if let FromLane::Share(share) = answer.as_mut() {
                share.share = nobodys(&share.share);
                share.signature = secrets.identity().sign(&share.signed_bytes(domain));
            }
        }
        _ => {}
    }
    Some(output)
}

/// A scalar of this length, in either suite.
fn nobodys(share: &[u8]) -> ByteBuf {
    let mut scalar = vec![0; share.len()];
    if let Some(lowest) = scalar.first_mut() {
        *lowest = 1;
    }
    ByteBuf::from(scalar)
}

fn no_share(_: &Secrets, _: &Domain, output: Output) -> Option<Output> {
    let share = matches!(
        &output,
        Output::Send {
            message: Message::ToCoordinator(ToCoordinator::Share(_)),
            ..
        }
    );
    (!share).then_some(output)
}

/// The right statement, and nothing to show that the step was run (rule A12).
fn copycat(secrets: &Secrets, domain: &Domain, mut output: Output) -> Option<Output> {
    if let Output::Send {
        message: Message::ToCoordinator(ToCoordinator::Vote { vote, .. }),
        ..
    } = &mut output
    {
        vote.mask = Digest::from_bytes([0xee; 32]);
        vote.signature = secrets.identity().sign(&vote.signed_bytes(domain));
    }
    Some(output)
}

/// A round-1 package for one member that is not the others', each rightly signed.
fn two_dealings(secrets: &Secrets, domain: &Domain, mut output: Output) -> Option<Output> {
    if let Output::Send {
        to: Endpoint::Signer(ONE_OTHER),
        message: Message::ToMember(ToMember::Reshare(message)),
    } = &mut output
        && let DkgBody::Round1(package) = &mut message.body
        && let Some(last) = package.last_mut()
    {
        *last ^= 1;
        message.signature = secrets.identity().sign(&message.signed_bytes(domain));
    }
    Some(output)
}

/// Whom it tells something else.
const ONE_OTHER: Slot = Slot(4);
