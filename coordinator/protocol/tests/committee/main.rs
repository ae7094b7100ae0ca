//! Whole committees in memory: n signers and their nodes, ranked coordinators, a network that
//! loses, doubles and reorders, processes that crash between `Persist` and `Persisted`, a virtual
//! clock and one seeded generator. FROST keys are real.

mod byzantine;
mod engine;
mod member;
mod steps;
mod world;
