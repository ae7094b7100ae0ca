//! What the node knows of its own condition, for `/v1/status` and `zq status`.

mod trying;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use attestation::ids::{Digest, Epoch, Seq, Slot, View};
use gateway::{EpochView, MachineStatus, MemberStatus, NodeStatus, PartStatus, StatusSource};
use link::local::{Progress, Role, Standing};
use prometheus_client::registry::Registry;
use signer_protocol::blame::Act;

use self::trying::{STARTED_ANEW, Try};
use crate::ceremonies::{self, Ceremonies, Ceremony, Part};
use crate::counts::Counts;

/// Most alerts kept; the oldest are dropped.
const ALERTS_MAX: usize = 64;
/// How long a signer may say nothing and still count as one that votes: two pings unanswered.
const SIGNER_SILENT_MAX: Duration = Duration::from_secs(15);
/// How long a peer's word on what its member can do and how far it is holds.
const VOTES_HOLDS: Duration = Duration::from_secs(15);
/// How often a node says what its member can do and how far it is.
pub const VOTES_SAID: Duration = Duration::from_secs(5);

const _: () = assert!(VOTES_HOLDS.as_secs() >= 3 * VOTES_SAID.as_secs());

/// The board; every part of the node writes its own facts on it.
#[derive(Debug)]
pub struct Board {
    slot: Slot,
    facts: Mutex<Facts>,
    counts: Counts,
}

#[derive(Debug, Default)]
struct Facts {
    guests: BTreeMap<Role, Guest>,
    register: Option<String>,
    behind: Option<String>,
    repair: Option<Try>,
    store: Option<String>,
    standing: Option<Standing>,
    ceremonies: Ceremonies,
    /// Whether the operator's NoM node answers, and what it shows or why it does not.
    chain: Option<(bool, String)>,
    peers: BTreeMap<Slot, Peer>,
    alerts: VecDeque<String>,
}

#[derive(Debug, Default)]
struct Guest {
    pid: Option<u32>,
    connected: bool,
    starts: u64,
    why: String,
    started: Option<Instant>,
    connected_after: Option<Duration>,
    heard: Option<Instant>,
    machine: Option<MachineFacts>,
}

/// The virtual machine of a guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MachineFacts {
    /// Digest of the image.
    pub image: Digest,
    /// What runs it: `kvm` or `tcg`.
    pub accelerator: &'static str,
    /// Its memory.
    pub memory_mib: u64,
}

#[derive(Clone, Debug, Default)]
struct Peer {
    up: bool,
    head: Option<Seq>,
    /// When it last said that its member votes.
    votes: Option<Instant>,
    /// When it last said that its node sees the chain.
    sees_chain: Option<Instant>,
    /// When it last said how far its member is, and what it said.
    parts: (Option<Instant>, Vec<Part>),
}

impl Board {
    /// The board of the node of `slot`, with guests and peers to come.
    #[must_use]
    pub fn new(slot: Slot, roles: &[Role], peers: impl IntoIterator<Item = Slot>) -> Self {
        let guests = roles.iter().map(|role| (*role, Guest::default()));
        let peers = peers.into_iter().map(|peer| (peer, Peer::default()));
        Self {
            slot,
            facts: Mutex::new(Facts {
                guests: guests.collect(),
                peers: peers.collect(),
                ..Facts::default()
            }),
            counts: Counts::default(),
        }
    }

    /// A guest runs in a virtual machine.
    pub fn machine(&self, role: Role, machine: MachineFacts) {
        let mut facts = self.facts();
        facts.guests.entry(role).or_default().machine = Some(machine);
    }

    /// A guest's process was started.
    pub fn guest_started(&self, role: Role, pid: Option<u32>) {
        self.counts.guest_started(role);
        let mut facts = self.facts();
        let guest = facts.guests.entry(role).or_default();
        guest.pid = pid;
        guest.starts += 1;
        guest.started = Some(Instant::now());
        guest.connected_after = None;
    }

    /// A guest's connection came up.
    pub fn guest_connected(&self, role: Role) {
        let mut facts = self.facts();
        let guest = facts.guests.entry(role).or_default();
        guest.connected = true;
        guest.heard = Some(Instant::now());
        guest.connected_after = guest.started.map(|started| started.elapsed());
        guest.why.clear();
    }

    /// A guest said something: it runs.
    pub fn guest_heard(&self, role: Role) {
        self.facts().guests.entry(role).or_default().heard = Some(Instant::now());
    }

    /// A guest's process ended, or its connection did.
    pub fn guest_down(&self, role: Role, why: &str) {
        let mut facts = self.facts();
        let guest = facts.guests.entry(role).or_default();
        guest.connected = false;
        guest.pid = None;
        if guest.why.is_empty() {
            guest.why = why.to_owned();
        }
        if role == Role::Signer {
            facts.give_up_repair(STARTED_ANEW);
        }
    }

    /// A guest said why it stops.
    pub fn guest_halted(&self, role: Role, reason: &str) {
        let mut facts = self.facts();
        facts.guests.entry(role).or_default().why = reason.to_owned();
        push(
            &mut facts.alerts,
            format!("{} stopped: {reason}", name(role)),
        );
    }

    /// The register cannot be written, or can again (`None`).
    pub fn register(&self, failure: Option<String>) {
        let mut facts = self.facts();
        if let Some(failure) = &failure
            && facts.register.is_none()
        {
            self.counts.register_failed();
            push(&mut facts.alerts, format!("register: {failure}"));
        }
        facts.register = failure;
    }

    /// The register lost entries that were acknowledged, or its disk is declared restored; `newer`
    /// says what the member signed that the register does not know.
    pub fn behind(&self, epoch: Epoch, newer: Option<&str>) {
        let why = match newer {
            Some(newer) => format!("older than what this member signed ({newer})"),
            None => {
                "on a restored disk, known to have lost entries, or there without the key share"
                    .to_owned()
            }
        };
        let text = format!(
            "{why}: the member takes no part in epoch {epoch} any more; a change of members that it joins \
             lets it take part again (`zq committee change`), and if nothing but its share is lost, a \
             repair does (`zq committee repair`)"
        );
        let mut facts = self.facts();
        push(&mut facts.alerts, format!("register: {text}"));
        facts.behind = Some(text);
    }

    /// A new epoch is in force: what the register lost in earlier ones harms no more (rule C2).
    pub fn epoch_began(&self) {
        let mut facts = self.facts();
        facts.behind = None;
        facts.repair = None;
    }

    /// The signer takes part in this try of a repair, which the operator has approved.
    pub fn repair_begun(&self, lost: Slot, attempt: u64) {
        self.facts().repair = Some(Try::begun(lost, attempt, Instant::now()));
    }

    /// The try is over without a share.
    pub fn repair_ended(&self, why: &str) {
        let mut facts = self.facts();
        match facts.repair {
            Some(_) => facts.give_up_repair(why),
            // Nothing is lost, and the operator is told so all the same.
            None => push(&mut facts.alerts, format!("repair of a share: {why}")),
        }
    }

    /// The try was under way when this member ended, and its part of it is forgotten.
    pub fn repair_forgotten(&self) {
        self.facts().give_up_repair(STARTED_ANEW);
    }

    /// Whoever lost its share has it again. If that is this member, what its register lacks is told
    /// anew.
    pub fn repaired(&self, lost: Slot) {
        let mut facts = self.facts();
        facts.repair = None;
        if lost == self.slot {
            facts.behind = None;
        }
    }

    /// Entries of the register became durable, `votes` votes among them.
    pub fn register_written(&self, after: Duration, votes: u64) {
        self.counts.register_written(after, votes);
    }

    /// The register did not allow what the signer asked for.
    pub fn register_refused(&self, refused: impl fmt::Display) {
        self.counts.register_refused();
        self.alert(format!("register: refused {refused}"));
    }

    /// The store cannot be read or written, or can again (`None`). The member does not vote without.
    pub fn store(&self, failure: Option<String>) {
        let mut facts = self.facts();
        if let Some(failure) = &failure
            && facts.store.is_none()
        {
            push(&mut facts.alerts, format!("store: {failure}"));
        }
        facts.store = failure;
    }

    /// The signer said where it stands.
    pub fn standing(&self, standing: Standing) {
        let mut facts = self.facts();
        facts.standing = Some(standing);
        facts.has_share(self.slot);
    }

    /// The view that the own signer is in, once it has told.
    #[must_use]
    pub fn view(&self) -> Option<View> {
        self.facts().standing.map(|standing| standing.view)
    }

    /// The signer said how far key generation is; `None` once it is over.
    pub fn progress(&self, progress: Option<Progress>) {
        self.facts().ceremonies.progress(progress);
    }

    /// The key generation is over for this member, without a key.
    pub fn generation_aborted(&self, key: Ceremony) {
        self.facts().ceremonies.aborted(key);
    }

    /// The committee has its key; what else is known of its epochs.
    pub fn epochs(&self, view: &EpochView) {
        self.facts().ceremonies.epochs(view);
    }

    /// How far this member is in key generations and changes, as long as that is of interest.
    #[must_use]
    pub fn parts(&self) -> Vec<Part> {
        self.facts().parts()
    }

    /// What the chain adapter sees, or why it sees nothing.
    pub fn chain(&self, up: bool, detail: String) {
        self.facts().chain = Some((up, detail));
    }

    /// A look at the chain came to nothing: for the metrics.
    pub fn chain_failed(&self) {
        self.counts.chain_failed();
    }

    /// The newest momentum, and what waits for the committee's account: for the metrics.
    pub fn chain_seen(&self, momentum: u64, deposits: usize, orders: u64) {
        self.counts.chain_seen(momentum, deposits, orders);
    }

    /// A peer's connection came up or ended.
    pub fn peer_up(&self, slot: Slot, up: bool) {
        self.facts().peers.entry(slot).or_default().up = up;
    }

    /// A peer told its head.
    pub fn peer_head(&self, slot: Slot, head: Seq) {
        let mut facts = self.facts();
        let peer = facts.peers.entry(slot).or_default();
        peer.head = peer.head.max(Some(head));
    }

    /// A peer told whether its member votes, and whether its node sees the chain.
    pub fn peer_able(&self, slot: Slot, votes: bool, sees_chain: bool) {
        let now = Instant::now();
        let mut facts = self.facts();
        let peer = facts.peers.entry(slot).or_default();
        peer.votes = votes.then_some(now);
        peer.sees_chain = sees_chain.then_some(now);
        if votes {
            facts.has_share(slot);
        }
    }

    /// A peer told how far its member is, in place of what it told before.
    pub fn peer_parts(&self, slot: Slot, parts: Vec<Part>) {
        let mut facts = self.facts();
        facts.peers.entry(slot).or_default().parts = (Some(Instant::now()), parts);
    }

    /// Whether this node sees the chain, so that its member bears out what steps claim of it.
    #[must_use]
    pub fn sees_chain(&self) -> bool {
        self.facts().chain.as_ref().is_some_and(|(up, _)| *up)
    }

    /// How many members can vote and see the chain, as far as is known here.
    #[must_use]
    pub fn sighted(&self) -> usize {
        let facts = self.facts();
        let peers = facts
            .peers
            .values()
            .filter(|peer| peer.up && [peer.votes, peer.sees_chain].into_iter().all(holds));
        let own = facts.votes() && facts.chain.as_ref().is_some_and(|(up, _)| *up);
        peers.count() + usize::from(own)
    }

    /// Whether this member can vote now: its signer answers, its executor is there, and neither
    /// register nor store keeps it from voting.
    #[must_use]
    pub fn votes(&self) -> bool {
        self.facts().votes()
    }

    /// The connected peers that say they are ahead of `own`. A head is only claimed: whoever does
    /// not deliver the steps must not be the only one asked.
    #[must_use]
    pub fn ahead_of(&self, own: Seq) -> Vec<(Slot, Seq)> {
        let facts = self.facts();
        let heads = facts.peers.iter().filter(|(_, peer)| peer.up);
        let heads = heads.filter_map(|(slot, peer)| Some((*slot, peer.head?)));
        heads.filter(|(_, head)| *head > own).collect()
    }

    /// A party did what the rules forbid, or did not do what they ask for: for the metrics.
    pub fn blame(&self, act: &Act) {
        self.counts.blame(act);
    }

    /// A ceremony ended by what somebody did: for the metrics.
    pub fn ceremony(&self) {
        self.counts.ceremony();
    }

    /// A view ended without a certificate: for the metrics.
    pub fn divergence(&self) {
        self.counts.divergence();
    }

    /// Something that an operator should look at.
    pub fn alert(&self, line: String) {
        push(&mut self.facts().alerts, line);
    }

    fn facts(&self) -> MutexGuard<'_, Facts> {
        // Facts are independent of each other: a panic while one is written spoils no other.
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether what a peer said of its member is recent enough.
fn holds(said: Option<Instant>) -> bool {
    said.is_some_and(|said| said.elapsed() < VOTES_HOLDS)
}

impl Facts {
    /// A member signs: whatever became of the try here, its share is not lost.
    fn has_share(&mut self, slot: Slot) {
        self.repair = self.repair.take().filter(|trying| trying.lost() != slot);
    }

    fn give_up_repair(&mut self, why: &str) {
        if let Some(trying) = &mut self.repair
            && trying.end(why)
        {
            let line = format!("repair of a share: {}", trying.line());
            push(&mut self.alerts, line);
        }
    }

    fn votes(&self) -> bool {
        let connected = |role| self.guests.get(&role).filter(|guest| guest.connected);
        let signer = connected(Role::Signer).and_then(|signer| signer.heard);
        signer.is_some_and(|heard| heard.elapsed() < SIGNER_SILENT_MAX)
            && connected(Role::Executor).is_some()
            && self.register.is_none()
            && self.behind.is_none()
            && self.store.is_none()
    }

    /// This member's parts in ceremonies. A signer that is away waits for nobody.
    fn parts(&self) -> Vec<Part> {
        let signer = self.guests.get(&Role::Signer);
        let runs = signer.is_some_and(|signer| signer.connected);
        let is_waited = |ceremony| {
            let mut said = self.peers_parts().flat_map(|(_, parts)| parts);
            said.any(|part| part.waits_in(ceremony))
        };
        let mut parts = self.ceremonies.parts(is_waited);
        parts.retain(|part| runs || !part.waits_in(part.ceremony));
        parts
    }

    /// What peers say of their members, as long as it holds.
    fn peers_parts(&self) -> impl Iterator<Item = (Slot, &[Part])> {
        let peers = self.peers.iter();
        let heard = peers.filter(|(_, peer)| peer.up && holds(peer.parts.0));
        heard.map(|(slot, peer)| (*slot, &*peer.parts.1))
    }
}

impl StatusSource for Board {
    fn register(&self, registry: &mut Registry) {
        self.counts.register(registry);
    }

    fn status(&self) -> NodeStatus {
        let facts = self.facts();
        let mut parts: Vec<PartStatus> = facts.guests.iter().map(part).collect();
        parts.push(PartStatus {
            name: "register".into(),
            up: facts.register.is_none() && facts.behind.is_none(),
            detail: facts
                .register
                .clone()
                .or_else(|| facts.behind.clone())
                .unwrap_or_else(|| "durable".into()),
            ..PartStatus::default()
        });
        parts.push(PartStatus {
            name: "store".into(),
            up: facts.store.is_none(),
            detail: facts.store.clone().unwrap_or_else(|| "durable".into()),
            ..PartStatus::default()
        });
        parts.extend(facts.repair.as_ref().map(Try::part));
        if let Some((up, detail)) = &facts.chain {
            parts.push(PartStatus {
                name: "nom node".into(),
                up: *up,
                detail: detail.clone(),
                ..PartStatus::default()
            });
        }
        parts.extend(facts.ceremonies.key_generations());
        let me = MemberStatus {
            slot: self.slot.0,
            up: facts
                .guests
                .get(&Role::Signer)
                .is_some_and(|guest| guest.connected),
            votes: facts.votes(),
            head: facts.standing.map(|standing| standing.head.0),
        };
        let others = facts.peers.iter().map(|(slot, peer)| MemberStatus {
            slot: slot.0,
            up: peer.up,
            votes: peer.up && holds(peer.votes),
            head: peer.head.map(|head| head.0),
        });
        let mut members: Vec<MemberStatus> = others.chain([me]).collect();
        members.sort_by_key(|member| member.slot);
        let own = facts.parts();
        let said = facts.peers_parts().chain([(self.slot, &*own)]);
        NodeStatus {
            slot: self.slot.0,
            view: facts.standing.map(|standing| standing.view.0),
            parts,
            members,
            ceremonies: ceremonies::statuses(said),
            alerts: facts.alerts.iter().rev().cloned().collect(),
        }
    }
}

fn part((role, guest): (&Role, &Guest)) -> PartStatus {
    let detail = match (guest.connected, guest.pid) {
        (true, Some(pid)) => format!("pid {pid}, start {}", guest.starts),
        (true, None) => format!("start {}", guest.starts),
        (false, Some(pid)) => format!("pid {pid}, starting"),
        (false, None) if guest.why.is_empty() => "not started".to_owned(),
        (false, None) => guest.why.clone(),
    };
    PartStatus {
        name: name(*role).to_owned(),
        up: guest.connected,
        detail,
        boot_ms: guest.connected_after.map(milliseconds),
        uptime_s: guest
            .started
            .filter(|_| guest.pid.is_some())
            .map(|started| started.elapsed().as_secs()),
        machine: guest.machine.map(|machine| MachineStatus {
            image: machine.image.to_string(),
            accelerator: machine.accelerator.to_owned(),
            memory_mib: machine.memory_mib,
        }),
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A guest's name, as in `zq status`.
#[must_use]
pub const fn name(role: Role) -> &'static str {
    match role {
        Role::Signer => "signer",
        Role::Executor => "executor",
        Role::Coordinator => "coordinator",
    }
}

fn push(alerts: &mut VecDeque<String>, line: String) {
    // The same line again is the same fact, not another.
    if alerts.back() == Some(&line) {
        return;
    }
    if alerts.len() == ALERTS_MAX {
        alerts.pop_front();
    }
    alerts.push_back(line);
}

#[cfg(test)]
mod tests;
