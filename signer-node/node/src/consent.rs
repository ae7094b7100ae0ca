//! An operator's word for something that its member does at no other's: what the commands share that
//! show a file, ask, and place it where the running node takes it up.
//!
//! Nothing is placed that was not shown in full before, or that the node could not read.

use std::io::{BufRead as _, IsTerminal as _, Read as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail, ensure};
use attestation::ids::{IdentityKey, Slot};
use serde_json::Value;
use signer_protocol::membership::Membership;

use crate::{disk, files};

/// How an operator is asked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Asking {
    /// Its word is given with the command.
    pub(crate) yes: bool,
    /// What it is asked about is printed as JSON.
    pub(crate) json: bool,
}

impl Asking {
    /// Shows what is asked for, and asks.
    ///
    /// # Errors
    /// If the operator does not want it, or cannot be asked.
    pub(crate) fn consent(self, summary: &Value, text: impl Fn(&Value) -> String) -> Result<()> {
        match self.json {
            true => println!("{summary}"),
            false => println!("{}", text(summary)),
        }
        if !self.yes && !confirmed("approve")? {
            bail!("not approved; nothing was written");
        }
        Ok(())
    }
}

/// Whether whoever sits at the terminal says yes to what was shown.
pub(crate) fn confirmed(act: &str) -> Result<bool> {
    let stdin = std::io::stdin();
    ensure!(
        stdin.is_terminal(),
        "standard input is no terminal to ask at: say --yes to {act}"
    );
    print!("{act}? type yes: ");
    std::io::stdout().flush()?;
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer)?;
    Ok(answer.trim() == "yes")
}

/// A file of at most `bytes_max` bytes.
///
/// # Errors
/// If it is longer, or cannot be read.
pub(crate) fn read(path: &Path, bytes_max: u64) -> Result<Vec<u8>> {
    let name = || path.display().to_string();
    let file = std::fs::File::open(path).with_context(name)?;
    let mut bytes = Vec::new();
    file.take(bytes_max.saturating_add(1))
        .read_to_end(&mut bytes)
        .with_context(name)?;
    ensure!(
        bytes.len() as u64 <= bytes_max,
        "{}: longer than any such file",
        name()
    );
    Ok(bytes)
}

/// Writes a file of the data directory, for its node.
///
/// # Errors
/// If it cannot be written.
pub(crate) fn place(dir: &Path, name: &str, bytes: &[u8]) -> Result<()> {
    disk::place(dir, name, bytes).with_context(|| dir.join(name).display().to_string())
}

/// What is written to the directory is the user's who runs this: it has to be the node's own.
///
/// # Errors
/// If the directory is another user's, or there is none.
pub(crate) fn check_owner(dir: &Path) -> Result<()> {
    check_owned_by(dir, rustix::process::geteuid().as_raw())
}

fn check_owned_by(dir: &Path, user: u32) -> Result<()> {
    let name = || dir.display().to_string();
    let owner = std::fs::metadata(dir).with_context(name)?.uid();
    ensure!(
        owner == user,
        "{} is another user's, and its node could not read what is written there: run this as that \
         user, with `sudo -u`",
        dir.display()
    );
    Ok(())
}

/// The member of a data directory.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Own(IdentityKey);

impl Own {
    /// Who the card in the directory says that it is.
    ///
    /// # Errors
    /// If there is none.
    pub(crate) fn of(dir: &Path) -> Result<Self> {
        let cards = read(&dir.join(files::CARD), CARD_BYTES_MAX);
        let cards = cards.context("run `zq-node init` first")?;
        let cards: Value = serde_json::from_slice(&cards).context(files::CARD)?;
        let identity = cards.pointer("/member/identity").cloned();
        let identity = serde_json::from_value(identity.unwrap_or_default());
        Ok(Self(identity.context(files::CARD)?))
    }

    /// Its slot among these members, if it is one of them.
    pub(crate) fn slot(self, members: &Membership) -> Option<Slot> {
        let mut cards = members.cards();
        let own = cards.find(|(_, card)| card.identity == self.0);
        own.map(|(slot, _)| slot)
    }
}

/// Longest list of a member's cards that is read.
const CARD_BYTES_MAX: u64 = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_placed_where_the_node_of_another_user_reads() {
        let dir = tempfile::tempdir().expect("a directory");
        let me = rustix::process::geteuid().as_raw();
        check_owned_by(dir.path(), me).expect("its own");
        let refused = check_owned_by(dir.path(), me.wrapping_add(1)).expect_err("another's");
        assert!(refused.to_string().contains("another user's"), "{refused}");
        check_owner(&dir.path().join("nowhere")).expect_err("there is none");
    }
}
