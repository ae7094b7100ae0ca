//! Who waits for which request: one channel per waited-for request, so that an accepted step
//! wakes only those who wait for it.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use attestation::ids::RequestId;
use tokio::sync::watch;

use crate::submit::RequestState;

#[derive(Debug, Default)]
pub(crate) struct Watches {
    channels: Mutex<BTreeMap<RequestId, watch::Sender<RequestState>>>,
}

impl Watches {
    /// Changes of a request from now on. The caller reads the request's state afterwards: a
    /// change between the two is then seen twice, never missed.
    pub(crate) fn watch(&self, id: RequestId) -> watch::Receiver<RequestState> {
        let mut channels = self.lock();
        // Waiters that left without an answer must not grow the map.
        if channels.len() >= SWEEP_AT {
            channels.retain(|_, channel| channel.receiver_count() > 0);
        }
        channels
            .entry(id)
            .or_insert_with(|| watch::channel(RequestState::Pending).0)
            .subscribe()
    }

    /// Tells all who wait for `id` how it ended.
    pub(crate) fn tell(&self, id: &RequestId, state: &RequestState) {
        if let Some(channel) = self.lock().remove(id) {
            channel.send_replace(state.clone());
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<RequestId, watch::Sender<RequestState>>> {
        // A panic elsewhere leaves the map whole: every change is one call.
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const SWEEP_AT: usize = 8192;
