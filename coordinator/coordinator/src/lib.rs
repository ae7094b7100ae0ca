//! The coordinator guest: leads steps; trusted for nothing, keeps nothing.
