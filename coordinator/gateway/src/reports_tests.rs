use attestation::ids::{Epoch, Seq, Signature, Slot, StatementId, View};
use signer_protocol::blame::{Act, Culprit, Divergence};
use state::job::SignedVote;

use super::*;
use crate::fixture::{Caller, Fixture};
use crate::store::{REPORTS_MAX, REPORTS_WITH_JOB_MAX};

fn absent(slot: u16, seq: u64) -> Report {
    let (seq, view) = (Seq(seq), View(9));
    Report::Blame {
        culprit: Culprit::Member(Slot(slot)),
        act: Box::new(Act::Absent { seq, view }),
    }
}

fn vote(slot: u16, statement: u8) -> SignedVote {
    SignedVote {
        slot: Slot(slot),
        epoch: Epoch(1),
        seq: Seq(2),
        view: View(3),
        statement: StatementId::from_bytes([statement; 32]),
        mask: Digest::from_bytes([0; 32]),
        signature: Signature::from_bytes([u8::try_from(slot).unwrap(); 64]),
    }
}

fn divergence(job: &Job, view: u64) -> Report {
    Report::Divergence(Divergence {
        seq: job.seq,
        view: View(view),
        job: job.digest(),
        votes: vec![vote(1, 1), vote(2, 2)],
        silent: vec![Slot(4)],
    })
}

/// A job of this gateway for its next step.
async fn job(fixture: &mut Fixture) -> Job {
    let zapp = fixture.deploy_counter().await;
    let caller = Caller::new(30);
    let request = caller.sign(caller.call(fixture, zapp, "inc", 1));
    fixture.gateway.submit(request).await.unwrap();
    let order = fixture.order().await;
    fixture.gateway.build_job(order).await.unwrap().unwrap()
}

#[tokio::test]
async fn a_report_and_its_job_survive_the_process_and_the_step() {
    let mut fixture = Fixture::new().await;
    let job = job(&mut fixture).await;
    let report = divergence(&job, 3);
    fixture.gateway.report(&report, Some(&job)).await.unwrap();

    let fixture = &mut fixture.restarted().await;
    let step = fixture.step().await;
    assert_eq!(step.seq(), job.seq, "the next try succeeds");
    let kept = fixture.gateway.reports(10).await.unwrap();
    assert_eq!(kept.len(), 1);
    assert_eq!((&kept[0].report, kept[0].times), (&report, 1));
    assert!(kept[0].has_job);
    let bytes = fixture.gateway.report_job(&kept[0].id).await.unwrap();
    assert_eq!(bytes, Some(codec::encode(&job)));
    let found = fixture.gateway.kept_report(&kept[0].id).await.unwrap();
    assert_eq!(found.as_ref(), kept.first());
}

#[tokio::test]
async fn the_same_fact_is_counted_and_another_is_kept_beside_it() {
    let fixture = Fixture::new().await;
    for report in [absent(3, 1), absent(3, 2), absent(4, 2), absent(3, 7)] {
        fixture.gateway.report(&report, None).await.unwrap();
        Fixture::advance_clock(5);
    }
    let kept = fixture.gateway.reports(10).await.unwrap();
    let shown: Vec<_> = kept
        .iter()
        .map(|kept| (&kept.report, kept.times, kept.last_ms - kept.first_ms))
        .collect();
    assert_eq!(shown, [(&absent(3, 7), 3, 15), (&absent(4, 2), 1, 0)]);
}

#[tokio::test]
async fn the_newest_reports_are_kept_and_fewer_of_those_with_jobs() {
    let mut fixture = Fixture::new().await;
    let job = job(&mut fixture).await;
    let dissent = |number: u64| Report::Dissent {
        seq: Seq(number),
        view: View(1),
        certified: StatementId::from_bytes([1; 32]),
        own: StatementId::from_bytes([2; 32]),
    };
    let with_job = u64::try_from(REPORTS_WITH_JOB_MAX).unwrap();
    for view in 0..=with_job {
        let report = divergence(&job, view);
        fixture.gateway.report(&report, Some(&job)).await.unwrap();
    }
    let count = fixture.gateway.reports_count().await.unwrap();
    assert_eq!(count, with_job);
    let all = u64::try_from(REPORTS_MAX).unwrap();
    let gateway = &fixture.gateway;
    gateway.report(&dissent(0), None).await.unwrap();
    // Written at once, in whatever order: the store puts what waits into one transaction.
    let writes = (1..all).map(|number| async move {
        gateway.report(&dissent(number), None).await.unwrap();
    });
    futures_util::future::join_all(writes).await;
    gateway.report(&dissent(all), None).await.unwrap();
    assert_eq!(fixture.gateway.reports_count().await.unwrap(), all);
    let kept = fixture.gateway.reports(u64::from(u16::MAX)).await.unwrap();
    assert_eq!(kept.first().map(|kept| &kept.report), Some(&dissent(all)));
    let oldest = dissent(0);
    assert!(kept.iter().all(|kept| kept.report != oldest));
}

#[tokio::test]
async fn a_report_of_dissent_keeps_this_members_job() {
    let mut fixture = Fixture::new().await;
    let job = job(&mut fixture).await;
    let own = StatementId::from_bytes([8; 32]);
    let bytes = attestation::codec::encode(&job);
    fixture
        .gateway
        .store_job(own, job.seq, bytes)
        .await
        .unwrap();
    let report = Report::Dissent {
        seq: job.seq,
        view: View(1),
        certified: StatementId::from_bytes([9; 32]),
        own,
    };
    fixture.gateway.report(&report, None).await.unwrap();
    fixture.step().await;
    assert_eq!(fixture.gateway.load_job(&own).await.unwrap(), None);
    let kept = fixture.gateway.reports(1).await.unwrap();
    let bytes = fixture.gateway.report_job(&kept[0].id).await.unwrap();
    assert_eq!(bytes, Some(codec::encode(&job)));
}
