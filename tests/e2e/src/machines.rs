//! Guests in virtual machines.

use std::path::PathBuf;

use anyhow::Result;
use launch::{Machines, Programs};

/// The images that `cargo xtask image build` has made; none if it was not run.
///
/// # Errors
/// If the programs are not there.
pub fn images() -> Result<Option<Machines>> {
    // Beside the profile's folder: an image is the same for all of them.
    let program = Programs::beside_current()?.path("zq-node");
    let folder = program
        .ancestors()
        .nth(2)
        .map(|target| target.join("images"));
    let folder = folder.filter(|folder| {
        let images = ["signer.img", "executor.img", "coordinator.img"];
        images.iter().all(|image| folder.join(image).is_file())
    });
    Ok(folder.map(|images: PathBuf| Machines {
        images,
        accelerator: "auto".into(),
        taps: false,
        slots: None,
    }))
}

/// Says that a test was skipped, in the words that are counted.
pub fn skip(test: &str) {
    println!("SKIP: {test}: no images; `cargo xtask image build` makes them");
}
