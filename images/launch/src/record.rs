//! Making members and the creation record.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use attestation::committee::{Card, CreationRecord};
use attestation::conditions::Conditions;
use attestation::ids::{Digest, IdentityKey, NetworkId, RuntimeProfile};

use crate::committee::Economy;
use crate::machines::Machines;

/// Where the built programs are: `zq-node`, `zq-signer`, `zq-executor`, `zq-coordinator`, `zq`.
#[derive(Clone, Debug)]
pub struct Programs {
    dir: PathBuf,
}

impl Programs {
    /// Programs in `dir`.
    ///
    /// # Errors
    /// If a program is missing; the error says how to build it.
    pub fn in_dir(dir: impl Into<PathBuf>) -> Result<Self> {
        let programs = Self { dir: dir.into() };
        for name in [
            "zq-node",
            "zq-signer",
            "zq-executor",
            "zq-coordinator",
            "zq",
        ] {
            let path = programs.path(name);
            if !path.is_file() {
                bail!(
                    "{} is missing: run `cargo build --workspace --bins`",
                    path.display()
                );
            }
        }
        Ok(programs)
    }

    /// The programs beside the running one: tests and tools run from the same target directory.
    ///
    /// # Errors
    /// If a program is missing.
    pub fn beside_current() -> Result<Self> {
        let current = std::env::current_exe().context("where am I?")?;
        let dir = current.parent().context("a program has a directory")?;
        let dir = if dir.ends_with("deps") {
            dir.parent().unwrap_or(dir)
        } else {
            dir
        };
        Self::in_dir(dir)
    }

    /// Path of a program.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// A command for a program.
    #[must_use]
    pub fn command(&self, name: &str) -> Command {
        Command::new(self.path(name))
    }
}

/// What `zq-node init` says of itself.
pub(crate) struct Cards {
    pub(crate) member: Card,
    pub(crate) coordinator: Option<Card>,
    pub(crate) profile: RuntimeProfile,
}

/// Creates a member's data directory and reads its public cards.
pub(crate) fn init(
    programs: &Programs,
    dir: &Path,
    coordinator: bool,
    payout: Option<&IdentityKey>,
    machines: Option<&Machines>,
) -> Result<Cards> {
    let created = fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(dir);
    created.with_context(|| format!("cannot create {}", dir.display()))?;
    let passphrase = passphrase_file(dir);
    write_passphrase(&passphrase)?;
    let mut command = programs.command("zq-node");
    command
        .arg("init")
        .arg("--dir")
        .arg(dir)
        .arg("--passphrase-file")
        .arg(&passphrase);
    if coordinator {
        command.arg("--coordinator");
    }
    if let Some(payout) = payout {
        command.args(["--payout", &payout.to_string()]);
    }
    if let Some(machines) = machines {
        command.args(machines.arguments());
    }
    let output = command
        .stdin(Stdio::null())
        .output()
        .context("cannot start zq-node init")?;
    if !output.status.success() {
        bail!(
            "zq-node init: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    let path = dir.join("card.json");
    let text = fs::read_to_string(&path).with_context(|| format!("no {}", path.display()))?;
    let json: serde_json::Value = serde_json::from_str(&text)?;
    let part = |name: &str| json.get(name).cloned().unwrap_or_default();
    Ok(Cards {
        member: serde_json::from_value(part("member")).context("member card")?,
        coordinator: serde_json::from_value(part("coordinator")).context("coordinator card")?,
        profile: serde_json::from_value(part("profile")).context("runtime profile")?,
    })
}

/// Where a launched member's passphrase is.
pub(crate) fn passphrase_file(dir: &Path) -> PathBuf {
    dir.join("passphrase")
}

fn write_passphrase(path: &Path) -> Result<()> {
    let mut bytes = [0u8; 16];
    getrandom::getrandom(&mut bytes).context("no randomness from the system")?;
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = options
        .open(path)
        .with_context(|| format!("cannot write {}", path.display()))?;
    bytes
        .iter()
        .try_for_each(|byte| write!(file, "{byte:02x}"))?;
    Ok(())
}

/// Composes and writes the creation record.
pub(crate) fn compose(
    cards: &[Cards],
    threshold: u16,
    economy: &Economy,
    evm: bool,
    path: &Path,
) -> Result<CreationRecord> {
    let mut salt = [0u8; 32];
    getrandom::getrandom(&mut salt).context("no randomness from the system")?;
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .context("the clock is before 1970")?;
    let record = CreationRecord {
        network: NetworkId(321),
        threshold,
        members: cards.iter().map(|card| card.member.clone()).collect(),
        coordinators: cards
            .iter()
            .filter_map(|card| card.coordinator.clone())
            .collect(),
        profile: cards.first().context("a committee has members")?.profile,
        created_ms: u64::try_from(now.as_millis()).context("the clock is far in the future")?,
        salt: Digest::from_bytes(salt),
        terms: economy.terms,
        grants: economy.grants.clone(),
        evm,
        conditions: Conditions::default(),
    };
    record.check().context("the creation record")?;
    fs::write(path, record.to_bytes())?;
    Ok(record)
}
