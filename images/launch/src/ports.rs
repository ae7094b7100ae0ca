//! Loopback ports for nodes that are about to start.

use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixListener};

use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Context as _, Result, bail};

/// Below the ports that Linux gives to outgoing connections (32768 and up by default): between our
/// look and a node's start none of those can take one.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;
/// Ports that are looked at for each that is wanted.
const TRIES: usize = 64;

/// A port that no other committee on this machine is given while this lives, also while its node
/// is down.
#[derive(Debug)]
pub struct Port {
    number: u16,
    // A name in the abstract namespace is bound once in each network namespace, like the port,
    // and is free again when this process ends in whatever way.
    _claim: UnixListener,
}

impl Port {
    /// The port's address on loopback.
    #[must_use]
    pub fn address(&self) -> String {
        self.address_on(Ipv4Addr::LOCALHOST)
    }

    /// The same port of another address, for a host that has no other user of it.
    #[must_use]
    pub fn address_on(&self, host: Ipv4Addr) -> String {
        format!("{host}:{}", self.number)
    }

    fn claim(number: u16) -> Option<Self> {
        let name = format!("zquorum/loopback/{number}");
        let name = SocketAddr::from_abstract_name(name).ok()?;
        let claim = UnixListener::bind_addr(&name).ok()?;
        // Nobody listens on it, either.
        TcpListener::bind(("127.0.0.1", number)).ok()?;
        Some(Self {
            number,
            _claim: claim,
        })
    }
}

/// A port on which nobody listens and that no other committee was given, chosen at random.
///
/// # Errors
/// If there is none, or no randomness to choose with.
pub fn free() -> Result<Port> {
    for _ in 0..TRIES {
        let mut random = [0; 2];
        getrandom::getrandom(&mut random).context("no randomness from the system")?;
        let number = FIRST + u16::from_ne_bytes(random) % COUNT;
        if let Some(port) = Port::claim(number) {
            return Ok(port);
        }
    }
    bail!(
        "no free loopback port from {FIRST} to {}",
        FIRST + COUNT - 1
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_given_once_and_again_when_it_is_dropped() {
        let port = free().expect("a quiet machine");
        let number = port.number;
        assert!(Port::claim(number).is_none(), "given twice");
        TcpListener::bind(port.address()).expect("its node can listen");
        drop(port);
        let again = Port::claim(number).expect("free again");
        let _listening = TcpListener::bind(again.address()).expect("free");
        drop(again);
        assert!(Port::claim(number).is_none(), "somebody listens");
    }
}
