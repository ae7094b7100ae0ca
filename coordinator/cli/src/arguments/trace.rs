//! What can be said of a call that is traced.

use std::path::PathBuf;

use attestation::ids::IdentityKey;

use super::Input;
use crate::engines::Choice;
use crate::trace::CALLS_MAX;

/// How host calls are kept and compared.
#[derive(clap::Args)]
pub(crate) struct Tracing {
    /// What runs it; both must come to the same.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) engine: Choice,
    /// Most host calls that are printed.
    #[arg(long, default_value_t = 10_000, value_name = "N",
          value_parser = clap::value_parser!(u64).range(1..=CALLS_MAX as u64))]
    pub(crate) calls: u64,
    /// Compare with what this command printed under --json elsewhere, and point at the first host
    /// call that differs.
    #[arg(long, value_name = "FILE")]
    pub(crate) against: Option<PathBuf>,
}

/// A call to trace.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    zq zapp trace counter.wasm add amount=5\n  \
    zq zapp trace poll.wasm vote choice=1 --init choices=3 --init open_ms=3600000\n  \
    zq zapp trace counter.wasm add amount=5 --save s && zq zapp trace counter.wasm count --state s\n  \
    zq --json zapp trace old.wasm add amount=5 > old.json && \\\n    \
    zq zapp trace new.wasm add amount=5 --against old.json\n\n\
    The zApp is deployed on a fresh state first, in step 1, or is in the state of --state. A host\n\
    call of a called zApp stands indented before the `call` that asked for it.")]
pub(crate) struct TraceArguments {
    /// The WebAssembly module.
    pub(crate) module: PathBuf,
    /// The method: a call, a view, or `init`.
    pub(crate) method: String,
    #[command(flatten)]
    pub(crate) input: Input,
    /// An argument of init by name, repeated.
    #[arg(long, value_name = "NAME=VALUE", conflicts_with_all = ["init_input", "state"])]
    pub(crate) init: Vec<String>,
    /// Input of init as hexadecimal digits, unchecked.
    #[arg(long, value_name = "HEX", conflicts_with = "state")]
    pub(crate) init_input: Option<String>,
    /// Go on with the state that --save left, with this module in place of the one that it had.
    #[arg(long, value_name = "FILE")]
    pub(crate) state: Option<PathBuf>,
    /// Leave the state after the call in this file, for --state.
    #[arg(long, value_name = "FILE")]
    pub(crate) save: Option<PathBuf>,
    /// Key of whoever calls, 64 hexadecimal digits; the owner's by default, which is 0101….
    #[arg(long, value_name = "HEX")]
    pub(crate) caller: Option<IdentityKey>,
    /// Most gas that the call may use.
    #[arg(long, default_value_t = 50_000_000)]
    pub(crate) gas: u64,
    /// Time of the step, Unix milliseconds; a second after the last one by default.
    #[arg(long, value_name = "MS")]
    pub(crate) time: Option<u64>,
    /// Run it as a view: for a module that does not say what its methods are.
    #[arg(long)]
    pub(crate) view: bool,
    #[command(flatten)]
    pub(crate) tracing: Tracing,
}
