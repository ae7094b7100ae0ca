//! wasmtime: machine code, and the only file that names it.
//!
//! One configuration, in which nothing is inferred from the machine; what the engine says of
//! itself is compared with it at start-up, and a difference ends the start. Native fuel, epochs
//! and guard pages have no part.

use wasmparser::WasmFeatures;
use wasmtime::{
    Caller, Config, Global, Instance, InstancePre, Linker, Memory, Module, ResourceLimiter, Store,
    Trap, TypedFunc, Val,
};

#[cfg(feature = "compiler")]
use super::CompileError;
use super::lent::Lent;
use super::{EngineError, Meters, RunModule, Stop, System, THREAD_STACK_BYTES};
use crate::abi::{self, Import};
use crate::gatekeeper::FEATURES;
use crate::host::{End, Guest, Host};
use crate::limits;

/// Version of wasmtime; part of the runtime profile.
pub(super) const VERSION: &str = "48.0.8";

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

/// The engine. A process has one.
pub(super) struct Compiled {
    engine: wasmtime::Engine,
    linker: Linker<Session>,
}

impl Compiled {
    /// Starts the engine.
    pub(super) fn start() -> Result<Self, EngineError> {
        let engine = start(System::HERE)?;
        let linker = linker(&engine).map_err(|_| EngineError::Refused)?;
        Ok(Self { engine, linker })
    }
}

impl RunModule for Compiled {
    type Module = InstancePre<Session>;

    fn load(&self, code: &[u8]) -> Option<InstancePre<Session>> {
        #[allow(
            unsafe_code,
            reason = "the bytes have the digest that our own compiler gave to its output, so they \
                      are what `Engine::precompile_module` returned; wasmtime itself refuses \
                      artifacts of other versions, targets and settings"
        )]
        // SAFETY: see the reason above; SHA-256 stands between this line and any other bytes.
        let module = unsafe { Module::deserialize(&self.engine, code) };
        self.linker.instantiate_pre(&module.ok()?).ok()
    }

    fn run(
        &self,
        module: &InstancePre<Session>,
        arguments: (i32, i32),
        host: &mut Host<'_>,
        meters: &mut Meters,
    ) -> Result<i32, Stop> {
        let session = Session {
            host: Lent::new(host),
            memory: None,
            gas: None,
            stack: None,
            limits: Declared,
        };
        let mut store = Store::new(&self.engine, session);
        store.limiter(|session| &mut session.limits);
        let instance = Exports::of(module, &mut store, *meters).ok_or(Stop::Other)?;
        let result = instance.main.call(&mut store, arguments);
        meters.gas = instance.gas.get(&mut store).i64().unwrap_or(-1);
        meters.stack = instance.stack.get(&mut store).i32().unwrap_or(-1);
        result.map_err(|error| stop_of(&error))
    }
}

fn stop_of(error: &wasmtime::Error) -> Stop {
    match error.downcast_ref::<Trap>() {
        Some(Trap::UnreachableCodeReached) => Stop::Unreachable,
        Some(
            Trap::MemoryOutOfBounds
            | Trap::TableOutOfBounds
            | Trap::IndirectCallToNull
            | Trap::BadSignature
            | Trap::IntegerOverflow
            | Trap::IntegerDivisionByZero
            | Trap::BadConversionToInteger,
        ) => Stop::Trap,
        // Native stack overflow among them: the logical stack should have run out long before.
        _ => Stop::Other,
    }
}

/// Machine code for a system.
#[cfg(feature = "compiler")]
pub(super) fn compile(metered: &[u8], system: System) -> Result<Vec<u8>, CompileError> {
    start(system)?
        .precompile_module(metered)
        .map_err(|_| CompileError::Compiler)
}

const fn triple(system: System) -> &'static str {
    match system {
        System::Linux => "x86_64-unknown-linux-gnu",
        System::Hermit => "x86_64-unknown-hermit",
    }
}

/// What of the configuration decides results, for the runtime profile. The operating system of
/// the target is not in it: it decides how code is loaded, not what it computes.
pub(super) fn describe() -> String {
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
    c.target(triple(system))?;
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
pub(super) struct Session {
    host: Lent,
    memory: Option<Memory>,
    gas: Option<Global>,
    stack: Option<Global>,
    limits: Declared,
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
    main: TypedFunc<(i32, i32), i32>,
    gas: Global,
    stack: Global,
}

impl Exports {
    fn of(
        module: &InstancePre<Session>,
        store: &mut Store<Session>,
        meters: Meters,
    ) -> Option<Self> {
        let instance: Instance = module.instantiate(&mut *store).ok()?;
        let memory = instance.get_memory(&mut *store, abi::MEMORY)?;
        let gas = instance.get_global(&mut *store, abi::GAS)?;
        let stack = instance.get_global(&mut *store, abi::STACK)?;
        let main = instance.get_typed_func(&mut *store, abi::MAIN).ok()?;
        gas.set(&mut *store, Val::I64(meters.gas)).ok()?;
        stack.set(&mut *store, Val::I32(meters.stack)).ok()?;
        let session = store.data_mut();
        session.memory = Some(memory);
        session.gas = Some(gas);
        session.stack = Some(stack);
        Some(Self { main, gas, stack })
    }
}

/// Lends memory and gas to a host function, and ends the run if it says so.
fn host_call<R>(
    mut caller: Caller<'_, Session>,
    function: impl FnOnce(&mut Host<'_>, &mut Guest<'_>) -> Result<R, End>,
) -> wasmtime::Result<R> {
    let session = caller.data();
    let (Some(memory), Some(global), Some(stack)) = (session.memory, session.gas, session.stack)
    else {
        // Start functions are refused at deploy: nothing runs before the exports are known.
        return Err(ended());
    };
    let mut gas = global.get(&mut caller).i64().unwrap_or(-1);
    let stack = stack.get(&mut caller).i32().unwrap_or(-1);
    let (bytes, session) = memory.data_and_store_mut(&mut caller);
    let result = session.host.with(|host| {
        let mut guest = Guest {
            memory: bytes,
            gas: &mut gas,
            stack,
        };
        let result = function(host, &mut guest);
        host.end = result.as_ref().err().copied();
        result
    });
    global.set(&mut caller, Val::I64(gas))?;
    result.map_err(|_| ended())
}

fn ended() -> wasmtime::Error {
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
    crate::host::each_function!(link);
    linker.func_wrap(
        abi::MODULE,
        Import::Call.name(),
        |caller: Caller<'_, Session>, zapp: i32, gas: i64, input: i32, len: i32| {
            host_call(caller, |host, guest| {
                host.call(guest, (zapp, gas, input, len))
            })
        },
    )?;
    Ok(linker)
}
