//! The host interface `zapp0`: the only file that is `unsafe` and the only one that speaks to the
//! host. Every function takes slices, so pointer and length always describe memory that Rust lent
//! for the duration of the call; the host keeps no pointer.
#![allow(
    unsafe_code,
    reason = "imports of the host; each argument stands at its call"
)]

/// What `ctx` tells; 64-bit fields are little-endian.
#[derive(Clone, Copy)]
#[repr(i32)]
pub(crate) enum Field {
    Zapp = 0,
    Caller = 1,
    Origin = 2,
    Request = 3,
    Height = 4,
    Time = 5,
    Committee = 9,
}

/// What `hash` computes.
#[derive(Clone, Copy)]
#[repr(i32)]
pub(crate) enum Algorithm {
    Sha256 = 0,
    Sha3 = 1,
    Keccak = 2,
}

pub(crate) fn input(buffer: &mut [u8], offset: u32) {
    // SAFETY: the host writes at most `buffer.len()` bytes, all inside of `buffer`.
    unsafe { host::input(buffer.as_mut_ptr(), offset, length(buffer)) }
}

pub(crate) fn output(bytes: &[u8]) {
    // SAFETY: the host reads `bytes` only.
    unsafe { host::output(bytes.as_ptr(), length(bytes)) }
}

pub(crate) fn context<const N: usize>(field: Field) -> [u8; N] {
    let mut buffer = [0; N];
    // SAFETY: the width of every field is fixed by the interface (32 bytes for ids and keys, 8 for
    // numbers), and `context.rs` asks for each by that width.
    let written = unsafe { host::ctx(field as i32, buffer.as_mut_ptr()) };
    if usize::try_from(written) != Ok(N) {
        abort(b"context");
    }
    buffer
}

pub(crate) fn gas_left() -> u64 {
    // SAFETY: no memory is involved.
    unsafe { host::gas_left() }.cast_unsigned()
}

/// The value's length; copies what fits into `buffer`.
pub(crate) fn get(key: &[u8], buffer: &mut [u8]) -> Option<usize> {
    // SAFETY: the host reads `key` and writes at most `buffer.len()` bytes into `buffer`.
    let found = unsafe {
        host::get(
            key.as_ptr(),
            length(key),
            buffer.as_mut_ptr(),
            length(buffer),
        )
    };
    usize::try_from(found).ok()
}

pub(crate) fn set(key: &[u8], value: &[u8]) {
    // SAFETY: the host reads both slices only.
    unsafe { host::set(key.as_ptr(), length(key), value.as_ptr(), length(value)) }
}

pub(crate) fn delete(key: &[u8]) {
    // SAFETY: the host reads `key` only.
    unsafe { host::del(key.as_ptr(), length(key)) }
}

/// The next key's length; copies what fits into `buffer`.
pub(crate) fn next(key: &[u8], buffer: &mut [u8]) -> Option<usize> {
    // SAFETY: the host reads `key` and writes at most `buffer.len()` bytes into `buffer`.
    let found = unsafe {
        host::next(
            key.as_ptr(),
            length(key),
            buffer.as_mut_ptr(),
            length(buffer),
        )
    };
    usize::try_from(found).ok()
}

pub(crate) fn emit(topic: &[u8], data: &[u8]) {
    // SAFETY: the host reads both slices only.
    unsafe { host::emit(topic.as_ptr(), length(topic), data.as_ptr(), length(data)) }
}

pub(crate) fn hash(algorithm: Algorithm, bytes: &[u8]) -> [u8; 32] {
    let mut digest = [0; 32];
    // SAFETY: the host reads `bytes` and writes 32 bytes, the width of every algorithm.
    unsafe {
        host::hash(
            algorithm as i32,
            bytes.as_ptr(),
            length(bytes),
            digest.as_mut_ptr(),
        );
    }
    digest
}

pub(crate) fn ed25519_verify(key: &[u8; 32], message: &[u8], signature: &[u8; 64]) -> bool {
    // SAFETY: the host reads the three slices only.
    let verdict = unsafe {
        host::verify(
            ED25519,
            message.as_ptr(),
            length(message),
            signature.as_ptr(),
            length(signature),
            key.as_ptr(),
            length(key),
        )
    };
    verdict == 1
}

pub(crate) fn abort(message: &[u8]) -> ! {
    // SAFETY: the host reads `message` and ends the call; it never returns.
    unsafe { host::abort(message.as_ptr(), length(message)) };
    // A host that did return would be broken; stay here rather than go on.
    #[allow(clippy::empty_loop, reason = "ends with the gas")]
    loop {}
}

pub(crate) fn log(text: &[u8]) {
    // SAFETY: the host reads `text` only.
    unsafe { host::log(text.as_ptr(), length(text)) }
}

/// Status and length of what the other zApp put out.
pub(crate) fn call(zapp: &[u8; 32], gas: u64, input: &[u8]) -> (u32, usize) {
    // SAFETY: the host reads 32 bytes of the id and `input` only.
    let result = unsafe {
        host::call(
            zapp.as_ptr(),
            gas.cast_signed(),
            input.as_ptr(),
            length(input),
        )
    };
    let [s0, s1, s2, s3, l0, l1, l2, l3] = result.to_be_bytes();
    let len = u32::from_be_bytes([l0, l1, l2, l3]);
    // A guest's address space holds any length that the host tells.
    let len = usize::try_from(len).unwrap_or_default();
    (u32::from_be_bytes([s0, s1, s2, s3]), len)
}

/// Copies a part of what the last call put out.
pub(crate) fn result(buffer: &mut [u8], offset: u32) {
    // SAFETY: the host writes at most `buffer.len()` bytes, all inside of `buffer`.
    unsafe { host::result(buffer.as_mut_ptr(), offset, length(buffer)) }
}

pub(crate) fn post(to: &[u8], payload: &[u8]) {
    // SAFETY: the host reads both slices only.
    unsafe { host::post(to.as_ptr(), length(to), payload.as_ptr(), length(payload)) }
}

/// The answer's length; copies what fits into `buffer`.
pub(crate) fn pull(index: &[u8; 4], buffer: &mut [u8]) -> Option<usize> {
    // SAFETY: the host reads `index` and writes at most `buffer.len()` bytes into `buffer`.
    let found = unsafe {
        host::pull(
            index.as_ptr(),
            length(index),
            buffer.as_mut_ptr(),
            length(buffer),
        )
    };
    usize::try_from(found).ok()
}

/// A slice's length as the interface takes it.
fn length(bytes: &[u8]) -> u32 {
    // A guest's memory has at most 2^32 bytes.
    u32::try_from(bytes.len()).unwrap_or(u32::MAX)
}

const ED25519: i32 = 0;

#[cfg(target_arch = "wasm32")]
mod host {
    #[link(wasm_import_module = "zapp0")]
    unsafe extern "C" {
        pub(super) fn input(dst: *mut u8, offset: u32, length: u32);
        pub(super) fn output(src: *const u8, length: u32);
        pub(super) fn ctx(field: i32, dst: *mut u8) -> i32;
        pub(super) fn gas_left() -> i64;
        pub(super) fn get(key: *const u8, key_length: u32, dst: *mut u8, capacity: u32) -> i32;
        pub(super) fn set(key: *const u8, key_length: u32, value: *const u8, length: u32);
        pub(super) fn del(key: *const u8, key_length: u32);
        pub(super) fn next(key: *const u8, key_length: u32, dst: *mut u8, capacity: u32) -> i32;
        pub(super) fn emit(topic: *const u8, topic_length: u32, data: *const u8, length: u32);
        pub(super) fn hash(algorithm: i32, src: *const u8, length: u32, dst: *mut u8);
        pub(super) fn verify(
            algorithm: i32,
            message: *const u8,
            message_length: u32,
            signature: *const u8,
            signature_length: u32,
            key: *const u8,
            key_length: u32,
        ) -> i32;
        pub(super) fn abort(message: *const u8, length: u32);
        pub(super) fn log(text: *const u8, length: u32);
        pub(super) fn call(zapp: *const u8, gas: i64, input: *const u8, length: u32) -> i64;
        pub(super) fn result(dst: *mut u8, offset: u32, length: u32);
        pub(super) fn post(to: *const u8, to_length: u32, payload: *const u8, length: u32);
        pub(super) fn pull(index: *const u8, length: u32, dst: *mut u8, capacity: u32) -> i32;
    }
}

/// Outside of WebAssembly there is no host: the parts of the SDK that need none (arguments,
/// dispatch, keys) can be tested natively, zApps run in the runtime's tests.
#[cfg(not(target_arch = "wasm32"))]
mod host {
    macro_rules! absent {
        ($($name:ident($($argument:ty),*) $(-> $result:ty)?;)*) => {
            $(pub(super) unsafe fn $name($(_: $argument),*) $(-> $result)? {
                panic!("a zApp's host exists in WebAssembly only")
            })*
        };
    }

    absent! {
        input(*mut u8, u32, u32);
        output(*const u8, u32);
        ctx(i32, *mut u8) -> i32;
        gas_left() -> i64;
        get(*const u8, u32, *mut u8, u32) -> i32;
        set(*const u8, u32, *const u8, u32);
        del(*const u8, u32);
        next(*const u8, u32, *mut u8, u32) -> i32;
        emit(*const u8, u32, *const u8, u32);
        hash(i32, *const u8, u32, *mut u8);
        verify(i32, *const u8, u32, *const u8, u32, *const u8, u32) -> i32;
        abort(*const u8, u32);
        log(*const u8, u32);
        call(*const u8, i64, *const u8, u32) -> i64;
        result(*mut u8, u32, u32);
        post(*const u8, u32, *const u8, u32);
        pull(*const u8, u32, *mut u8, u32) -> i32;
    }
}
