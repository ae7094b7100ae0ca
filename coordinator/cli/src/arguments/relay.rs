//! What can be said of relaying.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Subcommand;

#[derive(Subcommand)]
pub(crate) enum RelayVerb {
    /// Take what the committee attested to contracts on an EVM chain, and go on as steps come.
    ///
    /// Anybody may relay: the contract checks everything, and the relay's account pays the gas. What
    /// the contract has consumed is skipped, so that a relay can be stopped, doubled and started
    /// again at any time. Every proof is checked here before gas is paid for it.
    Evm(EvmArguments),
}

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    zq key new relay.key\n  \
    zq relay evm --rpc http://127.0.0.1:8545 --chain 1 --messages 0x… --key relay.key\n  \
    zq relay evm --rpc http://127.0.0.1:8545 --chain 1 --ledger 0x… --key relay.key --once --json\n\n\
    Nodes are spoken to by http: run one beside the relay, or put a proxy that speaks TLS before it.\n\
    Exit codes: 1 something is refused, 3 a proof or the contract's trust is not what it should be,\n\
    5 gateway or chain do not answer.")]
pub(crate) struct EvmArguments {
    /// JSON-RPC of a node of the chain.
    #[arg(long, value_name = "URL")]
    pub(crate) rpc: String,
    /// The chain's id (EIP-155); the node must be of it.
    #[arg(long, value_name = "ID")]
    pub(crate) chain: u64,
    /// A MessageAcceptor: gets every message for it, and key changes.
    #[arg(long, value_name = "ADDRESS", required_unless_present = "ledger")]
    pub(crate) messages: Option<Address>,
    /// A LedgerAcceptor: gets every step.
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) ledger: Option<Address>,
    /// File with the key of the account that pays: 64 hexadecimal digits, as `zq key new` makes it,
    /// for nothing else.
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// Most that is paid per gas, in Gwei.
    #[arg(long, value_name = "GWEI", default_value_t = 100)]
    pub(crate) fee_max: u32,
    /// First step to look for messages in.
    #[arg(long, value_name = "SEQ", default_value_t = 1)]
    pub(crate) from: u64,
    /// Seconds between looks at the committee's head.
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) every: u64,
    /// Bring what is at hand and end.
    #[arg(long)]
    pub(crate) once: bool,
}

/// A contract's address: 0x and 40 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Address(pub(crate) [u8; 20]);

impl FromStr for Address {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 20];
        let digits = text.strip_prefix("0x").unwrap_or_default();
        hex::decode_to_slice(digits, &mut bytes)
            .map_err(|_| "0x and 40 hexadecimal digits expected")?;
        Ok(Self(bytes))
    }
}
