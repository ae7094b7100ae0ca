//! `zq-node approve`: an operator's word for a change of members.
//!
//! A member deals, or takes a share, under a plan that its own operator has approved and under no
//! other: whoever gets t dealers to deal to members of its choice has the key. So the plan is shown
//! before, in full, and everything that the file says of the committee is checked.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use attestation::committee::{Card, CreationRecord};
use attestation::ids::Slot;
use clap::Args;
use serde::Serialize;
use serde_json::{Value, json};
use signer_protocol::dkg::KeyRecord;
use signer_protocol::exposure::{Dealing, Exposure, exposure};
use signer_protocol::lineage::{CHANGE_FILE_BYTES_MAX, ChangeFile, EpochRecord, Lineage};
use signer_protocol::membership::Membership;

use crate::approved::Approved;
use crate::configuration::Configuration;
use crate::consent::{self, Asking, Own, check_owner, read};
use crate::disk::{Directory, Reading};
use crate::files;
use crate::peers::Peer;
use crate::sentinel::active::{self, Backed};

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
    /// RPC of the operator's own NoM node, http://host:port, to ask whether the Sentinels of members that
    /// join are active, where the committee demands that; more than one if you have them [default:
    /// node.toml's].
    #[arg(long = "nom-rpc", value_name = "URL")]
    nom_rpc: Vec<String>,
    /// Approve without asking.
    #[arg(long)]
    yes: bool,
    /// Approve it although members that left could sign together with copies of their old shares,
    /// which only a new key ends.
    #[arg(long)]
    despite_exposure: bool,
    /// Print what is approved as JSON; needs --yes.
    #[arg(long, requires = "yes")]
    json: bool,
}

/// Shows the change, asks, and writes it where the node takes it up.
///
/// # Errors
/// If the change is none of this member's committee, is refused, brings in a member whose Sentinel is
/// not active where that is demanded, or cannot be written.
pub fn approve(arguments: &Approve) -> Result<()> {
    let bytes = read(&arguments.change, CHANGE_FILE_BYTES_MAX as u64)?;
    let file = ChangeFile::from_bytes(&bytes).context("not a change of members")?;
    let (base, planned) = file.check().context("this change is not to be approved")?;
    let slot = own_slot(&arguments.dir, &base, &planned)?;
    check_directory(&arguments.dir, &file)?;
    let approved = Approved::load(&arguments.dir)?;
    let exposed = exposed(&base, &planned, &approved);
    if let Some(exposed) = exposed.filter(|_| !arguments.despite_exposure) {
        bail!("{exposed}");
    }
    check_sentinels(arguments, base.members(), &planned)?;
    let summary = summary(&file, &base, &planned, slot);
    let (yes, json) = (arguments.yes, arguments.json);
    Asking { yes, json }.consent(&summary, text)?;
    // Before anybody can be dealt a share under it.
    approved.with(&file, &planned).place(&arguments.dir)?;
    write(arguments, &file, &bytes)
}

/// Sentinels that come with the change are active by the operator's own NoM node. Those of members that
/// stay are not asked for: a refresh and a removal do not wait for the chain.
fn check_sentinels(arguments: &Approve, old: &Membership, planned: &Membership) -> Result<()> {
    let known = Backed::of(old.cards());
    let mut new = Backed::of(planned.cards());
    new.retain(|backed| !known.contains(backed));
    if !planned.conditions().sentinels || new.is_empty() {
        return Ok(());
    }
    let dir = &arguments.dir;
    let nom_rpc = Configuration::nom_rpc(&arguments.nom_rpc, dir, &Reading(dir.clone()))?;
    active::require(&nom_rpc, planned.domain().network, &new).context("not approved")
}

/// The slot of the member of this data directory, in the epoch in force or in the planned one.
fn own_slot(dir: &Path, base: &Lineage, planned: &Membership) -> Result<Slot> {
    let own = Own::of(dir)?;
    let of = |members: &Membership| own.slot(members);
    let slot = of(base.members())
        .or_else(|| of(planned))
        .context("this member is neither in the committee nor planned to be: nothing to approve")?;
    // A register is of one slot.
    if let Some(before) = base.all().filter_map(of).find(|before| *before != slot) {
        bail!(
            "this member had slot {before} and would get {slot}: slots are never used again, so make \
             a data directory with new keys for it (`zq-node init`)"
        );
    }
    Ok(slot)
}

/// Why copies of shares could sign under this key, if they could (rule B5): of epochs, and of plans
/// that this member approved and that were given up.
fn exposed(base: &Lineage, planned: &Membership, approved: &Approved) -> Option<String> {
    let epochs = base.all().chain([planned]).map(Dealing::from);
    let dealings: Vec<Dealing> = approved.dealings().chain(epochs).collect();
    let exposed = exposure(&dealings, &BTreeSet::new()).filter(Exposure::needs_new_key)?;
    let holders: Vec<String> = exposed.holders.iter().map(ToString::to_string).collect();
    Some(format!(
        "{} will not be members, and shares of epoch {}, or of a plan for it that was given up, that \
         they may hold reach its threshold of {}: this group key is not safe any more; \
         --despite-exposure approves all the same",
        holders.join(", "),
        exposed.epoch,
        exposed.threshold
    ))
}

/// What a directory knows of its committee already is the file's, and its node will be able to read
/// what is written here.
fn check_directory(dir: &Path, file: &ChangeFile) -> Result<()> {
    check_owner(dir)?;
    let path = dir.join(files::RECORD);
    if path.exists() {
        let own = CreationRecord::from_bytes(&read(&path, 1024 * 1024)?).context(files::RECORD)?;
        ensure!(
            own.id() == file.record.id(),
            "the change is of committee {}, this member's is {}",
            file.record.id(),
            own.id()
        );
    }
    let path = dir.join(files::KEY);
    if path.exists() {
        let own = KeyRecord::from_bytes(&read(&path, files::KEY_BYTES_MAX)?).context(files::KEY)?;
        ensure!(
            own == file.key,
            "the change is of another key of this committee than the member's {}",
            own.group_key
        );
    }
    Ok(())
}

fn summary(file: &ChangeFile, base: &Lineage, planned: &Membership, own: Slot) -> Value {
    let old = base.members();
    let identity = |members: &Membership, slot: Slot| {
        let card = members.member(slot);
        let owner = card.and_then(|card| card.sentinel.as_ref());
        json!({
            "slot": slot,
            "identity": card.map(|card| card.identity),
            "engine": card.and_then(|card| card.engine),
            "sentinel": owner.map(|sentinel| sentinel.address()),
        })
    };
    let leaves = old.slots().filter(|slot| planned.member(*slot).is_none());
    let joins = planned.slots().filter(|slot| old.member(*slot).is_none());
    let stays = planned.slots().filter(|slot| old.member(*slot).is_some());
    let profile = (base.profile(), file.plan.profile);
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
        "payouts_changed": changed(old, planned, |card| card.payout),
        "images_changed": changed(old, planned, |card| card.image),
        "engines_changed": changed(old, planned, |card| card.engine),
        "sentinels_changed": changed(old, planned, |card| {
            card.sentinel.as_ref().map(|sentinel| sentinel.address())
        }),
        "profile_changed": (profile.0 != profile.1)
            .then(|| json!({ "before": profile.0, "after": profile.1 })),
        "own_slot": own,
    })
}

/// What is another on the cards of members that stay.
fn changed<T: PartialEq + Serialize>(
    old: &Membership,
    planned: &Membership,
    of: impl Fn(&Card) -> T,
) -> Vec<Value> {
    let both = planned.cards().filter_map(|(slot, card)| {
        let (before, after) = (of(old.member(slot)?), of(card));
        (before != after).then(|| json!({ "slot": slot, "before": before, "after": after }))
    });
    both.collect()
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
    let instead = |change: &Value| {
        let field = |name: &str| change.get(name).and_then(Value::as_str).unwrap_or("none");
        format!("{} instead of {}", field("after"), field("before"))
    };
    for (name, what) in [
        ("payouts_changed", "pay of"),
        ("images_changed", "signer"),
        ("engines_changed", "engine"),
        ("sentinels_changed", "Sentinel"),
    ] {
        for change in part(name).as_array().into_iter().flatten() {
            let slot = change.get("slot").cloned().unwrap_or_default();
            let _ = write!(text, "\n{what} {slot}  {}", instead(change));
        }
    }
    if let change @ Value::Object(_) = part("profile_changed") {
        let _ = write!(text, "\nprofile    {}", instead(&change));
    }
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

fn write(arguments: &Approve, file: &ChangeFile, bytes: &[u8]) -> Result<()> {
    let dir = &arguments.dir;
    let place = |name: &str, bytes: &[u8]| consent::place(dir, name, bytes);
    if !arguments.peers.is_empty() {
        let mut peers: BTreeMap<u16, String> = match std::fs::read(dir.join(files::PEERS)) {
            Ok(known) => serde_json::from_slice(&known).context(files::PEERS)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error).context(files::PEERS),
        };
        peers.extend(
            arguments
                .peers
                .iter()
                .map(|peer| (peer.slot.0, peer.address.to_string())),
        );
        place(files::PEERS, &serde_json::to_vec_pretty(&peers)?)?;
    }
    // A member that joins has nothing of the committee yet.
    let new = |name: &str| !dir.join(name).exists();
    // One that was to join before, and did not, knows less than the file proves by now. A running
    // node finds out by itself.
    let behind = || -> Result<bool> {
        let path = dir.join(files::EPOCHS);
        let known = match path.exists() {
            true => read(&path, CHANGE_FILE_BYTES_MAX as u64)?,
            false => attestation::codec::encode(&Vec::<EpochRecord>::new()),
        };
        let known: Vec<EpochRecord> =
            attestation::codec::decode(&known, CHANGE_FILE_BYTES_MAX).context(files::EPOCHS)?;
        Ok(file.epochs.len() > known.len() && file.epochs.starts_with(&known))
    };
    if new(files::KEY) {
        place(files::EPOCHS, &attestation::codec::encode(&file.epochs))?;
        place(files::KEY, &file.key.to_bytes())?;
    } else if behind()? && Directory::open(dir).is_ok() {
        place(files::EPOCHS, &attestation::codec::encode(&file.epochs))?;
    }
    if new(files::RECORD) {
        place(files::RECORD, &file.record.to_bytes())?;
    }
    // Last: a running node takes it up at once.
    place(files::CHANGE, bytes)
}
