//! A committee of five at threshold four in memory: its steps and its NoM lane, on real FROST keys
//! and real registers, without votes and views.

use std::collections::BTreeMap;

use attestation::committee::{Card, CreationRecord};
use attestation::conditions::Conditions;
use attestation::ids::{
    Boot, ChannelKey, Digest, GroupKey, IdentityKey, NetworkId, RuntimeProfile, Seq, Signature,
    Slot,
};
use attestation::leaf::Leaf;
use attestation::request::{Call, FeePayer, Request};
use attestation::step_attestation::StepAttestation;
use attestation::terms::Terms;
use attestation::{ids::ZappId, receipt};
use coordinator_protocol::lane::{LaneOutput, LaneSigning, Leader};
use frost_ed25519 as frost;
use frost_ed25519::Ed25519Sha512;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use signer_protocol::committee::Committee;
use signer_protocol::identity::{Ed25519Identity, Ed25519Verify, SignIdentity as _};
use signer_protocol::lane::{
    FromLane, LaneError, LaneSigner, NomBlocks, Party, Proof, ToLane, Warrant,
};
use signer_protocol::register;
use signer_protocol::register::Record;
use state::State;
use state::execute::Execute;
use state::job::{Context, Job};
use state::step::{Params, Previous, StepOutcome, run};
use state::witness::Witness;

pub use register::Chain;

/// What a committee's members keep of their NoM lane.
pub struct Member {
    /// Its place.
    pub slot: Slot,
    /// Its register.
    pub chain: Chain,
    /// Entries below this one are on disk.
    pub durable: u64,
    /// The step that it holds last.
    pub head: Seq,
    identity: Ed25519Identity,
    lane: LaneSigner<Ed25519Sha512, NomBlocks>,
    key: frost::keys::KeyPackage,
    boot: Boot,
}

/// A signing that a coordinator of these committees leads.
pub type Leading = LaneSigning<Ed25519Sha512, Ed25519Identity, Ed25519Verify, Check>;
/// Whether a consumer takes a signature: of message and signature.
pub type Check = Box<dyn Fn(&[u8], &[u8]) -> bool>;

/// Members, coordinator and keys.
pub struct Quorum {
    /// The record that creates it.
    pub record: CreationRecord,
    /// As the protocol sees it.
    pub committee: Committee,
    /// Its members, by slot.
    pub members: Vec<Member>,
    public: frost::keys::PublicKeyPackage,
    rng: ChaCha20Rng,
}

/// The committee's chain of steps.
pub struct Steps {
    params: Params,
    previous: Previous,
    /// After the last step.
    pub state: State,
    nonce: u64,
}

impl Quorum {
    /// A committee on a network, from a seed.
    ///
    /// # Panics
    /// Never: 4 of 5 is a valid threshold.
    #[must_use]
    pub fn new(network: u64, seed: u64) -> Self {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        let (shares, public) =
            frost::keys::generate_with_dealer(5, 4, frost::keys::IdentifierList::Default, &mut rng)
                .expect("4 of 5 is a threshold");
        let card = |slot: u8| Card {
            identity: identity(slot).key(),
            channel: ChannelKey::from_bytes([slot; 32]),
            image: Digest::from_bytes([0; 32]),
            payout: Card::NO_PAYOUT,
            signature: Signature::from_bytes([0; 64]),
            engine: None,
            sentinel: None,
        };
        let record = CreationRecord {
            network: NetworkId(network),
            threshold: 4,
            members: (1..=5).map(card).collect(),
            coordinators: vec![card(LEADER)],
            profile: RuntimeProfile::from_bytes([8; 32]),
            created_ms: 1_000,
            salt: Digest::from_bytes([0; 32]),
            terms: Terms::FREE,
            grants: Vec::new(),
            evm: false,
            conditions: Conditions::default(),
        };
        let group = public.verifying_key().serialize().expect("32 bytes");
        let group = GroupKey::from_bytes(group.try_into().expect("32 bytes"));
        let committee = Committee::new(&record, group).expect("4 of 5");
        let members = (1..=5u8).zip(shares.into_values()).map(|(slot, share)| {
            let key = frost::keys::KeyPackage::try_from(share).expect("a dealt share");
            let domain = committee.domain();
            Member::start(Chain::new(domain, Slot(slot.into())), slot, key)
        });
        Self {
            members: members.collect(),
            record,
            committee,
            public,
            rng,
        }
    }

    /// The committee's account.
    #[must_use]
    pub fn account(&self) -> nom::Address {
        nom::Address::from_key(self.committee.group_key().as_bytes())
    }

    /// Signs a step as its members would once they agree, and has them hold it.
    ///
    /// # Panics
    /// Never: honest shares aggregate.
    pub fn attest(&mut self, outcome: &StepOutcome) -> StepAttestation {
        let (commit, root) = (outcome.commit, outcome.root);
        let message = receipt::sig_structure(&commit, &root, self.committee.group_key());
        let (mut nonces, mut commitments) = (BTreeMap::new(), BTreeMap::new());
        for member in self.members.iter().take(4) {
            let id = *member.key.identifier();
            let (nonce, made) = frost::round1::commit(member.key.signing_share(), &mut self.rng);
            nonces.insert(id, nonce);
            commitments.insert(id, made);
        }
        let package = frost::SigningPackage::new(commitments, &message);
        let shares = self.members.iter().take(4).map(|member| {
            let id = *member.key.identifier();
            let share = frost::round2::sign(&package, &nonces[&id], &member.key);
            (id, share.expect("an honest share"))
        });
        let signature = frost::aggregate(&package, &shares.collect(), &self.public);
        let signature = signature.and_then(|signature| signature.serialize());
        let signature = signature.expect("honest shares").try_into();
        for member in &mut self.members {
            member.head = commit.seq;
        }
        StepAttestation {
            commit,
            root,
            signature: Signature::from_bytes(signature.expect("64 bytes")),
        }
    }

    /// The group's key, with all verifying shares.
    #[must_use]
    pub const fn public(&self) -> &frost::keys::PublicKeyPackage {
        &self.public
    }

    /// What the proof has this committee sign.
    ///
    /// # Errors
    /// As [`Proof::warrant`].
    pub fn warrant(&self, proof: &Proof) -> Result<Warrant, LaneError> {
        proof.warrant(&self.committee, &Ed25519Verify, &NomBlocks)
    }

    /// Begins to sign what a leaf says, with the coordinator as it is.
    ///
    /// # Errors
    /// As [`LaneSigning::new`].
    pub fn lead(&self, proof: Proof) -> Result<Leading, LaneError> {
        let leader = Leader {
            committee: self.committee.clone(),
            rank: 0,
            identity: identity(LEADER),
            verify: Ed25519Verify,
            public: self.public.clone(),
        };
        let key = IdentityKey::from_bytes(*self.committee.group_key().as_bytes());
        let valid: Check = Box::new(move |message, signature| {
            let bytes = <[u8; 64]>::try_from(signature);
            bytes.is_ok_and(|bytes| {
                attestation::identity::verify(&key, message, &Signature::from_bytes(bytes))
            })
        });
        LaneSigning::new(0, leader, proof, &NomBlocks, valid)
    }

    /// Signs what a leaf says. `path` sees every answer on its way and may keep or change it;
    /// what is reported on the way comes back beside the signature.
    ///
    /// # Panics
    /// If there is no signature within ten rounds.
    pub fn sign(
        &mut self,
        proof: &Proof,
        mut path: impl FnMut(Slot, FromLane) -> Option<FromLane>,
    ) -> ([u8; 64], Vec<LaneOutput>) {
        let mut signing = self.lead(proof.clone()).expect("an attested leaf");
        let mut reported = Vec::new();
        let mut now_ms = 0;
        for _ in 0..10 {
            while let Some(output) = signing.poll() {
                match output {
                    LaneOutput::Send(slot, message) => {
                        for answer in self.tell(slot, 0, message).unwrap_or_default() {
                            if let Some(answer) = path(slot, answer) {
                                signing.handle(now_ms, slot, answer);
                            }
                        }
                    }
                    LaneOutput::Signed(signature) => {
                        return (signature.try_into().expect("64 bytes"), reported);
                    }
                    other => reported.push(other),
                }
            }
            now_ms = signing.poll_timeout().expect("not signed yet");
            signing.handle_timeout(now_ms);
        }
        panic!("no signature in ten rounds; reported: {reported:?}");
    }

    /// Tells a member something in a coordinator's name: what it answers once its register is on
    /// disk.
    ///
    /// # Errors
    /// Why it does not.
    ///
    /// # Panics
    /// If there is no such member.
    pub fn tell(
        &mut self,
        slot: Slot,
        rank: u16,
        message: ToLane,
    ) -> Result<Vec<FromLane>, LaneError> {
        let committee = &self.committee;
        let member = &mut self.members[usize::from(slot.0) - 1];
        let party = Party {
            committee,
            slot,
            boot: member.boot,
            head: member.head,
            identity: &member.identity,
            verify: &Ed25519Verify,
        };
        match message {
            ToLane::Offer(proof) => {
                let offered = member.lane.offer(&party, &mut self.rng, rank, &proof)?;
                Ok(vec![FromLane::Nonces(offered)])
            }
            ToLane::Package(package) => {
                let chain = &mut member.chain;
                let appended = member.lane.package(&party, chain, rank, &package)?;
                let mut shares = member.lane.release(&party, member.durable);
                // Nothing leaves before its entry is on disk; without one it is there already.
                assert!(shares.is_empty() || appended.is_none());
                member.durable = member.chain.next_index();
                shares.extend(member.lane.release(&party, member.durable));
                Ok(shares
                    .into_iter()
                    .map(|(_, share)| FromLane::Share(share))
                    .collect())
            }
        }
    }

    /// Restarts a member on its register: its nonces are gone.
    ///
    /// # Panics
    /// If there is no such member.
    pub fn restart(&mut self, slot: Slot) {
        let at = usize::from(slot.0) - 1;
        let member = &self.members[at];
        let number = u8::try_from(slot.0).expect("five members");
        let head = member.head;
        let again = Member::start(member.chain.clone(), number, member.key.clone());
        self.members[at] = Member { head, ..again };
    }
}

impl Member {
    fn start(mut chain: Chain, slot: u8, key: frost::keys::KeyPackage) -> Self {
        let boot = chain.next_boot().expect("few starts");
        chain.append(Record::Boot(boot)).expect("the next start");
        Self {
            slot: Slot(slot.into()),
            durable: chain.next_index(),
            chain,
            head: Seq(0),
            identity: identity(slot),
            lane: LaneSigner::new(NomBlocks, key.clone()),
            key,
            boot,
        }
    }
}

impl Steps {
    /// Before the first step.
    #[must_use]
    pub fn new(record: &CreationRecord) -> Self {
        Self {
            params: Params::of(record),
            previous: Previous::genesis(record),
            state: State::genesis(record),
            nonce: 0,
        }
    }

    /// One step of one request, attested by the committee and applied.
    ///
    /// # Panics
    /// If the job is not valid.
    pub fn step(
        &mut self,
        quorum: &mut Quorum,
        engine: &mut dyn Execute,
        zapp: ZappId,
        (method, input): (&str, Vec<u8>),
    ) -> (StepOutcome, StepAttestation) {
        self.nonce += 1;
        let request = Request {
            call: Call {
                network: self.params.network,
                committee: self.params.committee,
                zapp,
                method: method.to_owned(),
                input,
                gas_limit: 100_000_000,
                fee_payer: FeePayer::Caller,
                nonce: self.nonce,
                valid_until_ms: u64::MAX,
                caller: IdentityKey::from_bytes([0xa1; 32]),
                pull: None,
            },
            signature: Signature::from_bytes([0; 64]),
        };
        let job = Job {
            seq: self.previous.seq.next().expect("few steps"),
            previous: Vec::new(),
            context: Context {
                time_ms: self.previous.time_ms + 10,
                anchor_height: 0,
                anchor: Digest::from_bytes([0; 32]),
            },
            requests: vec![request],
            votes: Vec::new(),
            reveal: None,
            faults: Vec::new(),
            observations: Vec::new(),
            witness: Witness::default(),
        };
        let outcome = run(&self.params, &self.previous, &job, &self.state, engine);
        let outcome = outcome.expect("a valid job");
        let attestation = quorum.attest(&outcome);
        self.state.apply(&outcome.writes).expect("the whole state");
        self.previous = Previous::of(&attestation);
        (outcome, attestation)
    }

    /// The proof of the block that a step issued.
    ///
    /// # Panics
    /// If it issued none.
    #[must_use]
    pub fn issued((outcome, attestation): &(StepOutcome, StepAttestation)) -> Proof {
        let at = outcome
            .leaves
            .iter()
            .position(|leaf| matches!(Leaf::from_bytes(leaf), Ok(Leaf::Block(_))));
        let at = at.unwrap_or_else(|| panic!("no block: {:?}", outcome.outcomes));
        Proof::of(attestation, &outcome.leaves, at).expect("a leaf of the step")
    }
}

fn identity(number: u8) -> Ed25519Identity {
    Ed25519Identity::from_seed(&[number; 32])
}

/// The seed of the coordinator's identity.
const LEADER: u8 = 99;
