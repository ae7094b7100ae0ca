//! A sample committee and its steps. Keys come from fixed seeds, digests from names, so that
//! every run makes the same bytes.

use attestation::commit::Commit;
use attestation::committee::{Card, CreationRecord};
use attestation::conditions::{Conditions, Engine, Sentinel};
use attestation::ids::{
    ChannelKey, CommitteeId, Digest, Epoch, GroupKey, IdentityKey, NetworkId, RequestId,
    RuntimeProfile, Seq, Signature, StateRoot, StatementId, ZappId,
};
use attestation::leaf::{
    BlockLeaf, KeyChangeLeaf, Leaf, MessageLeaf, OutputLeaf, SettlementLeaf, Status,
};
use attestation::request::{Call, FeePayer, Request};
use attestation::step_attestation::StepAttestation;
use attestation::terms::{Grant, Terms};
use attestation::{merkle, receipt};
use ed25519_dalek::{Signer as _, SigningKey};
use sha2::{Digest as _, Sha256};

/// NoM's devnet.
pub const NETWORK: NetworkId = NetworkId(321);

/// SHA-256 of a name.
#[must_use]
pub fn digest(name: &str) -> [u8; 32] {
    Sha256::digest(name).into()
}

/// The key that stands in for the group's: one Ed25519 key signs what FROST would.
#[must_use]
pub fn group_secret() -> SigningKey {
    SigningKey::from_bytes(&digest("group"))
}

/// Its public half.
#[must_use]
pub fn group_key() -> GroupKey {
    GroupKey::from_bytes(group_secret().verifying_key().to_bytes())
}

/// A signature by `key`.
#[must_use]
pub fn sign(key: &SigningKey, message: &[u8]) -> Signature {
    Signature::from_bytes(key.sign(message).to_bytes())
}

/// The committee: five members, threshold 4, two coordinators.
#[must_use]
pub fn record() -> CreationRecord {
    let card = |name: String| {
        let secret = SigningKey::from_bytes(&digest(&name));
        let identity = IdentityKey::from_bytes(secret.verifying_key().to_bytes());
        let channel = ChannelKey::from_bytes(digest(&format!("{name} channel")));
        let image = Digest::from_bytes([0; 32]);
        let payout = IdentityKey::from_bytes(digest(&format!("{name} payout")));
        Card::signed((identity, channel), image, payout, |bytes| {
            sign(&secret, bytes)
        })
    };
    CreationRecord {
        network: NETWORK,
        threshold: 4,
        members: (1..=5).map(|slot| card(format!("member {slot}"))).collect(),
        coordinators: (0..2)
            .map(|rank| card(format!("coordinator {rank}")))
            .collect(),
        profile: profile(),
        created_ms: 1_790_000_000_000,
        salt: Digest::from_bytes(digest("salt")),
        terms: Terms {
            gas_price: 100,
            request_fee: 10,
            byte_deposit: 2,
            work_bits: 20,
            work_gas: 5_000_000,
        },
        grants: [1, 2]
            .map(|byte| Grant {
                account: IdentityKey::from_bytes([byte; 32]),
                amount: u64::from(byte) * 100_000_000,
            })
            .to_vec(),
        evm: false,
        conditions: Conditions::default(),
    }
}

/// The card of member `slot` with an engine.
#[must_use]
pub fn on_engine(slot: u16, engine: Engine) -> Card {
    let secret = SigningKey::from_bytes(&digest(&format!("member {slot}")));
    let mut cards = record().members.into_iter().skip(usize::from(slot) - 1);
    let card = cards.next().expect("a member of the sample");
    card.running(engine, |bytes| sign(&secret, bytes))
}

/// The Sentinel of the owner of this number, which vouches for a card.
#[must_use]
pub fn sentinel(owner: u16, card: &Card) -> Sentinel {
    let secret = SigningKey::from_bytes(&digest(&format!("sentinel {owner}")));
    let statement = Sentinel::statement(NETWORK, card);
    Sentinel {
        owner: IdentityKey::from_bytes(secret.verifying_key().to_bytes()),
        proof: sign(&secret, statement.as_bytes()),
    }
}

/// The committee, where members 2 and 4 run the second engine, each has a Sentinel, and both are
/// demanded.
#[must_use]
pub fn record_with_conditions() -> CreationRecord {
    let members = (1..=5).map(|slot| {
        let engine = if slot % 2 == 0 {
            Engine::Wasmi
        } else {
            Engine::Wasmtime
        };
        let mut card = on_engine(slot, engine);
        card.sentinel = Some(sentinel(slot, &card));
        card
    });
    CreationRecord {
        members: members.collect(),
        conditions: Conditions {
            engine_members_min: 2,
            sentinels: true,
        },
        ..record()
    }
}

/// Its id.
#[must_use]
pub fn committee() -> CommitteeId {
    record().id()
}

/// Its runtime profile.
#[must_use]
pub fn profile() -> RuntimeProfile {
    RuntimeProfile::from_bytes(digest("profile"))
}

/// State root after a step; before the first for 0.
#[must_use]
pub fn state(seq: u64) -> StateRoot {
    StateRoot::from_bytes(digest(&format!("state {seq}")))
}

/// A signed request to the counter zApp.
#[must_use]
pub fn request() -> Request {
    let secret = SigningKey::from_bytes(&digest("caller"));
    let call = Call {
        network: NETWORK,
        committee: committee(),
        zapp: zapp(),
        method: "add".into(),
        input: vec![1, 2, 3],
        gas_limit: 1_000_000,
        fee_payer: FeePayer::Zapp,
        nonce: 1,
        valid_until_ms: 1_790_000_060_000,
        caller: IdentityKey::from_bytes(secret.verifying_key().to_bytes()),
        pull: None,
    };
    let signature = sign(&secret, &call.signed_bytes());
    Request { call, signature }
}

/// The zApp that the sample requests call.
#[must_use]
pub fn zapp() -> ZappId {
    ZappId::from_bytes(digest("counter"))
}

/// The settlement of a step with `outputs` requests.
#[must_use]
pub fn settlement(seq: u64, outputs: u32) -> SettlementLeaf {
    SettlementLeaf {
        seq: Seq(seq),
        epoch: Epoch(1),
        requests: outputs,
        gas: 1_000 * u64::from(outputs),
        fees: 0,
        requests_total: seq * u64::from(outputs),
        gas_total: seq * 1_000 * u64::from(outputs),
        fees_total: 0,
    }
}

/// The output leaf at `index` of a step.
#[must_use]
pub fn output(seq: u64, index: u32) -> OutputLeaf {
    OutputLeaf {
        zapp: zapp(),
        seq: Seq(seq),
        request: RequestId::from_bytes(digest(&format!("request {seq}.{index}"))),
        status: Status::Ok,
        code: 0,
        gas: 1_000,
        output: Digest::from_bytes(digest(&format!("output {seq}.{index}"))),
        events: Digest::from_bytes(digest(&format!("events {seq}.{index}"))),
    }
}

/// The encoded leaves of a step.
#[must_use]
pub fn leaves(seq: u64, outputs: u32) -> Vec<Vec<u8>> {
    let settlement = Leaf::Settlement(settlement(seq, outputs));
    let outputs = (1..=outputs).map(|index| Leaf::Output(output(seq, index)));
    core::iter::once(settlement)
        .chain(outputs)
        .map(|leaf| leaf.to_bytes())
        .collect()
}

/// The commit of a step that follows `previous`.
#[must_use]
pub fn commit(seq: u64, leaves: &[Vec<u8>], previous: StatementId) -> Commit {
    Commit {
        network: NETWORK,
        committee: committee(),
        epoch: Epoch(1),
        seq: Seq(seq),
        tree_size: leaves.len() as u64,
        previous_state: state(seq - 1),
        state: state(seq),
        profile: profile(),
        previous,
        anchor_height: 1_000 + seq,
        anchor: Digest::from_bytes(digest(&format!("momentum {seq}"))),
        time_ms: 1_790_000_000_000 + 1_000 * seq,
        gas_used: 1_000 * (leaves.len() as u64 - 1),
        inputs: Digest::from_bytes(digest(&format!("inputs {seq}"))),
        trace: Digest::from_bytes(digest(&format!("trace {seq}"))),
    }
}

/// A step: its attestation, signed by [`group_secret`], and its leaves.
#[derive(Clone, Debug)]
pub struct Step {
    /// Commit, root and signature.
    pub attestation: StepAttestation,
    /// The encoded leaves.
    pub leaves: Vec<Vec<u8>>,
}

impl Step {
    /// A first step with `outputs` requests.
    #[must_use]
    pub fn first(outputs: u32) -> Self {
        let leaves = leaves(1, outputs);
        let commit = commit(1, &leaves, Commit::genesis_statement(&committee()));
        Self::sign(commit, leaves)
    }

    /// The step that follows, with `outputs` requests.
    #[must_use]
    pub fn next(&self, outputs: u32) -> Self {
        let seq = self.attestation.commit.seq.0 + 1;
        let leaves = leaves(seq, outputs);
        let commit = commit(seq, &leaves, self.attestation.statement());
        Self::sign(commit, leaves)
    }

    /// Signs a commit over leaves.
    #[must_use]
    pub fn sign(commit: Commit, leaves: Vec<Vec<u8>>) -> Self {
        let root = merkle::root(&leaves);
        let signed = receipt::sig_structure(&commit, &root, &group_key());
        Self {
            attestation: StepAttestation {
                commit,
                root,
                signature: sign(&group_secret(), &signed),
            },
            leaves,
        }
    }

    /// The receipt of a leaf.
    ///
    /// # Panics
    /// If there is no such leaf.
    #[must_use]
    pub fn receipt(&self, index: usize) -> Vec<u8> {
        self.attestation
            .receipt(&group_key(), &self.leaves, index)
            .expect("the leaf is the step's")
    }
}

/// A good key plus one of the eight points of small order: the first is of order 8, the second of
/// 4, the fourth of 2. Cofactored and cofactorless verifiers differ on its signatures.
///
/// # Panics
/// If there is no such point.
#[must_use]
pub fn key_with_torsion(part: usize) -> [u8; 32] {
    use curve25519_dalek::constants::EIGHT_TORSION;
    use curve25519_dalek::edwards::CompressedEdwardsY;
    let point = CompressedEdwardsY(*group_key().as_bytes())
        .decompress()
        .expect("a verifying key is a point");
    (point + EIGHT_TORSION[part]).compress().to_bytes()
}

/// A message of a step's zApp to a contract.
#[must_use]
pub fn message(seq: u64, number: u64) -> MessageLeaf {
    let contract = digest("contract");
    MessageLeaf {
        zapp: zapp(),
        seq: Seq(seq),
        chain: 1,
        contract,
        receiver: digest("receiver"),
        channel: MessageLeaf::channel(&committee(), &zapp(), (1, &contract), b"mint"),
        number,
        gas: 100_000,
        payload: vec![1, 2, 3, 0, 255],
    }
}

/// The end of a group key.
#[must_use]
pub fn key_change(seq: u64) -> KeyChangeLeaf {
    let key = |name: &str| {
        let mut key = [2; 33];
        key[1..].copy_from_slice(&digest(name));
        key
    };
    KeyChangeLeaf {
        seq: Seq(seq),
        suite: KeyChangeLeaf::SECP256K1,
        last_seq: seq + 100,
        old: key("old key"),
        new: key("new key"),
    }
}

/// The end of an Ed25519 group key.
#[must_use]
pub fn key_change_ed25519(seq: u64) -> KeyChangeLeaf {
    let next = SigningKey::from_bytes(&digest("next group"));
    let next = GroupKey::from_bytes(next.verifying_key().to_bytes());
    KeyChangeLeaf::of_ed25519(Seq(seq), seq + 100, &group_key(), &next)
}

/// A block of the committee's account that pays somebody.
#[must_use]
pub fn block(seq: u64) -> BlockLeaf {
    let short = |name: &str| {
        let mut address = [0; 20];
        address[1..].copy_from_slice(&digest(name)[..19]);
        address
    };
    let mut amount = [0; 32];
    amount[24..].copy_from_slice(&700_000_000u64.to_be_bytes());
    BlockLeaf {
        seq: Seq(seq),
        chain: 321,
        block_type: BlockLeaf::SEND,
        previous: digest("previous block"),
        height: 7,
        momentum: digest("momentum"),
        momentum_height: 43,
        account: short("account"),
        to: short("recipient"),
        amount,
        token: [0x14, 0xe6, 0x63, 0x18, 0xc6, 0x31, 0x8c, 0x63, 0x18, 0xc6],
        source: [0; 32],
        data: digest("data"),
        fused_plasma: 21_000,
        difficulty: 1_500_000,
        nonce: [1, 2, 3, 4, 5, 6, 7, 8],
    }
}
