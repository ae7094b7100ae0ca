//! What `/metrics` tells. Counters follow the gateway's own events, so that nothing in the way of
//! a request waits for them; gauges are set when somebody asks.
//!
//! Every label has a bounded set of values: a status, a part, a member's slot, a class of answers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use attestation::ids::{RequestId, Seq};
use attestation::leaf::{Leaf, Status};
use axum::http::StatusCode;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::Instant;

use crate::gateway::Event;
use crate::ledger::StepRecord;
use crate::rows::Closed;
use crate::status::{NodeStatus, StatusSource};

/// Media type of [`Metrics::text`].
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Most requests whose time to their attestation is taken; as many as may wait.
const TIMED_MAX: usize = crate::queue::PENDING_MAX;

const CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
const STATUSES: [Status; 6] = [
    Status::Ok,
    Status::Reverted,
    Status::Trapped,
    Status::OutOfGas,
    Status::Refused,
    Status::Faulted,
];
const REASONS: [Closed; 4] = [
    Closed::Expired,
    Closed::Overtaken,
    Closed::Impossible,
    Closed::Cancelled,
];

/// Where the chain stands when somebody asks.
pub(crate) struct Position {
    /// Last accepted step and its time, Unix milliseconds.
    pub(crate) head: Option<(Seq, u64)>,
    /// Whether the committee has its key.
    pub(crate) ready: bool,
    pub(crate) threshold: u16,
    /// Members of the epoch in force that can vote.
    pub(crate) voting: usize,
    /// Waiting requests, and the age of the oldest in milliseconds.
    pub(crate) waiting: (usize, Option<u64>),
}

/// The metrics of a node. Cheap to clone; all clones are the same.
#[derive(Clone)]
pub(crate) struct Metrics {
    registry: Arc<Registry>,
    answers: Family<Class, Counter>,
    gauges: Arc<Gauges>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Class {
    class: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    status: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Part {
    part: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Member {
    slot: u32,
}

#[derive(Default)]
struct Gauges {
    members_online: Gauge,
    members_voting: Gauge,
    quorum_threshold: Gauge,
    quorum_margin: Gauge,
    dkg_state: Gauge,
    head_seq: Gauge,
    head_time: Gauge<f64, std::sync::atomic::AtomicU64>,
    receipts_lag: Gauge,
    view: Gauge,
    pending: Gauge,
    pending_oldest: Gauge<f64, std::sync::atomic::AtomicU64>,
    alerts: Gauge,
    part_up: Family<Part, Gauge>,
    member_up: Family<Member, Gauge>,
    member_votes: Family<Member, Gauge>,
    member_head: Family<Member, Gauge>,
}

/// What is counted as events come.
struct Counters {
    steps: Counter,
    attestations: Family<Outcome, Counter>,
    closed: Family<Reason, Counter>,
    gas: Counter,
    batch_leaves: Histogram,
    attestation_seconds: Histogram,
    waiting: BTreeMap<RequestId, Instant>,
}

impl Metrics {
    /// Registers everything and starts to follow `events`.
    pub(crate) fn new(status: &dyn StatusSource, events: Receiver<Event>) -> Self {
        let mut registry = Registry::with_prefix("zq");
        let answers = Family::<Class, Counter>::default();
        registry.register("http_answers", "Answers of the HTTP API", answers.clone());
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("build", "Version of this node", build);
        let gauges = Gauges::registered(&mut registry);
        let counters = Counters::registered(&mut registry);
        for class in CLASSES {
            answers.get_or_create(&Class { class }).inc_by(0);
        }
        status.register(&mut registry);
        tokio::spawn(counters.follow(events));
        Self {
            registry: Arc::new(registry),
            answers,
            gauges: Arc::new(gauges),
        }
    }

    /// An HTTP request was answered.
    pub(crate) fn answered(&self, status: StatusCode) {
        let class = match status.as_u16() {
            ..200 => "1xx",
            200..300 => "2xx",
            300..400 => "3xx",
            400..500 => "4xx",
            500.. => "5xx",
        };
        self.answers.get_or_create(&Class { class }).inc();
    }

    /// OpenMetrics text.
    pub(crate) fn text(&self, node: &NodeStatus, chain: &Position) -> String {
        self.gauges.set(node, chain);
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("writing to a string does not fail");
        text
    }
}

impl Gauges {
    fn registered(registry: &mut Registry) -> Self {
        let all = Self::default();
        let mut gauge = |name: &str, help: &str, gauge: &Gauge| {
            registry.register(name, help, gauge.clone());
        };
        gauge(
            "members_online",
            "Members that this node is connected to, itself included",
            &all.members_online,
        );
        gauge(
            "members_voting",
            "Members whose signers answer and can vote, this one included",
            &all.members_voting,
        );
        gauge(
            "quorum_threshold",
            "Members that must agree",
            &all.quorum_threshold,
        );
        gauge(
            "quorum_margin",
            "Members that can vote beyond the threshold; negative: nothing is attested",
            &all.quorum_margin,
        );
        gauge(
            "dkg_state",
            "Key generation: 0 not done, 1 done",
            &all.dkg_state,
        );
        gauge("head_seq", "Last accepted step", &all.head_seq);
        gauge(
            "receipts_lag",
            "Steps that the most advanced member is ahead of this node",
            &all.receipts_lag,
        );
        gauge("view", "View of this member's signer", &all.view);
        gauge(
            "requests_pending",
            "Requests that wait for a step",
            &all.pending,
        );
        gauge("alerts", "Alerts shown by zq status", &all.alerts);
        registry.register(
            "head_timestamp_seconds",
            "Time of the last accepted step, Unix seconds",
            all.head_time.clone(),
        );
        registry.register(
            "requests_oldest_seconds",
            "Age of the oldest waiting request",
            all.pending_oldest.clone(),
        );
        registry.register(
            "part_up",
            "Whether a part of this node works",
            all.part_up.clone(),
        );
        registry.register(
            "member_up",
            "Whether this node is connected to a member",
            all.member_up.clone(),
        );
        registry.register(
            "member_votes",
            "Whether a member's node says that it can vote",
            all.member_votes.clone(),
        );
        registry.register(
            "member_head_seq",
            "Last accepted step of a member",
            all.member_head.clone(),
        );
        all
    }

    fn set(&self, node: &NodeStatus, chain: &Position) {
        let online = node.members.iter().filter(|member| member.up).count();
        let (voting, threshold) = (number(chain.voting), i64::from(chain.threshold));
        self.members_online.set(number(online));
        self.members_voting.set(voting);
        self.quorum_threshold.set(threshold);
        self.quorum_margin.set(voting.saturating_sub(threshold));
        self.dkg_state.set(i64::from(chain.ready));
        let (seq, time_ms) = chain.head.map_or((0, 0), |(seq, time_ms)| (seq.0, time_ms));
        self.head_seq.set(number(seq));
        self.head_time.set(seconds(time_ms));
        let ahead = node.members.iter().filter_map(|member| member.head).max();
        let lag = ahead.unwrap_or_default().saturating_sub(seq);
        self.receipts_lag.set(number(lag));
        self.view.set(number(node.view.unwrap_or_default()));
        let (pending, oldest_ms) = chain.waiting;
        self.pending.set(number(pending));
        self.pending_oldest
            .set(seconds(oldest_ms.unwrap_or_default()));
        self.alerts.set(number(node.alerts.len()));
        // What is no longer reported must not stay as it was.
        self.part_up.clear();
        for part in &node.parts {
            let label = Part {
                part: part.name.clone(),
            };
            self.part_up.get_or_create(&label).set(i64::from(part.up));
        }
        for member in &node.members {
            let label = Member {
                slot: u32::from(member.slot),
            };
            self.member_up
                .get_or_create(&label)
                .set(i64::from(member.up));
            self.member_votes
                .get_or_create(&label)
                .set(i64::from(member.votes));
            let head = number(member.head.unwrap_or_default());
            self.member_head.get_or_create(&label).set(head);
        }
    }
}

impl Counters {
    fn registered(registry: &mut Registry) -> Self {
        let all = Self {
            steps: Counter::default(),
            attestations: Family::default(),
            closed: Family::default(),
            gas: Counter::default(),
            // A step has 2 to 1,025 leaves.
            batch_leaves: Histogram::new(exponential_buckets(2.0, 2.0, 10)),
            // From 2 ms to the 30 s of a long view.
            attestation_seconds: Histogram::new(exponential_buckets(0.002, 2.0, 15)),
            waiting: BTreeMap::new(),
        };
        // A rule over a counter sees its first rise only if it was there at 0.
        for status in STATUSES.map(Status::name) {
            all.attestations
                .get_or_create(&Outcome { status })
                .inc_by(0);
        }
        for reason in REASONS.map(Closed::name) {
            all.closed.get_or_create(&Reason { reason }).inc_by(0);
        }
        registry.register(
            "steps",
            "Steps accepted by this node's ledger",
            all.steps.clone(),
        );
        registry.register(
            "attestations",
            "Attested outputs of requests",
            all.attestations.clone(),
        );
        registry.register(
            "requests_closed",
            "Requests that left the queue without a step",
            all.closed.clone(),
        );
        registry.register("gas", "Gas used by accepted steps", all.gas.clone());
        registry.register(
            "batch_leaves",
            "Leaves of accepted steps",
            all.batch_leaves.clone(),
        );
        registry.register(
            "attestation_seconds",
            "From a request's arrival at this node to its attestation",
            all.attestation_seconds.clone(),
        );
        all
    }

    /// Counts until the gateway is gone.
    async fn follow(mut self, mut events: Receiver<Event>) {
        loop {
            match events.recv().await {
                Ok(event) => self.count(&event),
                // Arrivals may be among the lost events: times would be wrong.
                Err(RecvError::Lagged(_)) => self.waiting.clear(),
                Err(RecvError::Closed) => return,
            }
        }
    }

    fn count(&mut self, event: &Event) {
        match event {
            Event::RequestPending { id, .. } => {
                if self.waiting.len() < TIMED_MAX {
                    self.waiting.insert(*id, Instant::now());
                }
            }
            Event::RequestClosed { id, why } => {
                self.waiting.remove(id);
                let reason = why.name();
                self.closed.get_or_create(&Reason { reason }).inc();
            }
            Event::StepAccepted(step) => self.step(step),
            Event::ModuleStored(_) | Event::Observed { .. } => {}
        }
    }

    fn step(&mut self, step: &StepRecord) {
        self.steps.inc();
        self.gas.inc_by(step.attestation.commit.gas_used);
        self.batch_leaves.observe(f64::from(
            u32::try_from(step.body.leaves.len()).unwrap_or(u32::MAX),
        ));
        for (id, leaf) in &step.requests {
            if let Some(arrived) = self.waiting.remove(id) {
                self.attestation_seconds
                    .observe(arrived.elapsed().as_secs_f64());
            }
            if let Some(Ok(Leaf::Output(output))) = step.leaf(*leaf).map(Leaf::from_bytes) {
                let status = output.status.name();
                self.attestations.get_or_create(&Outcome { status }).inc();
            }
        }
    }
}

fn number(value: impl TryInto<i64>) -> i64 {
    value.try_into().unwrap_or(i64::MAX)
}

fn seconds(milliseconds: u64) -> f64 {
    Duration::from_millis(milliseconds).as_secs_f64()
}

#[cfg(test)]
#[path = "metrics_tests.rs"]
mod tests;
