//! The Linux guest's machine: the hardware that an image gets, with another kernel in it.

use std::path::PathBuf;
use std::process::Command;

use vm::machine::{Machine, USER_NETWORK};

/// What a Linux guest boots.
#[derive(Clone, Debug)]
pub struct LinuxGuest {
    /// The compressed kernel.
    pub kernel: PathBuf,
    /// The first file system.
    pub initramfs: PathBuf,
}

impl LinuxGuest {
    /// The emulator's command line for this guest on the hardware of `machine`, which has QEMU's
    /// user network; it dials `port` of this host's loopback.
    #[must_use]
    pub fn dialling(&self, machine: &Machine, port: u16) -> Command {
        let (guest, host) = USER_NETWORK;
        let mut qemu = machine.hardware();
        qemu.arg("-kernel")
            .arg(&self.kernel)
            .arg("-initrd")
            .arg(&self.initramfs)
            .arg("-append")
            .arg(format!("{KERNEL_ARGUMENTS} -- {guest} {host}:{port}"));
        qemu
    }
}

/// A panic ends the machine: its emulator does not start it again.
const KERNEL_ARGUMENTS: &str = "console=ttyS0 quiet panic=-1 reboot=t";
