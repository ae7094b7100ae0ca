//! Accounts, leases, prices.

use std::path::PathBuf;

use attestation::ids::{IdentityKey, ZappId};
use clap::{Subcommand, ValueEnum};

use super::{Input, Sending};
use crate::qsr::Qsr;

/// Who pays for a request.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
pub(crate) enum Payer {
    /// The zApp's escrow; for requests to the system zApp, the caller.
    #[default]
    Zapp,
    /// The caller's account.
    Caller,
    /// Nobody: the caller's machine works until the request's id shows it.
    Work,
}

#[derive(Subcommand)]
pub(crate) enum AccountVerb {
    /// Balance, nonces and address of a key.
    Show {
        /// Public key, 64 hexadecimal digits.
        #[arg(required_unless_present = "key", value_name = "HEX")]
        account: Option<IdentityKey>,
        /// Key file, instead of the public key.
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
    },
    /// Send QSR to another account of the committee.
    Transfer {
        /// Public key of the receiver, 64 hexadecimal digits.
        to: IdentityKey,
        /// How much, in QSR: 1.5 or 0.00000001.
        amount: Qsr,
        #[command(flatten)]
        sending: Sending,
    },
    /// Move what a member has earned into the account that its card names; anyone may ask for it.
    Claim {
        /// The member's slot.
        slot: u16,
        #[command(flatten)]
        sending: Sending,
    },
    /// Take back every request of this key that waits at the node: none of them can run once this
    /// is attested. One that is being signed already may come first.
    Cancel {
        #[command(flatten)]
        sending: Sending,
    },
}

#[derive(Subcommand)]
pub(crate) enum LeaseVerb {
    /// What a zApp's escrow holds, and what it may be spent on.
    Show {
        /// The zApp's id.
        zapp: ZappId,
    },
    /// Put QSR of the caller's account into a zApp's escrow.
    Fund {
        /// The zApp's id.
        zapp: ZappId,
        /// How much, in QSR.
        amount: Qsr,
        #[command(flatten)]
        sending: Sending,
    },
    /// Take QSR out of the escrow; owner only.
    Withdraw {
        /// The zApp's id.
        zapp: ZappId,
        /// How much, in QSR.
        amount: Qsr,
        #[command(flatten)]
        sending: Sending,
    },
    /// Bound what requests may spend of the escrow; owner only.
    Set {
        /// The zApp's id.
        zapp: ZappId,
        /// What they must leave in it, in QSR.
        #[arg(long, default_value = "0")]
        reserve: Qsr,
        /// Most gas of a request that it pays for; 0 for 50,000,000, which holds until this is set.
        #[arg(long, default_value_t = 0)]
        call_gas_max: u64,
        #[command(flatten)]
        sending: Sending,
    },
    /// What a call would cost now: the node runs it and drops what it writes.
    Quote {
        /// The zApp's id.
        zapp: ZappId,
        /// The method.
        method: String,
        #[command(flatten)]
        input: Input,
        /// Who would call, 64 hexadecimal digits.
        #[arg(long, value_name = "HEX")]
        caller: Option<IdentityKey>,
    },
    /// All money of the committee, by where it is, and what each member has earned.
    Funds,
}

#[derive(Subcommand)]
pub(crate) enum OwnerVerb {
    /// Replace a zApp's module by another and run its `migrate`; if that fails, old module and
    /// state stay.
    Upgrade {
        /// The zApp's id.
        zapp: ZappId,
        /// The new WebAssembly module.
        module: PathBuf,
        #[command(flatten)]
        input: Input,
        #[command(flatten)]
        sending: Sending,
    },
    /// Fix a zApp's module for ever: no upgrade after this.
    Freeze {
        /// The zApp's id.
        zapp: ZappId,
        #[command(flatten)]
        sending: Sending,
    },
    /// End a zApp: it takes no more calls, and its escrow returns to the owner.
    Abort {
        /// The zApp's id.
        zapp: ZappId,
        #[command(flatten)]
        sending: Sending,
    },
}

/// Prices and first balances of a new committee.
#[derive(clap::Args)]
pub(crate) struct Economy {
    /// Price of a million gas, in QSR.
    #[arg(long, default_value = "0", value_name = "QSR")]
    pub(crate) gas_price: Qsr,
    /// Price of a request besides its gas, in QSR.
    #[arg(long, default_value = "0", value_name = "QSR")]
    pub(crate) request_fee: Qsr,
    /// Deposit for each byte that a zApp stores, in QSR; returned when it is deleted.
    #[arg(long, default_value = "0", value_name = "QSR")]
    pub(crate) byte_deposit: Qsr,
    /// Zero bits that the id of a request must begin with to pay by work; 0: work pays nothing.
    #[arg(long, default_value_t = 0, value_name = "BITS")]
    pub(crate) work_bits: u8,
    /// Most gas of a request that work pays for.
    #[arg(long, default_value_t = 10_000_000, value_name = "GAS")]
    pub(crate) work_gas: u64,
    /// A balance that an account begins with; may be repeated.
    #[arg(long, value_name = "HEX=QSR", value_parser = grant)]
    pub(crate) grant: Vec<(IdentityKey, Qsr)>,
}

fn grant(text: &str) -> Result<(IdentityKey, Qsr), String> {
    let (account, amount) = text.split_once('=').ok_or("not KEY=QSR")?;
    let account = account
        .parse()
        .map_err(|_| "the key is not 64 hexadecimal digits".to_owned())?;
    Ok((account, amount.parse()?))
}
