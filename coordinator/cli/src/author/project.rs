//! An author's project: a cargo package that makes a module.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use zapp_build::Toolchain;

use crate::failure::Failure;

/// A package and where its module is built.
pub(crate) struct Project {
    /// Its folder.
    pub(crate) dir: PathBuf,
    /// The package's name, which the module's file gets.
    pub(crate) name: String,
    /// The library's name, which cargo gives the file.
    pub(crate) library: String,
    /// Where cargo builds.
    pub(crate) target: PathBuf,
}

impl Project {
    /// The package in a folder.
    pub(crate) fn find(dir: &Path, toolchain: &Toolchain) -> Result<Self, Failure> {
        let manifest = dir.join("Cargo.toml");
        if !manifest.is_file() {
            return Err(Failure::new(
                format!("{} holds no Cargo.toml", dir.display()),
                "give the project's folder with --dir (in C it holds zapp.flags, in AssemblyScript \
                 asconfig.json), or make one with `zq zapp new NAME`",
            ));
        }
        let manifest = manifest
            .canonicalize()
            .map_err(|error| Failure::file(&manifest, &error))?;
        let metadata = metadata(toolchain.host_cargo(), &manifest)?;
        Self::read(&metadata, &manifest).ok_or_else(|| {
            Failure::new(
                format!("{} makes no WebAssembly module", manifest.display()),
                "add to it:\n  [lib]\n  crate-type = [\"cdylib\", \"rlib\"]",
            )
        })
    }

    fn read(metadata: &Value, manifest: &Path) -> Option<Self> {
        let packages = metadata.get("packages")?.as_array()?;
        let of = |package: &&Value| {
            let path = package.get("manifest_path").and_then(Value::as_str);
            path.is_some_and(|path| Path::new(path) == manifest)
        };
        let package = packages.iter().find(of)?;
        let makes = |target: &&Value| {
            let kinds = target.get("crate_types").and_then(Value::as_array);
            kinds.into_iter().flatten().any(|kind| kind == "cdylib")
        };
        let library = package.get("targets")?.as_array()?.iter().find(makes)?;
        Some(Self {
            dir: manifest.parent()?.to_owned(),
            name: package.get("name")?.as_str()?.to_owned(),
            library: library.get("name")?.as_str()?.replace('-', "_"),
            target: metadata.get("target_directory")?.as_str()?.into(),
        })
    }
}

fn metadata(mut cargo: Command, manifest: &Path) -> Result<Value, Failure> {
    let output = cargo
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .arg("--manifest-path")
        .arg(manifest)
        .stderr(Stdio::inherit())
        .output()
        .map_err(|error| no_cargo(&error))?;
    let metadata = serde_json::from_slice(&output.stdout).ok();
    metadata.filter(|_| output.status.success()).ok_or_else(|| {
        Failure::new(
            format!("cargo does not understand {}", manifest.display()),
            "what it says stands above",
        )
    })
}

/// Cargo did not start.
pub(crate) fn no_cargo(error: &std::io::Error) -> Failure {
    Failure::new(
        format!("cargo does not start: {error}"),
        "install Rust from https://rustup.rs",
    )
}
