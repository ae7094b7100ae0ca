//! What the node knows of its own condition, for `/v1/status` and `zq status`.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use attestation::ids::{Digest, Epoch, Seq, Slot, View};
use gateway::{EpochView, MachineStatus, MemberStatus, NodeStatus, PartStatus, StatusSource};
use link::local::{Progress, Role, Standing};
use prometheus_client::registry::Registry;
use signer_protocol::blame::Act;

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
        self.facts().behind = None;
    }

    /// This member has its share again. What its register lacks is told anew.
    pub fn repaired(&self) {
        self.facts().behind = None;
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
        self.facts().standing = Some(standing);
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
mod tests {
    use signer_protocol::dkg::{DkgProgress, DkgStage};

    use super::*;
    use crate::ceremonies::PartStage;

    #[test]
    fn status_tells_how_far_key_generation_is() {
        let board = Board::new(Slot(1), &[Role::Signer], [Slot(2)]);
        let detail = |board: &Board| {
            let mut parts = board.status().parts.into_iter();
            let part = parts.find(|part| part.name == "key generation");
            part.map(|part| part.detail)
        };
        assert_eq!(detail(&board), None);
        let mut progress = Progress {
            connected: 3,
            others: 4,
            generation: None,
            evm: None,
        };
        let cases = [
            (None, "3 of 4 other members connected"),
            (
                Some(DkgProgress {
                    attempt: 2,
                    stage: DkgStage::Shares,
                    here: 3,
                    missing: vec![Slot(2), Slot(5)],
                }),
                "3 of 5 members' shares here (attempt 2), not those of 2, 5; 3 of 4 other members \
                 connected",
            ),
        ];
        for (generation, expected) in cases {
            progress.generation = generation;
            board.progress(Some(progress.clone()));
            assert_eq!(detail(&board).as_deref(), Some(expected));
        }
        board.progress(None);
        assert_eq!(detail(&board), None);
    }

    #[test]
    fn status_tells_what_each_member_says_of_its_part_while_that_holds() {
        let board = Board::new(Slot(1), &[Role::Signer], [Slot(2), Slot(3)]);
        let waits = |missing: &[u16]| DkgProgress {
            attempt: 1,
            stage: DkgStage::Round1,
            here: 1,
            missing: missing.iter().copied().map(Slot).collect(),
        };
        let part = |stage| Part {
            ceremony: Ceremony::Key,
            stage,
        };
        let own = Progress {
            connected: 1,
            others: 3,
            generation: Some(waits(&[3, 4])),
            evm: None,
        };
        let said = || {
            let mut ceremonies = board.status().ceremonies;
            assert!(ceremonies.len() <= 1, "{ceremonies:?}");
            let key = ceremonies.pop();
            let waited = key.into_iter().flat_map(|key| key.waited_for);
            let waited = waited.map(|waited| {
                let by: Vec<u16> = waited.by.iter().map(|slot| slot.0).collect();
                (waited.slot.0, by)
            });
            waited.collect::<Vec<_>>()
        };
        board.progress(Some(own));
        assert_eq!(said(), [], "the signer is away");
        board.guest_connected(Role::Signer);
        assert_eq!(said(), [(3, vec![1]), (4, vec![1])]);

        board.peer_parts(Slot(2), vec![part(PartStage::Waits(waits(&[4])))]);
        assert_eq!(said(), [(3, vec![1]), (4, vec![1])], "it is away");
        board.peer_up(Slot(2), true);
        assert_eq!(said(), [(3, vec![1]), (4, vec![1, 2])]);
        // What it says takes the place of what it said: it cannot make a node keep more.
        for _ in 0..3 {
            board.peer_parts(Slot(2), vec![part(PartStage::Waits(waits(&[3])))]);
            assert_eq!(said(), [(3, vec![1, 2]), (4, vec![1])]);
        }
        let heard = Instant::now().checked_sub(VOTES_HOLDS);
        board.facts().peers.get_mut(&Slot(2)).expect("one").parts.0 = heard;
        assert_eq!(said(), [(3, vec![1]), (4, vec![1])], "it said so long ago");
    }

    #[test]
    fn a_member_that_has_its_key_says_so_while_another_waits_for_one() {
        let board = Board::new(Slot(1), &[Role::Signer], [Slot(2)]);
        board.guest_connected(Role::Signer);
        board.peer_up(Slot(2), true);
        board.generation_aborted(Ceremony::Key);
        let part = |stage| Part {
            ceremony: Ceremony::Key,
            stage,
        };
        assert_eq!(board.parts(), [part(PartStage::Aborted)]);
        board.facts().ceremonies.has_keys(false);
        assert_eq!(board.parts(), []);
        let waits = PartStage::Waits(DkgProgress {
            attempt: 1,
            stage: DkgStage::Canary,
            here: 1,
            missing: vec![Slot(1)],
        });
        board.peer_parts(Slot(2), vec![part(waits)]);
        assert_eq!(board.parts(), [part(PartStage::Complete)]);
        board.peer_parts(Slot(2), vec![part(PartStage::Complete)]);
        assert_eq!(board.parts(), [], "nobody waits");
    }

    #[test]
    fn status_tells_what_is_down_and_why() {
        let board = Board::new(Slot(2), &[Role::Signer, Role::Executor], [Slot(1), Slot(3)]);
        board.machine(
            Role::Signer,
            MachineFacts {
                image: Digest::from_bytes([7; 32]),
                accelerator: "tcg",
                memory_mib: 64,
            },
        );
        board.guest_started(Role::Signer, Some(42));
        assert_eq!(board.status().parts.first().expect("a part").boot_ms, None);
        board.guest_connected(Role::Signer);
        board.guest_started(Role::Executor, Some(43));
        board.guest_halted(Role::Executor, "a request hung");
        board.guest_down(Role::Executor, "exit status 1");
        board.peer_up(Slot(3), true);
        board.peer_head(Slot(3), Seq(9));
        board.register(Some("no space left".into()));
        board.store(Some("database or disk is full".into()));
        let status = board.status();
        let part = |name: &str| {
            status
                .parts
                .iter()
                .find(|part| part.name == name)
                .expect("a part")
        };
        assert!(part("signer").up && part("signer").detail.contains("42"));
        assert!(!part("executor").up && part("executor").detail == "a request hung");
        let machine = part("signer").machine.as_ref().expect("a machine");
        assert_eq!((machine.memory_mib, machine.image.len()), (64, 64));
        assert!(part("signer").boot_ms.is_some() && part("signer").uptime_s == Some(0));
        assert!(part("executor").machine.is_none() && part("executor").uptime_s.is_none());
        assert!(!part("register").up);
        assert!(!part("store").up && part("store").detail.contains("full"));
        let members: Vec<_> = status
            .members
            .iter()
            .map(|m| (m.slot, m.up, m.head))
            .collect();
        assert_eq!(
            members,
            [(1, false, None), (2, true, None), (3, true, Some(9))]
        );
        assert_eq!(status.alerts.len(), 3);
        assert_eq!(board.ahead_of(Seq(8)), [(Slot(3), Seq(9))]);
        assert_eq!(board.ahead_of(Seq(9)), []);
    }

    #[test]
    fn a_member_votes_while_its_signer_answers_and_nothing_keeps_it_from_it() {
        type Turn = (&'static str, fn(&Board), fn(&Board));
        let whole = || {
            let board = Board::new(Slot(2), &[Role::Signer, Role::Executor], [Slot(1)]);
            board.guest_connected(Role::Signer);
            assert!(!board.votes(), "without an executor");
            board.guest_connected(Role::Executor);
            board
        };
        let turns: [Turn; 6] = [
            (
                "signer",
                |board| board.guest_down(Role::Signer, "halted"),
                |board| board.guest_connected(Role::Signer),
            ),
            (
                "a silent signer",
                |board| {
                    let since = Instant::now().checked_sub(SIGNER_SILENT_MAX);
                    let mut facts = board.facts();
                    facts.guests.get_mut(&Role::Signer).expect("one").heard = since;
                },
                |board| board.guest_heard(Role::Signer),
            ),
            (
                "executor",
                |board| board.guest_down(Role::Executor, "halted"),
                |board| board.guest_connected(Role::Executor),
            ),
            (
                "register",
                |board| board.register(Some("full".into())),
                |board| board.register(None),
            ),
            (
                "store",
                |board| board.store(Some("full".into())),
                |board| board.store(None),
            ),
            (
                "a restored disk",
                |board| board.behind(Epoch(1), None),
                Board::epoch_began,
            ),
        ];
        for (what, harm, mend) in turns {
            let board = whole();
            assert!(board.votes(), "{what}");
            harm(&board);
            assert!(!board.votes(), "{what}");
            mend(&board);
            assert!(board.votes(), "{what}");
        }
    }

    #[test]
    fn a_peer_votes_while_it_says_so_and_is_connected() {
        let board = Board::new(Slot(2), &[], [Slot(1)]);
        let votes = || {
            let status = board.status();
            let peer = status.members.iter().find(|member| member.slot == 1);
            peer.expect("the peer").votes
        };
        board.peer_up(Slot(1), true);
        assert!(!votes(), "it has said nothing");
        board.peer_able(Slot(1), true, false);
        assert!(votes());
        board.peer_up(Slot(1), false);
        assert!(!votes(), "it is away");
        board.peer_up(Slot(1), true);
        board.peer_able(Slot(1), false, true);
        assert!(!votes(), "it says so");
        board.peer_able(Slot(1), true, false);
        let said = Instant::now().checked_sub(VOTES_HOLDS);
        board.facts().peers.get_mut(&Slot(1)).expect("one").votes = said;
        assert!(!votes(), "it said so long ago");
    }

    #[test]
    fn members_that_vote_and_see_the_chain_are_counted_while_they_say_so() {
        let board = Board::new(Slot(2), &[], [Slot(1), Slot(3)]);
        for slot in [1, 3] {
            board.peer_up(Slot(slot), true);
            board.peer_able(Slot(slot), true, slot == 1);
        }
        assert_eq!(board.sighted(), 1, "one of two sees it");
        board.peer_able(Slot(3), false, true);
        assert_eq!(board.sighted(), 1, "the other does not vote");
        board.peer_able(Slot(3), true, true);
        assert_eq!(board.sighted(), 2);
        board.peer_up(Slot(1), false);
        assert_eq!(board.sighted(), 1, "one is away");
        board.chain(true, "sees it".to_owned());
        assert_eq!(
            (board.sees_chain(), board.sighted()),
            (true, 1),
            "but does not vote"
        );
        board.chain(false, "is down".to_owned());
        assert!(!board.sees_chain());
    }

    #[test]
    fn whoever_claims_the_highest_head_is_not_the_only_one_ahead() {
        let board = Board::new(Slot(2), &[], [Slot(1), Slot(3), Slot(4)]);
        board.peer_head(Slot(1), Seq(u64::MAX));
        board.peer_head(Slot(3), Seq(9));
        board.peer_head(Slot(4), Seq(9));
        board.peer_up(Slot(1), true);
        board.peer_up(Slot(3), true);
        let ahead = [(Slot(1), Seq(u64::MAX)), (Slot(3), Seq(9))];
        assert_eq!(board.ahead_of(Seq(7)), ahead);
    }
}
