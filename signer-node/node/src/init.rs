//! `zq-node init`: a data directory with fresh keys, and the public cards that belong to them.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use attestation::committee::Card;
use link::local::{Boot, Role, ToGuest, ToNode};
use link::secret::SealingKey;
use signer_protocol::frame::Frame;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::time::timeout;

use crate::disk::{Directory, Disk};
use crate::files;
use crate::guests::{Greeted, Guests, Programs};
use crate::passphrase::{self, Derivation};
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
    programs: Programs,
) -> Result<serde_json::Value> {
    let disk = Directory::open(dir)?;
    if disk.load(files::CARD, 64 * 1024)?.is_some() {
        bail!("{} holds a member already", dir.display());
    }
    let passphrase = passphrase::read(passphrase_file)?;
    let derivation = Derivation::fresh()?;
    derivation.store(&disk)?;
    let keys = derivation.keys(&passphrase)?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let guests = Guests::new(programs, &listener)?;
    let member = make(&guests, &listener, Role::Signer, &keys.signer, &disk).await?;
    let coordinator = match coordinator {
        true => Some(
            make(
                &guests,
                &listener,
                Role::Coordinator,
                &keys.coordinator,
                &disk,
            )
            .await?,
        ),
        false => None,
    };
    let cards = serde_json::json!({
        "member": member,
        "coordinator": coordinator,
        "profile": runtime::profile(),
    });
    // Last: its presence says that everything before it is there.
    disk.replace(files::CARD, &serde_json::to_vec_pretty(&cards)?)?;
    Ok(cards)
}

async fn make(
    guests: &Guests,
    listener: &TcpListener,
    role: Role,
    key: &SealingKey,
    disk: &dyn Disk,
) -> Result<Card> {
    let mut child = guests.start(role, 1).await?;
    let card = timeout(WAIT, async {
        let (socket, _) = listener.accept().await?;
        talk(guests.greet(socket).await?, role, key, disk).await
    });
    let card = card
        .await
        .context("the guest did not make its keys in time")??;
    // Its connection is closed: it ends by itself.
    timeout(WAIT, child.wait()).await??;
    Ok(card)
}

async fn talk(mut guest: Greeted, role: Role, key: &SealingKey, disk: &dyn Disk) -> Result<Card> {
    let boot = ToGuest::Boot(Box::new(Boot {
        slot: None,
        rank: None,
        record: None,
        sealing_key: Some(key.clone()),
        sealed: None,
        key: None,
        head: None,
        executor: None,
        signer: None,
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
                let name = files::sealed(role).context("an executor has no secrets")?;
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
