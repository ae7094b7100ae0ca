//! wasmi: an interpreter, and the only file that names it.
//!
//! It shares neither parser nor validator nor a line of code generation with the other engine, and
//! makes no machine code at all. Its own fuel has no part, and its own limits are so high that
//! those of the module always come first.

use wasmi::{
    Caller, CompilationMode, Config, Global, Instance, Linker, Memory, Module, Store, StoreLimits,
    StoreLimitsBuilder, TrapCode, TypedFunc, Val,
};

use super::lent::Lent;
use super::{Meters, RunModule, Stop};
use crate::abi::{self, Import};
use crate::host::{End, Guest, Host};
use crate::limits;

/// Version of wasmi; part of the runtime profile.
pub(super) const VERSION: &str = "2.0.0";

/// Bytes of the value stack. A frame takes 16 bytes of the logical stack for each value and 64
/// more; here it takes 8 for each, and a few for what the instrumentation adds.
const STACK_BYTES_MAX: usize = 4 << 20;
/// Frames. The smallest takes 64 bytes of the logical stack; functions of the instrumentation
/// take none but call nothing.
const DEPTH_MAX: usize = 16_384;

const _: () = assert!(STACK_BYTES_MAX >= 8 * limits::STACK_BYTES.unsigned_abs() as usize);
const _: () = assert!(DEPTH_MAX >= limits::STACK_BYTES.unsigned_abs() as usize / 64 + 2);

/// The engine. It has no state: what wasmi translates it keeps until its own engine ends, so each
/// module has one, which ends with it.
pub(super) struct Interpreted;

impl RunModule for Interpreted {
    type Module = Translated;

    fn load(&self, code: &[u8]) -> Option<Translated> {
        let engine = wasmi::Engine::new(&config());
        let module = Module::new(&engine, code).ok()?;
        let linker = linker(&engine).ok()?;
        Some(Translated {
            engine,
            module,
            linker,
        })
    }

    fn run(
        &self,
        module: &Translated,
        arguments: (i32, i32),
        host: &mut Host<'_>,
        meters: &mut Meters,
    ) -> Result<i32, Stop> {
        let session = Session {
            host: Lent::new(host),
            memory: None,
            gas: None,
            stack: None,
            limits: declared(),
        };
        let mut store = Store::new(&module.engine, session);
        store.limiter(|session| &mut session.limits);
        let instance = Exports::of(module, &mut store, *meters).ok_or(Stop::Other)?;
        let result = instance.main.call(&mut store, arguments);
        meters.gas = instance.gas.get(&store).i64().unwrap_or(-1);
        meters.stack = instance.stack.get(&store).i32().unwrap_or(-1);
        result.map_err(|error| stop_of(&error))
    }
}

fn stop_of(error: &wasmi::Error) -> Stop {
    match error.as_trap_code() {
        Some(TrapCode::UnreachableCodeReached) => Stop::Unreachable,
        Some(
            TrapCode::MemoryOutOfBounds
            | TrapCode::TableOutOfBounds
            | TrapCode::IndirectCallToNull
            | TrapCode::BadSignature
            | TrapCode::IntegerOverflow
            | TrapCode::IntegerDivisionByZero
            | TrapCode::BadConversionToInteger,
        ) => Stop::Trap,
        // Its own stack overflow among them: the logical stack should have run out long before.
        _ => Stop::Other,
    }
}

/// A module in wasmi's own code.
#[derive(Clone)]
pub(super) struct Translated {
    engine: wasmi::Engine,
    module: Module,
    linker: Linker<Session>,
}

/// What of the configuration decides results, for the runtime profile.
pub(super) fn describe() -> String {
    format!(
        "wasmi {VERSION}\ndeterministic true\ncompilation eager\nmax_stack {STACK_BYTES_MAX}\n\
         max_depth {DEPTH_MAX}\nfuel false\n"
    )
}

/// The same proposals as in [`crate::gatekeeper::FEATURES`]. SIMD and 64-bit memories are not
/// even compiled in.
fn config() -> Config {
    let mut c = Config::default();
    c.floats(true);
    c.wasm_mutable_global(true);
    c.wasm_saturating_float_to_int(true);
    c.wasm_sign_extension(true);
    c.wasm_multi_value(true);
    c.wasm_bulk_memory(true);
    c.wasm_reference_types(true);
    c.wasm_multi_memory(false);
    c.wasm_tail_call(false);
    c.wasm_extended_const(false);
    c.wasm_custom_page_sizes(false);
    c.wasm_wide_arithmetic(false);
    c.consume_fuel(false);
    c.allow_start_fn(false);
    c.ignore_custom_sections(true);
    // A module is refused when it is loaded or never.
    c.compilation_mode(CompilationMode::Eager);
    c.set_max_stack_height(STACK_BYTES_MAX);
    c.set_max_recursion_depth(DEPTH_MAX);
    c.set_max_cached_stacks(1);
    c
}

/// What a store holds. It lives for one run.
struct Session {
    host: Lent,
    memory: Option<Memory>,
    gas: Option<Global>,
    stack: Option<Global>,
    limits: StoreLimits,
}

/// Growth is decided by what the module declared and nothing else: beyond its maximum wasmi asks
/// nobody. What fails within it is out of memory here, and no outcome: the guest must not see it
/// as -1, which other members would not.
fn declared() -> StoreLimits {
    StoreLimitsBuilder::new()
        .instances(1)
        .tables(1)
        .memories(1)
        .trap_on_grow_failure(true)
        .build()
}

struct Exports {
    main: TypedFunc<(i32, i32), i32>,
    gas: Global,
    stack: Global,
}

impl Exports {
    fn of(module: &Translated, store: &mut Store<Session>, meters: Meters) -> Option<Self> {
        let instance = module
            .linker
            .instantiate_and_start(&mut *store, &module.module);
        let instance: Instance = instance.ok()?;
        let memory = instance.get_memory(&*store, abi::MEMORY)?;
        let gas = instance.get_global(&*store, abi::GAS)?;
        let stack = instance.get_global(&*store, abi::STACK)?;
        let main = instance.get_typed_func(&*store, abi::MAIN).ok()?;
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
) -> Result<R, wasmi::Error> {
    let session = caller.data();
    let (Some(memory), Some(global), Some(stack)) = (session.memory, session.gas, session.stack)
    else {
        // Start functions are refused at deploy: nothing runs before the exports are known.
        return Err(ended());
    };
    let mut gas = global.get(&caller).i64().unwrap_or(-1);
    let stack = stack.get(&caller).i32().unwrap_or(-1);
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
    let set = global.set(&mut caller, Val::I64(gas));
    set.map_err(|_| ended())?;
    result.map_err(|_| ended())
}

fn ended() -> wasmi::Error {
    wasmi::Error::new("ended by the host")
}

fn linker(engine: &wasmi::Engine) -> Result<Linker<Session>, wasmi::Error> {
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
