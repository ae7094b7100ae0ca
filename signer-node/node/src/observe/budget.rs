//! Whose sources are looked at next, and how many: callers are strangers to each other, and none
//! takes the minute away from the rest.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use attestation::ids::{IdentityKey, RequestId};
use attestation::request::Request;
use attestation::source::SOURCES_MAX;

/// Of each minute's sources one caller gets at most one part of so many, and what one request names.
const SHARES: u32 = 4;
const MINUTE: Duration = Duration::from_secs(60);

/// Sources asked within the current minute.
pub(super) struct Budget {
    began: Instant,
    per_minute: u32,
    used: u32,
    of_callers: BTreeMap<IdentityKey, u32>,
    /// Whose sources were looked at last: the others come before it.
    last: Option<IdentityKey>,
}

impl Budget {
    pub(super) fn new(per_minute: u32, now: Instant) -> Self {
        Self {
            began: now,
            per_minute,
            used: 0,
            of_callers: BTreeMap::new(),
            last: None,
        }
    }

    /// Takes so many sources from this minute's.
    pub(super) fn spend(&mut self, caller: &IdentityKey, sources: usize, now: Instant) -> bool {
        if now.saturating_duration_since(self.began) >= MINUTE {
            self.began = now;
            self.used = 0;
            self.of_callers.clear();
        }
        let sources = u32::try_from(sources).unwrap_or(u32::MAX);
        if sources == 0 {
            return true;
        }
        let own = self.of_callers.get(caller).copied().unwrap_or(0);
        let own = own.saturating_add(sources);
        let used = self.used.saturating_add(sources);
        let share = (self.per_minute / SHARES).max(SOURCES_MAX_U32);
        if used > self.per_minute || own > share {
            return false;
        }
        self.used = used;
        // At most one caller for each source of the minute.
        self.of_callers.insert(*caller, own);
        self.last = Some(*caller);
        true
    }

    /// Waiting requests in the order in which they are looked at: callers take turns, and begin
    /// after the one that was served last.
    pub(super) fn turns(
        &self,
        waiting: Vec<(RequestId, Arc<Request>)>,
    ) -> Vec<(RequestId, Arc<Request>)> {
        let mut of_callers: BTreeMap<IdentityKey, usize> = BTreeMap::new();
        let mut turns: Vec<_> = waiting
            .into_iter()
            .map(|(id, request)| {
                let caller = request.call.caller;
                let turn = of_callers.entry(caller).or_default();
                *turn += 1;
                let is_served = self.last.is_some_and(|last| caller <= last);
                ((*turn, is_served, caller), (id, request))
            })
            .collect();
        turns.sort_by_key(|(turn, _)| *turn);
        turns.into_iter().map(|(_, request)| request).collect()
    }
}

const SOURCES_MAX_U32: u32 = 16;
const _: () = assert!(SOURCES_MAX == SOURCES_MAX_U32 as usize);

#[cfg(test)]
mod tests {
    use attestation::ids::{CommitteeId, NetworkId, Signature, ZappId};
    use attestation::request::{Call, FeePayer};

    use super::*;

    fn caller(byte: u8) -> IdentityKey {
        IdentityKey::from_bytes([byte; 32])
    }

    fn waiting(all: &[(u8, u64)]) -> Vec<(RequestId, Arc<Request>)> {
        let requests = all.iter().map(|(byte, nonce)| Request {
            call: Call {
                network: NetworkId(1),
                committee: CommitteeId::from_bytes([0; 32]),
                zapp: ZappId::from_bytes([1; 32]),
                method: "m".to_owned(),
                input: Vec::new(),
                gas_limit: 1,
                fee_payer: FeePayer::Zapp,
                nonce: *nonce,
                valid_until_ms: 1,
                caller: caller(*byte),
                pull: None,
            },
            signature: Signature::from_bytes([0; 64]),
        });
        requests
            .map(|request| (request.id(), Arc::new(request)))
            .collect()
    }

    #[test]
    fn one_caller_gets_its_share_of_a_minute_and_no_more() {
        let now = Instant::now();
        let mut budget = Budget::new(120, now);
        assert!(budget.spend(&caller(1), 16, now) && budget.spend(&caller(1), 14, now));
        assert!(!budget.spend(&caller(1), 1, now), "its share is a quarter");
        // What the rules forbid uses nothing up.
        assert!(budget.spend(&caller(1), 0, now));
        for byte in 2..=4 {
            assert!(budget.spend(&caller(byte), 15, now) && budget.spend(&caller(byte), 15, now));
        }
        assert!(!budget.spend(&caller(5), 1, now), "all are used up");
        let later = now + MINUTE;
        assert!(budget.spend(&caller(5), 16, later) && budget.spend(&caller(1), 16, later));
        // One request's sources fit, however small a share is.
        let mut small = Budget::new(16, now);
        assert!(small.spend(&caller(1), 16, now));
    }

    #[test]
    fn callers_take_turns_and_none_comes_first_for_its_key() {
        let now = Instant::now();
        let mut budget = Budget::new(120, now);
        let all = waiting(&[(1, 1), (1, 2), (1, 3), (5, 1), (9, 1), (9, 2)]);
        let order = |budget: &Budget| {
            let turns = budget.turns(all.clone()).into_iter();
            turns
                .map(|(_, request)| (request.call.caller.as_bytes()[0], request.call.nonce))
                .collect::<Vec<_>>()
        };
        let first = [(1, 1), (5, 1), (9, 1), (1, 2), (9, 2), (1, 3)];
        assert_eq!(order(&budget), first);
        assert!(budget.spend(&caller(1), 1, now));
        let next = [(5, 1), (9, 1), (1, 1), (9, 2), (1, 2), (1, 3)];
        assert_eq!(order(&budget), next);
    }
}
