//! What an engine needs of memory.

#![allow(
    unsafe_code,
    reason = "these tests touch pages through pointers, as an engine does, and break their \
              protection on purpose"
)]

use crate::system_calls::{EXECUTE, READ, WRITE, map, protect, unmap};

const PAGE: usize = 4096;
const RESERVATION: usize = 64 << 20;
/// `ret`
const RETURN: u8 = 0xc3;

/// No page can be written and executed.
pub fn write_and_execute() -> Result<(), String> {
    if map(PAGE, READ | WRITE | EXECUTE).is_ok() {
        return Err("a page to be written and executed was mapped".into());
    }
    let page = mapped(PAGE, READ | WRITE)?;
    if protect(page, PAGE, READ | WRITE | EXECUTE).is_ok() {
        return Err("a page became writable and executable".into());
    }
    Ok(())
}

/// Code runs where it may, and writing to it then ends the machine: the host waits for that.
pub fn write_to_code() -> Result<(), String> {
    let page = mapped(PAGE, READ | WRITE)?;
    // SAFETY: a page of our own that may be written.
    unsafe { page.write(RETURN) };
    protect(page, PAGE, READ | EXECUTE).map_err(refused)?;
    call(page);
    println!("code ran");
    // SAFETY: none; the page must not be writable, and the machine ends here.
    unsafe { page.write_volatile(RETURN) };
    Err("code was written to".into())
}

/// Data does not run: the machine ends, and the host waits for that.
pub fn run_data() -> Result<(), String> {
    let page = mapped(PAGE, READ | WRITE)?;
    // SAFETY: a page of our own that may be written.
    unsafe { page.write(RETURN) };
    println!("data written");
    call(page);
    Err("data ran".into())
}

/// A reservation that is backed in part gives back that part and nothing else's.
pub fn unmap_parts() -> Result<(), String> {
    for round in 0..200_u8 {
        let reserved = mapped(RESERVATION, 0)?;
        // Backed first, so that its frame is followed by the neighbour's.
        protect(reserved, PAGE, READ | WRITE).map_err(refused)?;
        let neighbour = mapped(16 * PAGE, READ | WRITE)?;
        fill(neighbour, 16 * PAGE, round);
        protect(reserved.wrapping_add(8 << 20), PAGE, READ | WRITE).map_err(refused)?;
        unmap(reserved, RESERVATION).map_err(refused)?;
        // Whoever comes next must not get the neighbour's pages.
        let next = mapped(64 * PAGE, READ | WRITE)?;
        all(next, 64 * PAGE, 0).map_err(|why| format!("round {round}, fresh pages: {why}"))?;
        fill(next, 64 * PAGE, 0xff);
        all(neighbour, 16 * PAGE, round)
            .map_err(|why| format!("round {round}, a neighbour's pages: {why}"))?;
        unmap(next, 64 * PAGE).map_err(refused)?;
        unmap(neighbour, 16 * PAGE).map_err(refused)?;
    }
    Ok(())
}

/// Changing the protection of a range leaves what is in it, wherever its frames lie.
pub fn protect_parts() -> Result<(), String> {
    let reserved = mapped(4 * PAGE, 0)?;
    let other = |offset: usize, value: u8| -> Result<*mut u8, String> {
        protect(reserved.wrapping_add(offset), PAGE, READ | WRITE).map_err(refused)?;
        fill(reserved.wrapping_add(offset), PAGE, value);
        // Takes the frame behind, so that the next page's is not its neighbour.
        let taken = mapped(PAGE, READ | WRITE)?;
        fill(taken, PAGE, 0xee);
        Ok(taken)
    };
    let taken = [other(0, 1)?, other(PAGE, 2)?, other(2 * PAGE, 3)?];
    protect(reserved, 4 * PAGE, READ | WRITE).map_err(refused)?;
    for (offset, value) in [(0, 1), (PAGE, 2), (2 * PAGE, 3), (3 * PAGE, 0)] {
        all(reserved.wrapping_add(offset), PAGE, value)
            .map_err(|why| format!("page at {offset}: {why}"))?;
        fill(reserved.wrapping_add(offset), PAGE, 0x55);
    }
    for page in taken {
        all(page, PAGE, 0xee).map_err(|why| format!("another's page: {why}"))?;
    }
    Ok(())
}

/// When memory runs out the kernel says so and goes on, and what was given back is there again.
pub fn exhaustion() -> Result<(), String> {
    for _ in 0..2 {
        let mut taken = Vec::new();
        loop {
            match map(1 << 20, READ | WRITE) {
                Ok(at) => taken.push(at),
                Err(ENOMEM) => break,
                Err(other) => return Err(refused(other)),
            }
            if taken.len() > 4096 {
                return Err("more memory than the machine has".into());
            }
        }
        println!("{} MiB mapped", taken.len());
        if taken.len() < 4 {
            return Err("memory that was given back is gone".into());
        }
        for at in taken {
            unmap(at, 1 << 20).map_err(refused)?;
        }
    }
    Ok(())
}

fn mapped(bytes: usize, protection: u32) -> Result<*mut u8, String> {
    map(bytes, protection).map_err(refused)
}

fn refused(errno: i32) -> String {
    format!("the kernel refused: {errno}")
}

fn fill(at: *mut u8, bytes: usize, value: u8) {
    // SAFETY: the caller mapped as many bytes to be written.
    unsafe { at.write_bytes(value, bytes) }
}

fn all(at: *mut u8, bytes: usize, value: u8) -> Result<(), String> {
    // SAFETY: the caller mapped as many bytes to be read, and nobody writes to them now.
    let found = unsafe { std::slice::from_raw_parts(at, bytes) };
    match found.iter().position(|byte| *byte != value) {
        None => Ok(()),
        Some(offset) => Err(format!(
            "byte {offset} is {:?}, not {value}",
            found.get(offset)
        )),
    }
}

fn call(code: *mut u8) {
    // SAFETY: the page holds one instruction, which returns.
    let code: extern "C" fn() = unsafe { std::mem::transmute(code) };
    code();
}

const ENOMEM: i32 = -12;
