//! Nodes: requests in, jobs out, steps applied.

use std::collections::BTreeMap;

use attestation::ids::{Digest, ModuleDigest, RequestId, Seq, Slot, ZappId};
use attestation::request::{Call, FeePayer, Request};
use coordinator_protocol::coordinator;
use signer_protocol::identity::SignIdentity as _;
use signer_protocol::message::Endpoint;
use signer_protocol::signer;
use state::job::{BuildJob, Context, Job};
use state::step::{Previous, run};
use state::system::Deploy;
use state::witness::Witness;

use crate::founding::caller_seed;
use crate::liars::CoordinatorLie;
use crate::suite::Suite;
use crate::world::{Event, Machine, World};
use crate::zapp::{ADD, BID, Engine};

/// Attested steps after which a node tells its signer that a request is passed over (rule A10).
const PASSED_OVER: u32 = 16;
/// Most requests of a job here.
const BATCH_MAX: usize = 4;

impl<S: Suite> World<S> {
    /// A caller signs a request and hands it to the nodes, which hear of it one after the other.
    pub fn submit(&mut self) {
        let at = self.requests.len();
        let first = self.requests.first();
        let deployed = first.map(|(_, first)| deployment().zapp(&first.call.caller));
        let (zapp, method, input) = match deployed {
            None => (ZappId::SYSTEM, "deploy", deployment().to_bytes()),
            Some(zapp) if at % 2 == 1 => (zapp, ADD, Vec::new()),
            Some(zapp) => (zapp, BID, bid(at)),
        };
        self.sign_request(zapp, method, input);
        if self.faulty && at > 0 {
            self.set_trap(at);
        }
        for slot in self.nodes.keys().copied().collect::<Vec<_>>() {
            let delay = self.dice.within((1, 60));
            self.after(delay, Event::Arrive(slot, at));
        }
    }

    /// Signs the next request as its caller.
    pub fn sign_request(&mut self, zapp: ZappId, method: &str, input: Vec<u8>) {
        let at = self.requests.len();
        let number = u16::try_from(at).unwrap_or(u16::MAX);
        let caller = S::identity(&caller_seed(number));
        let call = Call {
            network: self.founding.record.network,
            committee: self.founding.record.id(),
            zapp,
            method: method.into(),
            input,
            gas_limit: 50_000_000,
            fee_payer: FeePayer::Zapp,
            nonce: 1,
            valid_until_ms: self.now + 86_400_000,
            caller: caller.key(),
            pull: None,
        };
        let signature = caller.sign(&call.signed_bytes());
        let request = Request { call, signature };
        self.requests.push((request.id(), request));
        self.tell(&"caller", format_args!("hands in request {at}"));
    }

    /// Some requests bring some executors down.
    fn set_trap(&mut self, at: usize) {
        if self.knobs.traps == 0 || !self.dice.chance(300) {
            return;
        }
        self.knobs.traps -= 1;
        let Some((id, _)) = self.requests.get(at) else {
            return;
        };
        let id = *id;
        let machines: Vec<Machine> = self.members.keys().copied().collect();
        let all = machines.iter().filter(|machine| machine.face == 0).count();
        let count = 1 + self.dice.below(all);
        let trapped = self.dice.some(&machines, count);
        let names: Vec<String> = trapped.iter().map(ToString::to_string).collect();
        self.tell(
            &"caller",
            format_args!("request {at} traps {}", names.join(", ")),
        );
        let mute = self.dice.chance(300);
        for machine in &trapped {
            if let Some(member) = self.members.get_mut(machine) {
                member.engine.hangs.insert(id);
                member.engine.hung.insert(id);
                member.engine.mute = mute;
            }
        }
        // With fewer than t members that can run it, it is refused where t say so in time, and
        // otherwise set aside until it expires (rule A11).
        let liars = usize::from(self.lying_members().max(self.knobs.liars));
        if trapped.len() + liars > usize::from(self.liars_live()) {
            self.excused.insert(at);
        }
    }

    /// A request reaches a node.
    pub fn arrive(&mut self, slot: Slot, request: usize) {
        if let Some(node) = self.nodes.get_mut(&slot) {
            node.known.entry(request).or_insert(0);
        }
        self.tell_node(slot);
    }

    /// A node hears of an attested step; what lies between it fetches from its peers.
    pub fn node_hears(&mut self, slot: Slot, seq: Seq) {
        let delay = self.dice.within((0, 15));
        if let Some(node) = self.nodes.get_mut(&slot)
            && node.heard < seq
        {
            node.heard = seq;
            self.after(delay, Event::Applied(slot, seq));
        }
    }

    /// A node has applied steps.
    pub fn applied(&mut self, slot: Slot, seq: Seq) {
        let Some(node) = self.nodes.get_mut(&slot) else {
            return;
        };
        if node.applied >= seq {
            return;
        }
        // The newest request of each step: what came before it and still waits was passed over.
        let mut newest = BTreeMap::<Seq, usize>::new();
        for (at, (id, _)) in self.requests.iter().enumerate() {
            let done = self.chain.done(id);
            newest.extend(
                done.filter(|done| node.applied < *done && *done <= seq)
                    .map(|done| (done, at)),
            );
        }
        let before = node.applied;
        node.applied = seq;
        let mut over = Vec::new();
        for (request, passed) in &mut node.known {
            let handed = self.requests.get(*request);
            let waits = handed.is_some_and(|(id, _)| self.chain.done(id).is_none());
            if waits && !self.excused.contains(request) {
                let later = newest.values().filter(|newest| *newest > request);
                *passed += u32::try_from(later.count()).unwrap_or(u32::MAX);
                if *passed >= PASSED_OVER {
                    *passed = 0;
                    over.push(*request);
                }
            }
        }
        if self.in_force(before).0.epoch() != self.in_force(seq).0.epoch() {
            // Its guests have the head before their node starts them anew.
            let delay = self.dice.within((0, 800));
            self.after(delay, Event::Turn(slot));
        }
        self.tell_head(slot, seq);
        self.tell_node(slot);
        let head = self.chain.step(seq).copied();
        for machine in self.hosted(slot) {
            if let Some(head) = head {
                self.coordinate(machine, coordinator::Input::Head(Box::new(head)));
            }
        }
        for id in over
            .iter()
            .filter_map(|at| self.requests.get(*at))
            .map(|(id, _)| *id)
            .collect::<Vec<_>>()
        {
            self.counts.add("request passed over");
            for machine in self.signers_of(slot) {
                self.sign(machine, signer::Input::PassedOver(id));
            }
        }
    }

    /// A node tells its guests whether requests wait.
    pub fn tell_node(&mut self, slot: Slot) {
        let executable = self.pending(slot).next().is_some();
        let Some(node) = self.nodes.get_mut(&slot) else {
            return;
        };
        if node.executable == executable {
            return;
        }
        node.executable = executable;
        for machine in self.signers_of(slot) {
            self.sign(machine, signer::Input::Executable(executable));
        }
        for machine in self.hosted(slot) {
            self.coordinate(machine, coordinator::Input::Executable(executable));
        }
    }

    /// The machines of a member's signer.
    #[must_use]
    pub fn signers_of(&self, slot: Slot) -> Vec<Machine> {
        let party = Endpoint::Signer(slot);
        let machines = self.members.keys();
        machines
            .filter(|machine| machine.party == party)
            .copied()
            .collect()
    }

    /// The machines of the coordinators at a node.
    #[must_use]
    pub fn hosted(&self, slot: Slot) -> Vec<Machine> {
        let ranks = self.ranks.keys().copied();
        ranks
            .filter(|machine| match machine.party {
                Endpoint::Coordinator(rank) => Self::host(rank) == slot,
                _ => false,
            })
            .collect()
    }

    /// Requests that reached a node and that no step it has applied has run.
    fn pending(&self, slot: Slot) -> impl Iterator<Item = &(RequestId, Request)> {
        let node = self.nodes.get(&slot);
        let applied = node.map_or(Seq(0), |node| node.applied);
        let known = node.into_iter().flat_map(|node| node.known.keys());
        known
            .filter_map(|at| self.requests.get(*at))
            .filter(move |(id, _)| {
                let done = self.chain.done(id);
                done.is_none_or(|seq| seq > applied)
            })
    }

    /// A node's part as gateway: a job with its witness.
    pub fn build(&mut self, at: Machine, build: &BuildJob) -> Option<Job> {
        let Endpoint::Coordinator(rank) = at.party else {
            return None;
        };
        let slot = Self::host(rank);
        let head = build
            .previous
            .as_ref()
            .map_or(Seq(0), |step| step.commit.seq);
        let applied = self.nodes.get(&slot)?.applied;
        // Only the newest state is kept here: a node that is behind has none to build on.
        if head != applied || head != self.chain.head() {
            return None;
        }
        let lies = &self.ranks.get(&at)?.lies;
        let censors = lies.contains(&CoordinatorLie::Censor);
        let mut requests: Vec<_> = self
            .pending(slot)
            .filter(|(id, _)| !build.set_aside.contains(id))
            .filter(|(id, _)| !censors || id.as_bytes().first().is_some_and(|b| b % 2 == 0))
            .collect();
        requests.sort_by_key(|(id, _)| Some(*id) != build.first);
        // Small steps pass over what is left out the more often.
        let most = if censors { 1 } else { BATCH_MAX };
        requests.truncate(build.requests_max.min(most));
        if requests.is_empty() {
            return None;
        }
        let (ids, requests): (Vec<RequestId>, Vec<Request>) = requests.into_iter().cloned().unzip();
        let faults = build.faults.iter();
        let faults = faults.filter(|fault| ids.contains(&fault.request)).cloned();
        let previous = build
            .previous
            .as_ref()
            .map_or(self.founding.genesis, Previous::of);
        let mut job = Job {
            seq: build.seq,
            previous: build
                .previous
                .map(|step| step.to_bytes())
                .unwrap_or_default(),
            context: Context {
                // A liar's second face says something else.
                time_ms: self.now.max(previous.time_ms) + u64::from(at.face),
                anchor_height: 0,
                anchor: Digest::from_bytes([0; 32]),
            },
            requests,
            votes: build.votes.clone(),
            reveal: build.reveal,
            faults: faults.collect(),
            observations: Vec::new(),
            witness: Witness::default(),
        };
        let (params, state) = (&self.founding.params, self.chain.state());
        let outcome = run(params, &previous, &job, state, &mut Engine::sound()).ok()?;
        job.witness = state.witness(&outcome.touched).ok()?;
        Some(job)
    }
}

/// A bid anywhere among those before it: in order of its number's bits from the last.
fn bid(at: usize) -> Vec<u8> {
    let number = u16::try_from(at).unwrap_or(u16::MAX);
    number.reverse_bits().to_be_bytes().to_vec()
}

fn deployment() -> Deploy {
    Deploy {
        module: ModuleDigest::from_bytes([8; 32]),
        salt: Digest::from_bytes([2; 32]),
        escrow: 0,
        init: Vec::new(),
    }
}
