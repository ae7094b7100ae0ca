//! Finds or installs a toolchain that compiles Rust to `wasm32v1-none`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::BuildError;

/// WebAssembly 1.0 with mutable globals: all that the gatekeeper allows, by definition.
pub const TARGET: &str = "wasm32v1-none";

/// What to call and with which settings.
pub struct Toolchain {
    kind: Kind,
    sysroot: PathBuf,
}

/// What may be installed without asking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Install {
    /// A target of rustup's, which is the user's own.
    Target,
    /// Packages of the system too, by root.
    Packages,
}

enum Kind {
    /// The compiler in use has the target.
    Target,
    /// Debian's packaged compiler: no target installed, but its library's sources.
    Packaged,
}

impl Toolchain {
    /// Looks at the compiler in use, then at Debian's packages, then asks rustup for the target,
    /// then installs the packages where that is allowed and possible.
    ///
    /// # Errors
    /// [`BuildError::NoCompiler`] if none of it worked; the message says what to install.
    pub fn find(install: Install, log: &mut dyn FnMut(&str)) -> Result<Self, BuildError> {
        if let Some(toolchain) = Self::with_target().or_else(Self::packaged) {
            return Ok(toolchain);
        }
        log(&format!(
            "zApps: installing the target {TARGET} (rustup target add {TARGET})"
        ));
        let mut rustup = Command::new("rustup");
        rustup
            .args(["target", "add", TARGET])
            .env_remove("RUST_BACKTRACE");
        if run_within(rustup, RUSTUP_TIME_MAX)
            && let Some(toolchain) = Self::with_target()
        {
            return Ok(toolchain);
        }
        if install == Install::Packages && may_install() {
            log(&format!("zApps: {INSTALL}"));
            let mut install = Command::new("sh");
            install.args(["-c", INSTALL]);
            if run_within(install, INSTALL_TIME_MAX)
                && let Some(toolchain) = Self::packaged()
            {
                return Ok(toolchain);
            }
        }
        Err(BuildError::NoCompiler)
    }

    /// What it is, for the log.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self.kind {
            Kind::Target => "the compiler in use",
            Kind::Packaged => "Debian's packaged compiler",
        }
    }

    /// Where the compiler's own sources and libraries lie.
    #[must_use]
    pub fn sysroot(&self) -> &Path {
        &self.sysroot
    }

    /// A call of cargo that compiles for [`TARGET`].
    #[must_use]
    pub fn cargo(&self) -> Command {
        self.cargo_with("core")
    }

    /// The same for what allocates.
    #[must_use]
    pub fn cargo_with_alloc(&self) -> Command {
        self.cargo_with("core,alloc")
    }

    fn cargo_with(&self, libraries: &str) -> Command {
        let mut cargo = self.host_cargo();
        if matches!(self.kind, Kind::Packaged) {
            cargo
                // The target's library is built from source, which stable compilers allow only so.
                .env("RUSTC_BOOTSTRAP", "1")
                .env("CARGO_TARGET_WASM32V1_NONE_LINKER", PACKAGED_LINKER)
                .arg(format!("-Zbuild-std={libraries}"));
        }
        cargo
    }

    /// A call of the same cargo that compiles for this machine.
    #[must_use]
    pub fn host_cargo(&self) -> Command {
        match self.kind {
            Kind::Target => Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into())),
            Kind::Packaged => {
                let mut cargo = Command::new("/usr/bin/cargo");
                cargo
                    .env("RUSTC", PACKAGED_RUSTC)
                    .env_remove("RUSTUP_TOOLCHAIN");
                cargo
            }
        }
    }

    fn with_target() -> Option<Self> {
        let libraries = printed("rustc", &["--print", "target-libdir", "--target", TARGET])?;
        let mut entries = std::fs::read_dir(libraries.trim()).ok()?;
        let has_core = entries.any(|entry| {
            entry.is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with("libcore"))
        });
        has_core.then_some(())?;
        Some(Self {
            kind: Kind::Target,
            sysroot: printed("rustc", &["--print", "sysroot"])?.trim().into(),
        })
    }

    fn packaged() -> Option<Self> {
        let targets = printed(PACKAGED_RUSTC, &["--print", "target-list"])?;
        let sysroot = PathBuf::from(printed(PACKAGED_RUSTC, &["--print", "sysroot"])?.trim());
        let sources = sysroot.join("lib/rustlib/src/rust/library/core");
        let complete = targets.lines().any(|line| line == TARGET)
            && sources.is_dir()
            && Path::new("/usr/bin/cargo").exists()
            && Path::new(PACKAGED_LINKER).exists();
        complete.then_some(Self {
            kind: Kind::Packaged,
            sysroot,
        })
    }
}

/// Standard output of a command that succeeds.
fn printed(program: &str, arguments: &[&str]) -> Option<String> {
    let output = Command::new(program)
        .args(arguments)
        .stderr(Stdio::null())
        .output()
        .ok()?;
    output
        .status
        .success()
        .then(|| String::from_utf8(output.stdout).ok())?
}

/// Runs a command that may wait for a network; after `time_max` it is ended and has failed.
fn run_within(mut command: Command, time_max: Duration) -> bool {
    let Ok(mut child) = command.stdin(Stdio::null()).spawn() else {
        return false;
    };
    let start = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return status.success(),
            Ok(None) if start.elapsed() < time_max => std::thread::sleep(POLL),
            Ok(None) | Err(_) => {
                let killed = child.kill().and_then(|()| child.wait());
                return killed.is_ok_and(|status| status.success());
            }
        }
    }
}

/// Whether packages can be installed without asking: root, and apt is there.
fn may_install() -> bool {
    let is_root = printed("id", &["-u"]).is_some_and(|user| user.trim() == "0");
    is_root && Path::new("/usr/bin/apt-get").exists()
}

const PACKAGED_RUSTC: &str = "/usr/bin/rustc";
const PACKAGED_LINKER: &str = "/usr/bin/wasm-ld";
pub(crate) const INSTALL: &str = "apt-get install -y rustc-web cargo-web rust-web-src lld";
const RUSTUP_TIME_MAX: Duration = Duration::from_secs(90);
const INSTALL_TIME_MAX: Duration = Duration::from_secs(600);
const POLL: Duration = Duration::from_millis(50);
