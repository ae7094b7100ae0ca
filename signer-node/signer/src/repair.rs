//! The repair of a member's lost share, as this member takes part in it (rule B3).

use attestation::ids::Slot;
use link::birth;
use link::local::ToNode;
use signer_protocol::dkg::KeyShare;
use signer_protocol::identity::{Ed25519Identity, Ed25519Verify};
use signer_protocol::message::{RepairMessage, ToMember};
use signer_protocol::repair::{Repair, RepairError, RepairOutput, RepairPlan, Repairing};

use crate::SignerError;
use crate::guest::{Guest, SealedFor, Suite};

/// One repair.
pub(crate) struct Repairs {
    pub(crate) machine: Repair<Suite, Ed25519Identity, Ed25519Verify>,
    lost: Slot,
}

impl Repairs {
    pub(crate) fn poll_timeout(&self) -> Option<u64> {
        self.machine.poll_timeout()
    }

    pub(crate) fn poll(&mut self) -> Option<RepairOutput<Suite>> {
        self.machine.poll()
    }
}

/// Why this member takes no part in a repair that its operator has approved.
#[derive(Debug, thiserror::Error)]
enum NoPart {
    #[error("there is no key yet")]
    NoKey,
    #[error("this member's share of epoch {0} is not lost")]
    NotLost(attestation::ids::Epoch),
    #[error(transparent)]
    Refused(#[from] RepairError),
}

impl Guest {
    /// Takes up the repair that the operator has approved. Whatever is wrong with it, the member
    /// goes on as it is.
    pub(crate) fn repair(&mut self, plan: &RepairPlan) -> Result<(), SignerError> {
        match self.repairing(plan) {
            Ok(repair) => {
                self.repair = Some(repair);
                Ok(())
            }
            Err(error) => {
                let (culprits, act) = (Vec::new(), birth::bounded(&error));
                Ok(self.driver.tell(&ToNode::RepairAborted { culprits, act })?)
            }
        }
    }

    fn repairing(&self, plan: &RepairPlan) -> Result<Repairs, NoPart> {
        let lineage = self.lineage.as_ref().ok_or(NoPart::NoKey)?;
        let bytes = self.secrets.share(lineage.epoch());
        // One of another plan of this epoch is none.
        let share = bytes.and_then(|bytes| KeyShare::of_key(bytes, lineage.key()).ok());
        let lost = plan.lost;
        if lost == self.slot && share.is_some() {
            return Err(NoPart::NotLost(lineage.epoch()));
        }
        let repairing = Repairing {
            plan,
            members: lineage.members(),
            key: lineage.key(),
            share: share.as_ref(),
        };
        let identity = self.secrets.identity();
        let machine = Repair::new(&repairing, self.slot, self.boot, identity, Ed25519Verify)?;
        Ok(Repairs { machine, lost })
    }

    pub(crate) fn repair_message(&mut self, from: Slot, message: RepairMessage) {
        let now_ms = self.driver.now_ms();
        if let Some(repair) = &mut self.repair {
            // What is dropped is of another attempt, doubled, too frequent or forged.
            let _ = repair.machine.handle(now_ms, from, message);
        }
    }

    pub(crate) fn repair_output(&mut self, output: RepairOutput<Suite>) -> Result<(), SignerError> {
        let Some(lost) = self.repair.as_ref().map(|repair| repair.lost) else {
            return Ok(());
        };
        match output {
            RepairOutput::Send { to, message } => {
                self.say(to, ToMember::Repair(message));
            }
            RepairOutput::Persist(share) => self.keep(share, SealedFor::Repair)?,
            // Told first: what the register lacks is told after it (rule C2).
            RepairOutput::Restored(share) => {
                self.driver.tell(&ToNode::Repaired { lost })?;
                self.sign(Some(share))?;
            }
            RepairOutput::Helped => self.driver.tell(&ToNode::Repaired { lost })?,
            RepairOutput::Aborted { culprits, act } => {
                let act = birth::bounded(&act);
                self.driver.tell(&ToNode::RepairAborted { culprits, act })?;
                let machine = self.repair.as_ref().map(|repair| &repair.machine);
                self.tell_evidence(machine.and_then(Repair::proof).cloned())?;
            }
        }
        Ok(())
    }
}
