//! `zq-node init`: a data directory with fresh keys, and the public cards that belong to them.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use attestation::committee::Card;
use attestation::ids::{Digest, IdentityKey};
use link::local::{Boot, Role, ToGuest, ToNode};
use link::secret::SealingKey;
use signer_protocol::frame::Frame;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::board::name;
use crate::disk::{Directory, Disk};
use crate::files;
use crate::guests::{Greeted, Guests, Programs, boot_seed};
use crate::images::{ImageOptions, Images};
use crate::passphrase::{self, Derivation};
use crate::supervisor;
use crate::wire::local_bytes;

/// How long a guest may take to make its keys.
const WAIT: Duration = Duration::from_secs(30);

/// Creates the data directory.
///
/// # Errors
/// If it holds a member already, or a guest does not do its part.
pub async fn init(
    dir: &Path,
    passphrase_file: Option<&Path>,
    coordinator: bool,
    payout: Option<IdentityKey>,
    mut programs: Programs,
    images: Option<ImageOptions>,
) -> Result<serde_json::Value> {
    let disk = Directory::open(dir)?;
    if disk.load(files::CARD, 64 * 1024)?.is_some() {
        bail!("{} holds a member already", dir.display());
    }
    let roles = match coordinator {
        true => [Role::Signer, Role::Coordinator].as_slice(),
        false => &[Role::Signer],
    };
    let images = images.map(|mut options| {
        // The member's network may not be there yet; one address on loopback will do.
        options.taps.clear();
        Images::open(&options, roles)
    });
    programs.images = images.transpose()?;
    let images = programs.images.as_ref().map(Images::digests);
    let images = images.unwrap_or_default();
    let passphrase = passphrase::read(passphrase_file)?;
    let derivation = Derivation::fresh()?;
    derivation.store(&disk)?;
    let keys = derivation.keys(&passphrase)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let maker = Maker {
        guests: Guests::new(programs, &listener)?,
        listener,
        disk,
        images,
    };
    let signer = Account {
        role: Role::Signer,
        payout,
    };
    let member = maker.make(signer, &keys.signer).await?;
    let coordinator = match coordinator {
        true => {
            let coordinator = Account {
                role: Role::Coordinator,
                payout: None,
            };
            Some(maker.make(coordinator, &keys.coordinator).await?)
        }
        false => None,
    };
    let cards = serde_json::json!({
        "member": member,
        "coordinator": coordinator,
        "profile": runtime::profile(),
    });
    // Last: its presence says that everything before it is there.
    let disk = &maker.disk;
    disk.replace(files::CARD, &serde_json::to_vec_pretty(&cards)?)?;
    Ok(cards)
}

/// Has guests make their keys, one after the other.
struct Maker {
    guests: Guests,
    listener: TcpListener,
    disk: Directory,
    images: BTreeMap<Role, Digest>,
}

/// A guest and where its pay goes.
#[derive(Clone, Copy)]
struct Account {
    role: Role,
    payout: Option<IdentityKey>,
}

impl Maker {
    async fn make(&self, account: Account, key: &SealingKey) -> Result<Card> {
        let role = account.role;
        let mut child = self.guests.start(role, 1).await?;
        let last_words = supervisor::listen(&mut child, role);
        let card = timeout(WAIT, async {
            let (socket, _) = tokio::select! {
                accepted = self.listener.accept() => accepted?,
                status = child.wait() => bail!("it ended at once ({})", status?),
            };
            let guest = self.guests.greet(socket).await?;
            talk(guest, account, key, &self.images, &self.disk).await
        });
        let card = card.await.context("it took too long");
        // Its connection is closed: it ends by itself.
        let ended = timeout(WAIT, child.wait()).await;
        match card.flatten() {
            Ok(card) => {
                ended??;
                Ok(card)
            }
            Err(error) => {
                child.start_kill().ok();
                let said = last_words.await.unwrap_or_default();
                let name = name(role);
                Err(error.context(format!("the {name} did not make its keys: {said}")))
            }
        }
    }
}

async fn talk(
    mut guest: Greeted,
    account: Account,
    key: &SealingKey,
    images: &BTreeMap<Role, Digest>,
    disk: &dyn Disk,
) -> Result<Card> {
    let boot = ToGuest::Boot(Box::new(Boot {
        slot: None,
        rank: None,
        record: None,
        sealing_key: Some(key.clone()),
        sealed: None,
        key: None,
        evm_key: None,
        epochs: Vec::new(),
        change: None,
        head: None,
        executor: None,
        signer: None,
        image: images.get(&account.role).copied(),
        payout: account.payout,
        restored: false,
        seed: boot_seed()?,
    }));
    guest
        .writer
        .write_all(&local_bytes(&boot.to_bytes()))
        .await?;
    while let Some(frame) = guest.frames.next().await? {
        let Frame::Local(body) = frame else {
            bail!("the guest sent another frame than a control message");
        };
        let Some(message) = guest.assembly.push(&body)? else {
            continue;
        };
        match ToNode::from_bytes(&message)? {
            ToNode::Replace { sealed } => {
                let name = files::sealed(account.role).context("an executor has no secrets")?;
                disk.replace(name, &sealed)?;
                let replaced = local_bytes(&ToGuest::Replaced.to_bytes());
                guest.writer.write_all(&replaced).await?;
            }
            ToNode::Card(card) => return Ok(card),
            ToNode::Halt { reason } => bail!("the guest stopped: {reason}"),
            _ => bail!("the guest sent another message than its card"),
        }
    }
    bail!("the guest ended before it had made its keys")
}
