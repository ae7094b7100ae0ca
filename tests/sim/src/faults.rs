//! Faults of the environment, as the knobs and the dice want them.

use attestation::ids::Slot;
use signer_protocol::message::Endpoint;

use crate::knobs::Knobs;
use crate::suite::Suite;
use crate::watch::Rule;
use crate::world::{Event, Machine, World};

/// How often faults may happen.
const TICK_MS: u64 = 50;

/// A fault that befalls one member.
type Fault<S> = fn(&mut World<S>, Machine);

impl<S: Suite> World<S> {
    /// A moment in which faults may happen.
    pub fn chaos(&mut self) {
        if !self.faulty {
            return;
        }
        self.after(TICK_MS, Event::Chaos);
        let knobs = self.knobs.clone();
        let rates: [(u64, Fault<S>); 8] = [
            (knobs.crashes, Self::crash),
            (knobs.power_cuts, Self::power_cut),
            (knobs.twins, Self::twin),
            (knobs.pauses, Self::pause),
            (knobs.full_disks, Self::fill_disk),
            (knobs.rollbacks, Self::roll_back),
            (knobs.stalls, Self::stall),
            (knobs.clock_jumps, Self::jump_clock),
        ];
        for (rate, fault) in rates {
            if self.dice.rate(rate, TICK_MS) {
                let machines: Vec<Machine> = self.members.keys().copied().collect();
                if let Some(machine) = self.dice.pick(&machines).copied() {
                    fault(self, machine);
                }
            }
        }
        if self.dice.rate(knobs.failovers, TICK_MS) {
            self.fail_over();
        }
        if self.dice.rate(knobs.partitions, TICK_MS) {
            let parties = self.parties();
            let how = self.network.part(&parties, &mut self.dice);
            self.tell(&"network", format_args!("{how}"));
            self.counts.add("partition");
            let heals = self.dice.within((200, 6_000));
            self.after(heals, Event::Mend);
        }
        self.change_sides();
    }

    /// A partition ends.
    pub fn mend(&mut self) {
        self.network.mend();
        self.tell(&"network", format_args!("is whole again"));
    }

    /// Faults end: what stood still goes on, what was dead starts, members that lie in excess of
    /// what a committee survives stop lying.
    pub fn heal(&mut self) {
        self.faulty = false;
        self.network.heal();
        self.tell(&"network", format_args!("faults end"));
        self.reform();
        // A liar that votes and withholds its share locks others on a job that one more cannot run:
        // n − t + 1 in the way, from which no committee comes back. Their executors are mended.
        let mended = self.lying_members() > 0;
        let machines: Vec<Machine> = self.members.keys().copied().collect();
        for machine in machines {
            if let Some(member) = self.members.get_mut(&machine) {
                member.paused_until = member.paused_until.min(self.now);
                member.engine.stalled_until = 0;
                if mended {
                    member.engine.hangs.clear();
                }
                member.twin = None;
                member.skew_ms = member.skew_ms.clamp(-2_000, 2_000);
            }
            self.start(machine);
        }
        for machine in self.ranks.keys().copied().collect::<Vec<_>>() {
            self.start(machine);
        }
        for slot in self.slots() {
            let delay = self.dice.within((1, 2_000));
            self.after(delay, Event::Ready(slot));
        }
    }

    fn restart_later(&mut self, machine: Machine) {
        let delay = self.dice.within((20, 4_000));
        self.after(delay, Event::Start(machine));
    }

    fn kill(&mut self, machine: Machine) -> bool {
        let Some(member) = self.members.get_mut(&machine) else {
            return false;
        };
        let ran = member.signer.take().is_some();
        member.process += 1;
        member.paused_until = 0;
        ran
    }

    /// The signer's process dies; its node goes on and keeps what it was given.
    pub fn crash(&mut self, machine: Machine) {
        self.note_unacknowledged(machine);
        if !self.kill(machine) {
            return;
        }
        if let Some(member) = self.members.get_mut(&machine) {
            member.disk.settle();
        }
        self.counts.add("signer crashed");
        self.tell(&machine, format_args!("dies"));
        self.restart_later(machine);
    }

    /// The member's machine loses power: what was not durable may be gone, or half there.
    fn power_cut(&mut self, machine: Machine) {
        self.note_unacknowledged(machine);
        if !self.kill(machine) {
            return;
        }
        if let Some(member) = self.members.get_mut(&machine) {
            member.twin = None;
            member.disk.cut(&mut self.dice);
            let stored = &member.stored;
            member.jobs.retain(|_, job| stored.contains(&job.digest()));
        }
        self.counts.add("power cut");
        self.tell(&machine, format_args!("loses power"));
        self.restart_later(machine);
    }

    /// The moment between a write and its acknowledgement.
    fn note_unacknowledged(&mut self, machine: Machine) {
        let waits = self.members.get(&machine).is_some_and(|member| {
            member.signer.is_some() && member.disk.chain.next_index() > member.disk.acknowledged
        });
        if waits {
            self.counts.add("crash between write and acknowledgement");
        }
    }

    /// A signer is started beside one that still runs: a supervisor that lost sight of it.
    fn twin(&mut self, machine: Machine) {
        let Some(member) = self.members.get_mut(&machine) else {
            return;
        };
        let Some(signer) = member.signer.take() else {
            return;
        };
        member.twin = Some((signer, member.process));
        member.disk.settle();
        self.counts.add("twin started");
        self.tell(&machine, format_args!("is started once more"));
        self.start(machine);
    }

    fn pause(&mut self, machine: Machine) {
        let until = self.now + self.dice.within((50, 3_000));
        if let Some(member) = self.members.get_mut(&machine) {
            member.paused_until = until;
            self.counts.add("process paused");
            self.tell(&machine, format_args!("stands still"));
        }
    }

    fn fill_disk(&mut self, machine: Machine) {
        if let Some(member) = self.members.get_mut(&machine) {
            member.disk.full = true;
            self.tell(&machine, format_args!("has no space left"));
        }
    }

    /// An operator restores an old copy of a register. Nothing on the disk shows it, so from then
    /// on the member counts as a liar (rule C2), and never stops: it repeats start numbers, which
    /// its peers take for old.
    fn roll_back(&mut self, machine: Machine) {
        let most = self.liars_safe().min(self.liars_live());
        let room = self.lying_members() < most && self.honest(machine.party);
        let Some(member) = self.members.get_mut(&machine) else {
            return;
        };
        if member.signer.is_none() {
            return;
        }
        if !room {
            return self.relocate(machine);
        }
        if !member.disk.restore() {
            return member.disk.back_up();
        }
        member.signer = None;
        member.twin = None;
        member.process += 1;
        self.liars.parties.insert(machine.party);
        self.counts.add("disk rolled back");
        self.tell(&machine, format_args!("gets an old register back"));
        self.restart_later(machine);
    }

    /// An operator moves a register to another disk (rule C3), on which an older copy may lie.
    fn relocate(&mut self, machine: Machine) {
        let Endpoint::Signer(slot) = machine.party else {
            return;
        };
        if !self.honest(machine.party) || !self.kill(machine) {
            return;
        }
        let domain = *self.founding.committee.domain();
        let Some(member) = self.members.get_mut(&machine) else {
            return;
        };
        member.twin = None;
        let before = member.disk.relocate(&domain, slot);
        let verdict = before.map_or_else(
            |refused| Err((Rule::C3, format!("{machine} does not move: {refused}"))),
            |before| {
                self.watch
                    .moved(machine.party, &before, member.disk.durable.standing())
            },
        );
        self.judge(verdict);
        self.counts.add("register moved");
        self.tell(&machine, format_args!("gets another disk"));
        self.restart_later(machine);
    }

    fn stall(&mut self, machine: Machine) {
        let until = self.now + self.dice.within((200, 15_000));
        if let Some(member) = self.members.get_mut(&machine) {
            member.engine.stalled_until = until;
            member.seemed_silent += 1;
            self.counts.add("executor stalled");
            self.tell(
                &machine,
                format_args!("has an executor that does not answer"),
            );
        }
    }

    fn jump_clock(&mut self, machine: Machine) {
        let range = 2 * Self::jump_ms(&self.knobs);
        let skew = self.dice.within((0, range));
        if let Some(member) = self.members.get_mut(&machine) {
            let half = i64::try_from(range / 2).unwrap_or(0);
            member.skew_ms = i64::try_from(skew).unwrap_or(0) - half;
            member.seemed_silent += 1;
            self.counts.add("clock jumped");
            self.tell(&machine, format_args!("has another clock"));
        }
    }

    /// Mostly within seconds, at times beyond what a job may be off.
    const fn jump_ms(knobs: &Knobs) -> u64 {
        if knobs.clock_jumps > 4 { 45_000 } else { 5_000 }
    }

    fn fail_over(&mut self) {
        let machines: Vec<Machine> = self.ranks.keys().copied().collect();
        let Some(machine) = self.dice.pick(&machines).copied() else {
            return;
        };
        let Some(rank) = self.ranks.get_mut(&machine) else {
            return;
        };
        let led = rank
            .coordinator
            .take()
            .is_some_and(|dead| dead.leading().is_some());
        rank.process += 1;
        if led {
            self.counts.add("leading coordinator died");
        }
        self.tell(&machine, format_args!("dies"));
        self.restart_later(machine);
    }

    /// The members whose signers follow the protocol and run.
    #[must_use]
    pub fn honest_slots(&self) -> Vec<Slot> {
        let slots = self.nodes.keys().copied();
        slots
            .filter(|slot| self.honest(Endpoint::Signer(*slot)))
            .collect()
    }
}
