//! `zq light`.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use attestation::codec;
use attestation::committee::CreationRecord;
use attestation::ids::{CommitteeId, ZappId};
use attestation::step_attestation::StepAttestation;
use light_client::key_record::KeyRecord;
use light_client::lineage::{CHANGE_FILE_BYTES_MAX, EpochRecord};
use light_client::{CHECKPOINT_BYTES_MAX, LightClient, Refused};
use serde_json::{Value, json};
use state::proof::EntryProof;
use state::system::COMMITTEE;

use crate::arguments::light::LightVerb;
use crate::command::attestation::describe as describe_leaf;
use crate::command::zapp::now_ms;
use crate::failure::Failure;
use crate::files;
use crate::node::Node;
use crate::print::{Print, fields};

/// How often it is tried again when a gateway's parts are not of one moment.
const TRIES: u32 = 5;
const PAUSE: Duration = Duration::from_secs(1);

pub(crate) fn run(
    verb: &LightVerb,
    node: impl FnOnce() -> Result<Node, Failure>,
    print: &Print,
) -> Result<(), Failure> {
    match verb {
        LightVerb::Follow {
            committee,
            known,
            age_max,
        } => {
            let node = node()?;
            let mut follower = Follower::open(committee, &known.state, Some(&node))?;
            let moved = follower.follow(&node)?;
            if let Some(age_max) = age_max {
                check_age(&follower.client, *age_max)?;
            }
            follower.save()?;
            let mut value = describe(&follower.client);
            if let Some(object) = value.as_object_mut() {
                object.insert("moved".to_owned(), moved.into());
            }
            print.result(&value, text);
        }
        LightVerb::Show { committee, known } => {
            let follower = Follower::open(committee, &known.state, None)?;
            print.result(&describe(&follower.client), text);
        }
        LightVerb::Leaf {
            committee,
            seq,
            leaf,
            known,
        } => {
            let follower = Follower::open(committee, &known.state, None)?;
            let value = verified_leaf(&follower.client, &node()?, (*seq, *leaf))?;
            print.result(&value, fields);
        }
        LightVerb::Entry {
            committee,
            zapp,
            key,
            known,
        } => {
            let key = hex::decode(key)
                .map_err(|error| Failure::Usage(format!("KEY is not hexadecimal: {error}")))?;
            let node = node()?;
            let mut follower = Follower::open(committee, &known.state, Some(&node))?;
            let value = follower.entry(&node, zapp, &key)?;
            follower.save()?;
            print.result(&value, fields);
        }
    }
    Ok(())
}

/// A client and the file that it is kept in.
struct Follower {
    path: PathBuf,
    client: LightClient,
}

impl Follower {
    /// From the file, or from what the node shows of the committee's beginning.
    fn open(committee: &CommitteeId, path: &Path, node: Option<&Node>) -> Result<Self, Failure> {
        let client = match node {
            Some(node) if !path.exists() => begin(committee, node)?,
            _ => {
                let bytes = files::read(path, CHECKPOINT_BYTES_MAX as u64)?;
                let client = LightClient::from_bytes(committee, &bytes);
                client.map_err(|error| {
                    Failure::new(
                        format!("{}: {error}", path.display()),
                        "check the id and the file; `zq light follow` with another file begins anew",
                    )
                })?
            }
        };
        Ok(Self {
            path: path.to_owned(),
            client,
        })
    }

    /// Goes on to the node's newest step; whether there was one.
    fn follow(&mut self, node: &Node) -> Result<bool, Failure> {
        let mut tries = 1..TRIES;
        loop {
            match self.try_follow(node)? {
                Ok(_) => return Ok(true),
                Err(Refused::Known(_)) => return Ok(false),
                // A node learns of a step a moment before it has the change that it puts into force.
                Err(Refused::Withheld { .. }) if tries.next().is_some() => thread::sleep(PAUSE),
                Err(refused) => return Err(lies(&refused)),
            }
        }
    }

    fn try_follow(&mut self, node: &Node) -> Result<Result<(), Refused>, Failure> {
        let (seq, proof) = entry(node, &ZappId::SYSTEM, COMMITTEE)?;
        if seq == 0 {
            let head = self.client.head().seq;
            let is_first = head.0 == 0;
            return Ok(Err(if is_first {
                Refused::Known(head)
            } else {
                Refused::Old {
                    seq: attestation::ids::Seq(0),
                    head,
                }
            }));
        }
        let bytes = node.get_bytes(&format!("/v1/steps/{seq}/attestation"))?;
        let step = StepAttestation::from_bytes(&bytes).map_err(|error| malformed(&error))?;
        // Changes are long: they are asked for when there is one.
        let refused = match self.client.advance(&step, &proof, []) {
            Err(refused @ Refused::Withheld { .. }) => refused,
            done => return Ok(done.map(drop)),
        };
        let (_, _, changes) = proven(node)?;
        if changes.is_empty() {
            return Ok(Err(refused));
        }
        Ok(self.client.advance(&step, &proof, &changes).map(drop))
    }

    /// An entry of the newest state; steps go on meanwhile.
    fn entry(&mut self, node: &Node, zapp: &ZappId, key: &[u8]) -> Result<Value, Failure> {
        let mut tries = 1..TRIES;
        loop {
            self.follow(node)?;
            let (_, proof) = entry(node, zapp, key)?;
            if proof.zapp != *zapp || proof.key != key {
                return Err(malformed(&"it is of another entry"));
            }
            match self.client.verify_entry(&proof) {
                Ok(value) => {
                    return Ok(json!({
                        "zapp": zapp,
                        "key": hex::encode(key),
                        "value": value.map(hex::encode),
                        "seq": self.client.head().seq,
                        "state": self.client.head().state,
                    }));
                }
                Err(_) if tries.next().is_some() => {}
                Err(refused) => return Err(lies(&refused)),
            }
        }
    }

    /// Writes the file whole or not at all.
    fn save(&self) -> Result<(), Failure> {
        let mut name = self.path.file_name().unwrap_or_default().to_owned();
        name.push(".new");
        let new = self.path.with_file_name(name);
        let written = File::create(&new).and_then(|mut file| {
            file.write_all(&self.client.to_bytes())?;
            file.sync_all()?;
            fs::rename(&new, &self.path)
        });
        written.map_err(|error| Failure::file(&self.path, &error))
    }
}

fn begin(committee: &CommitteeId, node: &Node) -> Result<LightClient, Failure> {
    let (record, key, _) = proven(node)?;
    LightClient::new(committee, &record, &key).map_err(|error| Failure::Refused {
        check: "committee",
        error: format!("the gateway does not prove that it serves committee {committee}: {error}"),
        advice: "check the id; ask a gateway of that committee, with --node",
    })
}

type Proven = (CreationRecord, KeyRecord, Vec<EpochRecord>);

/// What a node shows of its committee's beginning and of all changes since, decoded.
pub(crate) fn proven(node: &Node) -> Result<Proven, Failure> {
    let answer = node.get("/v1/committee/epochs")?;
    let part = |name: &str| digits(answer.get(name));
    let record = CreationRecord::from_bytes(&part("record")?).map_err(|error| malformed(&error))?;
    let key = KeyRecord::from_bytes(&part("key")?).map_err(|error| malformed(&error))?;
    let changes = answer.get("epochs").and_then(Value::as_array);
    let changes = changes.into_iter().flatten().map(|change| {
        codec::decode(&digits(Some(change))?, CHANGE_FILE_BYTES_MAX)
            .map_err(|error| malformed(&error))
    });
    Ok((record, key, changes.collect::<Result<_, _>>()?))
}

/// A proof from the node's newest state, and the step that left that state.
fn entry(node: &Node, zapp: &ZappId, key: &[u8]) -> Result<(u64, EntryProof), Failure> {
    let answer = node.get(&format!("/v1/state/{zapp}/{}", hex::encode(key)))?;
    let seq = answer.get("seq").and_then(Value::as_u64);
    let seq = seq.ok_or_else(|| malformed(&"it names no step"))?;
    let proof = EntryProof::from_bytes(&digits(answer.get("proof"))?);
    Ok((seq, proof.map_err(|error| malformed(&error))?))
}

fn digits(value: Option<&Value>) -> Result<Vec<u8>, Failure> {
    let digits = value.and_then(Value::as_str).unwrap_or_default();
    hex::decode(digits).map_err(|error| malformed(&error))
}

fn verified_leaf(client: &LightClient, node: &Node, place: (u64, u64)) -> Result<Value, Failure> {
    let path = format!("/v1/attestations/{}/{}", place.0, place.1);
    let receipt = node.get_bytes(&path)?;
    let leaf = node.get_bytes(&format!("{path}/leaf"))?;
    let verified = client.verify_leaf(&receipt, &leaf);
    let verified = verified.map_err(|refused| lies(&refused))?;
    if (verified.commit.seq.0, verified.index) != place {
        return Err(Failure::Refused {
            check: "position",
            error: format!(
                "the gateway sent leaf {}.{}",
                verified.commit.seq, verified.index
            ),
            advice: "ask another gateway, with --node",
        });
    }
    Ok(describe_leaf(&verified))
}

fn check_age(client: &LightClient, age_max: u64) -> Result<(), Failure> {
    let age = now_ms()?.saturating_sub(client.head().time_ms) / 1_000;
    if age <= age_max {
        return Ok(());
    }
    Err(Failure::Refused {
        check: "age",
        error: format!(
            "the gateway's newest step, {}, is {age} seconds old, and {age_max} are allowed",
            client.head().seq
        ),
        advice: "ask other gateways: this one may keep newer steps to itself, or the committee rests",
    })
}

fn lies(refused: &Refused) -> Failure {
    Failure::Refused {
        check: refused.name(),
        error: format!("what the gateway shows is refused: {refused}"),
        advice: refused.advice(),
    }
}

fn malformed(error: &dyn std::fmt::Display) -> Failure {
    Failure::Refused {
        check: "malformed",
        error: format!("the gateway's answer is not what it should be: {error}"),
        advice: "ask another gateway, with --node",
    }
}

fn describe(client: &LightClient) -> Value {
    let (head, members) = (client.head(), client.members());
    let cards = members.cards();
    json!({
        "committee_id": members.domain().committee,
        "network": members.domain().network,
        "group_key": client.group_key(),
        "epoch": client.epoch(),
        "threshold": members.threshold(),
        "members": cards
            .map(|(slot, card)| json!({ "slot": slot, "identity": card.identity }))
            .collect::<Vec<_>>(),
        "seq": head.seq,
        "statement": head.statement,
        "state": head.state,
        "time_ms": head.time_ms,
    })
}

fn text(value: &Value) -> String {
    let members = value.get("members").and_then(Value::as_array);
    let members = members.into_iter().flatten().map(|member| {
        let part = |name| {
            member
                .get(name)
                .map(crate::print::plain)
                .unwrap_or_default()
        };
        format!("\nmember {}  {}", part("slot"), part("identity"))
    });
    fields(value) + &members.collect::<String>()
}
