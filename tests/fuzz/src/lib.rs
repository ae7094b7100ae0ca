//! Glue between libFuzzer and the targets.

/// Feeds a target. What its decoder refuses is kept where it reaches new code: it leads to more.
pub fn feed(name: &str, bytes: &[u8]) {
    let _ = fuzz_targets::run(name, bytes);
}
