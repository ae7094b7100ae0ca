//! Rule B5: the key that an acceptor trusts, its change, and the guardian's pause.
//!
//! The committee hands over to a new key by an attested leaf, which takes effect after a delay.
//! Until then no other is taken, and the old key is good for steps up to the last one that the
//! leaf names; from then on only the new key is trusted, for older steps, too. A guardian may
//! pause, resume and cancel, nothing else, and a pause ends by itself. Without a guardian nothing
//! stops a committee whose key is compromised: it can hand over to any key, for good.

use attestation::group::{GroupKeyError, VerifyGroup};
use attestation::ids::{GroupKey, Seq};
use attestation::leaf::Leaf;

use crate::Terms;
use crate::proof::{self, Unproven};

/// What is registered about changes and pauses, in seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delays {
    /// Between a key change and its effect.
    pub change: u64,
    /// After which a pause ends by itself.
    pub pause_max: u64,
}

/// A key change that has not taken effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pending {
    /// The new key.
    pub key: GroupKey,
    /// Last step of the trusted key.
    pub last: Seq,
    /// When it takes effect, Unix seconds.
    pub ready_at: u64,
}

/// The trusted key and what may stop it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trust {
    /// The key, checked.
    pub key: GroupKey,
    /// The change that waits.
    pub pending: Option<Pending>,
    /// Nothing is accepted before, Unix seconds.
    pub paused_until: u64,
}

/// Where key changes that were taken are remembered, cancelled ones too.
pub trait Taken {
    /// Remembers the hash of a key-change leaf; false if it was remembered before.
    fn take(&mut self, leaf_hash: &[u8; 32]) -> bool;
}

impl Taken for alloc::collections::BTreeSet<[u8; 32]> {
    fn take(&mut self, leaf_hash: &[u8; 32]) -> bool {
        self.insert(*leaf_hash)
    }
}

/// Why nothing changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The leaf is not proven.
    #[error(transparent)]
    Unproven(#[from] Unproven),
    /// Within a pause.
    #[error("paused until {0}")]
    Paused(u64),
    /// The leaf is not a key change.
    #[error("leaf {0} is not a key change")]
    NotAKeyChange(u64),
    /// One is pending.
    #[error("a key change is pending")]
    KeyChangePending,
    /// None is pending.
    #[error("no key change is pending")]
    NoKeyChangePending,
    /// Of another suite, or of another key than the trusted one.
    #[error("the key change is not of the trusted key")]
    NotThisKey,
    /// The last step is before the one that carries the change.
    #[error("last step {last} is before step {seq}, which the old key signed")]
    LastSeq {
        /// The last step that the leaf names.
        last: Seq,
        /// The leaf's own step.
        seq: Seq,
    },
    /// The new key must not be trusted.
    #[error(transparent)]
    GroupKey(#[from] GroupKeyError),
    /// Taken before.
    #[error("the key change was taken before")]
    KeyChangeTaken,
    /// Its delay is not over.
    #[error("the key change takes effect at {0}")]
    TooEarly(u64),
    /// Somebody else than the guardian.
    #[error("only the guardian may do this")]
    NotGuardian,
}

impl Refused {
    /// The refusal's name in the rulebook.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Unproven(error) => error.name(),
            Self::Paused(_) => "paused",
            Self::NotAKeyChange(_) => "not-a-key-change",
            Self::KeyChangePending => "key-change-pending",
            Self::NoKeyChangePending => "no-key-change-pending",
            Self::NotThisKey => "not-this-key",
            Self::LastSeq { .. } => "last-seq",
            Self::GroupKey(_) => "group-key",
            Self::KeyChangeTaken => "key-change-taken",
            Self::TooEarly(_) => "too-early",
            Self::NotGuardian => "not-guardian",
        }
    }
}

impl Trust {
    /// Trusts a key from the start.
    ///
    /// # Errors
    /// [`GroupKeyError`] if it must not be trusted.
    pub fn new(key: GroupKey) -> Result<Self, GroupKeyError> {
        key.check()?;
        Ok(Self {
            key,
            pending: None,
            paused_until: 0,
        })
    }

    /// Last step of the trusted key, while a change is pending.
    #[must_use]
    pub fn last(&self) -> Option<Seq> {
        self.pending.map(|pending| pending.last)
    }

    /// Whether anything is accepted at all.
    ///
    /// # Errors
    /// [`Refused::Paused`].
    pub const fn open(&self, now: u64) -> Result<(), Refused> {
        if now < self.paused_until {
            return Err(Refused::Paused(self.paused_until));
        }
        Ok(())
    }

    /// Takes a key change of the committee. `terms` hold the trusted key.
    ///
    /// # Errors
    /// [`Refused`] by the first rule that is broken.
    pub fn change<K: VerifyGroup>(
        &mut self,
        (now, delays): (u64, &Delays),
        terms: &Terms<K>,
        (receipt, leaf): (&[u8], &[u8]),
        taken: &mut impl Taken,
    ) -> Result<Pending, Refused> {
        self.open(now)?;
        let proven = proof::prove(terms, self.last(), receipt, leaf)?;
        let Leaf::KeyChange(change) = proven.leaf else {
            return Err(Refused::NotAKeyChange(proven.index));
        };
        if self.pending.is_some() {
            return Err(Refused::KeyChangePending);
        }
        let (old, new) = change.ed25519().ok_or(Refused::NotThisKey)?;
        if old != self.key {
            return Err(Refused::NotThisKey);
        }
        let last = Seq(change.last_seq);
        if last < proven.seq {
            let seq = proven.seq;
            return Err(Refused::LastSeq { last, seq });
        }
        new.check()?;
        if !taken.take(&proven.leaf_hash) {
            return Err(Refused::KeyChangeTaken);
        }
        let pending = Pending {
            key: new,
            last,
            ready_at: now.saturating_add(delays.change),
        };
        self.pending = Some(pending);
        Ok(pending)
    }

    /// Lets the pending key change take effect; anyone may.
    ///
    /// # Errors
    /// [`Refused`] within a pause, or if none is pending or its delay not over.
    pub fn activate(&mut self, now: u64) -> Result<(), Refused> {
        self.open(now)?;
        let pending = self.pending.ok_or(Refused::NoKeyChangePending)?;
        if now < pending.ready_at {
            return Err(Refused::TooEarly(pending.ready_at));
        }
        self.key = pending.key;
        self.pending = None;
        Ok(())
    }

    /// Drops the pending key change, for good; the guardian may.
    ///
    /// # Errors
    /// [`Refused::NoKeyChangePending`].
    pub fn cancel(&mut self) -> Result<(), Refused> {
        let pending = self.pending.take();
        pending.map(drop).ok_or(Refused::NoKeyChangePending)
    }

    /// Accepts nothing for as long as a pause may last; the guardian may, and may renew it.
    pub const fn pause(&mut self, now: u64, delays: &Delays) {
        self.paused_until = now.saturating_add(delays.pause_max);
    }

    /// Ends a pause; the guardian may.
    pub const fn resume(&mut self) {
        self.paused_until = 0;
    }
}
