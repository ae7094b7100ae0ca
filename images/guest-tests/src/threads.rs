//! Threads that wait with a timeout.

use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

/// How long both threads wait, counted from one moment; below 10 ms, sleep keeps the processor.
const WAIT: Duration = Duration::from_millis(12);
/// The woken one waits so much longer in round n, times n: the timer takes both at once in some.
const STEP: Duration = Duration::from_micros(1);
const ROUNDS: u32 = 200;

/// One thread wakes another in the moment in which the other's timeout passes. The machine
/// survives, and what woke the thread is there.
pub fn woken_twice() -> Result<(), String> {
    let (word, words) = mpsc::channel();
    let (meeting, meetings) = mpsc::channel::<Instant>();
    let waiting = thread::spawn(move || {
        let mut heard = 0;
        while let Ok(until) = meetings.recv() {
            let mut until = until + STEP * heard;
            loop {
                match words.recv_timeout(until.saturating_duration_since(Instant::now())) {
                    Ok(()) => break,
                    Err(RecvTimeoutError::Timeout) => until = Instant::now() + WAIT,
                    Err(RecvTimeoutError::Disconnected) => return heard,
                }
            }
            heard += 1;
        }
        heard
    });
    for _ in 0..ROUNDS {
        let until = Instant::now() + WAIT;
        meeting.send(until).map_err(|error| error.to_string())?;
        thread::sleep(until.saturating_duration_since(Instant::now()));
        word.send(()).map_err(|error| error.to_string())?;
    }
    drop((meeting, word));
    match waiting.join() {
        Ok(ROUNDS) => Ok(()),
        Ok(heard) => Err(format!("{heard} of {ROUNDS} words were heard")),
        Err(_) => Err("the waiting thread panicked".into()),
    }
}
