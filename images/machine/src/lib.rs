//! What a guest takes from its virtual machine, and nothing else: the kernel that it is linked
//! with, the processor's randomness, the wall clock, and the files that QEMU's firmware device
//! offers.
//!
//! Only programs for Hermit use it; on Linux the crate is there for its tests. `unsafe` is one
//! instruction per block: the port that a byte is read from, the processor's random number.

pub mod firmware;
pub mod randomness;
pub mod wall_clock;
