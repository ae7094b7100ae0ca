//! The engine: the only file that names wasmtime.
//!
//! One configuration, in which nothing is inferred from the machine; what the engine says of
//! itself is compared with it at start-up, and a difference ends the start. Native fuel, epochs
//! and guard pages have no part: gas and stack are in the module.
//!
//! A thread that runs calls needs a stack of at least [`THREAD_STACK_BYTES`].

#[cfg(target_os = "hermit")]
mod hermit;

use std::ptr::NonNull;

use attestation::ids::Digest;
use sha2::{Digest as _, Sha256};
use wasmparser::WasmFeatures;
use wasmtime::{
    Caller, Config, Global, Instance, InstancePre, Linker, Memory, Module, ResourceLimiter, Store,
    Trap, Val,
};

use crate::abi::{self, HostFault, Import};
use crate::gatekeeper::FEATURES;
use crate::host::{End, Guest, Host};
use crate::limits;

/// Version of wasmtime; part of the runtime profile.
pub const VERSION: &str = "48.0.8";
/// Least stack of a thread that runs calls.
pub const THREAD_STACK_BYTES: usize = 4 << 20;

/// Processor features that compiled code may use: x86-64-v2 as far as it matters. SSE4.1 is
/// needed so that rounding is an instruction and not a library call.
const FLAGS: [&str; 5] = [
    "has_sse3",
    "has_ssse3",
    "has_sse41",
    "has_sse42",
    "has_popcnt",
];
/// Address space of a memory: as much as any module may ever declare.
const MEMORY_RESERVATION_BYTES: u64 = 1024 * 65_536;
/// Native stack; the logical stack runs out first, with more than half to spare.
const STACK_BYTES_MAX: usize = 2 << 20;

const _: () = assert!(limits::MEMORY_PAGES_MAX * 65_536 <= MEMORY_RESERVATION_BYTES);
const _: () = assert!(STACK_BYTES_MAX * 2 <= THREAD_STACK_BYTES);

/// The system that an artifact is for: the node's own, or that of an executor in a virtual
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

    const fn triple(self) -> &'static str {
        match self {
            Self::Linux => "x86_64-unknown-linux-gnu",
            Self::Hermit => "x86_64-unknown-hermit",
        }
    }
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

/// Machine code of a metered module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// Magic, digest of the metered module, charge for an instance, wasmtime's artifact.
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
    instance: InstancePre<Session>,
    /// Digest of the metered module.
    pub metered: Digest,
    /// Charge for making an instance.
    pub start_gas: u64,
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

/// A process has one.
pub struct Engine {
    engine: wasmtime::Engine,
    linker: Linker<Session>,
}

impl Engine {
    /// Starts the engine.
    ///
    /// # Errors
    /// [`EngineError`] if it is not exactly what the profile says.
    pub fn new() -> Result<Self, EngineError> {
        let engine = start(System::HERE)?;
        let linker = linker(&engine).map_err(|_| EngineError::Refused)?;
        Ok(Self { engine, linker })
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
        let (metered, start_gas, code) = open(bytes).ok_or(LoadError::Incompatible)?;
        #[allow(
            unsafe_code,
            reason = "the bytes have the digest that our own compiler gave to its output, so they \
                      are what `Engine::precompile_module` returned; wasmtime itself refuses \
                      artifacts of other versions, targets and settings"
        )]
        // SAFETY: see the reason above; SHA-256 stands between this line and any other bytes.
        let module = unsafe { Module::deserialize(&self.engine, code) };
        let module = module.map_err(|_| LoadError::Incompatible)?;
        let instance = self
            .linker
            .instantiate_pre(&module)
            .map_err(|_| LoadError::Incompatible)?;
        Ok(Loaded {
            instance,
            metered,
            start_gas,
        })
    }

    /// Runs `zapp_main` once, in a store of its own. Takes gas out of `gas`, below zero when it
    /// is gone.
    pub(crate) fn run(
        &self,
        module: &Loaded,
        op: i32,
        host: &mut Host<'_>,
        gas: &mut i64,
    ) -> Ended {
        match i64::try_from(module.start_gas) {
            Ok(cost) if cost <= *gas => *gas -= cost,
            _ => {
                *gas = -1;
                return Ended::Host(End::OutOfGas);
            }
        }
        let input_len = host.input_len();
        let session = Session {
            host: NonNull::from(host).cast(),
            memory: None,
            gas: None,
            limits: Declared,
        };
        let mut store = Store::new(&self.engine, session);
        store.limiter(|session| &mut session.limits);
        let Some(instance) = Exports::of(module, &mut store, *gas) else {
            return Ended::Failed;
        };
        let result = instance.main.call(&mut store, (op, input_len));
        *gas = instance.gas.get(&mut store).i64().unwrap_or(-1);
        let stack = instance.stack.get(&mut store).i32().unwrap_or(-1);
        let end = store.data_mut().host(|host| host.end);
        match result {
            Ok(code) => Ended::Returned(code),
            Err(error) => trapped(&error, end, *gas, stack),
        }
    }
}

/// Tells apart what ended a run: the host, gas, logical stack, the module, or this machine.
fn trapped(error: &wasmtime::Error, end: Option<End>, gas: i64, stack: i32) -> Ended {
    if let Some(end) = end {
        return Ended::Host(end);
    }
    match error.downcast_ref::<Trap>() {
        Some(Trap::UnreachableCodeReached) if gas < 0 => Ended::Host(End::OutOfGas),
        Some(Trap::UnreachableCodeReached) if stack < 0 => {
            Ended::Host(End::Fault(HostFault::Stack))
        }
        Some(
            Trap::UnreachableCodeReached
            | Trap::MemoryOutOfBounds
            | Trap::TableOutOfBounds
            | Trap::IndirectCallToNull
            | Trap::BadSignature
            | Trap::IntegerOverflow
            | Trap::IntegerDivisionByZero
            | Trap::BadConversionToInteger,
        ) => Ended::Trapped,
        // Native stack overflow among them: the logical stack should have run out long before.
        _ => Ended::Failed,
    }
}

/// Compiles a metered module. For a child process with caps on memory and time: compiling a
/// hostile module is slow, which is not a bug to wasmtime.
///
/// # Errors
/// [`CompileError`]; a local failure, never a verdict.
#[cfg(feature = "compiler")]
pub fn compile(metered: &[u8]) -> Result<Artifact, CompileError> {
    compile_for(metered, System::HERE)
}

/// As [`compile`], for an executor on another system.
///
/// # Errors
/// [`CompileError`]; a local failure, never a verdict.
#[cfg(feature = "compiler")]
pub fn compile_for(metered: &[u8], system: System) -> Result<Artifact, CompileError> {
    let start_gas = crate::metering::start_gas(metered).ok_or(CompileError::NotMetered)?;
    let code = start(system)?
        .precompile_module(metered)
        .map_err(|_| CompileError::Compiler)?;
    let mut bytes = Vec::with_capacity(code.len() + ARTIFACT_HEADER_BYTES);
    bytes.extend_from_slice(ARTIFACT_MAGIC);
    bytes.extend_from_slice(&Sha256::digest(metered));
    bytes.extend_from_slice(&start_gas.to_le_bytes());
    bytes.extend_from_slice(&code);
    Ok(Artifact::of(bytes))
}

/// Digest of the metered module, charge for an instance, machine code.
fn open(artifact: &[u8]) -> Option<(Digest, u64, &[u8])> {
    let rest = artifact.strip_prefix(ARTIFACT_MAGIC)?;
    let (metered, rest) = rest.split_first_chunk::<32>()?;
    let (start_gas, code) = rest.split_first_chunk::<8>()?;
    let metered = Digest::from_bytes(*metered);
    Some((metered, u64::from_le_bytes(*start_gas), code))
}

/// What of the configuration decides results, for the runtime profile. The operating system of
/// the target is not in it: it decides how code is loaded, not what it computes.
pub(crate) fn describe() -> String {
    format!(
        "wasmtime {VERSION}\narchitecture x86_64\nflags {FLAGS:?}\nfeatures {:#x}\n\
         opt_level none\ninlining no\nnan_canonicalization true\nmemory_init_cow false\n\
         memory_reservation {MEMORY_RESERVATION_BYTES}\nmemory_may_move false\n\
         memory_reservation_for_growth 0\nmemory_guard_size 0\nsignals_based_traps false\n\
         max_wasm_stack {STACK_BYTES_MAX}\nfuel false\nepochs false\n",
        FEATURES.bits()
    )
}

fn config(system: System) -> wasmtime::Result<Config> {
    let mut c = Config::new();
    c.target(system.triple())?;
    #[cfg(feature = "compiler")]
    {
        use wasmtime::{OptLevel, Strategy};
        c.strategy(Strategy::Cranelift);
        c.cranelift_opt_level(OptLevel::None);
        c.cranelift_nan_canonicalization(true);
        for flag in FLAGS {
            #[allow(
                unsafe_code,
                reason = "these flags only allow instructions of x86-64-v2; wasmtime checks at \
                          start-up and at load that the machine has each of them"
            )]
            // SAFETY: see the reason above.
            unsafe {
                c.cranelift_flag_enable(flag);
            }
        }
    }
    c.compiler_inlining(wasmtime::Inlining::No);
    c.wasm_features(WasmFeatures::all().difference(FEATURES), false);
    c.wasm_features(FEATURES, true);
    c.relaxed_simd_deterministic(true);
    c.gc_support(false);
    c.shared_memory(false);
    c.memory_init_cow(false);
    c.memory_reservation(MEMORY_RESERVATION_BYTES);
    c.memory_may_move(false);
    c.memory_reservation_for_growth(0);
    c.memory_guard_size(0);
    c.signals_based_traps(false);
    c.max_wasm_stack(STACK_BYTES_MAX);
    c.wasm_backtrace_max_frames(None);
    c.generate_address_map(false);
    c.native_unwind_info(false);
    c.consume_fuel(false);
    c.epoch_interruption(false);
    Ok(c)
}

fn start(system: System) -> Result<wasmtime::Engine, EngineError> {
    let config = config(system).map_err(|_| EngineError::Refused)?;
    let engine = wasmtime::Engine::new(&config).map_err(|_| EngineError::Refused)?;
    let is = &engine;
    let same = [
        ("list of features", is.get_wasm_features() == FEATURES),
        ("copy-on-write setting", !is.get_memory_init_cow()),
        ("handling of traps", !is.get_signals_based_traps()),
        ("fuel setting", !is.get_consume_fuel()),
        ("epoch setting", !is.get_epoch_interruption()),
        ("stack limit", is.get_max_wasm_stack() == STACK_BYTES_MAX),
        (
            "inlining setting",
            is.get_compiler_inlining() == wasmtime::Inlining::No,
        ),
        (
            "memory layout",
            is.get_memory_reservation() == MEMORY_RESERVATION_BYTES,
        ),
        ("memory layout", !is.get_memory_may_move()),
        ("memory layout", is.get_memory_guard_size() == 0),
        ("memory layout", is.get_memory_reservation_for_growth() == 0),
        #[cfg(feature = "compiler")]
        (
            "optimisation level",
            is.get_cranelift_opt_level() == Some(wasmtime::OptLevel::None),
        ),
        #[cfg(feature = "compiler")]
        (
            "NaN setting",
            is.get_cranelift_nan_canonicalization() == Some(true),
        ),
    ];
    match same.iter().find(|(_, same)| !same) {
        Some((what, _)) => Err(EngineError::Differs(what)),
        None => Ok(engine),
    }
}

/// What a store holds. It lives for one run.
struct Session {
    /// The host of the run, without its lifetime: wasmtime's stores hold only `'static` data.
    host: NonNull<Host<'static>>,
    memory: Option<Memory>,
    gas: Option<Global>,
    limits: Declared,
}

impl Session {
    fn host<R>(&mut self, with: impl FnOnce(&mut Host<'_>) -> R) -> R {
        #[allow(
            unsafe_code,
            reason = "`Engine::run` makes the pointer from a `&mut Host` that it holds until the \
                      store is dropped, and nothing else reads it; `with` is generic over the \
                      lifetime, so it can keep nothing of the host; host calls do not nest, and \
                      `&mut self` rules out a second reference"
        )]
        // SAFETY: see the reason above.
        let host = unsafe { self.host.as_mut() };
        with(host)
    }
}

/// Decides growth by what the module declared and nothing else.
struct Declared;

impl ResourceLimiter for Declared {
    fn memory_growing(
        &mut self,
        _current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(maximum.is_some_and(|maximum| desired <= maximum))
    }

    /// Growth within the declared maximum failed: out of memory here, and no outcome. The guest
    /// must not see it as -1, which other members would not.
    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        Err(error)
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(maximum.is_some_and(|maximum| desired <= maximum))
    }
}

struct Exports {
    main: wasmtime::TypedFunc<(i32, i32), i32>,
    gas: Global,
    stack: Global,
}

impl Exports {
    fn of(module: &Loaded, store: &mut Store<Session>, gas_left: i64) -> Option<Self> {
        let instance: Instance = module.instance.instantiate(&mut *store).ok()?;
        let memory = instance.get_memory(&mut *store, abi::MEMORY)?;
        let gas = instance.get_global(&mut *store, abi::GAS)?;
        let stack = instance.get_global(&mut *store, abi::STACK)?;
        let main = instance.get_typed_func(&mut *store, abi::MAIN).ok()?;
        gas.set(&mut *store, Val::I64(gas_left)).ok()?;
        stack.set(&mut *store, Val::I32(limits::STACK_BYTES)).ok()?;
        let session = store.data_mut();
        session.memory = Some(memory);
        session.gas = Some(gas);
        Some(Self { main, gas, stack })
    }
}

/// Lends memory and gas to a host function, and ends the run if it says so.
fn host_call<R>(
    mut caller: Caller<'_, Session>,
    function: impl FnOnce(&mut Host<'_>, &mut Guest<'_>) -> Result<R, End>,
) -> wasmtime::Result<R> {
    let (Some(memory), Some(global)) = (caller.data().memory, caller.data().gas) else {
        // Start functions are refused at deploy: nothing runs before the exports are known.
        return Err(stop());
    };
    let mut gas = global.get(&mut caller).i64().unwrap_or(-1);
    let (bytes, session) = memory.data_and_store_mut(&mut caller);
    let result = session.host(|host| {
        let mut guest = Guest {
            memory: bytes,
            gas: &mut gas,
        };
        let result = function(host, &mut guest);
        host.end = result.as_ref().err().copied();
        result
    });
    global.set(&mut caller, Val::I64(gas))?;
    result.map_err(|_| stop())
}

fn stop() -> wasmtime::Error {
    wasmtime::Error::msg("ended by the host")
}

fn linker(engine: &wasmtime::Engine) -> wasmtime::Result<Linker<Session>> {
    let mut linker = Linker::new(engine);
    macro_rules! link {
        ($import:ident, $method:ident($($arg:ident)*)) => {
            linker.func_wrap(
                abi::MODULE,
                Import::$import.name(),
                |caller: Caller<'_, Session>, $($arg: i32),*| {
                    host_call(caller, |host, guest| host.$method(guest, [$($arg),*]))
                },
            )?;
        };
    }
    link!(Input, input(a b c));
    link!(Output, output(a b));
    link!(Context, context(a b));
    link!(GasLeft, gas_left());
    link!(Get, get(a b c d));
    link!(Set, set(a b c d));
    link!(Delete, delete(a b));
    link!(Next, next(a b c d));
    link!(Emit, emit(a b c d));
    link!(Hash, hash(a b c d));
    link!(Verify, verify(a b c d e f g));
    link!(Abort, abort(a b));
    link!(Log, log(a b));
    Ok(linker)
}

const ARTIFACT_MAGIC: &[u8; 8] = b"ZQARTF1\0";
#[cfg(feature = "compiler")]
const ARTIFACT_HEADER_BYTES: usize = 8 + 32 + 8;
