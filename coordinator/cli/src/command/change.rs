//! `zq committee change`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use attestation::address::Address;
use attestation::committee::{Card, Quorum};
use attestation::conditions::Engine;
use attestation::ids::{Digest, Epoch, RuntimeProfile, Slot, ZappId};
use serde_json::{Value, json};
use signer_protocol::exposure::{Dealing, Exposure, exposure};
use signer_protocol::lineage::{CHANGE_FILE_BYTES_MAX, ChangeFile, ChangeFileError, Lineage};
use signer_protocol::membership::Membership;
use signer_protocol::reshare::{ChangePlan, PlannedMember};
use state::system::methods::CUTOVER;

use crate::arguments::change::ChangeVerb;
use crate::command::committee::Cards;
use crate::command::light::proven;
use crate::command::zapp::{outcome, send, succeeded};
use crate::failure::Failure;
use crate::files;
use crate::node::Node;
use crate::print::{Print, fields, plain};

pub(crate) fn run(
    verb: ChangeVerb,
    node: impl FnOnce() -> Result<Node, Failure>,
    print: &Print,
) -> Result<(), Failure> {
    match verb {
        ChangeVerb::Plan {
            join,
            cards,
            profile,
            leave,
            threshold,
            dealers,
            suspect,
            given_up,
            despite_exposure,
            epoch,
            out,
        } => {
            let wish = Wish {
                join,
                cards,
                profile,
                leave: slots(&leave),
                threshold,
                dealers: slots(&dealers),
                suspect: slots(&suspect),
                epoch,
            };
            let file = plan(&node()?, &wish)?;
            let (base, planned) = check(&file)?;
            let given_up = given_up.iter().map(|path| dealing(path));
            let mut dealings = given_up.collect::<Result<Vec<Dealing>, Failure>>()?;
            dealings.extend(base.all().chain([&planned]).map(Dealing::from));
            let exposed = exposure(&dealings, &wish.suspect);
            if let Some(exposed) =
                exposed.filter(|exposed| exposed.needs_new_key() && !despite_exposure)
            {
                return Err(needs_new_key(&exposed));
            }
            write(&out, &file)?;
            print.result(&describe(&file, &base, &planned), fields);
            Ok(())
        }
        ChangeVerb::Inspect { file } => {
            let file = read(&file)?;
            let (base, planned) = check(&file)?;
            print.result(&describe(&file, &base, &planned), fields);
            Ok(())
        }
        ChangeVerb::Activate { sending } => {
            let node = node()?;
            let value = send(&node, ZappId::SYSTEM, CUTOVER, ready(&node)?, &sending)?;
            print.result(&value, outcome);
            succeeded(&value)
        }
    }
}

struct Wish {
    join: Vec<PathBuf>,
    cards: Vec<PathBuf>,
    profile: Option<RuntimeProfile>,
    leave: BTreeSet<Slot>,
    threshold: Option<u16>,
    dealers: BTreeSet<Slot>,
    suspect: BTreeSet<Slot>,
    epoch: Option<u64>,
}

fn slots(numbers: &[u16]) -> BTreeSet<Slot> {
    numbers.iter().copied().map(Slot).collect()
}

fn plan(node: &Node, wish: &Wish) -> Result<ChangeFile, Failure> {
    let (record, key, epochs) = proven(node)?;
    let base = Lineage::new(&record, &key).and_then(|first| first.through(&epochs));
    let base = base.map_err(|error| lies(&error))?;
    let old = base.members();
    if let Some(stranger) = [&wish.leave, &wish.dealers, &wish.suspect]
        .into_iter()
        .flatten()
        .find(|slot| old.member(**slot).is_none())
    {
        return Err(Failure::Usage(format!(
            "slot {stranger} is no member of epoch {}",
            old.epoch()
        )));
    }
    let stays = |slot: &Slot| !wish.leave.contains(slot);
    let stay: Vec<Slot> = old.slots().filter(stays).collect();
    let mut members: Vec<PlannedMember> = stay
        .iter()
        .filter_map(|slot| Some(seat(*slot, old.member(*slot)?.clone())))
        .collect();
    renew(&mut members, &wish.cards)?;
    let mut next = old.slot_max();
    for path in &wish.join {
        let card = Cards::read(path)?.member;
        next = Slot(next.0.checked_add(1).ok_or_else(|| {
            Failure::Usage("every slot that there can be was somebody's".to_owned())
        })?);
        members.push(seat(next, card));
    }
    let count = u16::try_from(members.len()).unwrap_or(u16::MAX);
    let quorum = match wish.threshold {
        Some(threshold) => Quorum::new(count, threshold),
        None => Quorum::with_default_threshold(count),
    };
    let quorum = quorum.map_err(|error| Failure::Usage(error.to_string()))?;
    let plan = ChangePlan {
        network: record.network,
        committee: record.id(),
        base: old.epoch(),
        keys: vec![base.key().package_digest()],
        epoch: Epoch(wish.epoch.unwrap_or(next_epoch(node, old)?)),
        dealers: dealers(wish, old, &stay),
        members,
        threshold: quorum.threshold(),
        profile: wish.profile.unwrap_or(base.profile()),
    };
    Ok(ChangeFile {
        record,
        key,
        epochs,
        plan,
    })
}

/// Gives members that stay their new cards.
fn renew(members: &mut [PlannedMember], cards: &[PathBuf]) -> Result<(), Failure> {
    for path in cards {
        let card = Cards::read(path)?.member;
        let mut held = members.iter_mut();
        let held = held.find(|member| member.card.identity == card.identity);
        let held = held.ok_or_else(|| {
            Failure::Usage(format!(
                "{}: the card of no member that stays; one that joins is named with --join",
                path.display()
            ))
        })?;
        held.card = card;
    }
    Ok(())
}

const fn seat(slot: Slot, card: Card) -> PlannedMember {
    PlannedMember { slot, card }
}

/// Those that stay and are not suspected; if they are too few, all others too.
fn dealers(wish: &Wish, old: &Membership, stay: &[Slot]) -> Vec<Slot> {
    if !wish.dealers.is_empty() {
        return wish.dealers.iter().copied().collect();
    }
    let trusted = stay.iter().filter(|slot| !wish.suspect.contains(slot));
    let trusted: Vec<Slot> = trusted.copied().collect();
    match trusted.len() >= usize::from(old.threshold()) {
        true => trusted,
        false => old.slots().collect(),
    }
}

/// The next number that no plan known to the node has.
fn next_epoch(node: &Node, old: &Membership) -> Result<u64, Failure> {
    let committee = node.get("/v1/committee")?;
    let pending = committee
        .get("change")
        .and_then(|change| change.get("epoch"));
    let pending = pending.and_then(Value::as_u64).unwrap_or_default();
    Ok(pending.max(old.epoch().0).saturating_add(1))
}

fn lies(error: &dyn std::fmt::Display) -> Failure {
    Failure::new(
        format!("the node does not prove who its committee is: {error}"),
        "ask another member's node, with --node",
    )
}

fn refused(error: ChangeFileError) -> Failure {
    let advice = match error {
        ChangeFileError::TooLong { .. } => {
            "move to a new committee with a new key, which begins with `zq committee create`"
        }
        _ => "let its author plan it anew, with `zq committee change plan`",
    };
    Failure::new(
        format!("not a change of members to approve: {error}"),
        advice,
    )
}

fn check(file: &ChangeFile) -> Result<(Lineage, Membership), Failure> {
    file.check().map_err(refused)
}

fn read(path: &Path) -> Result<ChangeFile, Failure> {
    let bytes = files::read(path, CHANGE_FILE_BYTES_MAX as u64)?;
    ChangeFile::from_bytes(&bytes).map_err(|error| refused(error.into()))
}

/// The shares that were dealt under a plan, if its ceremony came that far.
fn dealing(path: &Path) -> Result<Dealing, Failure> {
    let (_, planned) = check(&read(path)?)?;
    Ok(Dealing::from(&planned))
}

fn needs_new_key(exposed: &Exposure) -> Failure {
    let holders: Vec<String> = exposed.holders.iter().map(ToString::to_string).collect();
    Failure::new(
        format!(
            "{} are not members or are suspected, and shares of epoch {}, or of a plan for it that \
             was given up, that they may hold reach its threshold of {}: no change of members makes \
             this group key safe again",
            holders.join(", "),
            exposed.epoch,
            exposed.threshold
        ),
        "move to a new committee with a new key; --despite-exposure plans the change all the same",
    )
}

fn write(path: &Path, file: &ChangeFile) -> Result<(), Failure> {
    let opened = OpenOptions::new().write(true).create_new(true).open(path);
    opened
        .and_then(|mut opened| {
            opened.write_all(&file.to_bytes())?;
            opened.sync_all()
        })
        .map_err(|error| Failure::file(path, &error))
}

fn describe(file: &ChangeFile, base: &Lineage, planned: &Membership) -> Value {
    let old = base.members();
    let leave = old.slots().filter(|slot| planned.member(*slot).is_none());
    let join = planned.slots().filter(|slot| old.member(*slot).is_none());
    json!({
        "committee_id": file.record.id(),
        "plan": file.plan.digest(),
        "base": old.epoch(),
        "epoch": planned.epoch(),
        "threshold_before": old.threshold(),
        "members_before": old.slots().collect::<Vec<_>>(),
        "threshold": planned.threshold(),
        "members": planned.slots().collect::<Vec<_>>(),
        "leave": leave.collect::<Vec<_>>(),
        "join": join.collect::<Vec<_>>(),
        "dealers": file.plan.dealers,
        "images": images(old, planned),
        "conditions": planned.conditions(),
        "engines": engines(planned),
        "sentinels": sentinels(planned),
        "profile_before": base.profile(),
        "profile": file.plan.profile,
    })
}

/// Members that stay and whose signer is another image from then on, by slot.
fn images(old: &Membership, planned: &Membership) -> BTreeMap<Slot, Digest> {
    let changed = planned.cards().filter(|(slot, card)| {
        let before = old.member(*slot);
        before.is_some_and(|before| before.image != card.image)
    });
    changed.map(|(slot, card)| (slot, card.image)).collect()
}

/// What the cards of the planned members say of their engines, by slot.
fn engines(planned: &Membership) -> BTreeMap<Slot, Engine> {
    let cards = planned.cards();
    cards
        .filter_map(|(slot, card)| Some((slot, card.engine?)))
        .collect()
}

/// Owners of the Sentinels that stand behind the planned members, by slot.
fn sentinels(planned: &Membership) -> BTreeMap<Slot, Address> {
    let cards = planned.cards();
    cards
        .filter_map(|(slot, card)| Some((slot, card.sentinel.as_ref()?.address())))
        .collect()
}

/// Input of the cutover that is complete at the node.
fn ready(node: &Node) -> Result<Vec<u8>, Failure> {
    let committee = node.get("/v1/committee")?;
    let change = committee.get("change");
    let part = |name: &str| change.and_then(|change| change.get(name)).map(plain);
    let cutover = part("cutover").and_then(|digits| hex::decode(digits).ok());
    cutover.ok_or_else(|| {
        let why = match (part("stage"), part("detail")) {
            (Some(stage), Some(detail)) => format!("it is at stage {stage}: {detail}"),
            (Some(stage), None) => format!("it is at stage {stage}"),
            (None, _) => "its operator has approved none".to_owned(),
        };
        Failure::new(
            format!("no change of members is complete at this node: {why}"),
            "see `change` in `zq committee show --json`; every member that it names must approve it",
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_no_file_could_prove_the_changes_any_more_a_new_committee_is_the_advice() {
        let (epochs, bytes) = (170, CHANGE_FILE_BYTES_MAX + 1);
        let told = refused(ChangeFileError::TooLong { epochs, bytes }).to_json();
        let told = told.to_string();
        for what in ["170 times", "8388608", "zq committee create"] {
            assert!(told.contains(what), "{told}");
        }
    }
}
