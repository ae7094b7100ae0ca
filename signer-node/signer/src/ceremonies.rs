//! The guest's ceremonies: key generation, and the change of members that is under way.

use attestation::ids::Slot;
use frost_core::Ciphersuite;
use link::birth::{self, BirthError};
use link::local::{PendingChange, ToNode};
use signer_protocol::dkg::{Dkg, DkgOutput, KeyRecord, PendingShares, Start};
use signer_protocol::evidence::Evidence;
use signer_protocol::identity::{Ed25519Verify, SignIdentity as _};
use signer_protocol::lineage::Lineage;
use signer_protocol::message::{DkgMessage, ToMember};
use signer_protocol::sealed::ShareBytes;
use signer_protocol::suite::Evm;

use crate::SignerError;
use crate::change::Changing;
use crate::guest::{GenerationOf, Guest, SealedFor, Suite};

impl Guest {
    /// Takes up the key generations: from nothing, from a durable share, or only to answer others.
    /// Who joined later has no part in them.
    pub(crate) fn generate(&mut self, key: Option<&KeyRecord>) -> Result<(), SignerError> {
        let own = self.secrets.identity();
        let card = self.record.member(self.slot);
        if card.is_none_or(|card| card.identity != own.key()) {
            return Ok(());
        }
        self.generation = Some(self.begin(key, self.secrets.shares().last())?);
        if self.record.evm {
            let key = self.evm_key.as_ref();
            self.evm_generation = Some(self.begin(key, self.secrets.evm_shares().last())?);
        }
        Ok(())
    }

    fn begin<C: Ciphersuite>(
        &self,
        key: Option<&KeyRecord>,
        share: Option<&ShareBytes>,
    ) -> Result<GenerationOf<C>, SignerError> {
        let start = match (key, share) {
            (Some(key), _) => Start::Finished(key.clone()),
            (None, Some(bytes)) => Start::Pending(PendingShares::from_bytes(bytes)?),
            (None, None) => Start::Fresh,
        };
        let own = self.secrets.identity();
        let (record, slot, boot) = (&self.record, self.slot, self.boot);
        Ok(Dkg::new(record, slot, boot, own, Ed25519Verify, start)?)
    }

    pub(crate) fn generation_message(
        &mut self,
        from: Slot,
        message: DkgMessage,
    ) -> Result<(), SignerError> {
        let (now_ms, mut rng) = self.driver.moment()?;
        if let Some(generation) = &mut self.generation {
            // What is dropped is old, doubled or forged; the machine keeps proof of the latter.
            let _ = generation.handle(now_ms, &mut rng, from, message);
        }
        Ok(())
    }

    pub(crate) fn generation_output(
        &mut self,
        output: DkgOutput<Suite>,
    ) -> Result<(), SignerError> {
        match output {
            DkgOutput::Send { to, message } => {
                self.say(to, ToMember::Dkg(message));
            }
            DkgOutput::Persist(share) => self.keep(share, SealedFor::Generation)?,
            DkgOutput::Done(record, share) => {
                if self.lineage.is_none() {
                    self.lineage = Some(Lineage::new(&self.record, &record)?);
                    self.sign(Some(share))?;
                }
                self.driver.tell(&ToNode::Key(Box::new(record)))?;
            }
            // A key generation deals to everybody.
            DkgOutput::Dealt(_) => {}
            DkgOutput::Aborted { culprits, act } => {
                let culprits = culprits.into_iter().collect();
                let (evm, act) = (false, birth::bounded(&act));
                self.driver
                    .tell(&ToNode::GenerationAborted { evm, culprits, act })?;
                let proof = self.generation.as_ref().and_then(Dkg::proof).cloned();
                self.tell_evidence(proof)?;
            }
        }
        Ok(())
    }

    pub(crate) fn evm_generation_message(
        &mut self,
        from: Slot,
        message: DkgMessage,
    ) -> Result<(), SignerError> {
        let (now_ms, mut rng) = self.driver.moment()?;
        if let Some(generation) = &mut self.evm_generation {
            // As of the first key.
            let _ = generation.handle(now_ms, &mut rng, from, message);
        }
        Ok(())
    }

    pub(crate) fn evm_generation_output(
        &mut self,
        output: DkgOutput<Evm>,
    ) -> Result<(), SignerError> {
        match output {
            DkgOutput::Send { to, message } => {
                self.say(to, ToMember::EvmDkg(message));
            }
            DkgOutput::Persist(share) => {
                let put = self.secrets.put_evm_share(share);
                put.map_err(BirthError::from)?;
                self.seal(SealedFor::EvmGeneration)?;
            }
            DkgOutput::Done(record, share) => {
                if let Some(signing) = &mut self.signing {
                    signing.sign_for_evm(share.key_package().clone());
                }
                self.evm_key = Some(record.clone());
                self.driver.tell(&ToNode::EvmKey(Box::new(record)))?;
            }
            // A key generation deals to everybody.
            DkgOutput::Dealt(_) => {}
            DkgOutput::Aborted { culprits, act } => {
                let culprits = culprits.into_iter().collect();
                let act = birth::bounded(&format_args!("of the key for EVM chains: {act}"));
                let evm = true;
                self.driver
                    .tell(&ToNode::GenerationAborted { evm, culprits, act })?;
                let proof = self.evm_generation.as_ref().and_then(Dkg::proof).cloned();
                self.tell_evidence(proof)?;
            }
        }
        Ok(())
    }

    /// Takes up the change that the operator has approved. One of another epoch than that in force
    /// is over.
    pub(crate) fn take_up(&mut self, pending: PendingChange) -> Result<(), SignerError> {
        let Some(lineage) = &self.lineage else {
            return Ok(());
        };
        if pending.plan.base != lineage.epoch() {
            return Ok(());
        }
        let who = (self.slot, self.boot);
        match Changing::begin(lineage, pending, who, &self.secrets) {
            Ok(change) => {
                self.change = Some(change);
                Ok(())
            }
            // Whatever is wrong with the change, the epoch in force goes on.
            Err(error) => {
                let act = birth::bounded(&error);
                let culprits = Vec::new();
                Ok(self.driver.tell(&ToNode::ChangeAborted { culprits, act })?)
            }
        }
    }

    pub(crate) fn change_message(
        &mut self,
        from: Slot,
        message: DkgMessage,
    ) -> Result<(), SignerError> {
        let (now_ms, mut rng) = self.driver.moment()?;
        let change = self.change.as_mut();
        if let Some(ceremony) = change.and_then(|change| change.ceremony.as_mut()) {
            let _ = ceremony.handle(now_ms, &mut rng, from, message);
        }
        Ok(())
    }

    pub(crate) fn change_output(&mut self, output: DkgOutput<Suite>) -> Result<(), SignerError> {
        match output {
            DkgOutput::Send { to, message } => {
                self.say(to, ToMember::Reshare(message));
            }
            DkgOutput::Persist(share) => self.keep(share, SealedFor::Change)?,
            DkgOutput::Done(record, _) | DkgOutput::Dealt(record) => self.changed(record)?,
            DkgOutput::Aborted { culprits, act } => {
                let culprits = culprits.into_iter().collect();
                let act = birth::bounded(&act);
                self.driver.tell(&ToNode::ChangeAborted { culprits, act })?;
                let proof = self.change.as_ref().and_then(Changing::proof).cloned();
                self.tell_evidence(proof)?;
            }
        }
        Ok(())
    }

    /// The node keeps what convicts whoever ended a ceremony, for its operator to show to others.
    pub(crate) fn tell_evidence(&mut self, proof: Option<Evidence>) -> Result<(), SignerError> {
        match proof {
            Some(proof) => Ok(self.driver.tell(&ToNode::Evidence(Box::new(proof)))?),
            None => Ok(()),
        }
    }

    /// The ceremony is complete: this member votes for the cutover from now on. Its old share stays
    /// in use until that is attested.
    fn changed(&mut self, record: KeyRecord) -> Result<(), SignerError> {
        if let (Some(change), Some(lineage)) = (&mut self.change, &self.lineage) {
            change.complete(lineage, &record)?;
            if let (Some(signing), Some(cutover)) = (&mut self.signing, &change.cutover) {
                signing.approve_cutover(cutover.clone());
            }
        }
        Ok(self.driver.tell(&ToNode::Changed(Box::new(record)))?)
    }

    /// Tells the node how far the ceremony is when that changes.
    pub(crate) fn tell_change(&mut self) -> Result<(), SignerError> {
        let progress = self.change.as_mut().and_then(Changing::news);
        match progress {
            Some(progress) => Ok(self.driver.tell(&ToNode::ChangeProgress(progress))?),
            None => Ok(()),
        }
    }

    /// Destroys the shares of epochs before the one in force (rule B4).
    pub(crate) fn forget_old_shares(&mut self) -> Result<(), SignerError> {
        let Some(epoch) = self.lineage.as_ref().map(Lineage::epoch) else {
            return Ok(());
        };
        let is_old = |share: &ShareBytes| share.epoch() < epoch;
        if !self.secrets.shares().iter().any(is_old) {
            return Ok(());
        }
        self.secrets.drop_shares_before(epoch);
        self.seal(SealedFor::Nobody)
    }

    /// The secrets are durable, for whoever waited longest.
    pub(crate) fn replaced(&mut self) -> Result<(), SignerError> {
        let (now_ms, mut rng) = self.driver.moment()?;
        let machine = match self.sealed_for.pop_front() {
            Some(SealedFor::Generation) => self.generation.as_mut(),
            Some(SealedFor::EvmGeneration) => {
                if let Some(generation) = &mut self.evm_generation {
                    generation.persisted(now_ms, &mut rng);
                }
                None
            }
            Some(SealedFor::Change) => {
                let change = self.change.as_mut();
                change.and_then(|change| change.ceremony.as_mut())
            }
            Some(SealedFor::Repair) => {
                if let Some(repair) = &mut self.repair {
                    repair.machine.persisted();
                }
                None
            }
            Some(SealedFor::Nobody) => None,
            None => return Err(BirthError::OutOfTurn.into()),
        };
        if let Some(machine) = machine {
            machine.persisted(now_ms, &mut rng);
        }
        Ok(())
    }

    /// Seals the secrets with a new share. Those of other plans stay: which of them comes into force
    /// is not this member's to say alone.
    pub(crate) fn keep(&mut self, share: ShareBytes, waits: SealedFor) -> Result<(), SignerError> {
        self.secrets.put_share(share).map_err(BirthError::from)?;
        self.seal(waits)
    }

    /// The node answers when the secrets are durable.
    fn seal(&mut self, waits: SealedFor) -> Result<(), SignerError> {
        let (_, mut rng) = self.driver.moment()?;
        let sealed = self.secrets.seal(&self.sealing, &mut rng);
        self.sealed_for.push_back(waits);
        Ok(self.driver.tell(&ToNode::Replace { sealed })?)
    }
}
