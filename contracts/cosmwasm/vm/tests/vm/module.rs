//! The module itself: what a chain checks before it takes it.

use conformance::golden;

use crate::chain::{check, wasm};

#[test]
fn the_machine_takes_the_contract_and_refuses_it_without_the_capability_that_it_needs() {
    let Some(wasm) = wasm() else {
        return;
    };
    check(wasm).unwrap();
    let none = std::collections::HashSet::new();
    let limits = cosmwasm_vm::WasmLimits::default();
    let logger = cosmwasm_vm::internals::Logger::Off;
    let error = cosmwasm_vm::internals::check_wasm(wasm, &none, &limits, logger).unwrap_err();
    assert!(error.to_string().contains("cosmwasm_2_0"), "{error}");
    check(&wasm[..wasm.len() - 1]).unwrap_err();
}

#[test]
fn the_module_does_not_say_where_it_was_built() {
    let Some(wasm) = wasm() else {
        return;
    };
    let root = golden::repository().canonicalize().unwrap();
    let home = std::env::var("HOME").unwrap();
    for place in [
        root.to_str().unwrap(),
        &format!("{home}/.cargo"),
        "/usr/lib/rust",
    ] {
        let place = place.as_bytes();
        assert!(!wasm.windows(place.len()).any(|window| window == place));
    }
}
