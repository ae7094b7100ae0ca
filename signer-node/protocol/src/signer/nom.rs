//! The committee's NoM account at the signer (rules A2, E4): what a job claims of the chain.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use attestation::ids::{Digest, Seq, View};
use frost_core::Ciphersuite;
use serde::{Deserialize, Serialize};
use state::job::{Context, Job};
use state::system::nom::{Claim, Deep, deposited, observed, opened};

use super::Signer;
use crate::identity::{SignIdentity, Verify};
use crate::message::InvalidJob;

/// Most hashes that an operator's node bears out at a time.
pub const CONFIRMED_MAX: usize = 4096;
/// Most deposits that a step has to carry.
pub const OVERDUE_MAX: usize = 16;
/// Views in which a member holds back steps that skip a deposit. A deposit that nobody can bring
/// into a step must not stop the others' requests for ever.
pub const HELD_VIEWS_MAX: u32 = 8;
/// Steps for which it then lets all deposits go that are due.
pub const LET_GO_STEPS: u64 = 256;

/// What an operator's node has seen of the Network of Momentum: each one replaces the one before, so
/// that what a reorganisation undid is gone.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sight {
    /// Blocks and momentums that are deep enough, at most [`CONFIRMED_MAX`], with the momentum's
    /// height, or that of the one which confirmed the block.
    pub confirmed: Vec<(Deep, u64)>,
    /// The step whose state `overdue` was read from.
    pub head: Seq,
    /// Deposits that have been deep enough for long and that no step up to `head` took, oldest first,
    /// at most [`OVERDUE_MAX`].
    pub overdue: Vec<Digest>,
}

/// What this member's own operator has seen, as far as it matters for the next job.
#[derive(Debug, Default)]
pub(super) struct Seen {
    confirmed: BTreeMap<Deep, u64>,
    overdue: BTreeSet<Digest>,
    /// The step that `overdue` is of.
    head: Seq,
    /// In which view it last held the next step back for a deposit, and in how many views so far.
    held: Option<(View, u32)>,
    /// Deposits that it holds nothing back for, up to a step.
    let_go: BTreeMap<Digest, Seq>,
}

impl Seen {
    pub(super) fn take(&mut self, sight: Sight, head: Seq) {
        self.confirmed = sight.confirmed.into_iter().take(CONFIRMED_MAX).collect();
        // A node that has not applied this member's head yet may name deposits that are taken.
        if sight.head >= head {
            self.head = sight.head;
            self.overdue = sight.overdue.into_iter().take(OVERDUE_MAX).collect();
        }
    }

    /// A step is attested. What it took is known only if its job is.
    pub(super) fn attested(&mut self, seq: Seq, job: Option<&Job>) {
        self.let_go.retain(|_, until| *until > seq);
        self.held = None;
        if let Some(job) = job
            && self.head.next() == Some(seq)
        {
            self.head = seq;
            for deposit in job.requests.iter().filter_map(|one| deposited(&one.call)) {
                self.overdue.remove(&deposit);
            }
        }
    }

    /// A deposit that a job after `head` skips.
    fn skipped(&self, job: &Job, head: Seq) -> Option<Digest> {
        if self.head != head || self.overdue.is_empty() {
            return None;
        }
        let requests = job.requests.iter();
        let carried: BTreeSet<Digest> = requests.filter_map(|one| deposited(&one.call)).collect();
        let mut due = self.overdue.iter();
        due.find(|one| !carried.contains(*one) && !self.let_go.contains_key(*one))
            .copied()
    }

    /// Notes that a step was held back; after too many views it lets all deposits go that are due:
    /// one after the other they would stop the committee for as many times as long.
    fn hold(&mut self, view: View, head: Seq) {
        let (last, views) = self.held.unwrap_or((view, 0));
        let is_new = views == 0 || last != view;
        let views = views + u32::from(is_new);
        self.held = Some((view, views));
        if views > HELD_VIEWS_MAX {
            self.held = None;
            let until = Seq(head.0.saturating_add(LET_GO_STEPS));
            // No more than have ever been due in so many steps.
            for deposit in &self.overdue {
                self.let_go.entry(*deposit).or_insert(until);
            }
        }
    }
}

impl<C: Ciphersuite, I: SignIdentity, V: Verify> Signer<C, I, V> {
    /// Deposits, confirmed blocks and momentums are confirmed at this operator's node, and the
    /// account is begun for the group's own key. *Stops: invented deposits.*
    pub(super) fn check_claims(&self, job: &Job) -> Result<(), InvalidJob> {
        for request in &job.requests {
            let claim = observed(&request.call);
            let key = opened(&request.call);
            let is_borne_out = claim.is_none_or(|claim| claim.is_borne_out(&self.seen.confirmed))
                && key.is_none_or(|key| key == *self.committee.group_key());
            if !is_borne_out {
                return Err(InvalidJob::Request(request.id()));
            }
        }
        Ok(())
    }

    /// A step keeps the anchor of the one before, or names a momentum that is no lower and deep enough
    /// at this operator's node; one that t members voted for has been (rule A9). *Stops: invented
    /// chains.*
    pub(super) fn check_anchor(
        &self,
        context: &Context,
        is_certified: bool,
    ) -> Result<(), InvalidJob> {
        let (height, anchor) = (context.anchor_height, context.anchor);
        let last = Context::anchor_of(self.head.as_ref());
        if (height, anchor) == last {
            return Ok(());
        }
        let claim = Claim {
            of: Deep::Momentum(anchor),
            height: Some(height),
        };
        let is_seen = is_certified || claim.is_borne_out(&self.seen.confirmed);
        if is_seen && height >= last.0 {
            return Ok(());
        }
        Err(InvalidJob::Anchor)
    }

    /// A step carries the deposits that have waited for long (rule E4). *Stops: a coordinator that
    /// keeps a deposit out.*
    pub(super) fn check_skipped(&mut self, job: &Job, view: View) -> Result<(), InvalidJob> {
        let head = self.head_seq();
        match self.seen.skipped(job, head) {
            Some(deposit) => {
                self.seen.hold(view, head);
                Err(InvalidJob::Skipped(deposit))
            }
            None => Ok(()),
        }
    }
}
