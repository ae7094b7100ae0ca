//! Images: builds them from the crate registry and the distribution's packages alone, boots them,
//! and looks into them.

mod bed;
mod build;
mod compare;
mod guest;
mod inspect;
mod kernel;
mod loader;
mod measure;
mod reproduce;
mod run;
mod test;
mod toolchain;
mod waiting;

use std::path::{Path, PathBuf};

use anyhow::Result;
use clap::Subcommand;

use crate::lock::Lock;
use crate::print_line;

/// What to do with images.
#[derive(Subcommand)]
pub enum Task {
    /// Build images into target/images: kernel, loader, guest program, manifest.
    Build(build::Options),
    /// Boot an image; its console is shown.
    Run(run::Options),
    /// Check an image against its manifest and show what it is made of.
    Inspect(inspect::Options),
    /// Boot images and show time to connect, memory and idle processor time.
    Measure(measure::Options),
    /// Boot the signer's image, a minimal Linux guest and the plain process, and compare them.
    Compare(compare::Options),
    /// Build images twice, in two directories, and compare them byte by byte.
    Reproduce(reproduce::Options),
    /// Boot guests that test the kernel, patch by patch.
    Test(test::Options),
}

/// Runs one of the tasks.
pub fn run(root: &Path, task: &Task) -> Result<()> {
    match task {
        Task::Build(options) => build::run(root, options),
        Task::Run(options) => run::run(root, options),
        Task::Inspect(options) => inspect::run(root, options),
        Task::Measure(options) => measure::run(root, options),
        Task::Compare(options) => compare::run(root, options),
        Task::Reproduce(options) => reproduce::run(root, options),
        Task::Test(options) => test::run(root, options),
    }
}

/// Builds the image of every guest; returns their folder.
pub fn build_all(root: &Path) -> Result<PathBuf> {
    build::build(root, build::Which::All)?;
    Ok(folder(root))
}

/// Held while images are built: whoever builds takes away and replaces what others build from.
fn lock(root: &Path) -> Result<Lock> {
    let path = root.join("target/images.lock");
    Lock::wait(&path, "images", &mut print_line)
}

/// Where images and what they are built from lie.
fn folder(root: &Path) -> PathBuf {
    root.join("target/images")
}
