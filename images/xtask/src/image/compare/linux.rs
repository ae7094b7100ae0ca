//! A minimal Linux guest: the distribution's kernel for virtual machines, and a first file system
//! with nothing but the modules of two devices, a first program and the signer.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};
use linux_guest::machine::LinuxGuest;

use super::archive::Archive;
use super::linux_lines::LinuxLines;
use crate::{command, print_line};

/// The package that depends on the newest kernel.
const PACKAGE: &str = "linux-image-cloud-amd64";
const TARGET: &str = "x86_64-unknown-linux-gnu";
const PROFILE: &str = "image";
/// What the guest loads, in this order: each needs those above it.
const MODULES: [&str; 9] = [
    "drivers/virtio/virtio_ring",
    "drivers/virtio/virtio",
    "drivers/virtio/virtio_pci_modern_dev",
    "drivers/virtio/virtio_pci_legacy_dev",
    "drivers/virtio/virtio_pci",
    "net/core/failover",
    "drivers/net/net_failover",
    "drivers/net/virtio_net",
    "drivers/firmware/qemu_fw_cfg",
];

/// A Linux guest, and what it was made of.
pub struct Linux {
    /// The kernel's package, with its version.
    pub package: String,
    /// What it boots.
    pub guest: LinuxGuest,
    /// The signer, linked statically.
    pub signer: PathBuf,
    /// What starts the signer as a container is started.
    pub contained: PathBuf,
    /// Lines of the kernel.
    pub lines: LinuxLines,
    /// Bytes of the modules that are loaded.
    pub modules_bytes: u64,
    /// Modules that the kernel has built in.
    pub built_in: usize,
}

impl Linux {
    /// Fetches the kernel, counts its lines, builds the programs and packs them, in `folder`.
    pub fn build(root: &Path, folder: &Path) -> Result<Self> {
        let fetched = fetch(folder)?;
        let programs = programs(root, folder)?;
        let modules = fetched.modules()?;
        let modules_bytes = modules.iter().map(Vec::len).sum::<usize>();
        let initramfs = folder.join("initramfs.cpio");
        fs::write(&initramfs, pack(&programs, &modules)?)
            .with_context(|| format!("cannot write {}", initramfs.display()))?;
        let built_in = fs::read_to_string(fetched.library.join("modules.builtin"))?;
        print_line("compare: lines of the Linux kernel");
        Ok(Self {
            package: format!("{} {}", fetched.package, fetched.version),
            signer: programs.join("zq-signer"),
            contained: programs.join("linux-contained"),
            lines: fetched.lines(folder)?,
            guest: LinuxGuest {
                kernel: fetched.kernel,
                initramfs,
            },
            modules_bytes: u64::try_from(modules_bytes)?,
            built_in: built_in.lines().count(),
        })
    }
}

struct Fetched {
    package: String,
    version: String,
    /// As the kernel names itself.
    release: String,
    kernel: PathBuf,
    configuration: PathBuf,
    library: PathBuf,
}

impl Fetched {
    fn modules(&self) -> Result<Vec<Vec<u8>>> {
        let read = |name: &&str| {
            let path = self.library.join(format!("kernel/{name}.ko"));
            fs::read(&path).with_context(|| format!("{PACKAGE} has no {}", path.display()))
        };
        MODULES.iter().map(read).collect()
    }

    /// Counts in the sources of the same version, which the distribution has in a package.
    fn lines(&self, folder: &Path) -> Result<LinuxLines> {
        let mut numbers = self.release.split('.');
        let (Some(major), Some(minor)) = (numbers.next(), numbers.next()) else {
            bail!("{} is no release of a kernel", self.release);
        };
        let name = format!("linux-source-{major}.{minor}");
        let sources = folder.join(format!("{name}-{}", self.version));
        if !sources.exists() {
            let package = format!("{name}={}", self.version);
            let partial = folder.join("sources");
            unpack(folder, &package, &partial)?;
            let archive = partial.join(format!("usr/src/{name}.tar.xz"));
            let mut tar = Command::new("tar");
            tar.args(["--extract", "--xz", "--strip-components=1", "--file"])
                .arg(&archive)
                .arg("--directory")
                .arg(&partial);
            // What no kernel is made of.
            tar.args(["--exclude=*/Documentation", "--exclude=*/tools"]);
            command::run("unpacking the sources of Linux", &mut tar)?;
            fs::remove_file(archive)?;
            fs::rename(partial, &sources)?;
        }
        LinuxLines::count(&sources, &self.configuration, &MODULES)
    }
}

/// Fetches the kernel's package and unpacks it.
fn fetch(folder: &Path) -> Result<Fetched> {
    let package = newest()?;
    let release = package
        .strip_prefix("linux-image-")
        .context("the package is not named as kernels are")?
        .to_string();
    let unpacked = folder.join(&package);
    let kernel = unpacked.join(format!("boot/vmlinuz-{release}"));
    if !kernel.exists() {
        unpack(folder, &package, &unpacked)?;
    }
    let shown = command::printed("apt-cache", &["show", "--no-all-versions", &package]);
    let version = shown
        .as_deref()
        .and_then(|shown| {
            shown
                .lines()
                .find_map(|line| line.strip_prefix("Version: "))
        })
        .context("apt-cache does not know the kernel's version")?;
    Ok(Fetched {
        version: version.to_string(),
        kernel,
        configuration: unpacked.join(format!("boot/config-{release}")),
        library: unpacked.join("lib/modules").join(&release),
        package,
        release,
    })
}

/// Downloads a package, whose checksum apt has from the distribution's signed lists, and unpacks
/// it; nothing is installed.
fn unpack(folder: &Path, package: &str, to: &Path) -> Result<()> {
    print_line(&format!("compare: fetching {package}"));
    let downloads = folder.join("downloads");
    for old in [&downloads, to] {
        if old.exists() {
            fs::remove_dir_all(old)?;
        }
    }
    fs::create_dir_all(&downloads)?;
    let mut download = Command::new("apt-get");
    download
        .args(["download", "--quiet", package])
        .current_dir(&downloads)
        .stdout(Stdio::null());
    command::run(&format!("fetching {package}"), &mut download)?;
    let archive = fs::read_dir(&downloads)?
        .next()
        .context("apt-get has downloaded nothing")??
        .path();
    let mut unpack = Command::new("dpkg-deb");
    unpack.arg("--extract").arg(&archive).arg(to);
    command::run(&format!("unpacking {package}"), &mut unpack)?;
    Ok(fs::remove_dir_all(downloads)?)
}

/// The package of the newest kernel.
fn newest() -> Result<String> {
    let printed = command::printed("apt-cache", &["depends", PACKAGE]);
    let newest = printed.as_deref().and_then(|printed| {
        let mut lines = printed.lines();
        lines.find_map(|line| line.trim().strip_prefix("Depends: linux-image-"))
    });
    match newest {
        Some(release) => Ok(format!("linux-image-{release}")),
        None => bail!(
            "apt does not know {PACKAGE}: this comparison needs Debian, and `apt-get update` run once"
        ),
    }
}

/// Builds the guest's two programs without shared libraries; returns their folder.
fn programs(root: &Path, folder: &Path) -> Result<PathBuf> {
    print_line("compare: zq-signer and what starts it, linked statically");
    let target = folder.join("programs");
    let mut cargo = command::cargo(root);
    cargo
        .args(["build", "--locked", "--profile", PROFILE])
        .args(["--target", TARGET])
        .args(["--package", "signer", "--bin", "zq-signer"])
        .args(["--package", "linux-guest"])
        .args(["--bin", "linux-init", "--bin", "linux-contained"])
        .arg("--target-dir")
        .arg(&target)
        .env("RUSTFLAGS", "-C target-feature=+crt-static");
    command::run("building the Linux guest's programs", &mut cargo)?;
    Ok(target.join(TARGET).join(PROFILE))
}

fn pack(programs: &Path, modules: &[Vec<u8>]) -> Result<Vec<u8>> {
    let mut archive = Archive::default();
    for folder in ["dev", "sys", "modules"] {
        archive.folder(folder)?;
    }
    // Standard output and error of the first program.
    archive.device("dev/console", (5, 1))?;
    for (at, module) in modules.iter().enumerate() {
        archive.file(&format!("modules/{at}.ko"), module)?;
    }
    archive.file("zq-signer", &fs::read(programs.join("zq-signer"))?)?;
    archive.file("init", &fs::read(programs.join("linux-init"))?)?;
    archive.finish()
}
