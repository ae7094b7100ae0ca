//! `zq-node doctor`: looks at a data directory and says what would keep its member from working.
//!
//! It changes nothing but one file of its own, which it removes again, and works beside a running
//! node.

use std::fs::{self, File};
use std::io::Write as _;
use std::net::ToSocketAddrs as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Args;
use link::local::Role;
use nom::client::Sync;
use serde_json::{Value, json};
use signer_protocol::sealed;

use crate::chain::watch::STILL_S_MAX;
use crate::configuration::Configuration;
use crate::disk::{Disk, Reading};
use crate::guests::Programs;
use crate::images::{ImageOptions, Images};
use crate::peers::{Peer, PeerAddress};
use crate::register::{FILE, FILE_BYTES_MAX, judged};
use crate::{chain, files, moving, run};

/// A disk with less left is about to stop the signer.
const ROOM_BYTES_MIN: u64 = 1024 * 1024 * 1024;
/// Every vote waits for one of these.
const FSYNC_MAX: Duration = Duration::from_millis(20);
/// How long a peer may take to answer.
const DIAL: Duration = Duration::from_secs(3);

/// Arguments of `zq-node doctor`.
#[derive(Args, Debug)]
pub struct Doctor {
    /// Data directory.
    #[arg(long)]
    dir: PathBuf,
    /// Print one JSON value.
    #[arg(long)]
    json: bool,
}

/// What came of one look.
enum Finding {
    Good(String),
    /// It works, and should not stay so.
    Poor(String),
    Bad(String),
}

impl Finding {
    fn of(looked: Result<Self>) -> Self {
        looked.unwrap_or_else(|error| Self::Bad(format!("{error:#}")))
    }

    const fn word(&self) -> &'static str {
        match self {
            Self::Good(_) => "ok",
            Self::Poor(_) => "warning",
            Self::Bad(_) => "failure",
        }
    }

    fn text(&self) -> &str {
        match self {
            Self::Good(text) | Self::Poor(text) | Self::Bad(text) => text,
        }
    }
}

/// Looks, and prints what it found.
///
/// # Errors
/// If anything found keeps the member from working.
pub fn doctor(arguments: &Doctor) -> Result<()> {
    let dir = &arguments.dir;
    ensure!(dir.is_dir(), "{}: no directory", dir.display());
    let disk = Reading(dir.clone());
    let mut found = vec![
        ("permissions", Finding::of(permissions(dir))),
        ("programs", Finding::of(programs())),
        ("images", Finding::of(images(dir, &disk))),
        ("room", Finding::of(room(dir))),
        ("fsync", Finding::of(fsync(dir))),
        ("secrets", Finding::of(secrets(&disk))),
        ("committee", Finding::of(committee(dir, &disk))),
        ("register", Finding::of(register(dir, &disk))),
    ];
    found.extend(
        nom_nodes(dir, &disk)
            .into_iter()
            .map(|finding| ("nom node", finding)),
    );
    found.extend(
        peers(dir, &disk)
            .into_iter()
            .map(|finding| ("peer", finding)),
    );
    let bad = found
        .iter()
        .filter(|(_, finding)| matches!(finding, Finding::Bad(_)));
    let bad = bad.count();
    if arguments.json {
        println!("{}", json(&found));
    } else {
        for (name, finding) in &found {
            println!("{:<8} {name:<12} {}", finding.word(), finding.text());
        }
    }
    if bad > 0 {
        bail!("{bad} of {} looks failed", found.len());
    }
    Ok(())
}

fn json(found: &[(&'static str, Finding)]) -> Value {
    let one = |(name, finding): &(&'static str, Finding)| json!({ "look": name, "result": finding.word(), "detail": finding.text() });
    Value::Array(found.iter().map(one).collect())
}

fn permissions(dir: &Path) -> Result<Finding> {
    let mode = fs::metadata(dir)?.permissions().mode() & 0o777;
    Ok(match mode & 0o077 {
        0 => Finding::Good(format!("{mode:o}")),
        _ => Finding::Bad(format!(
            "others may look into {}: chmod 700 it",
            dir.display()
        )),
    })
}

fn programs() -> Result<Finding> {
    Programs::beside_current()?;
    Ok(Finding::Good(
        "the guests' programs are beside this one".to_owned(),
    ))
}

fn images(dir: &Path, disk: &dyn Disk) -> Result<Finding> {
    let machines = Configuration::load(dir, disk)?.machines;
    let Some(folder) = machines.images else {
        return Ok(Finding::Good("guests run as processes".to_owned()));
    };
    let options = ImageOptions {
        folder,
        accelerator: machines.accel.unwrap_or_default(),
        memory_mib: machines.memory_mib,
        taps: machines.taps,
    };
    let roles = [Role::Signer, Role::Executor];
    let images = Images::open(&options, &roles.map(|role| (role, None)))?;
    let digests = roles.iter().filter_map(|role| images.digest(*role));
    let digests: Vec<String> = digests.map(|digest| digest.to_string()).collect();
    Ok(Finding::Good(digests.join(", ")))
}

fn room(dir: &Path) -> Result<Finding> {
    let disk = rustix::fs::statvfs(dir)?;
    let left = disk.f_bavail.saturating_mul(disk.f_frsize);
    let text = format!("{} MiB left", left / (1024 * 1024));
    Ok(match left < ROOM_BYTES_MIN {
        true => Finding::Poor(format!("{text}: a full disk stops the signer")),
        false => Finding::Good(text),
    })
}

/// The median of a few small writes, each made durable.
fn fsync(dir: &Path) -> Result<Finding> {
    let path = dir.join("doctor.new");
    let measured = (|| {
        let mut file = File::create(&path)?;
        let mut took = Vec::new();
        for _ in 0..9 {
            let began = Instant::now();
            file.write_all(&[0; 512])?;
            file.sync_data()?;
            took.push(began.elapsed());
        }
        Ok::<_, std::io::Error>(took)
    })();
    // It may be gone already.
    let _ = fs::remove_file(&path);
    let mut took = measured.with_context(|| format!("cannot write to {}", dir.display()))?;
    took.sort_unstable();
    let median = took.get(took.len() / 2).copied().unwrap_or_default();
    let text = format!("{:.1} ms", median.as_secs_f64() * 1e3);
    Ok(match median > FSYNC_MAX {
        true => Finding::Poor(format!(
            "{text}: every vote waits for it; use a disk with power-loss protection"
        )),
        false => Finding::Good(text),
    })
}

fn secrets(disk: &dyn Disk) -> Result<Finding> {
    let card = run::own_card(disk, "member")?.context("card.json has no member")?;
    let name = files::sealed(Role::Signer).context("a signer has secrets")?;
    let sealed = disk.load(name, files::SEALED_BYTES_MAX)?;
    let sealed = sealed.with_context(|| format!("no {name}: restore it from your backup"))?;
    let owner = sealed::owner(&sealed).with_context(|| name.to_owned())?;
    ensure!(
        owner == card.identity,
        "{name} holds the secrets of {owner}, card.json is {}'s",
        card.identity
    );
    Ok(Finding::Good(format!(
        "{name} is {owner}'s; whether the passphrase opens it, only a start tells"
    )))
}

fn committee(dir: &Path, disk: &dyn Disk) -> Result<Finding> {
    let (record, epochs) = moving::committee(dir, disk)?;
    let slot = run::own_slot(disk, &record, &epochs, None)?;
    let id = record.id();
    let Some(epoch) = epochs.in_force_epoch() else {
        return Ok(Finding::Good(format!(
            "member {slot} of {id}, which has no key yet"
        )));
    };
    let text = format!("member {slot} of {id}, epoch {epoch}");
    Ok(match (epochs.is_member(slot), epochs.pending()) {
        (true, None) => Finding::Good(text),
        (true, Some(change)) => Finding::Good(format!(
            "{text}; a change to epoch {} is approved",
            change.plan.epoch
        )),
        (false, Some(_)) => Finding::Good(format!("{text}, which it joins with the next epoch")),
        (false, None) => Finding::Poor(format!("{text}, of which it is no part any more")),
    })
}

fn register(dir: &Path, disk: &dyn Disk) -> Result<Finding> {
    let (domain, slot) = moving::owner(dir, disk)?;
    let bytes = disk.load(FILE, FILE_BYTES_MAX)?.unwrap_or_default();
    let (chain, torn) = judged(&bytes, &domain, slot)?;
    let said = moving::said(&chain);
    Ok(match (chain.standing().behind, torn) {
        (Some(_), _) => Finding::Poor(format!(
            "{said}: the member only watches until an epoch whose ceremony it joins"
        )),
        (None, 0) => Finding::Good(said),
        (None, torn) => Finding::Good(format!(
            "{said}; {torn} bytes at its end were never acknowledged"
        )),
    })
}

/// Each NoM node that is configured; a member without one has nothing to look at.
fn nom_nodes(dir: &Path, disk: &dyn Disk) -> Vec<Finding> {
    let configured = Configuration::load(dir, disk).and_then(|file| file.nom.settings());
    let settings = match configured {
        Ok(Some(settings)) => settings,
        Ok(None) => return Vec::new(),
        Err(error) => return vec![Finding::Bad(format!("{error:#}"))],
    };
    let urls = settings.urls.iter();
    urls.map(|url| Finding::of(nom_node(dir, disk, url)))
        .collect()
}

fn nom_node(dir: &Path, disk: &dyn Disk, url: &str) -> Result<Finding> {
    let (record, _) = moving::committee(dir, disk)?;
    let (newest, sync) = chain::probe(url, record.network.0)?;
    let text = format!(
        "{url}: chain {}, momentum {}",
        record.network.0, newest.height
    );
    let age_s = (run::now_ms() / 1_000).saturating_sub(newest.timestamp);
    Ok(nom_finding(&text, age_s, sync))
}

fn nom_finding(text: &str, age_s: u64, sync: Sync) -> Finding {
    match sync {
        Sync::Syncing { target, .. } => Finding::Poor(format!(
            "{text} of {target}: the member bears nothing out until it is in sync"
        )),
        _ if age_s > STILL_S_MAX => Finding::Poor(format!(
            "{text}, which is {age_s} s old: the member bears nothing out until momentums come; see \
             whether the NoM node has peers, and this machine's clock"
        )),
        Sync::NotEnoughPeers { .. } => Finding::Poor(format!("{text}; it has too few peers")),
        Sync::Unknown | Sync::Done { .. } => Finding::Good(text.to_owned()),
    }
}

fn peers(dir: &Path, disk: &dyn Disk) -> Vec<Finding> {
    let configured = Configuration::load(dir, disk).and_then(|file| file.peers());
    let all = configured.and_then(|mut peers| {
        files::add_peers(disk, &mut peers)?;
        Ok(peers)
    });
    match all {
        Ok(peers) => peers.iter().map(|peer| Finding::of(dial(peer))).collect(),
        Err(error) => vec![Finding::Bad(format!("{error:#}"))],
    }
}

fn dial(peer: &Peer) -> Result<Finding> {
    let address = match &peer.address {
        PeerAddress::Host(address) => address.clone(),
        PeerAddress::File(path) => fs::read_to_string(path)?.trim().to_owned(),
    };
    let name = format!("member {} at {address}", peer.slot);
    let mut last = None;
    for socket in address.to_socket_addrs().with_context(|| name.clone())? {
        match std::net::TcpStream::connect_timeout(&socket, DIAL) {
            Ok(_) => return Ok(Finding::Good(name)),
            Err(error) => last = Some(error),
        }
    }
    // It may be down, which is its operator's to mend.
    let why = last.map_or_else(|| "no address".to_owned(), |error| error.to_string());
    Ok(Finding::Poor(format!("{name} does not answer: {why}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_nom_node_that_stands_still_is_poor_whatever_it_says_of_its_peers() {
        let (height, target) = (7, 9);
        for sync in [Sync::Unknown, Sync::Done { height }] {
            let finding = |age_s| nom_finding("it", age_s, sync);
            assert!(matches!(finding(STILL_S_MAX), Finding::Good(_)));
            let Finding::Poor(told) = finding(STILL_S_MAX + 1) else {
                panic!("{sync:?}");
            };
            assert!(
                told.contains("181 s old") && told.contains("clock"),
                "{told}"
            );
        }
        // What is behind is old, and is told as behind.
        let Finding::Poor(told) = nom_finding("it", 999, Sync::Syncing { height, target }) else {
            panic!("behind");
        };
        assert!(told.contains("of 9"), "{told}");
    }

    #[test]
    fn a_peer_is_looked_for_where_the_node_dials_it_and_nowhere_else() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback");
        let moved = listener.local_addr().expect("bound");
        let write = |name: &str, text: String| fs::write(dir.path().join(name), text);
        // Where the invitations say that member 2 is, nobody can listen.
        let joined = format!(r#"{{"2": "127.0.0.1:0", "3": "{moved}"}}"#);
        write(files::PEERS, joined).expect("written");
        let configured = format!("[peers]\n2 = \"{moved}\"\n");
        write(files::CONFIGURATION, configured).expect("written");
        let found = peers(dir.path(), &Reading(dir.path().into()));
        let found: Vec<_> = found.iter().map(|one| (one.word(), one.text())).collect();
        let texts = [2, 3].map(|slot| format!("member {slot} at {moved}"));
        assert_eq!(found, texts.each_ref().map(|text| ("ok", text.as_str())));
    }
}
