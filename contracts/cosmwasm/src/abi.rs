//! The interface to cosmwasm-vm, version 8: the only file that is `unsafe` and the only one that
//! speaks to the chain.
//!
//! Bytes pass as regions: a struct of three numbers that names a piece of the contract's memory.
//! The machine makes a fresh instance for every call and drops it afterwards, so memory is only
//! ever taken.
#![allow(
    unsafe_code,
    reason = "the interface is pointers; each argument stands at its use"
)]

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::alloc::{GlobalAlloc, Layout};
use core::cell::Cell;

use serde::Serialize;

use crate::contract;
use crate::error::Error;
use crate::host::Host;
use crate::message::{self, Bytes};

/// A piece of memory, as the machine reads and writes it.
#[repr(C)]
struct Region {
    offset: u32,
    capacity: u32,
    length: u32,
}

/// The chain behind the imports of this call.
struct Chain;

mod imports {
    #[link(wasm_import_module = "env")]
    unsafe extern "C" {
        pub(super) fn abort(message: u32);
        pub(super) fn db_read(key: u32) -> u32;
        pub(super) fn db_write(key: u32, value: u32);
        pub(super) fn addr_validate(human: u32) -> u32;
        pub(super) fn addr_canonicalize(human: u32, canonical: u32) -> u32;
        pub(super) fn addr_humanize(canonical: u32, human: u32) -> u32;
        pub(super) fn ed25519_verify(message: u32, signature: u32, key: u32) -> u32;
    }
}

impl Region {
    fn of(bytes: &[u8]) -> Self {
        Self {
            offset: address(bytes.as_ptr()),
            capacity: length(bytes),
            length: length(bytes),
        }
    }

    /// Room for so many bytes, kept for the rest of the call.
    fn room(capacity: usize) -> Self {
        let room = Vec::<u8>::with_capacity(capacity).leak();
        Self {
            offset: address(room.as_ptr()),
            capacity: capacity.try_into().unwrap_or_default(),
            length: 0,
        }
    }

    fn at(&self) -> u32 {
        address(core::ptr::from_ref(self))
    }

    /// What the machine has written.
    ///
    /// # Safety
    /// The region is one of [`Region::room`], into which the machine wrote `length` bytes.
    unsafe fn take(&self) -> Vec<u8> {
        let bytes = self.offset as *const u8;
        // SAFETY: `length` bytes from `offset` are written, and nobody else's, says the caller.
        unsafe { core::slice::from_raw_parts(bytes, self.length as usize) }.to_vec()
    }
}

/// Bytes that the machine passes by the address of a region, which it got from [`allocate`].
fn taken(region: u32) -> Vec<u8> {
    let region = region as *const Region;
    // SAFETY: the machine passes on what `allocate` returned: a region that nobody else holds,
    // into whose room it wrote `length` bytes.
    unsafe { (*region).take() }
}

impl Host for Chain {
    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        let key = Region::of(key);
        // SAFETY: the machine reads the key's region; it answers 0, or a region of `allocate`'s.
        let value = unsafe { imports::db_read(key.at()) };
        (value != 0).then(|| taken(value))
    }

    fn set(&self, key: &[u8], value: &[u8]) {
        let (key, value) = (Region::of(key), Region::of(value));
        // SAFETY: the machine reads both regions.
        unsafe { imports::db_write(key.at(), value.at()) }
    }

    fn ed25519_verify(&self, message: &[u8], signature: &[u8; 64], key: &[u8; 32]) -> bool {
        let (message, signature) = (Region::of(message), Region::of(signature));
        let key = Region::of(key);
        // SAFETY: the machine reads the three regions. 0 is valid, 1 invalid, more an error.
        unsafe { imports::ed25519_verify(message.at(), signature.at(), key.at()) == 0 }
    }

    fn is_address(&self, human: &str) -> bool {
        let human = Region::of(human.as_bytes());
        // SAFETY: the machine reads the region. 0 is valid, else a region that says what is not.
        unsafe { imports::addr_validate(human.at()) == 0 }
    }

    fn canonical(&self, human: &str) -> Option<Vec<u8>> {
        let (human, canonical) = (Region::of(human.as_bytes()), Region::room(ADDRESS_MAX));
        // SAFETY: the machine reads the first region and writes into the second's room.
        let failed = unsafe { imports::addr_canonicalize(human.at(), canonical.at()) };
        // SAFETY: 0 says that it did write.
        (failed == 0).then(|| unsafe { canonical.take() })
    }

    fn human(&self, canonical: &[u8]) -> Option<String> {
        let (canonical, human) = (Region::of(canonical), Region::room(ADDRESS_MAX));
        // SAFETY: the machine reads the first region and writes into the second's room.
        let failed = unsafe { imports::addr_humanize(canonical.at(), human.at()) };
        // SAFETY: 0 says that it did write.
        let bytes = (failed == 0).then(|| unsafe { human.take() })?;
        String::from_utf8(bytes).ok()
    }
}

/// What every call returns: JSON `{"ok": …}` or `{"error": "…"}`.
#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Answer<T> {
    Ok(T),
    Error(String),
}

fn answer<T: Serialize>(result: Result<T, Error>) -> u32 {
    let answer = match result {
        Ok(value) => Answer::Ok(value),
        Err(error) => Answer::Error(error.to_string()),
    };
    let json = serde_json::to_vec(&answer).expect("plain structs always encode");
    let region = Region::of(json.leak());
    address(Box::leak(Box::new(region)))
}

fn instantiated(env: u32, info: u32, message: u32) -> Result<impl Serialize, Error> {
    let (env, info) = (message::parse(&taken(env))?, message::parse(&taken(info))?);
    contract::instantiate(&Chain, &env, &info, message::parse(&taken(message))?)
}

fn executed(env: u32, info: u32, message: u32) -> Result<impl Serialize, Error> {
    let (env, info) = (message::parse(&taken(env))?, message::parse(&taken(info))?);
    contract::execute(&Chain, &env, &info, message::parse(&taken(message))?)
}

fn queried(message: u32) -> Result<impl Serialize, Error> {
    contract::query(&Chain, &message::parse(&taken(message))?).map(Bytes)
}

fn replied(message: u32) -> Result<impl Serialize, Error> {
    contract::reply(&Chain, &message::parse(&taken(message))?)
}

#[unsafe(no_mangle)]
extern "C" fn instantiate(env: u32, info: u32, message: u32) -> u32 {
    answer(instantiated(env, info, message))
}

#[unsafe(no_mangle)]
extern "C" fn execute(env: u32, info: u32, message: u32) -> u32 {
    answer(executed(env, info, message))
}

#[unsafe(no_mangle)]
extern "C" fn query(_env: u32, message: u32) -> u32 {
    answer(queried(message))
}

#[unsafe(no_mangle)]
extern "C" fn reply(_env: u32, message: u32) -> u32 {
    answer(replied(message))
}

/// The version of this interface.
#[unsafe(no_mangle)]
const extern "C" fn interface_version_8() {}

/// Says that the chain must give back the payload of a call with its reply.
#[unsafe(no_mangle)]
const extern "C" fn requires_cosmwasm_2_0() {}

#[unsafe(no_mangle)]
extern "C" fn allocate(size: u32) -> u32 {
    address(Box::leak(Box::new(Region::room(size as usize))))
}

#[unsafe(no_mangle)]
const extern "C" fn deallocate(_region: u32) {}

fn address<T>(pointer: *const T) -> u32 {
    pointer.addr().try_into().unwrap_or_default()
}

fn length(bytes: &[u8]) -> u32 {
    bytes.len().try_into().unwrap_or_default()
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    let place = info
        .location()
        .map(|at| format!("{}:{}", at.file(), at.line()));
    let message = place.unwrap_or_default();
    let message = Region::of(message.as_bytes());
    // SAFETY: the machine reads the region, and does not come back.
    unsafe { imports::abort(message.at()) };
    core::arch::wasm32::unreachable()
}

/// Takes memory from the end of what is used, and grows it.
struct Growing {
    next: Cell<usize>,
}

// SAFETY: a WebAssembly module without the threads proposal has one thread.
unsafe impl Sync for Growing {}

// SAFETY: pieces begin above the linker's data and stack, end within the memory that the machine
// has granted, and never overlap: `next` only rises, but where the last piece is given back.
unsafe impl GlobalAlloc for Growing {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let next = match self.next.get() {
            0 => heap(),
            next => next,
        };
        let start = next.next_multiple_of(layout.align());
        let Some(end) = start.checked_add(layout.size()) else {
            return core::ptr::null_mut();
        };
        if !grow_to(end) {
            return core::ptr::null_mut();
        }
        self.next.set(end);
        start as *mut u8
    }

    unsafe fn dealloc(&self, piece: *mut u8, layout: Layout) {
        if piece.addr() + layout.size() == self.next.get() {
            self.next.set(piece.addr());
        }
    }
}

/// Where the linker's data and stack end.
fn heap() -> usize {
    unsafe extern "C" {
        static __heap_base: u8;
    }
    (&raw const __heap_base).addr()
}

fn grow_to(end: usize) -> bool {
    let pages = end
        .div_ceil(PAGE)
        .saturating_sub(core::arch::wasm32::memory_size::<0>());
    pages == 0 || core::arch::wasm32::memory_grow::<0>(pages) != usize::MAX
}

#[global_allocator]
static MEMORY: Growing = Growing { next: Cell::new(0) };

/// Bytes of a page of WebAssembly memory.
const PAGE: usize = 64 * 1024;
/// Longest address, canonical or human.
const ADDRESS_MAX: usize = 128;
