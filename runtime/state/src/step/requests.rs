//! The requests of a step, one after the other.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use attestation::codec;
use attestation::commit::Commit;
use attestation::ids::{Digest, RequestId, ZappId};
use attestation::leaf::{SettlementLeaf, Status};
use attestation::merkle;
use attestation::request::{Call, INPUT_BYTES_MAX, METHOD_BYTES_MAX};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

use crate::entry::{EntryWrite, HEAD};
use crate::execute::{
    Environment, Executable, Execute, ExecuteError, Execution, Op, Prepared, Report, Verdict,
};
use crate::job::{Job, SignedVote};
use crate::journal::Journal;
use crate::limits::{DEPLOY_GAS, REPORT_BYTES_MAX, REPORTS_BYTES_MAX, REQUEST_GAS, STEP_GAS_MAX};
use crate::links;
use crate::state::State;
use crate::step::outcome::{Outcome, StepOutcome, native_trace, trace_root};
use crate::step::{Params, Previous, StepError, Violation, shape};
use crate::system::{
    self, COMMITTEE, CREDITS, Committee, Credits, DEPLOY, Deploy, Listed, ListedVote, Refusal,
    TOTALS, Totals, VOTES, ZappRecord,
};

/// A step in progress.
pub(super) struct Requests<'a> {
    job: &'a Job,
    state: &'a State,
    journal: Journal<'a>,
    committee: Committee,
    environment: Environment,
    ids: Vec<RequestId>,
    faults: BTreeMap<RequestId, u16>,
    gas: u64,
    reports_bytes: usize,
    reports: Vec<Report>,
    outcomes: Vec<Outcome>,
}

impl<'a> Requests<'a> {
    /// Checks votes and faults, credits revealed votes, lists the new ones.
    pub(super) fn begin(
        params: &Params,
        previous: &Previous,
        job: &'a Job,
        state: &'a State,
    ) -> Result<Self, StepError> {
        let mut journal = Journal::new(state);
        let committee: Committee = read(&mut journal, COMMITTEE)?;
        shape::check_votes(previous, job, &committee)?;
        let ids: Vec<RequestId> = job.requests.iter().map(|request| request.id()).collect();
        let faults = shape::count_faults(previous, job, &committee, &ids)?;
        credit(&mut journal, job)?;
        let listed = Listed {
            seq: previous.seq,
            trace: previous.trace,
            votes: job.votes.iter().map(ListedVote::of).collect(),
        };
        journal.put(&ZappId::SYSTEM, VOTES, Some(codec::encode(&listed)));
        Ok(Self {
            job,
            state,
            journal,
            committee,
            environment: Environment {
                network: params.network,
                committee: params.committee,
                epoch: committee.epoch,
                seq: job.seq,
                context: job.context,
                previous_state: previous.state,
            },
            faults,
            gas: 0,
            reports_bytes: 0,
            reports: Vec::with_capacity(ids.len()),
            outcomes: Vec::with_capacity(ids.len()),
            ids,
        })
    }

    /// Runs the next request. Its nonce is consumed whatever becomes of it.
    pub(super) fn next(&mut self, call: &Call, execute: &mut dyn Execute) -> Result<(), StepError> {
        let Some(id) = self.ids.get(self.outcomes.len()).copied() else {
            return Ok(());
        };
        self.admit(call).map_err(|error| match error {
            Inadmissible::Violation(violation) => StepError::Request(id, violation),
            Inadmissible::Step(error) => error,
        })?;
        self.journal.begin();
        let report = Report {
            request: id,
            verdict: None,
            execution: None,
            writes: Vec::new(),
        };
        let outcome = Outcome {
            request: id,
            zapp: call.zapp,
            status: Status::Refused,
            code: 0,
            gas: call.gas_limit.min(REQUEST_GAS),
            output: Vec::new(),
            events: Vec::new(),
            trace: Digest::from_bytes([0; 32]),
        };
        let mut request = Turn {
            call,
            report,
            outcome,
        };
        let faults = self.faults.get(&id).copied().unwrap_or_default();
        if faults >= self.committee.threshold {
            request.outcome.status = Status::Faulted;
            request.seal(&[]);
        } else if call.zapp != ZappId::SYSTEM {
            self.call(&mut request, execute)?;
        } else if call.method == DEPLOY {
            self.deploy(&mut request, execute)?;
        } else {
            request.refuse(Refusal::UnknownMethod);
        }
        self.gas += request.outcome.gas;
        self.reports_bytes += request.report.weight();
        self.reports.push(request.report);
        self.outcomes.push(request.outcome);
        Ok(())
    }

    /// Checks what makes a job with this request invalid, and consumes the nonce.
    fn admit(&mut self, call: &Call) -> Result<(), Inadmissible> {
        let time_ms = self.job.context.time_ms;
        let left = STEP_GAS_MAX - self.gas;
        let violation = if call.network != self.environment.network {
            Some(Violation::Network)
        } else if call.committee != self.environment.committee {
            Some(Violation::Committee)
        } else if !(1..=METHOD_BYTES_MAX).contains(&call.method.len())
            || call.input.len() > INPUT_BYTES_MAX
        {
            Some(Violation::Length)
        } else if call.valid_until_ms < time_ms {
            Some(Violation::Expired {
                valid_until_ms: call.valid_until_ms,
                time_ms,
            })
        } else if call.gas_limit > left {
            Some(Violation::Gas {
                limit: call.gas_limit,
                left,
            })
        } else if self.reports_bytes + REPORT_BYTES_MAX > REPORTS_BYTES_MAX {
            Some(Violation::Space)
        } else {
            None
        };
        if let Some(violation) = violation {
            return Err(Inadmissible::Violation(violation));
        }
        let key = system::nonce_key(&call.caller);
        let last = self
            .journal
            .get(&ZappId::SYSTEM, &key)
            .map_err(StepError::from)?;
        if let Some(last) = last {
            let last = last.try_into().map_err(|_| StepError::SystemEntry)?;
            let last = u64::from_be_bytes(last);
            if call.nonce <= last {
                return Err(Inadmissible::Violation(Violation::Replayed {
                    nonce: call.nonce,
                    last,
                }));
            }
        }
        let nonce = call.nonce.to_be_bytes().to_vec();
        self.journal.put(&ZappId::SYSTEM, &key, Some(nonce));
        Ok(())
    }

    /// A call of a deployed zApp.
    fn call(&mut self, turn: &mut Turn<'_>, execute: &mut dyn Execute) -> Result<(), StepError> {
        let key = system::zapp_key(&turn.call.zapp);
        let Some(record) = self.journal.get(&ZappId::SYSTEM, &key)? else {
            turn.refuse(Refusal::UnknownZapp);
            return Ok(());
        };
        let record: ZappRecord = system::read(record).ok_or(StepError::SystemEntry)?;
        let run = Run {
            op: Op::Call,
            zapp: turn.call.zapp,
            record,
            method: &turn.call.method,
            input: &turn.call.input,
            gas_limit: turn.call.gas_limit,
        };
        let execution = self.execute(turn, &run, execute)?;
        turn.outcome.status = execution.status;
        turn.outcome.code = execution.code;
        turn.outcome.gas = execution.gas;
        turn.outcome.output.clone_from(&execution.output);
        turn.outcome.events.clone_from(&execution.events);
        turn.outcome.trace = execution.trace;
        turn.report.execution = Some(execution);
        Ok(())
    }

    /// Deploys a zApp and runs its `init`. All of it stands, or none.
    fn deploy(&mut self, turn: &mut Turn<'_>, execute: &mut dyn Execute) -> Result<(), StepError> {
        let call = turn.call;
        let Ok(deploy) = Deploy::from_bytes(&call.input) else {
            turn.refuse(Refusal::Input);
            return Ok(());
        };
        let zapp = deploy.zapp(&call.caller);
        let key = system::zapp_key(&zapp);
        if zapp == ZappId::SYSTEM || self.journal.get(&ZappId::SYSTEM, &key)?.is_some() {
            turn.refuse(Refusal::Exists);
            return Ok(());
        }
        // Paid before the work is done: a module that is rejected costs the gatekeeper as much.
        if call.gas_limit < DEPLOY_GAS {
            turn.outcome.status = Status::OutOfGas;
            turn.outcome.gas = call.gas_limit;
            turn.seal(&[]);
            return Ok(());
        }
        let verdict = execute.prepare(&turn.report.request, &deploy.module)?;
        verdict
            .check()
            .map_err(|act| StepError::Misreported(turn.report.request, act))?;
        let prepared = match &verdict {
            Verdict::Prepared(prepared) => Some(*prepared),
            Verdict::Rejected(rejection) => {
                turn.outcome.output = codec::encode(rejection);
                turn.outcome.gas = DEPLOY_GAS;
                turn.refuse(Refusal::Module);
                None
            }
        };
        turn.report.verdict = Some(verdict);
        let Some(prepared) = prepared else {
            return Ok(());
        };
        let before = self.journal.checkpoint();
        let record = ZappRecord {
            owner: call.caller,
            module: deploy.module,
            metered: prepared.metered,
            seq: self.job.seq,
        };
        self.journal
            .put(&ZappId::SYSTEM, &key, Some(codec::encode(&record)));
        self.journal.put(&zapp, HEAD, Some(Vec::new()));
        self.init(turn, &deploy, prepared, record, execute)?;
        if turn.outcome.status != Status::Ok {
            self.journal.revert(before);
        }
        Ok(())
    }

    fn init(
        &mut self,
        turn: &mut Turn<'_>,
        deploy: &Deploy,
        prepared: Prepared,
        record: ZappRecord,
        execute: &mut dyn Execute,
    ) -> Result<(), StepError> {
        let metered = prepared.metered.as_bytes().as_slice();
        let Some(gas_limit) = turn.call.gas_limit.checked_sub(prepared.gas()) else {
            turn.outcome.status = Status::OutOfGas;
            turn.outcome.gas = turn.call.gas_limit;
            turn.seal(&[metered]);
            return Ok(());
        };
        let run = Run {
            op: Op::Init,
            zapp: deploy.zapp(&turn.call.caller),
            record,
            method: "",
            input: &deploy.init,
            gas_limit,
        };
        let execution = self.execute(turn, &run, execute)?;
        turn.outcome.status = execution.status;
        turn.outcome.code = execution.code;
        turn.outcome.gas = prepared.gas() + execution.gas;
        turn.outcome.output.clone_from(&execution.output);
        turn.outcome.events.clone_from(&execution.events);
        turn.seal(&[metered, execution.trace.as_bytes()]);
        turn.report.execution = Some(execution);
        Ok(())
    }

    /// One run of a zApp; what it wrote is kept only if it ended well.
    fn execute(
        &mut self,
        turn: &mut Turn<'_>,
        run: &Run<'_>,
        execute: &mut dyn Execute,
    ) -> Result<Execution, StepError> {
        let from = self.journal.open(&run.zapp);
        let call = Executable {
            op: run.op,
            request: turn.report.request,
            zapp: run.zapp,
            module: run.record.module,
            metered: run.record.metered,
            caller: turn.call.caller,
            method: run.method,
            input: run.input,
            gas_limit: run.gas_limit,
            environment: &self.environment,
        };
        let execution = execute.execute(&call, &mut self.journal)?;
        execution
            .check(run.gas_limit)
            .map_err(|act| ExecuteError::Misreported(call.request, act))?;
        if execution.status == Status::Ok {
            turn.report.writes = self.journal.writes_since(from);
        } else {
            self.journal.revert(from);
        }
        Ok(execution)
    }

    /// What ran, in order.
    pub(super) fn into_reports(self) -> Vec<Report> {
        self.reports
    }

    /// Settles the bill and builds leaves, root and commit.
    pub(super) fn end(
        mut self,
        params: &Params,
        previous: &Previous,
    ) -> Result<StepOutcome, StepError> {
        let settlement = self.settle()?;
        let mut leaves = Vec::with_capacity(self.outcomes.len() + 1);
        leaves.push(settlement.to_bytes());
        let seq = self.job.seq;
        leaves.extend(
            self.outcomes
                .iter()
                .map(|outcome| outcome.leaf(seq).to_bytes()),
        );
        let trace_root = trace_root(seq, &self.outcomes);
        let (writes, touched) = self.journal.finish()?;
        let linked = links::derive(self.state, &writes)?;
        let state = self.state.tree_with(&linked)?.root();
        let commit = Commit {
            network: params.network,
            committee: params.committee,
            epoch: self.committee.epoch,
            seq,
            tree_size: leaves.len() as u64,
            previous_state: previous.state,
            state,
            profile: self.committee.profile,
            previous: previous.statement,
            anchor_height: self.job.context.anchor_height,
            anchor: self.job.context.anchor,
            time_ms: self.job.context.time_ms,
            gas_used: self.gas,
            inputs: self.job.inputs_root_of(&self.ids),
            trace: Digest::from_bytes(Sha256::digest(trace_root.as_bytes()).into()),
        };
        Ok(StepOutcome {
            root: merkle::root(&leaves),
            commit,
            leaves,
            reports: self.reports,
            outcomes: self.outcomes,
            writes: EntryWrite::list(writes),
            trace_root,
            touched,
        })
    }

    fn settle(&mut self) -> Result<SettlementLeaf, StepError> {
        let requests = u32::try_from(self.outcomes.len()).expect("at most 1,024 requests");
        let before: Totals = read(&mut self.journal, TOTALS)?;
        let totals = Totals {
            requests: before.requests.saturating_add(requests.into()),
            gas: before.gas.saturating_add(self.gas),
            fees: before.fees,
        };
        self.journal
            .put(&ZappId::SYSTEM, TOTALS, Some(codec::encode(&totals)));
        Ok(SettlementLeaf {
            seq: self.job.seq,
            epoch: self.committee.epoch,
            requests,
            gas: self.gas,
            fees: 0,
            requests_total: totals.requests,
            gas_total: totals.gas,
            fees_total: totals.fees,
        })
    }
}

/// A request whose turn it is.
struct Turn<'a> {
    call: &'a Call,
    report: Report,
    outcome: Outcome,
}

/// A run of a zApp for it.
struct Run<'a> {
    op: Op,
    zapp: ZappId,
    record: ZappRecord,
    method: &'a str,
    input: &'a [u8],
    gas_limit: u64,
}

enum Inadmissible {
    Violation(Violation),
    Step(StepError),
}

impl From<StepError> for Inadmissible {
    fn from(error: StepError) -> Self {
        Self::Step(error)
    }
}

impl Turn<'_> {
    fn refuse(&mut self, refusal: Refusal) {
        self.outcome.status = Status::Refused;
        self.outcome.code = refusal.code();
        self.seal(&[]);
    }

    /// Gives an outcome that is not one run's its trace.
    fn seal(&mut self, parts: &[&[u8]]) {
        self.outcome.trace = native_trace(&self.outcome, parts);
    }
}

impl ListedVote {
    fn of(vote: &SignedVote) -> Self {
        Self {
            slot: vote.slot,
            mask: vote.mask,
        }
    }
}

/// Credits the listed votes that match the trace root revealed (rule A12).
fn credit(journal: &mut Journal<'_>, job: &Job) -> Result<(), StepError> {
    let Some(trace) = &job.reveal else {
        return Ok(());
    };
    let listed: Listed = read(journal, VOTES)?;
    let hash: [u8; 32] = Sha256::digest(trace.as_bytes()).into();
    if listed.seq.0 == 0 || hash != *listed.trace.as_bytes() {
        return Err(StepError::Reveal);
    }
    let mut credits: Credits = read(journal, CREDITS)?;
    for vote in &listed.votes {
        if vote.mask == SignedVote::mask(vote.slot, listed.seq, trace) {
            credits.add(vote.slot);
        }
    }
    journal.put(&ZappId::SYSTEM, CREDITS, Some(codec::encode(&credits)));
    Ok(())
}

fn read<T: Serialize + DeserializeOwned>(
    journal: &mut Journal<'_>,
    key: &[u8],
) -> Result<T, StepError> {
    let value = journal.get(&ZappId::SYSTEM, key)?;
    value.and_then(system::read).ok_or(StepError::SystemEntry)
}
