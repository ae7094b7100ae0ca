//! `linux-machine`: checks nothing and becomes the emulator of a minimal Linux guest with the
//! signer in it, on the hardware that the signer's image gets.
//!
//! For measurements alone: `bench forms` has nodes start it where they would start `zq-signer`,
//! and the records of its committees name no image. Where a record names one, a node starts
//! nothing else.

use std::io;
use std::net::SocketAddrV4;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Result, ensure};
use clap::Parser;
use linux_guest::machine::LinuxGuest;
use vm::accelerator::Choice;
use vm::image::Image;
use vm::machine::{Machine, hand_over, not_started, read_token};

/// Boots a Linux guest that dials one node. The first line of standard input is its token.
#[derive(Parser)]
#[command(name = "linux-machine", version)]
struct Arguments {
    /// Address of the node's port for guests, on the loopback of this host.
    node: SocketAddrV4,
    /// The image whose machine the guest gets.
    #[arg(long)]
    image: PathBuf,
    /// The guest's kernel.
    #[arg(long)]
    kernel: PathBuf,
    /// The guest's first file system.
    #[arg(long)]
    initramfs: PathBuf,
    /// Memory in MiB.
    #[arg(long)]
    memory: u64,
    /// What runs the guest.
    #[arg(long, value_enum, default_value_t = Choice::Auto)]
    accel: Choice,
}

fn main() -> ExitCode {
    let error = match run(Arguments::parse()) {
        Ok(never) => match never {},
        Err(error) => error,
    };
    eprintln!("linux-machine: {error:#}");
    ExitCode::from(2)
}

enum Never {}

fn run(arguments: Arguments) -> Result<Never> {
    ensure!(
        arguments.node.ip().is_loopback(),
        "{}: the guest reaches the loopback of this host alone",
        arguments.node
    );
    let image = Image::open(&arguments.image)?;
    let machine = Machine::new(&image, arguments.accel.resolve(&image));
    let machine = machine.unchecked_memory_mib(arguments.memory);
    let guest = LinuxGuest {
        kernel: arguments.kernel,
        initramfs: arguments.initramfs,
    };
    let mut qemu = guest.dialling(&machine, arguments.node.port());
    let token = read_token(io::stdin().lock())?;
    // Open until this process is the emulator.
    let _file = hand_over(token.trim_end().as_bytes(), &mut qemu)?;
    Err(not_started(qemu.exec()).into())
}
