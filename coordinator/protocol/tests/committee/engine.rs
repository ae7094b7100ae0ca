//! A zApp without WebAssembly: `add` counts, `hang` brings some members' executors down.

use std::collections::BTreeSet;

use attestation::ids::{Digest, ModuleDigest, RequestId};
use attestation::leaf::Status;
use state::journal::Journal;
use state::step::{Executable, Execute, ExecuteError, Execution, Prepared, Verdict};

/// How one member's executor behaves.
#[derive(Clone, Debug, Default)]
pub struct Engine {
    /// Requests that hang it.
    pub hangs: BTreeSet<RequestId>,
    /// It counts wrongly.
    pub wrong: bool,
    /// It never answers.
    pub silent: bool,
    /// It is silent, not telling, over requests that hang it.
    pub mute_hangs: bool,
    /// How long a job takes it.
    pub takes_ms: u64,
    /// How long each request of a job takes it on top.
    pub request_ms: u64,
}

impl Execute for Engine {
    fn prepare(&mut self, _: &RequestId, _: &ModuleDigest) -> Result<Verdict, ExecuteError> {
        Ok(Verdict::Prepared(Prepared {
            metered: Digest::from_bytes([9; 32]),
            functions: 1,
            operators: 1,
            calls: false,
            pages: 1,
        }))
    }

    fn execute(
        &mut self,
        call: &Executable<'_>,
        journal: &mut Journal<'_>,
    ) -> Result<Execution, ExecuteError> {
        if self.hangs.contains(&call.request) {
            return Err(ExecuteError::Hung(call.request));
        }
        let before = journal.get(&call.zapp, b"count")?;
        let count = before.map_or(0, |bytes| u64::from_be_bytes(bytes.try_into().unwrap()));
        let count = count + if self.wrong { 2 } else { 1 };
        let value = count.to_be_bytes();
        journal.write(&call.zapp, b"count", Some(&value)).unwrap();
        Ok(Execution {
            status: Status::Ok,
            code: 0,
            gas: 10,
            output: value.to_vec(),
            events: Vec::new(),
            messages: Vec::new(),
            trace: Digest::from_bytes([7; 32]),
        })
    }
}
