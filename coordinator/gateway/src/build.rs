//! Building a job: the step is run once on the full state to learn what it touches.

use std::collections::BTreeSet;
use std::sync::Arc;

use attestation::ids::{
    ModuleDigest, RequestId, RuntimeProfile, Seq, StatementId, TraceRoot, ZappId,
};
use attestation::request::{Call, Request};
use attestation::step_attestation::StepAttestation;
use sha2::{Digest as _, Sha256};
use state::State;
use state::job::{BuildJob, Context, Job, SignedFault};
use state::limits::{REQUESTS_MAX, STEP_GAS_MAX};
use state::pull::SignedObservation;
use state::step::{Params, Previous, StepError, StepOutcome, Violation};
use state::system::methods;
use state::witness::{Witness, WitnessError};

use crate::chain::FIRST_MAX;
use crate::gateway::Gateway;
use crate::ledger::StepBody;
use crate::rows::Closed;
use crate::rows::StoreError;
use crate::runs::{Failed, Run, SHELF_MAX};
use crate::workers::WorkersError;

/// Most bytes of a job's requests: job and witness together stay below the longest message.
pub const JOB_REQUESTS_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Most modules that a job runs: all of them have a place on the shelf and in an engine at once.
/// With more, a run would push out what it needs again.
pub const JOB_MODULES_MAX: usize = 32;

/// Leaves out what is set aside, with what its callers sent after it: nonces rise, so that would
/// overtake it. Puts the first request first, unless one of its caller's must run before it.
fn arrange(
    mut requests: Vec<(RequestId, Arc<Request>)>,
    order: &BuildJob,
) -> Vec<(RequestId, Arc<Request>)> {
    let mut waiting = BTreeSet::new();
    requests.retain(|(id, request)| {
        if order.set_aside.contains(id) {
            waiting.insert(request.call.caller);
        }
        !waiting.contains(&request.call.caller)
    });
    let place = requests
        .iter()
        .position(|(id, _)| order.first.as_ref() == Some(id));
    if let Some(place) = place {
        let (before, from) = requests.split_at(place);
        let caller = from.first().map(|(_, request)| request.call.caller);
        if !before
            .iter()
            .any(|(_, request)| Some(request.call.caller) == caller)
        {
            let first = requests.remove(place);
            requests.insert(0, first);
        }
    }
    requests
}

/// Why there is no job.
#[derive(Clone, Debug, thiserror::Error)]
pub enum BuildError {
    /// The order is for another head than this node's: one of the two must catch up.
    #[error("the order is for step {asked}, this node's head is {head}")]
    OtherHead {
        /// Step asked for.
        asked: Seq,
        /// This node's head.
        head: Seq,
    },
    /// Steps of the epoch in force are run by another release than this.
    #[error(
        "steps run under profile {expected} by now, and this release runs {}: install the one that \
         runs it",
        runtime::profile()
    )]
    Profile {
        /// Engine, gas schedule, host ABI and limits of the next step.
        expected: RuntimeProfile,
    },
    /// This node's own state does not serve: our bug, or a damaged store.
    #[error("this node cannot run steps: {0}")]
    Step(StepError),
    /// The worker thread has no room or failed.
    #[error(transparent)]
    Workers(#[from] WorkersError),
    /// The store cannot be read or written.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A step that this node has run before it was attested.
#[derive(Debug)]
pub(crate) struct Foreseen {
    seq: Seq,
    statement: StatementId,
    body: StepBody,
}

impl Gateway {
    /// Builds the job that `order` asks for; `None` if no request can run.
    ///
    /// # Errors
    /// [`BuildError`] if the order does not fit this node's head, or this node cannot run steps.
    pub async fn build_job(&self, order: BuildJob) -> Result<Option<Job>, BuildError> {
        self.catch_up_to(&order).await;
        let head = self.head().await;
        let head_seq = head.map_or(Seq(0), |head| head.commit.seq);
        if head_seq.next() != Some(order.seq) || !follows(&order, head.as_ref()) {
            return Err(BuildError::OtherHead {
                asked: order.seq,
                head: head_seq,
            });
        }
        self.check_profile().await?;
        let previous_ms = head.map_or(self.record().created_ms, |head| head.commit.time_ms);
        let (anchor_height, anchor) = match order.anchor {
            true => self.anchor_after(head.as_ref()),
            false => Context::anchor_of(head.as_ref()),
        };
        let context = Context {
            time_ms: self.now_ms().max(previous_ms),
            anchor_height,
            anchor,
        };
        self.expire(context.time_ms).await;
        let reveal = order.reveal.or(self.own_trace().await);
        let requests = self.select(&order).await;
        let (observations, waiting) = self.gather(&requests, order.seq, context.time_ms).await;
        let mut draft = Draft {
            requests,
            order,
            reveal,
            context,
            observations,
        };
        waiting.iter().for_each(|id| draft.drop_with_later(id));
        // Every failed try takes at least one request out of the draft.
        while !draft.requests.is_empty() {
            let job = Arc::new(draft.job());
            match self.run_traced(&job).await? {
                Ok(outcome) => match self.witness(&outcome).await {
                    Ok(witness) => return Ok(Some(self.finish(&job, witness, &outcome))),
                    Err(WitnessError::TooLong(bytes)) => self.shorten(&mut draft, bytes).await,
                    Err(error) => {
                        tracing::error!(%error, "cannot make a witness of the whole state");
                        return Ok(None);
                    }
                },
                Err(failed) => self.mend(&mut draft, failed).await?,
            }
        }
        Ok(None)
    }

    /// What another profile's engine does with a step is not for this one to say.
    async fn check_profile(&self) -> Result<(), BuildError> {
        let chain = self.inner.chain.read().await;
        // A whole state shows every entry.
        let committee = chain.state.committee().ok().flatten();
        let expected = committee.map_or(self.record().profile, |committee| committee.profile);
        if expected == runtime::profile() {
            return Ok(());
        }
        Err(BuildError::Profile { expected })
    }

    /// Runs a job on the head's state; modules that are stored are loaded as needed.
    pub(crate) async fn run(&self, job: Arc<Job>) -> Result<StepOutcome, BuildError> {
        self.run_traced(&job)
            .await?
            .map_err(|failed| BuildError::Step(failed.error))
    }

    /// The trace root that the next step can reveal (rule A12), if this node ran that step: members
    /// release theirs only once the step after it is attested, when the next may be on its way.
    async fn own_trace(&self) -> Option<TraceRoot> {
        let chain = self.inner.chain.read().await;
        // A whole state shows every entry.
        let listed = chain.state.listed().ok().flatten()?;
        let traces = self.inner.traces();
        let committed = |trace: &TraceRoot| {
            let hash: [u8; 32] = Sha256::digest(trace.as_bytes()).into();
            hash == *listed.trace.as_bytes()
        };
        traces.iter().copied().find(committed)
    }

    /// What this node foresaw of a statement.
    pub(crate) fn foreseen(&self, statement: &StatementId) -> Option<StepBody> {
        let foreseen = self.inner.foreseen();
        let step = foreseen.iter().find(|step| step.statement == *statement)?;
        Some(step.body.clone())
    }

    /// Forgets what was foreseen up to an accepted step.
    pub(crate) fn forget_foreseen(&self, seq: Seq) {
        self.inner.foreseen().retain(|step| step.seq > seq);
    }

    /// A coordinator learns of an attestation before this node's signer tells it: what this node
    /// built itself it can accept at once.
    async fn catch_up_to(&self, order: &BuildJob) {
        let Some(previous) = order.previous else {
            return;
        };
        let head = self.inner.chain.read().await.seq();
        if head.next() == Some(previous.commit.seq)
            && let Err(error) = self.attested(previous, None, None).await
        {
            tracing::warn!(%error, seq = %previous.commit.seq, "attestation in a job order");
        }
    }

    async fn select(&self, order: &BuildJob) -> Vec<(RequestId, Arc<Request>)> {
        let requests_max = order.requests_max.min(REQUESTS_MAX);
        let mut requests = if order.first.is_none() && order.set_aside.is_empty() {
            self.queue().select(requests_max)
        } else {
            arrange(self.queue().select(REQUESTS_MAX), order)
        };
        if order.first.is_none() {
            self.put_first(&mut requests, order);
        }
        requests.truncate(requests_max);
        let chain = self.inner.chain.read().await;
        let (mut bytes, mut modules) = (0, BTreeSet::new());
        let fits = requests.iter().take_while(|(_, request)| {
            bytes += request.call.input.len() + 512;
            modules.extend(module_of(&chain.state, &request.call));
            bytes <= JOB_REQUESTS_BYTES_MAX && modules.len() <= JOB_MODULES_MAX
        });
        let count = fits.count();
        requests.truncate(count);
        requests
    }

    /// What a member would refuse the step without comes before all else (rule E4).
    fn put_first(&self, requests: &mut Vec<(RequestId, Arc<Request>)>, order: &BuildJob) {
        let Some(caller) = self.first() else {
            return;
        };
        let first = self.queue().of_caller(&caller, FIRST_MAX);
        let mut first = arrange(first, order);
        requests.retain(|(_, request)| request.call.caller != caller);
        first.append(requests);
        *requests = first;
    }

    async fn run_traced(&self, job: &Arc<Job>) -> Result<Result<StepOutcome, Failed>, BuildError> {
        let mut loads = 0;
        loop {
            let chain = Arc::clone(&self.inner.chain).read_owned().await;
            let previous = chain.head.map_or_else(
                || Previous::genesis(self.record()),
                |head| Previous::of(&head),
            );
            let run = Run {
                params: Params::of(self.record()),
                previous,
                job: Arc::clone(job),
                chain,
                engines: Arc::clone(&self.inner.engines),
            };
            let result = self.inner.steps.run(move || run.run()).await?;
            match result {
                Err(Failed {
                    error: StepError::Module(module),
                    ..
                }) if loads < LOADS_MAX && self.load_module(&module).await => loads += 1,
                result => return Ok(result),
            }
        }
    }

    /// Makes a draft smaller whose witness is too long. A request that reads too much all by
    /// itself would stop every step from here on.
    async fn shorten(&self, draft: &mut Draft, bytes: usize) {
        if let [(id, _)] = draft.requests.as_slice() {
            tracing::warn!(request = %id, bytes, "closed: it reads more state than a step may show");
            self.queue().remove(id);
            self.close(vec![(*id, Closed::Impossible)]).await;
        }
        draft.halve();
    }

    /// Takes out of the draft what made the run fail.
    async fn mend(&self, draft: &mut Draft, failed: Failed) -> Result<(), BuildError> {
        match failed.error {
            // It waits for its turn in the next step, and so does what comes after it.
            StepError::Request(id, Violation::Gas { limit, .. }) if limit <= STEP_GAS_MAX => {
                draft.cut_before(&id);
            }
            StepError::Request(id, Violation::Space) => draft.cut_before(&id),
            StepError::Request(id, violation) => {
                let why = match violation {
                    Violation::Expired { .. } => Closed::Expired,
                    Violation::Replayed { .. } => Closed::Overtaken,
                    _ => Closed::Impossible,
                };
                draft.drop_request(&id);
                self.queue().remove(&id);
                self.close(vec![(id, why)]).await;
            }
            // What came before used up the loads: first in the next job, it has them all.
            StepError::Module(_) if draft.comes_later(failed.request.as_ref()) => {
                let id = failed.request.unwrap_or(RequestId::from_bytes([0; 32]));
                draft.cut_before(&id);
            }
            StepError::Module(_) | StepError::Hung(_) if failed.request.is_some() => {
                let id = failed.request.unwrap_or(RequestId::from_bytes([0; 32]));
                tracing::warn!(request = %id, error = %failed.error, "held back");
                draft.drop_with_later(&id);
                self.queue().hold(&id);
            }
            // Members' observations are gone by, or were none.
            StepError::Observation { request, .. } | StepError::Unobserved(request) => {
                tracing::info!(%request, error = %failed.error, "observations are not taken");
                self.observations().forget(&request);
                draft.drop_with_later(&request);
                self.queue().observed(&request, false);
            }
            // A coordinator's extras are not worth a step.
            StepError::Vote(_) if !draft.order.votes.is_empty() => draft.order.votes.clear(),
            StepError::Reveal if draft.reveal.is_some() => draft.reveal = None,
            StepError::Fault { .. } if !draft.order.faults.is_empty() => {
                draft.order.faults.clear();
            }
            error => return Err(BuildError::Step(error)),
        }
        Ok(())
    }

    async fn witness(&self, outcome: &StepOutcome) -> Result<Witness, WitnessError> {
        let chain = self.inner.chain.read().await;
        chain.state.witness(&outcome.touched)
    }

    fn finish(&self, job: &Job, witness: Witness, outcome: &StepOutcome) -> Job {
        let job = Job {
            witness,
            ..job.clone()
        };
        let mut traces = self.inner.traces();
        if traces.len() == TRACES_MAX {
            traces.pop_front();
        }
        traces.push_back(outcome.trace_root);
        drop(traces);
        let mut foreseen = self.inner.foreseen();
        if foreseen.len() == FORESEEN_MAX {
            foreseen.pop_front();
        }
        foreseen.push_back(Foreseen {
            seq: job.seq,
            statement: outcome.statement(),
            body: StepBody::of(outcome),
        });
        job
    }

    /// Whether the module can be loaded now that was not loaded before.
    async fn load_module(&self, module: &ModuleDigest) -> bool {
        match self.load(module).await {
            Ok(()) => true,
            Err(error) => {
                tracing::info!(%error, %module, "module not loaded");
                false
            }
        }
    }
}

/// A job in the making.
struct Draft {
    order: BuildJob,
    reveal: Option<TraceRoot>,
    context: Context,
    requests: Vec<(RequestId, Arc<Request>)>,
    /// Of those requests and of others, in order of request and slot.
    observations: Vec<SignedObservation>,
}

impl Draft {
    fn job(&self) -> Job {
        let mut faults: Vec<SignedFault> = self
            .order
            .faults
            .iter()
            .filter(|fault| self.requests.iter().any(|(id, _)| *id == fault.request))
            .cloned()
            .collect();
        faults.sort_by_key(|fault| (fault.request, fault.slot));
        faults.dedup_by_key(|fault| (fault.request, fault.slot));
        Job {
            seq: self.order.seq,
            previous: self
                .order
                .previous
                .map(|previous| previous.to_bytes())
                .unwrap_or_default(),
            context: self.context,
            requests: self
                .requests
                .iter()
                .map(|(_, request)| request.as_ref().clone())
                .collect(),
            votes: self.order.votes.clone(),
            reveal: self.reveal,
            faults,
            observations: self
                .observations
                .iter()
                .filter(|one| self.requests.iter().any(|(id, _)| *id == one.request))
                .cloned()
                .collect(),
            witness: Witness::default(),
        }
    }

    /// Whether a request is in the draft and not its first.
    fn comes_later(&self, id: Option<&RequestId>) -> bool {
        let place = self.requests.iter().position(|(at, _)| Some(at) == id);
        place.is_some_and(|place| place > 0)
    }

    fn drop_request(&mut self, id: &RequestId) {
        self.requests.retain(|(at, _)| at != id);
    }

    /// Drops a request and its caller's later ones, which would overtake it.
    fn drop_with_later(&mut self, id: &RequestId) {
        let held = self.requests.iter().find(|(at, _)| at == id);
        let Some((caller, nonce)) = held.map(|(_, held)| (held.call.caller, held.call.nonce))
        else {
            return;
        };
        self.requests
            .retain(|(_, request)| request.call.caller != caller || request.call.nonce < nonce);
    }

    fn cut_before(&mut self, id: &RequestId) {
        let place = self.requests.iter().position(|(at, _)| at == id);
        self.requests.truncate(place.unwrap_or_default());
    }

    fn halve(&mut self) {
        self.requests.truncate(self.requests.len() / 2);
    }
}

/// The module that a request runs, if it runs one.
fn module_of(state: &State, call: &Call) -> Option<ModuleDigest> {
    if call.zapp == ZappId::SYSTEM {
        return methods::module_of(call);
    }
    // A whole state shows every entry.
    Some(state.zapp(&call.zapp).ok()??.module)
}

/// Whether the order's previous attestation is this node's head.
fn follows(order: &BuildJob, head: Option<&StepAttestation>) -> bool {
    let asked = order.previous.map(|previous| previous.statement());
    asked == head.map(StepAttestation::statement)
}

/// Modules loaded for one run.
const LOADS_MAX: usize = 64;

/// Trace roots of own runs that are kept until their steps are two old; views repeat runs.
const TRACES_MAX: usize = 64;

const _: () =
    assert!(JOB_MODULES_MAX < SHELF_MAX && JOB_MODULES_MAX < runtime::execute::LOADED_MAX);
const _: () = assert!(JOB_MODULES_MAX <= LOADS_MAX);

/// Runs whose results are kept until one of them is attested: one per view or so.
const FORESEEN_MAX: usize = 4;

#[cfg(test)]
#[path = "build_tests.rs"]
mod tests;
