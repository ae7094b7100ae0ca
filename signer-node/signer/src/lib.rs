//! The signer guest: holds the member's key share, runs no WebAssembly.
