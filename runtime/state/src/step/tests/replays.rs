//! What a signer does not believe its executor.

use super::*;
use crate::entry::{EntryWrite, HEAD};
use crate::execute::Misreport;
use crate::journal::WriteError;
use crate::limits::{
    EVENTS_BYTES_MAX, EVENTS_MAX, KEY_BYTES_MAX, OUTPUT_BYTES_MAX, VALUE_BYTES_MAX, WRITES_MAX,
};

fn write(zapp: ZappId, key: &[u8]) -> EntryWrite {
    EntryWrite {
        zapp,
        key: key.to_vec(),
        value: Some(vec![1]),
    }
}

/// A job of a call that writes, one that reverts and one that deploys; the reports of an honest
/// executor, altered.
fn altered(alter: impl Fn(&mut Vec<Report>)) -> Result<StepOutcome, StepError> {
    let (mut chain, zapp) = Chain::with_zapp();
    let requests = vec![
        chain.call(zapp, "set a 1\nset b 2\nset born 1"),
        chain.call(zapp, "set c 1\nrevert 1"),
        chain.deploy(BOB, script::GOOD, "set x 1"),
    ];
    let (mut job, honest) = chain.agree(chain.job(requests));
    let mut reports = honest.reports.clone();
    alter(&mut reports);
    // What a colluding gateway would add, so that it is not for a hole that it is refused.
    let mut touched = honest.touched.clone();
    for zapp in [zapp, script_zapp(BOB), ZappId::SYSTEM] {
        for write in reports.iter().flat_map(|report| &report.writes) {
            touched.see(&zapp, &write.key);
        }
    }
    job.witness = chain.state.witness(&touched).expect("whole");
    let result = chain.replay(&job, &reports);
    if let Ok(outcome) = &result {
        assert_ne!(
            outcome.statement(),
            honest.statement(),
            "an alteration without effect"
        );
    }
    result
}

fn event(bytes: usize) -> Event {
    Event {
        zapp: script_zapp(ALICE),
        topic: vec![],
        data: vec![0; bytes],
    }
}

fn execution(reports: &mut [Report], at: usize) -> &mut Execution {
    reports[at].execution.as_mut().expect("it ran")
}

fn misreport(result: Result<StepOutcome, StepError>) -> Misreport {
    match result {
        Err(StepError::Misreported(_, act)) => act,
        other => panic!("not a misreport: {other:?}"),
    }
}

#[test]
fn writes_that_a_run_may_not_make_are_refused() {
    let alice = script_zapp(ALICE);
    let elsewhere = script_zapp(BOB);
    let table: [(EntryWrite, Misreport); 6] = [
        (write(elsewhere, b"x"), Misreport::Reach(elsewhere)),
        (
            write(ZappId::SYSTEM, b"committee"),
            WriteError::Elsewhere(ZappId::SYSTEM).into(),
        ),
        (write(alice, HEAD), WriteError::Key(0).into()),
        (
            EntryWrite {
                value: None,
                ..write(alice, HEAD)
            },
            WriteError::Key(0).into(),
        ),
        (
            write(alice, &[b'k'; KEY_BYTES_MAX + 1]),
            WriteError::Key(KEY_BYTES_MAX + 1).into(),
        ),
        (
            EntryWrite {
                value: Some(vec![0; VALUE_BYTES_MAX + 1]),
                ..write(alice, b"k")
            },
            WriteError::Value(VALUE_BYTES_MAX + 1).into(),
        ),
    ];
    for (write, error) in table {
        let result = altered(|reports| reports[0].writes.push(write.clone()));
        assert_eq!(misreport(result), error);
    }
    let many = altered(|reports| {
        let keys = (0..=WRITES_MAX).map(|key| write(alice, &key.to_be_bytes()));
        reports[0].writes = keys.collect();
    });
    assert_eq!(misreport(many), Misreport::Write(WriteError::TooMuch));
    let large = altered(|reports| {
        let value = Some(vec![0; VALUE_BYTES_MAX]);
        let keys = (0..17u8).map(|key| EntryWrite {
            value: value.clone(),
            ..write(alice, &[key])
        });
        reports[0].writes = keys.collect();
    });
    assert_eq!(misreport(large), Misreport::Write(WriteError::TooMuch));
}

#[test]
fn ends_that_no_run_has_are_refused() {
    let table: [(Alter<Execution>, Misreport); 6] = [
        (|run| run.gas = GAS + 1, Misreport::Gas),
        (|run| run.code = 1, Misreport::Status),
        (
            |run| run.status = Status::Trapped,
            Misreport::WritesOfFailure,
        ),
        (
            |run| run.output = vec![0; OUTPUT_BYTES_MAX + 1],
            Misreport::Output,
        ),
        (
            |run| run.events = vec![event(0); EVENTS_MAX + 1],
            Misreport::Events,
        ),
        (
            |run| run.events = vec![event(EVENTS_BYTES_MAX + 1)],
            Misreport::Events,
        ),
    ];
    for (alter, act) in table {
        let result = altered(|reports| alter(execution(reports, 0)));
        assert_eq!(misreport(result), act);
    }
    for status in [Status::Refused, Status::Faulted] {
        let result = altered(|reports| execution(reports, 1).status = status);
        assert_eq!(misreport(result), Misreport::Status);
    }
    let events = altered(|reports| execution(reports, 1).events = vec![event(1)]);
    assert_eq!(misreport(events), Misreport::Events);
    let writes = altered(|reports| reports[1].writes = vec![write(script_zapp(ALICE), b"c")]);
    assert_eq!(misreport(writes), Misreport::WritesOfFailure);
    let deploy_gas = altered(|reports| execution(reports, 2).gas = GAS - 1);
    assert_eq!(misreport(deploy_gas), Misreport::Gas);
    let rule = altered(|reports| {
        reports[2].verdict = Some(Verdict::Rejected(Rejection {
            rule: "r".repeat(65),
            function: None,
            offset: 0,
        }));
    });
    assert_eq!(misreport(rule), Misreport::Rule);
}

#[test]
fn reports_of_another_job_are_refused() {
    let table: [(&str, Alter<Vec<Report>>, Misreport); 9] = [
        ("none", |reports| reports.clear(), Misreport::Order),
        ("too few", |reports| drop(reports.pop()), Misreport::Order),
        (
            "too many",
            |reports| reports.push(reports[0].clone()),
            Misreport::Order,
        ),
        ("swapped", |reports| reports.swap(0, 1), Misreport::Order),
        (
            "doubled",
            |reports| reports.insert(0, reports[0].clone()),
            Misreport::Order,
        ),
        (
            "not run",
            |reports| reports[0].execution = None,
            Misreport::NotCanonical,
        ),
        (
            "no verdict",
            |reports| reports[2].verdict = None,
            Misreport::NotCanonical,
        ),
        (
            "verdict on a call",
            |reports| reports[0].verdict = reports[2].verdict.clone(),
            Misreport::NotCanonical,
        ),
        (
            "unsorted",
            |reports| reports[0].writes.reverse(),
            Misreport::NotCanonical,
        ),
    ];
    for (name, alter, act) in table {
        assert_eq!(misreport(altered(alter)), act, "{name}");
    }
    let doubled = altered(|reports| {
        let first = reports[0].writes[0].clone();
        reports[0].writes.insert(0, first);
    });
    assert_eq!(misreport(doubled), Misreport::NotCanonical);
}

#[test]
fn a_lie_that_a_run_could_tell_gives_another_statement() {
    // Only votes catch these; `altered` asserts that the statement differs.
    let table: [Alter<Vec<Report>>; 5] = [
        |reports| reports[0].writes[0].value = Some(vec![9]),
        |reports| drop(reports[0].writes.remove(0)),
        |reports| execution(reports, 0).output.push(1),
        |reports| execution(reports, 0).gas += 1,
        |reports| execution(reports, 2).trace = Digest::from_bytes([1; 32]),
    ];
    for alter in table {
        assert!(altered(alter).is_ok());
    }
}
