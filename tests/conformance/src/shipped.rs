//! Vectors that packages of the registry ship beside their code, read from the package that this
//! workspace locks: a new version of a library brings its vectors along, and nobody copies them.

pub mod frost_ed25519;
pub mod noise;

use std::collections::VecDeque;
use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use rand_core::{CryptoRng, RngCore};
use serde::Deserialize;

/// A file of a package, by its path in the package.
///
/// # Panics
/// If cargo does not know the package, knows several of the name, or there is no such file in it.
#[must_use]
pub fn text(package: &str, file: &str) -> String {
    let path = folder(package).join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The bytes of hexadecimal text.
///
/// # Panics
/// If the text is no such.
#[must_use]
pub fn bytes(text: &str) -> Vec<u8> {
    hex::decode(text).expect("vectors are hexadecimal")
}

/// Randomness as a vector has it: one value a draw, each of the length that is asked for.
#[derive(Clone, Debug)]
pub struct Draws(VecDeque<Vec<u8>>);

impl Draws {
    /// Hands out these values in turn, and nothing else.
    #[must_use]
    pub fn new(values: impl IntoIterator<Item = Vec<u8>>) -> Self {
        Self(values.into_iter().collect())
    }
}

impl RngCore for Draws {
    fn next_u32(&mut self) -> u32 {
        unreachable!("vectors are drawn as bytes")
    }

    fn next_u64(&mut self) -> u64 {
        unreachable!("vectors are drawn as bytes")
    }

    fn fill_bytes(&mut self, dest: &mut [u8]) {
        dest.copy_from_slice(&self.0.pop_front().expect("a value for each draw"));
    }

    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), rand_core::Error> {
        self.fill_bytes(dest);
        Ok(())
    }
}

impl CryptoRng for Draws {}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: PathBuf,
}

fn folder(package: &str) -> &'static Path {
    static METADATA: OnceLock<Metadata> = OnceLock::new();
    let mut found = METADATA
        .get_or_init(metadata)
        .packages
        .iter()
        .filter(|known| known.name == package);
    match (found.next(), found.next()) {
        (Some(only), None) => only
            .manifest_path
            .parent()
            .expect("a manifest has a folder"),
        (Some(_), Some(_)) => panic!("several versions of {package} are locked"),
        (None, _) => panic!("{package} is no package of this workspace"),
    }
}

/// What cargo says about the packages that are locked. Where one package alone is built, others may
/// be missing on this machine, and cargo fetches them as for any build.
fn metadata() -> Metadata {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    // Packages for other systems need not be there.
    let platform = format!("{}-unknown-linux-gnu", env::consts::ARCH);
    let output = Command::new(cargo)
        .args(["metadata", "--locked", "--format-version", "1"])
        .args(["--filter-platform", &platform])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo starts");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo metadata: {errors}");
    serde_json::from_slice(&output.stdout).expect("cargo writes its metadata as JSON")
}
