//! Tells the linker where things go, and cargo that the guest program is an input.

use std::env;

fn main() {
    let folder = env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    println!("cargo::rustc-link-arg=-T{folder}/link.ld");
    println!("cargo::rerun-if-changed=link.ld");
    println!("cargo::rerun-if-env-changed=ZQ_GUEST");
    if let Ok(guest) = env::var("ZQ_GUEST") {
        println!("cargo::rerun-if-changed={guest}");
        println!("cargo::rustc-env=ZQ_GUEST={guest}");
    }
}
