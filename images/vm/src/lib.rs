//! Boots images: what an image is, whether it may be booted, and with which emulator.
//!
//! An image is one file that QEMU boots (`NAME.img`: loader, kernel and guest program), and a
//! manifest beside it (`NAME.json`). The digest that a committee's record names is the SHA-256 of
//! the file. `zq-vm` checks an image and becomes its emulator; a node starts `zq-vm` where it
//! would start the guest program itself.
//!
//! Invariant: nothing boots that is not, byte for byte, what its manifest and whoever asked say.

pub mod accelerator;
mod clock;
pub mod image;
pub mod machine;
