//! Time of one verification, in microseconds: `cargo bench -p attestation`.

use std::hint::black_box;
use std::time::Instant;

use attestation::commit::Commit;
use attestation::ids::*;
use attestation::leaf::{Leaf, OutputLeaf, SettlementLeaf, Status};
use attestation::step_attestation::StepAttestation;
use attestation::{merkle, receipt, verify};
use ed25519_dalek::{Signer as _, SigningKey};

const RUNS: u32 = 2_000;

fn main() {
    let key = SigningKey::from_bytes(&[7; 32]);
    let group = GroupKey::from_bytes(key.verifying_key().to_bytes());
    for leaves in [2u32, 64, 1_024] {
        let leaves = step_leaves(leaves);
        let step = attest(&key, &group, &leaves);
        let receipt = step
            .receipt(&group, &leaves, leaves.len() - 1)
            .expect("the leaf is there");
        let leaf = leaves.last().expect("two leaves or more");
        println!(
            "{} leaves, receipt of {} bytes:",
            leaves.len(),
            receipt.len()
        );
        time("  verify_receipt, key checked", || {
            verify::verify_receipt(&receipt, Some(leaf), &group, None).is_ok()
        });
        time("  Receipt::from_bytes alone", || {
            receipt::Receipt::from_bytes(&receipt).is_ok()
        });
        time("  StepAttestation::verify", || step.verify(&group).is_ok());
    }
    time("GroupKey::check", || group.check().is_ok());
}

fn time(what: &str, mut run: impl FnMut() -> bool) {
    let mut times: Vec<u128> = (0..RUNS)
        .map(|_| {
            let start = Instant::now();
            assert!(black_box(run()));
            start.elapsed().as_nanos()
        })
        .collect();
    times.sort_unstable();
    let at = |part: usize| {
        let nanoseconds = times.get(times.len() * part / 100).copied();
        nanoseconds.unwrap_or_default() as f64 / 1_000.0
    };
    println!("{what}: p50 {:.1} µs, p99 {:.1} µs", at(50), at(99));
}

fn step_leaves(count: u32) -> Vec<Vec<u8>> {
    let settlement = Leaf::Settlement(SettlementLeaf {
        seq: Seq(1),
        epoch: Epoch(1),
        requests: count - 1,
        gas: 1,
        fees: 0,
        requests_total: 1,
        gas_total: 1,
        fees_total: 0,
    });
    let outputs = (1..count).map(|at| {
        Leaf::Output(OutputLeaf {
            zapp: ZappId::from_bytes([1; 32]),
            seq: Seq(1),
            request: RequestId::from_bytes([2; 32]),
            status: Status::Ok,
            code: at,
            gas: 1,
            output: Digest::from_bytes([3; 32]),
            events: Digest::from_bytes([4; 32]),
        })
    });
    std::iter::once(settlement)
        .chain(outputs)
        .map(|leaf| leaf.to_bytes())
        .collect()
}

fn attest(key: &SigningKey, group: &GroupKey, leaves: &[Vec<u8>]) -> StepAttestation {
    let commit = Commit {
        network: NetworkId(1),
        committee: CommitteeId::from_bytes([2; 32]),
        epoch: Epoch(1),
        seq: Seq(1),
        tree_size: leaves.len() as u64,
        previous_state: StateRoot::from_bytes([6; 32]),
        state: StateRoot::from_bytes([7; 32]),
        profile: RuntimeProfile::from_bytes([8; 32]),
        previous: StatementId::from_bytes([2; 32]),
        anchor_height: 0,
        anchor: Digest::from_bytes([0; 32]),
        time_ms: 12,
        gas_used: 13,
        inputs: Digest::from_bytes([14; 32]),
        trace: Digest::from_bytes([15; 32]),
    };
    let root = merkle::root(leaves);
    let signed = receipt::sig_structure(&commit, &root, group);
    StepAttestation {
        commit,
        root,
        signature: Signature::from_bytes(key.sign(&signed).to_bytes()),
    }
}
