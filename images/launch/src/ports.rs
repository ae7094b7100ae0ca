//! Loopback ports for nodes that are about to start.

use std::collections::BTreeSet;
use std::net::TcpListener;

use anyhow::{Context as _, Result, bail};

/// Below the ports that Linux gives to outgoing connections (32768 and up by default): between our
/// look and a node's start none of those can take one.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;
/// Ports that are looked at for each that is wanted.
const TRIES: usize = 64;

/// Distinct ports on which nobody listens, chosen at random so that committees that start at the
/// same time differ.
pub(crate) fn free(count: usize) -> Result<Vec<u16>> {
    let mut free = BTreeSet::new();
    for _ in 0..count.saturating_mul(TRIES) {
        if free.len() == count {
            return Ok(free.into_iter().collect());
        }
        let mut random = [0; 2];
        getrandom::getrandom(&mut random).context("no randomness from the system")?;
        let port = FIRST + u16::from_ne_bytes(random) % COUNT;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            free.insert(port);
        }
    }
    bail!("no {count} free loopback ports from {FIRST} on")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_distinct_and_nobody_s() {
        let ports = free(32).expect("a quiet machine");
        let distinct: BTreeSet<u16> = ports.iter().copied().collect();
        assert_eq!(distinct.len(), 32);
        let held: Vec<TcpListener> = ports
            .iter()
            .map(|port| TcpListener::bind(("127.0.0.1", *port)).expect("free"))
            .collect();
        let others = free(32).expect("a quiet machine");
        assert!(others.iter().all(|port| !distinct.contains(port)));
        drop(held);
    }
}
