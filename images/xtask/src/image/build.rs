//! `cargo xtask image build`: kernel, guest programs, loader, manifests.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result};
use clap::ValueEnum;
use sha2::{Digest as _, Sha256};
use vm::image::{Inputs, Manifest, digest};

use super::guest::Program;
use super::kernel::Kernel;
use super::toolchain::Toolchain;
use super::{folder, guest, kernel, loader, lock};
use crate::print_line;

/// Options of `cargo xtask image build`.
#[derive(clap::Args)]
pub struct Options {
    /// Which image.
    #[arg(value_enum, default_value_t = Which::All)]
    which: Which,
}

/// Images by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Which {
    /// Holds the member's key share.
    Signer,
    /// Runs WebAssembly.
    Executor,
    /// Leads steps.
    Coordinator,
    /// All three.
    All,
}

impl Which {
    /// The guests that it names.
    pub fn programs(self) -> &'static [Program] {
        match self {
            Self::Signer => &PROGRAMS[..1],
            Self::Executor => &PROGRAMS[1..2],
            Self::Coordinator => &PROGRAMS[2..],
            Self::All => &PROGRAMS,
        }
    }
}

/// The three guests. Their memory is what `cargo xtask image measure` finds, with a reserve.
pub const PROGRAMS: [Program; 3] = [
    Program {
        package: "signer",
        binary: "zq-signer",
        memory_mib_min: 64,
    },
    Program {
        package: "executor",
        binary: "zq-executor",
        memory_mib_min: 128,
    },
    Program {
        package: "coordinator",
        binary: "zq-coordinator",
        memory_mib_min: 64,
    },
];

/// Builds what the options say and prints each image's digest.
pub fn run(root: &Path, options: &Options) -> Result<()> {
    let images = build(root, options.which)?;
    for (path, manifest) in images {
        println!(
            "{}  {}  {:.1} MiB, at least {} MiB of memory",
            manifest.digest,
            path.display(),
            mebibytes(manifest.size_bytes),
            manifest.memory_mib_min
        );
    }
    Ok(())
}

/// Builds images into target/images of the tree at `root`.
pub fn build(root: &Path, which: Which) -> Result<Vec<(PathBuf, Manifest)>> {
    let _lock = lock(root)?;
    let began = Instant::now();
    let toolchain = Toolchain::find(root)?;
    print_line(&format!("images: {}", toolchain.describe()));
    let folder = folder(root);
    if !folder.join("kernel/library").exists() {
        print_line("images: a first build takes about 10 minutes on two cores");
    }
    print_line("images: the kernel");
    let kernel = kernel::build(root, &toolchain, &folder.join("kernel"), None)?;
    let mut images = Vec::new();
    for program in which.programs() {
        let seconds = began.elapsed().as_secs();
        print_line(&format!("images: {} (after {seconds} s)", program.package));
        images.push(image(root, &toolchain, &kernel, *program)?);
    }
    Ok(images)
}

/// Builds one image and its manifest.
pub fn image(
    root: &Path,
    toolchain: &Toolchain,
    kernel: &Kernel,
    program: Program,
) -> Result<(PathBuf, Manifest)> {
    let folder = folder(root);
    let guest = guest::build(root, toolchain, kernel, &folder.join("guests"), program)?;
    let built = loader::build(root, toolchain, &folder.join("loader"), &guest)?;
    let bytes = fs::read(&built).with_context(|| format!("no image {}", built.display()))?;
    let manifest = Manifest {
        name: program.package.to_string(),
        digest: hex::encode(digest(&bytes).as_bytes()),
        size_bytes: u64::try_from(bytes.len())?,
        memory_mib_min: program.memory_mib_min,
        kernel: vm::image::Kernel {
            version: kernel.version.clone(),
            features: kernel.features.clone(),
            patches: kernel.patches.clone(),
        },
        inputs: Inputs {
            compiler: toolchain.compiler().to_string(),
            linker: toolchain.linker().to_string(),
            is_reference: toolchain.is_reference(),
            locks: locks(root)?,
        },
        crates: guest::crates(
            toolchain.cargo(root, guest::TARGET, &[])?,
            guest::TARGET,
            program,
        )?,
    };
    let path = folder.join(format!("{}.img", program.package));
    let mut text = serde_json::to_string_pretty(&manifest)?;
    text.push('\n');
    replace(&path, &bytes)?;
    replace(&path.with_extension("json"), text.as_bytes())?;
    Ok((path, manifest))
}

fn locks(root: &Path) -> Result<BTreeMap<String, String>> {
    LOCKS
        .iter()
        .map(|name| {
            let lock = fs::read(root.join(name)).with_context(|| format!("no {name}"))?;
            Ok(((*name).to_string(), hex::encode(Sha256::digest(lock))))
        })
        .collect()
}

/// Written beside and renamed, so that nobody boots half an image.
fn replace(path: &Path, bytes: &[u8]) -> Result<()> {
    let draft = path.with_extension("draft");
    fs::write(&draft, bytes).with_context(|| format!("cannot write {}", draft.display()))?;
    fs::rename(&draft, path).with_context(|| format!("cannot write {}", path.display()))
}

/// Bytes as a person reads them.
pub fn mebibytes(bytes: u64) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "for a person")]
    let bytes = bytes as f64;
    bytes / f64::from(1 << 20)
}

const LOCKS: [&str; 3] = [
    "Cargo.lock",
    "images/kernel/Cargo.lock",
    "images/loader/Cargo.lock",
];
