//! `cargo xtask image inspect`: what an image is made of.

use std::path::Path;

use anyhow::Result;

use super::build::mebibytes;
use super::run::open;

/// Options of `cargo xtask image inspect`.
#[derive(clap::Args)]
pub struct Options {
    /// The image: signer, executor, coordinator, or the path of a file.
    image: String,
    /// Print the manifest as JSON.
    #[arg(long)]
    json: bool,
}

/// Checks the image and prints its manifest.
pub fn run(root: &Path, options: &Options) -> Result<()> {
    let image = open(root, &options.image)?;
    let manifest = image.manifest();
    if options.json {
        println!("{}", serde_json::to_string_pretty(manifest)?);
        return Ok(());
    }
    let patches: Vec<&str> = manifest
        .kernel
        .patches
        .iter()
        .map(|patch| patch.name.as_str())
        .collect();
    println!("{}", manifest.name);
    println!("  digest   {} (the file has it)", manifest.digest);
    println!("  size     {:.1} MiB", mebibytes(manifest.size_bytes));
    println!("  memory   at least {} MiB", manifest.memory_mib_min);
    println!(
        "  kernel   hermit-kernel {} with {}",
        manifest.kernel.version,
        manifest.kernel.features.join(", ")
    );
    println!("  patches  {}", patches.join(", "));
    println!("  compiler {}", manifest.inputs.compiler);
    println!("  linker   {}", manifest.inputs.linker);
    let whose = if manifest.inputs.is_reference {
        "yes: committees use this digest"
    } else {
        "no: committees use the digest that the reference compiler gives"
    };
    println!("  reference {whose}");
    println!("  crates   {}", manifest.crates.len());
    for linked in &manifest.crates {
        println!("           {} {}", linked.name, linked.version);
    }
    Ok(())
}
