//! Receipts and their verification, check by check.

use attestation::commit::Commit;
use attestation::ids::{CommitteeId, GroupKey, NetworkId, Seq};
use attestation::leaf::Leaf;
use attestation::merkle;
use attestation::receipt::{self, Algorithm, InclusionProof, Receipt};
use attestation::verify::{self, Check};
use conformance::sample::{self, Step};
use conformance::{edge, golden};
use serde_json::{Value, json};

use crate::{check, invalid};

/// What a verifier is given.
struct Question {
    name: &'static str,
    receipt: Vec<u8>,
    leaf: Option<Vec<u8>>,
    key: GroupKey,
    committee: Option<CommitteeId>,
}

impl Question {
    fn of(name: &'static str, step: &Step, index: usize) -> Self {
        Self {
            name,
            receipt: step.receipt(index),
            leaf: Some(step.leaves[index].clone()),
            key: sample::group_key(),
            committee: Some(sample::committee()),
        }
    }

    fn ask(&self) -> Result<verify::Verified, verify::VerifyError> {
        let leaf = self.leaf.as_deref();
        verify::verify_receipt(&self.receipt, leaf, &self.key, self.committee.as_ref())
    }

    fn json(&self) -> Value {
        json!({
            "name": self.name,
            "group_key": self.key,
            "committee": self.committee,
            "leaf": self.leaf.as_ref().map(hex::encode),
            "receipt": hex::encode(&self.receipt),
        })
    }
}

#[test]
fn receipts() {
    let valid: Vec<Value> = good().iter().map(accepted).collect();
    let refused: Vec<Value> = bad()
        .iter()
        .map(|(question, check)| refused(question, *check))
        .collect();
    let checks: Vec<Value> = Check::ALL
        .iter()
        .map(|check| json!({ "name": check.name(), "claim": check.claim() }))
        .collect();
    check(
        "receipt",
        "COSE Receipts. `checks` are made in this order; `check` names the one that fails. \
         `malformed` are bytes that are no receipt at all (check `receipt`).",
        json!({
            "checks": checks,
            "signed_bytes": receipt::SIGNED_BYTES,
            "content_type": receipt::CONTENT_TYPE,
            "valid": valid,
            "invalid": refused,
            "malformed": invalid("receipt"),
        }),
    );
}

fn accepted(question: &Question) -> Value {
    let verified = question.ask().unwrap();
    let mut case = question.json();
    case["commit"] = golden::commit_fields(&verified.commit);
    case["index"] = json!(verified.index.to_string());
    case["root"] = json!(verified.root);
    case["statement"] = json!(verified.statement);
    case["checks"] = json!(verified.checks().map(Check::name).collect::<Vec<_>>());
    case
}

fn refused(question: &Question, check: Check) -> Value {
    let error = question.ask().expect_err(question.name);
    assert_eq!(error.check(), check, "{}: {error}", question.name);
    let mut case = question.json();
    case["check"] = json!(check.name());
    case["error"] = json!(format!("{error:?}"));
    case["text"] = json!(error.to_string());
    case
}

fn good() -> Vec<Question> {
    let small = Step::first(1);
    let odd = small.next(4);
    let full = odd.next(1_024);
    let mut without_leaf = Question::of("without the leaf", &small, 1);
    without_leaf.leaf = None;
    let mut any_committee = Question::of("any committee", &small, 1);
    any_committee.committee = None;
    vec![
        Question::of("settlement of two leaves", &small, 0),
        Question::of("output of two leaves", &small, 1),
        Question::of("last of five leaves", &odd, 4),
        Question::of("last of 1025 leaves", &full, 1_024),
        Question::of("first output of 1025 leaves", &full, 1),
        Question::of("output in the middle of 1025 leaves", &full, 513),
        largest(),
        without_leaf,
        any_committee,
        algorithm_19(&small),
    ]
}

/// The last of as many leaves as a step can have: sixteen hashes.
fn largest() -> Question {
    let leaves = sample::leaves(1, 65_535);
    let commit = sample::commit(1, &leaves, Commit::genesis_statement(&sample::committee()));
    Question::of("last of 65536 leaves", &Step::sign(commit, leaves), 65_535)
}

/// The same step signed under algorithm −19 (RFC 9864).
fn algorithm_19(step: &Step) -> Question {
    let mut question = Question::of("algorithm -19", step, 1);
    let mut receipt = Receipt::from_bytes(&question.receipt).unwrap();
    receipt.algorithm = Algorithm::Ed25519;
    let signed = receipt.signed_bytes(&step.attestation.root);
    receipt.signature = sample::sign(&sample::group_secret(), &signed);
    question.receipt = receipt.to_bytes();
    question
}

fn bad() -> Vec<(Question, Check)> {
    let mut cases = bad_keys_and_bytes();
    cases.extend(bad_leaves());
    cases.extend(bad_proofs());
    cases.extend(bad_signatures());
    cases
}

fn question(name: &'static str) -> Question {
    Question::of(name, &Step::first(4), 2)
}

fn change(name: &'static str, change: impl FnOnce(&mut Receipt)) -> Question {
    let mut question = question(name);
    let mut receipt = Receipt::from_bytes(&question.receipt).unwrap();
    change(&mut receipt);
    question.receipt = receipt.to_bytes();
    question
}

fn bad_keys_and_bytes() -> Vec<(Question, Check)> {
    let mut torsion = question("group key with a torsion part");
    torsion.key = GroupKey::from_bytes(sample::key_with_torsion(1));
    let mut identity = question("group key is the identity");
    let mut bytes = [0; 32];
    bytes[0] = 1;
    identity.key = GroupKey::from_bytes(bytes);
    let mut trailing = question("a byte behind the receipt");
    trailing.receipt.push(0);
    let mut other = question("another group key");
    other.key = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"
        .parse()
        .unwrap();
    let mut committee = question("another committee");
    committee.committee = Some(CommitteeId::from_bytes([7; 32]));
    vec![
        (torsion, Check::GroupKey),
        (identity, Check::GroupKey),
        (trailing, Check::Receipt),
        (other, Check::KeyId),
        (committee, Check::Committee),
    ]
}

fn bad_leaves() -> Vec<(Question, Check)> {
    let step = Step::first(4);
    let mut neighbour = question("another leaf of the step");
    neighbour.leaf = Some(step.leaves[3].clone());
    let mut empty = question("an empty leaf");
    empty.leaf = Some(Vec::new());
    let next = step.next(4);
    vec![
        (neighbour, Check::Leaf),
        (empty, Check::Leaf),
        (
            signed("a leaf that is no leaf", |leaves| leaves[2] = vec![9; 40]),
            Check::Leaf,
        ),
        (
            signed("a leaf of another step", |leaves| {
                leaves[2] = next.leaves[2].clone()
            }),
            Check::Position,
        ),
        (
            signed("a settlement that is not leaf 0", |leaves| {
                leaves[2] = leaves[0].clone()
            }),
            Check::Position,
        ),
        (
            {
                let mut leaves = sample::leaves(1, 4);
                leaves[0] = Leaf::Output(sample::output(1, 0)).to_bytes();
                let commit = step.attestation.commit;
                Question::of("an output as leaf 0", &Step::sign(commit, leaves), 0)
            },
            Check::Position,
        ),
    ]
}

/// A step with other leaves than a member would sign, asked about leaf 2.
fn signed(name: &'static str, change: impl FnOnce(&mut Vec<Vec<u8>>)) -> Question {
    let mut leaves = sample::leaves(1, 4);
    change(&mut leaves);
    let commit = Step::first(4).attestation.commit;
    Question::of(name, &Step::sign(commit, leaves), 2)
}

fn bad_proofs() -> Vec<(Question, Check)> {
    let commit_of = |tree_size: u64| Commit {
        tree_size,
        ..Step::first(4).attestation.commit
    };
    vec![
        (
            change("a proof for another number of leaves", |receipt| {
                receipt.proof.tree_size = 6;
            }),
            Check::TreeSize,
        ),
        (
            change("a tree of 65537 leaves", |receipt| {
                receipt.commit = commit_of(65_537);
                receipt.proof.tree_size = 65_537;
            }),
            Check::TreeSize,
        ),
        (
            change("a tree of one leaf", |receipt| {
                receipt.commit = commit_of(1);
                receipt.proof.tree_size = 1;
            }),
            Check::TreeSize,
        ),
        (
            // Numbers that are one in double precision.
            change("tree sizes that differ by 1 above 2^53", |receipt| {
                receipt.commit = commit_of((1 << 53) + 1);
                receipt.proof.tree_size = 1 << 53;
            }),
            Check::TreeSize,
        ),
        (
            change("the largest tree size", |receipt| {
                receipt.commit = commit_of(u64::MAX);
                receipt.proof.tree_size = u64::MAX;
            }),
            Check::TreeSize,
        ),
        (
            change("a position beyond the tree", |receipt| {
                receipt.proof.index = 5
            }),
            Check::Inclusion,
        ),
        (
            // 2^32 more than the position: the same number in 32 bits.
            change("a position of more than 32 bits", |receipt| {
                receipt.proof.index += 1 << 32;
            }),
            Check::Inclusion,
        ),
        (
            change("the largest position", |receipt| {
                receipt.proof.index = u64::MAX;
            }),
            Check::Inclusion,
        ),
        (
            change("a path that is too short", |receipt| {
                receipt.proof.path.pop();
            }),
            Check::Inclusion,
        ),
        (
            change("a path that is too long", |receipt| {
                receipt.proof.path.push([0; 32])
            }),
            Check::Inclusion,
        ),
        (
            change("a path of another leaf", |receipt| {
                receipt.proof.path[0][0] ^= 1;
            }),
            Check::Signature,
        ),
        (
            change("a leaf at another position", |receipt| {
                receipt.proof.index = 1
            }),
            Check::Signature,
        ),
    ]
}

fn bad_signatures() -> Vec<(Question, Check)> {
    vec![
        (
            change("a changed signature", |receipt| {
                let mut bytes = *receipt.signature.as_bytes();
                bytes[40] ^= 1;
                receipt.signature = attestation::ids::Signature::from_bytes(bytes);
            }),
            Check::Signature,
        ),
        (
            change("S plus the group order", |receipt| {
                receipt.signature = edge::plus_order_once(&receipt.signature);
            }),
            Check::Signature,
        ),
        (
            resigned("R of small order, for which the plain equation holds", 0, 0),
            Check::Signature,
        ),
        (
            resigned(
                "R of small order, for which the cofactored equation holds",
                0,
                1,
            ),
            Check::Signature,
        ),
        (
            resigned("R with a torsion part, the cofactored equation holds", 9, 1),
            Check::Signature,
        ),
        (
            change("signed under algorithm -8, labelled -19", |receipt| {
                receipt.algorithm = Algorithm::Ed25519;
            }),
            Check::Signature,
        ),
        (
            change("a changed commit", |receipt| receipt.commit.gas_used += 1),
            Check::Signature,
        ),
        (
            change("a commit of another network", |receipt| {
                receipt.commit.network = NetworkId(1);
            }),
            Check::Signature,
        ),
        (
            {
                // Without the leaf nothing says which step it is of: the signature does.
                let mut question = change("a commit of another seq, without leaf", |receipt| {
                    receipt.commit.seq = Seq(2);
                });
                question.leaf = None;
                question
            },
            Check::Signature,
        ),
        (
            change("another leaf's hash, without leaf", |receipt| {
                let leaves = sample::leaves(1, 4);
                receipt.leaf_hash = merkle::leaf_hash(&leaves[3]);
                receipt.proof = InclusionProof {
                    tree_size: 5,
                    index: 2,
                    path: merkle::path(&leaves, 2).unwrap(),
                };
            })
            .without_leaf(),
            Check::Signature,
        ),
    ]
}

impl Question {
    fn without_leaf(mut self) -> Self {
        self.leaf = None;
        self
    }
}

/// The good receipt with a signature whose R has a torsion part, or is of small order.
fn resigned(name: &'static str, nonce: u64, torsion: usize) -> Question {
    change(name, |receipt| {
        let root = Step::first(4).attestation.root;
        let message = receipt.signed_bytes(&root);
        let secret = sample::group_secret();
        receipt.signature = edge::sign_with_torsion(&secret, nonce, torsion, &message);
    })
}
