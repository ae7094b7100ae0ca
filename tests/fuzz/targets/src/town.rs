//! A committee that runs steps and refreshes its shares, for what those keep who follow it.

use attestation::ids::{Digest, Epoch, IdentityKey, Signature, Slot, ZappId};
use attestation::receipt::sig_structure;
use attestation::request::{Call, FeePayer, Request};
use attestation::step_attestation::StepAttestation;
use light_client::LightClient;
use light_client::lineage::{ChangeFile, EpochRecord};
use light_client::plan::{ChangePlan, PlannedMember};
use sim::change;
use sim::dice::Dice;
use sim::founding::{PROFILE, START_MS, base, member_card};
use sim::suite::Real;
use sim::zapp::Engine;
use state::State;
use state::job::{Context, Job};
use state::step::{Params, Previous, run};
use state::system::COMMITTEE;
use state::witness::Witness;

use crate::seeds::Files;

const SLOTS: [Slot; 4] = [Slot(1), Slot(2), Slot(3), Slot(4)];

/// What whoever follows the committee keeps and is shown.
pub struct Followed {
    /// The checkpoints of one client: at its start, after a step, and after the first epoch.
    pub checkpoints: Files,
    /// The committee's entry in the state, proven under the root before it, after each step.
    pub proofs: Vec<Vec<u8>>,
    /// What the second epoch came into force by, to be looked at before it did.
    pub change: ChangeFile,
    /// The second epoch.
    pub epoch: EpochRecord,
}

/// Follows the committee into its second epoch.
pub fn followed() -> Followed {
    let mut now = base::<Real>(4, 3);
    let record = now.record.clone();
    let (mut state, mut previous) = (State::genesis(&record), Previous::genesis(&record));
    let mut client = LightClient::new(&record.id(), &record, &now.key).unwrap();
    let mut files = Files::from([("created".into(), client.to_bytes())]);
    let (mut proofs, mut told) = (Vec::new(), None);
    let mut dice = Dice::new(41);
    let mut last = None;
    for (at, name) in ["stepped", "changed", "second-epoch"].iter().enumerate() {
        let changed = (at == 1).then(|| {
            let domain = now.members.domain();
            let member = |slot: Slot| PlannedMember {
                slot,
                card: member_card::<Real>(slot.0),
            };
            let plan = ChangePlan {
                network: domain.network,
                committee: domain.committee,
                base: now.members.epoch(),
                keys: vec![now.key.package_digest()],
                epoch: Epoch(2),
                dealers: SLOTS[..3].to_vec(),
                members: SLOTS.map(member).to_vec(),
                threshold: 3,
                profile: PROFILE,
            };
            let base = change::without_faults(&now, &plan, &mut dice).unwrap();
            let key = base.key.clone();
            (EpochRecord { plan, key }, base)
        });
        let cutover = changed.as_ref().map(|(change, _)| change.cutover());
        let (method, input) = cutover.map_or(("cancel", Vec::new()), |cutover| {
            ("cutover", cutover.to_bytes())
        });
        let params = Params::of(&record);
        let call = Call {
            network: record.network,
            committee: record.id(),
            zapp: ZappId::SYSTEM,
            method: method.to_owned(),
            input,
            gas_limit: 1_000_000,
            fee_payer: FeePayer::Caller,
            nonce: at as u64 + 1,
            valid_until_ms: START_MS + 60_000,
            caller: IdentityKey::from_bytes([9; 32]),
            pull: None,
        };
        let signature = Signature::from_bytes([0; 64]);
        let job = Job {
            seq: previous.seq.next().unwrap(),
            previous: last.map_or_else(Vec::new, |step: StepAttestation| step.to_bytes()),
            context: Context {
                time_ms: START_MS + at as u64 + 1,
                anchor_height: 0,
                anchor: Digest::from_bytes([0; 32]),
            },
            requests: vec![Request { call, signature }],
            votes: Vec::new(),
            reveal: None,
            faults: Vec::new(),
            witness: Witness::default(),
            observations: Vec::new(),
        };
        let outcome = run(&params, &previous, &job, &state, &mut Engine::sound()).unwrap();
        state.apply(&outcome.writes).unwrap();
        let mut step = StepAttestation {
            commit: outcome.commit,
            root: outcome.root,
            signature,
        };
        let signed = sig_structure(&step.commit, &step.root, &now.key.ed25519_key().unwrap());
        step.signature = change::sign(&now, &signed, &mut dice).unwrap();
        previous = Previous::of(&step);
        let proof = state.proof(&ZappId::SYSTEM, COMMITTEE).unwrap();
        let changes = changed.iter().map(|(change, _)| change);
        client.advance(&step, &proof, changes).unwrap();
        files.insert((*name).into(), client.to_bytes());
        let root = step.commit.state.as_bytes().as_slice();
        proofs.push([root, &proof.to_bytes()].concat());
        last = Some(step);
        if let Some((epoch, base)) = changed {
            let change = ChangeFile {
                record: record.clone(),
                key: now.key.clone(),
                epochs: Vec::new(),
                plan: epoch.plan.clone(),
            };
            told = Some((change, epoch));
            now = base.into();
        }
    }
    let (change, epoch) = told.unwrap();
    Followed {
        checkpoints: files,
        proofs,
        change,
        epoch,
    }
}
