//! An executor that errs, for tests and `zq devnet`: it lies about every output, or hangs on one method.
//!
//! Its second argument says how: `lie` changes the output of every run, `hang:METHOD` never returns
//! from that method. A program of its own, so that the real executor has no such switch.

use std::process::ExitCode;

use attestation::ids::{ModuleDigest, RequestId};
use executor::Node;
use link::local::Role;
use runtime::Executor;
use state::execute::{Executable, Execute, ExecuteError, Execution, Verdict};
use state::journal::Journal;

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_default();
    let ended = link::start::dial(&address, Role::Executor)
        .map_err(anyhow::Error::from)
        .and_then(|link| Ok(executor::run(link, faulty)?));
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("zq-faulty-executor: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn faulty(inner: Executor<Node>) -> Box<dyn Execute> {
    let fault = std::env::args().nth(2).unwrap_or_default();
    let hangs = fault.strip_prefix("hang:").map(str::to_owned);
    Box::new(Faulty { inner, hangs })
}

struct Faulty {
    inner: Executor<Node>,
    /// The method to hang on; it lies otherwise.
    hangs: Option<String>,
}

impl Execute for Faulty {
    fn prepare(
        &mut self,
        request: &RequestId,
        module: &ModuleDigest,
    ) -> Result<Verdict, ExecuteError> {
        self.inner.prepare(request, module)
    }

    fn execute(
        &mut self,
        call: &Executable<'_>,
        journal: &mut Journal<'_>,
    ) -> Result<Execution, ExecuteError> {
        if self.hangs.as_deref() == Some(call.method) {
            loop {
                std::thread::park();
            }
        }
        let mut execution = self.inner.execute(call, journal)?;
        if self.hangs.is_none() {
            execution.output.push(0xff);
        }
        Ok(execution)
    }
}
