//! The executor guest's program.

use std::process::ExitCode;

use link::local::Role;

/// The simulator's planted bugs are for the simulator.
const _: () = assert!(!signer_protocol::planted::POSSIBLE);

fn main() -> ExitCode {
    let ended = link::start::connect(Role::Executor)
        .map_err(anyhow::Error::from)
        .and_then(|link| Ok(executor::run(link, executor::honest)?));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("zq-executor: {error:#}");
            ExitCode::FAILURE
        }
    }
}
