//! The module that tests run.

use std::process::Command;
use std::sync::OnceLock;

use crate::server::zq;

/// Path of this package's module. Cargo lets go of the target folder before it starts tests, so a
/// build from within one does not wait for itself.
#[track_caller]
pub(crate) fn built() -> String {
    static BUILT: OnceLock<String> = OnceLock::new();
    if let Ok(module) = std::env::var("ZAPP_MODULE") {
        return module;
    }
    BUILT.get_or_init(build).clone()
}

fn build() -> String {
    let folder = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_else(|_| ".".to_owned());
    let zq = zq();
    let built = Command::new(&zq)
        .args(["zapp", "build", "--print-path", "--dir", &folder])
        // The settings that cargo gave this test are those of this machine, not of the module.
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .stderr(std::process::Stdio::inherit())
        .output();
    let built = built.unwrap_or_else(|error| {
        panic!("{zq}: {error}. Run `zq zapp test`, or put zq into PATH, or set ZQ to its path")
    });
    assert!(built.status.success(), "the zApp does not build; see above");
    String::from_utf8_lossy(&built.stdout).trim().to_owned()
}
