//! What it costs that zApps run in another process: the same call there and here.
//! `cargo bench --package node`.

#![allow(
    clippy::unwrap_used,
    reason = "a measurement stops where it is not as it should be"
)]

#[path = "../tests/engine/zapp.rs"]
mod zapp;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use node::engine::Engines;
use runtime::Executor;
use runtime::apart::Remote;
use runtime::engine::THREAD_STACK_BYTES;
use state::execute::Execute;
use state::journal::Journal;

const CALLS: u32 = 20_000;

fn main() {
    let measuring = std::thread::Builder::new()
        .stack_size(THREAD_STACK_BYTES)
        .spawn(|| {
            let program = PathBuf::from(env!("CARGO_BIN_EXE_zq-node"));
            let mut local = Executor::new(zapp::zapp().0).unwrap();
            let engines = Arc::new(Engines::of(program));
            let mut remote = Remote::new(engines, zapp::zapp().0);
            println!("counter call, one read and one write");
            println!("in this process     {:6.1} us", measure(&mut local));
            println!("in another process  {:6.1} us", measure(&mut remote));
        });
    measuring.unwrap().join().unwrap();
}

fn measure(engine: &mut impl Execute) -> f64 {
    let (_, call) = zapp::zapp();
    let state = zapp::state(call.zapp);
    let mut journal = Journal::new(&state);
    let mut run = |calls: u32| {
        let began = Instant::now();
        for _ in 0..calls {
            journal.begin();
            journal.open(&call.zapp);
            engine.execute(&call, &mut journal).unwrap();
        }
        began.elapsed()
    };
    run(100);
    run(CALLS).as_secs_f64() * 1e6 / f64::from(CALLS)
}
