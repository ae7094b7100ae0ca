//! One request: a call, or what its caller asks of the system zApp.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use attestation::codec;
use attestation::ids::{Digest, IdentityKey, RequestId, ZappId};
use attestation::leaf::{BlockLeaf, MessageLeaf, Status};
use attestation::request::Call;

use crate::entry::HEAD;
use crate::execute::{
    Executable, Execute, ExecuteError, Execution, Misreport, Op, Post, Prepared, Report, Verdict,
};
use crate::journal::Checkpoint;
use crate::limits::{DEPLOY_GAS, PULL_GAS, PULL_SOURCE_GAS, REQUEST_GAS};
use crate::step::StepError;
use crate::step::methods::Refused;
use crate::step::nom;
use crate::step::outcome::{Outcome, native_trace};
use crate::step::requests::Requests;
use crate::system::methods::{self, DEPLOY, UPGRADE};
use crate::system::{self, Deploy, Refusal, Upgrade, ZappRecord};

/// A request whose turn it is.
pub(super) struct Turn<'a> {
    pub(super) call: &'a Call,
    pub(super) report: Report,
    pub(super) outcome: Outcome,
    /// What goes out if the request ends well.
    pub(super) messages: Vec<MessageLeaf>,
    /// The block that it issued, if it ends well.
    pub(super) block: Option<BlockLeaf>,
}

/// A run of a zApp for it.
pub(super) struct Run<'a> {
    pub(super) op: Op,
    pub(super) zapp: ZappId,
    pub(super) record: ZappRecord,
    pub(super) caller: IdentityKey,
    pub(super) method: &'a str,
    pub(super) input: &'a [u8],
    pub(super) gas_limit: u64,
}

impl<'a> Turn<'a> {
    pub(super) fn new(request: RequestId, call: &'a Call) -> Self {
        Self {
            call,
            report: Report {
                request,
                verdict: None,
                execution: None,
                writes: Vec::new(),
            },
            outcome: Outcome {
                request,
                zapp: call.zapp,
                status: Status::Refused,
                code: 0,
                gas: call.gas_limit.min(REQUEST_GAS),
                fee: 0,
                output: Vec::new(),
                events: Vec::new(),
                trace: Digest::from_bytes([0; 32]),
            },
            messages: Vec::new(),
            block: None,
        }
    }

    pub(super) fn refuse(&mut self, refusal: Refusal) {
        self.outcome.status = Status::Refused;
        self.outcome.code = refusal.code();
        self.seal(&[]);
    }

    /// Gives an outcome that is not one run's its trace.
    pub(super) fn seal(&mut self, parts: &[&[u8]]) {
        self.outcome.trace = native_trace(&self.outcome, parts);
    }

    pub(super) fn out_of_gas(&mut self, parts: &[&[u8]]) {
        self.outcome.status = Status::OutOfGas;
        self.outcome.gas = self.call.gas_limit;
        self.seal(parts);
    }

    /// Takes over how a run ended; `before` is gas that was used for it already.
    fn ran(&mut self, before: u64, execution: &Execution) {
        self.outcome.status = execution.status;
        self.outcome.code = execution.code;
        self.outcome.gas = before + execution.gas;
        self.outcome.output.clone_from(&execution.output);
        self.outcome.events.clone_from(&execution.events);
        self.outcome.trace = execution.trace;
    }

    /// A run that ended well and whose writes cannot stand: only its bill remains.
    fn undo(&mut self, refusal: Refusal) {
        self.outcome.output.clear();
        self.outcome.events.clear();
        let ran = self.outcome.trace;
        self.refuse(refusal);
        self.seal(&[ran.as_bytes()]);
    }
}

/// What observing a request's sources costs, whether its zApp reads them or not.
fn pull_gas(call: &Call) -> u64 {
    call.pull.as_ref().map_or(0, |pull| {
        PULL_GAS + PULL_SOURCE_GAS * pull.sources.len() as u64
    })
}

impl Requests<'_> {
    /// A call of a deployed zApp.
    pub(super) fn call(
        &mut self,
        turn: &mut Turn<'_>,
        execute: &mut dyn Execute,
    ) -> Result<(), StepError> {
        let Some(record) = self.record(&turn.call.zapp)? else {
            turn.refuse(Refusal::UnknownZapp);
            return Ok(());
        };
        if record.aborted {
            turn.refuse(Refusal::Aborted);
            return Ok(());
        }
        let before = pull_gas(turn.call);
        let Some(gas_limit) = turn.call.gas_limit.checked_sub(before) else {
            turn.out_of_gas(&[]);
            return Ok(());
        };
        let run = Run {
            op: Op::Call,
            zapp: turn.call.zapp,
            record,
            caller: turn.call.caller,
            method: &turn.call.method,
            input: &turn.call.input,
            gas_limit,
        };
        self.run(turn, &run, before, execute)
    }

    /// A request for the system zApp.
    pub(super) fn system(
        &mut self,
        turn: &mut Turn<'_>,
        execute: &mut dyn Execute,
    ) -> Result<(), StepError> {
        // All of a request to the system zApp stands, or none.
        let (before, saved) = (self.journal.checkpoint(), self.purse.save());
        match turn.call.method.as_str() {
            DEPLOY => self.deploy(turn, execute)?,
            UPGRADE => self.upgrade(turn, execute)?,
            _ if Self::is_nom(turn) => self.nom(turn, execute)?,
            _ => match self.method(turn)? {
                Ok(()) => {
                    turn.outcome.status = Status::Ok;
                    turn.seal(&[]);
                }
                Err(Refused::Gas) => turn.out_of_gas(&[]),
                Err(Refused::Because(refusal)) => turn.refuse(refusal),
            },
        }
        if turn.outcome.status != Status::Ok {
            self.journal.revert(before);
            self.purse.restore(saved);
        }
        Ok(())
    }

    /// Deploys a zApp and runs its `init`.
    fn deploy(&mut self, turn: &mut Turn<'_>, execute: &mut dyn Execute) -> Result<(), StepError> {
        let owner = turn.call.caller;
        let Ok(deploy) = Deploy::from_bytes(&turn.call.input) else {
            turn.refuse(Refusal::Input);
            return Ok(());
        };
        let zapp = deploy.zapp(&owner);
        if zapp == ZappId::SYSTEM || self.record(&zapp)?.is_some() {
            turn.refuse(Refusal::Exists);
            return Ok(());
        }
        // Money first: whoever cannot put it there is not worked for.
        let journal = &mut self.journal;
        if !self.purse.fund(journal, &owner, &zapp, deploy.escrow)? {
            turn.refuse(Refusal::Balance);
            return Ok(());
        }
        let Some(prepared) = self.prepare(turn, &deploy.module, execute)? else {
            return Ok(());
        };
        let record = ZappRecord {
            owner,
            module: deploy.module,
            metered: prepared.metered,
            seq: self.job.seq,
            version: 0,
            calls: prepared.calls,
            pages: prepared.pages,
            frozen: false,
            aborted: false,
        };
        self.set_record(&zapp, &record);
        self.journal.put(&zapp, HEAD, Some(Vec::new()));
        self.enter(
            turn,
            Op::Init,
            zapp,
            record,
            &deploy.init,
            prepared,
            execute,
        )
    }

    /// Replaces a zApp's module and runs the new one's `migrate`.
    fn upgrade(&mut self, turn: &mut Turn<'_>, execute: &mut dyn Execute) -> Result<(), StepError> {
        let Ok(upgrade) = methods::read::<Upgrade>(&turn.call.input) else {
            turn.refuse(Refusal::Input);
            return Ok(());
        };
        let record = match self.owned(turn.call, &upgrade.zapp)? {
            Ok(record) if record.frozen => Err(Refusal::Frozen),
            Ok(record) if record.aborted => Err(Refusal::Aborted),
            record => record,
        };
        let record = match record {
            Ok(record) => record,
            Err(refusal) => {
                turn.refuse(refusal);
                return Ok(());
            }
        };
        let Some(prepared) = self.prepare(turn, &upgrade.module, execute)? else {
            return Ok(());
        };
        let record = ZappRecord {
            module: upgrade.module,
            metered: prepared.metered,
            calls: prepared.calls,
            pages: prepared.pages,
            seq: self.job.seq,
            version: record.version.saturating_add(1),
            ..record
        };
        self.set_record(&upgrade.zapp, &record);
        let (zapp, input) = (upgrade.zapp, &upgrade.migrate);
        self.enter(turn, Op::Migrate, zapp, record, input, prepared, execute)
    }

    /// The gatekeeper's verdict on a module, paid before the work is done: a module that is
    /// rejected costs the gatekeeper as much. `None` if the request ends here.
    fn prepare(
        &mut self,
        turn: &mut Turn<'_>,
        module: &attestation::ids::ModuleDigest,
        execute: &mut dyn Execute,
    ) -> Result<Option<Prepared>, StepError> {
        if turn.call.gas_limit < DEPLOY_GAS {
            turn.out_of_gas(&[]);
            return Ok(None);
        }
        let verdict = execute.prepare(&turn.report.request, module)?;
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
        Ok(prepared)
    }

    /// Runs `init` or `migrate` of a module that the gatekeeper let through.
    #[expect(clippy::too_many_arguments, reason = "two callers, next to each other")]
    fn enter(
        &mut self,
        turn: &mut Turn<'_>,
        op: Op,
        zapp: ZappId,
        record: ZappRecord,
        input: &[u8],
        prepared: Prepared,
        execute: &mut dyn Execute,
    ) -> Result<(), StepError> {
        let metered = prepared.metered.as_bytes().as_slice();
        let Some(gas_limit) = turn.call.gas_limit.checked_sub(prepared.gas()) else {
            turn.out_of_gas(&[metered]);
            return Ok(());
        };
        let run = Run {
            op,
            zapp,
            record,
            caller: turn.call.caller,
            method: "",
            input,
            gas_limit,
        };
        self.run(turn, &run, prepared.gas(), execute)?;
        let trace = turn.outcome.trace;
        turn.seal(&[metered, trace.as_bytes()]);
        Ok(())
    }

    /// One run of a zApp; what it wrote is kept only if it ended well and its escrow can pay the
    /// deposit for it.
    pub(super) fn run(
        &mut self,
        turn: &mut Turn<'_>,
        run: &Run<'_>,
        gas_before: u64,
        execute: &mut dyn Execute,
    ) -> Result<(), StepError> {
        let from = self.journal.open(&run.zapp);
        let call = Executable {
            op: run.op,
            request: turn.report.request,
            zapp: run.zapp,
            module: run.record.module,
            metered: run.record.metered,
            caller: run.caller,
            origin: turn.call.caller,
            method: run.method,
            input: run.input,
            gas_limit: run.gas_limit,
            environment: &self.environment,
            pulled: self
                .pulled
                .get(&turn.report.request)
                .map(Vec::as_slice)
                .unwrap_or_default(),
        };
        let execution = execute.execute(&call, &mut self.journal)?;
        execution
            .check(run.gas_limit)
            .map_err(|act| ExecuteError::Misreported(call.request, act))?;
        turn.ran(gas_before, &execution);
        if execution.status == Status::Ok {
            turn.report.writes = self.journal.writes_since(from);
            self.check_reach(run, turn, &execution)?;
            let saved = self.purse.save();
            let kept = if self.deposit(from)? {
                self.number(turn, &execution.messages)?
            } else {
                Err(Refusal::Deposit)
            };
            if let Err(refusal) = kept {
                self.journal.revert(from);
                self.purse.restore(saved);
                turn.messages.clear();
                turn.undo(refusal);
            }
        } else {
            self.journal.revert(from);
        }
        turn.report.execution = Some(execution);
        Ok(())
    }

    /// Whatever else than the zApp called had a part in a run takes calls, and the zApp's module
    /// can make some. An executor that was broken out of reaches no further than that (rule A3).
    fn check_reach(
        &mut self,
        run: &Run<'_>,
        turn: &Turn<'_>,
        execution: &Execution,
    ) -> Result<(), StepError> {
        let writes = turn.report.writes.iter().map(|write| write.zapp);
        let events = execution.events.iter().map(|event| event.zapp);
        let messages = execution.messages.iter().map(|post| post.zapp);
        let others: BTreeSet<ZappId> = writes
            .chain(events)
            .chain(messages)
            .filter(|zapp| *zapp != run.zapp)
            .collect();
        for zapp in others {
            // What a run really called is in the witness: it was read then.
            let callee = self.journal.callee(&zapp).unwrap_or_default();
            if !run.record.calls || callee.is_none() {
                let act = Misreport::Reach(zapp);
                return Err(StepError::Misreported(turn.report.request, act));
            }
        }
        Ok(())
    }

    /// Holds or returns the deposits for what a run stored and deleted; `false` if an escrow cannot
    /// pay.
    fn deposit(&mut self, from: Checkpoint) -> Result<bool, StepError> {
        let saved = self.purse.save();
        for (zapp, change) in self.journal.stored_since(from)? {
            let journal = &mut self.journal;
            if !self
                .purse
                .store(journal, &zapp, change.grown, change.shrunk)?
            {
                self.purse.restore(saved);
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Gives messages the next numbers of their channels, and orders what they pay out.
    fn number(
        &mut self,
        turn: &mut Turn<'_>,
        posts: &[Post],
    ) -> Result<Result<(), Refusal>, StepError> {
        for post in posts {
            if nom::is_payout(post)
                && let Err(refusal) = self.pay_out(post)?
            {
                return Ok(Err(refusal));
            }
            let destination = (post.chain, &post.contract);
            let committee = &self.environment.committee;
            let channel = MessageLeaf::channel(committee, &post.zapp, destination, &post.label);
            let key = system::channel_key(&channel);
            let last = self.journal.get(&ZappId::SYSTEM, &key)?;
            let last = system::read_number(last).ok_or(StepError::SystemEntry)?;
            let number = last.checked_add(1).ok_or(StepError::SystemEntry)?;
            let value = number.to_be_bytes().to_vec();
            self.journal.put(&ZappId::SYSTEM, &key, Some(value));
            turn.messages.push(MessageLeaf {
                zapp: post.zapp,
                seq: self.job.seq,
                chain: post.chain,
                contract: post.contract,
                receiver: post.receiver,
                channel,
                number,
                gas: post.gas,
                payload: post.payload.clone(),
            });
        }
        Ok(Ok(()))
    }

    pub(super) fn record(&mut self, zapp: &ZappId) -> Result<Option<ZappRecord>, StepError> {
        let key = system::zapp_key(zapp);
        match self.journal.get(&ZappId::SYSTEM, &key)? {
            Some(value) => Ok(Some(system::read(value).ok_or(StepError::SystemEntry)?)),
            None => Ok(None),
        }
    }

    pub(super) fn set_record(&mut self, zapp: &ZappId, record: &ZappRecord) {
        let (key, value) = (system::zapp_key(zapp), codec::encode(record));
        self.journal.put(&ZappId::SYSTEM, &key, Some(value));
    }

    /// The record of a zApp that belongs to the caller.
    pub(super) fn owned(
        &mut self,
        call: &Call,
        zapp: &ZappId,
    ) -> Result<Result<ZappRecord, Refusal>, StepError> {
        Ok(match self.record(zapp)? {
            None => Err(Refusal::UnknownZapp),
            Some(record) if record.owner != call.caller => Err(Refusal::NotOwner),
            Some(record) => Ok(record),
        })
    }
}
