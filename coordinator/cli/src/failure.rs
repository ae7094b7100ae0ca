//! Why a command fails, and the exit code that says so.

use std::process::ExitCode;

use serde_json::{Value, json};

/// A failure, by what the user can do about it.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Something else: exit 1.
    Failed {
        /// What happened.
        error: String,
        /// What to do.
        advice: String,
    },
    /// The command line cannot be meant: exit 2.
    Usage(String),
    /// An attestation, or evidence, is invalid: exit 3.
    Invalid {
        /// The check that failed.
        check: &'static str,
        /// What is wrong.
        error: String,
    },
    /// What a gateway shows is not the committee's, or not its newest: exit 3.
    Refused {
        /// The rule that is broken.
        check: &'static str,
        /// What happened.
        error: String,
        /// What to do.
        advice: &'static str,
    },
    /// The committee did not attest in time: exit 4.
    NoQuorum(String),
    /// Nobody answered: exit 5.
    Unreachable {
        /// Address.
        node: String,
        /// What happened.
        error: String,
    },
}

impl Failure {
    pub(crate) fn new(error: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::Failed {
            error: error.into(),
            advice: advice.into(),
        }
    }

    /// A file that cannot be read or written.
    pub(crate) fn file(path: &std::path::Path, error: &std::io::Error) -> Self {
        Self::new(
            format!("{}: {error}", path.display()),
            "check the path and its permissions",
        )
    }

    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Failed { .. } => 1,
            Self::Usage(_) => 2,
            Self::Invalid { .. } | Self::Refused { .. } => 3,
            Self::NoQuorum(_) => 4,
            Self::Unreachable { .. } => 5,
        })
    }

    pub(crate) fn to_json(&self) -> Value {
        match self {
            Self::Failed { error, advice } => json!({ "error": error, "what_to_do": advice }),
            Self::Usage(error) => json!({ "error": error, "what_to_do": "see zq --help" }),
            Self::Invalid { check, error } => {
                json!({ "valid": false, "check": check, "error": error })
            }
            Self::Refused {
                check,
                error,
                advice,
            } => json!({ "check": check, "error": error, "what_to_do": advice }),
            Self::NoQuorum(error) => json!({
                "error": error,
                "what_to_do": "look at `zq status`: fewer members are up than the threshold, or \
                               the committee is busy; the request stays queued until it expires",
            }),
            Self::Unreachable { node, error } => json!({
                "error": format!("{node}: {error}"),
                "what_to_do": "check that the node runs, and --node or ZQ_NODE",
            }),
        }
    }
}
