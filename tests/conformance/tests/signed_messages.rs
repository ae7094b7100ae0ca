//! No two signed messages can be equal, whatever their fields say: one of every kind that the
//! system signs, each with its own beginning (rule A14).

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a panic is a failed test"
)]

use attestation::codec::Layout;
use attestation::conditions::Sentinel;
use attestation::ids::{
    Attempt, Boot, CommitteeId, Digest, Epoch, NetworkId, RequestId, Seq, Signature, Slot,
    StateRoot, StatementId, View,
};
use attestation::source::Pull;
use attestation::tags::{self, Tag};
use attestation::{merkle, receipt};
use conformance::sample::{self, Step};
use serde_bytes::ByteBuf;
use signer_protocol::lane::{LanePackage, LaneShare};
use signer_protocol::message::{
    Certificate, DkgBody, DkgMessage, Lane, LockClaim, RepairBody, RepairMessage, SecretPackage,
    SignedNonces, SignedPackage, SignedProposal, SignedShare, SignedStatus,
};
use state::job::{Domain, SignedFault, SignedVote};
use state::pull::SignedObservation;
use zeroize::Zeroizing;

const SIGNATURE: Signature = Signature::from_bytes([0; 64]);
const DIGEST: Digest = Digest::from_bytes([1; 32]);
const STATEMENT: StatementId = StatementId::from_bytes([1; 32]);

/// What an Ed25519 key of the system signs, by kind; the group key's receipts apart.
fn signed(domain: &Domain) -> Vec<(Tag, Vec<u8>)> {
    let mut messages = of_a_step(domain);
    messages.extend(of_a_signing(domain));
    messages.extend(of_a_key_generation(domain));
    let repair = RepairMessage {
        session: DIGEST,
        slot: Slot(1),
        boot: Boot(1),
        body: RepairBody::Echo(vec![DIGEST]),
        signature: SIGNATURE,
    };
    messages.push((tags::REPAIR, repair.signed_bytes(domain)));
    let card = &sample::record().members[0];
    messages.push((tags::CARD, card.signed_bytes()));
    let vouched = Sentinel::statement(domain.network, card);
    messages.push((tags::SENTINEL, vouched.into_bytes()));
    let mut call = sample::request().call;
    (call.network, call.committee) = (domain.network, domain.committee);
    messages.push((tags::REQUEST, call.signed_bytes()));
    call.pull = Some(Pull {
        sources: Vec::new(),
        deadline_ms: 1,
    });
    messages.push((tags::REQUEST_PULL, call.signed_bytes()));
    let observation = SignedObservation {
        slot: Slot(1),
        epoch: Epoch(1),
        seq: Seq(1),
        request: call.id(),
        time_ms: 1,
        values: Vec::new(),
        signature: SIGNATURE,
    };
    messages.push((tags::OBSERVATION, observation.signed_bytes(domain)));
    messages.push((tags::CANARY, domain.layout(tags::CANARY).into_bytes()));
    messages
}

fn of_a_step(domain: &Domain) -> Vec<(Tag, Vec<u8>)> {
    let proposal = SignedProposal {
        rank: 1,
        epoch: Epoch(1),
        seq: Seq(1),
        view: View(1),
        job: DIGEST,
        signature: SIGNATURE,
    };
    vec![
        (tags::PROPOSAL, proposal.signed_bytes(domain)),
        (tags::VOTE, vote().signed_bytes(domain)),
        (tags::FAULT, fault().signed_bytes(domain)),
        (tags::STATUS, status().signed_bytes(domain)),
    ]
}

fn of_a_signing(domain: &Domain) -> Vec<(Tag, Vec<u8>)> {
    let package = SignedPackage {
        rank: 1,
        certificate: Certificate {
            votes: vec![vote()],
        },
        attempt: Attempt(1),
        nonces: vec![nonces()],
        signature: SIGNATURE,
    };
    let share = SignedShare {
        slot: Slot(1),
        epoch: Epoch(1),
        seq: Seq(1),
        view: View(1),
        attempt: Attempt(1),
        package: DIGEST,
        share: ByteBuf::from(vec![1; 32]),
        signature: SIGNATURE,
        next: nonces(),
    };
    vec![
        (tags::LANE_PACKAGE, lane_package().signed_bytes(domain)),
        (tags::LANE_SHARE, lane_share().signed_bytes(domain)),
        (tags::NONCES, nonces().signed_bytes(domain)),
        (tags::PACKAGE, package.signed_bytes(domain)),
        (tags::SHARE, share.signed_bytes(domain)),
    ]
}

fn of_a_key_generation(domain: &Domain) -> Vec<(Tag, Vec<u8>)> {
    let bytes = || ByteBuf::from(vec![1; 40]);
    let bodies = [
        (tags::DKG_ROUND1, DkgBody::Round1(bytes())),
        (tags::DKG_ECHO, DkgBody::Echo(vec![DIGEST])),
        (
            tags::DKG_ROUND2,
            DkgBody::Round2 {
                to: Slot(2),
                package: SecretPackage::new(Zeroizing::new(vec![1; 40])),
            },
        ),
        (tags::DKG_CERTIFY, DkgBody::Certify(DIGEST)),
        (
            tags::DKG_CANARY,
            DkgBody::CanaryNonces {
                round: 1,
                commitments: bytes(),
            },
        ),
    ];
    bodies
        .into_iter()
        .map(|(tag, body)| {
            let message = DkgMessage {
                session: DIGEST,
                attempt: 1,
                slot: Slot(1),
                boot: Boot(1),
                body,
                signature: SIGNATURE,
            };
            (tag, message.signed_bytes(domain))
        })
        .collect()
}

fn vote() -> SignedVote {
    SignedVote {
        slot: Slot(1),
        epoch: Epoch(1),
        seq: Seq(1),
        view: View(1),
        statement: STATEMENT,
        mask: DIGEST,
        signature: SIGNATURE,
    }
}

fn fault() -> SignedFault {
    SignedFault {
        slot: Slot(1),
        epoch: Epoch(1),
        seq: Seq(1),
        request: RequestId::from_bytes([1; 32]),
        previous_root: StateRoot::from_bytes([1; 32]),
        inputs: DIGEST,
        signature: SIGNATURE,
    }
}

fn status() -> SignedStatus {
    SignedStatus {
        slot: Slot(1),
        epoch: Epoch(1),
        view: View(1),
        boot: Boot(1),
        head: Seq(1),
        head_statement: STATEMENT,
        lock: None,
        signature: SIGNATURE,
    }
}

fn nonces() -> SignedNonces {
    SignedNonces {
        slot: Slot(1),
        lane: Lane::Steps,
        epoch: Epoch(1),
        seq: Seq(1),
        view: View(1),
        attempt: Attempt(1),
        boot: Boot(1),
        commitments: ByteBuf::from(vec![1; 64]),
        signature: SIGNATURE,
    }
}

fn lane_package() -> LanePackage {
    LanePackage {
        rank: 1,
        message: DIGEST,
        nonces: vec![nonces()],
        signature: SIGNATURE,
    }
}

fn lane_share() -> LaneShare {
    LaneShare {
        slot: Slot(1),
        package: DIGEST,
        share: ByteBuf::from(vec![1; 32]),
        signature: SIGNATURE,
    }
}

fn domain() -> Domain {
    Domain {
        network: sample::NETWORK,
        committee: sample::committee(),
    }
}

#[test]
fn every_kind_begins_with_a_tag_of_its_own() {
    let messages = signed(&domain());
    for (at, (tag, bytes)) in messages.iter().enumerate() {
        assert!(bytes.starts_with(&tag.0), "{tag:?}");
        assert!(tags::ALL.contains(tag), "{tag:?} is not in the list");
        for (other, _) in &messages[at + 1..] {
            assert_ne!(tag, other, "two kinds share a tag");
        }
    }
}

/// Tags of what is hashed, derived or sealed under them, and never signed as it is.
const HASHED: [Tag; 25] = [
    tags::COMMIT,
    tags::COMMITTEE,
    tags::ZAPP,
    tags::SOURCE,
    tags::MESSAGE_CHANNEL,
    tags::COSMOS_CHAIN,
    tags::ANCHOR,
    tags::INPUTS,
    tags::EVENTS,
    tags::TRACE,
    tags::MASK,
    tags::LANE,
    tags::JOB,
    tags::DKG_SESSION,
    tags::CHANGE_PLAN,
    tags::RESHARE_SESSION,
    tags::PUBLIC_PACKAGE,
    tags::REPAIR_SESSION,
    tags::CHANNEL,
    tags::RECORD,
    tags::SEALED,
    tags::ENTROPY,
    tags::PROFILE,
    tags::STATE_KEY,
    tags::STATE_VALUE,
];

#[test]
fn every_tag_is_of_something_signed_or_of_something_hashed_and_never_of_both() {
    let signed: Vec<Tag> = signed(&domain()).into_iter().map(|(tag, _)| tag).collect();
    for (tag, name) in tags::ALL.iter().zip(tags::NAMES) {
        let (is_signed, is_hashed) = (signed.contains(tag), HASHED.contains(tag));
        assert!(is_signed || is_hashed, "{name} is in neither list");
        assert!(!(is_signed && is_hashed), "{name} is signed and hashed");
    }
    assert_eq!(tags::ALL.len(), signed.len() + HASHED.len());
}

#[test]
fn a_statement_begins_like_no_other_message() {
    let step = Step::first(1).attestation;
    let statement = receipt::sig_structure(&step.commit, &step.root, &sample::group_key());
    assert!(statement.starts_with(b"\x84\x6aSignature1"));
    for tag in tags::ALL {
        assert!(!statement.starts_with(&tag.0), "{tag:?}");
    }
}

/// A NoM account block is signed as its 32-byte hash, by the same kind of key.
#[test]
fn no_signed_message_is_as_short_as_a_block_hash() {
    for (tag, bytes) in signed(&domain()) {
        assert!(bytes.len() > 32, "{tag:?} has {} bytes", bytes.len());
    }
    assert_ne!(receipt::SIGNED_BYTES, 32);
}

#[test]
fn messages_of_two_committees_or_networks_differ() {
    let here = domain();
    let elsewhere = [
        Domain {
            network: NetworkId(here.network.0 + 1),
            ..here
        },
        Domain {
            committee: CommitteeId::from_bytes([9; 32]),
            ..here
        },
    ];
    for there in elsewhere {
        for ((tag, a), (_, b)) in signed(&here).iter().zip(signed(&there)) {
            // A card is a member's own, of whatever committee; so is its Sentinel, of its network.
            let is_of_a_member = match *tag {
                tags::CARD => true,
                tags::SENTINEL => there.network == here.network,
                _ => false,
            };
            assert!(
                is_of_a_member || *a != b,
                "{tag:?} is the same in two committees"
            );
        }
    }
}

/// What is signed of a message and of the same with one field changed, by the field.
type Changed = Vec<(&'static str, Vec<u8>)>;

/// A field, and what makes it another.
type Field<T> = (&'static str, fn(&mut T));

fn changed<T: Clone>(message: &T, fields: &[Field<T>], signed: impl Fn(&T) -> Vec<u8>) -> Changed {
    let mut all = vec![("nothing", signed(message))];
    for (field, change) in fields {
        let mut other = message.clone();
        change(&mut other);
        all.push((field, signed(&other)));
    }
    all
}

const OTHER: Digest = Digest::from_bytes([2; 32]);

fn changed_statuses() -> Changed {
    let claim = LockClaim {
        seq: Seq(2),
        view: View(1),
        statement: STATEMENT,
    };
    let mut locked = status();
    locked.lock = Some(claim);
    let signed = |status: &SignedStatus| status.signed_bytes(&domain());
    let mut all = changed(
        &status(),
        &[
            ("slot", |it| it.slot = Slot(2)),
            ("epoch", |it| it.epoch = Epoch(2)),
            ("view", |it| it.view = View(2)),
            ("boot", |it| it.boot = Boot(2)),
            ("head", |it| it.head = Seq(2)),
            ("head's statement", |it| {
                it.head_statement = StatementId::from_bytes([2; 32]);
            }),
        ],
        signed,
    );
    all.push(("lock", signed(&locked)));
    for (field, claim) in [
        (
            "lock's seq",
            LockClaim {
                seq: Seq(3),
                ..claim
            },
        ),
        (
            "lock's view",
            LockClaim {
                view: View(2),
                ..claim
            },
        ),
        (
            "lock's statement",
            LockClaim {
                statement: StatementId::from_bytes([2; 32]),
                ..claim
            },
        ),
    ] {
        locked.lock = Some(claim);
        all.push((field, signed(&locked)));
    }
    all
}

fn changed_faults() -> Changed {
    changed(
        &fault(),
        &[
            ("slot", |it| it.slot = Slot(2)),
            ("epoch", |it| it.epoch = Epoch(2)),
            ("seq", |it| it.seq = Seq(2)),
            ("request", |it| {
                it.request = RequestId::from_bytes([2; 32]);
            }),
            ("previous root", |it| {
                it.previous_root = StateRoot::from_bytes([2; 32]);
            }),
            ("inputs", |it| it.inputs = OTHER),
        ],
        |fault| fault.signed_bytes(&domain()),
    )
}

/// The place of a lane's signing is that of its commitments.
fn changed_lane_packages(signed: fn(&LanePackage) -> Vec<u8>) -> Changed {
    changed(
        &lane_package(),
        &[
            ("rank", |it| it.rank = 2),
            ("message", |it| it.message = OTHER),
            ("a member's slot", |it| it.nonces[0].slot = Slot(2)),
            ("lane", |it| it.nonces[0].lane = Lane::Evm),
            ("epoch", |it| it.nonces[0].epoch = Epoch(2)),
            ("seq", |it| it.nonces[0].seq = Seq(2)),
            ("view", |it| it.nonces[0].view = View(2)),
            ("attempt", |it| it.nonces[0].attempt = Attempt(2)),
            ("boot", |it| it.nonces[0].boot = Boot(2)),
            ("commitments", |it| {
                it.nonces[0].commitments = ByteBuf::from(vec![2; 64]);
            }),
            ("a member more", |it| it.nonces.push(nonces())),
        ],
        signed,
    )
}

fn changed_lane_shares() -> Changed {
    changed(
        &lane_share(),
        &[
            ("slot", |it| it.slot = Slot(2)),
            ("package", |it| it.package = OTHER),
            ("share", |it| it.share = ByteBuf::from(vec![2; 32])),
        ],
        |share| share.signed_bytes(&domain()),
    )
}

#[test]
fn messages_that_differ_in_one_field_are_signed_differently() {
    for (kind, all) in [
        ("status", changed_statuses()),
        ("fault", changed_faults()),
        (
            "lane package",
            changed_lane_packages(|package| package.signed_bytes(&domain())),
        ),
        (
            "digest that a lane's shares are bound to",
            changed_lane_packages(|package| package.digest(&domain()).as_bytes().to_vec()),
        ),
        ("lane share", changed_lane_shares()),
    ] {
        for (at, (field, bytes)) in all.iter().enumerate() {
            for (other, others) in &all[at + 1..] {
                assert_ne!(bytes, others, "{kind}: {field} and {other} changed");
            }
        }
    }
}

#[test]
fn a_layout_tells_its_variable_fields_apart() {
    let two = |a: &[u8], b: &[u8]| Layout::new(tags::REQUEST).bytes(a).bytes(b).into_bytes();
    assert_ne!(two(b"ab", b"c"), two(b"a", b"bc"));
    assert_ne!(two(b"", b"x"), two(b"x", b""));
    let mut call = sample::request().call;
    call.method = "ab".into();
    call.input = b"c".to_vec();
    let mut other = call.clone();
    other.method = "a".into();
    other.input = b"bc".to_vec();
    assert_ne!(call.signed_bytes(), other.signed_bytes());
}

#[test]
fn a_leaf_is_no_inner_node() {
    let (left, right) = ([1; 32], [2; 32]);
    let node = [&[1], left.as_slice(), right.as_slice()].concat();
    let entries = [left.to_vec(), right.to_vec()];
    let hashes = entries.each_ref().map(|entry| merkle::leaf_hash(entry));
    let pair = [hashes[0].as_slice(), &hashes[1]].concat();
    let root = *merkle::root(&entries).as_bytes();
    assert_ne!(merkle::leaf_hash(&node), root);
    assert_ne!(merkle::leaf_hash(&pair), root);
}
