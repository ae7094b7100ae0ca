use super::*;
use crate::fixture::{Caller, Fixture};
use crate::status::{MemberStatus, PartStatus};

fn position() -> Position {
    Position {
        head: Some((Seq(7), 1_500)),
        ready: true,
        threshold: 4,
        voting: 1,
        waiting: (2, Some(2_500)),
    }
}

fn assert_lines(text: &str, expected: &[&str]) {
    for line in expected {
        assert!(text.lines().any(|have| have == *line), "{line}\n{text}");
    }
}

#[tokio::test]
async fn accepted_steps_are_counted_by_what_became_of_each_request() {
    let mut fixture = Fixture::new().await;
    let zapp = fixture.deploy_counter().await;
    let caller = Caller::new(30);
    for (nonce, method) in [(1, "inc"), (2, "inc"), (3, "quit")] {
        let request = caller.sign(caller.call(&fixture, zapp, method, nonce));
        fixture.gateway.submit(request).await.unwrap();
    }
    fixture.step().await;
    // The follower is a task of this thread: it has counted what was told before.
    tokio::task::yield_now().await;
    let text = fixture
        .gateway
        .inner
        .metrics
        .text(&NodeStatus::default(), &position());
    assert_lines(
        &text,
        &[
            "zq_steps_total 2",
            r#"zq_attestations_total{status="ok"} 3"#,
            r#"zq_attestations_total{status="reverted"} 1"#,
            r#"zq_attestations_total{status="trapped"} 0"#,
            "zq_attestation_seconds_count 4",
            "zq_batch_leaves_sum 6.0",
            r#"zq_requests_closed_total{reason="expired"} 0"#,
        ],
    );
}

#[tokio::test]
async fn gauges_tell_what_the_status_tells_and_forget_what_it_no_longer_does() {
    let fixture = Fixture::new().await;
    let member = |slot, up, votes, head| MemberStatus {
        slot,
        up,
        votes,
        head: Some(head),
    };
    let mut node = NodeStatus {
        slot: 1,
        view: Some(3),
        parts: vec![PartStatus {
            name: "signer".into(),
            up: false,
            detail: String::new(),
            ..PartStatus::default()
        }],
        members: vec![
            member(1, true, true, 7),
            member(2, true, false, 9),
            member(3, false, false, 2),
        ],
        alerts: vec!["look".into()],
        ..NodeStatus::default()
    };
    let metrics = &fixture.gateway.inner.metrics;
    assert_lines(
        &metrics.text(&node, &position()),
        &[
            "zq_members_online 2",
            "zq_members_voting 1",
            "zq_quorum_margin -3",
            "zq_dkg_state 1",
            "zq_head_seq 7",
            "zq_head_timestamp_seconds 1.5",
            "zq_receipts_lag 2",
            "zq_requests_pending 2",
            "zq_requests_oldest_seconds 2.5",
            "zq_alerts 1",
            r#"zq_part_up{part="signer"} 0"#,
            r#"zq_member_up{slot="3"} 0"#,
            r#"zq_member_votes{slot="2"} 0"#,
            r#"zq_member_votes{slot="1"} 1"#,
            r#"zq_member_head_seq{slot="2"} 9"#,
            concat!(
                r#"zq_build_info{version=""#,
                env!("CARGO_PKG_VERSION"),
                r#""} 1"#
            ),
            "# EOF",
        ],
    );
    node.parts.clear();
    assert!(!metrics.text(&node, &position()).contains("zq_part_up{"));
}
