//! Running other programs: every failure names the program and what it was for.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// Runs a command to its end; its output goes where ours goes.
pub fn run(purpose: &str, command: &mut Command) -> Result<()> {
    let program = command.get_program().to_string_lossy().into_owned();
    let status = command
        .status()
        .with_context(|| format!("{purpose}: cannot start {program}"))?;
    if !status.success() {
        bail!("{purpose}: {program} ended with {status}");
    }
    Ok(())
}

/// The cargo that runs this task.
pub fn cargo(root: &Path) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root);
    command
}

/// Installs missing system packages, or says how where it may not.
pub fn system_packages(root: &Path, purpose: &str) -> Result<()> {
    run(
        "installing system packages",
        Command::new("bash")
            .arg(root.join(".ci/system-packages"))
            .arg(purpose),
    )
}

/// Standard output of a command that succeeds.
pub fn printed(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(arguments)
        .stderr(Stdio::null())
        .output()
        .ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8(output.stdout).ok())?
}
