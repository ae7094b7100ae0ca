//! `cargo xtask image reproduce`: the same sources in two places give the same images.
//!
//! A mode of its own, since it builds everything from nothing.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use vm::image::Manifest;

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

/// Where the copy lies, under target/images: of another name and length than the tree itself.
const PLACE: &str = "reproduce/another-and-longer-place";
/// What the copy leaves out.
const LEFT_OUT: [&str; 2] = ["target", ".git"];

/// Builds here and in a fresh copy, and compares the files.
pub fn run(root: &Path, options: &Options) -> Result<()> {
    let here = built(root, root, options.which)?;
    let copy = folder(root).join(PLACE);
    if copy.exists() {
        fs::remove_dir_all(&copy)?;
    }
    copy_tree(root, &copy)?;
    let there = built(root, &copy, options.which)?;
    for (here, there) in here.iter().zip(&there) {
        println!("{}: {} and {}", here.name, here.digest, there.digest);
    }
    if here != there {
        bail!("the images differ: something of the place or the time is in them");
    }
    println!("the images are the same, byte by byte");
    Ok(())
}

fn built(root: &Path, place: &Path, which: Which) -> Result<Vec<Manifest>> {
    print_line(&format!("reproduce: building in {}", place.display()));
    let images = build(place, which)?;
    for (path, _) in &images {
        refuse_paths(path, root)?;
    }
    Ok(images.into_iter().map(|(_, manifest)| manifest).collect())
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
