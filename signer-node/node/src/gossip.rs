//! What nodes do for each other: pass requests and modules on, and help those that are behind.

use std::sync::Arc;
use std::time::Duration;

use attestation::codec;
use attestation::ids::{CommitteeId, ModuleDigest, Seq, Slot};
use attestation::request::{REQUEST_BYTES_MAX, Request};
use gateway::{Applied, Event};
use link::local::{Role, ToGuest};
use serde_bytes::ByteBuf;
use sha2::{Digest as _, Sha256};
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::{broadcast, mpsc};
use tokio::time::{Instant, sleep, timeout};

use crate::board::VOTES_SAID;
use crate::cosign;
use crate::download::{Download, Taken};
use crate::node::Node;
use crate::observe;
use crate::passed_over::PassedOver;
use crate::peer_message::{PeerMessage, REQUESTS_MAX};
use crate::peers::{self, Inbox, Peer};
use crate::relay::QUEUE_MAX;
use crate::wire::peer_bytes;

/// Most messages of one peer that wait.
const INBOX_MAX: usize = 64;
/// How long a node waits for its own signer to bring a step that a peer has, before it asks.
const OWN_SIGNER_WAIT: Duration = Duration::from_millis(400);
/// How long a node waits for a part of a bundle before it asks again.
const PART_WAIT: Duration = Duration::from_secs(2);
/// How often it asks for a part before it asks another peer.
const PART_TRIES: u32 = 4;
/// How often a node looks whether it is behind, and whether its member votes.
const LOOK: Duration = Duration::from_secs(1);
/// How often a node looks for requests to take up, while there are any.
const TAKE_UP: Duration = Duration::from_millis(50);
/// Most modules that a node takes from one peer without needing them now.
const MODULES_UNASKED_MAX: u32 = 256;

/// How this node comes to know peers, also while it runs.
pub struct Meeting {
    node: Arc<Node>,
    committee: CommitteeId,
    /// Where the peers' messages go.
    pub inbox: Arc<Inbox>,
    connected: mpsc::Sender<Slot>,
}

impl Meeting {
    /// Of a node that knows nobody yet; who has connected is told to `connected`.
    #[must_use]
    pub fn new(node: &Arc<Node>, connected: mpsc::Sender<Slot>) -> Self {
        Self {
            node: Arc::clone(node),
            committee: node.record.id(),
            inbox: Arc::default(),
            connected,
        }
    }

    /// Dials these peers, and answers them. One that is known already keeps its first address.
    pub fn meet_all(&self, peers: impl IntoIterator<Item = Peer>) {
        for peer in peers {
            self.meet(peer);
        }
    }

    fn meet(&self, peer: Peer) {
        let (queue, drain) = mpsc::channel(QUEUE_MAX);
        if peer.slot == self.node.slot || !self.node.routes.meet(peer.slot, queue) {
            return;
        }
        let (sender, receiver) = mpsc::channel(INBOX_MAX);
        self.inbox.answer(peer.slot, sender);
        tokio::spawn(answer(Arc::clone(&self.node), peer.slot, receiver));
        let hello = PeerMessage::Hello {
            committee: self.committee,
            from: self.node.slot,
            to: peer.slot,
        };
        let (board, connected) = (Arc::clone(&self.node.board), self.connected.clone());
        tokio::spawn(peers::dial(peer, hello, drain, board, connected));
    }
}

/// Greets peers as they connect: head, and what waits.
pub async fn greet(node: Arc<Node>, mut connected: mpsc::Receiver<Slot>) {
    while let Some(peer) = connected.recv().await {
        send(&node, peer, &PeerMessage::Head(head(&node).await));
        send(&node, peer, &able(&node));
        let waiting = node.gateway.pending_requests();
        for some in waiting.chunks(REQUESTS_MAX) {
            send(&node, peer, &requests(some));
        }
        for observation in node.gateway.observations_by(node.slot) {
            let message = PeerMessage::Observation(Box::new(observation));
            send(&node, peer, &message);
        }
    }
}

/// Passes on what happens in the gateway.
pub async fn announce(node: Arc<Node>, mut events: broadcast::Receiver<Event>) {
    let mut waiting = PassedOver::of(&node.gateway.pending_requests());
    loop {
        let first = match events.recv().await {
            Ok(event) => event,
            // What was missed is told again at the next change or connection; of requests whose
            // end was missed none may stay, and each begins to count anew.
            Err(RecvError::Lagged(_)) => {
                waiting = PassedOver::of(&node.gateway.pending_requests());
                node.tell_executable(true).await;
                continue;
            }
            Err(RecvError::Closed) => return,
        };
        let mut new = Vec::new();
        let mut next = Some(first);
        while let Some(event) = next.take() {
            if let Event::RequestPending {
                id,
                request,
                from_peer,
            } = &event
            {
                // One with sources can run only once members have observed for it.
                if request.call.pull.is_none() {
                    waiting.arrived(*id);
                }
                if !from_peer {
                    new.push(Arc::clone(request));
                }
            } else {
                announce_one(&node, &mut waiting, event).await;
            }
            if new.len() < REQUESTS_MAX {
                next = events.try_recv().ok();
            }
        }
        if !new.is_empty() {
            broadcast_all(&node, &requests(&new));
        }
        node.tell_executable(false).await;
    }
}

async fn announce_one(node: &Arc<Node>, waiting: &mut PassedOver, event: Event) {
    match event {
        Event::StepAccepted(step) => {
            let requests = step.requests.iter().map(|(id, _)| id);
            for passed_over in waiting.step(requests, &node.gateway.first_ready()) {
                tracing::warn!(request = %passed_over, "passed over in 16 steps");
                let message = ToGuest::PassedOver(passed_over);
                node.tell(Role::Signer, &message).await;
            }
            let attestation = Box::new(step.attestation);
            node.tell(Role::Coordinator, &ToGuest::Head(attestation))
                .await;
            broadcast_all(node, &PeerMessage::Head(step.seq()));
            node.follow_epochs().await;
            node.heads.notify_one();
            node.chain_woken();
            node.tell_executable(true).await;
        }
        Event::ModuleStored(module) => {
            broadcast_all(node, &PeerMessage::HaveModule(module));
        }
        Event::Observed { id, .. } => waiting.arrived(id),
        Event::RequestClosed { id, .. } => waiting.left(&id),
        Event::RequestPending { .. } => {}
    }
}

/// Says what this member can do and how far it is: soon after that changes, and again and again.
pub async fn say_able(node: Arc<Node>) {
    let mut said: Option<(PeerMessage, Instant)> = None;
    loop {
        let now = able(&node);
        let is_news =
            |(before, at): &(PeerMessage, Instant)| *before != now || at.elapsed() >= VOTES_SAID;
        if said.as_ref().is_none_or(is_news) {
            broadcast_all(&node, &now);
            said = Some((now, Instant::now()));
        }
        sleep(LOOK).await;
    }
}

fn able(node: &Node) -> PeerMessage {
    PeerMessage::Able {
        votes: node.board.votes(),
        sees_chain: node.board.sees_chain(),
        parts: node.board.parts(),
    }
}

/// Catches up whenever a peer is ahead.
pub async fn catch_up(node: Arc<Node>) {
    let mut helped = None;
    let mut is_catching_up = false;
    loop {
        if !is_catching_up {
            // Either way it looks: a notice can be lost with the peer that gave it.
            let _ = timeout(LOOK, node.heads.notified()).await;
        }
        let before = head(&node).await;
        if node.board.ahead_of(before).is_empty() {
            is_catching_up = false;
            continue;
        }
        // The own signer brings the step in a moment if it took part in it. Not where this node has just
        // fetched steps and is behind again: it would be for as long as others are quicker than the wait.
        if !std::mem::take(&mut is_catching_up) {
            sleep(OWN_SIGNER_WAIT).await;
        }
        let own = head(&node).await;
        if own > before {
            node.heads.notify_one();
            continue;
        }
        let mut ahead = node.board.ahead_of(own);
        ahead.sort_by_key(|(peer, _)| Some(*peer) != helped);
        for (peer, theirs) in ahead {
            if catch_up_with(&node, peer, theirs, own).await {
                helped = Some(peer);
                is_catching_up = true;
                break;
            }
        }
    }
}

/// Fetches steps of a peer for as long as it gives them; whether it gave any.
async fn catch_up_with(node: &Node, peer: Slot, theirs: Seq, own: Seq) -> bool {
    tracing::info!(
        head = own.0,
        peer = peer.0,
        theirs = theirs.0,
        "catching up"
    );
    let mut reached = own;
    while reached < theirs
        && let Some(next) = fetch(node, peer, reached).await
    {
        reached = next;
    }
    tracing::debug!(head = reached.0, "caught up as far as the peer answered");
    reached > own
}

/// Fetches the step after `own` from a peer, part by part; returns the head when it has risen.
async fn fetch(node: &Node, peer: Slot, own: Seq) -> Option<Seq> {
    let seq = own.next()?;
    let mut parts = node.expect_parts(peer, seq);
    let mut download = Download::new(peer, seq);
    let mut tries = 0;
    while tries < PART_TRIES {
        let at = download.at();
        send(node, peer, &PeerMessage::WantStep { seq, at });
        tries += 1;
        let Ok(Some(part)) = timeout(PART_WAIT, parts.recv()).await else {
            // The own signer may have brought it.
            let now = head(node).await;
            if now > own {
                return Some(now);
            }
            continue;
        };
        match download.take(peer, &part) {
            Ok(Taken::Ignored) => {}
            Ok(Taken::More(_)) => tries = 0,
            Ok(Taken::Whole(bundle)) => {
                apply(node, peer, &bundle).await;
                return Some(head(node).await).filter(|now| *now > own);
            }
            Err(wrong) => {
                tracing::warn!(peer = peer.0, %wrong, "a peer's step bundle is refused");
                let line = format!("member {peer}: refused its step bundle: {wrong}");
                node.board.alert(line);
                return None;
            }
        }
    }
    None
}

async fn answer(node: Arc<Node>, peer: Slot, mut messages: mpsc::Receiver<PeerMessage>) {
    let mut unasked = 0;
    while let Some(message) = messages.recv().await {
        match message {
            PeerMessage::Head(seq) => {
                node.board.peer_head(peer, seq);
                if seq > head(&node).await {
                    node.heads.notify_one();
                }
            }
            PeerMessage::Able {
                votes,
                sees_chain,
                parts,
            } => {
                node.board.peer_able(peer, votes, sees_chain);
                node.board.peer_parts(peer, parts);
            }
            PeerMessage::Requests(requests) => {
                take_requests(&node, peer, &requests).await;
            }
            PeerMessage::WantStep { seq, at } => match node.part(seq, at).await {
                Ok(Some(part)) => send(&node, peer, &PeerMessage::Step(part)),
                Ok(None) => {}
                Err(error) => tracing::warn!(%error, "cannot read a step for a peer"),
            },
            PeerMessage::Step(part) => node.give_part(peer, part),
            PeerMessage::HaveModule(module) => {
                if unasked < MODULES_UNASKED_MAX
                    && matches!(node.gateway.module(&module).await, Ok(None))
                {
                    unasked += 1;
                    node.want_module(module);
                    send(&node, peer, &PeerMessage::WantModule(module));
                }
            }
            PeerMessage::WantModule(module) => {
                if let Ok(Some(wasm)) = node.gateway.module(&module).await {
                    send(&node, peer, &PeerMessage::Module(ByteBuf::from(wasm)));
                }
            }
            PeerMessage::Module(wasm) => take_module(&node, peer, wasm.into_vec()).await,
            PeerMessage::WantEpoch { base } => {
                if let Some(epoch) = node.epoch_after(base) {
                    send(&node, peer, &epoch);
                }
            }
            PeerMessage::Epoch(bytes) => node.take_epoch(&bytes).await,
            PeerMessage::Observation(observation) => {
                observe::take(&node, *observation);
            }
            PeerMessage::WantEvmSignature(seq) => {
                if let Some(message) = cosign::wanted(&node, seq).await {
                    send(&node, peer, &message);
                }
            }
            PeerMessage::EvmSignature { seq, signature } => {
                cosign::told(&node, seq, signature).await;
            }
            PeerMessage::Hello { .. } => {}
        }
    }
}

async fn take_requests(node: &Node, peer: Slot, requests: &[ByteBuf]) {
    let requests = requests.iter().filter_map(|bytes| {
        let request = codec::decode::<Request>(bytes, REQUEST_BYTES_MAX);
        if let Err(error) = &request {
            tracing::debug!(peer = peer.0, %error, "a peer passed on bytes that are no request");
        }
        request.ok()
    });
    node.gateway.tell(requests.collect()).await;
    if node.leads() {
        node.gateway.take_up_told(true).await;
    }
}

/// Takes up requests that peers told of, once steps stall or the own coordinator leads.
pub async fn take_up(node: Arc<Node>) {
    loop {
        node.gateway.told_something().await;
        sleep(TAKE_UP).await;
        node.gateway.take_up_told(node.leads()).await;
    }
}

async fn take_module(node: &Node, peer: Slot, wasm: Vec<u8>) {
    let digest = ModuleDigest::from_bytes(Sha256::digest(&wasm).into());
    if !node.wanted_module(&digest) {
        return;
    }
    match node.gateway.put_module(wasm).await {
        Ok(_) => tracing::info!(%digest, peer = peer.0, "module from a peer"),
        Err(error) => tracing::warn!(%digest, %error, "module from a peer"),
    }
}

async fn apply(node: &Node, peer: Slot, bundle: &[u8]) {
    match node.gateway.apply_bundle(bundle).await {
        Ok(Applied::Accepted(step)) => {
            // The signer may have missed the step as well; it verifies what it is told.
            let attestation = Box::new(step.attestation);
            node.tell(Role::Signer, &ToGuest::Head(attestation)).await;
        }
        Ok(_) => {}
        Err(error) => {
            tracing::warn!(peer = peer.0, %error, "a peer's step bundle is refused");
            node.board
                .alert(format!("member {peer}: refused its step bundle: {error}"));
        }
    }
}

async fn head(node: &Node) -> Seq {
    node.gateway
        .head()
        .await
        .map_or(Seq(0), |head| head.commit.seq)
}

fn requests(requests: &[Arc<Request>]) -> PeerMessage {
    let bytes = requests
        .iter()
        .map(|request| ByteBuf::from(request.to_bytes()));
    PeerMessage::Requests(bytes.collect())
}

fn send(node: &Node, peer: Slot, message: &PeerMessage) {
    node.routes.send_peer(peer, peer_bytes(&message.to_bytes()));
}

fn broadcast_all(node: &Node, message: &PeerMessage) {
    let bytes = peer_bytes(&message.to_bytes());
    for peer in node.routes.peers() {
        node.routes.send_peer(peer, bytes.clone());
    }
}
