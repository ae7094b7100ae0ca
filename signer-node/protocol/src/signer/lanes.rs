//! The lanes of a signer: what its group signs beside the steps (rule E3).

use attestation::leaf::Leaf;
use frost_core::Ciphersuite;
use frost_core::keys::KeyPackage;
use rand_core::{CryptoRng, RngCore};

use super::{Output, Signer};
use crate::identity::{SignIdentity, Verify};
use crate::lane::{
    EvmStatements, FromLane, LaneError, LanePackage, LaneShare, LaneSigner, NomBlocks, Party,
    Proof, ToLane,
};
use crate::message::{Endpoint, Message, SignedNonces};
use crate::register::{Chain, Entry};
use crate::suite::Evm;

/// All lanes of a member.
#[derive(Debug)]
pub(super) struct Lanes<C: Ciphersuite> {
    /// Blocks of the committee's NoM account.
    nom: LaneSigner<C, NomBlocks>,
    /// Steps under the second key, once the member has a share of it.
    evm: Option<LaneSigner<Evm, EvmStatements>>,
}

impl<C: Ciphersuite> Lanes<C> {
    pub(super) const fn new(key: KeyPackage<C>) -> Self {
        Self {
            nom: LaneSigner::new(NomBlocks, key),
            evm: None,
        }
    }

    /// Forgets all nonces.
    pub(super) fn close(&mut self) {
        self.nom.close();
        if let Some(evm) = &mut self.evm {
            evm.close();
        }
    }

    fn offer<I: SignIdentity, V: Verify>(
        &mut self,
        party: &Party<'_, I, V>,
        rng: &mut (impl RngCore + CryptoRng),
        rank: u16,
        proof: &Proof,
    ) -> Result<SignedNonces, LaneError> {
        match (Leaf::from_bytes(&proof.leaf), &mut self.evm) {
            (Ok(Leaf::Settlement(_)), Some(evm)) => evm.offer(party, rng, rank, proof),
            _ => self.nom.offer(party, rng, rank, proof),
        }
    }

    fn package<I: SignIdentity, V: Verify>(
        &mut self,
        party: &Party<'_, I, V>,
        chain: &mut Chain,
        rank: u16,
        package: &LanePackage,
    ) -> Result<Option<Entry>, LaneError> {
        match &mut self.evm {
            Some(evm) if evm.expects(rank, package) => evm.package(party, chain, rank, package),
            _ => self.nom.package(party, chain, rank, package),
        }
    }

    fn release<I: SignIdentity, V: Verify>(
        &mut self,
        party: &Party<'_, I, V>,
        durable: u64,
    ) -> impl Iterator<Item = (u16, LaneShare)> + use<C, I, V> {
        let evm = self.evm.as_mut();
        let evm = evm.map_or_else(Default::default, |evm| evm.release(party, durable));
        self.nom.release(party, durable).into_iter().chain(evm)
    }
}

impl<C: Ciphersuite, I: SignIdentity, V: Verify> Signer<C, I, V> {
    /// This member has a share of the committee's key for EVM chains: from now on it signs steps
    /// under it, too.
    pub fn sign_for_evm(&mut self, key: KeyPackage<Evm>) {
        self.lanes.evm = Some(LaneSigner::new(EvmStatements, key));
    }

    /// A coordinator leads the signing of an attested leaf. Whatever is wrong with its word costs
    /// it its answer and nothing else.
    pub(super) fn on_lane(
        &mut self,
        rng: &mut (impl RngCore + CryptoRng),
        rank: u16,
        message: &ToLane,
    ) {
        if !self.takes_part() {
            return;
        }
        let party = Party {
            committee: &self.committee,
            slot: self.slot,
            boot: self.boot,
            head: self.head_seq(),
            identity: &self.identity,
            verify: &self.verify,
        };
        let answer = match message {
            ToLane::Offer(proof) => {
                let nonces = self.lanes.offer(&party, rng, rank, proof);
                nonces.map(|nonces| Some(FromLane::Nonces(nonces)))
            }
            ToLane::Package(package) => {
                let entry = self.lanes.package(&party, &mut self.chain, rank, package);
                entry.map(|entry| {
                    self.outputs.extend(entry.map(Output::Persist));
                    None
                })
            }
        };
        match answer {
            Ok(Some(answer)) => self.answer_lane(rank, answer),
            Ok(None) => {}
            Err(LaneError::Register(refused)) => self.outputs.push_back(Output::Refused(refused)),
            Err(_) => {}
        }
    }

    /// Shares leave once the register entries that they need are on disk.
    pub(super) fn release_lane(&mut self) {
        let party = Party {
            committee: &self.committee,
            slot: self.slot,
            boot: self.boot,
            head: self.head_seq(),
            identity: &self.identity,
            verify: &self.verify,
        };
        for (rank, share) in self.lanes.release(&party, self.durable) {
            self.answer_lane(rank, FromLane::Share(share));
        }
    }

    fn answer_lane(&mut self, rank: u16, answer: FromLane) {
        let to = Endpoint::Coordinator(rank);
        let message = Message::FromLane(alloc::boxed::Box::new(answer));
        self.outputs.push_back(Output::Send { to, message });
    }
}
