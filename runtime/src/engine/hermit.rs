//! What wasmtime asks of a platform that it does not know: memory by pages, and a pointer per
//! thread. Here the platform is the Hermit kernel.
//!
//! The kernel keeps pages either writable or executable, zeroes new ones, and answers with a
//! negative error number; wasmtime asks for zero on success.

#![allow(
    unsafe_code,
    reason = "wasmtime calls these functions by name, and they call the kernel by name: both \
              sides' declarations are repeated here"
)]

use std::cell::Cell;
use std::ptr;

unsafe extern "C" {
    fn sys_mmap(bytes: usize, protection: u32, at: &mut *mut u8) -> i32;
    fn sys_munmap(at: *mut u8, bytes: usize) -> i32;
    fn sys_mprotect(at: *mut u8, bytes: usize, protection: u32) -> i32;
}

/// Slots that wasmtime names: 0 for the calls of a thread, 1 for features that are off.
const SLOTS: usize = 2;
const PAGE_BYTES: usize = 4096;
const READ_AND_WRITE: u32 = 3;

thread_local! {
    static SLOT: [Cell<*mut u8>; SLOTS] = const { [const { Cell::new(ptr::null_mut()) }; SLOTS] };
}

// SAFETY: the names and types are those of wasmtime 48's C interface; the version is pinned.
#[unsafe(no_mangle)]
extern "C" fn wasmtime_tls_get(slot: usize) -> *mut u8 {
    SLOT.with(|slots| slots.get(slot).map_or(ptr::null_mut(), Cell::get))
}

// SAFETY: as above.
#[unsafe(no_mangle)]
extern "C" fn wasmtime_tls_set(slot: usize, value: *mut u8) {
    SLOT.with(|slots| {
        if let Some(slot) = slots.get(slot) {
            slot.set(value);
        }
    });
}

// SAFETY: as above.
#[unsafe(no_mangle)]
extern "C" fn wasmtime_page_size() -> usize {
    PAGE_BYTES
}

// SAFETY: as above. Protection bits are the same on both sides: read, write, execute.
#[unsafe(no_mangle)]
extern "C" fn wasmtime_mmap_new(bytes: usize, protection: u32, at: &mut *mut u8) -> i32 {
    // SAFETY: the kernel writes the address of a mapping of its own choice to `at`.
    unsafe { sys_mmap(bytes, protection, at) }
}

// SAFETY: as above.
#[unsafe(no_mangle)]
extern "C" fn wasmtime_mmap_remap(at: *mut u8, bytes: usize, protection: u32) -> i32 {
    // SAFETY: wasmtime gives up what is in a range of its own and wants it zeroed.
    unsafe {
        let refused = sys_mprotect(at, bytes, READ_AND_WRITE);
        if refused != 0 {
            return refused;
        }
        at.write_bytes(0, bytes);
        sys_mprotect(at, bytes, protection)
    }
}

// SAFETY: as above.
#[unsafe(no_mangle)]
extern "C" fn wasmtime_munmap(at: *mut u8, bytes: usize) -> i32 {
    // SAFETY: wasmtime gives back a mapping of its own.
    unsafe { sys_munmap(at, bytes) }
}

// SAFETY: as above.
#[unsafe(no_mangle)]
extern "C" fn wasmtime_mprotect(at: *mut u8, bytes: usize, protection: u32) -> i32 {
    // SAFETY: wasmtime changes a range of its own.
    unsafe { sys_mprotect(at, bytes, protection) }
}

// Images of memories are off (`memory_init_cow`): there are none, which is no failure.

// SAFETY: as above.
#[unsafe(no_mangle)]
extern "C" fn wasmtime_memory_image_new(_: *const u8, _: usize, image: &mut *mut u8) -> i32 {
    *image = ptr::null_mut();
    0
}

// SAFETY: as above.
#[unsafe(no_mangle)]
extern "C" fn wasmtime_memory_image_map_at(_: *mut u8, _: *mut u8, _: usize) -> i32 {
    -1
}

// SAFETY: as above.
#[unsafe(no_mangle)]
extern "C" fn wasmtime_memory_image_free(_: *mut u8) {}
