//! The requests of a step, one after the other.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use attestation::codec;
use attestation::commit::Commit;
use attestation::ids::{Digest, RequestId, ZappId};
use attestation::leaf::{BlockLeaf, MessageLeaf, SettlementLeaf, Status};
use attestation::merkle;
use attestation::request::{Call, INPUT_BYTES_MAX, METHOD_BYTES_MAX, work_bits};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

use crate::entry::EntryWrite;
use crate::execute::{Environment, Execute, Report};
use crate::job::{Job, SignedVote};
use crate::journal::Journal;
use crate::limits::{REPORT_BYTES_MAX, REPORTS_BYTES_MAX, STEP_GAS_MAX};
use crate::links;
use crate::pull::Pulled;
use crate::state::State;
use crate::step::observations;
use crate::step::outcome::{Outcome, StepOutcome, trace_root};
use crate::step::purse::{self, Purse};
use crate::step::turn::Turn;
use crate::step::{Params, Previous, StepError, Violation, shape};
use crate::system::{
    self, COMMITTEE, CREDITS, Committee, Credits, Listed, ListedVote, Refusal, TOTALS, Totals,
    VOTES,
};

/// A step in progress.
pub(super) struct Requests<'a> {
    pub(super) job: &'a Job,
    state: &'a State,
    pub(super) journal: Journal<'a>,
    committee: Committee,
    pub(super) purse: Purse,
    pub(super) environment: Environment,
    ids: Vec<RequestId>,
    faults: BTreeMap<RequestId, u16>,
    /// What requests get of their sources.
    pub(super) pulled: BTreeMap<RequestId, Vec<Pulled>>,
    gas: u64,
    fees: u64,
    reports_bytes: usize,
    reports: Vec<Report>,
    outcomes: Vec<Outcome>,
    messages: Vec<MessageLeaf>,
    blocks: Vec<BlockLeaf>,
    pub(super) previous: Previous,
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
        let pulled = observations::pulled(job, &committee, &ids)?;
        let mut purse = Purse::new(committee.terms);
        let carried = credit(&mut journal, &mut purse, &committee, job)?;
        let listed = Listed {
            seq: previous.seq,
            trace: previous.trace,
            fees: purse.last_fees(&mut journal)?.saturating_add(carried),
            votes: job.votes.iter().map(ListedVote::of).collect(),
        };
        journal.put(&ZappId::SYSTEM, VOTES, Some(codec::encode(&listed)));
        Ok(Self {
            job,
            state,
            journal,
            committee,
            purse,
            environment: Environment {
                network: params.network,
                committee: params.committee,
                epoch: committee.epoch,
                seq: job.seq,
                context: job.context,
                previous_state: previous.state,
            },
            faults,
            pulled,
            gas: 0,
            fees: 0,
            reports_bytes: 0,
            reports: Vec::with_capacity(ids.len()),
            outcomes: Vec::with_capacity(ids.len()),
            messages: Vec::new(),
            blocks: Vec::new(),
            previous: *previous,
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
        let mut request = Turn::new(id, call);
        let work = work_bits(&id);
        let time_ms = self.job.context.time_ms;
        match self.purse.prepay(&mut self.journal, call, work, time_ms)? {
            // Who does not pay is not worked for, faults or not.
            Err(refusal) => request.refuse(refusal),
            Ok(prepaid) => {
                self.journal.begin();
                self.turn(&mut request, execute)?;
                let gas = request.outcome.gas;
                let fee = self.purse.charge(&mut self.journal, prepaid, gas)?;
                request.outcome.fee = fee;
                self.fees = self.fees.saturating_add(fee);
            }
        }
        self.gas += request.outcome.gas;
        self.reports_bytes += request.report.weight();
        if request.outcome.status == Status::Ok {
            self.messages.append(&mut request.messages);
            self.blocks.extend(request.block);
        }
        self.reports.push(request.report);
        self.outcomes.push(request.outcome);
        Ok(())
    }

    fn turn(&mut self, turn: &mut Turn<'_>, execute: &mut dyn Execute) -> Result<(), StepError> {
        let faults = self.faults.get(&turn.report.request).copied();
        if faults.unwrap_or_default() >= self.committee.threshold {
            turn.outcome.status = Status::Faulted;
            turn.seal(&[]);
            Ok(())
        } else if turn.call.pull.is_some() && !self.pulled.contains_key(&turn.report.request) {
            // Too late for observations: the caller learns so for certain (rule A13).
            turn.refuse(Refusal::Unobserved);
            Ok(())
        } else if turn.call.zapp == ZappId::SYSTEM {
            self.system(turn, execute)
        } else {
            self.call(turn, execute)
        }
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
        } else if call.check_pull().is_err() {
            Some(Violation::Sources)
        } else if call.valid_until_ms < time_ms {
            Some(Violation::Expired {
                valid_until_ms: call.valid_until_ms,
                time_ms,
            })
        } else if call.gas_limit == 0 || call.gas_limit > left {
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
        leaves.extend(self.messages.iter().map(MessageLeaf::to_bytes));
        leaves.extend(self.blocks.iter().map(BlockLeaf::to_bytes));
        let trace_root = trace_root(seq, &self.outcomes);
        let (writes, touched) = self.journal.finish()?;
        purse::check(self.state, &self.committee.terms, &writes)?;
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
        self.purse.end(&mut self.journal);
        let before: Totals = read(&mut self.journal, TOTALS)?;
        let totals = Totals {
            requests: before.requests.saturating_add(requests.into()),
            gas: before.gas.saturating_add(self.gas),
            fees: before.fees.saturating_add(self.fees),
        };
        self.journal
            .put(&ZappId::SYSTEM, TOTALS, Some(codec::encode(&totals)));
        Ok(SettlementLeaf {
            seq: self.job.seq,
            epoch: self.committee.epoch,
            requests,
            gas: self.gas,
            fees: self.fees,
            requests_total: totals.requests,
            gas_total: totals.gas,
            fees_total: totals.fees,
        })
    }
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

impl ListedVote {
    fn of(vote: &SignedVote) -> Self {
        Self {
            slot: vote.slot,
            mask: vote.mask,
        }
    }
}

/// Credits the listed votes that match the trace root revealed (rule A12) with the step, and each
/// with an n-th of its fees: nobody earns more by leaving others out. What nothing was revealed of
/// is divided with the fees of the step after: whoever withholds a trace root burns no pay.
fn credit(
    journal: &mut Journal<'_>,
    purse: &mut Purse,
    committee: &Committee,
    job: &Job,
) -> Result<u64, StepError> {
    let listed: Listed = read(journal, VOTES)?;
    let Some(trace) = &job.reveal else {
        return Ok(listed.fees);
    };
    let hash: [u8; 32] = Sha256::digest(trace.as_bytes()).into();
    if listed.seq.0 == 0 || hash != *listed.trace.as_bytes() {
        return Err(StepError::Reveal);
    }
    let share = listed.fees / u64::from(committee.members.max(1));
    let mut credits: Credits = read(journal, CREDITS)?;
    let mut earned = 0;
    for vote in &listed.votes {
        if vote.mask == SignedVote::mask(vote.slot, listed.seq, trace) {
            credits.add(vote.slot, share);
            earned += share;
        }
    }
    journal.put(&ZappId::SYSTEM, CREDITS, Some(codec::encode(&credits)));
    purse.divide(journal, listed.fees, earned)?;
    Ok(0)
}

pub(super) fn read<T: Serialize + DeserializeOwned>(
    journal: &mut Journal<'_>,
    key: &[u8],
) -> Result<T, StepError> {
    let value = journal.get(&ZappId::SYSTEM, key)?;
    value.and_then(system::read).ok_or(StepError::SystemEntry)
}
