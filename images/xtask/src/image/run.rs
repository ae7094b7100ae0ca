//! `cargo xtask image run`: boots an image for a person to watch.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use attestation::ids::Digest;
use vm::accelerator::Accelerator;
use vm::image::Image;
use vm::machine::{Machine, hand_over, not_started};

use super::folder;

/// Options of `cargo xtask image run`.
#[derive(clap::Args)]
#[command(
    after_help = "A guest dials its node and does nothing without one: zq-node prints the \
    address of its guests' port, or is told it with --guests-listen."
)]
pub struct Options {
    /// The image: signer, executor, coordinator, or the path of a file.
    image: String,
    /// Address of the node's port for guests, as this machine sees it.
    #[arg(long, default_value = "127.0.0.1:7000")]
    node: SocketAddr,
    /// File whose first line is the guest's token; by default the empty token.
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Refuse any image but the one with this digest (64 hexadecimal digits).
    #[arg(long)]
    digest: Option<String>,
    /// Memory in MiB; by default the least that the image needs.
    #[arg(long)]
    memory: Option<u64>,
    /// Another processor model, in QEMU's words.
    #[arg(long)]
    cpu: Option<String>,
}

/// Boots the image and shows its console until the guest ends.
pub fn run(root: &Path, options: &Options) -> Result<()> {
    let mut image = open(root, &options.image)?;
    if let Some(digest) = &options.digest {
        let mut bytes = [0; 32];
        hex::decode_to_slice(digest, &mut bytes).context("--digest takes 64 hexadecimal digits")?;
        image = image.expect(&Digest::from_bytes(bytes))?;
    }
    let accelerator = Accelerator::probe(&image);
    let mut machine = Machine::new(&image, accelerator).processor(options.cpu.clone());
    if let Some(memory_mib) = options.memory {
        machine = machine.memory_mib(memory_mib)?;
    }
    println!(
        "{} {} under {}",
        image.manifest().name,
        image.digest(),
        accelerator.describe()
    );
    let mut qemu = machine.dialling(options.node)?;
    let token = match &options.token_file {
        Some(path) => {
            fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?
        }
        None => String::new(),
    };
    let token = token.lines().next().unwrap_or_default();
    let _file = hand_over(token.as_bytes(), &mut qemu)?;
    let status = qemu.status().map_err(not_started)?;
    match status.code() {
        Some(GUEST_SUCCEEDED) => Ok(()),
        Some(GUEST_FAILED) => bail!("the guest ended with an error; its console says why"),
        Some(LOADER_REFUSED) => bail!("the loader refused; its console says why"),
        _ => bail!("the emulator ended with {status}"),
    }
}

/// An image by its name or path.
pub fn open(root: &Path, image: &str) -> Result<Image> {
    let path = if image.contains(['/', '.']) {
        PathBuf::from(image)
    } else {
        folder(root).join(format!("{image}.img"))
    };
    Ok(Image::open(&path)?)
}

/// Exit codes of QEMU's exit device: what the guest wrote, doubled, plus one.
const GUEST_SUCCEEDED: i32 = 3;
const GUEST_FAILED: i32 = 1;
const LOADER_REFUSED: i32 = 255;
