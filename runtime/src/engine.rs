//! Two engines behind one trait: machine code by wasmtime (`compiled.rs`, the only file that names
//! it), and wasmi, an interpreter (`interpreted.rs`, likewise).
//!
//! Both run the same metered module with the same host, so that a member may run either: a bug of
//! one engine shows as votes that differ, instead of going unseen. Whatever decides an outcome is
//! here or in the module and never in an engine: gas and stack are globals of the module, and the
//! three kinds of trap are told apart by them.
//!
//! A thread that runs calls needs a stack of at least [`THREAD_STACK_BYTES`].

mod compiled;
#[cfg(target_os = "hermit")]
mod hermit;
mod interpreted;
mod lent;

use attestation::ids::Digest;
use sha2::{Digest as _, Sha256};

use self::compiled::Compiled;
use self::interpreted::Interpreted;
use crate::abi::HostFault;
use crate::host::{End, Host};

/// Least stack of a thread that runs calls.
pub const THREAD_STACK_BYTES: usize = 4 << 20;

/// The system that machine code is for: the node's own, or that of an executor in a virtual
/// machine. It decides how code is loaded, not what it computes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    /// A process of Linux.
    Linux,
    /// A guest of its own.
    Hermit,
}

impl System {
    /// The one that this program runs on.
    pub const HERE: Self = if cfg!(target_os = "hermit") {
        Self::Hermit
    } else {
        Self::Linux
    };
}

/// What an artifact is made for. It decides how fast a call runs, not what it comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// Machine code by wasmtime.
    Wasmtime(System),
    /// The interpreter wasmi, on any system.
    Wasmi,
}

impl Target {
    /// The fast one, for the system that this program runs on.
    pub const HERE: Self = Self::Wasmtime(System::HERE);
}

/// The engine does not start.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EngineError {
    /// wasmtime refuses the configuration on this machine.
    #[error("the engine refuses its configuration; it needs an x86-64-v2 machine")]
    Refused,
    /// wasmtime took the configuration and says it has another.
    #[error("the engine's {0} differs from the profile's")]
    Differs(&'static str),
}

/// An artifact is not loaded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// The bytes are not the ones that were compiled.
    #[error("the artifact's digest is {actual}, {expected} was promised: compile it again")]
    Digest {
        /// The digest that the artifact should have.
        expected: Digest,
        /// The digest that it has.
        actual: Digest,
    },
    /// The right bytes, but made by another version of this program.
    #[error("the artifact was made for another engine: compile it again")]
    Incompatible,
}

/// A metered module is not compiled. Local: says nothing about the module.
#[cfg(feature = "compiler")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CompileError {
    /// The engine does not start.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// Not a module that [`crate::prepare`] made.
    #[error("not a metered module")]
    NotMetered,
    /// The compiler refuses it.
    #[error("the compiler refuses the module")]
    Compiler,
}

/// A metered module as an engine takes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// Magic, digest of the metered module, charge for an instance; then machine code, or the
    /// metered module itself for the interpreter. The magic says which.
    pub bytes: Vec<u8>,
    /// SHA-256 of `bytes`.
    pub digest: Digest,
}

impl Artifact {
    /// Names the bytes by their digest: for a compiler's output, and for nothing else.
    #[must_use]
    pub fn of(bytes: Vec<u8>) -> Self {
        let digest = Digest::from_bytes(Sha256::digest(&bytes).into());
        Self { bytes, digest }
    }
}

/// A module that can run.
#[derive(Clone)]
pub struct Loaded {
    code: Code,
    /// Digest of the metered module.
    pub metered: Digest,
    /// Charge for making an instance.
    pub start_gas: u64,
}

#[derive(Clone)]
enum Code {
    Compiled(<Compiled as RunModule>::Module),
    Interpreted(<Interpreted as RunModule>::Module),
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// `zapp_main` returned.
    Returned(i32),
    /// A host call ended it.
    Host(End),
    /// It trapped.
    Trapped,
    /// No outcome: this machine failed, not the module.
    Failed,
}

/// The two globals of a metered module: what a run may still use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Meters {
    /// Gas left, below zero when it is gone.
    pub(crate) gas: i64,
    /// Logical stack left, below zero when it is gone.
    pub(crate) stack: i32,
}

/// Why `zapp_main` did not return, as an engine sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stop {
    /// `unreachable`: the author's, or the instrumentation's.
    Unreachable,
    /// Any other trap that a module can cause; which one is nobody's business.
    Trap,
    /// An end by the host, or of this machine: memory, native stack, a bug of the engine.
    Other,
}

/// An engine.
///
/// A run has a store of its own, and all it shares with the world is what it is lent: the host
/// and the meters. That is what lets one zApp call another: the host function that does so makes a
/// `Host` of its own for the callee (its entries, its input) and calls `run` on the callee's
/// module from within the caller's run, with the caller's meters as they stand after the charge
/// for the call. Neither instance can see the other's memory; the caller's is lent anew after the
/// call, as it is after any. Since the callee gets what is left of the caller's logical stack,
/// the sum of all frames stays within one [`crate::limits::STACK_BYTES`] and with it the native stack,
/// besides the host's own frames, which the allowed depth of calls bounds.
trait RunModule {
    /// A module that is ready for instances.
    type Module: Clone;

    /// Loads the engine's own part of an artifact, whose digest has been checked.
    fn load(&self, code: &[u8]) -> Option<Self::Module>;

    /// Makes an instance, sets its meters, runs `zapp_main` with these arguments, and reads the
    /// meters back, however the run ended.
    fn run(
        &self,
        module: &Self::Module,
        arguments: (i32, i32),
        host: &mut Host<'_>,
        meters: &mut Meters,
    ) -> Result<i32, Stop>;
}

/// Both engines. A process has one of these; which engine runs a module is for its artifact to
/// say, and hence for the node that made it.
pub struct Engine {
    compiled: Compiled,
    interpreted: Interpreted,
}

impl Engine {
    /// Starts the engines.
    ///
    /// # Errors
    /// [`EngineError`] if one is not exactly what the profile says.
    pub fn new() -> Result<Self, EngineError> {
        Ok(Self {
            compiled: Compiled::start()?,
            interpreted: Interpreted,
        })
    }

    /// Loads an artifact whose digest the caller knows from its own compiler or from the
    /// committee, never from whoever sent the bytes.
    ///
    /// # Errors
    /// [`LoadError`] if the bytes are others, or are not for this engine.
    pub fn load(&self, bytes: &[u8], expected: &Digest) -> Result<Loaded, LoadError> {
        let actual = Digest::from_bytes(Sha256::digest(bytes).into());
        if actual != *expected {
            let expected = *expected;
            return Err(LoadError::Digest { expected, actual });
        }
        let opened = open(bytes).ok_or(LoadError::Incompatible)?;
        let code = match opened.magic {
            MAGIC_WASMTIME => self.compiled.load(opened.code).map(Code::Compiled),
            MAGIC_WASMI => self.interpreted.load(opened.code).map(Code::Interpreted),
            _ => None,
        };
        Ok(Loaded {
            code: code.ok_or(LoadError::Incompatible)?,
            metered: opened.metered,
            start_gas: opened.start_gas,
        })
    }

    /// Runs `zapp_main` once, in a store of its own, on what the meters have.
    pub(crate) fn run(
        &self,
        module: &Loaded,
        op: i32,
        host: &mut Host<'_>,
        meters: &mut Meters,
    ) -> Ended {
        // Before the instance is made: what follows is the work that this pays for.
        match i64::try_from(module.start_gas) {
            Ok(cost) if cost <= meters.gas => meters.gas -= cost,
            _ => {
                meters.gas = -1;
                return Ended::Host(End::OutOfGas);
            }
        }
        let arguments = (op, host.input_len());
        let result = match &module.code {
            Code::Compiled(code) => self.compiled.run(code, arguments, host, meters),
            Code::Interpreted(code) => self.interpreted.run(code, arguments, host, meters),
        };
        match result {
            Ok(code) => Ended::Returned(code),
            Err(stop) => stopped(stop, host.end, *meters),
        }
    }
}

/// Tells apart what ended a run: the host, gas, logical stack, the module, or this machine.
fn stopped(stop: Stop, end: Option<End>, meters: Meters) -> Ended {
    match (end, stop) {
        (Some(end), _) => Ended::Host(end),
        (None, Stop::Unreachable) if meters.gas < 0 => Ended::Host(End::OutOfGas),
        (None, Stop::Unreachable) if meters.stack < 0 => Ended::Host(End::Fault(HostFault::Stack)),
        (None, Stop::Unreachable | Stop::Trap) => Ended::Trapped,
        (None, Stop::Other) => Ended::Failed,
    }
}

/// Compiles a metered module to machine code for this system. For a child process with caps on
/// memory and time: compiling a hostile module is slow, which is not a bug to wasmtime.
///
/// # Errors
/// [`CompileError`]; a local failure, never a verdict.
#[cfg(feature = "compiler")]
pub fn compile(metered: &[u8]) -> Result<Artifact, CompileError> {
    compile_for(metered, Target::HERE)
}

/// As [`compile`], for another system or engine.
///
/// # Errors
/// [`CompileError`]; a local failure, never a verdict.
#[cfg(feature = "compiler")]
pub fn compile_for(metered: &[u8], target: Target) -> Result<Artifact, CompileError> {
    let start_gas = crate::metering::start_gas(metered).ok_or(CompileError::NotMetered)?;
    let (magic, code) = match target {
        Target::Wasmtime(system) => (MAGIC_WASMTIME, compiled::compile(metered, system)?),
        // Loaded here once: what the engine refuses is met before an executor waits for it.
        Target::Wasmi => match Interpreted.load(metered) {
            Some(_) => (MAGIC_WASMI, metered.to_vec()),
            None => return Err(CompileError::Compiler),
        },
    };
    let digest = Sha256::digest(metered);
    let bytes = [magic, &digest, &start_gas.to_le_bytes(), &code].concat();
    Ok(Artifact::of(bytes))
}

/// An artifact in its parts.
struct Opened<'a> {
    magic: &'a [u8],
    metered: Digest,
    start_gas: u64,
    code: &'a [u8],
}

fn open(artifact: &[u8]) -> Option<Opened<'_>> {
    let (magic, rest) = artifact.split_first_chunk::<8>()?;
    let (metered, rest) = rest.split_first_chunk::<32>()?;
    let (start_gas, code) = rest.split_first_chunk::<8>()?;
    Some(Opened {
        magic,
        metered: Digest::from_bytes(*metered),
        start_gas: u64::from_le_bytes(*start_gas),
        code,
    })
}

/// What of both engines decides results, for the runtime profile. All of it enters one profile,
/// whichever engine a member runs: members with one profile agree.
pub(crate) fn describe() -> String {
    compiled::describe() + &interpreted::describe()
}

/// Names and versions of the engines, as the lock file must have them.
#[cfg(test)]
pub(crate) const VERSIONS: [(&str, &str); 2] = [
    ("wasmtime", compiled::VERSION),
    ("wasmi", interpreted::VERSION),
];

const MAGIC_WASMTIME: &[u8] = b"ZQARTF1\0";
const MAGIC_WASMI: &[u8] = b"ZQINTP1\0";
