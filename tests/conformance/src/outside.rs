//! What is not Rust, verifiers, contracts, zApps: what they need, and what happens where it is
//! missing.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use sha2::{Digest as _, Sha256};

use crate::golden;

/// A Python with the pinned packages, kept in `folder` between runs; the reason if there can be
/// none. It is made aside and renamed when whole, since another run may be making it too.
///
/// # Errors
/// Why there is no Python with these packages.
///
/// # Panics
/// If the list of packages cannot be read, or a folder of ours not be removed.
pub fn python(folder: &Path) -> Result<PathBuf, String> {
    let wanted = fs::read(python_packages()).expect("the list of packages");
    let digest: [u8; 32] = Sha256::digest(wanted).into();
    let kept = folder.join(format!("python-{}", hex::encode(&digest[..8])));
    if !kept.exists() {
        let made = kept.with_extension(std::process::id().to_string());
        install(&made)?;
        if fs::rename(&made, &kept).is_err() {
            fs::remove_dir_all(&made).expect("a folder that we made");
        }
    }
    Ok(kept.join("bin/python"))
}

/// The list of Python packages, each with its version.
#[must_use]
pub fn python_packages() -> PathBuf {
    golden::repository().join("tests/conformance/python/requirements.txt")
}

fn install(environment: &Path) -> Result<(), String> {
    printed(
        Command::new("python3")
            .args(["-m", "venv", "--clear"])
            .arg(environment),
    )?;
    printed(
        Command::new(environment.join("bin/python"))
            .args(["-m", "pip", "install", "--quiet"])
            .args(["--disable-pip-version-check", "-r"])
            .arg(python_packages()),
    )?;
    Ok(())
}

/// The folder of what the lock file of a `package` of this repository pins, kept in `folder` between
/// runs. It is made aside and renamed when whole, since another run may be making it too.
///
/// # Errors
/// Why npm cannot install it.
///
/// # Panics
/// If the package's files cannot be read, or a folder of ours not be removed.
pub fn npm(folder: &Path, package: &Path) -> Result<PathBuf, String> {
    /// Tests of one process share its name for what is being made.
    static TURN: Mutex<()> = Mutex::new(());
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let wanted = golden::repository().join(package);
    let lock = fs::read(wanted.join("package-lock.json")).expect("the lock file");
    let digest: [u8; 32] = Sha256::digest(&lock).into();
    let name = package.file_name().expect("a folder").to_string_lossy();
    let kept = folder.join(format!("{name}-{}", hex::encode(&digest[..8])));
    if kept.exists() {
        return Ok(kept);
    }
    let made = kept.with_extension(std::process::id().to_string());
    fs::create_dir_all(&made).expect("a folder of ours");
    for file in ["package.json", "package-lock.json"] {
        fs::copy(wanted.join(file), made.join(file)).expect("a file of the repository");
    }
    let installed = printed(Command::new("npm").current_dir(&made).args([
        "ci",
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
    ]));
    if let Err(reason) = installed {
        fs::remove_dir_all(&made).expect("a folder that we made");
        return Err(reason);
    }
    if fs::rename(&made, &kept).is_err() {
        fs::remove_dir_all(&made).expect("a folder that we made");
    }
    Ok(kept)
}

/// What a command that succeeds prints.
///
/// # Errors
/// The command and the last line of its errors.
pub fn printed(command: &mut Command) -> Result<String, String> {
    let output = command
        .output()
        .map_err(|error| format!("{command:?}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let last = stderr.lines().last().unwrap_or_default();
    Err(format!("{command:?} failed: {last}"))
}

/// Says that a test does not run here, past the test harness, which keeps the output of passing
/// tests to itself.
///
/// # Panics
/// Under `CI=true`: there every test must run.
pub fn skip(what: &str, reason: &str) {
    let line = format!("SKIP: {what}: {}\n", reason.replace('\n', " "));
    std::io::stdout()
        .write_all(line.as_bytes())
        .expect("standard output");
    let continuous = std::env::var_os("CI").is_some_and(|value| value == "true");
    assert!(!continuous, "under CI=true a skip fails: {reason}");
}
