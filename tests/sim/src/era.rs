//! The change of epochs while steps go on (rule B4): a change of members that is made, becomes
//! ready at one member after the other, and comes into force with the step that carries it.
//!
//! What the ceremony itself survives is [`crate::change`]'s; here it has ended, and what matters is
//! who votes for the cutover, who signs what in which epoch, and who is left behind.

use std::collections::BTreeSet;

use attestation::ids::{Epoch, Seq, Slot};
use frost_core::keys::PublicKeyPackage;
use signer_protocol::committee::Committee;
use signer_protocol::lineage::EpochRecord;
use signer_protocol::message::{Endpoint, Message, ToCoordinator};
use signer_protocol::signer;
use state::system::methods::CUTOVER;

use crate::change;
use crate::counts::Counts;
use crate::dice::Dice;
use crate::founding::{Base, Founding, Keys};
use crate::knobs::Knobs;
use crate::suite::Suite;
use crate::watch::{Rule, Verdict};
use crate::world::{Event, World};

/// The next epoch of a committee.
#[derive(Debug)]
pub struct Coming<S: Suite> {
    /// Its members.
    pub committee: Committee,
    /// Their shares of the same group key.
    pub keys: Keys<S>,
    /// Input of the one request that puts it into force.
    pub input: Vec<u8>,
    /// That request, once somebody has handed it in.
    pub request: Option<usize>,
    /// Members whose part of the change is durable.
    pub ready: BTreeSet<Slot>,
    /// Its first step, once the one before is attested.
    pub from: Option<Seq>,
}

impl<S: Suite> Coming<S> {
    /// A change of any kind of the base, made without faults, in which as many may lie.
    ///
    /// # Errors
    /// What the ceremony ended with instead.
    pub fn made(
        base: &Base<S>,
        knobs: &Knobs,
        dice: &mut Dice,
        counts: &mut Counts,
    ) -> Result<Self, String> {
        let plan = change::plan(base, knobs, dice, counts);
        let next = change::without_faults(base, &plan, dice)?;
        let group_key = next.key.group_key.ed25519();
        let group_key = group_key.ok_or("a group key that signs no steps")?;
        let committee = Committee::in_epoch(&base.record, &next.members, group_key);
        let keys = keys(&next);
        let change = EpochRecord {
            plan,
            key: next.key,
        };
        Ok(Self {
            committee: committee.map_err(|error| error.to_string())?,
            keys,
            input: change.cutover().to_bytes(),
            request: None,
            ready: BTreeSet::new(),
            from: None,
        })
    }
}

impl<S: Suite> World<S> {
    /// The committee whose step follows `head`, and its keys.
    #[must_use]
    pub fn in_force(&self, head: Seq) -> (&Committee, &Keys<S>) {
        match &self.coming {
            Some(next) if next.from.is_some_and(|from| from.0 <= head.0 + 1) => {
                (&next.committee, &next.keys)
            }
            _ => (&self.founding.committee, &self.founding.keys),
        }
    }

    /// The epoch that a member's node is in.
    #[must_use]
    pub fn epoch_at(&self, slot: Slot) -> Epoch {
        let applied = self.nodes.get(&slot).map(|node| node.applied);
        self.in_force(applied.unwrap_or_default()).0.epoch()
    }

    /// All members of both epochs.
    #[must_use]
    pub fn slots(&self) -> BTreeSet<Slot> {
        let next = self.coming.iter().flat_map(|next| next.keys.shares.keys());
        let first = self.founding.keys.shares.keys();
        first.chain(next).copied().collect()
    }

    /// The cutover that a member votes for, and the last epoch that it has a share of.
    #[must_use]
    pub fn readiness(&self, slot: Slot) -> (Option<Vec<u8>>, Epoch) {
        let epoch = self.epoch_at(slot);
        let next = self.coming.as_ref();
        match next.filter(|next| next.ready.contains(&slot)) {
            None => (None, epoch),
            Some(next) => {
                let stays = next.keys.shares.contains_key(&slot);
                let last = if stays { next.committee.epoch() } else { epoch };
                (Some(next.input.clone()), last)
            }
        }
    }

    /// Members become ready while faults go on, but for at most as many as a step does without.
    pub fn plan_cutover(&mut self) {
        let slots: Vec<Slot> = self.slots().into_iter().collect();
        let late = usize::from(self.liars_live());
        let late = self.dice.below(late + 1);
        let late = self.dice.some(&slots, late);
        for slot in slots.iter().filter(|slot| !late.contains(slot)) {
            let at = self.dice.within((0, self.knobs.faulty_ms));
            self.after(at, Event::Ready(*slot));
        }
    }

    /// A member's part of the change is durable; its node takes the request from now on.
    pub fn ready(&mut self, slot: Slot) {
        let Some(next) = &mut self.coming else {
            return;
        };
        if !next.ready.insert(slot) {
            return;
        }
        let input = next.input.clone();
        self.tell(
            &Endpoint::Signer(slot),
            format_args!("is ready for the change"),
        );
        let request = match self.coming.as_ref().and_then(|next| next.request) {
            Some(request) => request,
            None => self.hand_in(input.clone()),
        };
        for machine in self.signers_of(slot) {
            if self.epoch_at(slot) == self.founding.committee.epoch()
                && let Some(member) = self.members.get_mut(&machine)
            {
                let twin = member.twin.as_mut().map(|(twin, _)| twin);
                for signer in member.signer.iter_mut().chain(twin) {
                    signer.approve_cutover(input.clone());
                }
            }
        }
        self.after(1, Event::Arrive(slot, request));
    }

    /// B4: who votes for a step that carries the cutover has its part of the change.
    ///
    /// # Errors
    /// The rule, if it has not.
    pub fn votes_ready(&self, slot: Slot, message: &Message) -> Verdict {
        let (Message::ToCoordinator(ToCoordinator::Vote { vote, .. }), Some(next)) =
            (message, &self.coming)
        else {
            return Ok(());
        };
        let request = next.request.and_then(|at| self.requests.get(at));
        let job = self.watch.job(&vote.statement);
        let carries = job
            .zip(request)
            .is_some_and(|(job, (_, cutover))| job.requests.contains(cutover));
        // A certificate is t votes of members that have it.
        let certified = self.watch.is_certified(vote.seq, &vote.statement);
        if !carries || next.ready.contains(&slot) || certified {
            return Ok(());
        }
        let what = format!("member {slot} votes for a change of which it has no part");
        Err((Rule::B4, what))
    }

    fn hand_in(&mut self, input: Vec<u8>) -> usize {
        let at = self.requests.len();
        let system = attestation::ids::ZappId::SYSTEM;
        self.sign_request(system, CUTOVER, input);
        if let Some(next) = &mut self.coming {
            next.request = Some(at);
        }
        at
    }

    /// The request that puts the next epoch into force is attested at this step.
    pub fn cut_over(&mut self, seq: Seq) {
        let Some(next) = &mut self.coming else {
            return;
        };
        let handed = next.request.and_then(|at| self.requests.get(at));
        let done = handed.and_then(|(id, _)| self.chain.done(id));
        if next.from.is_none() && done == Some(seq) {
            let from = Seq(seq.0 + 1);
            next.from = Some(from);
            self.watch.turns(from);
            self.counts.add("epoch put into force");
            let slots: Vec<Slot> = self
                .members
                .keys()
                .map(|machine| slot_of(machine.party))
                .collect();
            let ready = self.coming.as_ref().map(|next| next.ready.clone());
            if ready.is_some_and(|ready| slots.iter().any(|slot| !ready.contains(slot))) {
                self.counts
                    .add("epoch put into force without a member that is not ready");
            }
        }
    }

    /// Nodes tell each other of steps.
    pub fn gossip(&mut self, seq: Seq) {
        if self.coming.is_none() {
            return;
        }
        for slot in self.nodes.keys().copied().collect::<Vec<_>>() {
            let delay = self.dice.within((20, 4_000));
            self.after(delay, Event::Applied(slot, seq));
        }
    }

    /// A node's guests start anew in the epoch that its head has put into force. A liar goes on as
    /// before, if it likes: its old share still signs under the same key.
    pub fn turn(&mut self, slot: Slot) {
        for machine in self.signers_of(slot) {
            let stays = !self.honest(machine.party) && self.faulty && self.dice.chance(500);
            let Some(member) = self.members.get_mut(&machine) else {
                continue;
            };
            if stays {
                self.counts.add("liar stays in the old epoch");
                continue;
            }
            member.signer = None;
            member.twin = None;
            member.process += 1;
            member.disk.settle();
            self.silenced.remove(&machine.party);
            let delay = self.dice.within((1, 500));
            self.after(delay, Event::Start(machine));
            self.tell(&machine, format_args!("enters the next epoch"));
        }
        for machine in self.hosted(slot) {
            if let Some(rank) = self.ranks.get_mut(&machine) {
                rank.coordinator = None;
                rank.process += 1;
                let delay = self.dice.within((1, 500));
                self.after(delay, Event::Start(machine));
            }
        }
    }

    /// What a member's signer is told of steps that its node knows from others.
    pub fn tell_head(&mut self, slot: Slot, seq: Seq) {
        let head = self.chain.step(seq).copied();
        if let Some(head) = head.filter(|_| self.coming.is_some()) {
            for machine in self.signers_of(slot) {
                self.sign(machine, signer::Input::Head(Box::new(head)));
            }
        }
    }
}

/// The member of a signer's machine.
#[must_use]
pub const fn slot_of(party: Endpoint) -> Slot {
    match party {
        Endpoint::Signer(slot) | Endpoint::Executor(slot) | Endpoint::Node(slot) => slot,
        Endpoint::Coordinator(rank) => Slot(rank + 1),
    }
}

/// A committee whose key a key generation has made.
#[must_use]
pub fn founding<S: Suite>(base: &Base<S>) -> Founding<S> {
    Founding::new(base.record.clone(), keys(base))
}

fn keys<S: Suite>(base: &Base<S>) -> Keys<S> {
    let shares = base.slots().filter_map(|slot| {
        let share = base.share(slot)?;
        Some((slot, share.key_package().clone()))
    });
    let public = PublicKeyPackage::deserialize(&base.key.public_package);
    Keys {
        shares: shares.collect(),
        public: public.expect("a key record's package decodes"),
    }
}
