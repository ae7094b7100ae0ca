//! A signer that errs, for tests and `zq devnet`. Its second argument says how: `bad-share` gives
//! signature shares that sign nothing, `no-share` votes and then gives none, `copycat` votes as the
//! others do with a mask of no trace root, as one that copies an outcome instead of running the
//! step. A program of its own, so that the real signer has no such switch.

use std::process::ExitCode;

use attestation::ids::Digest;
use link::local::Role;
use serde_bytes::ByteBuf;
use signer_protocol::identity::SignIdentity as _;
use signer_protocol::message::{Message, ToCoordinator};
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
    if let Output::Send {
        message: Message::ToCoordinator(ToCoordinator::Share(share)),
        ..
    } = &mut output
    {
        let mut one = vec![0; share.share.len()];
        if let Some(lowest) = one.first_mut() {
            *lowest = 1;
        }
        share.share = ByteBuf::from(one);
        share.signature = secrets.identity().sign(&share.signed_bytes(domain));
    }
    Some(output)
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
