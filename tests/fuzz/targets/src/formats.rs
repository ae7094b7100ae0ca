//! Formats: what is read is written as it was read, and nothing else is read.

use attestation::address::Address;
use attestation::codec;
use attestation::commit::Commit;
use attestation::committee::CreationRecord;
use attestation::group::TrustedKey;
use attestation::ids::{Epoch, GroupKey, StateRoot};
use attestation::leaf::Leaf;
use attestation::receipt::Receipt;
use attestation::request::Request;
use attestation::step_attestation::StepAttestation;
use link::local::{ToGuest, ToNode};
use node::peer_message::PeerMessage;
use signer_protocol::dkg::KeyRecord;
use signer_protocol::identity::Ed25519Verify;
use signer_protocol::lineage::{CHANGE_FILE_BYTES_MAX, ChangeFile, EpochRecord};
use signer_protocol::membership::Membership;
use signer_protocol::message::Message;
use signer_protocol::repair::RepairPlan;
use signer_protocol::reshare::ChangePlan;
use sim::founding;
use sim::suite::Real;
use state::job::Job;
use state::proof::{EntryProof, ProofError};
use state::system;
use state::system::methods::{self, Cutover, Deploy};
use state::witness::Witness;

/// Most bytes of a job, as the protocol takes it inside a message.
const JOB_BYTES_MAX: usize = signer_protocol::message::MESSAGE_BYTES_MAX;

fn same(written: &[u8], read: &[u8]) -> bool {
    assert_eq!(written, read, "another encoding is read");
    true
}

/// What consumers read. The first byte says what.
pub fn attestation(bytes: &[u8]) -> bool {
    let Some((kind, bytes)) = bytes.split_first() else {
        return false;
    };
    match kind % 11 {
        0 => Commit::from_bytes(bytes).is_ok_and(|value| same(&value.to_bytes(), bytes)),
        1 => Leaf::from_bytes(bytes).is_ok_and(|value| {
            let written = match value {
                Leaf::Output(leaf) => leaf.to_bytes(),
                Leaf::Settlement(leaf) => leaf.to_bytes(),
                Leaf::Message(leaf) => leaf.to_bytes(),
                Leaf::KeyChange(leaf) => leaf.to_bytes(),
                Leaf::Block(leaf) => leaf.to_bytes(),
            };
            same(&written, bytes)
        }),
        2 => Receipt::from_bytes(bytes).is_ok_and(|value| same(&value.to_bytes(), bytes)),
        3 => Request::from_bytes(bytes).is_ok_and(|value| {
            // What a node asks of every request before a step does.
            let _ = (
                methods::module_of(&value.call),
                methods::effective_cutover(&value.call, Epoch(1)),
            );
            same(&value.to_bytes(), bytes)
        }),
        4 => StepAttestation::from_bytes(bytes).is_ok_and(|value| same(&value.to_bytes(), bytes)),
        5 => CreationRecord::from_bytes(bytes).is_ok_and(|value| {
            // Whatever is read has an id, and judging it is total.
            let _ = (value.id(), value.check());
            same(&value.to_bytes(), bytes)
        }),
        6 => <[u8; 32]>::try_from(bytes)
            .is_ok_and(|key| TrustedKey::new(GroupKey::from_bytes(key)).is_ok()),
        7 => std::str::from_utf8(bytes).is_ok_and(|text| {
            let address = text.parse::<Address>();
            address.is_ok_and(|address| same(address.to_string().as_bytes(), bytes))
        }),
        8 => inputs(bytes),
        9 => nom::BlockView::parse(bytes).is_ok_and(|block| {
            assert!(bytes.len() <= nom::BLOCK_BYTES_MAX);
            assert!(block.descendants().count() <= nom::DESCENDANTS_MAX);
            // Judging it is total.
            let _ = block.verify(block.header.chain_identifier);
            true
        }),
        _ => std::str::from_utf8(bytes).is_ok_and(block_of_text),
    }
}

/// Inputs of the system's methods, which anyone may send.
fn inputs(bytes: &[u8]) -> bool {
    let Some((kind, bytes)) = bytes.split_first() else {
        return false;
    };
    match kind % 3 {
        0 => Deploy::from_bytes(bytes).is_ok_and(|value| same(&value.to_bytes(), bytes)),
        1 => methods::read::<Cutover>(bytes).is_ok_and(|value| {
            let _ = (value.count(), value.epoch_follows());
            same(&value.to_bytes(), bytes)
        }),
        _ => methods::read::<system::nom::Deposit>(bytes)
            .is_ok_and(|value| same(&codec::encode(&value), bytes)),
    }
}

/// A block as a node of the Network of Momentum tells it: its text and its binary form are of one
/// block.
fn block_of_text(text: &str) -> bool {
    nom::block_from_json(text).is_ok_and(|block| {
        let written = nom::block_to_json(&block).to_string();
        assert_eq!(nom::block_from_json(&written).unwrap(), block);
        if let Ok(bytes) = block.to_bytes() {
            let view = nom::BlockView::parse(&bytes).expect("its own form");
            assert_eq!((view.hash, view.header), (block.hash, block.header));
            assert_eq!(view.seal, block.seal);
        }
        let _ = block.check(block.header.chain_identifier);
        true
    })
}

/// What guests tell each other.
pub fn messages(bytes: &[u8]) -> bool {
    Message::from_bytes(bytes).is_ok_and(|value| same(&value.to_bytes(), bytes))
}

/// What guests and their nodes tell each other, and nodes each other.
pub fn control(bytes: &[u8]) -> bool {
    let Some((kind, bytes)) = bytes.split_first() else {
        return false;
    };
    match kind % 3 {
        0 => ToNode::from_bytes(bytes).is_ok_and(|value| same(&value.to_bytes(), bytes)),
        1 => ToGuest::from_bytes(bytes).is_ok_and(|value| same(&value.to_bytes(), bytes)),
        _ => PeerMessage::from_bytes(bytes).is_ok_and(|value| same(&value.to_bytes(), bytes)),
    }
}

/// Plans of ceremonies, what key generations and changes end with, and the file that a change is
/// approved by; judging them is total.
pub fn plans(bytes: &[u8]) -> bool {
    let Some((kind, bytes)) = bytes.split_first() else {
        return false;
    };
    let record = founding::record::<Real>(4, 3, 2);
    let members = Membership::of(&record);
    match kind % 5 {
        0 => ChangePlan::from_bytes(bytes).is_ok_and(|plan| {
            let _ = (plan.digest(), plan.check(&members, &Ed25519Verify));
            same(&plan.to_bytes(), bytes)
        }),
        1 => RepairPlan::from_bytes(bytes).is_ok_and(|plan| {
            let _ = plan.check(&members);
            same(&plan.to_bytes(), bytes)
        }),
        2 => KeyRecord::from_bytes(bytes).is_ok_and(|key| {
            let _ = key.check(&record);
            same(&key.to_bytes(), bytes)
        }),
        3 => ChangeFile::from_bytes(bytes).is_ok_and(|file| {
            let _ = file.check();
            same(&file.to_bytes(), bytes)
        }),
        _ => codec::decode::<EpochRecord>(bytes, CHANGE_FILE_BYTES_MAX).is_ok_and(|change| {
            assert_eq!(change.cutover().plan, change.plan.digest());
            same(&codec::encode(&change), bytes)
        }),
    }
}

/// Jobs, the state that a witness shows, and proofs of single entries. What opens is of the root
/// that was asked for.
pub fn witness(bytes: &[u8]) -> bool {
    let Some((kind, bytes)) = bytes.split_first() else {
        return false;
    };
    if kind.is_multiple_of(3) {
        return codec::decode::<Job>(bytes, JOB_BYTES_MAX).is_ok_and(|job| {
            let _ = (
                job.digest(),
                job.witness.open(&StateRoot::from_bytes([0; 32])),
            );
            same(&codec::encode(&job), bytes)
        });
    }
    let Some((root, shown)) = bytes.split_first_chunk::<32>() else {
        return false;
    };
    let root = StateRoot::from_bytes(*root);
    if kind % 3 == 1 {
        let witness = Witness {
            tree: shown.to_vec(),
        };
        return witness.open(&root).is_ok_and(|state| state.root() == root);
    }
    EntryProof::from_bytes(shown).is_ok_and(|proof| {
        // It proves something of one root, or of none.
        if let Err(ProofError::Root(actual)) = proof.verify(&root) {
            assert_ne!(actual, root);
            assert!(proof.verify(&actual).is_ok());
        }
        same(&proof.to_bytes(), shown)
    })
}
