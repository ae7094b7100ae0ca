//! What can be said of a committee on this machine.

use std::path::PathBuf;
use std::str::FromStr;

/// A committee of processes.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    zq devnet                                  five members until Ctrl-C\n  \
    zq devnet --byzantine 2=flip,3=copycat     two that lie: see `zq report list`\n  \
    zq devnet --wasmi 5                        one that runs the interpreter\n  \
    zq devnet --once --byzantine 2=flip        three calls, what came of them, and the end\n\n\
    Faults: flip changes the output of every run; copycat votes as the others do and cannot show\n\
    that it ran the step, so it is credited with none (`members` of /v1/funds); bad-share and\n\
    no-share sign wrongly or not at all. More members that lie than n - t, and nothing is attested.\n\n\
    The programs of a committee are taken from beside zq: `cargo build --workspace --bins`.")]
pub(crate) struct DevnetArguments {
    /// Members n.
    #[arg(long, default_value_t = 5)]
    pub(crate) members: u16,
    /// Threshold t; by default two thirds and one.
    #[arg(long)]
    pub(crate) threshold: Option<u16>,
    /// Members that lie, and how.
    #[arg(long, value_name = "SLOT=FAULT", value_delimiter = ',')]
    pub(crate) byzantine: Vec<Byzantine>,
    /// Members that run the interpreter in place of machine code.
    #[arg(long, value_name = "SLOT", value_delimiter = ',')]
    pub(crate) wasmi: Vec<u16>,
    /// Members also sign every step for EVM chains (`zq relay evm`).
    #[arg(long)]
    pub(crate) evm: bool,
    /// Keep the members' data in this new or empty directory; it is removed at the end otherwise.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,
    /// Deploy a counter, call it three times, print what was attested and reported, and end.
    #[arg(long)]
    pub(crate) once: bool,
}

/// A member that lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Byzantine {
    pub(crate) slot: u16,
    pub(crate) fault: Fault,
}

/// How.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Flip,
    Copycat,
    BadShare,
    NoShare,
}

impl Fault {
    /// The guest that is replaced, and what its stand-in is told.
    pub(crate) const fn guest(self) -> (&'static str, &'static str) {
        match self {
            Self::Flip => ("executor", "lie"),
            Self::Copycat => ("signer", "copycat"),
            Self::BadShare => ("signer", "bad-share"),
            Self::NoShare => ("signer", "no-share"),
        }
    }

    /// Whether others see it at every step and report it.
    pub(crate) const fn is_reported(self) -> bool {
        match self {
            Self::Flip | Self::BadShare => true,
            // What is not credited is no offence, and who signs among enough is chance.
            Self::Copycat | Self::NoShare => false,
        }
    }
}

impl FromStr for Byzantine {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts = text.split_once('=');
        let (slot, fault) = parts.ok_or("SLOT=FAULT, such as 2=flip")?;
        let slot = slot.parse().map_err(|_| format!("{slot}: no slot"))?;
        let fault = match fault {
            "flip" => Fault::Flip,
            "copycat" => Fault::Copycat,
            "bad-share" => Fault::BadShare,
            "no-share" => Fault::NoShare,
            _ => {
                return Err(format!(
                    "{fault}: faults are flip copycat bad-share no-share"
                ));
            }
        };
        Ok(Self { slot, fault })
    }
}
