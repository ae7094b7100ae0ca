//! `cargo xtask image reproduce`: the same sources in two places give the same images.
//!
//! A mode of its own, since it builds everything from nothing twice.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use super::build::{Which, build};
use super::folder;
use crate::print_line;

/// Options of `cargo xtask image reproduce`.
#[derive(clap::Args)]
pub struct Options {
    /// Which image.
    #[arg(value_enum, default_value_t = Which::All)]
    which: Which,
}

/// Where the copies lie, under target/images; unequal in name and length.
const PLACES: [&str; 2] = ["reproduce/a", "reproduce/another/longer-place"];
/// What a copy leaves out.
const LEFT_OUT: [&str; 2] = ["target", ".git"];

/// Builds in two fresh copies and compares the files.
pub fn run(root: &Path, options: &Options) -> Result<()> {
    let mut digests: Vec<Vec<(String, String)>> = Vec::new();
    for place in PLACES {
        let copy = folder(root).join(place);
        if copy.exists() {
            fs::remove_dir_all(&copy)?;
        }
        copy_tree(root, &copy)?;
        print_line(&format!("reproduce: building in {}", copy.display()));
        let images = build(&copy, options.which)?;
        for (path, _) in &images {
            refuse_paths(path, root)?;
        }
        let named = images
            .into_iter()
            .map(|(_, manifest)| (manifest.name, manifest.digest));
        digests.push(named.collect());
    }
    let [near, far] = digests.as_slice() else {
        bail!("two builds were asked for");
    };
    for ((name, near), (_, far)) in near.iter().zip(far) {
        println!("{name}: {near} and {far}");
    }
    if near != far {
        bail!("the images differ: something of the place or the time is in them");
    }
    println!("the images are the same, byte by byte");
    Ok(())
}

/// No image names a directory of this machine.
fn refuse_paths(image: &Path, root: &Path) -> Result<()> {
    let bytes = fs::read(image)?;
    let place = root.canonicalize()?;
    let place = place.to_string_lossy();
    if bytes
        .windows(place.len())
        .any(|window| window == place.as_bytes())
    {
        bail!("{} contains the path {place}", image.display());
    }
    Ok(())
}

fn copy_tree(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("cannot write {}", to.display()))?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        let path: PathBuf = entry.path();
        if LEFT_OUT.iter().any(|left_out| name == *left_out) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            copy_tree(&path, &to.join(&name))?;
        } else if entry.file_type()?.is_file() {
            fs::copy(&path, to.join(&name))?;
        }
    }
    Ok(())
}
