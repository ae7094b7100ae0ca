//! One seed, from its knobs to its verdict: faults first, then none, and everything comes right.

use attestation::ids::{Digest, Seq};
use signer_protocol::message::Endpoint;

use crate::ceremony;
use crate::change;
use crate::counts::Counts;
use crate::dice::Dice;
use crate::disk::Lie;
use crate::era::{self, Coming, slot_of};
use crate::founding::{Founding, base, dealt, record};
use crate::knobs::{Knobs, Profile};
use crate::liars::Liars;
use crate::story::Story;
use crate::suite::{Crypto, Real, Stub, Suite};
use crate::watch::Rule;
use crate::world::{Event, Violation, World};

/// Longest that a committee may need once faults have ended, in simulated milliseconds: each of up
/// to three leaders may lie for a longest timer, while requests that cost views before are set aside,
/// the longer the more views they cost.
pub const RECOVERY_MS_MAX: u64 = 600_000;
/// Lines of a story that are told of a seed that broke a promise.
pub const ENDING_LINES: usize = 40;
/// Requests handed in after that until every member takes part again.
const ROUNDS_MAX: usize = 8;

/// Requests handed in at once where a leader passes some over: enough for 16 steps without them.
const BURST: usize = 44;

/// What is run.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The family of runs.
    pub profile: Profile,
    /// Whether the story's text is kept.
    pub story: bool,
    /// t and n, where they are not drawn.
    pub size: Option<(u16, u16)>,
    /// What is signed with.
    pub crypto: Crypto,
    /// A disk that lies, to check the checks with.
    pub lie: Option<Lie>,
}

impl Plan {
    /// A run of this family, without its text.
    #[must_use]
    pub const fn of(profile: Profile) -> Self {
        Self {
            profile,
            story: false,
            size: None,
            crypto: Crypto::Real,
            lie: None,
        }
    }
}

/// What came of a seed.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// What it drew.
    pub knobs: Knobs,
    /// The violation that ended it, if any.
    pub violation: Option<Violation>,
    /// Hash over everything that happened.
    pub hash: Digest,
    /// What happened how often.
    pub counts: Counts,
    /// Events.
    pub events: u64,
    /// The last attested step.
    pub head: Seq,
    /// Simulated time.
    pub simulated_ms: u64,
    /// From the end of all faults until every request was attested.
    pub recovered_ms: u64,
    /// The text, if it was asked for.
    pub lines: Vec<String>,
}

/// Runs a seed.
#[must_use]
pub fn run(seed: u64, plan: &Plan) -> Outcome {
    match plan.crypto {
        Crypto::Real => run_under::<Real>(seed, plan),
        Crypto::Stub => run_under::<Stub>(seed, plan),
    }
}

/// The last lines of a seed's story, for whoever has to find out why it broke a promise. The seed is
/// run again for it, and is the same run.
#[must_use]
pub fn ending(seed: u64, plan: &Plan) -> String {
    let told = Plan {
        story: true,
        ..*plan
    };
    let lines = run(seed, &told).lines;
    let before = lines.len().saturating_sub(ENDING_LINES);
    let last = lines.iter().skip(before);
    last.map(|line| format!("    {line}\n")).collect()
}

fn run_under<S: Suite>(seed: u64, plan: &Plan) -> Outcome {
    let mut dice = Dice::new(seed);
    let knobs = Knobs::draw_sized(plan.profile, plan.size, &mut dice);
    let mut story = Story::new(plan.story);
    story.tell(
        0,
        &"seed",
        format_args!("{seed}, {}: {knobs}", plan.profile),
    );
    let mut counts = Counts::default();
    if plan.profile == Profile::Change {
        let broken = change::run::<S>(&knobs, &mut dice, &mut story, &mut counts).err();
        let violation = broken.map(|what| Violation {
            rule: Rule::B3,
            at_ms: 0,
            what,
        });
        return ended(seed, &knobs, violation, &story, &counts);
    }
    let origin = origin::<S>(plan.profile, &knobs, (&mut dice, &mut story, &mut counts));
    let (founding, coming) = match origin {
        Ok(origin) => origin,
        Err((rule, what)) => {
            let at_ms = 0;
            let violation = Violation { rule, at_ms, what };
            return ended(seed, &knobs, Some(violation), &story, &counts);
        }
    };
    let liars = Liars::draw(&knobs, &mut dice);
    let mut world = World::new(knobs, founding, dice, story);
    world.counts = counts;
    world.liars = liars;
    if let Some(coming) = coming {
        world.watch.expects(&coming.committee);
        world.coming = Some(coming);
        world.plan_cutover();
    }
    world.establish();
    for member in world.members.values_mut() {
        member.disk.lie = plan.lie;
    }
    world.submit();
    for _ in 1..world.knobs.requests {
        let at = world.dice.within((0, world.knobs.faulty_ms));
        world.after(at, Event::Submit);
    }
    if world.liars.censor() {
        let begin = world.dice.within((0, world.knobs.faulty_ms / 2));
        for _ in 0..BURST {
            let at = begin + world.dice.within((0, 1_000));
            world.after(at, Event::Submit);
        }
    }
    world.after(0, Event::Chaos);
    world.run_until(world.knobs.faulty_ms, |_| false);
    let recovered_ms = recover(&mut world);
    outcome(seed, world, recovered_ms)
}

/// A committee with its keys, and the epoch that is to follow.
type Origin<S> = (Founding<S>, Option<Coming<S>>);

fn origin<S: Suite>(
    profile: Profile,
    knobs: &Knobs,
    (dice, story, counts): (&mut Dice, &mut Story, &mut Counts),
) -> Result<Origin<S>, (Rule, String)> {
    if profile == Profile::Epochs {
        let base = base::<S>(knobs.members, knobs.threshold);
        let coming = Coming::made(&base, knobs, dice, counts);
        let coming = coming.map_err(|what| (Rule::B3, what))?;
        return Ok((era::founding(&base), Some(coming)));
    }
    let record = record::<S>(knobs.members, knobs.threshold, knobs.coordinators);
    let keys = if knobs.ceremony {
        ceremony::run::<S>(&record, knobs, dice, story, counts).map_err(|what| (Rule::B2, what))?
    } else {
        dealt(knobs.members, knobs.threshold)
    };
    Ok((Founding::new(record, keys), None))
}

/// Faults end: every request is attested (L1), then every member takes part (L2).
fn recover<S: Suite>(world: &mut World<S>) -> u64 {
    if world.violation.is_some() || world.knobs.lying_coordinators == world.knobs.coordinators {
        return 0;
    }
    world.heal();
    let begun = world.now;
    world.submit();
    if !world.run_until(RECOVERY_MS_MAX, World::all_attested) {
        if !world.can_attest() {
            world.counts.add("too few are left to attest");
            return 0;
        }
        let waiting: Vec<usize> = world.waiting().collect();
        let what = format!("requests {waiting:?} wait {RECOVERY_MS_MAX} ms after all faults ended");
        world.violate(Rule::L1, what);
    }
    let recovered_ms = world.now - begun;
    for _ in 0..ROUNDS_MAX {
        if world.violation.is_some() || world.behind().is_empty() {
            return recovered_ms;
        }
        world.submit();
        if !world.run_until(RECOVERY_MS_MAX, World::all_attested) {
            if !world.can_attest() {
                return recovered_ms;
            }
            let waiting: Vec<usize> = world.waiting().collect();
            world.violate(Rule::L1, format!("requests {waiting:?} wait"));
        }
        world.run_until(1_000, |_| false);
    }
    if world.violation.is_none() && !world.behind().is_empty() {
        let what = format!("{:?} are behind after {ROUNDS_MAX} steps", world.behind());
        world.violate(Rule::L2, what);
    }
    recovered_ms
}

impl<S: Suite> World<S> {
    /// Whether every request that can be attested is.
    #[must_use]
    pub fn all_attested(&self) -> bool {
        self.waiting().next().is_none()
    }

    /// Requests that can be attested and are not.
    pub fn waiting(&self) -> impl Iterator<Item = usize> {
        let requests = self.requests.iter().enumerate();
        requests
            .filter(|(at, _)| !self.excused.contains(at))
            .filter(|(_, (id, _))| self.chain.done(id).is_none())
            .map(|(at, _)| at)
    }

    /// Whether t members are left that neither lie nor are silenced. One that showed two faces has two
    /// registers, of which each lacks what the other says: once it stops lying it only watches.
    #[must_use]
    pub fn can_attest(&self) -> bool {
        let (committee, keys) = self.in_force(self.chain.head());
        let left = self.members.iter().filter(|(machine, member)| {
            machine.face == 0
                && member.lies.is_empty()
                && keys.shares.contains_key(&slot_of(machine.party))
                && !self.silenced.contains(&machine.party)
        });
        left.count() >= usize::from(committee.quorum().threshold())
    }

    /// Honest members whose signer does not know the step before the last.
    #[must_use]
    pub fn behind(&self) -> Vec<Endpoint> {
        let head = self.chain.head();
        let (_, keys) = self.in_force(head);
        let members = self.members.iter();
        let members =
            members.filter(|(machine, _)| keys.shares.contains_key(&slot_of(machine.party)));
        let behind = members.filter(|(machine, member)| {
            let known = member.signer.as_ref().and_then(|signer| signer.head());
            let known = known.map_or(0, |step| step.commit.seq.0);
            self.honest(machine.party) && known + 1 < head.0
        });
        behind.map(|(machine, _)| machine.party).collect()
    }
}

fn outcome<S: Suite>(seed: u64, mut world: World<S>, recovered_ms: u64) -> Outcome {
    for _ in 0..world.chain.refused {
        world.counts.add("request refused with a receipt");
    }
    Outcome {
        seed,
        hash: world.story.hash(),
        events: world.story.events,
        head: world.chain.head(),
        simulated_ms: world.elapsed_ms(),
        recovered_ms,
        lines: world.story.lines().to_vec(),
        violation: world.violation,
        counts: world.counts,
        knobs: world.knobs,
    }
}

fn ended(
    seed: u64,
    knobs: &Knobs,
    violation: Option<Violation>,
    story: &Story,
    counts: &Counts,
) -> Outcome {
    Outcome {
        seed,
        knobs: knobs.clone(),
        violation,
        hash: story.hash(),
        counts: counts.clone(),
        events: story.events,
        head: Seq(0),
        simulated_ms: 0,
        recovered_ms: 0,
        lines: story.lines().to_vec(),
    }
}
