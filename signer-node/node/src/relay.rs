//! Who gets a relayed frame: guests of this node by their connection, all others through the node
//! that hosts them.
//!
//! Queues are bounded and a full one drops what comes next: packets may be lost anywhere on their
//! way, channels and state machines send again. Control messages to guests wait instead.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use attestation::ids::Slot;
use link::local::{Role, ToGuest};
use signer_protocol::frame::Frame;
use signer_protocol::message::Endpoint;
use tokio::sync::{Notify, mpsc};

use crate::wire::local_bytes;

/// Longest relayed payload: a Noise message of 65,535 bytes with the channel's header.
pub const PAYLOAD_BYTES_MAX: usize = 68 * 1024;
/// Most frames or messages waiting for one receiver.
pub const QUEUE_MAX: usize = 2048;

/// A message to another node that is longer waits only behind fewer than [`LONG_WAITING_MAX`].
const LONG_BYTES: usize = 2 * PAYLOAD_BYTES_MAX;
/// Most messages in a queue that takes another long one.
const LONG_WAITING_MAX: usize = 8;

/// The node's side of a queue to one receiver: each item is written to the socket as it is.
pub type Outgoing = mpsc::Sender<Vec<u8>>;

/// The connection of one guest process.
#[derive(Clone, Debug)]
pub struct Session {
    /// Rises with every process that is started for the role.
    pub generation: u64,
    queue: Outgoing,
    stopped: Arc<Notify>,
}

/// The receiver is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the connection has ended")]
pub struct Gone;

impl Session {
    /// A session whose bytes go to `queue`.
    #[must_use]
    pub fn new(generation: u64, queue: Outgoing) -> Self {
        Self {
            generation,
            queue,
            stopped: Arc::default(),
        }
    }

    /// Ends the connection, and with it the guest; its supervisor starts another.
    pub fn stop(&self) {
        self.stopped.notify_one();
    }

    /// Waits until [`Self::stop`] is called.
    pub async fn stopped(&self) {
        self.stopped.notified().await;
    }

    /// Sends a control message, waiting for room.
    ///
    /// # Errors
    /// [`Gone`] if the guest's connection has ended.
    pub async fn send(&self, message: &ToGuest) -> Result<(), Gone> {
        let bytes = local_bytes(&message.to_bytes());
        self.queue.send(bytes).await.map_err(|_| Gone)
    }

    /// Sends a control message from a thread that is not the runtime's.
    ///
    /// # Errors
    /// [`Gone`] if the guest's connection has ended.
    pub fn send_blocking(&self, message: &ToGuest) -> Result<(), Gone> {
        let bytes = local_bytes(&message.to_bytes());
        self.queue.blocking_send(bytes).map_err(|_| Gone)
    }
}

/// What became of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relayed {
    /// It waits for its receiver.
    Queued,
    /// Its receiver is away or too slow: dropped, as the network might have.
    Dropped,
    /// No honest sender makes such a frame.
    Refused,
}

/// The routes of one node.
#[derive(Debug)]
pub struct Routes {
    me: Slot,
    rank: Option<u16>,
    guests: Mutex<BTreeMap<Role, Session>>,
    peers: Mutex<BTreeMap<Slot, Outgoing>>,
}

impl Routes {
    /// Routes of the node of `me`, which hosts the coordinator of `rank` if any, and knows no peer
    /// yet.
    #[must_use]
    pub const fn new(me: Slot, rank: Option<u16>) -> Self {
        Self {
            me,
            rank,
            guests: Mutex::new(BTreeMap::new()),
            peers: Mutex::new(BTreeMap::new()),
        }
    }

    /// Takes a peer's queue in; false if it has one, which stays.
    pub fn meet(&self, peer: Slot, queue: Outgoing) -> bool {
        let mut peers = self.peers_mut();
        let new = !peers.contains_key(&peer);
        peers.entry(peer).or_insert(queue);
        new
    }

    /// The session of a guest, if it is connected.
    #[must_use]
    pub fn guest(&self, role: Role) -> Option<Session> {
        self.guests().get(&role).cloned()
    }

    /// Whether this is still the guest's session.
    #[must_use]
    pub fn is_current(&self, role: Role, generation: u64) -> bool {
        let guests = self.guests();
        guests
            .get(&role)
            .is_some_and(|session| session.generation == generation)
    }

    /// Makes a session the guest's.
    pub fn connect(&self, role: Role, session: Session) {
        self.guests().insert(role, session);
    }

    /// Ends a session, unless another has taken its place.
    pub fn disconnect(&self, role: Role, generation: u64) {
        let mut guests = self.guests();
        if guests
            .get(&role)
            .is_some_and(|session| session.generation == generation)
        {
            guests.remove(&role);
        }
    }

    /// Relays what a guest of this node sends.
    pub fn from_guest(&self, role: Role, frame: Frame) -> Relayed {
        let Frame::Relay { from, to, payload } = &frame else {
            return Relayed::Refused;
        };
        if Some(*from) != self.endpoint(role) || payload.len() > PAYLOAD_BYTES_MAX {
            return Relayed::Refused;
        }
        // An executor has one peer, the signer beside it.
        if role == Role::Executor && *to != Endpoint::Signer(self.me) {
            return Relayed::Refused;
        }
        match host(*to) {
            Some(slot) if slot == self.me => self.to_guest(*to, &frame),
            Some(slot) => self.to_peer(slot, &frame),
            None => Relayed::Refused,
        }
    }

    /// Relays what the node of `peer` sends.
    pub fn from_peer(&self, peer: Slot, frame: Frame) -> Relayed {
        let Frame::Relay { from, to, payload } = &frame else {
            return Relayed::Refused;
        };
        let crosses =
            |endpoint: Endpoint| matches!(endpoint, Endpoint::Signer(_) | Endpoint::Coordinator(_));
        let sender_ok = crosses(*from) && host(*from) == Some(peer);
        let receiver_ok = crosses(*to) && host(*to) == Some(self.me);
        if !sender_ok || !receiver_ok || payload.len() > PAYLOAD_BYTES_MAX {
            return Relayed::Refused;
        }
        self.to_guest(*to, &frame)
    }

    /// Sends a message to another node; dropped if that node is away or too slow. Of long ones few
    /// wait: a peer that asks for steps and does not read them must not fill the memory.
    pub fn send_peer(&self, peer: Slot, bytes: Vec<u8>) -> Relayed {
        let room = |queue: &&Outgoing| {
            let waiting = queue.max_capacity() - queue.capacity();
            bytes.len() <= LONG_BYTES || waiting < LONG_WAITING_MAX
        };
        let queue = self.peers_mut().get(&peer).filter(room).cloned();
        match queue.map(|queue| queue.try_send(bytes)) {
            Some(Ok(())) => Relayed::Queued,
            Some(Err(_)) | None => Relayed::Dropped,
        }
    }

    /// The other nodes.
    #[must_use]
    pub fn peers(&self) -> Vec<Slot> {
        self.peers_mut().keys().copied().collect()
    }

    fn peers_mut(&self) -> MutexGuard<'_, BTreeMap<Slot, Outgoing>> {
        // Every change under the lock is one call: a panic leaves a whole map.
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn endpoint(&self, role: Role) -> Option<Endpoint> {
        match role {
            Role::Signer => Some(Endpoint::Signer(self.me)),
            Role::Executor => Some(Endpoint::Executor(self.me)),
            Role::Coordinator => self.rank.map(Endpoint::Coordinator),
        }
    }

    fn to_guest(&self, to: Endpoint, frame: &Frame) -> Relayed {
        let role = match to {
            Endpoint::Signer(_) => Role::Signer,
            Endpoint::Executor(_) => Role::Executor,
            Endpoint::Coordinator(rank) if Some(rank) == self.rank => Role::Coordinator,
            // Its place is here, whether or not the operator runs it: whoever looks for it errs
            // in nothing.
            Endpoint::Coordinator(_) => return Relayed::Dropped,
            Endpoint::Node(_) => return Relayed::Refused,
        };
        let (Some(session), Ok(bytes)) = (self.guest(role), frame.to_bytes()) else {
            return Relayed::Dropped;
        };
        match session.queue.try_send(bytes) {
            Ok(()) => Relayed::Queued,
            Err(_) => Relayed::Dropped,
        }
    }

    fn to_peer(&self, peer: Slot, frame: &Frame) -> Relayed {
        match frame.to_bytes() {
            Ok(bytes) => self.send_peer(peer, bytes),
            Err(_) => Relayed::Dropped,
        }
    }

    fn guests(&self) -> MutexGuard<'_, BTreeMap<Role, Session>> {
        // Every change under the lock is one call: a panic leaves a whole map.
        self.guests.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The member whose node hosts an endpoint: the coordinator of rank r is at the member of slot
/// r + 1.
#[must_use]
pub const fn host(endpoint: Endpoint) -> Option<Slot> {
    match endpoint {
        Endpoint::Signer(slot) | Endpoint::Executor(slot) | Endpoint::Node(slot) => Some(slot),
        Endpoint::Coordinator(rank) => match rank.checked_add(1) {
            Some(slot) => Some(Slot(slot)),
            None => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: Slot = Slot(2);

    fn frame(from: Endpoint, to: Endpoint, length: usize) -> Frame {
        Frame::Relay {
            from,
            to,
            payload: vec![0; length],
        }
    }

    /// Node 2, hosting coordinator 1, all guests connected, with peers 1 and 3.
    fn routes() -> (Routes, BTreeMap<&'static str, mpsc::Receiver<Vec<u8>>>) {
        let mut receivers = BTreeMap::new();
        let mut queue = |name| {
            let (sender, receiver) = mpsc::channel(1);
            receivers.insert(name, receiver);
            sender
        };
        let routes = Routes::new(ME, Some(1));
        routes.meet(Slot(1), queue("node 1"));
        routes.meet(Slot(3), queue("node 3"));
        for (role, name) in [
            (Role::Signer, "signer"),
            (Role::Executor, "executor"),
            (Role::Coordinator, "coordinator"),
        ] {
            routes.connect(role, Session::new(1, queue(name)));
        }
        (routes, receivers)
    }

    fn receiver(receivers: &mut BTreeMap<&'static str, mpsc::Receiver<Vec<u8>>>) -> String {
        let got = receivers
            .iter_mut()
            .filter_map(|(name, receiver)| receiver.try_recv().is_ok().then_some(*name));
        got.collect::<Vec<_>>().join(",")
    }

    #[test]
    fn frames_reach_exactly_their_receiver() {
        use Endpoint::{Coordinator, Executor, Node, Signer};
        let (signer, executor) = (Signer(ME), Executor(ME));
        let cases = [
            (Role::Signer, signer, Coordinator(0), "node 1"),
            (Role::Signer, signer, Coordinator(1), "coordinator"),
            (Role::Signer, signer, Signer(Slot(3)), "node 3"),
            (Role::Signer, signer, executor, "executor"),
            (Role::Executor, executor, signer, "signer"),
            (Role::Coordinator, Coordinator(1), Signer(Slot(1)), "node 1"),
            // Not its own name, an executor that looks around, parties that do not exist.
            (Role::Signer, Signer(Slot(1)), Coordinator(0), ""),
            (Role::Coordinator, Coordinator(0), Signer(Slot(1)), ""),
            (Role::Executor, executor, Signer(Slot(1)), ""),
            (Role::Executor, executor, Coordinator(0), ""),
            (Role::Signer, signer, Node(ME), ""),
            (Role::Signer, signer, Coordinator(u16::MAX), ""),
            (Role::Signer, signer, Signer(Slot(9)), ""),
        ];
        for (role, from, to, expected) in cases {
            let (routes, mut receivers) = routes();
            routes.from_guest(role, frame(from, to, 1));
            assert_eq!(receiver(&mut receivers), expected, "{from} to {to}");
        }
    }

    #[test]
    fn peers_speak_for_their_own_guests_to_ours_only() {
        use Endpoint::{Coordinator, Executor, Signer};
        let cases = [
            (Signer(Slot(1)), Signer(ME), "signer"),
            (Signer(Slot(1)), Coordinator(1), "coordinator"),
            (Coordinator(0), Signer(ME), "signer"),
            (Signer(Slot(3)), Signer(ME), ""),
            (Signer(Slot(1)), Executor(ME), ""),
            (Executor(Slot(1)), Signer(ME), ""),
            (Signer(Slot(1)), Signer(Slot(3)), ""),
            (Signer(ME), Signer(ME), ""),
        ];
        for (from, to, expected) in cases {
            let (routes, mut receivers) = routes();
            routes.from_peer(Slot(1), frame(from, to, 1));
            assert_eq!(receiver(&mut receivers), expected, "{from} to {to}");
        }
    }

    #[test]
    fn long_payloads_are_refused_and_full_queues_drop() {
        let (routes, _receivers) = routes();
        let send = |length| {
            let frame = frame(Endpoint::Signer(ME), Endpoint::Executor(ME), length);
            routes.from_guest(Role::Signer, frame)
        };
        assert_eq!(send(PAYLOAD_BYTES_MAX + 1), Relayed::Refused);
        assert_eq!(send(PAYLOAD_BYTES_MAX), Relayed::Queued);
        assert_eq!(send(1), Relayed::Dropped);
    }

    #[test]
    fn who_looks_for_a_coordinator_that_is_not_run_errs_in_nothing() {
        let routes = Routes::new(ME, None);
        let (signer, coordinator) = (Endpoint::Signer(Slot(1)), Endpoint::Coordinator(1));
        let relayed = routes.from_peer(Slot(1), frame(signer, coordinator, 1));
        assert_eq!(relayed, Relayed::Dropped);
    }

    #[test]
    fn of_long_messages_few_wait_for_a_peer_that_does_not_read() {
        let (queue, mut waiting) = mpsc::channel(QUEUE_MAX);
        let routes = Routes::new(ME, None);
        assert!(routes.meet(Slot(1), queue));
        let sent = |length| routes.send_peer(Slot(1), vec![0; length]);
        for _ in 0..LONG_WAITING_MAX {
            assert_eq!(sent(LONG_BYTES + 1), Relayed::Queued);
        }
        assert_eq!(sent(LONG_BYTES + 1), Relayed::Dropped);
        assert_eq!(sent(LONG_BYTES), Relayed::Queued, "packets go on");
        for _ in 0..2 {
            waiting.try_recv().expect("one waits");
        }
        assert_eq!(sent(LONG_BYTES + 1), Relayed::Queued);
    }

    #[test]
    fn an_ended_session_does_not_take_its_successor_along() {
        let (routes, _receivers) = routes();
        let (queue, _receiver) = mpsc::channel(1);
        routes.connect(Role::Signer, Session::new(2, queue));
        routes.disconnect(Role::Signer, 1);
        assert!(routes.is_current(Role::Signer, 2));
        routes.disconnect(Role::Signer, 2);
        assert!(routes.guest(Role::Signer).is_none());
    }
}
