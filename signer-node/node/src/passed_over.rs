//! Requests that the leader passes over (rule A10): each attested step that takes a request which
//! arrived here later counts against one that could have run. A queue that is merely long passes
//! nobody over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use attestation::ids::{IdentityKey, RequestId};
use attestation::request::Request;

/// Steps after which the signer is told.
pub const STEPS: u32 = 16;

/// Waiting requests in the order in which they arrived.
#[derive(Debug, Default)]
pub struct PassedOver {
    arrived: u64,
    waiting: BTreeMap<RequestId, Waiting>,
    /// By caller: only the lowest nonce could run.
    nonces: BTreeSet<(IdentityKey, u64, RequestId)>,
}

#[derive(Debug)]
struct Waiting {
    caller: IdentityKey,
    nonce: u64,
    arrival: u64,
    steps: u32,
}

impl PassedOver {
    /// What waits when the counting begins.
    #[must_use]
    pub fn of(requests: &[Arc<Request>]) -> Self {
        let mut waiting = Self::default();
        for request in requests {
            waiting.arrived(request.id(), request.call.caller, request.call.nonce);
        }
        waiting
    }

    /// A request arrived. The queue bounds how many there are.
    pub fn arrived(&mut self, id: RequestId, caller: IdentityKey, nonce: u64) {
        self.arrived += 1;
        let waiting = Waiting {
            caller,
            nonce,
            arrival: self.arrived,
            steps: 0,
        };
        if self.waiting.insert(id, waiting).is_none() {
            self.nonces.insert((caller, nonce, id));
        }
    }

    /// A request waits no longer.
    pub fn left(&mut self, id: &RequestId) {
        if let Some(waiting) = self.waiting.remove(id) {
            self.nonces.remove(&(waiting.caller, waiting.nonce, *id));
        }
    }

    /// A step with these requests is attested: returns those that it passed over once too often.
    pub fn step<'a>(
        &mut self,
        requests: impl IntoIterator<Item = &'a RequestId>,
    ) -> Vec<RequestId> {
        let mut latest = 0;
        for id in requests {
            latest = latest.max(self.waiting.get(id).map_or(0, |waiting| waiting.arrival));
            self.left(id);
        }
        let mut told = Vec::new();
        let mut last_caller = None;
        for (caller, _, id) in &self.nonces {
            if last_caller.replace(*caller) == Some(*caller) {
                continue;
            }
            let Some(waiting) = self.waiting.get_mut(id) else {
                continue;
            };
            if waiting.arrival < latest {
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

    fn caller(number: u8) -> IdentityKey {
        IdentityKey::from_bytes([number; 32])
    }

    #[test]
    fn a_request_that_later_ones_overtake_is_told_after_sixteen_steps() {
        let mut queue = PassedOver::default();
        queue.arrived(id(100), caller(1), 1);
        for step in 1..=16 {
            queue.arrived(id(step), caller(2), u64::from(step));
            let expected = if step == 16 { vec![id(100)] } else { vec![] };
            assert_eq!(queue.step([&id(step)]), expected, "step {step}");
        }
        queue.left(&id(100));
        assert!(queue.waiting.is_empty() && queue.nonces.is_empty());
    }

    #[test]
    fn a_long_queue_in_order_and_a_later_nonce_are_not_passed_over() {
        let mut queue = PassedOver::default();
        for number in 1..=40 {
            queue.arrived(id(number), caller(number), 1);
        }
        // The second of one caller waits for its first, whatever comes before it.
        queue.arrived(id(200), caller(200), 1);
        queue.arrived(id(201), caller(200), 2);
        for number in 1..=40 {
            assert_eq!(queue.step([&id(number)]), vec![]);
        }
        for number in 41..=56 {
            queue.arrived(id(number), caller(number), 1);
            let expected = if number == 56 { vec![id(200)] } else { vec![] };
            assert_eq!(queue.step([&id(number)]), expected);
        }
    }
}
