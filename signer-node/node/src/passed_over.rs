//! Requests that the leader passes over (rule A10): each attested step that takes a request which
//! arrived here later counts against one that could have run. A queue that is merely long passes
//! nobody over.
//!
//! What could have run is the queue's word: a request that waits for members' observations, for its
//! module or for the chain, or behind another one of its caller, counts nothing, and begins anew
//! once nothing holds it. Else whoever names sources that nobody sees could raise views at will.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use attestation::ids::RequestId;
use attestation::request::Request;

/// Steps after which the signer is told.
pub const STEPS: u32 = 16;

/// Waiting requests in the order in which they arrived.
#[derive(Debug, Default)]
pub struct PassedOver {
    arrived: u64,
    waiting: BTreeMap<RequestId, Waiting>,
}

#[derive(Debug)]
struct Waiting {
    arrival: u64,
    steps: u32,
    /// Whether it could run when the last step was attested, or has come since.
    could_run: bool,
}

impl PassedOver {
    /// What waits when the counting begins. Requests with sources come once they are observed.
    #[must_use]
    pub fn of(requests: &[Arc<Request>]) -> Self {
        let mut waiting = Self::default();
        for request in requests {
            if request.call.pull.is_none() {
                waiting.arrived(request.id());
            }
        }
        waiting
    }

    /// A request arrived. The queue bounds how many there are.
    pub fn arrived(&mut self, id: RequestId) {
        self.arrived += 1;
        let waiting = Waiting {
            arrival: self.arrived,
            steps: 0,
            could_run: true,
        };
        self.waiting.insert(id, waiting);
    }

    /// A request waits no longer.
    pub fn left(&mut self, id: &RequestId) {
        self.waiting.remove(id);
    }

    /// A step with these requests is attested, and `ready` could run next: returns those that it
    /// passed over once too often.
    pub fn step<'a>(
        &mut self,
        requests: impl IntoIterator<Item = &'a RequestId>,
        ready: &BTreeSet<RequestId>,
    ) -> Vec<RequestId> {
        let mut latest = 0;
        for id in requests {
            latest = latest.max(self.waiting.get(id).map_or(0, |waiting| waiting.arrival));
            self.left(id);
        }
        let mut told = Vec::new();
        for (id, waiting) in &mut self.waiting {
            if !ready.contains(id) {
                waiting.could_run = false;
            } else if !waiting.could_run {
                self.arrived += 1;
                *waiting = Waiting {
                    arrival: self.arrived,
                    steps: 0,
                    could_run: true,
                };
            } else if waiting.arrival < latest {
                waiting.steps += 1;
                if waiting.steps == STEPS {
                    waiting.steps = 0;
                    told.push(*id);
                }
            }
        }
        told
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u8) -> RequestId {
        RequestId::from_bytes([number; 32])
    }

    /// Steps whose requests arrived last, each with these ready: which are told, by step.
    fn told(queue: &mut PassedOver, steps: u8, ready: impl Fn(u8) -> Vec<u8>) -> Vec<(u8, u8)> {
        let mut all = Vec::new();
        for step in 1..=steps {
            queue.arrived(id(step));
            let ready = ready(step).into_iter().map(id).collect();
            let told = queue.step([&id(step)], &ready);
            all.extend(told.iter().map(|told| (step, told.as_bytes()[0])));
        }
        all
    }

    #[test]
    fn a_request_that_later_ones_overtake_is_told_after_sixteen_steps() {
        let mut queue = PassedOver::default();
        queue.arrived(id(100));
        let told = told(&mut queue, 40, |_| vec![100]);
        assert_eq!(told, [(16, 100), (32, 100)]);
        queue.left(&id(100));
        assert!(queue.waiting.is_empty());
    }

    #[test]
    fn a_long_queue_in_order_is_not_passed_over() {
        let mut queue = PassedOver::default();
        for number in 1..=40 {
            queue.arrived(id(number));
        }
        let ready: BTreeSet<_> = (1..=40).map(id).collect();
        for number in 1..=40 {
            assert_eq!(queue.step([&id(number)], &ready), vec![]);
        }
    }

    #[test]
    fn what_cannot_run_is_not_passed_over_and_counts_anew_when_it_can() {
        let mut queue = PassedOver::default();
        queue.arrived(id(100));
        // Behind another one of its caller, whose sources nobody has seen.
        assert_eq!(told(&mut queue, 40, |_| vec![]), []);
        // Ready for a moment now and then.
        let now_and_then = |step: u8| {
            if step.is_multiple_of(10) {
                vec![]
            } else {
                vec![100]
            }
        };
        assert_eq!(told(&mut queue, 90, now_and_then), []);
        queue.step([], &[].into());
        // The first step finds that it can run; sixteen later ones pass it over.
        assert_eq!(told(&mut queue, 20, |_| vec![100]), [(17, 100)]);
    }
}
