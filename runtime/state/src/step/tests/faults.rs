//! Requests that members cannot run (rule A11).

use attestation::ids::Slot;

use super::*;
use crate::job::SignedFault;
use crate::limits::FAULT_SEQS_MAX;

fn faults(chain: &Chain, request: RequestId, slots: &[u16]) -> Vec<SignedFault> {
    let seq = chain.previous.seq.next().expect("few steps");
    let fault = |slot: &u16| SignedFault {
        slot: Slot(*slot),
        epoch: Epoch(1),
        seq,
        request,
        previous_root: chain.previous.state,
        inputs: Digest::from_bytes([4; 32]),
        signature: Signature::from_bytes([0; 64]),
    };
    slots.iter().map(fault).collect()
}

#[test]
fn a_request_with_t_faults_is_refused_with_a_receipt() {
    let (mut chain, zapp) = Chain::with_zapp();
    let hang = chain.call(zapp, "set a 1\nhang");
    let fine = chain.call(zapp, "set b 2");
    let mut job = chain.job(vec![hang.clone(), fine]);
    job.faults = faults(&chain, hang.id(), &[1, 2, 5]);
    assert_eq!(chain.run(&job), Err(StepError::Hung(hang.id())));

    job.faults = faults(&chain, hang.id(), &[1, 2, 4, 5]);
    let (_, outcome) = chain.agree(job);
    chain.accept(&outcome);
    let statuses: Vec<_> = outcome.outcomes.iter().map(|one| one.status).collect();
    assert_eq!(statuses, [Status::Faulted, Status::Ok]);
    assert_eq!(outcome.outcomes[0].gas, 1_000);
    assert_eq!(chain.value(&zapp, "a"), None);
    assert_eq!(chain.value(&zapp, "b"), Some(b"2".as_slice()));

    let nonce = hang.call.nonce;
    let replayed = Violation::Replayed {
        nonce,
        last: nonce + 1,
    };
    let again = chain.job(vec![hang.clone()]);
    assert_eq!(
        chain.run(&again),
        Err(StepError::Request(hang.id(), replayed))
    );
}

#[test]
fn faults_that_do_not_belong_are_refused() {
    let (mut chain, zapp) = Chain::with_zapp();
    for _ in 0..FAULT_SEQS_MAX {
        let request = chain.call(zapp, "get a");
        chain.step(vec![request]);
    }
    let request = chain.call(zapp, "get a");
    let id = request.id();
    let table: [(Alter<SignedFault>, bool); 10] = [
        (|_| {}, true),
        (|fault| fault.seq.0 -= FAULT_SEQS_MAX, true),
        (|fault| fault.seq.0 -= FAULT_SEQS_MAX + 1, false),
        (|fault| fault.seq.0 += 1, false),
        (|fault| fault.epoch.0 += 1, false),
        (
            |fault| fault.previous_root = StateRoot::from_bytes([0; 32]),
            false,
        ),
        (
            |fault| fault.request = RequestId::from_bytes([0; 32]),
            false,
        ),
        (|fault| fault.slot = Slot(6), false),
        (|fault| fault.slot = Slot(0), false),
        (|fault| fault.slot = Slot(1), false),
    ];
    for (case, (alter, belongs)) in table.into_iter().enumerate() {
        let mut job = chain.job(vec![request.clone()]);
        job.faults = faults(&chain, id, &[1, 2]);
        alter(&mut job.faults[1]);
        let (slot, request) = (job.faults[1].slot, job.faults[1].request);
        let expected = StepError::Fault { slot, request };
        assert_eq!(
            chain.run(&job).err(),
            (!belongs).then_some(expected),
            "case {case}"
        );
    }
}
