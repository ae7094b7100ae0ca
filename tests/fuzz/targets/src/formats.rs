//! Formats: what is read is written as it was read, and nothing else is read.

use attestation::codec;
use attestation::commit::Commit;
use attestation::committee::CreationRecord;
use attestation::group::TrustedKey;
use attestation::ids::{GroupKey, StateRoot};
use attestation::leaf::Leaf;
use attestation::receipt::Receipt;
use attestation::request::Request;
use attestation::step_attestation::StepAttestation;
use link::local::{ToGuest, ToNode};
use signer_protocol::dkg::KeyRecord;
use signer_protocol::identity::Ed25519Verify;
use signer_protocol::membership::Membership;
use signer_protocol::message::Message;
use signer_protocol::repair::RepairPlan;
use signer_protocol::reshare::ChangePlan;
use sim::founding;
use sim::suite::Real;
use state::job::Job;
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
    match kind % 7 {
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
        3 => Request::from_bytes(bytes).is_ok_and(|value| same(&value.to_bytes(), bytes)),
        4 => StepAttestation::from_bytes(bytes).is_ok_and(|value| same(&value.to_bytes(), bytes)),
        5 => CreationRecord::from_bytes(bytes).is_ok_and(|value| {
            // Whatever is read has an id, and judging it is total.
            let _ = (value.id(), value.check());
            same(&value.to_bytes(), bytes)
        }),
        _ => <[u8; 32]>::try_from(bytes)
            .is_ok_and(|key| TrustedKey::new(GroupKey::from_bytes(key)).is_ok()),
    }
}

/// What guests tell each other.
pub fn messages(bytes: &[u8]) -> bool {
    Message::from_bytes(bytes).is_ok_and(|value| same(&value.to_bytes(), bytes))
}

/// What guests and their nodes tell each other.
pub fn control(bytes: &[u8]) -> bool {
    let Some((kind, bytes)) = bytes.split_first() else {
        return false;
    };
    match kind % 2 {
        0 => ToNode::from_bytes(bytes).is_ok_and(|value| same(&value.to_bytes(), bytes)),
        _ => ToGuest::from_bytes(bytes).is_ok_and(|value| same(&value.to_bytes(), bytes)),
    }
}

/// Plans of ceremonies and what key generations end with; judging them is total.
pub fn plans(bytes: &[u8]) -> bool {
    let Some((kind, bytes)) = bytes.split_first() else {
        return false;
    };
    let record = founding::record::<Real>(4, 3, 2);
    let members = Membership::of(&record);
    match kind % 3 {
        0 => ChangePlan::from_bytes(bytes).is_ok_and(|plan| {
            let _ = (plan.digest(), plan.check(&members, &Ed25519Verify));
            same(&plan.to_bytes(), bytes)
        }),
        1 => RepairPlan::from_bytes(bytes).is_ok_and(|plan| {
            let _ = plan.check(&members);
            same(&plan.to_bytes(), bytes)
        }),
        _ => KeyRecord::from_bytes(bytes).is_ok_and(|key| {
            let _ = key.check(&record);
            same(&key.to_bytes(), bytes)
        }),
    }
}

/// Jobs, and the state that a witness shows. What opens is of the root that was asked for.
pub fn witness(bytes: &[u8]) -> bool {
    let Some((kind, bytes)) = bytes.split_first() else {
        return false;
    };
    if kind.is_multiple_of(2) {
        return codec::decode::<Job>(bytes, JOB_BYTES_MAX).is_ok_and(|job| {
            let _ = (
                job.digest(),
                job.witness.open(&StateRoot::from_bytes([0; 32])),
            );
            same(&codec::encode(&job), bytes)
        });
    }
    let Some((root, tree)) = bytes.split_first_chunk::<32>() else {
        return false;
    };
    let root = StateRoot::from_bytes(*root);
    let witness = Witness {
        tree: tree.to_vec(),
    };
    witness.open(&root).is_ok_and(|state| state.root() == root)
}
