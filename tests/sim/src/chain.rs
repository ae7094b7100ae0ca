//! The one chain that must come of it: every attested step is run again on the state before, by an
//! engine that nobody tampers with, and taken by the ledger that consumers run.

use std::collections::BTreeMap;

use acceptor::Terms;
use acceptor::ledger::{Ledger, Refused};
use attestation::ids::{Epoch, RequestId, Seq, StatementId};
use attestation::step_attestation::StepAttestation;
use state::State;
use state::job::Job;
use state::step::{Previous, StepError, run};

use crate::founding::Founding;
use crate::suite::Suite;
use crate::zapp::Engine;

/// Why an attestation is a violation.
#[derive(Debug)]
pub enum Broken {
    /// Another statement is attested at its seq (S1).
    Fork(StatementId),
    /// A consumer's ledger does not take it (S6, S7).
    Ledger(Refused),
    /// Nobody stored the job behind it.
    NoJob,
    /// The job does not run (S3).
    Run(StepError),
    /// The job runs to something else (S3).
    Otherwise(StatementId),
}

/// The attested steps, and what follows from them.
#[derive(Debug)]
pub struct Chain {
    ledger: Ledger,
    state: State,
    steps: BTreeMap<Seq, StepAttestation>,
    done: BTreeMap<RequestId, Seq>,
    /// Requests refused with a receipt, because t members cannot run them.
    pub refused: u64,
}

impl Chain {
    /// Before the first step.
    ///
    /// # Panics
    /// If the group key is not sound.
    #[must_use]
    pub fn new<S: Suite>(founding: &Founding<S>) -> Self {
        let record = &founding.record;
        let state = State::genesis(record);
        let terms = Terms::register(
            record.network,
            record.id(),
            Epoch(1),
            record.profile,
            S::ledger_key(founding.committee.group_key()),
            state.root(),
        );
        Self {
            ledger: Ledger::new(terms.expect("the group key is sound")),
            state,
            steps: BTreeMap::new(),
            done: BTreeMap::new(),
            refused: 0,
        }
    }

    /// The last attested step.
    #[must_use]
    pub fn head(&self) -> Seq {
        self.steps.keys().next_back().copied().unwrap_or(Seq(0))
    }

    /// The attestation of a step.
    #[must_use]
    pub fn step(&self, seq: Seq) -> Option<&StepAttestation> {
        self.steps.get(&seq)
    }

    /// The state after the last step.
    #[must_use]
    pub const fn state(&self) -> &State {
        &self.state
    }

    /// The step that ran a request.
    #[must_use]
    pub fn done(&self, request: &RequestId) -> Option<Seq> {
        self.done.get(request).copied()
    }

    /// Whether a step is attested with this very statement.
    #[must_use]
    pub fn attested(&self, seq: Seq, statement: &StatementId) -> bool {
        self.steps
            .get(&seq)
            .is_some_and(|step| step.statement() == *statement)
    }

    /// Takes an attestation that somebody holds. Whether it is new.
    ///
    /// # Errors
    /// [`Broken`] if it must not exist.
    pub fn attest<S: Suite>(
        &mut self,
        founding: &Founding<S>,
        attestation: &StepAttestation,
        job: Option<&Job>,
    ) -> Result<bool, Broken> {
        let (seq, statement) = (attestation.commit.seq, attestation.statement());
        if let Some(known) = self.steps.get(&seq) {
            return if known.statement() == statement {
                Ok(false)
            } else {
                Err(Broken::Fork(known.statement()))
            };
        }
        let shown = S::for_ledger(founding.committee.group_key(), attestation);
        self.ledger.accept(&shown).map_err(Broken::Ledger)?;
        let job = job.ok_or(Broken::NoJob)?;
        let previous = seq
            .0
            .checked_sub(1)
            .and_then(|before| self.steps.get(&Seq(before)))
            .map_or(founding.genesis, Previous::of);
        let mut engine = Engine::sound();
        let outcome = run(&founding.params, &previous, job, &self.state, &mut engine);
        let outcome = outcome.map_err(Broken::Run)?;
        if outcome.statement() != statement {
            return Err(Broken::Otherwise(outcome.statement()));
        }
        let root = self.state.apply(&outcome.writes);
        if root.ok() != Some(attestation.commit.state) {
            return Err(Broken::Otherwise(outcome.statement()));
        }
        for request in &job.requests {
            self.done.insert(request.id(), seq);
            let faults = job.faults.iter();
            let named = faults.filter(|fault| fault.request == request.id()).count();
            self.refused += u64::from(named > 0);
        }
        self.steps.insert(seq, *attestation);
        Ok(true)
    }
}
