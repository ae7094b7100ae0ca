//! Quotes: what a call would cost now, found out by running it and dropping what it writes.

use attestation::ids::{IdentityKey, RequestId, Seq, ZappId};
use attestation::leaf::Status;
use state::execute::{Executable, ExecuteError, Op};
use state::limits::REQUEST_GAS;
use state::system::Refusal;

use crate::gateway::Gateway;
use crate::view::{VIEW_GAS_MAX, ViewError};
use crate::workers::WorkersError;

/// A call to be quoted; nobody signs it.
#[derive(Clone, Debug)]
pub struct QuoteCall {
    /// The zApp.
    pub zapp: ZappId,
    /// Its method.
    pub method: String,
    /// Argument bytes.
    pub input: Vec<u8>,
    /// Who would call.
    pub caller: IdentityKey,
}

/// What the call would come to on the head's state. Later state may cost more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quote {
    /// How the run ended.
    pub status: Status,
    /// The zApp's code for a revert, else 0.
    pub code: u32,
    /// Gas used.
    pub gas: u64,
    /// Fee for that gas, 10⁻⁸ QSR.
    pub fee: u64,
    /// Bytes by which the zApp's state would grow; negative where it would shrink.
    pub stored: i64,
    /// Deposit for them, from or back to the zApp's escrow, 10⁻⁸ QSR.
    pub deposit: i64,
    /// Output bytes.
    pub output: Vec<u8>,
    /// The step whose state was used.
    pub seq: Seq,
}

impl Gateway {
    /// Runs a call and drops what it writes.
    ///
    /// # Errors
    /// [`ViewError`] if there is no outcome.
    pub async fn quote(&self, call: QuoteCall) -> Result<Quote, ViewError> {
        self.with_modules(|| self.try_quote(call.clone())).await
    }

    async fn try_quote(&self, call: QuoteCall) -> Result<Quote, ViewError> {
        let gateway = self.clone();
        let run = move || gateway.run_quote(&call);
        self.inner.views.run(run).await?
    }

    /// On a thread of its own, as views.
    fn run_quote(&self, quoted: &QuoteCall) -> Result<Quote, ViewError> {
        let chain = self.inner.chain.blocking_read();
        let record = chain.state.zapp(&quoted.zapp).map_err(ExecuteError::from)?;
        let record = record.ok_or(ViewError::UnknownZapp(quoted.zapp))?;
        let committee = chain.state.committee().map_err(ExecuteError::from)?;
        let terms = committee.map_or(self.inner.record.terms, |committee| committee.terms);
        if record.aborted {
            return Ok(Quote {
                status: Status::Refused,
                code: Refusal::Aborted.code(),
                gas: REQUEST_GAS,
                fee: terms.fee(REQUEST_GAS),
                stored: 0,
                deposit: 0,
                output: Vec::new(),
                seq: chain.seq(),
            });
        }
        let next = chain.seq().next().unwrap_or(chain.seq());
        let environment = self.environment(&chain, next)?;
        let call = Executable {
            op: Op::Call,
            request: RequestId::from_bytes([0; 32]),
            zapp: quoted.zapp,
            module: record.module,
            metered: record.metered,
            caller: quoted.caller,
            origin: quoted.caller,
            method: &quoted.method,
            input: &quoted.input,
            gas_limit: VIEW_GAS_MAX,
            environment: &environment,
            pulled: &[],
        };
        let ran = self.inner.engines.rehearse(&call, &chain.state);
        let (execution, stored) = ran.ok_or(WorkersError::Busy)??;
        let stored = match execution.status {
            // A call stores a megabyte at most.
            Status::Ok => stored.grown.cast_signed() - stored.shrunk.cast_signed(),
            _ => 0,
        };
        Ok(Quote {
            status: execution.status,
            code: execution.code,
            gas: execution.gas,
            fee: terms.fee(execution.gas),
            stored,
            deposit: stored.saturating_mul(terms.byte_deposit.cast_signed()),
            output: execution.output,
            seq: chain.seq(),
        })
    }
}
