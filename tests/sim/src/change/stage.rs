//! The parties of one reshare, their disks, the network between them.

use std::collections::{BTreeMap, BTreeSet};

use attestation::ids::{Boot, Signature, Slot};
use frost_core::keys::PublicKeyPackage;
use frost_core::{SigningPackage, aggregate, round1, round2};
use signer_protocol::blame::Culprit;
use signer_protocol::dkg::{Dkg, DkgError, DkgOutput, KeyRecord, KeyShare, PendingShares, Start};
use signer_protocol::evidence::History;
use signer_protocol::identity::SignIdentity as _;
use signer_protocol::message::{DkgBody, DkgMessage, Endpoint};
use signer_protocol::reshare::{Change, ChangePlan};
use signer_protocol::sealed::ShareBytes;
use zeroize::Zeroizing;

use super::Fate;
use super::lie::Lie;
use crate::counts::Counts;
use crate::dice::Dice;
use crate::founding::{Base, START_MS, member_seed};
use crate::knobs::Knobs;
use crate::network::{Network, Traffic};
use crate::story::Story;
use crate::suite::Suite;

type Machine<S> = Dkg<<S as Suite>::Cipher, <S as Suite>::Identity, <S as Suite>::Verify>;

/// How long faults go on, and how long all may take.
const FAULTY_MS: u64 = 15_000;
const LONGEST_MS: u64 = 600_000;
/// A party that says nothing is waited for so long.
const SILENT_MS: u64 = 60_000;
const TICK_MS: u64 = 50;

/// How a reshare ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// All have their shares, and all is right with them.
    Changed,
    /// Everybody stopped.
    Died,
    /// All honest parties ended with this name.
    Named(Culprit),
    /// It goes on, and these are missed.
    Waits(Vec<Slot>),
}

struct Party<S: Suite> {
    machine: Option<Machine<S>>,
    boot: u64,
    disk: Option<Vec<u8>>,
    /// Written and not durable, in order.
    written: Vec<Vec<u8>>,
    done: Option<(KeyRecord, KeyShare<S::Cipher>)>,
    dealt: Option<KeyRecord>,
    named: Option<Culprit>,
}

enum Event {
    Deliver(Slot, Slot, u64, Box<DkgMessage>),
    Persisted(Slot, u64),
    Start(Slot),
    Tick,
}

/// What a reshare leaves.
pub(super) type Outcome<S> = (KeyRecord, BTreeMap<Slot, KeyShare<<S as Suite>::Cipher>>);

/// A reshare.
pub(super) struct Stage<'a, S: Suite> {
    base: &'a Base<S>,
    plan: &'a ChangePlan,
    knobs: &'a Knobs,
    now: u64,
    parties: BTreeMap<Slot, Party<S>>,
    pub(super) network: Network,
    /// Who does not follow it, and how.
    pub(super) lie: Option<(Slot, Lie)>,
    heard: Option<DkgMessage>,
    verify: S::Verify,
    dice: &'a mut Dice,
    story: &'a mut Story,
    counts: &'a mut Counts,
    queue: BTreeMap<(u64, u64), Event>,
    scheduled: u64,
    /// Counted where somebody asks for it.
    pub(super) traffic: Option<Traffic>,
    broken: Option<String>,
}

impl<'a, S: Suite> Stage<'a, S> {
    /// All that take part.
    pub(super) fn parties(plan: &ChangePlan) -> BTreeSet<Slot> {
        let members = plan.members.iter().map(|member| member.slot);
        plan.dealers.iter().copied().chain(members).collect()
    }

    pub(super) fn new(
        base: &'a Base<S>,
        plan: &'a ChangePlan,
        knobs: &'a Knobs,
        (dice, story, counts): (&'a mut Dice, &'a mut Story, &'a mut Counts),
    ) -> Self {
        let party = |slot| {
            let party = Party {
                machine: None,
                boot: 0,
                disk: None,
                written: Vec::new(),
                done: None,
                dealt: None,
                named: None,
            };
            (slot, party)
        };
        let mut stage = Self {
            base,
            plan,
            knobs,
            now: START_MS,
            parties: Self::parties(plan).into_iter().map(party).collect(),
            network: Network::new(knobs),
            lie: None,
            heard: None,
            verify: S::Verify::default(),
            dice,
            story,
            counts,
            queue: BTreeMap::new(),
            scheduled: 0,
            traffic: None,
            broken: None,
        };
        for slot in Self::parties(plan) {
            let delay = stage.dice.within((0, 500));
            stage.after(delay, Event::Start(slot));
        }
        stage.after(0, Event::Tick);
        stage
    }

    /// Runs it to its end.
    pub(super) fn go(mut self, fate: Fate) -> Result<Ended, String> {
        self.play(fate);
        self.ended(fate)
    }

    /// Runs it to its end; simulated milliseconds and what was sent.
    pub(super) fn measure(mut self) -> Result<(u64, Traffic), String> {
        self.traffic = Some(Traffic::default());
        self.play(Fate::Ends);
        let took = (self.now - START_MS, self.traffic.unwrap_or_default());
        match self.ended(Fate::Ends)? {
            Ended::Changed => Ok(took),
            other => Err(format!("{other:?}")),
        }
    }

    /// Runs it to its end, and gives what it has left: the key record and all new shares.
    pub(super) fn outcome(mut self) -> Result<Outcome<S>, String> {
        self.play(Fate::Ends);
        if let Some(what) = self.broken {
            return Err(what);
        }
        let (mut key, mut shares) = (None, BTreeMap::new());
        for (slot, party) in self.parties {
            if let Some((record, share)) = party.done {
                shares.insert(slot, share);
                key = Some(record);
            }
        }
        match key {
            Some(key) if shares.len() == self.plan.members.len() => Ok((key, shares)),
            _ => Err("a member has no share".to_owned()),
        }
    }

    fn play(&mut self, fate: Fate) {
        let healed = START_MS + FAULTY_MS;
        let end = match (fate, self.lie) {
            (Fate::Dies(ms), _) => START_MS + ms,
            (Fate::Ends, Some((_, Lie::Silent))) => healed + SILENT_MS,
            (Fate::Ends, _) => START_MS + LONGEST_MS,
        };
        while self.broken.is_none() && !self.settled() {
            let timers = self.parties.iter().filter_map(|(slot, party)| {
                let at = party.machine.as_ref()?.poll_timeout()?;
                Some((at.max(self.now), *slot))
            });
            let timer = timers.min();
            let queued = self.queue.keys().next().map(|(at, _)| *at);
            let due = timer.map(|(at, _)| at);
            let Some(next) = [due, queued]
                .into_iter()
                .flatten()
                .min()
                .filter(|at| *at <= end)
            else {
                break;
            };
            if self.now < healed && next >= healed {
                self.network.heal();
            }
            self.now = next;
            if queued.is_some_and(|at| at <= next) {
                if let Some((_, event)) = self.queue.pop_first() {
                    self.happen(event);
                }
            } else if let Some((_, slot)) = timer {
                let now = self.now;
                if let Some((machine, dice)) = self.machine(slot) {
                    machine.handle_timeout(now, &mut dice.rng);
                }
                self.drain(slot);
            }
        }
    }

    fn honest(&self) -> impl Iterator<Item = (&Slot, &Party<S>)> {
        let liar = self.lie.map(|(liar, _)| liar);
        let parties = self.parties.iter();
        parties.filter(move |(slot, _)| Some(**slot) != liar)
    }

    /// Whether every honest party has ended, all in the same way.
    fn settled(&self) -> bool {
        let done = |party: &Party<S>| party.done.is_some() || party.dealt.is_some();
        self.honest().all(|(_, party)| done(party))
            || self
                .honest()
                .all(|(_, party)| !done(party) && party.named.is_some())
    }

    fn ended(self, fate: Fate) -> Result<Ended, String> {
        if let Some(what) = self.broken {
            return Err(what);
        }
        if !self.settled() {
            if matches!(fate, Fate::Dies(_)) {
                return Ok(Ended::Died);
            }
            let running = self
                .honest()
                .filter_map(|(_, party)| party.machine.as_ref());
            let missing: BTreeSet<Slot> = running
                .filter_map(Dkg::progress)
                .flat_map(|told| told.missing)
                .collect();
            let named = self
                .honest()
                .filter_map(|(slot, party)| Some((slot, party.named?)));
            let named: Vec<_> = named.collect();
            // No signed words prove these before all: who starts anew afterwards waits, and convicts
            // nobody.
            let unproven = matches!(self.lie, Some((_, Lie::Certify | Lie::TwoCertify)));
            match named.first() {
                Some((_, culprit)) if unproven => return Ok(Ended::Named(*culprit)),
                Some(_) => return Err(format!("only some end with a name: {named:?}")),
                None => {}
            }
            return Ok(Ended::Waits(missing.into_iter().collect()));
        }
        let named = self.honest().find_map(|(_, party)| {
            let done = party.done.is_some() || party.dealt.is_some();
            party.named.filter(|_| !done)
        });
        match named {
            Some(culprit) => Ok(Ended::Named(culprit)),
            None => self.check().map(|()| Ended::Changed),
        }
    }

    /// The key is the one before, any t of the new shares sign, and old ones do not mix with them.
    fn check(self) -> Result<(), String> {
        let Self {
            base, plan, dice, ..
        } = self;
        let (mut shares, mut key) = (Vec::new(), None);
        for (slot, party) in self.parties {
            let record = match (party.done, party.dealt) {
                (Some((record, share)), _) => {
                    shares.push(share);
                    record
                }
                (None, Some(record)) => record,
                (None, None) => continue,
            };
            S::check_change(&record, plan, base)
                .map_err(|error| format!("member {slot}'s record: {error}"))?;
            if record.group_key != base.key.group_key {
                return Err("the group key has changed".into());
            }
            let first = key.get_or_insert_with(|| record.clone());
            if first.public_package != record.public_package {
                return Err(format!("member {slot} has other verifying shares"));
            }
        }
        let key = key.ok_or("nobody has a record")?;
        let threshold = usize::from(plan.threshold);
        let set: Vec<usize> = dice.some(&(0..shares.len()).collect::<Vec<_>>(), threshold);
        let mut picked: Vec<KeyShare<S::Cipher>> = Vec::new();
        for (at, share) in shares.into_iter().enumerate() {
            if set.contains(&at) {
                picked.push(share);
            }
        }
        if picked.len() == threshold && !signs::<S>(&picked, &key, dice) {
            return Err(format!("new shares {set:?} do not sign"));
        }
        let stays = picked
            .iter()
            .position(|share| base.share(share.slot()).is_some());
        if let Some(at) = stays
            && let Some(old) = picked.get(at).and_then(|share| base.share(share.slot()))
            && let Some(place) = picked.get_mut(at)
        {
            *place = old;
            if signs::<S>(&picked, &key, dice) {
                return Err("an old share signs with new ones".into());
            }
        }
        Ok(())
    }

    fn after(&mut self, delay_ms: u64, event: Event) {
        self.scheduled += 1;
        let at = (self.now + delay_ms, self.scheduled);
        self.queue.insert(at, event);
    }

    fn tell(&mut self, slot: Slot, what: &str) {
        let party = Endpoint::Signer(slot);
        let at = self.now - START_MS;
        self.story.tell(at, &party, format_args!("change: {what}"));
    }

    fn breaks(&mut self, what: String) {
        self.broken.get_or_insert(what);
    }

    fn machine(&mut self, slot: Slot) -> Option<(&mut Machine<S>, &mut Dice)> {
        let machine = self.parties.get_mut(&slot)?.machine.as_mut()?;
        Some((machine, self.dice))
    }

    fn happen(&mut self, event: Event) {
        let now = self.now;
        match event {
            Event::Deliver(from, to, boot, message) => {
                if self.lie.is_some_and(|(liar, _)| liar == to)
                    && matches!(message.body, DkgBody::Round2 { .. })
                {
                    self.heard = Some((*message).clone());
                }
                let here = self
                    .parties
                    .get(&to)
                    .is_some_and(|party| party.boot == boot);
                if here && let Some((machine, dice)) = self.machine(to) {
                    // Why a message was dropped is for the receiver to count.
                    let _dropped = machine.handle(now, &mut dice.rng, from, *message);
                }
                self.drain(to);
            }
            Event::Persisted(slot, boot) => {
                let Some(party) = self.parties.get_mut(&slot) else {
                    return;
                };
                if party.boot != boot || party.written.is_empty() {
                    return;
                }
                party.disk = Some(party.written.remove(0));
                if let Some((machine, dice)) = self.machine(slot) {
                    machine.persisted(now, &mut dice.rng);
                }
                self.drain(slot);
            }
            Event::Start(slot) => self.start(slot),
            Event::Tick => {
                if now >= START_MS + FAULTY_MS {
                    return;
                }
                self.after(TICK_MS, Event::Tick);
                let slots: Vec<Slot> = self.parties.keys().copied().collect();
                let rate = self.knobs.crashes + self.knobs.power_cuts;
                if self.dice.rate(rate, TICK_MS)
                    && let Some(slot) = self.dice.pick(&slots).copied()
                {
                    self.crash(slot);
                }
                if self.dice.rate(self.knobs.partitions, TICK_MS) {
                    let all: Vec<Endpoint> = slots.into_iter().map(Endpoint::Signer).collect();
                    self.network.part(&all, self.dice);
                    self.counts.add("change: partition");
                } else if self.dice.chance(50) {
                    self.network.mend();
                }
            }
        }
    }

    fn start(&mut self, slot: Slot) {
        let Some(party) = self.parties.get_mut(&slot) else {
            return;
        };
        if party.machine.is_some() {
            return;
        }
        party.boot += 1;
        party.named = None;
        let (boot, restarted) = (Boot(party.boot), party.boot > 1);
        let finished = party
            .done
            .as_ref()
            .map(|(key, _)| key)
            .or(party.dealt.as_ref());
        let start = match (finished, &party.disk) {
            (Some(key), _) => Start::Finished(key.clone()),
            (None, Some(disk)) => {
                let bytes = ShareBytes::new(self.plan.epoch, Zeroizing::new(disk.clone()));
                match PendingShares::from_bytes(&bytes) {
                    Ok(shares) => Start::Pending(shares),
                    Err(error) => return self.breaks(format!("member {slot}'s share: {error}")),
                }
            }
            (None, None) => Start::Fresh,
        };
        match enter(
            self.base,
            self.plan,
            slot,
            boot,
            (self.verify.clone(), start),
        ) {
            Ok(machine) => party.machine = Some(machine),
            Err(error) => return self.breaks(format!("member {slot} does not start: {error}")),
        }
        self.tell(slot, "starts");
        if restarted {
            self.counts.add("change: restarted");
        }
        self.drain(slot);
    }

    fn crash(&mut self, slot: Slot) {
        let keeps = self.dice.chance(500);
        let Some(party) = self.parties.get_mut(&slot) else {
            return;
        };
        if party.machine.take().is_none() {
            return;
        }
        let written = std::mem::take(&mut party.written);
        if keeps && let Some(last) = written.into_iter().next_back() {
            party.disk = Some(last);
        }
        self.tell(slot, "dies");
        let delay = self.dice.within((20, 4_000));
        self.after(delay, Event::Start(slot));
    }

    fn drain(&mut self, slot: Slot) {
        while let Some(party) = self.parties.get_mut(&slot)
            && let Some(output) = party.machine.as_mut().and_then(Dkg::poll)
        {
            let boot = party.boot;
            match output {
                DkgOutput::Send { to, message } => {
                    let durable = party.disk.is_some() || party.done.is_some();
                    if matches!(message.body, DkgBody::Certify(_)) && !durable {
                        return self.breaks(format!("member {slot} certifies what it may lose"));
                    }
                    self.send(slot, to, message);
                }
                DkgOutput::Persist(bytes) => {
                    party.written.push(bytes.bytes().to_vec());
                    let delay = self.dice.within(self.knobs.persist_ms);
                    self.after(delay, Event::Persisted(slot, boot));
                }
                DkgOutput::Done(record, share) => {
                    party.done = Some((record, share));
                    self.tell(slot, "has its new share");
                }
                DkgOutput::Dealt(record) => {
                    party.dealt = Some(record);
                    self.tell(slot, "knows that it is done");
                }
                DkgOutput::Aborted { culprits, act } => {
                    self.aborted(slot, &culprits, &act.to_string())
                }
            }
        }
    }

    /// Somebody is named: the liar, and with proof where words prove it.
    fn aborted(&mut self, slot: Slot, culprits: &[Slot], act: &str) {
        self.tell(slot, &format!("names {culprits:?}: {act}"));
        let liar = self.lie.map(|(liar, _)| liar);
        if Some(slot) == liar {
            return;
        }
        if culprits.len() != 1 || culprits.first().copied() != liar {
            return self.breaks(format!("member {slot} names {culprits:?}: {act}"));
        }
        let Some(party) = self.parties.get_mut(&slot) else {
            return;
        };
        party.named = liar.map(Culprit::Member);
        let proof = party.machine.as_ref().and_then(Dkg::proof).cloned();
        if let Some(proof) = proof {
            self.counts.add("change: proof that verifies offline");
            let proof = proof.with_history(&History {
                key: self.base.key.clone(),
                epochs: Vec::new(),
            });
            if let Err(error) = S::convicts(&proof, &self.base.record) {
                self.breaks(format!("member {slot}'s proof: {error}"));
            }
        }
    }

    fn send(&mut self, from: Slot, to: Slot, message: DkgMessage) {
        let lying = self.lie.filter(|(liar, _)| *liar == from);
        let messages = match lying {
            None => vec![message],
            Some((liar, lie)) => {
                let bodies = lie.bodies(to, message.body.clone(), self.heard.as_ref());
                let envelope = |body| {
                    let mut message = message.clone();
                    message.body = body;
                    let signed = message.signed_bytes(self.base.members.domain());
                    message.signature = identity::<S>(liar.0).sign(&signed);
                    message
                };
                bodies.into_iter().map(envelope).collect()
            }
        };
        let (sender, receiver) = (Endpoint::Signer(from), Endpoint::Signer(to));
        let boot = self.parties.get(&to).map_or(0, |party| party.boot);
        for message in messages {
            self.traffic
                .iter_mut()
                .for_each(|traffic| traffic.add(&message));
            for at in self.network.carry(sender, receiver, self.dice) {
                let message = Box::new(message.clone());
                self.after(at, Event::Deliver(from, to, boot, message));
            }
        }
    }
}

/// The machine of one party.
pub(super) fn enter<S: Suite>(
    base: &Base<S>,
    plan: &ChangePlan,
    slot: Slot,
    boot: Boot,
    (verify, start): (S::Verify, Start<S::Cipher>),
) -> Result<Machine<S>, DkgError> {
    let share = base.share(slot);
    let change = Change {
        plan,
        base: &base.members,
        key: &base.key,
        share: share.as_ref().filter(|_| plan.dealers.contains(&slot)),
    };
    let card = plan.members.iter().find(|member| member.slot == slot);
    let seed = match card {
        // Another party in a slot that a failed plan gave to somebody else.
        Some(member) if member.card.identity != identity::<S>(slot.0).key() => slot.0 + 100,
        _ => slot.0,
    };
    Dkg::reshare(&change, slot, boot, identity::<S>(seed), verify, start)
}

fn identity<S: Suite>(seed: u16) -> S::Identity {
    S::identity(&member_seed(seed))
}

/// Whether these shares make a signature that consumers accept.
pub(super) fn signs<S: Suite>(
    shares: &[KeyShare<S::Cipher>],
    key: &KeyRecord,
    dice: &mut Dice,
) -> bool {
    let message = b"signed by what a change left";
    let signature = sign::<S>(shares, key, message, dice);
    let both = signature.zip(key.group_key.ed25519());
    both.is_some_and(|(signature, group)| S::signed(&group, message, &signature))
}

/// What these shares make of a message, which is no signature if they do not belong together.
pub(super) fn sign<S: Suite>(
    shares: &[KeyShare<S::Cipher>],
    key: &KeyRecord,
    message: &[u8],
    dice: &mut Dice,
) -> Option<Signature> {
    let (mut nonces, mut commitments) = (Vec::new(), BTreeMap::new());
    for share in shares {
        let package = share.key_package();
        let (nonce, commitment) = round1::commit(package.signing_share(), &mut dice.rng);
        nonces.push(nonce);
        commitments.insert(*package.identifier(), commitment);
    }
    let signing = SigningPackage::new(commitments, message);
    let made = shares.iter().zip(&nonces).map(|(share, nonce)| {
        let package = share.key_package();
        let made = round2::sign(&signing, nonce, package).ok()?;
        Some((*package.identifier(), made))
    });
    let made: BTreeMap<_, _> = made.collect::<Option<_>>()?;
    let public = PublicKeyPackage::<S::Cipher>::deserialize(&key.public_package).ok()?;
    let signature = aggregate(&signing, &made, &public).and_then(|one| one.serialize());
    let bytes = signature.ok().and_then(|bytes| bytes.try_into().ok());
    bytes.map(Signature::from_bytes)
}
