//! The parts of a running node, and what every one of them may ask of the others.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use attestation::committee::CreationRecord;
use attestation::ids::{ChannelKey, Digest, ModuleDigest, Seq, Slot};
use gateway::Gateway;
use link::local::{Boot, Role, ToGuest};
use link::secret::SealingKey;
use signer_protocol::lane::Signed;
use tokio::sync::{Notify, mpsc, watch};

use crate::board::Board;
use crate::change::Epochs;
use crate::compile::EngineChoice;
use crate::disk::Disk;
use crate::download::Upload;
use crate::files;
use crate::guests::boot_seed;
use crate::images::{self, Images};
use crate::passphrase::SealingKeys;
use crate::peer_message::Part;
use crate::register_thread::RegisterThread;
use crate::relay::{Gone, Routes, Session};
use crate::sentinel::active::Backed;

/// Most modules remembered that were asked of peers.
const REMEMBERED_MAX: usize = 64 * 1024;

/// Signatures over leaves that wait for the chain adapter.
const SIGNED_MAX: usize = 64;

/// Parts of a bundle that wait for whoever puts them together.
const PARTS_MAX: usize = 2;

/// A running node.
pub struct Node {
    /// The member.
    pub slot: Slot,
    /// The rank of the coordinator that this node hosts.
    pub rank: Option<u16>,
    /// The committee.
    pub record: CreationRecord,
    /// The member's records.
    pub disk: Arc<dyn Disk>,
    /// The register's thread.
    pub register: RegisterThread,
    /// The full state, the queue, the jobs.
    pub gateway: Gateway,
    /// Who gets relayed frames.
    pub routes: Arc<Routes>,
    /// The node's own condition.
    pub board: Arc<Board>,
    /// A peer told a higher head, or a step was accepted.
    pub heads: Notify,
    keys: SealingKeys,
    facts: Mutex<Facts>,
    executable: watch::Sender<bool>,
    images: Option<Arc<Images>>,
    /// What the operator says that the executor runs zApps with.
    engine: Option<EngineChoice>,
    restored: AtomicBool,
    /// Something for the chain adapter.
    chain: Notify,
    pub(crate) epochs: Mutex<Epochs>,
    /// Held while an epoch is put into force: one at a time.
    pub(crate) adopting: tokio::sync::Mutex<()>,
    turns: BTreeMap<Role, tokio::sync::Mutex<()>>,
}

#[derive(Default)]
struct Facts {
    executor: Option<ChannelKey>,
    modules_wanted: BTreeSet<ModuleDigest>,
    expected: Option<(Slot, Seq, mpsc::Sender<Part>)>,
    upload: Upload,
    signed: VecDeque<Signed>,
}

/// What a node is made of before its parts are put together.
pub struct Parts {
    /// The member.
    pub slot: Slot,
    /// The rank of the coordinator that this node hosts.
    pub rank: Option<u16>,
    /// The committee.
    pub record: CreationRecord,
    /// The committee's key and epochs, as far as the node knows them.
    pub epochs: Epochs,
    /// The guests' sealing keys.
    pub keys: SealingKeys,
    /// The member's records.
    pub disk: Arc<dyn Disk>,
    /// The register's thread.
    pub register: RegisterThread,
    /// The gateway.
    pub gateway: Gateway,
    /// The routes.
    pub routes: Arc<Routes>,
    /// The board.
    pub board: Arc<Board>,
    /// The images that guests are booted from; none for processes.
    pub images: Option<Arc<Images>>,
    /// What the operator says that the executor runs zApps with.
    pub engine: Option<EngineChoice>,
    /// The operator says that the member's disk is new or was restored (rule C2).
    pub restored: bool,
}

impl Node {
    /// Puts a node together.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        Self {
            slot: parts.slot,
            rank: parts.rank,
            record: parts.record,
            disk: parts.disk,
            register: parts.register,
            gateway: parts.gateway,
            routes: parts.routes,
            board: parts.board,
            heads: Notify::new(),
            keys: parts.keys,
            facts: Mutex::default(),
            chain: Notify::new(),
            epochs: Mutex::new(parts.epochs),
            adopting: tokio::sync::Mutex::default(),
            executable: watch::Sender::new(false),
            images: parts.images,
            engine: parts.engine,
            restored: AtomicBool::new(parts.restored),
            turns: [Role::Signer, Role::Executor, Role::Coordinator]
                .map(|role| (role, tokio::sync::Mutex::default()))
                .into(),
        }
    }

    /// What a guest starts from.
    ///
    /// # Errors
    /// The disk's, if the sealed secrets cannot be read; the system's, if it has no randomness.
    pub async fn boot(&self, role: Role) -> std::io::Result<Boot> {
        let head = self.gateway.head().await;
        let sealed = match files::sealed(role) {
            Some(name) => self.disk.load(name, files::SEALED_BYTES_MAX)?,
            None => None,
        };
        let executor = self.facts().executor;
        let epochs = self.epochs();
        let card = epochs.card(&self.record, self.slot);
        Ok(Boot {
            slot: Some(self.slot),
            rank: self.rank,
            record: Some(self.record.clone()),
            sealing_key: self.sealing_key(role),
            sealed: sealed.map(serde_bytes::ByteBuf::from),
            key: epochs.key().cloned(),
            evm_key: epochs.evm_key().cloned(),
            epochs: epochs.in_force().to_vec(),
            change: epochs.pending().cloned(),
            head,
            executor: executor.filter(|_| role == Role::Signer),
            signer: card.map(|card| card.channel),
            image: self.images.as_ref().and_then(|images| images.digest(role)),
            payout: None,
            engine: None,
            restored: self.restored.load(Ordering::Relaxed),
            seed: boot_seed()?,
        })
    }

    /// The image that a guest is to be in the epoch in force, if its card names one.
    #[must_use]
    pub fn claimed_image(&self, role: Role) -> Option<Digest> {
        let epochs = self.epochs();
        let card = epochs.card_of(&self.record, role, self.slot, self.rank);
        card.and_then(images::claim)
    }

    /// What the executor runs zApps with: what its card says in the epoch in force, or else what its
    /// operator says.
    #[must_use]
    pub fn engine(&self) -> EngineChoice {
        let said = self.epochs().engine(&self.record, self.slot);
        said.or(self.engine).unwrap_or_default()
    }

    /// Members of the epoch in force, or of the first, and whose Sentinels stand behind them.
    #[must_use]
    pub fn backed(&self) -> Vec<Backed> {
        Backed::of(self.epochs().members(&self.record).cards())
    }

    fn sealing_key(&self, role: Role) -> Option<SealingKey> {
        match role {
            Role::Signer => Some(self.keys.signer.clone()),
            Role::Coordinator => Some(self.keys.coordinator.clone()),
            Role::Executor => None,
        }
    }

    /// Sends a control message to a guest, if it is there.
    pub async fn tell(&self, role: Role, message: &ToGuest) {
        let _turn = self.turn(role).await;
        if let Some(session) = self.routes.guest(role) {
            // A guest that is gone is told everything at its next start.
            let _: Result<(), Gone> = session.send(message).await;
        }
    }

    /// The turn to tell a guest something of the node's own accord: held while it boots, so that
    /// nothing comes before its boot message.
    pub async fn turn(&self, role: Role) -> Option<tokio::sync::MutexGuard<'_, ()>> {
        Some(self.turns.get(&role)?.lock().await)
    }

    /// The executor's channel key, for the signer.
    pub fn set_executor(&self, key: ChannelKey) {
        self.facts().executor = Some(key);
    }

    /// The signer's register says by now what the operator said of the disk: a later start must not
    /// say it again, in another epoch.
    pub fn restored_noted(&self) {
        self.restored.store(false, Ordering::Relaxed);
    }

    /// Tells signer and coordinator whether a request waits that could run (rule A10), if that has
    /// changed or `again`.
    pub async fn tell_executable(&self, again: bool) {
        let waits = self.gateway.executable();
        let changed = self.executable.send_replace(waits) != waits;
        if changed || again {
            self.tell(Role::Signer, &ToGuest::Executable(waits)).await;
            self.tell(Role::Coordinator, &ToGuest::Executable(waits))
                .await;
        }
    }

    /// Tells a guest that has just started.
    ///
    /// # Errors
    /// [`Gone`] if it has ended already.
    pub async fn tell_executable_to(&self, session: &Session) -> Result<(), Gone> {
        let waits = self.gateway.executable();
        session.send(&ToGuest::Executable(waits)).await
    }

    /// Whether the coordinator that this node hosts leads the view that the own signer is in.
    #[must_use]
    pub fn leads(&self) -> bool {
        let ranks = u64::try_from(self.record.coordinators.len()).unwrap_or(1);
        let view = self.board.view();
        self.rank
            .zip(view)
            .is_some_and(|(rank, view)| view.0 % ranks.max(1) == u64::from(rank))
    }

    /// Notes that a module is wanted; false if it was already.
    pub fn want_module(&self, module: ModuleDigest) -> bool {
        bounded_insert(&mut self.facts().modules_wanted, module)
    }

    /// Whether a module was asked for; it is forgotten by the question.
    pub fn wanted_module(&self, module: &ModuleDigest) -> bool {
        self.facts().modules_wanted.remove(module)
    }

    /// Where parts of this step's bundle from this peer go from now on; all others are dropped.
    pub fn expect_parts(&self, peer: Slot, seq: Seq) -> mpsc::Receiver<Part> {
        let (sender, parts) = mpsc::channel(PARTS_MAX);
        self.facts().expected = Some((peer, seq, sender));
        parts
    }

    /// Passes a part on to whoever expects it.
    pub fn give_part(&self, from: Slot, part: Part) {
        if let Some((peer, seq, parts)) = &self.facts().expected
            && (*peer, *seq) == (from, part.seq)
        {
            // What nobody takes was not asked for, or is asked for again.
            let _ = parts.try_send(part);
        }
    }

    /// A part of a step's bundle for a peer.
    ///
    /// # Errors
    /// The store's, if the step cannot be read.
    pub async fn part(&self, seq: Seq, at: u64) -> Result<Option<Part>, gateway::StoreError> {
        if !self.facts().upload.holds(seq) {
            let Some(bundle) = self.gateway.step_bundle(seq).await? else {
                return Ok(None);
            };
            self.facts().upload.put(seq, bundle);
        }
        Ok(self.facts().upload.part(seq, at))
    }

    /// The coordinator has had a leaf signed.
    pub fn leaf_signed(&self, signed: Signed) {
        let mut facts = self.facts();
        if facts.signed.len() == SIGNED_MAX {
            facts.signed.pop_front();
        }
        facts.signed.push_back(signed);
        drop(facts);
        self.chain_woken();
    }

    /// What was signed since the last question.
    pub fn take_signed(&self) -> VecDeque<Signed> {
        std::mem::take(&mut self.facts().signed)
    }

    /// There is something to do for the committee's account.
    pub fn chain_woken(&self) {
        self.chain.notify_one();
    }

    /// Completes when there is.
    pub async fn chain_news(&self) {
        self.chain.notified().await;
    }

    fn facts(&self) -> MutexGuard<'_, Facts> {
        // Facts are independent of each other: a panic while one is written spoils no other.
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Inserts, making room by forgetting one; false if it was there.
fn bounded_insert<T: Ord>(set: &mut BTreeSet<T>, value: T) -> bool {
    if set.len() >= REMEMBERED_MAX {
        set.pop_first();
    }
    set.insert(value)
}
