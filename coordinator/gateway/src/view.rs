//! Views: read-only calls on the head's state. They cost nothing and prove nothing: a caller who
//! needs proof reads state entries with their proofs.

use std::sync::Arc;

use attestation::ids::{Digest, IdentityKey, RequestId, Seq, StateRoot, ZappId};
use attestation::leaf::Status;
use state::execute::{Environment, Executable, ExecuteError, Op};
use state::job::Context;

use crate::gateway::Gateway;
use crate::modules::ArtifactError;
use crate::workers::WorkersError;

/// Most gas of a view: what a node gives away for nothing.
pub const VIEW_GAS_MAX: u64 = 100_000_000;

/// What a zApp answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// How the run ended.
    pub status: Status,
    /// The zApp's code for a revert, else 0.
    pub code: u32,
    /// Gas used.
    pub gas: u64,
    /// Output bytes.
    pub output: Vec<u8>,
    /// Log lines, for the author.
    pub log: Vec<Vec<u8>>,
    /// The step whose state was read.
    pub seq: Seq,
    /// Root of that state.
    pub state: StateRoot,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ViewError {
    /// There is no such zApp.
    #[error("no zApp {0}")]
    UnknownZapp(ZappId),
    /// Too many views run at once.
    #[error(transparent)]
    Workers(#[from] WorkersError),
    /// The zApp's module is not at hand.
    #[error(transparent)]
    Module(#[from] ArtifactError),
    /// The engine gave no outcome.
    #[error(transparent)]
    Execute(#[from] ExecuteError),
}

impl Gateway {
    /// Asks a zApp without changing anything.
    ///
    /// # Errors
    /// [`ViewError`] if it gives no answer. A view that reverts or traps is an answer.
    pub async fn view(
        &self,
        zapp: ZappId,
        method: String,
        input: Vec<u8>,
    ) -> Result<View, ViewError> {
        let first = self.try_view(zapp, method.clone(), input.clone()).await;
        match first {
            Err(ViewError::Execute(ExecuteError::Module(module))) => {
                self.load(&module).await?;
                self.try_view(zapp, method, input).await
            }
            answer => answer,
        }
    }

    async fn try_view(
        &self,
        zapp: ZappId,
        method: String,
        input: Vec<u8>,
    ) -> Result<View, ViewError> {
        let chain = Arc::clone(&self.inner.chain).read_owned().await;
        let unknown = ViewError::UnknownZapp(zapp);
        let record = chain.state.zapp(&zapp).map_err(ExecuteError::from)?;
        let record = record.ok_or(unknown)?;
        let committee = chain.state.committee().map_err(ExecuteError::from)?;
        let (seq, state) = (chain.seq(), chain.state.root());
        let environment = Environment {
            network: self.inner.record.network,
            committee: self.inner.committee,
            epoch: committee.map_or(attestation::ids::Epoch(1), |committee| committee.epoch),
            seq,
            context: Context {
                time_ms: self.now_ms(),
                anchor_height: 0,
                anchor: Digest::from_bytes([0; 32]),
            },
            previous_state: state,
        };
        let engines = Arc::clone(&self.inner.engines);
        let run = move || {
            let call = Executable {
                op: Op::View,
                request: RequestId::from_bytes([0; 32]),
                zapp,
                module: record.module,
                metered: record.metered,
                caller: IdentityKey::from_bytes([0; 32]),
                method: &method,
                input: &input,
                gas_limit: VIEW_GAS_MAX,
                environment: &environment,
            };
            engines.view(&call, &chain.state)
        };
        let ran = self.inner.views.run(run).await?;
        let ran = ran.ok_or(WorkersError::Busy)??;
        Ok(View {
            status: ran.execution.status,
            code: ran.execution.code,
            gas: ran.execution.gas,
            output: ran.execution.output,
            log: ran.log,
            seq,
            state,
        })
    }
}
