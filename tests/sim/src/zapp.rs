//! A zApp without WebAssembly, and how one member's executor runs it: `add` counts.

use std::collections::BTreeSet;

use attestation::ids::{Digest, ModuleDigest, RequestId};
use attestation::leaf::Status;
use attestation::request::Request;
use state::job::Job;
use state::journal::Journal;
use state::step::{Executable, Execute, ExecuteError, Execution, Prepared, Verdict};

/// How one member's executor behaves.
#[derive(Clone, Debug)]
pub struct Engine {
    /// Requests that trap it.
    pub hangs: BTreeSet<RequestId>,
    /// Requests that ever did.
    pub hung: BTreeSet<RequestId>,
    /// It says nothing about what traps it.
    pub mute: bool,
    /// It counts wrongly.
    pub wrong: bool,
    /// Until when it answers nothing at all.
    pub stalled_until: u64,
    /// How long a job takes it.
    pub takes_ms: (u64, u64),
}

impl Engine {
    /// An engine that does what it should.
    #[must_use]
    pub const fn sound() -> Self {
        Self {
            hangs: BTreeSet::new(),
            hung: BTreeSet::new(),
            mute: false,
            wrong: false,
            stalled_until: 0,
            takes_ms: (1, 4),
        }
    }
}

/// All that a result depends on: the job, whether it is counted wrongly, and which of its requests
/// trap.
pub type Ran = (Digest, bool, Vec<RequestId>);

impl Engine {
    /// What this executor's result for a job depends on.
    #[must_use]
    pub fn alike(&self, job: &Job) -> Ran {
        let requests = job.requests.iter().map(Request::id);
        let trapped = requests.filter(|request| self.hangs.contains(request));
        (job.digest(), self.wrong, trapped.collect())
    }
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
        let before = journal.get(&call.zapp, COUNT)?;
        let count = before
            .and_then(|bytes| bytes.try_into().ok())
            .map_or(0, u64::from_be_bytes);
        let value = (count + if self.wrong { 2 } else { 1 }).to_be_bytes();
        journal
            .write(&call.zapp, COUNT, Some(&value))
            .expect("a counter is within every limit");
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

const COUNT: &[u8] = b"count";
