//! Changes of members and threshold (rule B3) under faults: a reshare among parties that crash, over
//! a network that loses, doubles, delays and parts, with one that lies; and what is left when it dies
//! half-way. The key never changes, and whoever is named has lied.

mod lie;
mod stage;

use attestation::committee::Quorum;
use attestation::ids::{Boot, Epoch, Signature, Slot};
use signer_protocol::blame::Culprit;
use signer_protocol::dkg::{DkgError, Start};
use signer_protocol::reshare::{ChangePlan, PlanError, PlannedMember};

use self::lie::Lie;
use self::stage::{Ended, Stage};
use crate::counts::Counts;
use crate::dice::Dice;
use crate::founding::{Base, PROFILE, base, member_card};
use crate::knobs::{Knobs, Profile};
use crate::network::Traffic;
use crate::story::Story;
use crate::suite::Suite;

/// What a run of this family has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// All goes on until it ends.
    Ends,
    /// Everybody stops for good after so many milliseconds.
    Dies(u64),
}

/// Runs a change under the run's faults, and after one that came to nothing another without them.
///
/// # Errors
/// What went wrong, for rule B3.
pub fn run<S: Suite>(
    knobs: &Knobs,
    dice: &mut Dice,
    story: &mut Story,
    counts: &mut Counts,
) -> Result<(), String> {
    let base = base::<S>(knobs.members, knobs.threshold);
    let plan = draw(&base, dice, counts);
    if dice.chance(50) {
        return weak_plan(&base, plan, dice, counts);
    }
    let parties: Vec<Slot> = Stage::<S>::parties(&plan).into_iter().collect();
    let liar = match knobs.liars {
        0 => None,
        _ => dice.pick(&parties).copied(),
    };
    let lie = liar.map(|liar| (liar, Lie::draw(dice)));
    let fate = match dice.chance(200) {
        true => Fate::Dies(dice.within((20, 4_000))),
        false => Fate::Ends,
    };
    let mut stage = Stage::new(&base, &plan, knobs, (dice, story, counts));
    stage.lie = lie;
    let ended = stage.go(fate)?;
    old_shares_sign(&base, dice)?;
    match (ended, lie) {
        (Ended::Changed, _) => counts.add("change: done"),
        (Ended::Died, _) => {
            counts.add("change: died half-way");
            follow(&base, &plan, None, knobs, (dice, story, counts))?;
        }
        (Ended::Named(culprit), Some((liar, _))) if culprit == Culprit::Member(liar) => {
            counts.add("change: liar named");
            follow(&base, &plan, Some(liar), knobs, (dice, story, counts))?;
        }
        (Ended::Named(culprit), _) => return Err(format!("{culprit} is named, and is honest")),
        (Ended::Waits(missing), Some((liar, Lie::Silent))) => {
            if missing != [liar] {
                return Err(format!("{missing:?} are missed, {liar} is silent"));
            }
            counts.add("change: waits for a silent party");
            follow(&base, &plan, Some(liar), knobs, (dice, story, counts))?;
        }
        (Ended::Waits(missing), lie) => {
            return Err(format!(
                "the change does not end, {missing:?} are missed; {lie:?}"
            ));
        }
    }
    Ok(())
}

/// A plan that breaks the threshold rule (A15) is entered by nobody.
fn weak_plan<S: Suite>(
    base: &Base<S>,
    mut plan: ChangePlan,
    dice: &mut Dice,
    counts: &mut Counts,
) -> Result<(), String> {
    let members = u16::try_from(plan.members.len()).unwrap_or(u16::MAX);
    let weak: Vec<u16> = (1..members)
        .filter(|threshold| Quorum::new(members, *threshold).is_err())
        .collect();
    plan.threshold = dice.pick(&weak).copied().unwrap_or(1);
    for slot in Stage::<S>::parties(&plan) {
        let fresh = (S::Verify::default(), Start::Fresh);
        match stage::enter(base, &plan, slot, Boot(1), fresh) {
            Err(DkgError::Plan(PlanError::Quorum(_))) => {}
            Err(other) => return Err(format!("a weak plan is refused for: {other}")),
            Ok(_) => {
                let threshold = plan.threshold;
                return Err(format!(
                    "member {slot} enters a change to {threshold} of {members}"
                ));
            }
        }
    }
    counts.add("change: weak plan refused");
    Ok(())
}

/// A change in which no more have to be honest than in the base.
pub fn plan<S: Suite>(
    base: &Base<S>,
    knobs: &Knobs,
    dice: &mut Dice,
    counts: &mut Counts,
) -> ChangePlan {
    loop {
        let plan = draw(base, dice, counts);
        let members = u16::try_from(plan.members.len()).unwrap_or(u16::MAX);
        // A refresh is always among them. Without a member to spare one fault ends it all.
        if knobs.liars < 2 * plan.threshold - members && plan.threshold < members {
            return plan;
        }
    }
}

/// The next plan above the same base, without whoever was named or missed, on a good network.
fn follow<S: Suite>(
    base: &Base<S>,
    failed: &ChangePlan,
    without: Option<Slot>,
    knobs: &Knobs,
    (dice, story, counts): (&mut Dice, &mut Story, &mut Counts),
) -> Result<(), String> {
    let mut plan = failed.clone();
    plan.epoch = Epoch(failed.epoch.0 + 1);
    plan.dealers = base.slots().filter(|slot| Some(*slot) != without).collect();
    let stays = |member: &PlannedMember| Some(member.slot) != without;
    if !plan.members.iter().all(stays) {
        plan.members.retain(stays);
        let next = plan.members.iter().map(|member| member.slot).max();
        let next = next.max(Some(base.members.slot_max())).unwrap_or_default();
        plan.members.push(planned::<S>(Slot(next.0 + 1)));
    }
    // A new slot that the failed plan gave to the liar was nobody's: it is the next one again.
    let (known, new): (Vec<_>, Vec<_>) = plan
        .members
        .into_iter()
        .partition(|member| base.members.member(member.slot).is_some());
    let fresh = (base.members.slot_max().0 + 1..).zip(&new);
    plan.members = known;
    let joins = fresh.map(|(slot, old)| match Some(Slot(slot)) == without {
        // The same slot with another party's card.
        true => PlannedMember {
            slot: Slot(slot),
            card: member_card::<S>(slot + 100),
        },
        false if old.slot == Slot(slot) => old.clone(),
        false => planned::<S>(Slot(slot)),
    });
    plan.members.extend(joins);
    let mut calm = knobs.clone();
    (calm.crashes, calm.power_cuts) = (0, 0);
    let mut stage = Stage::new(base, &plan, &calm, (dice, story, counts));
    stage.network.heal();
    match stage.go(Fate::Ends)? {
        Ended::Changed => {
            counts.add("change: done after one that came to nothing");
            old_shares_sign(base, dice)
        }
        other => Err(format!("the next change does not succeed: {other:?}")),
    }
}

/// What a refresh of all shares without faults takes, all members dealing: simulated milliseconds,
/// with every message `one_way_ms` on its way, and what is sent.
///
/// # Errors
/// What went wrong.
pub fn measure<S: Suite>(
    base: &Base<S>,
    one_way_ms: u64,
    dice: &mut Dice,
) -> Result<(u64, Traffic), String> {
    let mut knobs = Knobs::draw(Profile::Calm, dice);
    knobs.delay_ms = (one_way_ms, one_way_ms + 1);
    let (mut story, mut counts) = (Story::new(false), Counts::default());
    let slots: Vec<Slot> = base.slots().collect();
    let plan = ChangePlan {
        dealers: slots.clone(),
        members: slots.into_iter().map(planned::<S>).collect(),
        threshold: base.members.threshold(),
        ..draw(base, dice, &mut counts)
    };
    Stage::new(base, &plan, &knobs, (dice, &mut story, &mut counts)).measure()
}

/// The committee after a change on a good network.
///
/// # Errors
/// What went wrong.
pub fn without_faults<S: Suite>(
    base: &Base<S>,
    plan: &ChangePlan,
    dice: &mut Dice,
) -> Result<Base<S>, String> {
    let knobs = Knobs::draw(Profile::Calm, dice);
    let (mut story, mut counts) = (Story::new(false), Counts::default());
    let verify = S::Verify::default();
    let members = plan.check(&base.members, &verify);
    let members = members.map_err(|error| error.to_string())?;
    let stage = Stage::new(base, plan, &knobs, (dice, &mut story, &mut counts));
    let (key, shares) = stage.outcome()?;
    Ok(base.changed(members, key, shares))
}

/// What t members sign together.
pub fn sign<S: Suite>(base: &Base<S>, message: &[u8], dice: &mut Dice) -> Option<Signature> {
    let threshold = usize::from(base.members.threshold());
    let shares = base.slots().filter_map(|slot| base.share(slot));
    let shares: Vec<_> = shares.take(threshold).collect();
    stage::sign::<S>(&shares, &base.key, message, dice)
}

/// Old shares go on working until they are destroyed.
fn old_shares_sign<S: Suite>(base: &Base<S>, dice: &mut Dice) -> Result<(), String> {
    let slots: Vec<Slot> = base.slots().collect();
    let set = dice.some(&slots, usize::from(base.members.threshold()));
    let shares: Vec<_> = set.iter().filter_map(|slot| base.share(*slot)).collect();
    match stage::signs::<S>(&shares, &base.key, dice) {
        true => Ok(()),
        false => Err(format!("old shares of {set:?} do not sign")),
    }
}

fn planned<S: Suite>(slot: Slot) -> PlannedMember {
    PlannedMember {
        slot,
        card: member_card::<S>(slot.0),
    }
}

/// A change of any kind that the rules allow.
fn draw<S: Suite>(base: &Base<S>, dice: &mut Dice, counts: &mut Counts) -> ChangePlan {
    let old: Vec<Slot> = base.slots().collect();
    let count = u16::try_from(old.len()).unwrap_or(u16::MAX);
    let threshold = base.members.threshold();
    let mut members = old.clone();
    let mut new_threshold = threshold;
    let next = Slot(base.members.slot_max().0 + 1);
    match dice.below(5) {
        0 => counts.add("change: refresh"),
        1 if old.len() > 4 => {
            members.remove(dice.below(old.len()));
            counts.add("change: removal");
        }
        2 => {
            members.push(next);
            counts.add("change: enrolment");
        }
        3 => {
            let others = (2..=count)
                .filter(|other| *other != threshold && Quorum::new(count, *other).is_ok());
            let others: Vec<u16> = others.collect();
            new_threshold = dice.pick(&others).copied().unwrap_or(threshold);
            counts.add("change: threshold");
        }
        _ => {
            members.remove(dice.below(old.len()));
            members.push(next);
            counts.add("change: replacement");
        }
    }
    let members_count = u16::try_from(members.len()).unwrap_or(u16::MAX);
    if Quorum::new(members_count, new_threshold).is_err() {
        let default = Quorum::with_default_threshold(members_count);
        new_threshold = default.map_or(threshold, |quorum| quorum.threshold());
    }
    let dealing = dice.within((u64::from(threshold), old.len() as u64));
    let domain = base.members.domain();
    ChangePlan {
        network: domain.network,
        committee: domain.committee,
        base: base.members.epoch(),
        keys: vec![base.key.package_digest()],
        epoch: Epoch(base.members.epoch().0 + 1),
        dealers: dice.some(&old, usize::try_from(dealing).unwrap_or(old.len())),
        members: members.into_iter().map(planned::<S>).collect(),
        threshold: new_threshold,
        profile: PROFILE,
    }
}
