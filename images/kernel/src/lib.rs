//! The kernel of every image: hermit-kernel from the crate registry, with the patches of
//! `patches/series` applied by the build, and nothing of our own.

#![no_std]

pub use hermit;
