//! `zq-node approve`: an operator's word for a change of members.
//!
//! A member deals, or takes a share, under a plan that its own operator has approved and under no
//! other: whoever gets t dealers to deal to members of its choice has the key. So the plan is shown
//! before, in full, and everything that the file says of the committee is checked.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use attestation::committee::CreationRecord;
use attestation::ids::Slot;
use clap::Args;
use serde_json::{Value, json};
use signer_protocol::lineage::{CHANGE_FILE_BYTES_MAX, ChangeFile, Lineage};
use signer_protocol::membership::Membership;

use crate::disk;
use crate::files;
use crate::peers::{Peer, PeerAddress};

/// Arguments of `zq-node approve`.
#[derive(Args, Debug)]
pub struct Approve {
    /// Data directory, of a running node or of one that will run.
    #[arg(long)]
    dir: PathBuf,
    /// The change, made by `zq committee change plan`.
    change: PathBuf,
    /// Node of a member that joins: SLOT=HOST:PORT, or SLOT=@FILE with the address in a file.
    #[arg(long = "peer", value_name = "PEER")]
    peers: Vec<Peer>,
    /// Approve without asking.
    #[arg(long)]
    yes: bool,
    /// Print what is approved as JSON; needs --yes.
    #[arg(long, requires = "yes")]
    json: bool,
}

/// Shows the change, asks, and writes it where the node takes it up.
///
/// # Errors
/// If the change is none of this member's committee, is refused, or cannot be written.
pub fn approve(arguments: &Approve) -> Result<()> {
    let bytes = read(&arguments.change, CHANGE_FILE_BYTES_MAX as u64)?;
    let file = ChangeFile::from_bytes(&bytes).context("not a change of members")?;
    let (base, planned) = file.check().context("this change is not to be approved")?;
    let slot = own_slot(&arguments.dir, &base, &planned)?;
    check_record(&arguments.dir, &file.record)?;
    let summary = summary(&file, &base, &planned, slot);
    if arguments.json {
        println!("{summary}");
    } else {
        println!("{}", text(&summary));
    }
    if !arguments.yes && !confirmed()? {
        bail!("not approved; nothing was written");
    }
    write(arguments, &file, &bytes)
}

fn read(path: &Path, bytes_max: u64) -> Result<Vec<u8>> {
    let name = || path.display().to_string();
    let file = std::fs::File::open(path).with_context(name)?;
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut std::io::Read::take(file, bytes_max + 1), &mut bytes)
        .with_context(name)?;
    ensure!(
        bytes.len() as u64 <= bytes_max,
        "{}: longer than any such file",
        name()
    );
    Ok(bytes)
}

/// The slot of the member of this data directory, in the epoch in force or in the planned one.
fn own_slot(dir: &Path, base: &Lineage, planned: &Membership) -> Result<Slot> {
    let cards = read(&dir.join(files::CARD), 64 * 1024).context("run `zq-node init` first")?;
    let cards: Value = serde_json::from_slice(&cards).context(files::CARD)?;
    let identity = cards.get("member").and_then(|card| card.get("identity"));
    let identity = serde_json::from_value::<attestation::ids::IdentityKey>(
        identity.cloned().unwrap_or_default(),
    );
    let identity = identity.context(files::CARD)?;
    let of = |members: &Membership| {
        let mut slots = members.slots();
        slots.find(|slot| {
            members
                .member(*slot)
                .is_some_and(|card| card.identity == identity)
        })
    };
    of(base.members())
        .or_else(|| of(planned))
        .context("this member is neither in the committee nor planned to be: nothing to approve")
}

/// The record of a member that is in a committee already is the file's.
fn check_record(dir: &Path, record: &CreationRecord) -> Result<()> {
    let path = dir.join(files::RECORD);
    if !path.exists() {
        return Ok(());
    }
    let bytes = read(&path, 1024 * 1024)?;
    let own = CreationRecord::from_bytes(&bytes).context(files::RECORD)?;
    ensure!(
        own.id() == record.id(),
        "the change is of committee {}, this member's is {}",
        record.id(),
        own.id()
    );
    Ok(())
}

fn summary(file: &ChangeFile, base: &Lineage, planned: &Membership, own: Slot) -> Value {
    let old = base.members();
    let identity = |members: &Membership, slot: Slot| {
        let card = members.member(slot);
        json!({ "slot": slot, "identity": card.map(|card| card.identity) })
    };
    let leaves = old.slots().filter(|slot| planned.member(*slot).is_none());
    let joins = planned.slots().filter(|slot| old.member(*slot).is_none());
    let stays = planned.slots().filter(|slot| old.member(*slot).is_some());
    json!({
        "committee": file.record.id(),
        "plan": file.plan.digest(),
        "base": file.plan.base,
        "epoch": file.plan.epoch,
        "threshold": { "old": old.threshold(), "new": planned.threshold() },
        "members": { "old": old.count(), "new": planned.count() },
        "stay": stays.collect::<Vec<_>>(),
        "leave": leaves.map(|slot| identity(old, slot)).collect::<Vec<_>>(),
        "join": joins.map(|slot| identity(planned, slot)).collect::<Vec<_>>(),
        "deal": file.plan.dealers,
        "own_slot": own,
    })
}

fn text(summary: &Value) -> String {
    let part = |name: &str| summary.get(name).cloned().unwrap_or_default();
    let nested = |name: &str, field: &str| part(name).get(field).cloned().unwrap_or_default();
    let list = |name: &str| {
        let all = part(name);
        let all: Vec<String> = all.as_array().into_iter().flatten().map(member).collect();
        match all.is_empty() {
            true => "nobody".to_owned(),
            false => all.join(", "),
        }
    };
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write!(
        text,
        "committee  {}\nplan       {}\nepoch      {} after {}\nthreshold  {} of {}, before {} of {}\n\
         stay       {}\nleave      {}\njoin       {}\ndeal       {}\nyou are    {}",
        part("committee").as_str().unwrap_or_default(),
        part("plan").as_str().unwrap_or_default(),
        part("epoch"),
        part("base"),
        nested("threshold", "new"),
        nested("members", "new"),
        nested("threshold", "old"),
        nested("members", "old"),
        list("stay"),
        list("leave"),
        list("join"),
        list("deal"),
        part("own_slot"),
    );
    text
}

fn member(value: &Value) -> String {
    match (value.get("slot"), value.get("identity")) {
        (Some(slot), Some(identity)) => {
            format!("{slot} ({})", identity.as_str().unwrap_or_default())
        }
        _ => value.to_string(),
    }
}

fn confirmed() -> Result<bool> {
    let stdin = std::io::stdin();
    ensure!(
        stdin.is_terminal(),
        "standard input is no terminal to ask at: say --yes to approve"
    );
    print!("approve? type yes: ");
    std::io::stdout().flush()?;
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer)?;
    Ok(answer.trim() == "yes")
}

fn write(arguments: &Approve, file: &ChangeFile, bytes: &[u8]) -> Result<()> {
    let dir = &arguments.dir;
    let place = |name: &str, bytes: &[u8]| {
        disk::place(dir, name, bytes).with_context(|| dir.join(name).display().to_string())
    };
    if !arguments.peers.is_empty() {
        let mut peers: BTreeMap<u16, String> = match std::fs::read(dir.join(files::PEERS)) {
            Ok(known) => serde_json::from_slice(&known).context(files::PEERS)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error).context(files::PEERS),
        };
        peers.extend(arguments.peers.iter().map(|peer| {
            let address = match &peer.address {
                PeerAddress::Host(address) => address.clone(),
                PeerAddress::File(path) => format!("@{}", path.display()),
            };
            (peer.slot.0, address)
        }));
        place(files::PEERS, &serde_json::to_vec_pretty(&peers)?)?;
    }
    // A member that joins has nothing of the committee yet.
    let new = |name: &str| !dir.join(name).exists();
    if new(files::KEY) {
        place(files::EPOCHS, &attestation::codec::encode(&file.epochs))?;
        place(files::KEY, &file.key.to_bytes())?;
    }
    if new(files::RECORD) {
        place(files::RECORD, &file.record.to_bytes())?;
    }
    // Last: a running node takes it up at once.
    place(files::CHANGE, bytes)
}
