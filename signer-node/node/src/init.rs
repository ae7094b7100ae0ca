//! `zq-node init`: a data directory with fresh keys, and the public cards that belong to them.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use attestation::committee::Card;
use attestation::conditions::Engine;
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
use crate::wire::local_bytes;
use crate::{run, supervisor};

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
    said: Said,
    programs: Programs,
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
    let passphrase = passphrase::read(passphrase_file)?;
    let derivation = Derivation::fresh()?;
    derivation.store(&disk)?;
    let keys = derivation.keys(&passphrase)?;
    let maker = Maker::new(programs, images, roles, disk).await?;
    let signer = Account {
        role: Role::Signer,
        said,
    };
    let member = maker.make(signer, &keys.signer).await?;
    let coordinator = match coordinator {
        true => {
            let coordinator = Account {
                role: Role::Coordinator,
                said: Said::default(),
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

/// A new card for the keys of a data directory: of another image, or with another account for what the
/// member earns or another engine. What is not said stays, and so does the Sentinel. It counts from the epoch on whose plan names it.
///
/// # Errors
/// If the directory holds no member, its node runs, or the signer does not do its part.
pub async fn card(
    dir: &Path,
    passphrase_file: Option<&Path>,
    said: Said,
    programs: Programs,
    images: Option<ImageOptions>,
) -> Result<serde_json::Value> {
    let disk = Directory::open(dir)?;
    let old = run::own_card(&disk, "member")?.context("card.json has no member")?;
    let passphrase = passphrase::read(passphrase_file)?;
    let keys = Derivation::load(&disk)?.keys(&passphrase)?;
    let maker = Maker::new(programs, images, &[Role::Signer], disk).await?;
    let signer = Account {
        role: Role::Signer,
        said: Said {
            payout: said.payout.or(Some(old.payout)),
            engine: said.engine.or(old.engine),
        },
    };
    let mut member = maker.make(signer, &keys.signer).await?;
    ensure!(
        member.identity == old.identity,
        "the sealed secrets are another member's than card.json"
    );
    member.sentinel = old.sentinel;
    Ok(serde_json::json!({ "member": member, "profile": runtime::profile() }))
}

/// Has guests make their keys, or the cards of those that they have, one after the other.
struct Maker {
    guests: Guests,
    listener: TcpListener,
    disk: Directory,
    images: Option<Arc<Images>>,
}

/// What an operator says of a member on its card.
#[derive(Clone, Copy, Debug, Default)]
pub struct Said {
    /// Account that gets what the member earns.
    pub payout: Option<IdentityKey>,
    /// What its executor runs zApps with.
    pub engine: Option<Engine>,
}

/// A guest and what its card says.
#[derive(Clone, Copy)]
struct Account {
    role: Role,
    said: Said,
}

impl Maker {
    async fn new(
        mut programs: Programs,
        images: Option<ImageOptions>,
        roles: &[Role],
        disk: Directory,
    ) -> Result<Self> {
        let images = images.map(|mut options| {
            // The member's network may not be there yet; one address on loopback will do.
            options.taps.clear();
            let roles: Vec<_> = roles.iter().map(|role| (*role, None)).collect();
            Images::open(&options, &roles).map(Arc::new)
        });
        let images = images.transpose()?;
        programs.images.clone_from(&images);
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        Ok(Self {
            guests: Guests::new(programs, &listener)?,
            listener,
            disk,
            images,
        })
    }

    async fn make(&self, account: Account, key: &SealingKey) -> Result<Card> {
        let role = account.role;
        let mut child = self.guests.start(role, 1, None).await?;
        let last_words = supervisor::listen(&mut child, role);
        let card = timeout(WAIT, async {
            let (socket, _) = tokio::select! {
                accepted = self.listener.accept() => accepted?,
                status = child.wait() => bail!("it ended at once ({})", status?),
            };
            let guest = self.guests.greet(socket).await?;
            let image = self.images.as_ref().and_then(|images| images.digest(role));
            talk(guest, account, key, image, &self.disk).await
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
    image: Option<Digest>,
    disk: &dyn Disk,
) -> Result<Card> {
    let name = files::sealed(account.role).context("an executor has no secrets")?;
    let sealed = disk.load(name, files::SEALED_BYTES_MAX)?;
    let boot = ToGuest::Boot(Box::new(Boot {
        slot: None,
        rank: None,
        record: None,
        sealing_key: Some(key.clone()),
        sealed: sealed.map(serde_bytes::ByteBuf::from),
        key: None,
        evm_key: None,
        epochs: Vec::new(),
        change: None,
        head: None,
        executor: None,
        signer: None,
        image,
        payout: account.said.payout,
        engine: account.said.engine,
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
