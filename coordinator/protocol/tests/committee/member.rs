//! A member's node in memory: register, jobs, state, queue.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use attestation::ids::{Digest, RequestId, Seq, Slot, StatementId};
use attestation::request::Request;
use attestation::step_attestation::StepAttestation;
use signer_protocol::identity::Ed25519Identity;
use signer_protocol::register::{Chain, Entry, Record};
use signer_protocol::signer::Signer;
use state::State;
use state::entry::EntryWrite;
use state::job::{BuildJob, Context, Domain, Job};
use state::step::{Params, Previous, run};
use state::system::nom::deposited;
use state::witness::Witness;

use crate::engine::Engine;
use crate::suite::Suite;

pub type TestSigner<S> = Signer<<S as Suite>::Cipher, Ed25519Identity, <S as Suite>::Verify>;

pub struct Member<S: Suite> {
    pub slot: Slot,
    pub signer: Option<TestSigner<S>>,
    /// Rises at every start; events for an earlier one are lost.
    pub incarnation: u64,
    /// The node's judge over appends.
    pub chain: Chain,
    /// Entries on disk, and what they say.
    pub disk: Vec<Vec<u8>>,
    pub durable: Chain,
    /// How often the register began anew with a base.
    pub bases: u64,
    /// Entries accepted and not yet on disk.
    pub flying: VecDeque<Entry>,
    pub jobs: BTreeMap<StatementId, Job>,
    pub stored: BTreeSet<Digest>,
    pub state: State,
    pub applied: Option<StepAttestation>,
    /// Attested steps that wait for their writes.
    pub waiting: BTreeMap<Seq, StepAttestation>,
    pub executable: bool,
    pub engine: Engine,
    /// What the node would have steps name of the chain.
    pub anchor: Option<(u64, Digest)>,
    pub disk_full: bool,
}

impl<S: Suite> Member<S> {
    pub fn applied_seq(&self) -> Seq {
        self.applied.as_ref().map_or(Seq(0), |step| step.commit.seq)
    }

    /// Applies attested steps whose writes are known, in order.
    /// What a node has not heard of, it asks its peers for: here, what is attested.
    pub fn apply(
        &mut self,
        history: &BTreeMap<StatementId, Vec<EntryWrite>>,
        attested: &BTreeMap<Seq, StepAttestation>,
    ) {
        while self
            .waiting
            .keys()
            .next_back()
            .is_some_and(|last| *last > self.applied_seq())
        {
            let seq = Seq(self.applied_seq().0 + 1);
            let Some(next) = self
                .waiting
                .get(&seq)
                .or_else(|| attested.get(&seq))
                .copied()
            else {
                return;
            };
            let Some(writes) = history.get(&next.statement()) else {
                return;
            };
            let root = self.state.apply(writes).unwrap();
            assert_eq!(
                root, next.commit.state,
                "node's state differs from the attested one"
            );
            self.waiting.remove(&next.commit.seq);
            self.applied = Some(next);
        }
    }

    /// Requests that have not run yet.
    pub fn pending<'a>(&'a self, requests: &'a [Request]) -> impl Iterator<Item = &'a Request> {
        requests.iter().filter(|request| {
            let last = self.state.nonce(&request.call.caller).unwrap();
            last.is_none_or(|last| request.call.nonce > last)
        })
    }

    /// The node's part as gateway: a job with witness.
    pub fn build(
        &self,
        params: &Params,
        genesis: &Previous,
        requests: &[Request],
        build: &BuildJob,
        now_ms: u64,
    ) -> Option<Job> {
        let head = build
            .previous
            .as_ref()
            .map_or(Seq(0), |step| step.commit.seq);
        if head != self.applied_seq() {
            return None;
        }
        let mut chosen: Vec<Request> = self
            .pending(requests)
            .filter(|request| !build.set_aside.contains(&request.id()))
            .cloned()
            .collect();
        // What members would refuse the step without comes before all else (rule E4).
        chosen.sort_by_key(|request| {
            let is_deposit = deposited(&request.call).is_some();
            (Some(request.id()) != build.first, !is_deposit)
        });
        chosen.truncate(build.requests_max.min(128));
        if chosen.is_empty() {
            return None;
        }
        let ids: Vec<RequestId> = chosen.iter().map(Request::id).collect();
        let faults = build
            .faults
            .iter()
            .filter(|fault| ids.contains(&fault.request));
        let previous = build.previous.as_ref().map_or(*genesis, Previous::of);
        let last = Context::anchor_of(build.previous.as_ref());
        let anchor = self.anchor.filter(|_| build.anchor);
        let (anchor_height, anchor) = anchor.unwrap_or(last);
        let mut job = Job {
            seq: build.seq,
            previous: build
                .previous
                .map(|step| step.to_bytes())
                .unwrap_or_default(),
            context: Context {
                time_ms: now_ms.max(previous.time_ms),
                anchor_height,
                anchor,
            },
            requests: chosen,
            votes: build.votes.clone(),
            reveal: build.reveal,
            faults: faults.cloned().collect(),
            observations: Vec::new(),
            witness: Witness::default(),
        };
        let outcome = run(params, &previous, &job, &self.state, &mut Engine::default());
        let touched = outcome.expect("the node builds valid jobs").touched;
        job.witness = self.state.witness(&touched).unwrap();
        Some(job)
    }

    /// What a restart finds.
    pub fn reopen(&mut self, domain: &Domain) -> Chain {
        let entries = self.disk.iter().map(Vec::as_slice);
        let chain = Chain::replay(domain, self.slot, entries).expect("the disk holds a register");
        assert_eq!(
            chain.standing(),
            self.durable.standing(),
            "replay gives what was written"
        );
        chain
    }

    /// The oldest entry on its way reaches the disk.
    pub fn sync(&mut self) {
        if let Some(entry) = self.flying.pop_front() {
            self.durable.accept(&entry).expect("the node accepted it");
            if matches!(entry.record, Record::Base(_)) {
                self.disk.clear();
                self.bases += 1;
            }
            self.disk.push(entry.to_bytes());
        }
    }
}
