//! Changes of members at a node: approved by its operator, in their ceremony, in force.
//!
//! The operator approves a plan with `zq-node approve`, which writes it into the data directory; a
//! running node finds it there and starts its signer anew with it. What the ceremony comes to is
//! kept. The change is in force once a step says so (rule B4): the node, which holds the whole
//! state, sees that, writes the change down, and starts signer and coordinator in the new epoch.
//! A node that took no part in the ceremony asks the others for what proves it.

use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result};
use attestation::codec;
use attestation::committee::{Card, CreationRecord};
use attestation::ids::{Epoch, RuntimeProfile, Slot};
use gateway::{ChangeStage, ChangeView, EpochView};
use link::local::{PendingChange, Role};
use serde_bytes::ByteBuf;
use signer_protocol::dkg::{DkgProgress, KeyRecord};
use signer_protocol::lineage::{CHANGE_FILE_BYTES_MAX, ChangeFile, EpochRecord, Lineage};
use signer_protocol::membership::Membership;
use state::system::Successor;
use tokio::time::sleep;

use crate::compile::EngineChoice;
use crate::control::ControlError;
use crate::disk::Disk;
use crate::files;
use crate::gossip::Meeting;
use crate::node::Node;
use crate::peer_message::PeerMessage;
use crate::wire::peer_bytes;

/// How often a node looks for a change that was approved, and asks for one that it misses.
const LOOK: Duration = Duration::from_secs(1);
/// Longest list of changes that is read.
pub(crate) const EPOCHS_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Changes above one epoch that are kept when their ceremony is complete.
const COMPLETE_MAX: usize = 16;

/// A committee's epochs as a node knows them.
#[derive(Debug, Default)]
pub struct Epochs {
    key: Option<KeyRecord>,
    evm_key: Option<KeyRecord>,
    epochs: Vec<EpochRecord>,
    lineage: Option<Lineage>,
    /// Changes of the epoch in force whose ceremonies are complete: also one that was given up can
    /// come into force, if t members had voted for it before.
    complete: Vec<EpochRecord>,
    change: Option<(PendingChange, ChangeStage)>,
}

impl Epochs {
    /// Reads what the data directory holds. What keeps the approved change from being taken up is
    /// returned beside it: the epoch in force goes on without.
    ///
    /// # Errors
    /// If a file that the epoch in force needs cannot be read, or does not hold what it should.
    pub fn load(disk: &dyn Disk, record: &CreationRecord) -> Result<(Self, Option<String>)> {
        let key: Option<KeyRecord> = read(disk, files::KEY, files::KEY_BYTES_MAX)?;
        let epochs: Vec<EpochRecord> =
            read(disk, files::EPOCHS, EPOCHS_BYTES_MAX as u64)?.unwrap_or_default();
        let lineage = match &key {
            Some(key) => {
                let first = Lineage::new(record, key).context(files::KEY)?;
                Some(first.through(&epochs).context(files::EPOCHS)?)
            }
            None => None,
        };
        let evm_key: Option<KeyRecord> = read(disk, files::EVM_KEY, files::KEY_BYTES_MAX)?;
        if let Some(key) = &evm_key {
            key.check_evm(record).context(files::EVM_KEY)?;
        }
        let mut loaded = Self {
            key,
            evm_key,
            epochs,
            lineage,
            ..Self::default()
        };
        let taken_up = loaded.load_change(disk, record);
        let problem = taken_up.err().map(|error| not_taken_up(&error));
        Ok((loaded, problem))
    }

    fn load_change(&mut self, disk: &dyn Disk, record: &CreationRecord) -> Result<()> {
        let complete: Option<Vec<EpochRecord>> =
            read(disk, files::COMPLETE, EPOCHS_BYTES_MAX as u64)?;
        let complete = complete.unwrap_or_default().into_iter();
        self.complete = complete.filter(|change| self.proves(change)).collect();
        if let Some(file) = approved(disk)? {
            self.take_up(record, file)?;
        }
        Ok(())
    }

    /// Whether the change proves an epoch after the one in force.
    fn proves(&self, change: &EpochRecord) -> bool {
        let lineage = self.lineage.as_ref();
        lineage.is_some_and(|lineage| lineage.after(change).is_ok())
    }

    /// The key of the first epoch.
    #[must_use]
    pub const fn key(&self) -> Option<&KeyRecord> {
        self.key.as_ref()
    }

    /// The second key, for EVM chains.
    #[must_use]
    pub const fn evm_key(&self) -> Option<&KeyRecord> {
        self.evm_key.as_ref()
    }

    /// Changes that are in force, in order.
    #[must_use]
    pub fn in_force(&self) -> &[EpochRecord] {
        &self.epochs
    }

    /// The change that is approved and not in force.
    #[must_use]
    pub fn pending(&self) -> Option<&PendingChange> {
        self.change.as_ref().map(|(pending, _)| pending)
    }

    /// The epoch in force, once there is a key.
    #[must_use]
    pub fn in_force_epoch(&self) -> Option<Epoch> {
        self.lineage.as_ref().map(Lineage::epoch)
    }

    /// What proves the epoch in force, once there is a key.
    pub(crate) const fn lineage(&self) -> Option<&Lineage> {
        self.lineage.as_ref()
    }

    /// Whether the member in `slot` is part of the epoch in force.
    #[must_use]
    pub fn is_member(&self, slot: Slot) -> bool {
        self.card_in_force(slot).is_some()
    }

    /// The card of a guest that has one: a member's signer, or the coordinator of a rank.
    #[must_use]
    pub fn card_of<'a>(
        &'a self,
        record: &'a CreationRecord,
        role: Role,
        slot: Slot,
        rank: Option<u16>,
    ) -> Option<&'a Card> {
        match role {
            Role::Signer => self.card(record, slot),
            Role::Coordinator => record.coordinators.get(usize::from(rank?)),
            Role::Executor => None,
        }
    }

    /// The card of the member in `slot`: of the epoch in force, the planned one, or the first.
    #[must_use]
    pub fn card<'a>(&'a self, record: &'a CreationRecord, slot: Slot) -> Option<&'a Card> {
        let planned = self
            .pending()
            .into_iter()
            .flat_map(|change| &change.plan.members);
        let planned = planned
            .filter(|member| member.slot == slot)
            .map(|member| &member.card);
        let current = self.lineage.as_ref();
        let current = current.and_then(|lineage| lineage.members().member(slot));
        let current = current.into_iter();
        current.chain(planned).chain(record.member(slot)).next()
    }

    /// What the card of the member in `slot` says that its executor runs zApps with.
    #[must_use]
    pub fn engine(&self, record: &CreationRecord, slot: Slot) -> Option<EngineChoice> {
        let card = self.card(record, slot)?;
        card.engine.map(EngineChoice::from)
    }

    /// The members of the epoch in force, or of the first while there is no key.
    #[must_use]
    pub fn members(&self, record: &CreationRecord) -> Membership {
        let lineage = self.lineage.as_ref();
        lineage.map_or_else(
            || Membership::of(record),
            |lineage| lineage.members().clone(),
        )
    }

    /// The slot of the member whose card this is.
    #[must_use]
    pub fn slot_of(&self, record: &CreationRecord, card: &Card) -> Option<Slot> {
        let same = |other: &Card| other.identity == card.identity;
        let plans = self.epochs.iter().map(|epoch| &epoch.plan);
        let plans = plans.chain(self.pending().map(|change| &change.plan));
        let later: Vec<Slot> = plans
            .flat_map(|plan| &plan.members)
            .filter(|member| same(&member.card))
            .map(|member| member.slot)
            .collect();
        let mut first = record.slots().zip(&record.members);
        let first = first.find(|(_, card)| same(card)).map(|(slot, _)| slot);
        later.last().copied().or(first)
    }

    /// Whether the change is news. One that is of another epoch than that in force is over.
    fn take_up(&mut self, record: &CreationRecord, file: ChangeFile) -> Result<bool> {
        anyhow::ensure!(
            file.record.id() == record.id(),
            "the approved change is of another committee"
        );
        let Some(lineage) = &self.lineage else {
            anyhow::bail!("a change was approved, but the committee has no key yet");
        };
        if file.plan.base != lineage.epoch() || self.is_pending(&file) {
            return Ok(false);
        }
        lineage.planned(&file.plan).context("the approved plan")?;
        let complete = self.complete.iter().find(|change| change.plan == file.plan);
        let stage = complete.map_or(ChangeStage::Approved, |change| {
            ChangeStage::Ready(change.cutover().to_bytes())
        });
        let key = complete.map(|change| change.key.clone());
        let plan = file.plan;
        self.change = Some((PendingChange { plan, key }, stage));
        Ok(true)
    }

    fn is_pending(&self, file: &ChangeFile) -> bool {
        self.pending()
            .is_some_and(|change| change.plan == file.plan)
    }

    /// What others may see of it, once there is a key.
    fn view(&self) -> Option<EpochView> {
        let change = self.change.as_ref().map(|(pending, stage)| ChangeView {
            plan: pending.plan.clone(),
            stage: stage.clone(),
        });
        Some(EpochView {
            key: self.key.clone()?,
            evm_key: self.evm_key.clone(),
            epochs: self.epochs.clone(),
            lineage: self.lineage.clone()?,
            change,
        })
    }
}

fn read<T: serde::Serialize + serde::de::DeserializeOwned>(
    disk: &dyn Disk,
    name: &str,
    bytes_max: u64,
) -> Result<Option<T>> {
    let bytes = disk
        .load(name, bytes_max)
        .with_context(|| name.to_owned())?;
    let bytes_max = usize::try_from(bytes_max).unwrap_or(usize::MAX);
    bytes
        .map(|bytes| codec::decode(&bytes, bytes_max).with_context(|| name.to_owned()))
        .transpose()
}

fn approved(disk: &dyn Disk) -> Result<Option<ChangeFile>> {
    read(disk, files::CHANGE, CHANGE_FILE_BYTES_MAX as u64)
}

impl Node {
    /// The committee's epochs.
    pub fn epochs(&self) -> MutexGuard<'_, Epochs> {
        // Every change under the lock leaves a whole value.
        self.epochs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows the gateway what is known of epochs.
    pub async fn show_epochs(&self) {
        let view = self.epochs().view();
        if let Some(view) = view {
            self.board.epochs(&view);
            self.gateway.set_epochs(view).await;
        }
    }

    /// The committee has its key; false if it had before.
    ///
    /// # Errors
    /// [`ControlError::Key`] if the record proves nothing.
    pub async fn set_key(&self, key: &KeyRecord) -> Result<bool, ControlError> {
        let lineage = Lineage::new(&self.record, key)?;
        let new = {
            let mut epochs = self.epochs();
            let new = epochs.key.is_none();
            if new {
                epochs.key = Some(key.clone());
                epochs.lineage = Some(lineage);
            }
            new
        };
        self.show_epochs().await;
        Ok(new)
    }

    /// The committee has its second key, for EVM chains; false if it had before. It is on disk
    /// before anybody is told.
    ///
    /// # Errors
    /// [`ControlError`] if the record proves nothing, or cannot be written.
    pub async fn set_evm_key(&self, key: &KeyRecord) -> Result<bool, ControlError> {
        key.check_evm(&self.record)?;
        self.write(files::EVM_KEY, key.to_bytes()).await?;
        let new = self.epochs().evm_key.replace(key.clone()).is_none();
        self.show_epochs().await;
        Ok(new)
    }

    /// How far the ceremony is.
    pub async fn change_stage(&self, progress: DkgProgress) {
        if let Some((pending, stage)) = &mut self.epochs().change
            && pending.key.is_none()
        {
            *stage = ChangeStage::Ceremony(progress);
        }
        self.show_epochs().await;
    }

    /// The ceremony is over without new shares.
    pub async fn change_aborted(&self, why: &str) {
        if let Some((_, stage)) = &mut self.epochs().change {
            *stage = ChangeStage::Aborted(why.to_owned());
        }
        self.show_epochs().await;
    }

    /// The ceremony is complete.
    ///
    /// # Errors
    /// [`ControlError`] if its record proves nothing, or cannot be written.
    pub async fn changed(&self, key: KeyRecord) -> Result<(), ControlError> {
        let complete = {
            let mut epochs = self.epochs();
            let epochs = &mut *epochs;
            let (Some((pending, stage)), Some(lineage)) = (&mut epochs.change, &epochs.lineage)
            else {
                return Ok(());
            };
            let change = EpochRecord {
                plan: pending.plan.clone(),
                key,
            };
            lineage.after(&change)?;
            *stage = ChangeStage::Ready(change.cutover().to_bytes());
            pending.key = Some(change.key.clone());
            if !epochs.complete.contains(&change) && epochs.complete.len() < COMPLETE_MAX {
                epochs.complete.push(change);
            }
            codec::encode(&epochs.complete)
        };
        let written = self.write(files::COMPLETE, complete).await;
        if let Err(error) = &written {
            let line = format!("a complete change cannot be written down: {error}");
            self.board.alert(line);
        }
        self.show_epochs().await;
        tracing::info!("the change of members is complete and waits for its cutover");
        Ok(written?)
    }

    /// Puts the epochs into force that the state says, if what proves them is at hand; asks the
    /// others for it if not.
    pub async fn follow_epochs(self: &Arc<Self>) {
        while let Some(successor) = self.gateway.successor(self.epoch()).await {
            let known = {
                let epochs = self.epochs();
                let named = |change: &&EpochRecord| names(&successor, change);
                epochs.complete.iter().find(named).cloned()
            };
            let adopted = match known {
                Some(change) => self.adopt(change).await,
                None => false,
            };
            if !adopted {
                let base = self.epoch();
                let message = PeerMessage::WantEpoch { base }.to_bytes();
                for peer in self.routes.peers() {
                    self.routes.send_peer(peer, peer_bytes(&message));
                }
                return;
            }
        }
    }

    /// The epoch that this node works in; 0 before there is a key.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        let epochs = self.epochs();
        epochs.lineage.as_ref().map_or(Epoch(0), Lineage::epoch)
    }

    /// Engine, gas schedule, host ABI and limits of the epoch in force.
    #[must_use]
    pub fn profile(&self) -> RuntimeProfile {
        let epochs = self.epochs();
        let lineage = epochs.lineage.as_ref();
        lineage.map_or(self.record.profile, Lineage::profile)
    }

    /// What proves the epoch after `base`, for a peer that misses it.
    #[must_use]
    pub fn epoch_after(&self, base: Epoch) -> Option<PeerMessage> {
        let epochs = self.epochs();
        let change = epochs.epochs.iter().find(|epoch| epoch.plan.base == base)?;
        Some(PeerMessage::Epoch(ByteBuf::from(codec::encode(change))))
    }

    /// A peer's proof of the epoch after the one that this node works in.
    pub async fn take_epoch(self: &Arc<Self>, bytes: &[u8]) {
        // Nothing is looked at that the state does not ask for.
        if self.gateway.successor(self.epoch()).await.is_some()
            && let Ok(change) = codec::decode(bytes, CHANGE_FILE_BYTES_MAX)
            && self.adopt(change).await
        {
            self.follow_epochs().await;
        }
    }

    /// Puts a change into force, if it is the one that the state has there.
    async fn adopt(self: &Arc<Self>, change: EpochRecord) -> bool {
        // Every peer answers, and each answer comes on a task of its own.
        let _turn = self.adopting.lock().await;
        let base = self.epoch();
        let successor = self.gateway.successor(base).await;
        if !successor.is_some_and(|successor| names(&successor, &change)) {
            return false;
        }
        let Some(lineage) = self.epochs().lineage.clone() else {
            return false;
        };
        // Hundreds of signatures in a large committee.
        let proven = tokio::task::spawn_blocking(move || {
            let next = lineage.after(&change).ok()?;
            Some((next, change))
        });
        let Ok(Some((next, change))) = proven.await else {
            return false;
        };
        let (epoch, bytes) = {
            let mut all = self.epochs().epochs.clone();
            all.push(change.clone());
            (next.epoch(), codec::encode(&all))
        };
        // Before anything signs in it.
        if let Err(error) = self.write(files::EPOCHS, bytes).await {
            let line = format!("epoch {epoch} is in force and cannot be written down: {error}");
            self.board.alert(line);
            return false;
        }
        let stays = next.members().member(self.slot).is_some();
        let engine = self.engine();
        {
            let mut epochs = self.epochs();
            epochs.lineage = Some(next);
            epochs.epochs.push(change);
            epochs.complete.clear();
            epochs.change = None;
        }
        self.show_epochs().await;
        tracing::info!(epoch = epoch.0, stays, "a new epoch is in force");
        self.board.epoch_began();
        if !stays {
            let line = format!("epoch {epoch} is in force, and this member is not in it");
            self.board.alert(line);
        }
        self.check_profile();
        if self.engine() != engine {
            tracing::info!(engine = ?self.engine(), "this member's new card names another engine");
            self.restart(Role::Executor);
        }
        self.restart(Role::Signer);
        self.restart(Role::Coordinator);
        true
    }

    /// Tells the operator if steps are run by another release than this.
    pub fn check_profile(&self) {
        let (expected, here) = (self.profile(), runtime::profile());
        if expected != here {
            self.board.alert(format!(
                "epoch {} runs steps under profile {expected}, and this release runs {here}: this \
                 member takes no part until the release of that profile is installed",
                self.epoch()
            ));
        }
    }

    /// Ends a guest; its supervisor starts another, with what is known now.
    fn restart(&self, role: Role) {
        if let Some(session) = self.routes.guest(role) {
            session.stop();
        }
    }

    async fn write(&self, name: &'static str, bytes: Vec<u8>) -> std::io::Result<()> {
        let disk = Arc::clone(&self.disk);
        let written = tokio::task::spawn_blocking(move || disk.replace(name, &bytes)).await;
        // The runtime is ending.
        written.unwrap_or_else(|_| Err(std::io::ErrorKind::Interrupted.into()))
    }
}

impl Epochs {
    fn card_in_force(&self, slot: Slot) -> Option<&Card> {
        self.lineage.as_ref()?.members().member(slot)
    }
}

/// Takes up what the operator approves while the node runs, and what others put into force.
pub async fn watch(node: Arc<Node>, meeting: Arc<Meeting>) {
    let mut refused = String::new();
    let mut repair_refused = String::new();
    loop {
        sleep(LOOK).await;
        node.follow_epochs().await;
        crate::repair::look(&node, &mut repair_refused).await;
        match look(&node) {
            Ok(false) => {}
            Ok(true) => {
                tracing::info!("the operator approved a change of members");
                match files::peers(&*node.disk) {
                    Ok(peers) => meeting.meet_all(peers),
                    Err(error) => node.board.alert(format!("{error:#}")),
                }
                node.show_epochs().await;
                node.restart(Role::Signer);
            }
            // Once, and not every second.
            Err(error) => {
                let line = not_taken_up(&error);
                if line != refused {
                    tracing::warn!("{line}");
                    node.board.alert(line.clone());
                    refused = line;
                }
            }
        }
    }
}

fn look(node: &Node) -> Result<bool> {
    let Some(file) = approved(&*node.disk)? else {
        return Ok(false);
    };
    node.epochs().take_up(&node.record, file)
}

fn not_taken_up(error: &anyhow::Error) -> String {
    format!("the approved change is not taken up: {error:#}")
}

/// Whether this is the change that the state has after an epoch.
fn names(successor: &Successor, change: &EpochRecord) -> bool {
    let named = (change.plan.epoch, change.plan.digest());
    named == (successor.epoch, successor.plan) && change.key.package_digest() == successor.package
}
