//! The serial port, and the end.

use core::arch::asm;

use crate::SERIAL_PORT;

/// QEMU's exit device; what is written becomes an odd exit code of the emulator.
const EXIT_PORT: u16 = 0xf4;
/// Exit code 255: the loader gave up.
const EXIT_REFUSED: u8 = 0x7f;

/// Prints a line.
pub fn say(line: &str) {
    for byte in b"image does not boot: ".iter().chain(line.as_bytes()) {
        out(SERIAL_PORT, *byte);
    }
    out(SERIAL_PORT, b'\n');
}

/// Ends the machine, or halts where it cannot be ended.
pub fn end() -> ! {
    out(EXIT_PORT, EXIT_REFUSED);
    loop {
        // SAFETY: with interrupts off the processor sleeps for ever.
        unsafe { asm!("cli", "hlt") }
    }
}

fn out(port: u16, byte: u8) {
    // SAFETY: both ports are written only; neither touches memory.
    unsafe { asm!("out dx, al", in("dx") port, in("al") byte, options(nomem, nostack)) }
}
