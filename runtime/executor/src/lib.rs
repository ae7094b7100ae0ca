//! The executor guest: runs WebAssembly, holds no key.
