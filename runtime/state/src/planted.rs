//! Bugs planted on purpose, each the breach of one rule, so that the simulator can be seen to catch
//! it. Without the feature `planted`, which no program that ships enables, none can be chosen and
//! [`is`] is the constant `false`.

use attestation::ids::View;

/// Whether this build can plant bugs. Programs that ship assert that it cannot.
pub const POSSIBLE: bool = cfg!(feature = "planted");

/// A breach of one rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bug {
    /// A1: what a job says that callers asked for is taken without their signatures.
    CallerUnchecked,
    /// A2: a job's time is compared with no clock.
    TimeUnchecked,
    /// A4: a vote leaves before its record is on disk.
    VoteBeforeDurable,
    /// A4: a vote leaves before its job is on disk.
    JobNotStored,
    /// A4: the register takes a second statement at one (seq, view).
    SecondDigest,
    /// A5: a certificate's votes may be of several views.
    StitchedCertificate,
    /// A5: a certificate may count one member twice.
    DuplicateVoter,
    /// A6: a share leaves before its lock is on disk.
    ShareBeforeLock,
    /// A6, B1: the nonces of an attempt are offered for the next one, too.
    NonceKept,
    /// A7: a coordinator asks a member again whose share was bad.
    CulpritKept,
    /// A7: a coordinator blames the first of a set for the share of another.
    FirstIsGuilty,
    /// A8: what was voted in a lower view may be signed in a higher one.
    LowerView,
    /// A8: a status leaves before its view is on disk.
    ViewNotPersisted,
    /// A9: a locked signer votes for anything.
    LockIgnored,
    /// A9: a certificate of an earlier view than the lock's releases it.
    EarlierCertificate,
    /// A9: a coordinator proposes no lock again.
    LockNotProposed,
    /// A10: one member's status moves the others.
    OneMemberMoves,
    /// A11: a hole in the witness is told as a request's fault.
    HoleIsFault,
    /// A12: a trace root is released with its own step.
    TraceEarly,
    /// A14: the view is no part of what voters sign, nor of what they sign of their commitments.
    ViewUnsigned,
    /// B2: a share is certified before it is durable.
    CertifiedEarly,
    /// B3: whoever is accused of a share is named, whether it fits or not.
    AccuserBelieved,
    /// B3, A15: an enrolment may lower what it takes to sign below what liars can make twice.
    ThresholdUnchecked,
    /// B4: a member votes for a change of epochs that it has no part of.
    CutoverUnready,
    /// B4: a member votes for steps of an epoch in the one before.
    EpochIgnored,
    /// C1: the register takes entries of an earlier start.
    TwinAccepted,
    /// C3: a register that moves is what lay where it arrives.
    MoveForgets,
    /// D2: the last entry shown counts as a key's predecessor, whatever its link says lies between.
    LinkUnchecked,
}

/// The view that a vote or its commitments are signed for: theirs, in every build that ships.
#[must_use]
pub fn signed_view(view: View) -> View {
    match is(Bug::ViewUnsigned) {
        true => View(0),
        false => view,
    }
}

#[cfg(feature = "planted")]
pub use chosen::{is, plant};

/// Whether this bug is planted: never, in this build.
#[cfg(not(feature = "planted"))]
#[must_use]
pub const fn is(_: Bug) -> bool {
    false
}

#[cfg(feature = "planted")]
mod chosen {
    extern crate std;

    use core::cell::Cell;

    use super::Bug;

    std::thread_local! {
        static PLANTED: Cell<Option<Bug>> = const { Cell::new(None) };
    }

    /// Whether this bug is planted in machines that run on this thread.
    #[must_use]
    pub fn is(bug: Bug) -> bool {
        PLANTED.get() == Some(bug)
    }

    /// Plants a bug in machines that run on this thread, in place of the one before.
    pub fn plant(bug: Option<Bug>) {
        PLANTED.set(bug);
    }
}
