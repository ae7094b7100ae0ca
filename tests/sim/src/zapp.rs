//! A zApp without WebAssembly, and how one member's executor runs it: `add` counts, `bid` puts an
//! entry into order and answers with the next one's key.

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
        let requests = job.requests.iter();
        let trapped = match self.hangs.is_empty() {
            true => Vec::new(),
            false => requests
                .map(Request::id)
                .filter(|request| self.hangs.contains(request))
                .collect(),
        };
        (job.digest(), self.wrong, trapped)
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
        let output = match call.method {
            BID => bid(call, journal)?,
            _ => self.add(call, journal)?,
        };
        Ok(Execution {
            status: Status::Ok,
            code: 0,
            gas: 10,
            output,
            events: Vec::new(),
            messages: Vec::new(),
            trace: Digest::from_bytes([7; 32]),
        })
    }
}

impl Engine {
    fn add(
        &self,
        call: &Executable<'_>,
        journal: &mut Journal<'_>,
    ) -> Result<Vec<u8>, ExecuteError> {
        let before = journal.get(&call.zapp, COUNT)?;
        let count = before
            .and_then(|bytes| bytes.try_into().ok())
            .map_or(0, u64::from_be_bytes);
        let value = (count + if self.wrong { 2 } else { 1 }).to_be_bytes();
        write(call, journal, COUNT, &value);
        Ok(value.to_vec())
    }
}

/// The bid's place among the others is all that there is to it.
fn bid(call: &Executable<'_>, journal: &mut Journal<'_>) -> Result<Vec<u8>, ExecuteError> {
    write(call, journal, call.input, call.method.as_bytes());
    let next = journal.next(&call.zapp, call.input)?;
    Ok(next.key.unwrap_or_default())
}

fn write(call: &Executable<'_>, journal: &mut Journal<'_>, key: &[u8], value: &[u8]) {
    let written = journal.write(&call.zapp, key, Some(value));
    written.expect("keys and values here are within every limit");
}

/// Method that counts.
pub const ADD: &str = "add";
/// Method that puts its input among the keys.
pub const BID: &str = "bid";

const COUNT: &[u8] = b"count";
