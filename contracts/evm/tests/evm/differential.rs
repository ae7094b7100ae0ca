//! Random lives of a message acceptor, with everything that may be wrong: the contract and the
//! rule in Rust give the same verdict at every step and end in the same state.

use attestation::commit::Commit;
use attestation::ids::Digest;
use conformance::sample;
use evm::abi::{Value, call, number};
use evm::chain::{ANYONE, Answer, CHAIN_ID};
use evm::committee::Committee;
use evm::leaf::{KeyChange, Message, padded};
use evm::rule::{Messages, Outcome, Refused, Terms};
use evm::step::{Attestation, Inclusion, included, step_with};
use rand_chacha::ChaCha8Rng;
use rand_core::{RngCore as _, SeedableRng as _};
use std::collections::BTreeMap;

use crate::world::{DELAY, GAS_MAX, GUARDIAN, PAUSE, World, done};

/// Steps of each life.
const STEPS: usize = 240;

struct Lives {
    world: World,
    rule: Messages,
    committees: Vec<Committee>,
    /// Whose key signs by default; the rule says whether it is trusted.
    current: usize,
    channels: Vec<[u8; 32]>,
    /// Key changes that were taken.
    taken: Vec<KeyChange>,
    rng: ChaCha8Rng,
    verdicts: BTreeMap<String, usize>,
}

#[test]
fn the_contract_and_the_rule_agree_on_random_lives() {
    let mut verdicts = BTreeMap::new();
    for seed in 0..4 {
        let Some(world) = World::new() else {
            return;
        };
        let mut lives = Lives::new(world, seed);
        for _ in 0..STEPS {
            lives.step();
        }
        lives.same_state();
        for (verdict, count) in lives.verdicts {
            *verdicts.entry(verdict).or_insert(0) += count;
        }
    }
    // Every verdict that a life can come to was come to.
    let wanted = [
        "Activated",
        "AfterLastSeq",
        "BadSignature",
        "Cancelled",
        "Changing",
        "Delivered",
        "KeyChangePending",
        "KeyChangeTaken",
        "MalformedCommit",
        "MalformedLeaf",
        "NoKeyChangePending",
        "NoReceiver",
        "NotIncluded",
        "NotThisKey",
        "OutOfOrder",
        "PathDoesNotFit",
        "Paused",
        "Reverted",
        "TooEarly",
        "TooMuchGas",
        "TreeSize",
        "UntrustworthyKey",
        "WrongChain",
        "WrongCommittee",
        "WrongContract",
        "WrongKind",
        "WrongNetwork",
        "WrongPosition",
        "WrongStep",
    ];
    for verdict in wanted {
        assert!(
            verdicts.contains_key(verdict),
            "{verdict} not in {verdicts:?}"
        );
    }
}

impl Lives {
    fn new(world: World, seed: u64) -> Self {
        let terms = Terms {
            network: sample::NETWORK,
            committee: sample::committee(),
            chain: CHAIN_ID,
            contract: padded(world.acceptor),
            change_delay: DELAY,
            pause_max: PAUSE,
            gas_max: GAS_MAX,
        };
        let committees: Vec<Committee> = (1..=3).map(Committee::new).collect();
        Self {
            rule: Messages::new(terms, *committees[0].verifying_key()),
            world,
            committees,
            current: 0,
            channels: ["a", "b"].map(sample::digest).to_vec(),
            taken: Vec::new(),
            rng: ChaCha8Rng::seed_from_u64(seed),
            verdicts: BTreeMap::new(),
        }
    }

    fn below(&mut self, most: u64) -> u64 {
        self.rng.next_u64() % most
    }

    fn step(&mut self) {
        let now = self.world.chain.now();
        match self.below(50) {
            0 | 20 | 21 => {
                let pass = [1, DELAY / 2, DELAY, PAUSE][self.below(4) as usize];
                self.world.chain.pass(pass);
            }
            1 => {
                self.rule.pause(now);
                assert_eq!(self.world.order(GUARDIAN, "pause()"), done());
            }
            2..=5 => {
                self.rule.resume();
                assert_eq!(self.world.order(GUARDIAN, "resume()"), done());
            }
            6..=8 => {
                let wanted = self.rule.cancel_key_change();
                let answer = self.world.order(GUARDIAN, "cancelKeyChange()");
                self.compare(wanted.map(|()| "Cancelled"), &answer);
            }
            9 | 10 => {
                let wanted = self.rule.activate_key(now);
                let answer = self.world.order(ANYONE, "activateKey()");
                self.compare(wanted.map(|()| "Activated"), &answer);
                let trusted = self.rule.key();
                let signs = |committee: &Committee| trusted == committee.key().compressed();
                self.current = self.committees.iter().position(signs).unwrap();
            }
            11..=19 => self.change_key(now),
            _ => self.deliver(now),
        }
    }

    fn change_key(&mut self, now: u64) {
        let seq = 1 + self.below(30);
        let new = self.below(3) as usize;
        let mut leaf = KeyChange {
            seq: attestation::ids::Seq(seq),
            suite: 1,
            last_seq: seq + self.below(8),
            old: self.committees[self.current].key().compressed(),
            new: self.committees[new].key().compressed(),
        };
        match self.below(14) {
            0 => leaf.suite = 0,
            1 => leaf.old[9] ^= 1,
            2 => leaf.last_seq = seq - 1,
            3 => leaf.new[1..].fill(0xff),
            4 => leaf.new[0] ^= 4,
            _ => {}
        }
        let again = self.taken.iter().rfind(|taken| taken.old == leaf.old);
        if let (true, Some(taken)) = (self.rng.next_u32().is_multiple_of(2), again) {
            leaf = *taken;
        }
        let (attestation, inclusion) = self.attest(leaf.seq.0, leaf.to_bytes());
        let wanted = self.rule.change_key(now, &attestation, &inclusion);
        let answer = self
            .world
            .send("changeKey", &attestation, &inclusion)
            .answer;
        if wanted.is_ok() {
            self.taken.push(leaf);
        }
        self.compare(wanted.map(|()| "Changing"), &answer);
    }

    fn deliver(&mut self, now: u64) {
        let seq = 1 + self.below(30);
        let pick = self.below(2) as usize;
        let channel = self.channels[pick];
        let place = self.rule.consumed(&channel) + 1;
        let mut message = Message {
            channel: Digest::from_bytes(channel),
            ..self.world.message(seq, place, &[0])
        };
        match self.below(14) {
            0 => message.number = self.below(place + 2),
            1 => message.chain = self.below(3),
            2 => message.contract[31] ^= 1,
            3 => message.receiver[31] ^= 1,
            4 => message.receiver[3] = 1,
            5 => message.gas = GAS_MAX + self.below(3),
            6 => message.payload = vec![1],
            _ => {}
        }
        let (attestation, inclusion) = self.attest(seq, message.to_bytes());
        let receiver = padded(self.world.receiver);
        let wanted = self
            .rule
            .deliver(now, &attestation, &inclusion, |address, payload| {
                (*address == receiver).then(|| payload.first() != Some(&1))
            });
        let answer = self.world.send("deliver", &attestation, &inclusion).answer;
        let (channel, place) = (*message.channel.as_bytes(), message.number);
        let wanted = wanted.map(|outcome| {
            assert_eq!(self.outcome(channel, place), Some(outcome));
            match outcome {
                Outcome::Delivered => "Delivered",
                Outcome::Reverted => "Reverted",
                Outcome::NoReceiver => "NoReceiver",
                Outcome::TooMuchGas => "TooMuchGas",
            }
        });
        self.compare(wanted, &answer);
    }

    /// A step of one or two such leaves, signed by the trusted key, with something wrong at times.
    fn attest(&mut self, seq: u64, leaf: Vec<u8>) -> (Attestation, Inclusion) {
        let signer = match self.below(12) {
            0 => self.below(3) as usize,
            _ => self.current,
        };
        let (wrong, bit) = (self.below(40), self.below(8 * leaf.len() as u64) as usize);
        let mut leaves = vec![leaf.clone(); 1 + self.below(2) as usize];
        match wrong {
            0 => leaves[0][34] ^= 1,
            1 => leaves[0][bit % 2] ^= 1 << (bit % 3),
            2 => leaves[0].truncate(bit / 8),
            _ => {}
        }
        let change = |commit: &mut Commit| match wrong {
            3 => commit.network.0 ^= 1,
            4 => commit.tree_size = 1,
            5 => commit.tree_size += 2,
            6 => commit.committee = attestation::ids::CommitteeId::from_bytes([1; 32]),
            _ => {}
        };
        let signed = step_with(&mut self.committees[signer], seq, leaves, change);
        let (mut attestation, leaves) = signed;
        let mut inclusion = included(&leaves, 1);
        let length = attestation.commit.len();
        match wrong {
            7 => attestation.commit[bit / 8 % length] ^= 1,
            8 => attestation.root[bit % 32] ^= 1,
            9 => attestation.signature.rx[bit % 32] ^= 1,
            10 => attestation.signature.ry[bit % 32] ^= 1,
            11 => attestation.signature.z[bit % 32] ^= 1,
            12 => inclusion.leaf[bit / 8] ^= 1 << (bit % 8),
            13 => inclusion.index = (bit % 4) as u64,
            14 => inclusion.path.truncate(bit % 3),
            15 => inclusion.path.push([0; 32]),
            16 => inclusion.path[0][bit % 32] ^= 1,
            17 => attestation.commit.truncate(bit % length),
            18 => attestation.commit[9] ^= 1,
            _ => {}
        }
        (attestation, inclusion)
    }

    fn compare(&mut self, wanted: Result<&'static str, Refused>, answer: &Answer) {
        let (verdict, same) = match wanted {
            Ok(outcome) => (outcome.to_owned(), *answer == done()),
            Err(refused) => (refused.to_string(), answer.error() == refused.to_string()),
        };
        assert!(same, "rule: {verdict}, contract: {answer:?}");
        *self.verdicts.entry(verdict).or_insert(0) += 1;
    }

    fn outcome(&mut self, channel: [u8; 32], place: u64) -> Option<Outcome> {
        let arguments = [Value::Word(channel), number(place)];
        let data = call("outcomeOf(bytes32,uint64)", &arguments);
        match self.world.chain.number(self.world.acceptor, &data) {
            0 => None,
            1 => Some(Outcome::Delivered),
            2 => Some(Outcome::Reverted),
            3 => Some(Outcome::NoReceiver),
            _ => Some(Outcome::TooMuchGas),
        }
    }

    fn same_state(&mut self) {
        for channel in self.channels.clone() {
            let data = call("consumed(bytes32)", &[Value::Word(channel)]);
            let consumed = self.world.chain.number(self.world.acceptor, &data);
            assert_eq!(consumed, self.rule.consumed(&channel));
            assert!(consumed > 3, "{consumed}");
            for place in 0..=consumed + 1 {
                let wanted = self.rule.outcome(&channel, place);
                assert_eq!(self.outcome(channel, place), wanted, "message {place}");
            }
        }
        let key = self
            .world
            .chain
            .view(self.world.acceptor, &call("keyX()", &[]));
        assert_eq!(key.answer, Answer::Returned(self.rule.key()[1..].to_vec()));
    }
}
