//! `zq-node join`: an operator's word for a committee that is to be made.
//!
//! The creation record fixes everything that a member cannot change later, and whoever put the
//! committee together is trusted with nothing: the record is shown and checked against what this
//! member is before anything is written.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail, ensure};
use attestation::committee::{Card, CreationRecord};
use attestation::conditions::Engine;
use attestation::ids::Slot;
use clap::Args;
use serde_json::{Value, json};

use crate::configuration::Configuration;
use crate::consent::{confirmed, read};
use crate::disk::{Directory, Disk};
use crate::files;
use crate::peers::Peer;
use crate::run::own_card;
use crate::sentinel::active::{self, Backed};

/// Arguments of `zq-node join`.
#[derive(Args, Debug)]
pub struct Join {
    /// The committee's creation record (`zq committee create`).
    record: PathBuf,
    /// Data directory, made by `zq-node init`; of a node that does not run.
    #[arg(long)]
    dir: PathBuf,
    /// Addresses of all members' nodes, as `zq committee create --invitations` writes them.
    #[arg(long, value_name = "FILE")]
    peers: Option<PathBuf>,
    /// Another member's node: SLOT=HOST:PORT; wins over the file.
    #[arg(long = "peer", value_name = "PEER")]
    peer: Vec<Peer>,
    /// RPC of the operator's own NoM node, http://host:port, to ask whether the members' Sentinels are
    /// active, where the committee demands that; more than one if you have them [default: node.toml's].
    #[arg(long = "nom-rpc", value_name = "URL")]
    nom_rpc: Vec<String>,
    /// Join without asking.
    #[arg(long)]
    yes: bool,
    /// Print what is joined as JSON; needs --yes.
    #[arg(long, requires = "yes")]
    json: bool,
}

/// Shows the committee, asks, and writes record and addresses where the node finds them.
///
/// # Errors
/// If the record is none, does not have this member as it is, demands Sentinels that are not active
/// or that nobody can tell of, or cannot be written.
pub fn join(arguments: &Join) -> Result<()> {
    let dir = &arguments.dir;
    ensure!(
        dir.join(files::CARD).exists(),
        "{} holds no member: run `zq-node init` first",
        dir.display()
    );
    let disk = Directory::open(dir)?;
    let bytes = read(&arguments.record, RECORD_BYTES_MAX)?;
    let name = || arguments.record.display().to_string();
    let record = CreationRecord::from_bytes(&bytes).with_context(name)?;
    let own = Own::read(&disk)?;
    let slot = own.place(&record)?;
    if let Some(known) = disk.load(files::RECORD, RECORD_BYTES_MAX)? {
        let known = CreationRecord::from_bytes(&known).context(files::RECORD)?;
        ensure!(
            known.id() == record.id(),
            "this member has joined committee {}: one data directory is of one committee",
            known.id()
        );
    }
    let peers = peers(arguments, &record, slot)?;
    let backed = Backed::of(record.slots().zip(&record.members));
    if record.conditions.sentinels {
        let nom_rpc = Configuration::nom_rpc(&arguments.nom_rpc, dir, &disk)?;
        active::require(&nom_rpc, record.network, &backed).context("not joined")?;
    }
    let summary = json!({
        "committee": record.id(),
        "network": record.network,
        "own_slot": slot,
        "threshold": record.threshold,
        "members": record.members.len(),
        "coordinators": record.coordinators.len(),
        "signs_for_evm": record.evm,
        "demands": record.conditions,
        "engines": engines(&record),
        "sentinels": backed.iter().map(|one| (one.slot, one.owner.to_string())).collect::<BTreeMap<_, _>>(),
        "terms": record.terms,
        "payout": own.member.payout,
        "peers": peers,
    });
    match arguments.json {
        true => println!("{summary}"),
        false => println!("{}", text(&summary)),
    }
    if !arguments.yes && !confirmed("join")? {
        bail!("not joined; nothing was written");
    }
    if !peers.is_empty() {
        disk.replace(files::PEERS, &serde_json::to_vec_pretty(&peers)?)?;
    }
    // Last: a node with a record runs.
    disk.replace(files::RECORD, &bytes)?;
    if !arguments.json {
        println!(
            "joined; start the member with `zq-node run --dir {}`",
            dir.display()
        );
    }
    Ok(())
}

/// What this member is, by its card.json.
struct Own {
    member: Card,
    coordinator: Option<Card>,
}

impl Own {
    fn read(disk: &dyn Disk) -> Result<Self> {
        Ok(Self {
            member: own_card(disk, "member")?.context(files::CARD)?,
            coordinator: own_card(disk, "coordinator")?,
        })
    }

    /// The member's slot in the record, if that has it as it is.
    fn place(&self, record: &CreationRecord) -> Result<Slot> {
        let mut cards = (1..).zip(&record.members);
        let (slot, card) = cards
            .find(|(_, card)| card.identity == self.member.identity)
            .context("this member is not in the committee: its card.json has to go to whoever makes the record")?;
        ensure!(
            *card == self.member,
            "the record has another card of this member than its card.json: it was made from an older one"
        );
        ensure!(
            record.profile == runtime::profile(),
            "the committee runs profile {}, these programs {}: all have to install one version",
            record.profile,
            runtime::profile()
        );
        // Its node would be asked for a coordinator whose keys it does not have.
        let listed = record.coordinators.get(usize::from(slot) - 1);
        ensure!(
            listed == self.coordinator.as_ref(),
            "the record's coordinator of rank {} is not the one whose keys this member has: the first \
             members run the coordinators",
            slot - 1
        );
        Ok(Slot(slot))
    }
}

/// Addresses of the others, by slot.
fn peers(arguments: &Join, record: &CreationRecord, own: Slot) -> Result<BTreeMap<u16, String>> {
    let mut peers: BTreeMap<u16, String> = match &arguments.peers {
        Some(path) => {
            let name = || path.display().to_string();
            serde_json::from_slice(&read(path, files::PEERS_BYTES_MAX)?).with_context(name)?
        }
        None => BTreeMap::new(),
    };
    let said = arguments.peer.iter();
    peers.extend(said.map(|peer| (peer.slot.0, peer.address.to_string())));
    peers.remove(&own.0);
    for (slot, address) in &peers {
        let peer = format!("{slot}={address}").parse::<Peer>();
        peer.with_context(|| format!("{slot}: {address:?}"))?;
        ensure!(
            record.member(Slot(*slot)).is_some(),
            "{slot}={address}: the committee has {} members",
            record.members.len()
        );
    }
    Ok(peers)
}

/// What members' cards say of their engines, by slot.
fn engines(record: &CreationRecord) -> BTreeMap<Slot, Engine> {
    let members = record.slots().zip(&record.members);
    members
        .filter_map(|(slot, card)| Some((slot, card.engine?)))
        .collect()
}

fn text(summary: &Value) -> String {
    let part = |name: &str| summary.get(name).cloned().unwrap_or_default();
    let plain = |name: &str| match part(name) {
        Value::String(text) => text,
        other => other.to_string(),
    };
    format!(
        "committee     {}\nnetwork       {}\nyou are       {}\nthreshold     {} of {}\ncoordinators  {}\n\
         EVM           {}\ndemands       {}\nengines       {}\nSentinels     {}\nterms         {}\nyour pay to   {}\npeers         {}",
        plain("committee"),
        plain("network"),
        plain("own_slot"),
        plain("threshold"),
        plain("members"),
        plain("coordinators"),
        plain("signs_for_evm"),
        plain("demands"),
        plain("engines"),
        plain("sentinels"),
        plain("terms"),
        plain("payout"),
        plain("peers"),
    )
}

const RECORD_BYTES_MAX: u64 = attestation::committee::RECORD_BYTES_MAX as u64;
