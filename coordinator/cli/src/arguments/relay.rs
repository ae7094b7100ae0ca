//! What can be said of relaying.

use std::path::PathBuf;
use std::str::FromStr;

use attestation::ids::ZappId;
use clap::Subcommand;

#[derive(Subcommand)]
pub(crate) enum RelayVerb {
    /// Take what the committee attested to contracts on an EVM chain, and go on as steps come.
    ///
    /// Anybody may relay: the contract checks everything, and the relay's account pays the gas. What
    /// the contract has consumed is skipped, so that a relay can be stopped, doubled and started
    /// again at any time. Every proof is checked here before gas is paid for it.
    ///
    /// Without --zapp the relay pays for the messages of every zApp of the committee, and anybody can
    /// deploy one: --gas-max, --fee-max and --budget bound what strangers can have it spend. A message
    /// that cannot be brought holds its own channel alone; it is named, and tried again later.
    Evm(EvmArguments),
}

#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    zq key new relay.key\n  \
    zq relay evm --rpc http://127.0.0.1:8545 --chain 1 --messages 0x… --key relay.key \\\n      \
        --zapp ZAPP --budget 0.5ether\n  \
    zq relay evm --rpc http://127.0.0.1:8545 --chain 1 --ledger 0x… --key relay.key --once --json\n\n\
    Nodes are spoken to by http: run one beside the relay, or put a proxy that speaks TLS before it.\n\
    Exit codes: 1 something is refused or the budget used up, 3 a proof or the contract's trust is not\n\
    what it should be, 5 gateway or chain do not answer.")]
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
    /// Most gas of a transaction that brings a message; one that needs more is not brought.
    #[arg(long, value_name = "GAS", default_value_t = 2_000_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) gas_max: u64,
    /// Most that is paid for all transactions of this run together, as 0.5ether, 30gwei or 1000wei:
    /// the relay ends before one that could cost more. Without it the account's balance is the bound.
    #[arg(long, value_name = "AMOUNT")]
    pub(crate) budget: Option<Wei>,
    /// Brings messages of this zApp and of no other that is not named as well; may be repeated.
    /// Without it messages of all zApps are brought, also of those that strangers deploy to have this
    /// account pay.
    #[arg(long, value_name = "ZAPP")]
    pub(crate) zapp: Vec<ZappId>,
    /// Blocks that must be built on the one that took a message before the relay forgets the message:
    /// what a reorganisation of the chain undoes before that is brought again. The node must know the
    /// contract's state so many blocks ago.
    #[arg(long, value_name = "BLOCKS", default_value_t = 32, value_parser = clap::value_parser!(u64).range(0..=100))]
    pub(crate) confirmations: u64,
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

/// An amount of ether: a decimal number and its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Wei(pub(crate) u128);

impl FromStr for Wei {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const EXPECTED: &str = "a number and its unit expected, as 0.5ether, 30gwei or 1000wei";
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.');
        let (number, unit) = text.split_at(end.unwrap_or(text.len()));
        let decimals: usize = match unit.trim_start() {
            "ether" => 18,
            "gwei" => 9,
            "wei" => 0,
            _ => return Err(EXPECTED),
        };
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if number.ends_with('.') || fraction.len() > decimals {
            return Err(EXPECTED);
        }
        let digits = format!("{whole}{fraction:0<decimals$}");
        let is_number = !whole.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
        let wei = is_number.then(|| digits.parse().ok()).flatten();
        wei.map(Self).ok_or(EXPECTED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_of_ether_have_a_unit() {
        for (text, wei) in [
            ("0.5ether", Some(500_000_000_000_000_000)),
            ("2 ether", Some(2_000_000_000_000_000_000)),
            ("1.000000000000000001ether", Some(1_000_000_000_000_000_001)),
            ("30gwei", Some(30_000_000_000)),
            ("1000wei", Some(1000)),
            ("0wei", Some(0)),
            ("1", None),
            ("ether", None),
            (".5ether", None),
            ("1.ether", None),
            ("1.5wei", None),
            ("1.0.0ether", None),
            ("-1ether", None),
            ("1eth", None),
            ("1000000000000000000000000ether", None),
        ] {
            assert_eq!(text.parse().ok(), wei.map(Wei), "{text}");
        }
    }
}
