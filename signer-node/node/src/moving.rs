//! `zq-node register`: what a member voted and locked, moved to another disk (rule C3).

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use attestation::committee::CreationRecord;
use attestation::ids::Slot;
use clap::Subcommand;
use signer_protocol::message::Lane;
use signer_protocol::register::{Chain, ENTRY_BYTES_MAX, Entry};
use state::job::Domain;

use crate::change::Epochs;
use crate::configuration::Configuration;
use crate::disk::{Directory, Disk};
use crate::register::{FILE, FILE_BYTES_MAX, judged, of_one};
use crate::{files, run};

/// Verbs of `zq-node register`.
#[derive(Debug, Subcommand)]
pub enum RegisterVerb {
    /// Write what the register says into a file. The node must not run, and must not run again on
    /// this disk: what it would vote then, the file does not know.
    Export {
        /// Data directory.
        #[arg(long)]
        dir: PathBuf,
        /// The file; it must not exist.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
    /// Join an exported register to that of a data directory: of every vote, lock and counter the
    /// later counts. The node must not run.
    Import {
        /// Data directory.
        #[arg(long)]
        dir: PathBuf,
        /// The exported register.
        file: PathBuf,
    },
}

/// Does it, and says where the register stands.
///
/// # Errors
/// If the directory is in use, or register or file are damaged or another member's.
pub fn run(verb: &RegisterVerb) -> Result<()> {
    match verb {
        RegisterVerb::Export { dir, out } => {
            let disk = Directory::open(dir)?;
            let chain = chain(dir, &disk)?;
            let file = std::fs::OpenOptions::new()
                .write(true)
                .create_new(true)
                .open(out);
            let mut file = file.with_context(|| out.display().to_string())?;
            std::io::Write::write_all(&mut file, &chain.exported().to_bytes())?;
            file.sync_all()?;
            println!("{}\n{}", out.display(), said(&chain));
        }
        RegisterVerb::Import { dir, file } => {
            let disk = Directory::open(dir)?;
            let own = chain(dir, &disk)?;
            let bytes = std::fs::read(file).with_context(|| file.display().to_string())?;
            if bytes.len() > ENTRY_BYTES_MAX {
                bail!("{}: no exported register", file.display());
            }
            let entry = Entry::from_bytes(&bytes)
                .and_then(|entry| own.joined(&entry))
                .with_context(|| file.display().to_string())?;
            let bytes = of_one(&entry);
            let (domain, slot) = owner(dir, &disk)?;
            let (joined, _) = judged(&bytes, &domain, slot)?;
            disk.replace(FILE, &bytes)?;
            println!("{}", said(&joined));
        }
    }
    Ok(())
}

/// Network, committee and slot of a data directory's member.
pub(crate) fn owner(dir: &Path, disk: &dyn Disk) -> Result<(Domain, Slot)> {
    let (record, epochs) = committee(dir, disk)?;
    let slot = run::own_slot(disk, &record, &epochs, None)?;
    let domain = Domain {
        network: record.network,
        committee: record.id(),
    };
    Ok((domain, slot))
}

/// The committee that a data directory knows.
pub(crate) fn committee(dir: &Path, disk: &dyn Disk) -> Result<(CreationRecord, Epochs)> {
    let configured = Configuration::load(dir, disk)?.record;
    let path = configured.unwrap_or_else(|| dir.join(files::RECORD));
    let bytes = std::fs::read(&path).with_context(|| path.display().to_string())?;
    let record = CreationRecord::from_bytes(&bytes)?;
    record.check()?;
    let (epochs, _) = Epochs::load(disk, &record)?;
    Ok((record, epochs))
}

fn chain(dir: &Path, disk: &dyn Disk) -> Result<Chain> {
    let (domain, slot) = owner(dir, disk)?;
    let bytes = disk.load(FILE, FILE_BYTES_MAX)?.unwrap_or_default();
    Ok(judged(&bytes, &domain, slot)?.0)
}

/// Where a register stands, for people.
pub(crate) fn said(chain: &Chain) -> String {
    let standing = chain.standing();
    let lane = chain.lane(Lane::Steps);
    let mut text = format!(
        "{} starts, view {}, head {}",
        standing.boot.0,
        standing.view.0,
        lane.attested.map_or(0, |step| step.seq.0)
    );
    if let Some(vote) = lane.vote {
        text += &format!(", voted at seq {} in view {}", vote.seq.0, vote.view.0);
    }
    if let Some(claim) = lane.lock.and_then(|lock| lock.claim()) {
        text += &format!(
            ", locked at seq {} since view {}",
            claim.seq.0, claim.view.0
        );
    }
    if let Some(epoch) = standing.behind {
        text += &format!(", known to have lost entries in epoch {}", epoch.0);
    }
    text
}
