//! Finds or installs a toolchain that builds the standard library for Hermit from source.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use crate::command::{self, printed};
use crate::print_line;

/// The compiler whose images have the digests that committees use, as it names itself.
const REFERENCE: &str = "rustc 1.96.0 (ac68faa20 2026-05-25) (built from a source tarball)";

/// Other linkers lay images out otherwise.
const REFERENCE_LINKER: &str = "LLD 14.0.6";

/// What to call and with which settings.
pub struct Toolchain {
    kind: Kind,
    compiler: String,
    linker: PathBuf,
    linker_name: String,
    sysroot: PathBuf,
    binutils: PathBuf,
}

enum Kind {
    /// Debian's packages rustc-web, cargo-web, rust-web-src.
    Packaged,
    /// A toolchain of rustup, by its name.
    Rustup(String),
}

impl Toolchain {
    /// Debian's packaged compiler where it is or can be installed, else a nightly of rustup.
    ///
    /// # Errors
    /// Neither is there, nor may it be installed; the message says what to install.
    pub fn find(root: &Path) -> Result<Self> {
        let packages = command::system_packages(root, "images");
        if let Some(toolchain) = Self::packaged() {
            return Ok(toolchain);
        }
        if let Some(toolchain) = Self::rustup() {
            return Ok(toolchain);
        }
        print_line(&format!(
            "images: installing a toolchain ({INSTALL_NIGHTLY})"
        ));
        let installed = Command::new("rustup")
            .args(INSTALL_NIGHTLY.split(' ').skip(1))
            .env_remove("RUSTUP_TOOLCHAIN")
            .status();
        if installed.is_ok_and(|status| status.success())
            && let Some(toolchain) = Self::rustup()
        {
            return Ok(toolchain);
        }
        packages?;
        bail!(
            "no compiler that builds the standard library for Hermit. Install one of:\n  \
             apt-get install {}\n  {INSTALL_NIGHTLY}",
            PACKAGES.join(" ")
        )
    }

    /// One line that names compiler and linker.
    pub fn describe(&self) -> String {
        let whose = match &self.kind {
            Kind::Packaged => "Debian's packaged compiler".to_string(),
            Kind::Rustup(name) => format!("rustup's {name}"),
        };
        let digests = if self.is_reference() {
            "the digests that committees use"
        } else {
            "digests of its own: committees use those of Debian 12's rustc-web 1.96.0 and lld 14.0.6"
        };
        format!("{whose}, {}; it gives {digests}", self.compiler)
    }

    /// Whether this compiler gives the digests that committees use.
    pub fn is_reference(&self) -> bool {
        matches!(self.kind, Kind::Packaged)
            && self.compiler == REFERENCE
            && self.linker_name.contains(REFERENCE_LINKER)
    }

    /// The compiler, as it names itself.
    pub fn compiler(&self) -> &str {
        &self.compiler
    }

    /// The linker, as it names itself.
    pub fn linker(&self) -> &str {
        &self.linker_name
    }

    /// A program of LLVM's binutils: `nm`, `objcopy`.
    pub fn binutil(&self, name: &str) -> Command {
        Command::new(self.binutils.join(format!("llvm-{name}")))
    }

    /// A call of cargo that builds for `target`, with no path of this machine in what it builds:
    /// `root` becomes `/zquorum`.
    ///
    /// # Errors
    /// If `root` has no absolute path.
    pub fn cargo(&self, root: &Path, target: &str, flags: &[&str]) -> Result<Command> {
        let root = root.canonicalize().context("the workspace has no path")?;
        let mut cargo = match &self.kind {
            Kind::Packaged => {
                let mut cargo = Command::new("/usr/bin/cargo");
                cargo
                    // The standard library is built from source, which stable compilers allow
                    // only so.
                    .env("RUSTC_BOOTSTRAP", "1")
                    .env("RUSTC", PACKAGED_RUSTC);
                cargo
            }
            Kind::Rustup(name) => {
                let mut cargo = Command::new("rustup");
                cargo.args(["run", name, "cargo"]).env_remove("RUSTC");
                cargo
            }
        };
        let linker = format!(
            "CARGO_TARGET_{}_LINKER",
            target.to_uppercase().replace('-', "_")
        );
        cargo
            .current_dir(&root)
            .env(linker, &self.linker)
            .env("CARGO_ENCODED_RUSTFLAGS", self.flags(&root, flags))
            .env_remove("RUSTUP_TOOLCHAIN")
            // Flags and wrappers of the caller would change the image.
            .env_remove("RUSTFLAGS")
            .env_remove("CARGO_BUILD_RUSTFLAGS")
            .env_remove("RUSTC_WRAPPER")
            .env_remove("RUSTC_WORKSPACE_WRAPPER");
        Ok(cargo)
    }

    fn flags(&self, root: &Path, flags: &[&str]) -> String {
        let remap = |from: &Path, to: &str| format!("--remap-path-prefix={}={to}", from.display());
        let mut all = vec![
            remap(root, "/zquorum"),
            remap(&cargo_home(), "/cargo"),
            remap(&self.sysroot, "/rust"),
        ];
        // Debian's sources are reached through a link.
        if let Ok(sources) = self.sysroot.join("lib/rustlib/src/rust").canonicalize() {
            all.push(remap(&sources, "/rust/lib/rustlib/src/rust"));
        }
        all.extend(flags.iter().map(|flag| (*flag).to_string()));
        all.join("\u{1f}")
    }

    fn packaged() -> Option<Self> {
        let compiler = printed(PACKAGED_RUSTC, &["--version"])?.trim().to_string();
        let toolchain = Self {
            kind: Kind::Packaged,
            compiler,
            linker: "/usr/bin/ld.lld".into(),
            linker_name: first_line("/usr/bin/ld.lld")?,
            sysroot: printed(PACKAGED_RUSTC, &["--print", "sysroot"])?
                .trim()
                .into(),
            binutils: "/usr/bin".into(),
        };
        let complete = toolchain.has_sources()
            && Path::new("/usr/bin/cargo").exists()
            && Path::new("/usr/bin/llvm-objcopy").exists();
        complete.then_some(toolchain)
    }

    fn rustup() -> Option<Self> {
        let list = printed("rustup", &["toolchain", "list", "--quiet"])?;
        list.lines()
            .filter(|name| name.starts_with("nightly"))
            .find_map(Self::of_rustup)
    }

    fn of_rustup(name: &str) -> Option<Self> {
        let rustc = |arguments: &[&str]| {
            let arguments = [&["run", name, "rustc"], arguments].concat();
            printed("rustup", &arguments)
        };
        let sysroot = PathBuf::from(rustc(&["--print", "sysroot"])?.trim());
        let binutils = sysroot.join("lib/rustlib/x86_64-unknown-linux-gnu/bin");
        let linker = binutils.join("gcc-ld/ld.lld");
        let toolchain = Self {
            kind: Kind::Rustup(name.into()),
            compiler: rustc(&["--version"])?.trim().to_string(),
            linker_name: first_line(&linker.to_string_lossy())?,
            linker,
            sysroot,
            binutils,
        };
        let complete = toolchain.has_sources() && toolchain.binutils.join("llvm-objcopy").exists();
        complete.then_some(toolchain)
    }

    fn has_sources(&self) -> bool {
        let library = self.sysroot.join("lib/rustlib/src/rust/library");
        library.join("std/src/sys/pal/hermit").is_dir()
    }
}

fn first_line(linker: &str) -> Option<String> {
    let version = printed(linker, &["--version"])?;
    version.lines().next().map(str::to_string)
}

/// Where cargo keeps what it downloads.
pub fn cargo_home() -> PathBuf {
    std::env::var_os("CARGO_HOME").map_or_else(
        || std::env::home_dir().unwrap_or_default().join(".cargo"),
        PathBuf::from,
    )
}

const PACKAGED_RUSTC: &str = "/usr/bin/rustc";
const PACKAGES: [&str; 5] = ["rustc-web", "cargo-web", "rust-web-src", "lld", "llvm"];
const INSTALL_NIGHTLY: &str = "rustup toolchain install nightly --profile minimal \
                               --component rust-src --component llvm-tools";
