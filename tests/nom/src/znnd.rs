//! Building the node from its Go module.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use conformance::golden;
use conformance::outside::printed;
use sha2::{Digest as _, Sha256};

/// The node's package.
const PACKAGE: &str = "github.com/zenon-network/go-zenon/cmd/znnd";

/// The node's program, kept in `folder` between runs.
///
/// # Errors
/// What is missing, and what to install.
///
/// # Panics
/// If a file of the repository or of `folder` cannot be read or written.
pub fn build(folder: &Path) -> Result<PathBuf, String> {
    let module = golden::repository().join("tests/nom/znnd");
    let go = printed(Command::new("go").arg("version")).map_err(|reason| {
        format!("Go 1.20 or newer builds the Zenon node; on Debian, install golang-go and gcc ({reason})")
    })?;
    let mut wanted = Sha256::new().chain_update(go);
    for file in ["go.mod", "go.sum", "tools.go"] {
        wanted.update(fs::read(module.join(file)).expect("a file of the repository"));
    }
    let digest: [u8; 32] = wanted.finalize().into();
    let kept = folder.join(format!("znnd-{}", hex::encode(&digest[..8])));
    if kept.exists() {
        return Ok(kept);
    }
    say("building the Zenon node with Go, once; this takes a minute");
    // Aside and renamed when whole, since another test or run may be building it too.
    static BUILDS: AtomicUsize = AtomicUsize::new(0);
    let build = BUILDS.fetch_add(1, Ordering::Relaxed);
    let made = kept.with_extension(format!("{}-{build}", std::process::id()));
    let built = printed(
        Command::new("go")
            .args(["build", "-mod=readonly", "-trimpath", "-o"])
            .arg(&made)
            .arg(PACKAGE)
            .current_dir(&module)
            .env("CGO_ENABLED", "1")
            .env("GOFLAGS", "-buildvcs=false")
            .env("GOTOOLCHAIN", "local"),
    );
    if let Err(reason) = built {
        // Nothing may be there yet.
        let _ = fs::remove_file(&made);
        return Err(format!(
            "the Zenon node cannot be built: it takes Go's module proxy (or a filled module \
             cache) and a C compiler, on Debian gcc ({reason})"
        ));
    }
    fs::rename(&made, &kept).expect("a file that we made");
    Ok(kept)
}

/// A line past the test harness, which keeps the output of passing tests to itself.
fn say(line: &str) {
    let line = format!("{line}\n");
    let mut stdout = std::io::stdout();
    stdout.write_all(line.as_bytes()).expect("standard output");
}
