//! The start info of PVH: Xen's `struct hvm_start_info`, version 1.

use core::ffi::CStr;
use core::ptr::with_exposed_provenance;
use core::slice;

use crate::address;

const MAGIC: u32 = 0x336e_c578;
/// `XEN_HVM_MEMMAP_TYPE_RAM`
const RAM: u32 = 1;

#[repr(C)]
pub struct StartInfo {
    magic: u32,
    version: u32,
    flags: u32,
    modules: u32,
    module_list: u64,
    command_line: u64,
    rsdp: u64,
    memory_map: u64,
    memory_map_entries: u32,
    reserved: u32,
}

#[repr(C)]
struct MapEntry {
    start: u64,
    bytes: u64,
    kind: u32,
    reserved: u32,
}

/// A range of the machine's memory.
pub struct Memory {
    pub start: u64,
    pub end: u64,
}

impl StartInfo {
    /// The start info at an address; `None` if there is none of a version with a memory map.
    ///
    /// # Safety
    /// The address is the one that the machine gave.
    pub unsafe fn read(at: *const Self) -> Option<&'static Self> {
        // SAFETY: the caller's.
        let start = unsafe { at.as_ref() }?;
        let known = start.magic == MAGIC && start.version >= 1 && start.memory_map != 0;
        known.then_some(start)
    }

    /// What of the machine's address space is memory.
    pub fn memory(&self) -> impl Iterator<Item = Memory> + '_ {
        let entries = with_exposed_provenance::<MapEntry>(address(self.memory_map));
        let count = usize::try_from(self.memory_map_entries).unwrap_or(0);
        // SAFETY: the machine's own map, as long as it says.
        let entries = unsafe { slice::from_raw_parts(entries, count) };
        entries
            .iter()
            .filter(|entry| entry.kind == RAM)
            .map(|entry| Memory {
                start: entry.start,
                end: entry.start.saturating_add(entry.bytes),
            })
    }

    /// Where the ACPI tables begin.
    pub const fn rsdp(&self) -> Option<u64> {
        match self.rsdp {
            0 => None,
            at => Some(at),
        }
    }

    /// What stands behind `-append`; empty if it is no text.
    pub fn command_line(&self) -> &str {
        if self.command_line == 0 {
            return "";
        }
        // SAFETY: the machine ends its command line with a zero.
        let line = unsafe { CStr::from_ptr(with_exposed_provenance(address(self.command_line))) };
        line.to_str().unwrap_or_default()
    }
}
