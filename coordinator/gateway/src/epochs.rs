//! What a gateway knows of its committee's epochs: who the members are now, and what is to change.

use std::sync::Arc;

use attestation::ids::{Epoch, RequestId, Slot};
use attestation::request::Call;
use signer_protocol::committee::Committee;
use signer_protocol::dkg::{DkgProgress, KeyRecord};
use signer_protocol::lineage::{EpochRecord, Lineage};
use signer_protocol::reshare::ChangePlan;
use state::system::{self, Successor, methods};

use crate::gateway::{Gateway, lock};
use crate::rows::Closed;
use crate::status::NodeStatus;

/// The epochs of a committee that has its key.
#[derive(Clone, Debug)]
pub struct EpochView {
    /// The key record of the key generation.
    pub key: KeyRecord,
    /// The record of the second key, for EVM chains, once there is one.
    pub evm_key: Option<KeyRecord>,
    /// Changes that are in force, in order.
    pub epochs: Vec<EpochRecord>,
    /// The epoch in force.
    pub lineage: Lineage,
    /// What this node's operator has approved and is not in force.
    pub change: Option<ChangeView>,
}

/// A change that is under way.
#[derive(Clone, Debug)]
pub struct ChangeView {
    /// What is planned.
    pub plan: ChangePlan,
    /// How far it is.
    pub stage: ChangeStage,
}

/// How far a change is at this member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ChangeStage {
    /// Approved; the ceremony has not begun.
    Approved,
    /// In its ceremony.
    Ceremony(DkgProgress),
    /// Complete: this is the input of the request that puts it into force.
    Ready(Vec<u8>),
    /// Over without new shares, and why.
    Aborted(String),
}

impl Gateway {
    /// Takes in what the node knows of the committee's epochs. Requests for a change that is not to
    /// come any more leave the queue.
    pub async fn set_epochs(&self, view: EpochView) {
        *lock(&self.inner.epochs) = Some(Arc::new(view));
        let over: Vec<RequestId> = {
            let queue = self.queue();
            let over = queue
                .iter()
                .filter(|(_, request)| !self.is_ready(&request.call));
            over.map(|(id, _)| *id).collect()
        };
        for id in &over {
            self.queue().remove(id);
        }
        let over = over.into_iter().map(|id| (id, Closed::Impossible));
        self.close(over.collect()).await;
    }

    /// The epoch that followed `base`, as the state says.
    pub async fn successor(&self, base: Epoch) -> Option<Successor> {
        let chain = self.inner.chain.read().await;
        // A whole state shows every entry.
        chain.state.successor(base).ok().flatten()
    }

    /// The committee's epochs, once it has a key.
    #[must_use]
    pub fn epochs(&self) -> Option<Arc<EpochView>> {
        lock(&self.inner.epochs).clone()
    }

    /// The committee as the next step finds it.
    pub async fn committee(&self) -> Option<system::Committee> {
        let chain = self.inner.chain.read().await;
        // A whole state shows every entry.
        chain.state.committee().ok().flatten()
    }

    /// The committee in every epoch so far: what was signed in one is of its members.
    pub(crate) fn committees(&self) -> Vec<Committee> {
        let Some(view) = self.epochs() else {
            let first = self.key().map(|key| Committee::new(self.record(), key));
            return first.into_iter().flatten().collect();
        };
        let key = view.lineage.group_key();
        let all = view.lineage.all();
        all.filter_map(|members| Committee::in_epoch(self.record(), members, key).ok())
            .collect()
    }

    /// The members of the epoch in force, once there is a key.
    pub(crate) fn committee_in_force(&self) -> Option<Committee> {
        let Some(view) = self.epochs() else {
            return Committee::new(self.record(), self.key()?).ok();
        };
        let key = view.lineage.group_key();
        Committee::in_epoch(self.record(), view.lineage.members(), key).ok()
    }

    /// t of the epoch in force.
    #[must_use]
    pub fn threshold(&self) -> u16 {
        let epochs = self.epochs();
        epochs.map_or(self.record().threshold, |view| {
            view.lineage.members().threshold()
        })
    }

    /// How many members of the epoch in force can vote; nodes of others may be connected as well.
    pub(crate) fn voting(&self, node: &NodeStatus) -> usize {
        let epochs = self.epochs();
        let is_member = |slot| {
            let members = epochs.as_ref().map(|view| view.lineage.members());
            members.is_none_or(|members| members.member(Slot(slot)).is_some())
        };
        let voting = node.members.iter().filter(|member| member.votes);
        voting.filter(|member| is_member(member.slot)).count()
    }

    /// Whether a request may be taken as far as epochs go (rule B4): members vote for a cutover
    /// only once its ceremony is complete, and each one before would spoil a job.
    pub(crate) fn is_ready(&self, call: &Call) -> bool {
        let epochs = self.epochs();
        let epoch = epochs
            .as_ref()
            .map_or(Epoch(1), |view| view.lineage.epoch());
        // One that is over is refused by the step itself.
        if methods::effective_cutover(call, epoch).is_none() {
            return true;
        }
        let change = epochs.as_ref().and_then(|view| view.change.as_ref());
        change.is_some_and(|change| match &change.stage {
            ChangeStage::Ready(input) => *input == call.input,
            ChangeStage::Approved | ChangeStage::Ceremony(_) | ChangeStage::Aborted(_) => false,
        })
    }
}

#[cfg(test)]
#[path = "epochs_tests.rs"]
mod tests;
