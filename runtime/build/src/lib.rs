//! From a zApp's crate to its module, the same way wherever it is built.
//!
//! A zApp's module is named by the hash of its bytes, so the same sources must give the same bytes
//! wherever they lie: paths are remapped, the linker's flags are fixed, and what the runtime does
//! not use (names, producers, exports other than the memory and `zapp_main`) is cut off. Another
//! compiler version gives another module.
//!
//! This crate finds the compiler ([`Toolchain`]), names the flags ([`flags`]) and cuts
//! ([`module::strip`]); whoever builds calls cargo. The contract for CosmWasm chains is made in the
//! same way ([`contract`]), but that it has an allocator and code from a registry. It installs nothing but what its caller lets
//! it.

pub mod contract;
pub mod module;
mod toolchain;

use std::path::{Path, PathBuf};

pub use toolchain::{Install, TARGET, Toolchain};

/// A module is not built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// No compiler makes WebAssembly, and none could be installed.
    #[error(
        "no compiler for WebAssembly. Install one of:\n  \
         rustup target add {TARGET}\n  {}",
        toolchain::INSTALL
    )]
    NoCompiler,
    /// Bytes that are no WebAssembly module of version 1.
    #[error("no WebAssembly module: {0}")]
    Malformed(&'static str),
}

/// Compiler flags of a release build, separated as `CARGO_ENCODED_RUSTFLAGS` wants them; each path
/// of `remap` becomes a name.
#[must_use]
pub fn flags(toolchain: &Toolchain, remap: &[(PathBuf, &str)]) -> String {
    flags_with(toolchain, remap, LINK_ARGS)
}

fn flags_with(toolchain: &Toolchain, remap: &[(PathBuf, &str)], link: &[&str]) -> String {
    let remap = remap
        .iter()
        .map(|(from, to)| (from.as_path(), *to))
        .chain([(toolchain.sysroot(), "/rust")]);
    let remap = remap
        .map(|(from, to): (&Path, &str)| format!("--remap-path-prefix={}={to}", from.display()));
    let link = link.iter().map(|flag| format!("-Clink-arg={flag}"));
    remap.chain(link).collect::<Vec<_>>().join("\u{1f}")
}

/// A stack of half a page before the data, and the declared maximum that the gatekeeper asks for:
/// 16 pages is the cheapest class of memory.
pub const LINK_ARGS: &[&str] = &[
    "-zstack-size=32768",
    "--stack-first",
    "--max-memory=1048576",
];
