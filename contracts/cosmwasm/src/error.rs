//! Why a call is refused. The chain shows the text: the rule's name in the rulebook, then what was
//! wrong.

use core::fmt;

use acceptor::{ledger, messages, outputs, trust};
use attestation::codec::Malformed;

/// Why nothing happens.
#[derive(Debug)]
pub enum Error {
    /// A message that is not one.
    Json(serde_json::Error),
    /// Not a commit.
    Commit(Malformed),
    /// This kind of contract does not do that.
    OtherKind,
    /// A text that is no address of this chain.
    Address,
    /// Money was sent along, which nobody could take out again.
    Funds,
    /// A ledger's refusal.
    Ledger(ledger::Refused),
    /// An acceptor of outputs' refusal.
    Outputs(outputs::Refused),
    /// An acceptor of messages' refusal.
    Messages(messages::Refused),
    /// A refusal about the key or the guardian.
    Trust(trust::Refused),
}

impl Error {
    /// The rule's name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Json(_) => "json",
            Self::Commit(_) => "commit",
            Self::OtherKind => "other-kind",
            Self::Address => "address",
            Self::Funds => "funds",
            Self::Ledger(refused) => refused.name(),
            Self::Outputs(refused) => refused.name(),
            Self::Messages(refused) => refused.name(),
            Self::Trust(refused) => refused.name(),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.name())?;
        match self {
            Self::Json(error) => error.fmt(f),
            Self::Commit(error) => error.fmt(f),
            Self::OtherKind => f.write_str("this contract was not instantiated for that"),
            Self::Address => f.write_str("not an address of this chain"),
            Self::Funds => f.write_str("this contract takes no money"),
            Self::Ledger(refused) => refused.fmt(f),
            Self::Outputs(refused) => refused.fmt(f),
            Self::Messages(refused) => refused.fmt(f),
            Self::Trust(refused) => refused.fmt(f),
        }
    }
}

impl From<serde_json::Error> for Error {
    fn from(error: serde_json::Error) -> Self {
        Self::Json(error)
    }
}

impl From<ledger::Refused> for Error {
    fn from(refused: ledger::Refused) -> Self {
        Self::Ledger(refused)
    }
}

impl From<outputs::Refused> for Error {
    fn from(refused: outputs::Refused) -> Self {
        Self::Outputs(refused)
    }
}

impl From<messages::Refused> for Error {
    fn from(refused: messages::Refused) -> Self {
        Self::Messages(refused)
    }
}

impl From<trust::Refused> for Error {
    fn from(refused: trust::Refused) -> Self {
        Self::Trust(refused)
    }
}
