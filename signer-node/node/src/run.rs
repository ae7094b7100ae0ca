//! `zq-node run`: puts the parts together and keeps them running.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use attestation::committee::{Card, CreationRecord};
use attestation::conditions::Engine;
use attestation::ids::{Digest, Slot};
use gateway::{Gateway, Options, StatusSource};
use link::local::Role;
use rustix::process::DumpableBehavior;
use state::job::Domain;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::board::Board;
use crate::chain::ChainSettings;
use crate::change::Epochs;
use crate::compile::{Compiler, EngineChoice};
use crate::disk::Disk;
use crate::engine::Engines;
use crate::gossip::Meeting;
use crate::guests::{Guests, Programs};
use crate::images::{ImageOptions, Images, check_process, claim};
use crate::node::{Node, Parts};
use crate::observe::Observer;
use crate::observe::rules::Rules;
use crate::passphrase::{self, Derivation};
use crate::peer_message::PeerMessage;
use crate::peers::Peer;
use crate::register::Register;
use crate::register_thread::RegisterThread;
use crate::relay::Routes;
use crate::sentinel::active::{self, Backed};
use crate::supervisor::Ended;
use crate::{chain, change, cosign, files, gossip, peers, repair, session, supervisor};

/// What the operator gives.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Data directory.
    pub dir: PathBuf,
    /// File with the passphrase; asked for at the terminal without one.
    pub passphrase_file: Option<PathBuf>,
    /// The committee's creation record.
    pub record: PathBuf,
    /// The member's slot; found by its card without one.
    pub slot: Option<u16>,
    /// Rank of the coordinator to run; found by its card without one.
    pub coordinator: Option<u16>,
    /// Address of the guests' port.
    pub guests_listen: String,
    /// Address of the peers' port.
    pub peers_listen: String,
    /// Address of the HTTP API.
    pub http: String,
    /// The other nodes.
    pub peers: Vec<Peer>,
    /// Guest programs.
    pub programs: Programs,
    /// Images to boot in their place.
    pub images: Option<ImageOptions>,
    /// What the executor runs zApps with, if the operator says so.
    pub engine: Option<EngineChoice>,
    /// RPCs of the operator's NoM nodes.
    pub nom_rpc: Vec<String>,
    /// The operator's NoM nodes, if the member has any.
    pub chain: Option<ChainSettings>,
    /// The data directory was restored or made anew (rule C2).
    pub restored: bool,
    /// Which sources the node looks at.
    pub observe: Rules,
}

/// Runs a node on its data directory until `stop` completes.
///
/// # Errors
/// If it cannot start, or its HTTP listener fails.
pub async fn run(
    mut settings: Settings,
    disk: Arc<dyn Disk>,
    stop: impl Future<Output = ()> + Send + 'static,
) -> Result<()> {
    // Other processes of this user, guests and engines among them, may not look into this one.
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable)?;
    let bytes = std::fs::read(&settings.record).with_context(|| {
        format!(
            "no creation record at {}: put it there, or name it with --record",
            settings.record.display()
        )
    })?;
    let record = CreationRecord::from_bytes(&bytes)?;
    record.check()?;
    let (epochs, mut problem) = Epochs::load(&*disk, &record)?;
    let slot = own_slot(&*disk, &record, &epochs, settings.slot)?;
    let coordinator = match settings.coordinator {
        Some(rank) => Some(rank),
        None => own_rank(&*disk, &record)?,
    };
    check_rank(&record, slot, coordinator)?;
    check_engine(epochs.engine(&record, slot), settings.engine)?;
    if epochs.key().is_none() {
        check_sentinels(&record, &settings.nom_rpc).await?;
    }
    let roles = match coordinator {
        Some(_) => vec![Role::Executor, Role::Signer, Role::Coordinator],
        None => vec![Role::Executor, Role::Signer],
    };
    let claims = roles.iter().map(|role| {
        let card = epochs.card_of(&record, *role, slot, coordinator);
        (*role, card.and_then(claim))
    });
    let images = open_images(settings.images.as_ref(), &claims.collect::<Vec<_>>())?;
    settings.programs.images.clone_from(&images);
    if let Err(error) = files::add_peers(&*disk, &mut settings.peers) {
        problem = Some(format!("{error:#}"));
    }
    let passphrase = passphrase::read(settings.passphrase_file.as_deref())?;
    let keys = Derivation::load(&*disk)?.keys(&passphrase)?;
    drop(passphrase);

    let guests_listener = bind(&settings.guests_listen).await?;
    let peers_listener = bind(&settings.peers_listen).await?;
    let http_listener = bind(&settings.http).await?;
    let board = Arc::new(Board::new(
        slot,
        &roles,
        settings.peers.iter().map(|peer| peer.slot),
    ));
    let domain = Domain {
        network: record.network,
        committee: record.id(),
    };
    let register = Register::open(Arc::clone(&disk), &domain, slot)?;
    let register = RegisterThread::start(register, Arc::clone(&board))?;
    let gateway = Gateway::open(Options {
        dir: settings.dir.join(files::STORE),
        record: record.clone(),
        key: epochs.key().and_then(|key| key.group_key.ed25519()),
        compiler: Arc::new(Compiler::new()?),
        engines: Arc::new(Engines::new()?),
        status: Arc::clone(&board) as Arc<dyn StatusSource>,
        now_ms,
    })
    .await?;
    let node = Arc::new(Node::new(Parts {
        slot,
        rank: coordinator,
        record,
        epochs,
        keys,
        disk: Arc::clone(&disk),
        register,
        gateway: gateway.clone(),
        routes: Arc::new(Routes::new(slot, coordinator)),
        board: Arc::clone(&board),
        images,
        engine: settings.engine,
        restored: settings.restored,
    }));
    listening(&*disk, &peers_listener, &http_listener)?;
    tracing::info!(
        slot = slot.0,
        committee = %domain.committee,
        peers = %peers_listener.local_addr()?,
        http = %http_listener.local_addr()?,
        engine = ?node.engine(),
        "node started"
    );
    node.show_epochs().await;
    node.check_profile();
    if let Some(problem) = problem {
        tracing::warn!("{problem}");
        node.board.alert(problem);
    }
    repair::resume(&node);
    let observer = Observer::open(settings.observe, disk, now_ms)?;
    tokio::spawn(observer.run(Arc::clone(&node)));
    start_peers(&node, domain, peers_listener, settings.peers);
    if node.record.conditions.sentinels && !settings.nom_rpc.is_empty() {
        tokio::spawn(active::watch(Arc::clone(&node), settings.nom_rpc));
    }
    if let Some(settings) = settings.chain {
        tokio::spawn(chain::follow(Arc::clone(&node), settings));
    }
    start_guests(&node, settings.programs, guests_listener, &roles)?;
    gateway.serve(http_listener, stop).await;
    tracing::info!("node stopped");
    Ok(())
}

fn start_peers(node: &Arc<Node>, domain: Domain, listener: TcpListener, peers: Vec<Peer>) {
    let own = PeerMessage::Hello {
        committee: domain.committee,
        from: node.slot,
        to: node.slot,
    };
    let (connected, connections) = mpsc::channel(64);
    let meeting = Arc::new(Meeting::new(node, connected));
    tokio::spawn(gossip::greet(Arc::clone(node), connections));
    tokio::spawn(gossip::announce(Arc::clone(node), node.gateway.subscribe()));
    tokio::spawn(gossip::say_able(Arc::clone(node)));
    tokio::spawn(gossip::catch_up(Arc::clone(node)));
    tokio::spawn(gossip::take_up(Arc::clone(node)));
    tokio::spawn(cosign::work(Arc::clone(node)));
    meeting.meet_all(peers);
    let inbox = Arc::clone(&meeting.inbox);
    tokio::spawn(change::watch(Arc::clone(node), meeting));
    tokio::spawn(peers::listen(
        listener,
        own,
        Arc::clone(&node.routes),
        inbox,
    ));
}

fn start_guests(
    node: &Arc<Node>,
    programs: Programs,
    listener: TcpListener,
    roles: &[Role],
) -> Result<()> {
    let guests = Arc::new(Guests::new(programs, &listener)?);
    let ended: BTreeMap<Role, Arc<Ended>> = roles
        .iter()
        .map(|role| (*role, Arc::new(Ended::default())))
        .collect();
    for role in roles {
        let ended = ended.get(role).map(Arc::clone).unwrap_or_default();
        tokio::spawn(supervisor::supervise(
            *role,
            Arc::clone(&guests),
            Arc::clone(node),
            ended,
        ));
    }
    let of = move |role: Role| ended.get(&role).map(Arc::clone).unwrap_or_default();
    tokio::spawn(session::listen(listener, guests, Arc::clone(node), of));
    Ok(())
}

async fn bind(address: &str) -> Result<TcpListener> {
    TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}"))
}

/// Whose node this is: the slot whose card the data directory holds.
pub(crate) fn own_slot(
    disk: &dyn Disk,
    record: &CreationRecord,
    epochs: &Epochs,
    given: Option<u16>,
) -> Result<Slot> {
    let card = own_card(disk, "member")?.context("card.json has no member")?;
    let slot = epochs
        .slot_of(record, &card)
        .context("neither the creation record nor an approved change names this member's card")?;
    if given.is_some_and(|given| given != slot.0) {
        bail!("this member's card is at slot {slot}");
    }
    Ok(slot)
}

/// Which rank the record gives to the coordinator whose card the data directory holds.
fn own_rank(disk: &dyn Disk, record: &CreationRecord) -> Result<Option<u16>> {
    let Some(card) = own_card(disk, "coordinator")? else {
        return Ok(None);
    };
    let mut ranks = (0u16..).zip(&record.coordinators);
    let found = ranks.find(|(_, coordinator)| coordinator.identity == card.identity);
    Ok(found.map(|(rank, _)| rank))
}

pub(crate) fn own_card(disk: &dyn Disk, role: &str) -> Result<Option<Card>> {
    let bytes = disk.load(files::CARD, 64 * 1024)?;
    let bytes = bytes.context("no card.json: run `zq-node init` first")?;
    let cards: serde_json::Value = serde_json::from_slice(&bytes).context("card.json")?;
    let card = cards.get(role).cloned().unwrap_or_default();
    serde_json::from_value(card).context("card.json")
}

/// The coordinator of rank r runs at the node of slot r + 1, where everybody looks for it.
fn check_rank(record: &CreationRecord, slot: Slot, rank: Option<u16>) -> Result<()> {
    let Some(rank) = rank else { return Ok(()) };
    if usize::from(rank) >= record.coordinators.len() {
        bail!("the creation record has no coordinator of rank {rank}");
    }
    if crate::relay::host(signer_protocol::message::Endpoint::Coordinator(rank)) != Some(slot) {
        bail!(
            "the coordinator of rank {rank} runs at the node of slot {}",
            rank + 1
        );
    }
    Ok(())
}

/// A card that names an engine is the member's word to the committee, which may count on it.
fn check_engine(said: Option<EngineChoice>, configured: Option<EngineChoice>) -> Result<()> {
    match (said, configured) {
        (Some(said), Some(configured)) if said != configured => {
            let [said, configured] = [said, configured].map(Engine::from);
            bail!(
                "this member's card says that it runs {said}, and --engine or node.toml says \
                 {configured}: leave the engine out there, or make a new card with `zq-node card \
                 --engine {configured}`, which counts from the change of members on that names it"
            )
        }
        _ => Ok(()),
    }
}

/// Before a member takes part in making the committee's key, the others' Sentinels are active by
/// the operator's own NoM node.
async fn check_sentinels(record: &CreationRecord, nom_rpc: &[String]) -> Result<()> {
    if !record.conditions.sentinels {
        return Ok(());
    }
    let members = Backed::of(record.slots().zip(&record.members));
    let (network, urls) = (record.network, nom_rpc.to_vec());
    let ask = move || active::require(&urls, network, &members);
    let asked = tokio::task::spawn_blocking(ask).await?;
    asked.context("this member takes no part in making the committee's key")
}

/// The images of the guests, where what the committee says of them is what will be booted.
fn open_images(
    options: Option<&ImageOptions>,
    claims: &[(Role, Option<Digest>)],
) -> Result<Option<Arc<Images>>> {
    let Some(options) = options else {
        for (role, claimed) in claims {
            check_process(*role, claimed.as_ref())?;
        }
        return Ok(None);
    };
    Ok(Some(Arc::new(Images::open(options, claims)?)))
}

/// Writes down the ports: they may have been chosen by the system.
fn listening(disk: &dyn Disk, peers: &TcpListener, http: &TcpListener) -> Result<()> {
    let address = |listener: &TcpListener| listener.local_addr();
    let json = serde_json::json!({
        "pid": std::process::id(),
        "peers": address(peers)?,
        "http": address(http)?,
    });
    disk.replace(files::LISTENING, &serde_json::to_vec_pretty(&json)?)?;
    let peers: SocketAddr = address(peers)?;
    Ok(disk.replace("peers.address", peers.to_string().as_bytes())?)
}

pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
