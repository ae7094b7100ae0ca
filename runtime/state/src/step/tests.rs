//! Steps of a committee whose engine is a script interpreter.

mod account;
mod epochs;
mod faults;
mod money;
mod outcomes;
mod pulls;
mod reach;
mod refusals;
mod replays;
mod script;
mod upgrades;
mod votes;

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use attestation::committee::Card;
use attestation::conditions::Conditions;
use attestation::ids::{ChannelKey, IdentityKey, LeafRoot, RuntimeProfile, Signature, ZappId};
use attestation::leaf::Status;
use attestation::request::{Call, FeePayer, Request};
use attestation::terms::{Grant, Terms};

use super::*;
use crate::job::{Context, Job};
use crate::system::Deploy;
use crate::witness::Witness;
use script::Script;

const ALICE: IdentityKey = IdentityKey::from_bytes([0xa1; 32]);
const BOB: IdentityKey = IdentityKey::from_bytes([0xb0; 32]);
const GAS: u64 = 50_000_000;

/// What a table's row does to a valid value.
type Alter<T> = fn(&mut T);

/// A committee of five at threshold 4, its state and its last step.
struct Chain {
    params: Params,
    previous: Previous,
    state: State,
    nonce: u64,
}

impl Chain {
    fn new() -> Self {
        Self::on(Terms::FREE, &[])
    }

    /// Under terms, with balances in order of account.
    fn on(terms: Terms, grants: &[(IdentityKey, u64)]) -> Self {
        let card = |byte| Card {
            identity: IdentityKey::from_bytes([byte; 32]),
            channel: ChannelKey::from_bytes([byte; 32]),
            image: Digest::from_bytes([0; 32]),
            payout: IdentityKey::from_bytes([byte + 100; 32]),
            signature: Signature::from_bytes([0; 64]),
            engine: None,
            sentinel: None,
        };
        let record = CreationRecord {
            network: NetworkId(3),
            threshold: 4,
            members: (1..=5).map(card).collect(),
            coordinators: vec![card(9)],
            profile: RuntimeProfile::from_bytes([8; 32]),
            created_ms: 1_000,
            salt: Digest::from_bytes([0; 32]),
            terms,
            grants: grants
                .iter()
                .map(|(account, amount)| Grant {
                    account: *account,
                    amount: *amount,
                })
                .collect(),
            evm: false,
            conditions: Conditions::default(),
        };
        Self {
            params: Params::of(&record),
            previous: Previous::genesis(&record),
            state: State::genesis(&record),
            nonce: 0,
        }
    }

    /// With one zApp deployed by Alice.
    fn with_zapp() -> (Self, ZappId) {
        let mut chain = Self::new();
        let deploy = chain.deploy(ALICE, script::GOOD, "set born 1");
        let outcome = chain.step(vec![deploy]);
        assert_eq!(outcome.outcomes[0].status, Status::Ok);
        (chain, script_zapp(ALICE))
    }

    fn request(
        &mut self,
        caller: IdentityKey,
        zapp: ZappId,
        method: &str,
        input: &[u8],
    ) -> Request {
        self.nonce += 1;
        Request {
            call: Call {
                network: self.params.network,
                committee: self.params.committee,
                zapp,
                method: String::from(method),
                input: input.to_vec(),
                gas_limit: GAS,
                fee_payer: FeePayer::Caller,
                nonce: self.nonce,
                valid_until_ms: u64::MAX,
                caller,
                pull: None,
            },
            signature: Signature::from_bytes([0; 64]),
        }
    }

    fn call(&mut self, zapp: ZappId, script: &str) -> Request {
        self.request(ALICE, zapp, "run", script.as_bytes())
    }

    fn deploy(&mut self, owner: IdentityKey, module: ModuleDigest, init: &str) -> Request {
        let deploy = script_deploy(module, init);
        self.request(owner, ZappId::SYSTEM, "deploy", &deploy.to_bytes())
    }

    fn job(&self, requests: Vec<Request>) -> Job {
        Job {
            seq: self.previous.seq.next().expect("few steps"),
            previous: Vec::new(),
            context: Context {
                time_ms: self.previous.time_ms + 10,
                anchor_height: 0,
                anchor: Digest::from_bytes([0; 32]),
            },
            requests,
            votes: Vec::new(),
            reveal: None,
            faults: Vec::new(),
            observations: Vec::new(),
            witness: Witness::default(),
        }
    }

    /// The outcome in a gateway.
    fn run(&self, job: &Job) -> Result<StepOutcome, StepError> {
        run(&self.params, &self.previous, job, &self.state, &mut Script)
    }

    /// The outcome in a signer whose executor reports this.
    fn replay(&self, job: &Job, reports: &[Report]) -> Result<StepOutcome, StepError> {
        let state = job
            .witness
            .open(&self.previous.state)
            .expect("of this root");
        replay(&self.params, &self.previous, job, &state, reports)
    }

    /// The job with its witness, and its outcome in gateway, executor and signer.
    fn agree(&self, mut job: Job) -> (Job, StepOutcome) {
        let gateway = self.run(&job).expect("a valid job");
        job.witness = self.state.witness(&gateway.touched).expect("whole");
        let pruned = job
            .witness
            .open(&self.previous.state)
            .expect("of this root");
        let executor = run(&self.params, &self.previous, &job, &pruned, &mut Script);
        assert_eq!(executor.as_ref(), Ok(&gateway));
        let reports = report(&self.params, &self.previous, &job, &pruned, &mut Script);
        let reports = reports.expect("as it ran before");
        assert_eq!(reports, gateway.reports);
        let mut signer = self.replay(&job, &reports).expect("honest reports");
        // A signer does not read what its executor reads.
        signer.touched.clone_from(&gateway.touched);
        assert_eq!(signer, gateway);
        (job, gateway)
    }

    /// Attests and applies an outcome.
    fn accept(&mut self, outcome: &StepOutcome) {
        let root = self.state.apply(&outcome.writes).expect("whole");
        assert_eq!(root, outcome.commit.state);
        self.previous = Previous::of(&StepAttestation {
            commit: outcome.commit,
            root: outcome.root,
            signature: Signature::from_bytes([0; 64]),
        });
        assert_eq!(self.previous.statement, outcome.statement());
        assert_ne!(outcome.root, LeafRoot::from_bytes([0; 32]));
    }

    fn step(&mut self, requests: Vec<Request>) -> StepOutcome {
        let (_, outcome) = self.agree(self.job(requests));
        self.accept(&outcome);
        outcome
    }

    fn value(&self, zapp: &ZappId, key: &str) -> Option<&[u8]> {
        self.state.get(zapp, key.as_bytes()).expect("whole")
    }
}

fn script_deploy(module: ModuleDigest, init: &str) -> Deploy {
    Deploy {
        module,
        salt: Digest::from_bytes([5; 32]),
        escrow: 0,
        init: init.as_bytes().to_vec(),
    }
}

fn script_zapp(owner: IdentityKey) -> ZappId {
    script_deploy(script::GOOD, "").zapp(&owner)
}
