//! `zq committee`.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::path::Path;

use attestation::committee::{Card, CreationRecord, Quorum, RecordError};
use attestation::conditions::{ConditionError, Conditions};
use attestation::ids::{Digest, NetworkId, RuntimeProfile};
use attestation::terms::{Grant, Terms};
use serde_json::{Value, json};

use crate::arguments::CommitteeVerb;
use crate::arguments::money::Economy;
use crate::command::invitations::Invitations;
use crate::command::status::in_own_words;
use crate::command::zapp::{now_ms, random};
use crate::command::{change, repair};
use crate::failure::Failure;
use crate::files;
use crate::node::Node;
use crate::print::{Print, fields_of, plain};
use crate::qsr::Qsr;

pub(crate) fn run(
    verb: CommitteeVerb,
    node: impl FnOnce() -> Result<Node, Failure>,
    print: &Print,
) -> Result<(), Failure> {
    match verb {
        CommitteeVerb::Show => print.result(&node()?.get("/v1/committee")?, text),
        CommitteeVerb::Create {
            cards,
            invitations,
            network,
            threshold,
            economy,
            demands,
            evm,
            out,
        } => {
            let invited = match invitations {
                Some(file) => Invitations::read(&file)?,
                None => Invitations::of_cards(cards, network.unwrap_or_default(), threshold),
            };
            let conditions = Conditions {
                engine_members_min: demands.members_per_engine,
                sentinels: demands.sentinels,
            };
            let record = create(&invited, &economy, (evm, conditions))?;
            write(&out, &record.to_bytes())?;
            if let Some(peers) = invited.peers() {
                write(&out.with_extension("peers"), &peers)?;
            }
            print.result(&describe(&record), text);
        }
        CommitteeVerb::Change(verb) => return change::run(verb, node, print),
        CommitteeVerb::Repair { slot, helpers, out } => {
            return repair::run(&node()?, slot, &helpers, &out, print);
        }
        CommitteeVerb::Inspect { file } => {
            let bytes = files::read(&file, files::JSON_BYTES_MAX)?;
            let record = CreationRecord::from_bytes(&bytes).map_err(|error| refused(&error))?;
            print.result(&describe(&record), text);
        }
    }
    Ok(())
}

/// What `zq-node init` writes to card.json.
pub(crate) struct Cards {
    pub(crate) member: Card,
    coordinator: Option<Card>,
    profile: RuntimeProfile,
}

impl Cards {
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let text = files::read_text(path, files::JSON_BYTES_MAX)?;
        Self::parse(&text).map_err(|error| {
            Failure::new(
                format!("{}: no card: {error}", path.display()),
                "give the card.json that `zq member init` made",
            )
        })
    }

    fn parse(text: &str) -> Result<Self, serde_json::Error> {
        let mut json: Value = serde_json::from_str(text)?;
        let mut part = |name: &str| json.get_mut(name).map(Value::take).unwrap_or_default();
        Ok(Self {
            member: serde_json::from_value(part("member"))?,
            coordinator: serde_json::from_value(part("coordinator"))?,
            profile: serde_json::from_value(part("profile"))?,
        })
    }
}

fn create(
    invited: &Invitations,
    economy: &Economy,
    (evm, conditions): (bool, Conditions),
) -> Result<CreationRecord, Failure> {
    let paths = invited.cards();
    let cards = paths.iter().map(|card| Cards::read(card));
    let cards: Vec<Cards> = cards.collect::<Result<_, _>>()?;
    let members = u16::try_from(cards.len()).unwrap_or(u16::MAX);
    let quorum = match invited.threshold {
        Some(threshold) => Quorum::new(members, threshold),
        None => Quorum::with_default_threshold(members),
    };
    let quorum = quorum.map_err(|error| Failure::Usage(error.to_string()))?;
    let profile = cards.first().map(|cards| cards.profile);
    let profile = profile.ok_or_else(|| Failure::Usage("no cards".to_owned()))?;
    let other = cards.iter().position(|cards| cards.profile != profile);
    if let Some((_, path)) = other.and_then(|at| paths.iter().enumerate().nth(at)) {
        return Err(Failure::new(
            format!(
                "{}: this member's programs run another profile than the first's",
                path.display()
            ),
            "let all members install the same version, then make the cards anew",
        ));
    }
    let (terms, grants) = terms(economy);
    let record = CreationRecord {
        network: NetworkId(invited.network),
        threshold: quorum.threshold(),
        members: cards.iter().map(|cards| cards.member.clone()).collect(),
        coordinators: coordinators(&cards)?,
        profile,
        created_ms: now_ms()?,
        salt: random()?,
        terms,
        grants,
        evm,
        conditions,
    };
    record.check().map_err(|error| match error {
        RecordError::Conditions(error) => unmet(error),
        error => refused(&error),
    })?;
    Ok(record)
}

/// What is to be done about conditions that the members do not meet.
fn unmet(error: ConditionError) -> Failure {
    let advice = match error {
        ConditionError::EngineDemandTooLow { .. } | ConditionError::EngineDemandTooHigh { .. } => {
            "give another number with --members-per-engine"
        }
        ConditionError::EngineUnsaid(_) | ConditionError::TooFewOnEngine { .. } => {
            "have members say their engines: `zq member init --engine`, or `zq member card --engine`"
        }
        ConditionError::SentinelMissing(_)
        | ConditionError::SentinelProof(_)
        | ConditionError::SentinelTwice(_) => {
            "have the owner of a Sentinel of its own vouch for that member: `zq member sentinel`"
        }
    };
    Failure::new(error.to_string(), advice)
}

fn terms(economy: &Economy) -> (Terms, Vec<Grant>) {
    let terms = Terms {
        gas_price: economy.gas_price.0,
        request_fee: economy.request_fee.0,
        byte_deposit: economy.byte_deposit.0,
        work_bits: economy.work_bits,
        work_gas: economy.work_gas,
    };
    let grants = economy.grant.iter();
    let mut grants: Vec<Grant> = grants
        .map(|(account, Qsr(amount))| Grant {
            account: *account,
            amount: *amount,
        })
        .collect();
    grants.sort_by_key(|grant| grant.account);
    (terms, grants)
}

/// The coordinator of rank r runs at the node of slot r + 1: ranks have no gaps.
fn coordinators(cards: &[Cards]) -> Result<Vec<Card>, Failure> {
    let first: Vec<Card> = cards
        .iter()
        .map_while(|cards| cards.coordinator.clone())
        .collect();
    let all = cards.iter().filter(|cards| cards.coordinator.is_some());
    if first.is_empty() || all.count() != first.len() {
        return Err(Failure::Usage(
            "coordinators run at the first members: put the cards that have one first".to_owned(),
        ));
    }
    Ok(first)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Failure> {
    let file = OpenOptions::new().write(true).create_new(true).open(path);
    file.and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    })
    .map_err(|error| Failure::file(path, &error))
}

fn refused(error: &RecordError) -> Failure {
    Failure::new(
        format!("not a creation record to join: {error}"),
        "let its author make it anew",
    )
}

fn describe(record: &CreationRecord) -> Value {
    let card = |card: &Card| {
        let sentinel = card.sentinel.as_ref();
        let sentinel = sentinel.map(|it| json!({ "owner": it.owner, "address": it.address() }));
        let mut shown = json!({
            "identity": card.identity,
            "channel": card.channel,
            "image": card.image,
            "payout": card.payout,
            "engine": card.engine,
            "sentinel": sentinel,
        });
        if let Some(shown) = shown.as_object_mut() {
            shown.retain(|_, part| !part.is_null());
        }
        shown
    };
    json!({
        "committee_id": record.id(),
        "network": record.network,
        "threshold": record.threshold,
        "members": record.members.iter().map(card).collect::<Vec<_>>(),
        "coordinators": record.coordinators.iter().map(card).collect::<Vec<_>>(),
        "profile": record.profile,
        "created_ms": record.created_ms,
        "salt": Digest::from_bytes(*record.salt.as_bytes()),
        "terms": record.terms,
        "grants": record.grants,
        "signs_for_evm": record.evm,
        "conditions": record.conditions,
    })
}

/// What a committee demands of its members, in words; empty where it demands nothing.
pub(crate) fn demands(committee: &Value) -> String {
    let demanded = |name: &str| committee.get("conditions")?.get(name);
    let engines = demanded("engine_members_min");
    let engines = engines.map(|least| format!("at least {least} members on each engine"));
    let sentinels = demanded("sentinels").map(|_| "an active Sentinel of each member".to_owned());
    let all: Vec<String> = engines.into_iter().chain(sentinels).collect();
    all.join("; ")
}

fn text(committee: &Value) -> String {
    // The record's bytes are for programs.
    let mut text = fields_of(
        committee,
        &[
            "committee_id",
            "group_key",
            "address",
            "network",
            "epoch",
            "threshold",
            "profile",
            "created_ms",
            "signs_for_evm",
        ],
    );
    match committee.get("evm") {
        None => {}
        Some(Value::Null) => text.push_str("\nEVM key: not generated yet"),
        Some(key) => {
            let key = fields_of(key, &["suite", "x", "y", "odd", "address"]);
            for line in key.lines() {
                // Writing to a string does not fail.
                let _ = write!(text, "\nEVM {line}");
            }
        }
    }
    let demanded = demands(committee);
    if !demanded.is_empty() {
        let _ = write!(text, "\ndemands  {demanded}");
    }
    for (role, list) in [("member", "members"), ("coordinator", "coordinators")] {
        let cards = committee
            .get(list)
            .and_then(Value::as_array)
            .into_iter()
            .flatten();
        for (at, card) in cards.enumerate() {
            let at = if role == "member" { at + 1 } else { at };
            let number = card.get("slot").map_or_else(|| at.to_string(), plain);
            let identity = card.get("identity").map(plain).unwrap_or_default();
            // Writing to a string does not fail.
            let _ = write!(text, "\n{role} {number}  {identity}");
            if let Some(engine) = card.get("engine") {
                let _ = write!(text, "  {}", plain(engine));
            }
            if let Some(owner) = card.pointer("/sentinel/address") {
                let _ = write!(text, "  Sentinel of {}", plain(owner));
            }
        }
    }
    if let Some(change) = committee.get("change") {
        let part = |name: &str| change.get(name).map(plain).unwrap_or_default();
        let (epoch, stage, detail) = (part("epoch"), part("stage"), part("detail"));
        let _ = write!(text, "\nchange to epoch {epoch}  {stage}  {detail}");
        let ceremony = change.get("ceremony");
        text.push_str(&ceremony.map(in_own_words).unwrap_or_default());
    }
    text
}
