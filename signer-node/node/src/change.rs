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
use attestation::ids::{Epoch, Slot};
use gateway::{ChangeStage, ChangeView, EpochView};
use link::local::{PendingChange, Role};
use serde_bytes::ByteBuf;
use signer_protocol::dkg::{DkgProgress, KeyRecord};
use signer_protocol::lineage::{CHANGE_FILE_BYTES_MAX, ChangeFile, EpochRecord, Lineage};
use tokio::time::sleep;

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
const EPOCHS_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A committee's epochs as a node knows them.
#[derive(Debug, Default)]
pub struct Epochs {
    key: Option<KeyRecord>,
    epochs: Vec<EpochRecord>,
    lineage: Option<Lineage>,
    change: Option<(PendingChange, ChangeStage)>,
}

impl Epochs {
    /// Reads what the data directory holds.
    ///
    /// # Errors
    /// If a file cannot be read, or does not hold what it should.
    pub fn load(disk: &dyn Disk, record: &CreationRecord) -> Result<Self> {
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
        let mut loaded = Self {
            key,
            epochs,
            lineage,
            change: None,
        };
        let completed: Option<KeyRecord> = read(disk, files::CHANGE_KEY, files::KEY_BYTES_MAX)?;
        if let Some(file) = approved(disk)? {
            loaded.take_up(record, file, completed.as_ref())?;
        }
        Ok(loaded)
    }

    /// The key of the first epoch.
    #[must_use]
    pub const fn key(&self) -> Option<&KeyRecord> {
        self.key.as_ref()
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

    /// Whether the member in `slot` is part of the epoch in force.
    #[must_use]
    pub fn is_member(&self, slot: Slot) -> bool {
        self.card_in_force(slot).is_some()
    }

    /// The card of the member in `slot`: of the planned epoch, the one in force, or the first.
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
        planned.chain(current).chain(record.member(slot)).next()
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
    fn take_up(
        &mut self,
        record: &CreationRecord,
        file: ChangeFile,
        completed: Option<&KeyRecord>,
    ) -> Result<bool> {
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
        let complete = completed.and_then(|key| {
            let change = EpochRecord {
                plan: file.plan.clone(),
                key: key.clone(),
            };
            lineage.after(&change).is_ok().then_some(change)
        });
        let stage = complete.as_ref().map_or(ChangeStage::Approved, |change| {
            ChangeStage::Ready(change.cutover().to_bytes())
        });
        let pending = PendingChange {
            plan: file.plan,
            key: complete.map(|change| change.key),
        };
        self.change = Some((pending, stage));
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
    pub fn show_epochs(&self) {
        let view = self.epochs().view();
        if let Some(view) = view {
            self.gateway.set_epochs(view);
        }
    }

    /// The committee has its key; false if it had before.
    ///
    /// # Errors
    /// [`ControlError::Key`] if the record proves nothing.
    pub fn set_key(&self, key: &KeyRecord) -> Result<bool, ControlError> {
        let lineage = Lineage::new(&self.record, key)?;
        let mut epochs = self.epochs();
        let new = epochs.key.is_none();
        if new {
            epochs.key = Some(key.clone());
            epochs.lineage = Some(lineage);
        }
        drop(epochs);
        self.show_epochs();
        Ok(new)
    }

    /// How far the ceremony is.
    pub fn change_stage(&self, progress: DkgProgress) {
        if let Some((pending, stage)) = &mut self.epochs().change
            && pending.key.is_none()
        {
            *stage = ChangeStage::Ceremony(progress);
        }
        self.show_epochs();
    }

    /// The ceremony is over without new shares.
    pub fn change_aborted(&self, why: &str) {
        if let Some((_, stage)) = &mut self.epochs().change {
            *stage = ChangeStage::Aborted(why.to_owned());
        }
        self.show_epochs();
    }

    /// The ceremony is complete.
    ///
    /// # Errors
    /// [`ControlError`] if its record proves nothing, or cannot be written.
    pub async fn changed(&self, key: KeyRecord) -> Result<(), ControlError> {
        let bytes = key.to_bytes();
        {
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
            pending.key = Some(change.key);
        }
        self.write(files::CHANGE_KEY, bytes).await?;
        self.show_epochs();
        tracing::info!("the change of members is complete and waits for its cutover");
        Ok(())
    }

    /// Puts the epoch into force that the state says, if what proves it is at hand; asks the others
    /// for it if not.
    pub async fn follow_epochs(self: &Arc<Self>) {
        let Some(committee) = self.gateway.committee().await else {
            return;
        };
        let change = {
            let epochs = self.epochs();
            let Some(lineage) = &epochs.lineage else {
                return;
            };
            if committee.epoch <= lineage.epoch() {
                return;
            }
            epochs.pending().and_then(|pending| {
                Some(EpochRecord {
                    plan: pending.plan.clone(),
                    key: pending.key.clone()?,
                })
            })
        };
        let base = self.epoch();
        match change {
            Some(change) if self.adopt(&change).await => {}
            _ => {
                let message = PeerMessage::WantEpoch { base }.to_bytes();
                for peer in self.routes.peers() {
                    self.routes.send_peer(peer, peer_bytes(&message));
                }
            }
        }
    }

    /// The epoch that this node works in; 0 before there is a key.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        let epochs = self.epochs();
        epochs.lineage.as_ref().map_or(Epoch(0), Lineage::epoch)
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
        if let Ok(change) = codec::decode(bytes, CHANGE_FILE_BYTES_MAX)
            && self.adopt(&change).await
        {
            self.follow_epochs().await;
        }
    }

    /// Puts a change into force, if the state has it there.
    async fn adopt(self: &Arc<Self>, change: &EpochRecord) -> bool {
        let Some(committee) = self.gateway.committee().await else {
            return false;
        };
        let (epoch, bytes) = {
            let epochs = self.epochs();
            let Some(Ok(next)) = epochs.lineage.as_ref().map(|lineage| lineage.after(change))
            else {
                return false;
            };
            let is_last = next.epoch() == committee.epoch;
            let named = (change.plan.digest(), change.key.package_digest());
            if next.epoch() > committee.epoch
                || is_last && named != (committee.plan, committee.package)
            {
                return false;
            }
            let mut all = epochs.epochs.clone();
            all.push(change.clone());
            (next.epoch(), codec::encode(&all))
        };
        // Before anything signs in it.
        if let Err(error) = self.write(files::EPOCHS, bytes).await {
            let line = format!("epoch {epoch} is in force and cannot be written down: {error}");
            self.board.alert(line);
            return false;
        }
        {
            let mut epochs = self.epochs();
            let epochs = &mut *epochs;
            let Some(Ok(next)) = epochs.lineage.as_ref().map(|lineage| lineage.after(change))
            else {
                return false;
            };
            epochs.lineage = Some(next);
            epochs.epochs.push(change.clone());
            epochs.change = None;
        }
        self.show_epochs();
        let stays = self.epochs().card_in_force(self.slot).is_some();
        tracing::info!(epoch = epoch.0, stays, "a new epoch is in force");
        self.board.epoch_began();
        if !stays {
            let line = format!("epoch {epoch} is in force, and this member is not in it");
            self.board.alert(line);
        }
        self.restart(Role::Signer);
        self.restart(Role::Coordinator);
        true
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
    loop {
        sleep(LOOK).await;
        node.follow_epochs().await;
        match look(&node) {
            Ok(false) => {}
            Ok(true) => {
                tracing::info!("the operator approved a change of members");
                meeting.meet_all(files::peers(&*node.disk).unwrap_or_default());
                node.show_epochs();
                node.restart(Role::Signer);
            }
            // Once, and not every second.
            Err(error) => {
                let line = format!("the approved change is not taken up: {error:#}");
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
    node.epochs().take_up(&node.record, file, None)
}
