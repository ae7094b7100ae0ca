//! Compiling modules in a child process with caps on memory, processor time and wall time: a
//! hostile module can make a compiler slow or hungry, and that is no bug of the compiler.

use std::io::{self, Read as _, Write as _};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use attestation::conditions::Engine;
use gateway::{Compile, CompileError};
use runtime::engine::{System, Target};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::confine;

/// Address space of the child in bytes.
const MEMORY_BYTES_MAX: u64 = 2 * 1024 * 1024 * 1024;
/// Processor time of the child in seconds.
const CPU_SECONDS_MAX: u64 = 30;
/// Wall time of the child.
const WALL_MAX: Duration = Duration::from_secs(60);
/// Longest metered module in bytes.
const MODULE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Longest artifact in bytes: it must fit into a control message to the executor.
const ARTIFACT_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Exit code of a child whose module the engine refuses.
const REFUSED: i32 = 3;
/// Children at a time.
const CHILDREN_MAX: usize = 2;
const TARGETS: [Target; 3] = [
    Target::Wasmtime(System::Linux),
    Target::Wasmtime(System::Hermit),
    Target::Wasmi,
];

/// What a member's executor runs zApps with. Nothing that members compare depends on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EngineChoice {
    /// Machine code, compiled by wasmtime.
    #[default]
    Wasmtime,
    /// The interpreter wasmi.
    Wasmi,
}

impl EngineChoice {
    /// What modules are compiled to for an executor on a system.
    #[must_use]
    pub const fn target(self, system: link::local::System) -> Target {
        match (self, system) {
            (Self::Wasmtime, link::local::System::Linux) => Target::Wasmtime(System::Linux),
            (Self::Wasmtime, link::local::System::Hermit) => Target::Wasmtime(System::Hermit),
            (Self::Wasmi, _) => Target::Wasmi,
        }
    }
}

impl From<Engine> for EngineChoice {
    fn from(engine: Engine) -> Self {
        match engine {
            Engine::Wasmtime => Self::Wasmtime,
            Engine::Wasmi => Self::Wasmi,
        }
    }
}

impl From<EngineChoice> for Engine {
    fn from(choice: EngineChoice) -> Self {
        match choice {
            EngineChoice::Wasmtime => Self::Wasmtime,
            EngineChoice::Wasmi => Self::Wasmi,
        }
    }
}

/// Compiles by starting the running program anew as `zq-node compile TARGET`.
#[derive(Debug)]
pub struct Compiler {
    program: PathBuf,
    places: Semaphore,
}

impl Compiler {
    /// A compiler in children of the running program.
    ///
    /// # Errors
    /// If the system does not tell which program runs.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            program: std::env::current_exe()?,
            places: Semaphore::new(CHILDREN_MAX),
        })
    }

    async fn run(&self, metered: Vec<u8>, target: Target) -> Result<Vec<u8>, CompileError> {
        let _place = self.places.acquire().await;
        let unavailable = |error: io::Error| {
            tracing::error!(%error, "compiler");
            CompileError::Unavailable
        };
        let mut child = Command::new(&self.program)
            .args(["compile", name(target)])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .map_err(unavailable)?;
        let (stdin, stdout) = (child.stdin.take(), child.stdout.take());
        let (Some(mut stdin), Some(stdout)) = (stdin, stdout) else {
            return Err(CompileError::Unavailable);
        };
        let talk = async {
            // A child that dies early closes the pipe; its exit code says why.
            let _ = stdin.write_all(&metered).await;
            drop(stdin);
            let mut artifact = Vec::new();
            let mut stdout = stdout.take(ARTIFACT_BYTES_MAX + 1);
            stdout.read_to_end(&mut artifact).await?;
            // One that has more to say is not waited for.
            drop(stdout);
            Ok((artifact, child.wait().await?))
        };
        let talked = timeout(WALL_MAX, talk).await;
        let (artifact, status) = talked
            .map_err(|_| CompileError::Exhausted)?
            .map_err(unavailable)?;
        let length = u64::try_from(artifact.len()).unwrap_or(u64::MAX);
        match status.code() {
            Some(0) if length <= ARTIFACT_BYTES_MAX => Ok(artifact),
            Some(REFUSED) => Err(CompileError::Refused),
            // Killed by a limit, or aborted for want of memory.
            _ => Err(CompileError::Exhausted),
        }
    }
}

impl Compile for Compiler {
    fn compile(
        &self,
        metered: Vec<u8>,
        target: Target,
    ) -> std::pin::Pin<Box<dyn Future<Output = Result<Vec<u8>, CompileError>> + Send + '_>> {
        Box::pin(self.run(metered, target))
    }
}

/// The child: a metered module on standard input, its artifact on standard output.
///
/// # Errors
/// If the limits cannot be set or the pipes fail. Ends the process with [`REFUSED`] if the engine
/// refuses the module.
pub fn child(target: &str) -> Result<()> {
    let target = TARGETS.into_iter().find(|known| name(*known) == target);
    let target = target.context("no such target")?;
    confine::limit(MEMORY_BYTES_MAX, Some(CPU_SECONDS_MAX))?;
    confine::confine()?;
    let mut metered = Vec::new();
    let stdin = io::stdin().lock();
    stdin.take(MODULE_BYTES_MAX + 1).read_to_end(&mut metered)?;
    if u64::try_from(metered.len()).unwrap_or(u64::MAX) > MODULE_BYTES_MAX {
        bail!("module of more than {MODULE_BYTES_MAX} bytes");
    }
    let Ok(artifact) = runtime::engine::compile_for(&metered, target) else {
        std::process::exit(REFUSED);
    };
    let mut stdout = io::stdout().lock();
    stdout.write_all(&artifact.bytes)?;
    Ok(stdout.flush()?)
}

/// The child's argument.
const fn name(target: Target) -> &'static str {
    match target {
        Target::Wasmtime(System::Linux) => "linux",
        Target::Wasmtime(System::Hermit) => "hermit",
        Target::Wasmi => "wasmi",
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// What a node makes of a child that ends as the script says.
    async fn compiled(script: &str) -> Result<Vec<u8>, CompileError> {
        let dir = tempfile::tempdir().expect("a directory");
        let program = dir.path().join("compiler");
        fs::write(&program, format!("#!/bin/sh\ncat > /dev/null\n{script}\n")).expect("written");
        fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).expect("executable");
        let compiler = Compiler {
            program,
            places: Semaphore::new(1),
        };
        compiler.run(vec![0; 100_000], Target::Wasmi).await
    }

    #[tokio::test]
    async fn a_child_that_dies_of_its_limits_or_says_too_much_has_exhausted_them() {
        assert_eq!(
            compiled("printf '%s %s' $1 $2").await,
            Ok(b"compile wasmi".to_vec())
        );
        assert_eq!(compiled("exit 3").await, Err(CompileError::Refused));
        for script in [
            "kill -KILL $$",
            "kill -XCPU $$",
            "kill -ABRT $$",
            "exit 1",
            "head -c 17000000 /dev/zero",
            "ulimit -t 1; while :; do :; done",
        ] {
            let ended = compiled(script).await;
            assert_eq!(ended, Err(CompileError::Exhausted), "{script}");
        }
    }
}
