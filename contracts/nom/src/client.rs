//! A node's JSON-RPC over HTTP, for one chain.
//!
//! What a node says is checked before it is believed: blocks and momentums are hashed again, their
//! signatures verified, their links followed, and compared with what was asked for. A node that
//! lies can still withhold, and can show momentums of a producer that nobody elected: whom to
//! believe about elections is for its operator, who runs the node.
//!
//! Calls block, each for a bounded time ([`Limits`]); a body longer than its bound is not read.

mod confirm;
mod error;
mod follow;
mod ledger;
mod transport;

pub use confirm::{Confirmed, Patience, Standing};
pub use error::{ClientError, Fault, Lie};
pub use follow::{Fork, Tail};
pub use ledger::{Account, Held, Plasma, Requirement, Sends, Sentinel, Sync};

use core::time::Duration;
use std::string::String;

use transport::Transport;

/// Most momentums, or blocks of an account, that one call asks for.
pub const LIST_MAX: u64 = 100;
/// Most unreceived blocks of a page, and most pages, that a node gives (`rpc/api/ledger.go`).
pub const UNRECEIVED_PAGE_MAX: u32 = 50;
/// Most pages of unreceived blocks.
pub const UNRECEIVED_PAGES_MAX: u32 = 10;

/// How long and how much a node may answer.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Until it accepts a connection.
    pub connect: Duration,
    /// From the call to the last byte of the answer.
    pub answer: Duration,
    /// Longest body.
    pub body_bytes_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            answer: Duration::from_secs(20),
            // 100 momentums with 100 headers each are 2 MB, 50 sends with full data 3 MB with
            // what the node adds around them.
            body_bytes_max: 8 << 20,
        }
    }
}

/// A node of one chain.
#[derive(Debug)]
pub struct Client {
    transport: Transport,
    chain_identifier: u64,
}

impl Client {
    /// A client of the node at `url` (`http://host:port`), which must be of the chain
    /// `chain_identifier`. Nothing is sent yet.
    ///
    /// # Errors
    /// [`ClientError::Address`] if the address is not one.
    pub fn new(url: &str, chain_identifier: u64, limits: Limits) -> Result<Self, ClientError> {
        Ok(Self {
            transport: Transport::new(url, limits)?,
            chain_identifier,
        })
    }

    /// The chain.
    #[must_use]
    pub const fn chain_identifier(&self) -> u64 {
        self.chain_identifier
    }

    /// The node's address.
    #[must_use]
    pub fn url(&self) -> &str {
        self.transport.url()
    }
}

/// Text of a node, cut and without control characters, so that it neither floods nor deceives a
/// terminal.
fn harmless(text: &str) -> String {
    const CHARS_MAX: usize = 300;
    let shown = |c: char| if c.is_control() { ' ' } else { c };
    text.chars().take(CHARS_MAX).map(shown).collect()
}
