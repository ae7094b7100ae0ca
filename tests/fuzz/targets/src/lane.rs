//! The signing of what attested leaves say (rule E3), under any list of events.
//!
//! Three of four with two coordinators. Coordinator 0 and members 1 to 3 are honest; coordinator 1 and
//! member 4 are hostile and say what the input says under their own keys. What others said is lost,
//! held back, doubled and reordered.

use std::collections::BTreeMap;

use attestation::codec;
use attestation::identity::verify_group;
use attestation::ids::{Boot, Digest, GroupKey, Seq, Signature, Slot};
use attestation::leaf::BlockLeaf;
use attestation::merkle;
use attestation::receipt;
use attestation::step_attestation::StepAttestation;
use coordinator_protocol::lane::{LaneOutput, LaneSigning, Leader};
use frost_ed25519::keys::KeyPackage;
use frost_ed25519::{Ed25519Sha512, SigningPackage, aggregate, round1, round2};
use rand_chacha::ChaCha8Rng;
use rand_core::SeedableRng as _;
use signer_protocol::identity::SignIdentity as _;
use signer_protocol::lane::{
    FromLane, LanePackage, LaneShare, LaneSigner, NomBlocks, Party, Proof, ToLane, Warrant, digest,
};
use signer_protocol::message::{Endpoint, SignedNonces};
use signer_protocol::register::{Chain, Record};
use sim::founding::{Founding, dealt, record};
use sim::suite::{Real, Suite};

use crate::input::Input;
use crate::steps;

type Identity = <Real as Suite>::Identity;
type Verify = <Real as Suite>::Verify;
type Valid = Box<dyn Fn(&[u8], &[u8]) -> bool>;

/// The hostile member.
const LIAR: Slot = Slot(4);
/// The ranks of the coordinators.
const HONEST: u16 = 0;
const HOSTILE: u16 = 1;
const THRESHOLD: usize = 3;
/// Most events of one input.
const EVENTS_MAX: usize = 256;
/// Longest message.
const BYTES_MAX: usize = 64 * 1024;

/// A committee, and leaves that it attested: a block, the same issued again on another momentum, and
/// another block at the same height, which no sound step orders.
struct Held {
    founding: Founding<Real>,
    proofs: Vec<Proof>,
    warrants: Vec<Warrant>,
}

struct Member {
    lane: LaneSigner<Ed25519Sha512, NomBlocks>,
    chain: Chain,
    boot: Boot,
    /// Register entries on disk.
    durable: u64,
}

struct Town {
    now_ms: u64,
    rng: ChaCha8Rng,
    members: BTreeMap<Slot, Member>,
    leader: LaneSigning<Ed25519Sha512, Identity, Verify, Valid>,
    /// Everything that the honest coordinator asked, and how much of it has arrived.
    asked: Vec<(Slot, ToLane)>,
    arrived: usize,
    /// Everything that members answered, to whom, and how much the honest coordinator has heard.
    told: Vec<(Slot, u16, FromLane)>,
    heard: usize,
    packages: BTreeMap<Digest, LanePackage>,
    /// The package that each member's commitments were used in.
    used: BTreeMap<Vec<u8>, Digest>,
    /// What each member has signed at each position.
    signed: BTreeMap<(Slot, u64), Option<Digest>>,
    signatures: usize,
}

/// Feeds a lane: commitments serve one package, a position one block, no honest member is blamed, and
/// what comes out is a signature of what the leaf says.
pub fn signings(bytes: &[u8]) -> bool {
    let mut input = Input::new(bytes);
    let mut town = Town::new();
    for _ in 0..EVENTS_MAX {
        if input.is_empty() {
            break;
        }
        town.event(&mut input);
    }
    town.signatures > 0 || !town.used.is_empty()
}

impl Town {
    fn new() -> Self {
        let held = held();
        let domain = held.founding.committee.domain();
        let members = (1..=4).map(Slot).map(|slot| {
            let key = held.founding.keys.shares[&slot].clone();
            let member = Member {
                lane: LaneSigner::new(NomBlocks, key),
                chain: Chain::new(domain, slot),
                boot: Boot(1),
                durable: 0,
            };
            (slot, member)
        });
        let mut town = Self {
            now_ms: 1_000,
            rng: ChaCha8Rng::seed_from_u64(1),
            members: members.collect(),
            leader: leader(1_000, 0),
            asked: Vec::new(),
            arrived: 0,
            told: Vec::new(),
            heard: 0,
            packages: BTreeMap::new(),
            used: BTreeMap::new(),
            signed: BTreeMap::new(),
            signatures: 0,
        };
        for slot in 1..=4 {
            town.start(Slot(slot));
        }
        town.drain();
        town
    }

    fn event(&mut self, input: &mut Input<'_>) {
        match input.byte() % 32 {
            0..=11 => {
                if let Some((to, message)) = self.asked.get(self.arrived).cloned() {
                    self.arrived += 1;
                    self.ask(HONEST, to, &message);
                }
            }
            12..=21 => {
                if let Some((from, rank, answer)) = self.told.get(self.heard).cloned() {
                    self.heard += 1;
                    if rank == HONEST {
                        self.leader.handle(self.now_ms, from, answer);
                    }
                }
            }
            22 => {
                self.now_ms += 16 * u64::from(input.byte());
                self.leader.handle_timeout(self.now_ms);
            }
            23 => {
                let at = input.below(self.asked.len());
                if let Some((to, message)) = self.asked.get(at).cloned() {
                    self.ask(HONEST, to, &message);
                }
            }
            24 => {
                let at = input.below(self.told.len());
                if let Some((from, _, answer)) = self.told.get(at).cloned() {
                    self.leader.handle(self.now_ms, from, answer);
                }
            }
            25 => self.lose(input),
            26 => {
                let proof = input.below(held().proofs.len());
                self.leader = leader(self.now_ms, proof);
            }
            27 => self.offer_falsely(input),
            28..=29 => self.package_falsely(input),
            _ => self.answer_falsely(input),
        }
        self.drain();
    }

    /// A member's process dies, and starts on what its disk holds.
    fn lose(&mut self, input: &mut Input<'_>) {
        let slot = Slot(1 + u16::from(input.byte() % 3));
        if let Some(member) = self.members.get_mut(&slot) {
            member.lane.close();
            member.boot = Boot(member.boot.0 + 1);
        }
        self.start(slot);
    }

    fn start(&mut self, slot: Slot) {
        let member = self.members.get_mut(&slot).unwrap();
        member.chain.append(Record::Boot(member.boot)).unwrap();
        member.durable = member.chain.next_index();
    }

    /// The hostile coordinator asks for commitments, mostly for what a leaf says.
    fn offer_falsely(&mut self, input: &mut Input<'_>) {
        let to = Slot(1 + u16::from(input.byte() % 4));
        let proof = held().proofs[input.below(held().proofs.len())].clone();
        let mut message = ToLane::Offer(proof);
        if input.byte().is_multiple_of(4) {
            let mut bytes = codec::encode(&message);
            input.spoil(&mut bytes);
            let Ok(spoilt) = codec::decode(&bytes, BYTES_MAX) else {
                return;
            };
            message = spoilt;
        }
        self.ask(HOSTILE, to, &message);
    }

    /// The hostile coordinator makes a package of commitments that it, or the other one, was offered.
    fn package_falsely(&mut self, input: &mut Input<'_>) {
        let to = Slot(1 + u16::from(input.byte() % 4));
        let mut set = BTreeMap::<Slot, SignedNonces>::new();
        for (slot, _, answer) in self.told.iter().rev() {
            if let FromLane::Nonces(nonces) = answer
                && (set.len() < THRESHOLD || *slot == to)
                && !input.byte().is_multiple_of(8)
            {
                set.entry(*slot).or_insert_with(|| nonces.clone());
            }
        }
        while set.len() > THRESHOLD {
            let other = set.keys().copied().find(|slot| *slot != to);
            set.remove(&other.unwrap());
        }
        let held = held();
        let warrant = &held.warrants[input.below(held.warrants.len())];
        let mut package = LanePackage {
            rank: HOSTILE,
            message: digest(&warrant.message),
            nonces: set.into_values().collect(),
            signature: Signature::from_bytes([0; 64]),
        };
        if input.byte().is_multiple_of(4) {
            let mut bytes = codec::encode(&package);
            input.spoil(&mut bytes);
            let Ok(spoilt) = codec::decode(&bytes, BYTES_MAX) else {
                return;
            };
            package = spoilt;
        }
        let identity = held.founding.identity(Endpoint::Coordinator(HOSTILE));
        let domain = held.founding.committee.domain();
        package.signature = identity.sign(&package.signed_bytes(domain));
        self.packages
            .insert(package.digest(domain), package.clone());
        self.ask(HOSTILE, to, &ToLane::Package(package));
    }

    /// The hostile member answers with what anybody answered, changed and signed as its own.
    fn answer_falsely(&mut self, input: &mut Input<'_>) {
        let at = input.below(self.told.len());
        let Some((_, _, answer)) = self.told.get(at) else {
            return;
        };
        let mut bytes = codec::encode(answer);
        input.spoil(&mut bytes);
        let Ok(mut answer) = codec::decode::<FromLane>(&bytes, BYTES_MAX) else {
            return;
        };
        let held = held();
        let domain = held.founding.committee.domain();
        let identity = held.founding.identity(Endpoint::Signer(LIAR));
        match &mut answer {
            FromLane::Nonces(nonces) => {
                nonces.slot = LIAR;
                nonces.signature = identity.sign(&nonces.signed_bytes(domain));
            }
            FromLane::Share(share) => {
                share.slot = LIAR;
                share.signature = identity.sign(&share.signed_bytes(domain));
            }
        }
        self.leader.handle(self.now_ms, LIAR, answer);
    }

    /// A member is asked, and its disk takes what it appends.
    fn ask(&mut self, rank: u16, to: Slot, message: &ToLane) {
        let held = held();
        let identity = held.founding.identity(Endpoint::Signer(to));
        let member = self.members.get_mut(&to).unwrap();
        let party = Party {
            committee: &held.founding.committee,
            slot: to,
            boot: member.boot,
            head: Seq(3),
            identity: &identity,
            verify: &held.founding.verify,
        };
        match message {
            ToLane::Offer(proof) => {
                let offered = member.lane.offer(&party, &mut self.rng, rank, proof);
                let answer = offered.map(FromLane::Nonces);
                self.told
                    .extend(answer.ok().map(|answer| (to, rank, answer)));
            }
            ToLane::Package(package) => {
                let _refused = member
                    .lane
                    .package(&party, &mut member.chain, rank, package);
                member.durable = member.chain.next_index();
                let shares = member.lane.release(&party, member.durable);
                for (rank, share) in shares {
                    self.check(&share);
                    self.told.push((to, rank, FromLane::Share(share)));
                }
            }
        }
    }

    /// What no honest member may do, whoever asks it.
    fn check(&mut self, share: &LaneShare) {
        if share.slot == LIAR {
            return;
        }
        let package = self.packages.get(&share.package).expect("somebody asked");
        let own = package.nonces.iter().find(|one| one.slot == share.slot);
        let commitments = own.expect("the signer is in the set").commitments.to_vec();
        let used = self.used.entry(commitments).or_insert(share.package);
        assert_eq!(*used, share.package, "commitments serve two packages");
        let mut warrants = held().warrants.iter();
        let warrant = warrants.find(|warrant| digest(&warrant.message) == package.message);
        let warrant = warrant.expect("no leaf says so");
        let place = (share.slot, warrant.position);
        let first = self.signed.entry(place).or_insert(warrant.fixed);
        assert_eq!(*first, warrant.fixed, "two blocks at one position");
    }

    fn drain(&mut self) {
        let domain = held().founding.committee.domain();
        while let Some(output) = self.leader.poll() {
            match output {
                LaneOutput::Send(to, message) => {
                    if let ToLane::Package(package) = &message {
                        self.packages
                            .insert(package.digest(domain), package.clone());
                    }
                    self.asked.push((to, message));
                }
                LaneOutput::Signed(signature) => {
                    let message = &self.leader.warrant().message;
                    assert!(is_signed(message, &signature), "a signature of nothing");
                    self.signatures += 1;
                }
                LaneOutput::BadShare(leaf) => {
                    assert_eq!(leaf.share.slot, LIAR, "an honest member is blamed");
                }
                LaneOutput::Silent(_) => {}
            }
        }
    }
}

fn leader(now_ms: u64, proof: usize) -> LaneSigning<Ed25519Sha512, Identity, Verify, Valid> {
    let held = held();
    let leader = Leader {
        committee: held.founding.committee.clone(),
        rank: HONEST,
        identity: held.founding.identity(Endpoint::Coordinator(HONEST)),
        verify: held.founding.verify.clone(),
        public: held.founding.keys.public.clone(),
    };
    let valid: Valid = Box::new(is_signed);
    let proof = held.proofs[proof].clone();
    LaneSigning::new(now_ms, leader, proof, &NomBlocks, valid).expect("a leaf of the committee")
}

fn is_signed(message: &[u8], signature: &[u8]) -> bool {
    let bytes = <[u8; 64]>::try_from(signature);
    let key = held().founding.committee.group_key();
    bytes.is_ok_and(|bytes| verify_group(key, message, &Signature::from_bytes(bytes)))
}

fn held() -> &'static Held {
    // What the simulator verifies with remembers, and belongs to its thread.
    thread_local! {
        static HELD: &'static Held = Box::leak(Box::new(Held::new()));
    }
    HELD.with(|held| *held)
}

impl Held {
    fn new() -> Self {
        let founding = Founding::new(record::<Real>(4, 3, 2), dealt(4, 3));
        let first = block(founding.committee.group_key());
        let again = BlockLeaf {
            momentum: [9; 32],
            momentum_height: 8,
            ..first
        };
        let other = BlockLeaf {
            amount: [7; 32],
            ..first
        };
        let leaves = [(1, first), (2, again), (3, other)];
        let proofs: Vec<Proof> = leaves
            .into_iter()
            .map(|(seq, leaf)| attested(&founding, seq, leaf))
            .collect();
        let warrant = |proof: &Proof| {
            let warrant = proof.warrant(&founding.committee, &founding.verify, &NomBlocks);
            warrant.expect("a leaf of the committee")
        };
        let warrants = proofs.iter().map(warrant).collect();
        Self {
            founding,
            proofs,
            warrants,
        }
    }
}

fn block(group: &GroupKey) -> BlockLeaf {
    BlockLeaf {
        seq: Seq(0),
        chain: 1,
        block_type: BlockLeaf::SEND,
        previous: [0; 32],
        height: 1,
        momentum: [1; 32],
        momentum_height: 7,
        account: *nom::Address::from_key(group.as_bytes()).as_bytes(),
        to: [2; 20],
        amount: [3; 32],
        token: [4; 10],
        source: [0; 32],
        data: [5; 32],
        fused_plasma: 21_000,
        difficulty: 0,
        nonce: [0; 8],
    }
}

/// A step with this leaf alone, signed with all keys in one hand.
fn attested(founding: &Founding<Real>, seq: u64, leaf: BlockLeaf) -> Proof {
    let leaf = BlockLeaf {
        seq: Seq(seq),
        ..leaf
    };
    let leaves = vec![leaf.to_bytes()];
    let mut world = steps::committee();
    world.run_until(2_000, |_| false);
    let template = *world.chain.step(Seq(1)).expect("a step is attested");
    let mut commit = template.commit;
    (commit.seq, commit.tree_size) = (Seq(seq), 1);
    let root = merkle::root(&leaves);
    let message = receipt::sig_structure(&commit, &root, founding.committee.group_key());
    let mut rng = ChaCha8Rng::seed_from_u64(seq);
    let keys: Vec<&KeyPackage> = founding.keys.shares.values().take(THRESHOLD).collect();
    let (mut nonces, mut commitments) = (Vec::new(), BTreeMap::new());
    for key in &keys {
        let (own, public) = round1::commit(key.signing_share(), &mut rng);
        nonces.push(own);
        commitments.insert(*key.identifier(), public);
    }
    let package = SigningPackage::new(commitments, &message);
    let shares = keys.iter().zip(&nonces).map(|(key, nonces)| {
        let share = round2::sign(&package, nonces, key).unwrap();
        (*key.identifier(), share)
    });
    let signature = aggregate(&package, &shares.collect(), &founding.keys.public).unwrap();
    let signature = Signature::from_bytes(signature.serialize().unwrap().try_into().unwrap());
    let step = StepAttestation {
        commit,
        root,
        signature,
    };
    Proof::of(&step, &leaves, 0).expect("a leaf of the step")
}
