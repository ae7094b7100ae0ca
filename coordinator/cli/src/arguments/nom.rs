//! `zq nom`.

use std::path::PathBuf;

use attestation::ids::ZappId;
use clap::{Args, Subcommand};
use nom::{Amount, TokenStandard};

use super::Sending;

#[derive(Subcommand)]
pub(crate) enum NomVerb {
    /// Hash of an account block in znnd's JSON form, recomputed and compared.
    BlockHash {
        /// The JSON file.
        file: PathBuf,
    },
    /// The z1… address of an Ed25519 key.
    Address {
        /// 64 hexadecimal digits.
        key: String,
    },
    /// The committee's account: height, what waits, and the step that was anchored last.
    #[command(subcommand)]
    Anchor(AnchorVerb),
    /// Send from your account to a zApp of the committee, and follow the deposit into a step.
    ///
    /// The block names the zApp in its data; the committee's nodes see it once it is deep enough,
    /// and bring it into a step by themselves. A deposit that the zApp does not take is sent back.
    Deposit(DepositArguments),
    /// Payouts: what waits for its block, or the way of one from its attested leaf into a momentum.
    Payout {
        /// The step that issued the block (`issued` of what waits, or `zq step show`).
        seq: Option<u64>,
        #[command(flatten)]
        rpc: Rpc,
        /// Trust this committee file instead of what the node says of itself.
        #[arg(long, value_name = "FILE")]
        committee: Option<PathBuf>,
    },
}

#[derive(Subcommand)]
pub(crate) enum AnchorVerb {
    /// Where the account stands.
    Show,
    /// Order an anchor of the newest step now, before it is due; one waits at a time.
    Order {
        #[command(flatten)]
        sending: Sending,
    },
    /// Check the anchors that the chain holds, and one of them against an attestation of its step.
    ///
    /// No node of the committee is asked. Every block of the account is hashed again and its
    /// signature checked. Ends with 3 if the chain contradicts the attestation or is not what it
    /// claims, with 1 if no anchor names the step or it is not deep enough yet.
    Verify(AnchorVerifyArguments),
}

/// What is to be checked of the anchors.
#[derive(Args)]
pub(crate) struct AnchorVerifyArguments {
    /// An attestation of a step that is anchored (`zq attestation get`); without one the newest
    /// anchor is shown.
    pub(crate) attestation: Option<PathBuf>,
    /// committee.json of the committee that you trust: the account is that of its group key.
    #[arg(long, value_name = "FILE")]
    pub(crate) committee: PathBuf,
    /// RPC of an NoM node that you trust, http://host:port.
    #[arg(long, value_name = "URL")]
    pub(crate) nom_rpc: String,
    /// Momentums that must hold and follow the anchor, from 1 to 100.
    #[arg(long, default_value_t = 6, value_name = "MOMENTUMS", value_parser = clap::value_parser!(u64).range(1..=100))]
    pub(crate) confirmations: u64,
}

/// A node of the Network of Momentum.
#[derive(Args)]
pub(crate) struct Rpc {
    /// RPC of an NoM node that you trust, http://host:port.
    #[arg(long, value_name = "URL")]
    pub(crate) nom_rpc: Option<String>,
}

/// A deposit.
#[derive(Args)]
pub(crate) struct DepositArguments {
    /// The zApp that is to have it.
    pub(crate) zapp: ZappId,
    /// How much, in the token's smallest units.
    #[arg(long, value_parser = amount)]
    pub(crate) amount: Amount,
    /// The token: zts1…, or ZNN or QSR.
    #[arg(long, default_value = "ZNN", value_parser = token)]
    pub(crate) token: TokenStandard,
    /// Key file of the account that sends (`zq key new`).
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// What the zApp is told, hexadecimal, at most 16,352 bytes.
    #[arg(long, default_value = "", value_name = "HEX")]
    pub(crate) data: String,
    /// RPC of an NoM node, http://host:port.
    #[arg(long, value_name = "URL")]
    pub(crate) nom_rpc: String,
    /// committee.json of the committee that you trust: the money goes to the account of its group
    /// key, whatever the node says.
    #[arg(long, value_name = "FILE")]
    pub(crate) committee: PathBuf,
    /// Seconds to wait until a momentum has the block; 0 not to wait.
    #[arg(long, default_value_t = 60, value_name = "SECONDS")]
    pub(crate) wait: u64,
}

fn amount(text: &str) -> Result<Amount, String> {
    let amount = Amount::from_decimal(text).filter(|amount| amount.fits_block());
    amount
        .filter(|amount| !amount.is_zero())
        .ok_or_else(|| "a number of smallest units, more than 0 and less than 2^255".to_owned())
}

fn token(text: &str) -> Result<TokenStandard, String> {
    let text = match text {
        "ZNN" => ZNN,
        "QSR" => QSR,
        other => other,
    };
    text.parse()
        .map_err(|error: nom::TextError| error.to_string())
}

const ZNN: &str = "zts1znnxxxxxxxxxxxxx9z4ulx";
const QSR: &str = "zts1qsrxxxxxxxxxxxxxmrhjll";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_and_tokens_are_what_a_block_can_carry() {
        assert_eq!(amount("700"), Ok(Amount::from(700)));
        let most = format!("{}", u128::MAX);
        assert_eq!(amount(&most), Ok(Amount::from(u128::MAX)));
        let too_much = format!("1{}", "0".repeat(78));
        for refused in ["", "0", "-1", "1.5", "x", too_much.as_str()] {
            assert!(amount(refused).is_err(), "{refused}");
        }
        assert_eq!(token("ZNN"), token(ZNN));
        assert_ne!(token("ZNN"), token("QSR"));
        assert!(token("zts1").is_err() && token("znn").is_err());
    }
}
