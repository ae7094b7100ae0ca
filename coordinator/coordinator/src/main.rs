//! The coordinator guest's program.

use std::process::ExitCode;

use link::local::Role;

/// The simulator's planted bugs are for the simulator.
const _: () = assert!(!signer_protocol::planted::POSSIBLE);

fn main() -> ExitCode {
    let ended = link::start::connect(Role::Coordinator)
        .map_err(anyhow::Error::from)
        .and_then(|link| Ok(coordinator::run(link)?));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("zq-coordinator: {error:#}");
            ExitCode::FAILURE
        }
    }
}
