//! `zq-node sentinel`: the word of a Sentinel's owner for a member, on the member's card.
//!
//! The owner's key stays where it is. Here is what it signs, and where the signature goes: a wallet
//! that signs text, or `zq key vouch` with a key file, makes it.

pub mod active;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use attestation::address::Address;
use attestation::committee::Card;
use attestation::conditions::Sentinel;
use attestation::ids::{IdentityKey, NetworkId, Signature};
use clap::Args;
use serde_json::{Value, json};

use crate::consent::{check_owner, place, read};
use crate::files;

/// Arguments of `zq-node sentinel`.
#[derive(Args, Debug)]
pub struct Vouch {
    /// Data directory, made by `zq-node init`.
    #[arg(long, required_unless_present = "card")]
    dir: Option<PathBuf>,
    /// Card file in place of the directory's card.json: a new card (`zq-node card`).
    #[arg(long, value_name = "FILE")]
    card: Option<PathBuf>,
    /// Number of the network where the Sentinel is registered, the committee's.
    #[arg(long, value_name = "N")]
    network: u64,
    /// Public key of the account that registered the Sentinel, 64 hexadecimal digits, as the wallet
    /// tells it with the signature.
    #[arg(long, value_name = "HEX", requires = "signature")]
    owner: Option<IdentityKey>,
    /// That key's signature over the statement, 128 hexadecimal digits.
    #[arg(long, value_name = "HEX", requires = "owner")]
    signature: Option<Signature>,
    /// Print one JSON value.
    #[arg(long)]
    json: bool,
}

/// Prints what the owner of a Sentinel signs; with its signature, puts it on the card.
///
/// # Errors
/// If there is no card, the signature is not the owner's over the statement, or the card cannot
/// be written.
pub fn vouch(arguments: &Vouch) -> Result<()> {
    let path = arguments.path();
    let (mut cards, mut member) = load(&path)?;
    let network = NetworkId(arguments.network);
    let statement = Sentinel::statement(network, &member);
    if let (Some(owner), Some(proof)) = (arguments.owner, arguments.signature) {
        let sentinel = Sentinel { owner, proof };
        ensure!(
            sentinel.vouches_for(network, &member, attestation::identity::verify),
            "the signature is not that of {owner} over this statement, to the letter and without a \
             line break: {statement}"
        );
        member.sentinel = Some(sentinel);
        let slot = cards.get_mut("member").context("no member in it")?;
        *slot = serde_json::to_value(&member)?;
        write(&path, &cards)?;
    }
    let owner = member.sentinel.as_ref().map(|sentinel| sentinel.owner);
    let told = json!({
        "card": path,
        "identity": member.identity,
        "network": network,
        "statement": statement,
        "owner": owner,
        "address": owner.as_ref().map(Address::from),
    });
    match arguments.json {
        true => println!("{told}"),
        false => println!(
            "{}",
            text(&statement, owner.as_ref(), arguments.owner.is_some())
        ),
    }
    Ok(())
}

impl Vouch {
    fn path(&self) -> PathBuf {
        let of_dir = |dir: &PathBuf| dir.join(files::CARD);
        let card = self.card.clone().or(self.dir.as_ref().map(of_dir));
        card.unwrap_or_else(|| files::CARD.into())
    }
}

fn load(path: &Path) -> Result<(Value, Card)> {
    let name = || path.display().to_string();
    let bytes = read(path, CARD_BYTES_MAX)
        .with_context(|| format!("no card at {}: run `zq-node init` first", path.display()))?;
    let cards: Value = serde_json::from_slice(&bytes).with_context(name)?;
    let member = cards.get("member").cloned().unwrap_or_default();
    let member = serde_json::from_value(member).with_context(name)?;
    Ok((cards, member))
}

fn write(path: &Path, cards: &Value) -> Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    let dir = dir.unwrap_or(Path::new("."));
    check_owner(dir)?;
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.with_context(|| format!("{}: no file", path.display()))?;
    place(dir, name, &serde_json::to_vec_pretty(cards)?)
}

fn text(statement: &str, owner: Option<&IdentityKey>, is_new: bool) -> String {
    match (owner, is_new) {
        (Some(owner), true) => format!(
            "Sentinel of {} ({owner}) is on the card: whoever makes the committee's record needs this \
             card",
            Address::from(owner)
        ),
        (owner, _) => {
            let so_far = owner.map_or_else(
                || "nobody vouches for this member yet".to_owned(),
                |owner| {
                    format!(
                        "on the card: the Sentinel of {} ({owner})",
                        Address::from(owner)
                    )
                },
            );
            format!(
                "{statement}\n\n{so_far}. Sign the line above as text with the account that registered \
                 the Sentinel,\nthen give key and signature: --owner HEX --signature HEX"
            )
        }
    }
}

/// Longest card file.
const CARD_BYTES_MAX: u64 = 64 * 1024;
