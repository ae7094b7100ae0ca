//! Deterministic WebAssembly: gatekeeper, metering, engine, host interface, execution.
