//! What the node counts for `/metrics` beside what the gateway counts. Every label has a bounded
//! set of values.

use std::time::Duration;

use link::local::Role;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;
use signer_protocol::blame::Act;

use crate::board::name;

/// What evidence can be of.
const KINDS: [&str; 10] = [
    "proposed_twice",
    "packaged_twice",
    "voted_twice",
    "observed_twice",
    "voted_otherwise",
    "bad_share",
    "bad_leaf_share",
    "absent",
    "withheld",
    "ceremony",
];

/// The node's counters.
#[derive(Debug)]
pub struct Counts {
    evidence: Family<Kind, Counter>,
    divergences: Counter,
    guest_starts: Family<Guest, Counter>,
    register_refusals: Counter,
    register_failures: Counter,
    register_fsync: Histogram,
    votes: Counter,
    chain_failures: Counter,
    chain_momentum: Gauge,
    chain_deposits: Gauge,
    chain_orders: Gauge,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Kind {
    kind: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Guest {
    guest: &'static str,
}

impl Default for Counts {
    fn default() -> Self {
        Self {
            evidence: Family::default(),
            divergences: Counter::default(),
            guest_starts: Family::default(),
            register_refusals: Counter::default(),
            register_failures: Counter::default(),
            // From a write that a cache swallows, 0.1 ms, to a disk that is in trouble, 1.6 s.
            register_fsync: Histogram::new(exponential_buckets(0.0001, 2.0, 15)),
            votes: Counter::default(),
            chain_failures: Counter::default(),
            chain_momentum: Gauge::default(),
            chain_deposits: Gauge::default(),
            chain_orders: Gauge::default(),
        }
    }
}

impl Counts {
    /// Adds the counters to what `/metrics` shows.
    pub fn register(&self, registry: &mut Registry) {
        // A rule over a counter sees its first rise only if it was there at 0.
        for kind in KINDS {
            self.evidence.get_or_create(&Kind { kind }).inc_by(0);
        }
        registry.register(
            "evidence",
            "Acts against the rules, or omissions, that this node saw",
            self.evidence.clone(),
        );
        registry.register(
            "divergence",
            "Views that ended without a certificate",
            self.divergences.clone(),
        );
        registry.register(
            "guest_starts",
            "Starts of this node's guests; more than one each since the node's start is a crash",
            self.guest_starts.clone(),
        );
        registry.register(
            "register_refusals",
            "Votes and locks that the register did not allow",
            self.register_refusals.clone(),
        );
        registry.register(
            "register_failures",
            "Times that the register could not be written",
            self.register_failures.clone(),
        );
        registry.register(
            "marker_fsync_seconds",
            "Time until an entry of the register is durable",
            self.register_fsync.clone(),
        );
        registry.register(
            "votes",
            "Votes of this member that its register holds; while others attest steps it rises",
            self.votes.clone(),
        );
        registry.register(
            "nom_failures",
            "Looks at the Network of Momentum that came to nothing",
            self.chain_failures.clone(),
        );
        registry.register(
            "nom_momentum",
            "Height of the newest momentum seen; a chain that is followed makes one every ten seconds",
            self.chain_momentum.clone(),
        );
        registry.register(
            "nom_deposits_waiting",
            "Confirmed deposits that no step has taken",
            self.chain_deposits.clone(),
        );
        registry.register(
            "nom_orders_waiting",
            "Orders of the committee's account that the chain has not confirmed",
            self.chain_orders.clone(),
        );
    }

    /// A look at the chain came to nothing.
    pub fn chain_failed(&self) {
        self.chain_failures.inc();
    }

    /// What the chain adapter sees.
    pub fn chain_seen(&self, momentum: u64, deposits: usize, orders: u64) {
        let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        self.chain_momentum.set(signed(momentum));
        self.chain_deposits
            .set(i64::try_from(deposits).unwrap_or(i64::MAX));
        self.chain_orders.set(signed(orders));
    }

    /// Somebody is blamed.
    pub fn blame(&self, act: &Act) {
        let [
            proposed,
            packaged,
            voted,
            observed,
            otherwise,
            share,
            leaf_share,
            absent,
            withheld,
            _,
        ] = KINDS;
        let kind = match act {
            Act::ProposedTwice(_) => proposed,
            Act::PackagedTwice(_) => packaged,
            Act::VotedTwice(_) => voted,
            Act::ObservedTwice(_) => observed,
            Act::VotedOtherwise { .. } => otherwise,
            Act::BadShare { .. } => share,
            Act::BadLeafShare(_) => leaf_share,
            Act::Absent { .. } => absent,
            Act::Withheld { .. } => withheld,
        };
        self.evidence.get_or_create(&Kind { kind }).inc();
    }

    /// A ceremony ended by what somebody did.
    pub fn ceremony(&self) {
        let [.., kind] = KINDS;
        self.evidence.get_or_create(&Kind { kind }).inc();
    }

    /// A view ended without a certificate.
    pub fn divergence(&self) {
        self.divergences.inc();
    }

    /// A guest's process was started.
    pub fn guest_started(&self, role: Role) {
        let guest = name(role);
        self.guest_starts.get_or_create(&Guest { guest }).inc();
    }

    /// The register did not allow a vote or a lock.
    pub fn register_refused(&self) {
        self.register_refusals.inc();
    }

    /// The register could not be written.
    pub fn register_failed(&self) {
        self.register_failures.inc();
    }

    /// Entries of the register became durable, `votes` votes among them.
    pub fn register_written(&self, after: Duration, votes: u64) {
        self.votes.inc_by(votes);
        self.register_fsync.observe(after.as_secs_f64());
    }
}
