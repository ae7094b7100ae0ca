//! What the committee's account needs next: a function of state and chain, without effects.
//!
//! Whoever does it does not matter (the requests only say what is so, and signers ask their own
//! operators), so every node plans, and the one whose coordinator leads acts first.

use std::collections::BTreeSet;

use attestation::ids::{Digest, Seq};
use gateway::AccountView;
use nom::Hash;
use signer_protocol::signer::{OVERDUE_MAX, Sight};
use state::system::nom::{Account, Deep, Issued, ORDERS_MAX, Order};

use super::watch::{Deposit, Look, Own};

/// Deposits that are brought into steps at once.
pub const DEPOSITS_AT_ONCE: usize = 16;
/// How long a block has to show up in the chain before it is issued again, paid by work; the second
/// that work pays for has twice as long, and so on.
pub const REISSUE_MS: u64 = 120_000;
/// Room that is left for payouts among the orders: deposits do not fill it up.
const ORDERS_ROOM: u64 = 256;

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Act {
    /// Begin the account.
    Open,
    /// Bring a deposit, by its place in the look, into a step.
    Deposit(Digest),
    /// Order an anchor of the newest step.
    Anchor,
    /// Make the next order a block: its number, and how many blocks were issued for it.
    Issue(u64, usize),
    /// Have this block signed and publish it.
    Publish(Digest, Seq),
    /// Say that the chain has this block.
    Confirm(Digest),
}

/// What is wrong, and nothing here can mend it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Trouble {
    /// Somebody else made a block with the committee's key, or there was one before the account
    /// was begun.
    #[error(
        "at height {height} of the committee's account the chain has {theirs}, which no step ordered: \
         the account can go on only with the block that a step ordered; who else has the group's key?"
    )]
    Foreign {
        /// The height.
        height: u64,
        /// The block there.
        theirs: Hash,
    },
    /// A block that a step said was confirmed is gone.
    #[error(
        "block {block} at height {height} of the committee's account was confirmed and is gone: the \
         chain was reorganised deeper than the confirmations that are waited for; it is published again"
    )]
    Lost {
        /// The height.
        height: u64,
        /// The block.
        block: Digest,
    },
}

/// State and chain, side by side.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The committee's account at the head.
    pub view: &'a AccountView,
    /// What the chain shows.
    pub look: &'a Look,
    /// How deep is deep enough.
    pub depth: u64,
    /// Steps from one anchor to the next; 0 for none.
    pub anchor_every: u64,
    /// When the block of [`waited_for`] was issued, by its step, Unix milliseconds; `None` if that is
    /// not known.
    pub issued_ms: Option<u64>,
    /// Now.
    pub now_ms: u64,
}

impl Facts<'_> {
    /// What is to be done now, in order.
    #[must_use]
    pub fn plan(&self) -> Vec<Act> {
        let Some(account) = &self.view.account else {
            return vec![Act::Open];
        };
        let mut acts: Vec<Act> = self
            .untaken()
            .take(DEPOSITS_AT_ONCE)
            .filter(|deposit| self.look.depth(&deposit.momentum) > self.depth)
            .map(|deposit| Act::Deposit(digest(&deposit.block.hash)))
            .collect();
        if !has_room(account) {
            acts.clear();
        }
        let head = self.view.head;
        let due = account.anchored_seq.0.saturating_add(self.anchor_every);
        if self.anchor_every > 0 && account.anchored < account.first && head.0 >= due {
            acts.push(Act::Anchor);
        }
        if account.first < account.end {
            acts.extend(self.next_block(account));
        }
        acts
    }

    /// What is wrong.
    #[must_use]
    pub fn trouble(&self) -> Option<Trouble> {
        let account = self.view.account.as_ref()?;
        for own in &self.look.own {
            let hash = digest(&own.hash);
            let is_ordered = match own.height {
                height if height == account.height => self.is_next(account, own),
                height if height + 1 == account.height => account.previous == hash,
                _ => true,
            };
            if !is_ordered {
                let (height, theirs) = (own.height, own.hash);
                return Some(Trouble::Foreign { height, theirs });
            }
        }
        let last = account.height.checked_sub(1).filter(|last| *last > 0)?;
        let there = self.look.own.iter().any(|own| own.height == last);
        (!there).then_some(Trouble::Lost {
            height: last,
            block: account.previous,
        })
    }

    /// What the member's signer is told.
    #[must_use]
    pub fn sight(&self) -> Sight {
        let momentums = self.look.momentums.iter();
        let momentums = momentums.map(|one| (Deep::Momentum(digest(&one.hash)), one.height));
        let deposits = self.look.deposits.iter();
        let deposits =
            deposits.map(|one| (Deep::Block(digest(&one.block.hash)), one.momentum.height));
        let own = self.look.own.iter().filter(|own| own.depth >= self.depth);
        let above = self.look.frontier.height.saturating_add(1);
        let own = own.map(|own| {
            (
                Deep::Block(digest(&own.hash)),
                above.saturating_sub(own.depth),
            )
        });
        let overdue = self.untaken().filter(|deposit| {
            let depth = self.look.depth(&deposit.momentum);
            depth >= self.depth.saturating_mul(2).saturating_add(1)
        });
        let room = self.view.account.as_ref().is_some_and(has_room);
        Sight {
            confirmed: momentums.chain(deposits).chain(own).collect(),
            head: self.view.head,
            overdue: overdue
                .filter(|_| room)
                .map(|deposit| digest(&deposit.block.hash))
                .take(OVERDUE_MAX)
                .collect(),
        }
    }

    fn untaken(&self) -> impl Iterator<Item = &Deposit> {
        let taken: &BTreeSet<Digest> = &self.view.taken;
        let deposits = self.look.deposits.iter();
        deposits.filter(|deposit| !taken.contains(&digest(&deposit.block.hash)))
    }

    /// The next order on its way into the chain.
    fn next_block(&self, account: &Account) -> Option<Act> {
        let there = self
            .look
            .own
            .iter()
            .find(|own| own.height == account.height);
        if let Some(own) = there {
            let is_deep = self.is_next(account, own) && own.depth > self.depth;
            return is_deep.then(|| Act::Confirm(digest(&own.hash)));
        }
        let Some(last) = account.issued.last() else {
            return self
                .may_issue(account)
                .then_some(Act::Issue(account.first, 0));
        };
        // What work pays for the chain takes; of the rest only the operators' nodes know.
        let issued = account.worked().unwrap_or(last);
        let worked = account.issued.iter().filter(|issued| issued.worked);
        let times = u64::try_from(worked.count()).unwrap_or(u64::MAX).max(1);
        let since = self.issued_ms.map(|at| self.now_ms.saturating_sub(at));
        let again = since.is_some_and(|since| since >= REISSUE_MS.saturating_mul(times));
        if again && self.may_issue(account) {
            return Some(Act::Issue(account.first, account.issued.len()));
        }
        Some(publish(issued))
    }

    /// Whether a block of the chain does what the next order says, whoever had it issued.
    fn is_next(&self, account: &Account, own: &Own) -> bool {
        let order = self.view.next.as_ref();
        let draft = order.and_then(|order| account.draft(order, &own.issue));
        draft.is_some_and(|draft| draft.hash() == own.hash)
    }

    /// Whether there is a momentum to name: no earlier than the last block's, and for a receive no
    /// earlier than its send's.
    fn may_issue(&self, account: &Account) -> bool {
        let Some(named) = self.named() else {
            return false;
        };
        let source = match &self.view.next {
            Some(Order::Receive {
                momentum_height, ..
            }) => *momentum_height,
            Some(Order::Send { .. }) => 0,
            None => return false,
        };
        named.height >= account.momentum_height.max(source)
    }

    /// The momentum that a new block names: one deeper than what counts, so that members whose nodes
    /// are a little behind have seen it too.
    #[must_use]
    pub fn named(&self) -> Option<nom::MomentumRef> {
        named(self.look, self.depth)
    }
}

/// The newest momentum of a look that is one deeper than `depth`.
#[must_use]
pub fn named(look: &Look, depth: u64) -> Option<nom::MomentumRef> {
    let deep = |one: &&nom::MomentumRef| look.depth(one) > depth;
    look.momentums.iter().rfind(deep).copied()
}

/// A hash of the chain as the state keeps it.
#[must_use]
pub fn digest(hash: &Hash) -> Digest {
    Digest::from_bytes(*hash.as_bytes())
}

/// The issued block that has time to show up: the newest that work pays for, or else the first, so
/// that no request of a stranger makes it later.
#[must_use]
pub fn waited_for(account: &Account) -> Option<&Issued> {
    account.worked().or_else(|| account.issued.first())
}

fn publish(issued: &Issued) -> Act {
    Act::Publish(issued.block, issued.seq)
}

const fn has_room(account: &Account) -> bool {
    account.end.saturating_sub(account.first) < ORDERS_MAX - ORDERS_ROOM
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
