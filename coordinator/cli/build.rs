//! Lists the SDK's sources, which `zq zapp new` writes into a project: the SDK is in no registry.
//! Makes the module that `zq devnet --once` deploys.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs, io};

/// Crates of the SDK: name in a project, folder here.
const CRATES: [(&str, &str); 3] = [
    ("zapp", "runtime/zapp"),
    ("zapp-macro", "runtime/zapp/macro"),
    ("zapp-test", "runtime/zapp/test"),
];

/// The counter as text.
const COUNTER: &str = "src/command/devnet/counter.wat";

fn main() -> io::Result<()> {
    let folder = env::var_os("CARGO_MANIFEST_DIR");
    let folder = folder.ok_or_else(|| io::Error::other("cargo sets CARGO_MANIFEST_DIR"))?;
    let root = Path::new(&folder).join("../..");
    let mut list = String::from("&[\n");
    for (name, folder) in CRATES {
        let folder = root.join(folder);
        let mut files = vec![folder.join("Cargo.toml")];
        sources(&folder.join("src"), &mut files)?;
        files.sort();
        for file in files {
            let within = file.strip_prefix(&folder).map_err(io::Error::other)?;
            let path = file.canonicalize()?;
            // Writing to a string does not fail.
            let _ = writeln!(
                list,
                "({:?}, include_str!({path:?})),",
                Path::new("sdk").join(name).join(within)
            );
        }
    }
    list.push(']');
    let out = env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("cargo sets OUT_DIR"))?;
    let out = PathBuf::from(out);
    println!("cargo::rerun-if-changed={COUNTER}");
    let counter = wat::parse_file(COUNTER).map_err(io::Error::other)?;
    fs::write(out.join("counter.wasm"), counter)?;
    fs::write(out.join("sdk.rs"), list)
}

fn sources(folder: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    // A file that comes or goes changes the list.
    println!("cargo::rerun-if-changed={}", folder.display());
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        match path.is_dir() {
            true => sources(&path, files)?,
            false => files.push(path),
        }
    }
    Ok(())
}
