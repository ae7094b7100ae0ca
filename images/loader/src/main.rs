//! The boot loader of an image: holds one guest program, puts it into memory and jumps to its
//! kernel.
//!
//! QEMU starts it through the PVH entry (`entry.s`) in the machine's first kilobytes of code that
//! are ours. It reads the start info, loads the guest program behind itself, makes all memory but
//! loader and kernel non-executable, and tells the kernel in a device tree what memory there is,
//! where the ACPI tables are and what the command line says. It reads nothing else.
//!
//! Invariant: what does not fit is said on the serial port and ends the machine; nothing is
//! loaded over anything that is still needed.

#![no_std]
#![no_main]

extern crate alloc;

mod console;
mod heap;
mod start_info;

use alloc::boxed::Box;
use alloc::format;
use alloc::vec::Vec;
use core::arch::{asm, global_asm};
use core::mem::MaybeUninit;
use core::panic::PanicInfo;
use core::slice;

use hermit_entry::boot_info::{
    BootInfo, DeviceTreeAddress, HardwareInfo, PlatformInfo, RawBootInfo, SerialPortBase,
};
use hermit_entry::elf::KernelObject;
use vm_fdt::{FdtWriter, FdtWriterResult};

use start_info::{Memory, StartInfo};

global_asm!(include_str!("entry.s"), main = sym main);
global_asm!(
    ".section .guest, \"a\", @progbits",
    ".balign 4096",
    ".global guest",
    ".global guest_end",
    "guest:",
    concat!(".incbin \"", env!("ZQ_GUEST"), "\""),
    "guest_end:",
);

unsafe extern "C" {
    static guest: u8;
    static guest_end: u8;
    static loader_end: u8;
    static boot_stack: u8;
    static mut page_directories: [u64; 2048];
}

/// Why nothing is booted.
enum Refusal {
    /// The machine did not start us as PVH says.
    StartInfo,
    /// The guest program inside this image is not one.
    Guest,
    /// The guest program does not fit behind the loader.
    Memory { needed_mib: u64 },
    /// The device tree does not fit into the loader's heap.
    DeviceTree,
}

/// The page size that the kernel maps memory with.
const LARGE_PAGE_BYTES: u64 = 2 << 20;
/// What a kernel needs besides its own image to come as far as saying that it needs more.
const HEADROOM_BYTES: u64 = 16 << 20;
const NO_EXECUTE: u64 = 1 << 63;
const SERIAL_PORT: u16 = 0x3f8;

/// Where `entry.s` arrives.
///
/// # Safety
/// Called once, in long mode, with the address that PVH gave.
unsafe extern "C" fn main(start: *const StartInfo) -> ! {
    // SAFETY: the entry hands on what the machine gave it; its magic is checked.
    let refusal = match unsafe { boot(start) } {
        Ok(never) => match never {},
        Err(refusal) => refusal,
    };
    match refusal {
        Refusal::StartInfo => console::say("this machine did not start the image through PVH"),
        Refusal::Guest => console::say("the guest program in this image is damaged"),
        Refusal::Memory { needed_mib } => {
            console::say(&format!(
                "too little memory: this image needs {needed_mib} MiB"
            ));
        }
        Refusal::DeviceTree => console::say("the machine's memory map is too long"),
    }
    console::end()
}

enum Never {}

/// # Safety
/// As [`main`].
unsafe fn boot(start: *const StartInfo) -> Result<Never, Refusal> {
    // SAFETY: the caller's; everything behind it is checked against the magic.
    let start = unsafe { StartInfo::read(start) }.ok_or(Refusal::StartInfo)?;
    let kernel = KernelObject::parse(program()).map_err(|_| Refusal::Guest)?;
    let bytes = u64::try_from(kernel.mem_size()).map_err(|_| Refusal::Guest)?;
    let loader = (&raw const loader_end).addr();
    let loader = u64::try_from(loader).map_err(|_| Refusal::Guest)?;
    let at = loader.next_multiple_of(LARGE_PAGE_BYTES);
    let end = at.checked_add(bytes).ok_or(Refusal::Guest)?;
    let fits = start
        .memory()
        .any(|range| range.start <= at && end.saturating_add(HEADROOM_BYTES) <= range.end);
    if !fits {
        let needed_mib = (end + HEADROOM_BYTES).div_ceil(1 << 20);
        return Err(Refusal::Memory { needed_mib });
    }

    // SAFETY: memory that the machine says is there, behind the loader, which holds the stack,
    // the heap and the guest program; nobody else has it.
    let memory = unsafe {
        let begin = core::ptr::with_exposed_provenance_mut::<MaybeUninit<u8>>(address(at));
        slice::from_raw_parts_mut(begin, kernel.mem_size())
    };
    let loaded = kernel.load_kernel(memory, at);
    let tree = device_tree(&start).map_err(|_| Refusal::DeviceTree)?;
    let tree = u64::try_from(tree.leak().as_ptr().addr()).map_err(|_| Refusal::DeviceTree)?;
    let info = BootInfo {
        hardware_info: HardwareInfo {
            phys_addr_range: 0..0,
            serial_port_base: SerialPortBase::new(SERIAL_PORT),
            device_tree: DeviceTreeAddress::new(tree),
        },
        load_info: loaded.load_info,
        platform_info: PlatformInfo::Fdt,
    };
    let info: &'static RawBootInfo = Box::leak(Box::new(RawBootInfo::from(info)));
    forbid_execution(end);
    // SAFETY: the entry point of what was just loaded, with the registers that hermit-entry's
    // protocol asks for: the boot info, the processor's number, and a stack by its low end.
    unsafe {
        asm!(
            "mov rsp, {stack}",
            "jmp {entry}",
            stack = in(reg) &raw const boot_stack,
            entry = in(reg) loaded.entry_point,
            in("rdi") info,
            in("rsi") 0,
            options(noreturn),
        )
    }
}

/// The guest program's ELF file.
fn program() -> &'static [u8] {
    // SAFETY: both symbols bound the bytes that the assembler included.
    unsafe {
        let (begin, end) = (&raw const guest, &raw const guest_end);
        slice::from_raw_parts(begin, end.addr() - begin.addr())
    }
}

/// Everything outside the large pages of loader and kernel is data. The kernel maps code that it
/// makes executable later at addresses of its own.
fn forbid_execution(kernel_end: u64) {
    let code = kernel_end.div_ceil(LARGE_PAGE_BYTES);
    // SAFETY: one processor, and nobody holds a reference to the page tables.
    let directories = unsafe { &mut *(&raw mut page_directories) };
    for (page, entry) in (0..).zip(directories.iter_mut()) {
        if page >= code {
            *entry |= NO_EXECUTE;
        }
    }
    // SAFETY: the same tables again, so that no stale entry stays.
    unsafe { asm!("mov {scratch}, cr3", "mov cr3, {scratch}", scratch = out(reg) _) }
}

fn device_tree(start: &StartInfo) -> FdtWriterResult<Vec<u8>> {
    let mut tree = FdtWriter::new()?;
    let root = tree.begin_node("")?;
    tree.property_string("compatible", "zquorum,pvh")?;
    tree.property_u32("#address-cells", 2)?;
    tree.property_u32("#size-cells", 2)?;
    for Memory { start, end } in start.memory() {
        let node = tree.begin_node(&format!("memory@{start:x}"))?;
        tree.property_string("device_type", "memory")?;
        tree.property_array_u64("reg", &[start, end - start])?;
        tree.end_node(node)?;
    }
    if let Some(rsdp) = start.rsdp() {
        // Without it the kernel searches the firmware's memory, page by page.
        let node = tree.begin_node(&format!("hermit,rsdp@{rsdp:x}"))?;
        tree.property_array_u64("reg", &[rsdp, 1])?;
        tree.end_node(node)?;
    }
    let chosen = tree.begin_node("chosen")?;
    tree.property_string("bootargs", start.command_line())?;
    tree.end_node(chosen)?;
    tree.end_node(root)?;
    tree.finish()
}

/// A physical address; this machine's pointers have 64 bits.
const fn address(physical: u64) -> usize {
    const { assert!(size_of::<usize>() == size_of::<u64>()) };
    physical as usize
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    console::say(&format!("{info}"));
    console::end()
}
