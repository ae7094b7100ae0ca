//! The gatekeeper and the metering pass: what they take is a valid module, and they take it again.

/// A module. Unlike what libFuzzer is best at, it must begin with the right eight bytes: they are put
/// there.
pub fn module(bytes: &[u8]) -> bool {
    let wasm = [b"\0asm\x01\0\0\0", bytes].concat();
    let Ok(prepared) = runtime::prepare(&wasm) else {
        return false;
    };
    let again = runtime::prepare(&wasm).expect("what is taken once is taken again");
    assert_eq!(prepared, again, "metering depends on more than the bytes");
    true
}
