//! The member's observer (rule A13): looks at the sources of waiting requests, once for each request
//! and step, and has the signer sign what it saw.
//!
//! Anybody can name a source, so whatever is looked at is a stranger's choice: [`rules`] says which
//! addresses this node asks at all, [`http`] bounds the answer, [`json`] what is read of it. What a
//! rule forbids, and whatever goes wrong, is an absence that says why: the others go on.
//!
//! Its invariant: that this member observed for a request at a seq is on disk before its signer
//! hears of it, so that no restart makes it say two things.

mod budget;
mod evm;
pub mod http;
pub mod json;
pub mod look;
pub mod noted;
pub mod rules;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use attestation::ids::{RequestId, Seq};
use attestation::request::Request;
use attestation::source::Pull;
use gateway::{Gathering, Report};
use link::local::{Role, ToGuest};
use signer_protocol::blame::Culprit;
use signer_protocol::signer::Sighting;
use state::pull::SignedObservation;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::disk::Disk;
use crate::node::Node;
use crate::peer_message::PeerMessage;
use crate::wire::peer_bytes;
use budget::Budget;
use noted::Noted;
use rules::Rules;

/// How often waiting requests are looked after.
const TICK: Duration = Duration::from_millis(50);
/// After this time the signer is told again of what it has not signed.
const TELL_AGAIN: Duration = Duration::from_secs(2);
/// An own observation that is older is made anew, in a later step.
const OLD_MS: u64 = 45_000;
/// Requests that are looked at for at once.
const LOOKS_MAX: usize = 8;

/// Looks, and remembers what it saw.
pub struct Observer {
    rules: Arc<Rules>,
    disk: Arc<dyn Disk>,
    noted: Mutex<Noted>,
    looks: Mutex<BTreeMap<RequestId, Look>>,
    places: Semaphore,
    budget: Mutex<Budget>,
    now_ms: fn() -> u64,
}

/// One request.
struct Look {
    /// What was seen, once it is noted.
    seen: Option<Sighting>,
    /// When the signer was told last.
    told: Option<Instant>,
    seq: Seq,
}

impl Observer {
    /// An observer by these rules.
    ///
    /// # Errors
    /// The disk's, if what was noted cannot be read.
    pub fn open(rules: Rules, disk: Arc<dyn Disk>, now_ms: fn() -> u64) -> io::Result<Arc<Self>> {
        let noted = Noted::load(&*disk)?;
        let budget = Budget::new(rules.per_minute(), Instant::now());
        Ok(Arc::new(Self {
            rules: Arc::new(rules),
            disk,
            noted: Mutex::new(noted),
            looks: Mutex::default(),
            places: Semaphore::new(LOOKS_MAX),
            budget: Mutex::new(budget),
            now_ms,
        }))
    }

    /// Looks after waiting requests for as long as the node runs.
    pub async fn run(self: Arc<Self>, node: Arc<Node>) {
        loop {
            let waiting = node.gateway.pulls();
            if waiting.is_empty() {
                lock(&self.looks).clear();
                node.gateway.pulls_change().await;
            } else {
                let _ = timeout(TICK, node.gateway.pulls_change()).await;
            }
            if node.gateway.settle_pulls().await {
                node.tell_executable(false).await;
            }
            let ids: BTreeSet<RequestId> = waiting.iter().map(|(id, _)| *id).collect();
            lock(&self.looks).retain(|id, _| ids.contains(id));
            let turns = lock(&self.budget).turns(waiting);
            for (id, request) in turns {
                self.attend(&node, id, request).await;
            }
        }
    }

    async fn attend(self: &Arc<Self>, node: &Arc<Node>, id: RequestId, request: Arc<Request>) {
        let Some(pull) = request.call.pull.as_ref() else {
            return;
        };
        let now_ms = (self.now_ms)();
        if now_ms > pull.deadline_ms {
            return;
        }
        let own = node.gateway.observation_of(node.slot, &id);
        let is_old = |own: &SignedObservation| own.time_ms.saturating_add(OLD_MS) < now_ms;
        if own.as_ref().is_some_and(|own| !is_old(own)) {
            return;
        }
        let head = node.gateway.head().await;
        let head = head.map_or(Seq(0), |head| head.commit.seq);
        let Some(seq) = head.next() else { return };
        let again = match lock(&self.looks).get_mut(&id) {
            // A step has passed since, and what was seen is old: anew.
            Some(look) if look.seq < seq && own.is_some() => None,
            Some(Look {
                seen: Some(seen),
                told,
                ..
            }) if own.is_none() && told.is_none_or(|told| told.elapsed() >= TELL_AGAIN) => {
                *told = Some(Instant::now());
                Some(Some(seen.clone()))
            }
            Some(_) => Some(None),
            None => None,
        };
        match again {
            Some(Some(seen)) => node.tell(Role::Signer, &observe(seen)).await,
            Some(None) => {}
            None => self.begin(node, id, &request, pull, seq).await,
        }
    }

    /// Begins to look, if this member may and has not for this step.
    async fn begin(
        self: &Arc<Self>,
        node: &Arc<Node>,
        id: RequestId,
        request: &Arc<Request>,
        pull: &Pull,
        seq: Seq,
    ) {
        let may = lock(&self.noted).may(&id, seq);
        // Nobody is made to look by who does not pay.
        if !may || node.gateway.check_payable(request).await.is_err() {
            return;
        }
        // What the rules forbid is not asked, and uses nothing up.
        let asked = look::asked(&self.rules, &pull.sources);
        let caller = &request.call.caller;
        if !lock(&self.budget).spend(caller, asked, Instant::now()) {
            tracing::debug!(request = %id, "the sources of this minute are used up");
            return;
        }
        let look = Look {
            seen: None,
            told: None,
            seq,
        };
        lock(&self.looks).insert(id, look);
        let (observer, node, request) = (Arc::clone(self), Arc::clone(node), Arc::clone(request));
        tokio::spawn(async move { observer.look(&node, id, &request, seq).await });
    }

    async fn look(self: Arc<Self>, node: &Node, id: RequestId, request: &Request, seq: Seq) {
        let (Ok(_place), Some(pull)) = (self.places.acquire().await, &request.call.pull) else {
            return;
        };
        let values = look::at_all(&self.rules, &pull.sources).await;
        let time_ms = (self.now_ms)();
        let seen = Sighting {
            request: id,
            seq,
            time_ms,
            values,
        };
        let observer = Arc::clone(&self);
        let noting = tokio::task::spawn_blocking(move || {
            lock(&observer.noted).note(&*observer.disk, id, seq)
        });
        match noting.await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                return tracing::error!(%error, "an observation cannot be noted, and is not made");
            }
            // The runtime is ending.
            Err(_) => return,
        }
        if let Some(look) = lock(&self.looks).get_mut(&id) {
            look.seen = Some(seen.clone());
            look.told = Some(Instant::now());
        }
        node.tell(Role::Signer, &observe(seen)).await;
    }
}

/// The signer has signed what this node saw: every node may use it.
pub fn signed(node: &Arc<Node>, observation: SignedObservation) {
    let message = PeerMessage::Observation(Box::new(observation.clone()));
    if take(node, observation) {
        let bytes = peer_bytes(&message.to_bytes());
        for peer in node.routes.peers() {
            node.routes.send_peer(peer, bytes.clone());
        }
    }
}

/// Takes a member's observation; whether it is new. Two for one step convict the member.
pub fn take(node: &Arc<Node>, observation: SignedObservation) -> bool {
    let slot = observation.slot;
    match node.gateway.observe(observation) {
        Gathering::New => true,
        Gathering::Known => false,
        Gathering::Refused => {
            tracing::debug!(member = slot.0, "an observation that no member has signed");
            false
        }
        Gathering::Twice(act) => {
            let culprit = Culprit::Member(slot);
            let report = Report::Blame { culprit, act };
            crate::control::report(node, report, None);
            false
        }
    }
}

fn observe(seen: Sighting) -> ToGuest {
    ToGuest::Observe(Box::new(seen))
}

/// A panic under one of these locks leaves whole values: every change is one call.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
