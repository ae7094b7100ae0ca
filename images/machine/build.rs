//! Links the kernel into programs for Hermit; `cargo xtask image build` says where it is.

use std::env;

fn main() {
    println!("cargo::rerun-if-env-changed=ZQ_KERNEL");
    if env::var("CARGO_CFG_TARGET_OS").as_deref() != Ok("hermit") {
        return;
    }
    let Ok(folder) = env::var("ZQ_KERNEL") else {
        println!("cargo::error=programs for Hermit are built by `cargo xtask image build`");
        return;
    };
    println!("cargo::rerun-if-changed={folder}/libhermit.a");
    println!("cargo::rustc-link-search=native={folder}");
    // Not bundled into this crate: what is inside is no input of link-time optimisation.
    println!("cargo::rustc-link-lib=static:-bundle=hermit");
}
