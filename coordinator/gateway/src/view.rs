//! Views: read-only calls on the head's state. They cost nothing and prove nothing: a caller who
//! needs proof reads state entries with their proofs.

use attestation::ids::{IdentityKey, RequestId, Seq, StateRoot, ZappId};
use attestation::leaf::Status;
use state::execute::{Environment, Executable, ExecuteError, Op};
use state::job::Context;
use state::limits::CALLEES_MAX;

use crate::gateway::{Chain, Gateway};
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
        let view = || self.try_view(zapp, method.clone(), input.clone());
        self.with_modules(view).await
    }

    /// Runs something until it has all modules that it asks for: one for the zApp, and one for each
    /// that this calls.
    pub(crate) async fn with_modules<T, F>(&self, run: impl Fn() -> F) -> Result<T, ViewError>
    where
        F: Future<Output = Result<T, ViewError>>,
    {
        for _ in 0..=CALLEES_MAX {
            match run().await {
                Err(ViewError::Execute(ExecuteError::Module(module))) => self.load(&module).await?,
                answer => return answer,
            }
        }
        run().await
    }

    /// What a run outside of any step sees.
    pub(crate) fn environment(&self, chain: &Chain, seq: Seq) -> Result<Environment, ExecuteError> {
        let committee = chain.state.committee()?;
        let (anchor_height, anchor) = Context::anchor_of(chain.head.as_ref());
        Ok(Environment {
            network: self.inner.record.network,
            committee: self.inner.committee,
            epoch: committee.map_or(attestation::ids::Epoch(1), |committee| committee.epoch),
            seq,
            context: Context {
                time_ms: self.now_ms(),
                anchor_height,
                anchor,
            },
            previous_state: chain.state.root(),
        })
    }

    async fn try_view(
        &self,
        zapp: ZappId,
        method: String,
        input: Vec<u8>,
    ) -> Result<View, ViewError> {
        let gateway = self.clone();
        let run = move || gateway.run_view(zapp, &method, &input);
        self.inner.views.run(run).await?
    }

    /// On a thread of its own. The state is held from here on and not before: what waits for a
    /// thread must not keep a step from being accepted.
    fn run_view(&self, zapp: ZappId, method: &str, input: &[u8]) -> Result<View, ViewError> {
        let chain = self.inner.chain.blocking_read();
        let record = chain.state.zapp(&zapp).map_err(ExecuteError::from)?;
        let record = record.ok_or(ViewError::UnknownZapp(zapp))?;
        let (seq, state) = (chain.seq(), chain.state.root());
        let environment = self.environment(&chain, seq)?;
        let call = Executable {
            op: Op::View,
            request: RequestId::from_bytes([0; 32]),
            zapp,
            module: record.module,
            metered: record.metered,
            caller: IdentityKey::from_bytes([0; 32]),
            origin: IdentityKey::from_bytes([0; 32]),
            method,
            input,
            gas_limit: VIEW_GAS_MAX,
            environment: &environment,
            pulled: &[],
        };
        let ran = self.inner.engines.view(&call, &chain.state);
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

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use attestation::ids::Digest;
    use state::system::{DEPLOY, Deploy};

    use super::*;
    use crate::fixture::{Caller, Fixture};

    /// A view that never ends.
    const ENDLESS: &str = r#"(module
      (memory (export "memory") 1 1)
      (func (export "zapp_main") (param $op i32) (param $len i32) (result i32)
        (if (i32.eq (local.get $op) (i32.const 2)) (then (loop $more (br $more))))
        (i32.const 0)))"#;

    #[tokio::test]
    async fn views_that_wait_do_not_keep_a_step_waiting() {
        const VIEWS: usize = 24;
        let mut fixture = Fixture::new().await;
        let wasm = wat::parse_str(ENDLESS).unwrap();
        let deploy = Deploy {
            module: fixture.gateway.put_module(wasm).await.unwrap().original,
            salt: Digest::from_bytes([1; 32]),
            escrow: 0,
            init: Vec::new(),
        };
        let owner = Caller::new(200);
        let zapp = deploy.zapp(&owner.identity());
        let request = owner.request(&fixture, ZappId::SYSTEM, DEPLOY, deploy.to_bytes(), 1);
        fixture.gateway.submit(request).await.unwrap();
        fixture.step().await;

        let answered = Arc::new(AtomicUsize::new(0));
        let views: Vec<_> = (0..VIEWS)
            .map(|_| {
                let (gateway, answered) = (fixture.gateway.clone(), Arc::clone(&answered));
                tokio::spawn(async move {
                    let view = gateway.view(zapp, String::new(), Vec::new()).await.unwrap();
                    assert_eq!(view.status, Status::OutOfGas);
                    answered.fetch_add(1, Ordering::Relaxed);
                })
            })
            .collect();
        // Until one has been answered all others wait or run.
        while answered.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
        drop(fixture.gateway.inner.chain.write().await);
        let before = answered.load(Ordering::Relaxed);
        assert!(before < VIEWS / 2, "{before} of {VIEWS} came first");
        for view in views {
            view.await.unwrap();
        }
    }
}
