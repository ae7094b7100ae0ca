//! The contract of `contracts/cosmwasm`, built. The tests run it in cosmwasm-vm, the machine that
//! chains run, and hold it against the crate `acceptor`.

#![forbid(unsafe_code)]

use std::path::Path;

use zapp_build::{Install, Toolchain, contract};

/// Builds the contract of the repository `root`; its module.
///
/// # Errors
/// Why there is no compiler.
///
/// # Panics
/// If the contract does not compile.
pub fn module(root: &Path) -> Result<Vec<u8>, String> {
    let toolchain =
        Toolchain::find(Install::Target, &mut |_| ()).map_err(|error| error.to_string())?;
    let target = root.join("target/contract-build");
    let status = contract::command(&toolchain, root, &target).status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "the contract compiles"
    );
    Ok(std::fs::read(contract::module(&target)).expect("what cargo built"))
}
