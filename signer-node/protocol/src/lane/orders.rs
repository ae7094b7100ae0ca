//! What the leaves of each lane have a group sign.

use attestation::codec::Layout;
use attestation::leaf::{BlockLeaf, Leaf};
use attestation::step_attestation::StepAttestation;
use attestation::tags;

use super::{Signs, Warrant};
use crate::committee::Committee;
use crate::message::Lane;

/// Blocks of the committee's NoM account: the group signs the 32 bytes of a block's hash.
#[derive(Clone, Copy, Debug, Default)]
pub struct NomBlocks;

impl Signs for NomBlocks {
    fn warrant(&self, committee: &Committee, _: &StepAttestation, leaf: &Leaf) -> Option<Warrant> {
        let Leaf::Block(block) = leaf else {
            return None;
        };
        let ours = nom::Address::from_key(committee.group_key().as_bytes());
        if block.account != *ours.as_bytes() {
            return None;
        }
        let bytes = block.to_bytes();
        let hash = nom::sha3_256(bytes.get(BlockLeaf::HASHED_FROM..)?);
        let fixed = Layout::new(tags::LANE)
            .bytes(&block.fixed().to_bytes())
            .digest();
        Some(Warrant {
            lane: Lane::Nom,
            seq: block.seq,
            position: block.height,
            message: hash.as_bytes().to_vec(),
            fixed: Some(fixed),
        })
    }
}

/// Steps for EVM chains: under its second key the group signs the 32 bytes of a step's statement,
/// and of no step that it has not attested. The leaf is the settlement, which every step has.
///
/// What is attested is one statement per seq, whatever order it is signed in and however often: the
/// register has nothing to add.
#[derive(Clone, Copy, Debug, Default)]
pub struct EvmStatements;

impl Signs for EvmStatements {
    fn warrant(&self, _: &Committee, step: &StepAttestation, leaf: &Leaf) -> Option<Warrant> {
        let is_settlement = matches!(leaf, Leaf::Settlement(_));
        is_settlement.then(|| Warrant {
            lane: Lane::Evm,
            seq: step.commit.seq,
            position: step.commit.seq.0,
            message: step.statement().as_bytes().to_vec(),
            fixed: None,
        })
    }
}
