//! What can be said of a report that is replayed.

use std::path::PathBuf;

use super::trace::Tracing;

/// A report to replay.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    zq report show REPORT --out DIR && zq report replay DIR/REPORT.report.cbor\n  \
    zq report replay REPORT                           the same, from the node\n  \
    zq --json report replay REPORT > mine.json        for somebody's --against\n  \
    zq report replay REPORT --against mine.json       points at the first host call that differs\n\n\
    A member's vote is one digest. It tells whether the member states what this machine computes,\n\
    and whether its host calls, results and gas were the same; where they were not, what the same\n\
    command prints at that member tells which host call.")]
pub(crate) struct ReplayArguments {
    /// Id of a report of the node, or the file that `zq report show --out` left, with the job's
    /// file and the modules beside it.
    #[arg(value_name = "REPORT|FILE")]
    pub(crate) report: String,
    /// A module that the job needs; else the file MODULE.wasm beside the report, else the node's.
    #[arg(long, value_name = "FILE")]
    pub(crate) module: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) tracing: Tracing,
}
