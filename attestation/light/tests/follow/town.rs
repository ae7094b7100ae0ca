//! A committee that generates its key, runs steps and changes its members, all for real, in one
//! thread; and all that an honest gateway would show of it.

use std::rc::Rc;

use attestation::ids::{Digest, Epoch, IdentityKey, Signature, Slot, ZappId};
use attestation::receipt::sig_structure;
use attestation::request::{Call, FeePayer, Request};
use attestation::step_attestation::StepAttestation;
use light_client::LightClient;
use light_client::lineage::EpochRecord;
use light_client::plan::{ChangePlan, PlannedMember};
use signer_protocol::dkg::KeyRecord;
use sim::change;
use sim::dice::Dice;
use sim::founding::{Base, PROFILE, START_MS, base, member_card};
use sim::suite::Real;
use sim::zapp::Engine;
use state::State;
use state::job::{Context, Job};
use state::proof::EntryProof;
use state::step::{Params, Previous, run};
use state::system::COMMITTEE;
use state::witness::Witness;

/// What an honest gateway shows once a step is attested.
#[derive(Clone)]
pub struct Shown {
    pub attestation: StepAttestation,
    pub proof: EntryProof,
    pub changes: Vec<EpochRecord>,
    pub leaves: Vec<Vec<u8>>,
}

impl Shown {
    /// The receipt of the leaf at `index`.
    pub fn receipt(&self, town: &Town, index: usize) -> Vec<u8> {
        let key = town.now.key.ed25519_key().expect("a key of steps");
        let receipt = self.attestation.receipt(&key, &self.leaves, index);
        receipt.expect("its own leaves")
    }
}

pub struct Town {
    /// The key record of the key generation.
    pub first: KeyRecord,
    /// Members, key and shares of the epoch in force.
    pub now: Rc<Base<Real>>,
    pub state: State,
    pub changes: Vec<EpochRecord>,
    previous: Previous,
    last: Option<StepAttestation>,
    nonce: u64,
    dice: Dice,
}

impl Town {
    pub fn found() -> Self {
        Self::of(5, 4)
    }

    pub fn of(members: u16, threshold: u16) -> Self {
        Self::at(base::<Real>(members, threshold))
    }

    /// A committee in its first epoch.
    pub fn at(now: Rc<Base<Real>>) -> Self {
        Self {
            first: now.key.clone(),
            state: State::genesis(&now.record),
            changes: Vec::new(),
            previous: Previous::genesis(&now.record),
            last: None,
            nonce: 0,
            dice: Dice::new(41),
            now,
        }
    }

    /// A client that knows the committee's id.
    pub fn client(&self) -> LightClient {
        let record = &self.now.record;
        LightClient::new(&record.id(), record, &self.first).expect("the committee's own")
    }

    /// An attested step with one request to the system zApp.
    pub fn step(&mut self) -> Shown {
        self.run("cancel", Vec::new())
    }

    /// A ceremony among `dealers` and the members in `slots`; it is in force after [`Self::cut_over`].
    pub fn reshare(&mut self, epoch: u64, dealers: &[u16], slots: &[u16]) -> Reshared {
        let domain = self.now.members.domain();
        let planned = |slot: &u16| PlannedMember {
            slot: Slot(*slot),
            card: member_card::<Real>(*slot),
        };
        let plan = ChangePlan {
            network: domain.network,
            committee: domain.committee,
            base: self.now.members.epoch(),
            keys: vec![self.now.key.package_digest()],
            epoch: Epoch(epoch),
            dealers: dealers.iter().copied().map(Slot).collect(),
            members: slots.iter().map(planned).collect(),
            threshold: 4,
            profile: PROFILE,
        };
        let base = change::without_faults(&self.now, &plan, &mut self.dice);
        let base = base.expect("a ceremony without faults");
        let key = base.key.clone();
        Reshared {
            record: EpochRecord { plan, key },
            base: Rc::new(base),
        }
    }

    /// The step that puts a change into force: the last of the old epoch.
    pub fn cut_over(&mut self, reshared: &Reshared) -> Shown {
        self.changes.push(reshared.record.clone());
        let shown = self.run("cutover", reshared.record.cutover().to_bytes());
        self.now = Rc::clone(&reshared.base);
        shown
    }

    /// Another step, signed like the last one by t members that lie.
    pub fn sign(&mut self, mut step: StepAttestation) -> StepAttestation {
        let signed = sig_structure(
            &step.commit,
            &step.root,
            &self.now.key.ed25519_key().expect("a key of steps"),
        );
        let signature = change::sign(&self.now, &signed, &mut self.dice);
        step.signature = signature.expect("t shares sign");
        step
    }

    /// The proof of any entry against the newest step's state.
    pub fn proof(&self, zapp: &ZappId, key: &[u8]) -> EntryProof {
        self.state.proof(zapp, key).expect("a whole state")
    }

    fn run(&mut self, method: &str, input: Vec<u8>) -> Shown {
        self.nonce += 1;
        let record = &self.now.record;
        let params = Params::of(record);
        let seq = self.previous.seq.next().expect("few steps");
        let call = Call {
            network: record.network,
            committee: record.id(),
            zapp: ZappId::SYSTEM,
            method: method.to_owned(),
            input,
            gas_limit: 1_000_000,
            fee_payer: FeePayer::Caller,
            nonce: self.nonce,
            valid_until_ms: START_MS + 60_000,
            caller: IdentityKey::from_bytes([9; 32]),
            pull: None,
        };
        let request = Request {
            call,
            signature: Signature::from_bytes([0; 64]),
        };
        let job = Job {
            seq,
            previous: self.last.map(|step| step.to_bytes()).unwrap_or_default(),
            context: Context {
                time_ms: START_MS + seq.0,
                anchor_height: 0,
                anchor: Digest::from_bytes([0; 32]),
            },
            requests: vec![request],
            votes: Vec::new(),
            reveal: None,
            faults: Vec::new(),
            witness: Witness::default(),
            observations: Vec::new(),
        };
        let mut engine = Engine::sound();
        let outcome = run(&params, &self.previous, &job, &self.state, &mut engine);
        let outcome = outcome.expect("a job that can run");
        let root = self.state.apply(&outcome.writes).expect("a whole state");
        assert_eq!(root, outcome.commit.state);
        let attestation = self.sign(StepAttestation {
            commit: outcome.commit,
            root: outcome.root,
            signature: Signature::from_bytes([0; 64]),
        });
        self.previous = Previous::of(&attestation);
        self.last = Some(attestation);
        Shown {
            attestation,
            proof: self.proof(&ZappId::SYSTEM, COMMITTEE),
            changes: self.changes.clone(),
            leaves: outcome.leaves,
        }
    }
}

/// A change whose ceremony is complete.
pub struct Reshared {
    pub record: EpochRecord,
    base: Rc<Base<Real>>,
}
