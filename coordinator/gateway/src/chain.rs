//! What the node has seen of the Network of Momentum, as far as requests go (rules A2, E4).
//!
//! A request that claims something of the chain gets no vote before members' own nodes have seen it
//! too. Until this node has, the request is not taken, or waits without holding anything up.

use std::collections::{BTreeMap, BTreeSet};

use attestation::ids::{Digest, GroupKey, IdentityKey, Seq};
use attestation::request::Call;
use attestation::step_attestation::StepAttestation;
use state::job::Context;
use state::system::nom::{self, Account, Deep, Order};
use state::tree::NeedState;

use crate::gateway::{Gateway, lock};

/// Most requests of the keeper that come before all others in a job.
pub const FIRST_MAX: usize = 32;

/// What the node's chain adapter has seen and wants.
#[derive(Debug, Default)]
pub(crate) struct Sighted {
    confirmed: BTreeMap<Deep, u64>,
    /// The momentum that steps are to name, if any.
    anchor: Option<(u64, Digest)>,
    /// Whose requests come first: members refuse a step that skips an old deposit.
    first: Option<IdentityKey>,
}

/// The committee's account as the head leaves it.
#[derive(Clone, Debug, Default)]
pub struct AccountView {
    /// The head.
    pub head: Seq,
    /// The account, once it is begun.
    pub account: Option<Account>,
    /// The order that is next.
    pub next: Option<Order>,
    /// Those of the asked-for deposits that a step took.
    pub taken: BTreeSet<Digest>,
}

impl Gateway {
    /// Says which blocks and momentums are deep enough in the chain, all of them, with their
    /// momentum's height; requests that claim others wait.
    pub fn set_confirmed(&self, confirmed: BTreeMap<Deep, u64>) {
        lock(&self.inner.sighted).confirmed = confirmed;
        self.review_claims();
    }

    /// Which momentum, by height and hash, steps of this node's jobs name as their anchor; without one
    /// they keep the last, while too few members could bear another out.
    pub fn set_anchor(&self, anchor: Option<(u64, Digest)>) {
        lock(&self.inner.sighted).anchor = anchor;
    }

    /// Height and hash of the anchor of a job after `head`.
    pub(crate) fn anchor_after(&self, head: Option<&StepAttestation>) -> (u64, Digest) {
        let last = Context::anchor_of(head);
        let anchor = lock(&self.inner.sighted).anchor;
        anchor
            .filter(|(height, _)| *height >= last.0)
            .unwrap_or(last)
    }

    /// Whose requests come first in this node's jobs.
    pub fn set_first(&self, caller: IdentityKey) {
        lock(&self.inner.sighted).first = Some(caller);
    }

    /// Whose requests come first in this node's jobs, if anybody's do.
    pub(crate) fn first(&self) -> Option<IdentityKey> {
        lock(&self.inner.sighted).first
    }

    /// The committee's account at the head, and which of these deposits are taken.
    ///
    /// # Errors
    /// [`NeedState`] never, from a whole state.
    pub async fn account_view(&self, deposits: &[Digest]) -> Result<AccountView, NeedState> {
        let chain = self.inner.chain.read().await;
        let account = chain.state.nom_account()?;
        let next = match &account {
            Some(account) if account.first < account.end => chain.state.nom_order(account.first)?,
            _ => None,
        };
        let mut taken = BTreeSet::new();
        for deposit in deposits {
            if chain.state.nom_is_taken(deposit)? {
                taken.insert(*deposit);
            }
        }
        Ok(AccountView {
            head: chain.seq(),
            account,
            next,
            taken,
        })
    }

    /// Whether this node bears out what a request claims of the chain and of the committee's key. No
    /// signer takes a job with another, and each such job costs a view.
    pub(crate) fn bears_out(&self, call: &Call) -> bool {
        bears_out(&lock(&self.inner.sighted).confirmed, self.key(), call)
    }

    /// Lets requests run whose claims are borne out by now, and no others.
    pub(crate) fn review_claims(&self) {
        let key = self.key();
        let sighted = lock(&self.inner.sighted);
        self.queue()
            .review(|request| bears_out(&sighted.confirmed, key, &request.call));
    }
}

fn bears_out(confirmed: &BTreeMap<Deep, u64>, key: Option<GroupKey>, call: &Call) -> bool {
    nom::opened(call).is_none_or(|opened| key == Some(opened))
        && nom::observed(call).is_none_or(|claim| claim.is_borne_out(confirmed))
}

#[cfg(test)]
#[path = "chain_tests.rs"]
mod tests;
