//! The first program of a minimal Linux guest: loads the drivers, sets the address, takes the token
//! from QEMU's firmware device and becomes `zq-signer`, started as a process is.
//!
//! It exists to be measured against: no committee runs it. It does what a guest needs and nothing
//! more, so that the comparison is with the least that a Linux guest can be.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::net::Ipv4Addr;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context as _, Result};
use linux_guest::interface;
use rustix::mount::{MountFlags, mount};
use rustix::system::finit_module;

/// Drivers, in the order in which their names sort.
const MODULES: &str = "/modules";
/// Where the kernel shows the file `opt/zquorum/token` of the firmware device.
const TOKEN: &str = "/sys/firmware/qemu_fw_cfg/by_name/opt/zquorum/token/raw";
const SIGNER: &str = "/zq-signer";
const INTERFACE: &str = "eth0";

fn main() -> ExitCode {
    let Err(error) = start();
    eprintln!("linux-init: {error:#}");
    ExitCode::FAILURE
}

/// Returns only if the signer did not start; the kernel then panics, since its first program ends.
fn start() -> Result<std::convert::Infallible> {
    let mut arguments = std::env::args().skip(1);
    let address: Ipv4Addr = arguments.next().context("no address")?.parse()?;
    let node = arguments.next().context("no address of the node")?;

    mount("sysfs", "/sys", "sysfs", MountFlags::empty(), None).context("/sys")?;
    for module in modules()? {
        let file = File::open(&module)?;
        finit_module(&file, c"", 0).with_context(|| module.display().to_string())?;
    }
    interface::configure(INTERFACE, address).context(INTERFACE)?;

    let token = fs::read(TOKEN).context(TOKEN)?;
    let (reader, mut writer) = io::pipe()?;
    writer.write_all(&token)?;
    drop(writer);
    let error = Command::new(SIGNER).arg(node).stdin(reader).exec();
    Err(error).context(SIGNER)
}

fn modules() -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(MODULES).context(MODULES)?;
    let paths: io::Result<Vec<PathBuf>> = entries.map(|entry| Ok(entry?.path())).collect();
    let mut paths = paths?;
    paths.sort();
    Ok(paths)
}
