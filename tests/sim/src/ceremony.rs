//! Key generation under faults (rule B2): whoever finishes has the same key, and all finish.

use std::collections::BTreeMap;

use attestation::committee::CreationRecord;
use attestation::ids::{Boot, Epoch, Slot};
use frost_core::keys::KeyPackage;
use signer_protocol::dkg::{Dkg, DkgOutput, KeyRecord, KeyShare, PendingShares, Start};
use signer_protocol::message::{DkgBody, DkgMessage, Endpoint};
use signer_protocol::sealed::ShareBytes;
use zeroize::Zeroizing;

use crate::counts::Counts;
use crate::dice::Dice;
use crate::founding::{Founding, Keys, START_MS, dealt};
use crate::knobs::{Knobs, Profile};
use crate::network::{Network, Traffic};
use crate::story::Story;
use crate::suite::Suite;

type Machine<S> = Dkg<<S as Suite>::Cipher, <S as Suite>::Identity, <S as Suite>::Verify>;

/// Each member's key record and share.
pub type Generated<S> = BTreeMap<Slot, (KeyRecord, KeyShare<<S as Suite>::Cipher>)>;

/// How long faults go on, and how long all may take.
const FAULTY_MS: u64 = 20_000;
const LONGEST_MS: u64 = 600_000;
const TICK_MS: u64 = 50;

struct Member<S: Suite> {
    machine: Option<Machine<S>>,
    boot: u64,
    disk: Option<Vec<u8>>,
    /// Written and not durable, in order.
    written: Vec<Vec<u8>>,
    done: Option<(KeyRecord, KeyShare<S::Cipher>)>,
}

enum Event {
    Deliver(Slot, Slot, u64, Box<DkgMessage>),
    Persisted(Slot, u64),
    Start(Slot),
    Tick,
}

struct Ceremony<'a, S: Suite> {
    now: u64,
    record: &'a CreationRecord,
    founding: Founding<S>,
    members: BTreeMap<Slot, Member<S>>,
    network: Network,
    knobs: &'a Knobs,
    dice: &'a mut Dice,
    story: &'a mut Story,
    counts: &'a mut Counts,
    queue: BTreeMap<(u64, u64), Event>,
    scheduled: u64,
    /// Counted where somebody asks for it: it costs an encoding a message.
    traffic: Option<Traffic>,
    broken: Option<String>,
}

/// Runs a key generation among honest members under the run's faults.
///
/// # Errors
/// What went wrong, for rule B2.
pub fn run<S: Suite>(
    record: &CreationRecord,
    knobs: &Knobs,
    dice: &mut Dice,
    story: &mut Story,
    counts: &mut Counts,
) -> Result<Keys<S>, String> {
    let mut ceremony = Ceremony::<S>::new(record, knobs, dice, story, counts);
    ceremony.go();
    ceremony.keys()
}

/// What each member has after a key generation without faults.
///
/// # Errors
/// What went wrong.
pub fn without_faults<S: Suite>(
    record: &CreationRecord,
    dice: &mut Dice,
) -> Result<Generated<S>, String> {
    let mut knobs = Knobs::draw(Profile::Calm, dice);
    (knobs.members, knobs.threshold) = (
        u16::try_from(record.members.len()).unwrap_or(u16::MAX),
        record.threshold,
    );
    let (mut story, mut counts) = (Story::new(false), Counts::default());
    let mut ceremony = Ceremony::<S>::new(record, &knobs, dice, &mut story, &mut counts);
    ceremony.go();
    if let Some(what) = ceremony.broken {
        return Err(what);
    }
    let members = ceremony.members.into_iter();
    let done = members.map(|(slot, member)| Some((slot, member.done?)));
    let done: Option<Generated<S>> = done.collect();
    done.ok_or_else(|| "a member has no key".to_owned())
}

/// What a key generation without faults takes: simulated milliseconds, with every message
/// `one_way_ms` on its way, and what is sent.
///
/// # Errors
/// What went wrong.
pub fn measure<S: Suite>(
    (threshold, members): (u16, u16),
    one_way_ms: u64,
    dice: &mut Dice,
) -> Result<(u64, Traffic), String> {
    let mut knobs = Knobs::draw_sized(Profile::Calm, Some((threshold, members)), dice);
    knobs.delay_ms = (one_way_ms, one_way_ms + 1);
    let record = crate::founding::record::<S>(members, threshold, 2);
    let (mut story, mut counts) = (Story::new(false), Counts::default());
    let mut ceremony = Ceremony::<S>::new(&record, &knobs, dice, &mut story, &mut counts);
    ceremony.traffic = Some(Traffic::default());
    ceremony.go();
    let took = (
        ceremony.now - START_MS,
        ceremony.traffic.unwrap_or_default(),
    );
    ceremony.keys().map(|_| took)
}

impl<'a, S: Suite> Ceremony<'a, S> {
    fn new(
        record: &'a CreationRecord,
        knobs: &'a Knobs,
        dice: &'a mut Dice,
        story: &'a mut Story,
        counts: &'a mut Counts,
    ) -> Self {
        let founding = Founding::new(record.clone(), dealt(knobs.members, knobs.threshold));
        let mut ceremony = Ceremony {
            now: START_MS,
            record,
            founding,
            members: BTreeMap::new(),
            network: Network::new(knobs),
            knobs,
            dice,
            story,
            counts,
            queue: BTreeMap::new(),
            scheduled: 0,
            traffic: None,
            broken: None,
        };
        for slot in record.slots() {
            let member = Member {
                machine: None,
                boot: 0,
                disk: None,
                written: Vec::new(),
                done: None,
            };
            ceremony.members.insert(slot, member);
            let delay = ceremony.dice.within((0, 500));
            ceremony.after(delay, Event::Start(slot));
        }
        ceremony.after(0, Event::Tick);
        ceremony
    }
}

impl<S: Suite> Ceremony<'_, S> {
    fn after(&mut self, delay_ms: u64, event: Event) {
        self.scheduled += 1;
        self.queue
            .insert((self.now + delay_ms, self.scheduled), event);
    }

    fn tell(&mut self, slot: Slot, what: &str) {
        let at = self.now - START_MS;
        let party = Endpoint::Signer(slot);
        self.story
            .tell(at, &party, format_args!("key generation: {what}"));
    }

    fn go(&mut self) {
        let healed = START_MS + FAULTY_MS;
        while self.broken.is_none() && self.members.values().any(|member| member.done.is_none()) {
            let timer = self.members.iter().filter_map(|(slot, member)| {
                let at = member.machine.as_ref()?.poll_timeout()?;
                Some((at.max(self.now), *slot))
            });
            let timer = timer.min();
            let queued = self.queue.keys().next().map(|(at, _)| *at);
            let due = timer.map(|(at, _)| at);
            let Some(next) = [due, queued].into_iter().flatten().min() else {
                return;
            };
            if next > START_MS + LONGEST_MS {
                return;
            }
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
                if let Some(machine) = self.machine(slot) {
                    machine.0.handle_timeout(now, &mut machine.1.rng);
                }
                self.drain(slot);
            }
        }
    }

    fn machine(&mut self, slot: Slot) -> Option<(&mut Machine<S>, &mut Dice)> {
        let machine = self.members.get_mut(&slot)?.machine.as_mut()?;
        Some((machine, self.dice))
    }

    fn happen(&mut self, event: Event) {
        let now = self.now;
        match event {
            Event::Deliver(from, to, boot, message) => {
                if self
                    .members
                    .get(&to)
                    .is_some_and(|member| member.boot == boot)
                    && let Some((machine, dice)) = self.machine(to)
                {
                    // Why a message was dropped is for the receiver to count.
                    let _dropped = machine.handle(now, &mut dice.rng, from, *message);
                }
                self.drain(to);
            }
            Event::Persisted(slot, boot) => {
                let Some(member) = self.members.get_mut(&slot) else {
                    return;
                };
                if member.boot != boot || member.written.is_empty() {
                    return;
                }
                member.disk = Some(member.written.remove(0));
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
                let rate = self.knobs.crashes + self.knobs.power_cuts;
                if self.dice.rate(rate, TICK_MS) {
                    let slots: Vec<Slot> = self.members.keys().copied().collect();
                    if let Some(slot) = self.dice.pick(&slots).copied() {
                        self.crash(slot);
                    }
                }
            }
        }
    }

    fn start(&mut self, slot: Slot) {
        let Some(member) = self.members.get_mut(&slot) else {
            return;
        };
        if member.machine.is_some() {
            return;
        }
        member.boot += 1;
        let restarted = member.boot > 1;
        let boot = Boot(member.boot);
        let start = match (&member.done, &member.disk) {
            (Some((key, _)), _) => Start::Finished(key.clone()),
            (None, Some(disk)) => {
                let bytes = ShareBytes::new(Epoch(1), Zeroizing::new(disk.clone()));
                match PendingShares::from_bytes(&bytes) {
                    Ok(shares) => Start::Pending(shares),
                    Err(error) => return self.breaks(format!("member {slot}'s share: {error}")),
                }
            }
            (None, None) => Start::Fresh,
        };
        let identity = self.founding.identity(Endpoint::Signer(slot));
        let verify = self.founding.verify.clone();
        match Dkg::new(self.record, slot, boot, identity, verify, start) {
            Ok(machine) => member.machine = Some(machine),
            Err(error) => return self.breaks(format!("member {slot} does not start: {error}")),
        }
        self.tell(slot, "starts");
        if restarted {
            self.counts.add("key generation restarted");
        }
        self.drain(slot);
    }

    /// The process dies, with all writes that nobody acknowledged, or none.
    fn crash(&mut self, slot: Slot) {
        let keeps = self.dice.chance(500);
        let Some(member) = self.members.get_mut(&slot) else {
            return;
        };
        if member.machine.take().is_none() {
            return;
        }
        let written = std::mem::take(&mut member.written);
        if keeps && let Some(last) = written.into_iter().next_back() {
            member.disk = Some(last);
        }
        self.tell(slot, "dies");
        let delay = self.dice.within((20, 4_000));
        self.after(delay, Event::Start(slot));
    }

    fn drain(&mut self, slot: Slot) {
        while let Some(member) = self.members.get_mut(&slot)
            && let Some(output) = member.machine.as_mut().and_then(Dkg::poll)
        {
            let boot = member.boot;
            match output {
                DkgOutput::Send { to, message } => {
                    let durable = member.disk.is_some() || member.done.is_some();
                    if matches!(message.body, DkgBody::Certify(_)) && !durable {
                        return self.breaks(format!("member {slot} certifies what it may lose"));
                    }
                    self.send(slot, to, &message);
                }
                DkgOutput::Persist(bytes) => {
                    member.written.push(bytes.bytes().to_vec());
                    let delay = self.dice.within(self.knobs.persist_ms);
                    self.after(delay, Event::Persisted(slot, boot));
                }
                DkgOutput::Done(record, share) => {
                    member.done = Some((record, share));
                    self.tell(slot, "has the key");
                }
                // A key generation deals to everybody.
                DkgOutput::Dealt(_) => {}
                DkgOutput::Aborted { culprits, act } => {
                    return self.breaks(format!("member {slot} blames {culprits:?}: {act}"));
                }
            }
        }
    }

    fn send(&mut self, from: Slot, to: Slot, message: &DkgMessage) {
        self.traffic
            .iter_mut()
            .for_each(|traffic| traffic.add(message));
        let (sender, receiver) = (Endpoint::Signer(from), Endpoint::Signer(to));
        let arrivals = self.network.carry(sender, receiver, self.dice);
        let boot = self.members.get(&to).map_or(0, |member| member.boot);
        for at in arrivals {
            let message = Box::new(message.clone());
            self.after(at, Event::Deliver(from, to, boot, message));
        }
    }

    fn breaks(&mut self, what: String) {
        self.broken.get_or_insert(what);
    }

    fn keys(self) -> Result<Keys<S>, String> {
        if let Some(what) = self.broken {
            return Err(what);
        }
        let mut shares = BTreeMap::<Slot, KeyPackage<S::Cipher>>::new();
        let mut key: Option<(KeyRecord, _)> = None;
        for (slot, member) in self.members {
            let Some((record, share)) = member.done else {
                return Err(format!("member {slot} has no key after {LONGEST_MS} ms"));
            };
            S::check_key(&record, self.record)
                .map_err(|error| format!("member {slot}'s key record: {error}"))?;
            let first = key.get_or_insert((record.clone(), share.public_package().clone()));
            if first.0.group_key != record.group_key || first.1 != *share.public_package() {
                return Err(format!("member {slot} has another key"));
            }
            shares.insert(slot, share.key_package().clone());
        }
        let (_, public) = key.ok_or("no members")?;
        self.counts.add("key generated in this run");
        Ok(Keys { shares, public })
    }
}
