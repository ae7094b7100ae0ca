//! Evidence of bad shares for what attested leaves order, judged from the file alone: blocks under the
//! key that attests, steps under the second key.

use attestation::ids::{Digest, Epoch, Seq, Signature, Slot, View};
use attestation::leaf::Leaf;
use coordinator_protocol::lanes::{LaneEvent, LaneLeader};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng as _;
use serde_bytes::ByteBuf;
use signer_protocol::blame::{Act, Culprit, LeafShare};
use signer_protocol::dkg::KeyRecord;
use signer_protocol::evidence::{Evidence, EvidenceError, History, Kind, Place};
use signer_protocol::identity::SignIdentity as _;
use signer_protocol::lane::{EvmStatements, FromLane, Proof};
use signer_protocol::message::Endpoint;

use crate::lanes::{begun, issue_block, lead_among, leader, nom_lane};
use crate::suite::{Ed25519, ForEvm, generate};
use crate::voice::signer;
use crate::world::{Founding, World};

const LIAR: u16 = 2;

/// What a coordinator holds of a share that member 2 spoiled, and where it was.
struct Case {
    world: World,
    /// Of the key that attests.
    key: KeyRecord,
    leaf: LeafShare,
    seq: Seq,
}

impl Case {
    fn both() -> [Self; 2] {
        [false, true].map(Self::new)
    }

    fn new(evm: bool) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(81);
        let mut founding = Founding::new(5, 4, 2);
        founding.record.evm = true;
        let first = generate::<Ed25519>(&founding, &mut rng);
        let second = generate::<ForEvm>(&founding, &mut rng);
        let (key, share) = &first[&Slot(1)];
        let (key, public) = (key.clone(), share.public_package().clone());
        let keys = first.iter();
        let keys = keys.map(|(slot, (_, share))| (*slot, share.key_package().clone()));
        let world = World::with_key(rng, founding, keys.collect(), public);
        let mut world = begun(world);
        for (slot, (_, share)) in &second {
            let member = world.members.get_mut(slot).unwrap();
            let signer = member.signer.as_mut().unwrap();
            signer.sign_for_evm(share.key_package().clone());
        }
        let block = issue_block(&mut world);
        let (liar, domain) = (world.identity(signer(LIAR)), world.domain);
        let spoil = move |slot, answer| match answer {
            FromLane::Share(mut share) if slot == Slot(LIAR) => {
                share.share[0] ^= 1;
                share.signature = liar.sign(&share.signed_bytes(&domain));
                FromLane::Share(share)
            }
            other => other,
        };
        let (evm_key, share) = &second[&Slot(1)];
        let (seq, told) = if evm {
            let seq = world.head();
            let step = world.attested[&seq];
            let settled = Proof::of(&step, &world.leaves[&step.statement()], 0).unwrap();
            let leader = leader(&world, share.public_package().clone());
            let lane = LaneLeader::new(leader, EvmStatements, |_: &[u8], _: &[u8]| true);
            let told = lead_among(&mut world, lane, &[&settled], 5_000, spoil);
            (seq, told)
        } else {
            let lane = nom_lane(&world);
            let told = lead_among(&mut world, lane, &[&block], 5_000, spoil);
            let seq = Leaf::from_bytes(&block.leaf).unwrap().seq();
            (seq, told)
        };
        let [LaneEvent::BadShare(leaf)] = &told[..] else {
            panic!("{told:?}");
        };
        let mut leaf = leaf.as_ref().clone();
        leaf.evm = evm.then(|| evm_key.clone());
        Self {
            world,
            key,
            leaf,
            seq,
        }
    }

    fn file(&self, culprit: Culprit, leaf: &LeafShare) -> Evidence {
        let act = Act::BadLeafShare(Box::new(leaf.clone()));
        let file = Evidence::of_step(self.world.record.id(), culprit, &act);
        file.expect("it claims a proof").with_history(&History {
            key: self.key.clone(),
            epochs: Vec::new(),
        })
    }

    /// How the leaf's parts are judged after a change, all signed by whom they should be.
    fn judged(&self, change: impl Fn(&mut LeafShare)) -> Result<Kind, EvidenceError> {
        let domain = &self.world.domain;
        let mut leaf = self.leaf.clone();
        change(&mut leaf);
        let (member, leader) = (signer(LIAR), Endpoint::Coordinator(leaf.package.rank));
        let sign = |who, bytes: &[u8]| self.world.identity(who).sign(bytes);
        leaf.package.signature = sign(leader, &leaf.package.signed_bytes(domain));
        leaf.share.signature = sign(member, &leaf.share.signed_bytes(domain));
        let file = self.file(Culprit::Member(Slot(LIAR)), &leaf);
        file.verify(&self.world.record)
            .map(|conviction| conviction.kind)
    }
}

#[test]
fn a_bad_share_for_a_leaf_convicts_its_member_and_nobody_else_under_either_key() {
    for case in Case::both() {
        let record = &case.world.record;
        let second = case.leaf.evm.is_some();
        let file = case.file(Culprit::Member(Slot(LIAR)), &case.leaf);
        assert_eq!(file.history.is_none(), second, "it has what it needs alone");
        let read = Evidence::from_bytes(&file.to_bytes()).expect("what is written is read");
        let conviction = read.verify(record).expect("a bad share");
        assert_eq!(conviction.kind, Kind::BadLeafShare);
        assert_eq!(conviction.epoch, Epoch(1));
        assert_eq!(conviction.place, Place::Step(case.seq, View(0)));
        for slot in 0..=6 {
            for accused in [Culprit::Member(Slot(slot)), Culprit::Coordinator(slot)] {
                let judged = case.file(accused, &case.leaf).verify(record);
                let is_liar = accused == Culprit::Member(Slot(LIAR));
                assert_eq!(judged.is_ok(), is_liar, "{accused}");
            }
        }
    }
}

#[test]
fn a_sound_share_for_a_leaf_convicts_nobody_nor_one_of_other_bytes_or_another_key() {
    for case in Case::both() {
        let second = case.leaf.evm.clone();
        assert_eq!(case.judged(|_| ()), Ok(Kind::BadLeafShare));
        let unfounded = Err(EvidenceError::Unfounded);
        let sound = case.judged(|leaf| leaf.share.share[0] ^= 1);
        assert_eq!(sound, unfounded, "as the member gave it");
        let bytes = case.judged(|leaf| leaf.message[0] ^= 1);
        assert_eq!(bytes, unfounded, "not the bytes that the package names");
        let named = case.judged(|leaf| {
            leaf.message[0] ^= 1;
            leaf.package.message = signer_protocol::lane::digest(&leaf.message);
        });
        assert_eq!(named, unfounded, "not the package that the share answers");
        let answered = case.judged(|leaf| leaf.share.package = Digest::from_bytes([1; 32]));
        assert_eq!(
            answered, unfounded,
            "not the package that the share answers"
        );
        let other_key = case.judged(|leaf| {
            let other = Some(case.key.clone());
            leaf.evm = if second.is_some() { None } else { other };
        });
        assert_eq!(other_key, unfounded, "not the lane of that key");
        if second.is_some() {
            let first = case.judged(|leaf| leaf.evm = Some(case.key.clone()));
            assert!(matches!(first, Err(EvidenceError::Key(_))), "{first:?}");
        } else {
            let file = case.file(Culprit::Member(Slot(LIAR)), &case.leaf);
            let bare = Evidence {
                history: None,
                ..file
            };
            let missing = Err(EvidenceError::NoHistory(Epoch(1)));
            assert_eq!(bare.verify(&case.world.record), missing);
        }
        let forged_nonces = case.judged(|leaf| {
            let mut nonces = leaf.package.nonces.iter_mut();
            let own = nonces.find(|one| one.slot == Slot(LIAR)).unwrap();
            own.signature = Signature::from_bytes([1; 64]);
            leaf.share.package = leaf.package.digest(&case.world.domain);
        });
        assert_eq!(forged_nonces, Err(EvidenceError::Signature));
        // Words of the member that somebody else has signed, or that no coordinator passed on.
        let forged = [
            |leaf: &mut LeafShare| leaf.share.signature = Signature::from_bytes([1; 64]),
            |leaf: &mut LeafShare| leaf.package.signature = Signature::from_bytes([1; 64]),
        ];
        for forge in forged {
            let mut leaf = case.leaf.clone();
            forge(&mut leaf);
            let file = case.file(Culprit::Member(Slot(LIAR)), &leaf);
            let refused = file.verify(&case.world.record);
            assert_eq!(refused, Err(EvidenceError::Signature));
        }
        let mut without = case.leaf.clone();
        without.package.nonces.retain(|one| one.slot != Slot(LIAR));
        without.message = ByteBuf::new();
        let file = case.file(Culprit::Member(Slot(LIAR)), &without);
        assert!(file.verify(&case.world.record).is_err());
    }
}

#[test]
fn one_changed_bit_of_a_file_about_a_leaf_convicts_nobody() {
    for case in Case::both() {
        let file = case.file(Culprit::Member(Slot(LIAR)), &case.leaf);
        let bytes = file.to_bytes();
        for at in (0..bytes.len()).step_by(3) {
            let mut changed = bytes.clone();
            changed[at] ^= 1 << (at % 8);
            let judged =
                Evidence::from_bytes(&changed).and_then(|one| one.verify(&case.world.record));
            assert!(judged.is_err(), "byte {at}: {judged:?}");
        }
    }
}
