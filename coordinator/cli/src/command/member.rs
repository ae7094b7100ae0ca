//! `zq member`: hands over to `zq-node`, which holds secrets and is a program of its own.

use std::ffi::OsString;
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use crate::failure::Failure;
use crate::print::Print;

/// Becomes `zq-node` with these arguments, and returns only if it cannot.
pub(crate) fn run(arguments: &[OsString], print: &Print) -> Failure {
    const NAME: &str = "zq-node";
    let beside = std::env::current_exe().ok();
    let beside = beside.and_then(|zq| Some(zq.parent()?.join(NAME)));
    let program = beside.filter(|program| program.is_file());
    let mut command = Command::new(program.unwrap_or_else(|| NAME.into()));
    command.args(arguments);
    if print.is_json() {
        command.arg("--json");
    }
    let error = command.exec();
    Failure::new(
        format!("{NAME} does not start: {error}"),
        "install it beside zq, or in a directory of PATH",
    )
}
