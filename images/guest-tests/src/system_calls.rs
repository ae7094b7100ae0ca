//! The kernel's calls that `std` does not offer, with their declarations.

#![allow(unsafe_code, reason = "the kernel is called by name")]

use std::ptr;

/// Protection bits of the kernel.
pub const READ: u32 = 1;
pub const WRITE: u32 = 2;
pub const EXECUTE: u32 = 4;
/// `poll`: there is something to read.
const POLLIN: i16 = 1;

#[repr(C)]
struct PollFd {
    fd: i32,
    events: i16,
    revents: i16,
}

unsafe extern "C" {
    fn sys_mmap(bytes: usize, protection: u32, at: &mut *mut u8) -> i32;
    fn sys_munmap(at: *mut u8, bytes: usize) -> i32;
    fn sys_mprotect(at: *mut u8, bytes: usize, protection: u32) -> i32;
    fn sys_poll(fds: *mut PollFd, count: usize, timeout_ms: i32) -> i32;
    fn sys_read_entropy(buffer: *mut u8, bytes: usize, flags: u32) -> isize;
}

/// A new mapping, or the kernel's refusal.
pub fn map(bytes: usize, protection: u32) -> Result<*mut u8, i32> {
    let mut at = ptr::null_mut();
    // SAFETY: the kernel chooses the address and writes it to `at`.
    match unsafe { sys_mmap(bytes, protection, &mut at) } {
        0 => Ok(at),
        refusal => Err(refusal),
    }
}

/// Gives a mapping back. No reference into it may be used again.
pub fn unmap(at: *mut u8, bytes: usize) -> Result<(), i32> {
    // SAFETY: the tests touch mappings through pointers alone, and none after this.
    match unsafe { sys_munmap(at, bytes) } {
        0 => Ok(()),
        refusal => Err(refusal),
    }
}

/// Changes what may be done with pages.
pub fn protect(at: *mut u8, bytes: usize, protection: u32) -> Result<(), i32> {
    // SAFETY: as above; a test that breaks the new protection means to.
    match unsafe { sys_mprotect(at, bytes, protection) } {
        0 => Ok(()),
        refusal => Err(refusal),
    }
}

/// Waits until a socket can be read; the number of sockets that can, or the kernel's refusal.
pub fn poll_readable(fd: i32, timeout_ms: i32) -> i32 {
    let mut polled = PollFd {
        fd,
        events: POLLIN,
        revents: 0,
    };
    // SAFETY: one descriptor, as the count says.
    unsafe { sys_poll(&mut polled, 1, timeout_ms) }
}

/// 32 bytes of the kernel's randomness.
pub fn randomness() -> Result<[u8; 32], String> {
    let mut bytes = [0; 32];
    // SAFETY: the buffer is as long as it says.
    match unsafe { sys_read_entropy(bytes.as_mut_ptr(), bytes.len(), 0) } {
        32 => Ok(bytes),
        other => Err(format!("the kernel gives {other} bytes of 32")),
    }
}
