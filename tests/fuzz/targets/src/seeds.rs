//! The committed corpus, made from what committees really say: the same bytes on every machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use attestation::codec;
use attestation::ids::{
    Boot, Digest, Epoch, IdentityKey, ModuleDigest, RequestId, Seq, Signature, Slot, StatementId,
    View,
};
use attestation::source::Observed;
use link::local::{AppendRefusal, Standing, ToGuest, ToNode};
use node::peer_message::{Part, PeerMessage};
use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore as _, SeedableRng as _};
use serde_json::Value;
use signer_protocol::frame::Frame;
use signer_protocol::message::{Endpoint, Lane, Message, ToSigner};
use signer_protocol::register::{Chain, Record, Refused, Voted};
use signer_protocol::sealed::{Secrets, ShareBytes};
use sim::founding::PROFILE;
use sim::story::describe;
use sim::suite::Real;
use state::pull::SignedObservation;
use state::system::methods::{Cutover, Deploy, Seat};
use state::system::nom::Deposit;
use zeroize::Zeroizing;

use crate::register::{DOMAIN, SLOT};
use crate::town::Followed;
use crate::{ceremonies, modules, secrets, steps, town};

/// Files of a target by name.
pub type Files = BTreeMap<String, Vec<u8>>;

/// Longest seed: a fuzzer learns nothing from more.
const SEED_BYTES_MAX: usize = 16 * 1024;
/// Most seeds of one kind of message.
const ALIKE_MAX: usize = 2;

/// The folder of the corpus.
#[must_use]
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus")
}

/// The seeds of all targets.
#[must_use]
pub fn all() -> BTreeMap<&'static str, Files> {
    let wire = wire();
    let followed = town::followed();
    let mut all = BTreeMap::from([
        ("attestation", formats()),
        ("messages", messages(&wire)),
        ("control", control(&wire)),
        ("plans", plans(&followed)),
        ("witness", witnesses(&wire, &followed)),
        ("evidence", ceremonies::evidence()),
        ("checkpoint", followed.checkpoints),
        ("frames", frames(&wire)),
        ("register_entries", entries()),
        ("secrets", sealed()),
        ("gatekeeper", modules::files()),
        ("executor", modules::generated()),
    ]);
    for (at, target) in [
        "register",
        "channel",
        "steps",
        "key_generation",
        "reshare",
        "repair",
    ]
    .into_iter()
    .enumerate()
    {
        all.insert(target, events(at as u64));
    }
    for files in all.values_mut() {
        files.retain(|_, bytes| bytes.len() <= SEED_BYTES_MAX);
    }
    all
}

/// What a committee sends in its first steps, a crash and a change of views among them.
fn wire() -> Vec<(Endpoint, Endpoint, Message)> {
    let mut world = steps::committee();
    world.run_until(2_000, |_| false);
    for rank in 0..2 {
        world.submit();
        world.run_until(100, |_| false);
        let machine = |party| sim::world::Machine { party, face: 0 };
        world.crash(machine(Endpoint::Signer(Slot(1 + rank))));
        if let Some(rank) = world.ranks.get_mut(&machine(Endpoint::Coordinator(0))) {
            // It never answers again: views change.
            rank.coordinator = None;
        }
        world.submit();
        world.run_until(4_000, |_| false);
    }
    assert_eq!(world.violation, None);
    world.wire.take().unwrap_or_default()
}

/// Two of each kind.
fn messages(wire: &[(Endpoint, Endpoint, Message)]) -> Files {
    let mut files = Files::new();
    let mut alike = BTreeMap::<String, usize>::new();
    for (_, _, message) in wire {
        let kind = describe(message);
        let kind = kind.split_whitespace().take(1).collect::<String>();
        let kind: String = kind.chars().filter(char::is_ascii_alphanumeric).collect();
        let bytes = message.to_bytes();
        let seen = alike.entry(kind.clone()).or_default();
        if *seen < ALIKE_MAX && bytes.len() <= SEED_BYTES_MAX {
            *seen += 1;
            files.insert(format!("{kind}-{seen}"), bytes);
        }
    }
    files
}

/// The golden vectors: valid ones, and those that are refused by their last byte or so.
fn formats() -> Files {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../attestation/vectors");
    let kinds = [
        ("commit", 0u8, "bytes"),
        ("leaf", 1, "bytes"),
        ("receipt", 2, "receipt"),
        ("request", 3, "bytes"),
        ("step_attestation", 4, "bytes"),
        ("committee", 5, "bytes"),
        ("group_key", 6, "bytes"),
    ];
    let mut files = Files::new();
    for (format, kind, field) in kinds {
        let text = std::fs::read_to_string(folder.join(format!("{format}.json")));
        let vectors: Value = serde_json::from_str(&text.unwrap()).unwrap();
        for (list, most) in [("valid", 6), ("invalid", 2)] {
            let cases = vectors[list].as_array().unwrap();
            for (at, case) in cases.iter().take(most).enumerate() {
                let Some(text) = case[field].as_str() else {
                    continue;
                };
                let mut bytes = vec![kind];
                bytes.extend(hex(text));
                files.insert(format!("{format}-{list}-{at}"), bytes);
            }
        }
    }
    files.extend(told_by_strangers());
    files
}

/// An address, inputs of the system's methods, and a block of the Network of Momentum.
fn told_by_strangers() -> Files {
    let file = |kind: &[u8], bytes: &[u8]| [kind, bytes].concat();
    let contract = nom::Address::from_bytes([1; nom::Address::LEN]);
    let block = |block_type, descendants| {
        let mut block = nom::Block {
            hash: nom::Hash::ZERO,
            header: nom::Header::genesis(1, contract),
            seal: None,
            data: Vec::new(),
            descendants,
        };
        block.header.block_type = block_type;
        block.hash = block.recomputed_hash();
        block
    };
    let send = block(nom::BlockType::ContractSend, Vec::new());
    let receive = block(nom::BlockType::ContractReceive, vec![send.clone(), send]);
    let deploy = Deploy {
        module: ModuleDigest::from_bytes([1; 32]),
        salt: Digest::from_bytes([2; 32]),
        escrow: 3,
        init: b"argument".to_vec(),
    };
    let cutover = Cutover {
        base: Epoch(1),
        epoch: Epoch(2),
        plan: Digest::from_bytes([3; 32]),
        package: Digest::from_bytes([4; 32]),
        threshold: 3,
        profile: PROFILE,
        members: [1, 2, 3, 4].map(seat).to_vec(),
    };
    let deposit = Deposit {
        block: receive.to_bytes().unwrap(),
        data: vec![7; 40],
        momentum_height: 9,
    };
    let json = nom::block_to_json(&receive).to_string();
    Files::from([
        (
            "address".into(),
            file(&[7], contract.to_string().as_bytes()),
        ),
        ("deploy".into(), file(&[8, 0], &deploy.to_bytes())),
        ("cutover".into(), file(&[8, 1], &cutover.to_bytes())),
        ("deposit".into(), file(&[8, 2], &codec::encode(&deposit))),
        ("block".into(), file(&[9], &receive.to_bytes().unwrap())),
        ("block-json".into(), file(&[10], json.as_bytes())),
    ])
}

fn seat(slot: u16) -> Seat {
    Seat {
        slot: Slot(slot),
        payout: IdentityKey::from_bytes([5; 32]),
    }
}

fn hex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks_exact(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    digits.map(byte).collect()
}

fn control(wire: &[(Endpoint, Endpoint, Message)]) -> Files {
    let mut files = Files::new();
    let statement = StatementId::from_bytes([1; 32]);
    let jobs = wire.iter().filter_map(|(_, _, message)| match message {
        Message::ToSigner(ToSigner::Job { job, .. }) => Some(job.clone()),
        _ => None,
    });
    let job = jobs.min_by_key(|job| codec::encode(job).len());
    let held = ceremonies::held();
    let to_node = [
        ("append", ToNode::Append { entry: vec![1; 40] }),
        ("load", ToNode::LoadJob { statement }),
        ("key", ToNode::Key(Box::new(held.key.clone()))),
        (
            "refused",
            ToNode::Refused(Refused::Seq {
                head: Seq(4),
                actual: Seq(4),
            }),
        ),
        (
            "aborted",
            ToNode::GenerationAborted {
                evm: false,
                culprits: vec![Slot(2)],
                act: "round-1 package is not valid".into(),
            },
        ),
        (
            "standing",
            ToNode::Standing(Standing {
                view: View(3),
                head: Seq(9),
            }),
        ),
        ("pong", ToNode::Pong),
        (
            "halt",
            ToNode::Halt {
                reason: "register".into(),
            },
        ),
    ];
    for (name, message) in to_node {
        files.insert(
            format!("node-{name}"),
            [vec![0], message.to_bytes()].concat(),
        );
    }
    let to_guest = [
        (
            "register",
            ToGuest::Register {
                entries: vec![vec![2; 30].into()],
            },
        ),
        ("appended", ToGuest::Appended { index: 7 }),
        ("disk", ToGuest::AppendRefused(AppendRefusal::Disk)),
        ("executable", ToGuest::Executable(true)),
        (
            "loaded",
            ToGuest::JobLoaded {
                statement,
                job: job.map(Box::new),
            },
        ),
        ("key", ToGuest::Key(Box::new(held.key.clone()))),
        ("ping", ToGuest::Ping),
    ];
    for (name, message) in to_guest {
        files.insert(
            format!("guest-{name}"),
            [vec![1], message.to_bytes()].concat(),
        );
    }
    for (name, message) in peers(wire) {
        let bytes = [vec![2], message.to_bytes()].concat();
        files.insert(format!("peer-{name}"), bytes);
    }
    files
}

/// What nodes tell each other.
fn peers(wire: &[(Endpoint, Endpoint, Message)]) -> Vec<(&'static str, PeerMessage)> {
    let requests = wire.iter().find_map(|(_, _, message)| match message {
        Message::ToSigner(ToSigner::Job { job, .. }) => Some(&job.requests),
        _ => None,
    });
    let requests = requests.into_iter().flatten();
    let requests = requests.map(|request| request.to_bytes().into()).collect();
    vec![
        (
            "hello",
            PeerMessage::Hello {
                committee: DOMAIN.committee,
                from: Slot(1),
                to: Slot(2),
            },
        ),
        ("requests", PeerMessage::Requests(requests)),
        ("want", PeerMessage::WantStep { seq: Seq(7), at: 9 }),
        (
            "step",
            PeerMessage::Step(Part {
                seq: Seq(7),
                whole: Digest::from_bytes([1; 32]),
                length: 40,
                at: 8,
                bytes: vec![2; 16],
            }),
        ),
        (
            "module",
            PeerMessage::HaveModule(ModuleDigest::from_bytes([3; 32])),
        ),
        (
            "observation",
            PeerMessage::Observation(Box::new(SignedObservation {
                slot: Slot(1),
                epoch: Epoch(1),
                seq: Seq(7),
                request: RequestId::from_bytes([4; 32]),
                time_ms: 5,
                values: vec![Observed::Integer(6)],
                signature: Signature::from_bytes([0; 64]),
            })),
        ),
    ]
}

fn plans(followed: &Followed) -> Files {
    let held = ceremonies::held();
    let file = |kind: u8, bytes: Vec<u8>| [vec![kind], bytes].concat();
    Files::from([
        ("change".into(), file(0, held.plan().to_bytes())),
        ("repair".into(), file(1, held.repair().to_bytes())),
        ("key".into(), file(2, held.key.to_bytes())),
        ("file".into(), file(3, followed.change.to_bytes())),
        ("epoch".into(), file(4, codec::encode(&followed.epoch))),
    ])
}

fn witnesses(wire: &[(Endpoint, Endpoint, Message)], followed: &Followed) -> Files {
    let mut files = Files::new();
    for (_, _, message) in wire {
        let Message::ToSigner(ToSigner::Job { job, .. }) = message else {
            continue;
        };
        let before = attestation::step_attestation::StepAttestation::from_bytes(&job.previous);
        let genesis = state::step::Previous::genesis(&sim::founding::record::<Real>(4, 3, 2));
        let root = before.map_or(genesis.state, |step| step.commit.state);
        let seq = job.seq;
        files.insert(format!("job-{seq}"), [vec![0], codec::encode(job)].concat());
        let shown = [&[1], root.as_bytes().as_slice(), &job.witness.tree].concat();
        files.insert(format!("shown-{seq}"), shown);
    }
    for (at, proof) in followed.proofs.iter().enumerate() {
        files.insert(format!("proof-{at}"), [&[2], proof.as_slice()].concat());
    }
    files
}

fn frames(wire: &[(Endpoint, Endpoint, Message)]) -> Files {
    let mut files = Files::new();
    let mut stream = vec![2];
    for (at, (from, to, message)) in wire.iter().take(3).enumerate() {
        let mut payload = message.to_bytes();
        payload.truncate(200);
        let frame = Frame::Relay {
            from: *from,
            to: *to,
            payload,
        };
        let frame = frame.to_bytes().unwrap();
        stream.extend_from_slice(&frame);
        files.insert(format!("relay-{at}"), [vec![255], frame].concat());
    }
    for (name, body) in [("first", b"\x01a half m"), ("last", b"\0essage..")] {
        let frame = Frame::Local(body.to_vec()).to_bytes().unwrap();
        stream.extend_from_slice(&frame);
        files.insert(format!("local-{name}"), [vec![0], frame].concat());
        let frame = Frame::Peer(body.to_vec()).to_bytes().unwrap();
        files.insert(format!("peer-{name}"), [vec![0], frame].concat());
    }
    files.insert("stream".into(), stream);
    files.insert("too-long".into(), vec![0, 0xff, 0xff, 0xff, 0xff, 1]);
    files
}

fn entries() -> Files {
    let mut chain = Chain::new(&DOMAIN, SLOT);
    let vote = |seq, view, of| {
        Record::Vote(Voted {
            lane: Lane::Steps,
            seq: Seq(seq),
            view: View(view),
            statement: StatementId::from_bytes([of; 32]),
            mask: Digest::from_bytes([0; 32]),
            shown: None,
        })
    };
    let records = [
        Record::Boot(Boot(1)),
        Record::View(View(2)),
        vote(1, 2, 7),
        Record::Behind(Epoch(1)),
        Record::Boot(Boot(2)),
        Record::View(View(3)),
        vote(1, 3, 8),
    ];
    let (mut files, mut all) = (Files::new(), Vec::new());
    for (at, record) in records.into_iter().enumerate() {
        let entry = chain.append(record).unwrap().entry.unwrap().to_bytes();
        let length = u16::try_from(entry.len()).unwrap().to_be_bytes();
        let framed = [length.as_slice(), &entry].concat();
        all.extend_from_slice(&framed);
        files.insert(format!("entry-{at}"), framed);
        files.insert(format!("first-{}", at + 1), all.clone());
    }
    files
}

fn sealed() -> Files {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let mut sealed = Secrets::generate(&mut rng);
    let empty = sealed.seal(&secrets::sealing_key(), &mut rng);
    let share = ceremonies::held().share(Slot(1)).unwrap().to_bytes();
    let bytes = share.bytes().to_vec();
    let put = ShareBytes::new(Epoch(1), Zeroizing::new(bytes.clone()));
    sealed.put_share(put).unwrap();
    let whole = sealed.seal(&secrets::sealing_key(), &mut rng);
    Files::from([
        ("sealed-empty".into(), [vec![0], empty].concat()),
        ("sealed-with-share".into(), [vec![0], whole].concat()),
        ("share".into(), [vec![1], bytes].concat()),
    ])
}

/// Lists of events that chance drew, short and long.
fn events(target: u64) -> Files {
    let mut rng = ChaCha8Rng::seed_from_u64(100 + target);
    let lengths = [4, 16, 32, 64, 96, 128, 192, 256, 320, 384, 448, 512];
    let file = |(at, length): (usize, usize)| {
        let mut bytes = vec![0; length];
        rng.fill_bytes(&mut bytes);
        (format!("drawn-{at}"), bytes)
    };
    lengths.into_iter().enumerate().map(file).collect()
}
