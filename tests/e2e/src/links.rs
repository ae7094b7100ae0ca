//! Links between nodes that can be cut.
//!
//! A node dials every other and sends over what it dialled, and only reads what it accepted. So a
//! relay for each ordered pair carries all that one member says to another, and nothing else: a
//! link that is cut is a direction that is cut.

use std::collections::BTreeMap;
use std::io;
use std::time::Duration;

use anyhow::{Context as _, Result};
use launch::Committee;
use launch::ports::{self, Port};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::task::JoinSet;

/// What a link does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// It carries everything.
    Whole,
    /// It carries nothing and tells nobody; what was sent meanwhile arrives once it is whole.
    Silent,
    /// Its connections end, and new ones are refused.
    Closed,
}

/// A relay for each ordered pair of members.
pub struct Relays {
    links: BTreeMap<(u16, u16), watch::Sender<Link>>,
    _ports: Vec<Port>,
    // Dropping it ends the relays.
    _runtime: Runtime,
}

impl Relays {
    /// Puts relays between the members of a committee that was not started yet.
    ///
    /// # Errors
    /// If there are no ports for them.
    pub fn between(committee: &mut Committee) -> Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()?;
        let members = committee.members().iter();
        let members: Vec<_> = members.map(|one| (one.slot, one.peers.clone())).collect();
        let (mut links, mut ports) = (BTreeMap::new(), Vec::new());
        for (from, _) in &members {
            for (to, target) in members.iter().filter(|(to, _)| to != from) {
                let port = ports::free()?;
                committee.dial_at(*from, *to, port.address());
                let (link, state) = watch::channel(Link::Whole);
                runtime.spawn(relay(port.address(), target.clone(), state));
                links.insert((*from, *to), link);
                ports.push(port);
            }
        }
        Ok(Self {
            links,
            _ports: ports,
            _runtime: runtime,
        })
    }

    /// Makes the link on which one member speaks to another do as said.
    ///
    /// # Errors
    /// If there is none.
    pub fn set(&self, from: u16, to: u16, link: Link) -> Result<()> {
        let state = self.links.get(&(from, to)).context("a link")?;
        state.send_replace(link);
        Ok(())
    }
}

/// Relays connections for as long as the link's state is known.
async fn relay(address: String, target: String, mut link: watch::Receiver<Link>) {
    while link.wait_for(|link| *link != Link::Closed).await.is_ok() {
        let Ok(listener) = TcpListener::bind(&address).await else {
            // What was closed a moment ago may not be gone yet.
            tokio::time::sleep(AGAIN).await;
            continue;
        };
        let closed = link.clone();
        tokio::select! {
            () = accept(&listener, &target, closed) => {}
            // Ends all connections, and the port's with them.
            _ = link.wait_for(|link| *link == Link::Closed) => {}
        }
    }
}

async fn accept(listener: &TcpListener, target: &str, link: watch::Receiver<Link>) {
    let mut connections = JoinSet::new();
    while let Ok((dialler, _)) = listener.accept().await {
        connections.spawn(carry(dialler, target.to_owned(), link.clone()));
        while connections.try_join_next().is_some() {}
    }
}

/// Carries what the dialler says to the target; the end of either is the end of both.
async fn carry(
    mut dialler: TcpStream,
    target: String,
    mut link: watch::Receiver<Link>,
) -> io::Result<()> {
    whole(&mut link).await?;
    let mut target = TcpStream::connect(target).await?;
    target.set_nodelay(true)?;
    let (mut bytes, mut nothing) = (vec![0; BYTES], [0]);
    loop {
        let read = tokio::select! {
            read = dialler.read(&mut bytes) => read?,
            read = target.read(&mut nothing) => read.map(|_| 0)?,
        };
        // Also that somebody has hung up is told over a link that is whole.
        whole(&mut link).await?;
        let bytes = bytes.get(..read).unwrap_or_default();
        if bytes.is_empty() {
            return Ok(());
        }
        target.write_all(bytes).await?;
        whole(&mut link).await?;
    }
}

async fn whole(link: &mut watch::Receiver<Link>) -> io::Result<()> {
    let whole = link.wait_for(|link| *link == Link::Whole).await;
    whole.map(drop).map_err(io::Error::other)
}

/// Most that a relay holds of each connection.
const BYTES: usize = 64 * 1024;
/// Pause before a port is tried again.
const AGAIN: Duration = Duration::from_millis(20);
