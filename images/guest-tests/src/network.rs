//! What a guest needs of TCP.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::hermit::io::AsRawFd as _;
use std::time::{Duration, Instant};

use crate::system_calls::poll_readable;

/// One more than there are ephemeral ports.
const PORTS: u32 = 16_385;

fn connect(peer: &str) -> Result<TcpStream, String> {
    TcpStream::connect(peer).map_err(|error| format!("connect: {error}"))
}

/// A wait with a limit ends, and not before its time.
pub fn poll_timeout(peer: &str) -> Result<(), String> {
    let stream = connect(peer)?;
    let begun = Instant::now();
    let ready = poll_readable(stream.as_raw_fd(), 300);
    within("poll", begun, 300..3_000)?;
    if ready > 0 {
        return Err(format!("{ready} sockets are ready, but the peer is silent"));
    }
    Ok(())
}

/// An answer that comes late wakes the guest.
pub fn late_answer(peer: &str) -> Result<(), String> {
    let mut stream = connect(peer)?;
    let mut answer = [0];
    stream
        .write_all(&[1])
        .and_then(|()| stream.read_exact(&mut answer))
        .map_err(|error| format!("exchange: {error}"))
}

/// Closing ends although the peer keeps its side open.
pub fn close_limit(peer: &str) -> Result<(), String> {
    let stream = connect(peer)?;
    let begun = Instant::now();
    drop(stream);
    within("close", begun, 0..5_000)
}

/// Connecting ends, with a reason.
pub fn connect_timeout(silent: &str, refusing: &str) -> Result<(), String> {
    let refused = TcpStream::connect(refusing).map(drop);
    expect(
        "a port that is closed",
        refused,
        ErrorKind::ConnectionRefused,
    )?;
    let begun = Instant::now();
    let unanswered = TcpStream::connect(silent).map(drop);
    expect("an address that is silent", unanswered, ErrorKind::TimedOut)?;
    within("connect", begun, 4_000..9_000)
}

/// After as many connections as there are ports the next one still gets one.
pub fn ephemeral_ports(refusing: &str) -> Result<(), String> {
    for number in 0..PORTS {
        let refused = TcpStream::connect(refusing).map(drop);
        expect(
            "a port that is closed",
            refused,
            ErrorKind::ConnectionRefused,
        )
        .map_err(|why| format!("connection {number}: {why}"))?;
    }
    Ok(())
}

/// A fresh socket gathers small writes, and stops when told.
pub fn nodelay(peer: &str) -> Result<(), String> {
    let stream = connect(peer)?;
    let read = |stream: &TcpStream| stream.nodelay().map_err(|error| error.to_string());
    if read(&stream)? {
        return Err("a fresh socket says that it does not gather".into());
    }
    stream
        .set_nodelay(true)
        .map_err(|error| error.to_string())?;
    if !read(&stream)? {
        return Err("told not to gather, it says that it does".into());
    }
    Ok(())
}

/// Connects and says a byte; the host compares the numbers of two boots.
pub fn sequence_numbers(peer: &str) -> Result<(), String> {
    let mut stream = connect(peer)?;
    stream.write_all(b"x").map_err(|error| error.to_string())?;
    let mut answer = [0];
    stream
        .read_exact(&mut answer)
        .map_err(|error| error.to_string())
}

/// Nobody connects to a guest.
pub fn no_listening() -> Result<(), String> {
    let listening = TcpListener::bind("0.0.0.0:7000").and_then(|listener| listener.accept());
    match listening {
        Ok(_) => Err("it listens".into()),
        Err(error) if error.raw_os_error() == Some(EINVAL) => Ok(()),
        Err(error) => Err(format!("another refusal: {error}")),
    }
}

fn expect(what: &str, result: std::io::Result<()>, kind: ErrorKind) -> Result<(), String> {
    match result {
        Ok(()) => Err(format!("{what} answered")),
        Err(error) if error.kind() == kind => Ok(()),
        Err(error) => Err(format!("{what}: {error} ({:?})", error.kind())),
    }
}

fn within(what: &str, begun: Instant, milliseconds: std::ops::Range<u64>) -> Result<(), String> {
    let elapsed = begun.elapsed();
    let range = Duration::from_millis(milliseconds.start)..Duration::from_millis(milliseconds.end);
    if range.contains(&elapsed) {
        return Ok(());
    }
    Err(format!("{what} took {elapsed:?}, expected {range:?}"))
}

const EINVAL: i32 = 22;
