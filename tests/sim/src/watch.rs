//! What must hold, checked as it happens. Knows what each party that follows the protocol has
//! ever said, over all its starts, and trusts none of the code under test to have judged right.

mod signer;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use attestation::ids::{Boot, Digest, Epoch, Seq, Slot, StatementId, View};
use signer_protocol::blame::{Act, Culprit};
use signer_protocol::committee::Committee;
use signer_protocol::message::{
    Certificate, Endpoint, Lane, LockClaim, Message, SignedPackage, SignedShare, ToCoordinator,
    ToMember, ToSigner,
};
use signer_protocol::register::{Entry, Record, Standing};
use signer_protocol::signer::CLOCK_SKEW_MS;
use state::job::{Domain, Job};

use crate::founding::Founding;
use crate::suite::Suite;

/// A promise, by the name under which `RULES.md` explains it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rule {
    /// At most one statement is attested at a seq.
    S1,
    /// One vote per (seq, view), no share for two statements, none against a lock.
    S2,
    /// What is attested is what the reference execution of its job gives.
    S3,
    /// Nonces sign once.
    S4,
    /// Nothing leaves before what it rests on is durable.
    S5,
    /// Attested steps are one chain, which consumers take.
    S6,
    /// An attestation has t voters of one view behind it, a certificate is t votes of one view.
    S7,
    /// Nobody who follows the protocol is convicted.
    S8,
    /// No honest machine halts, spins or says what has no canonical form.
    S9,
    /// No key share leaves its signer.
    S10,
    /// A register that starts says all that was acknowledged, and only rises.
    S11,
    /// What is voted for, callers have asked for, in time and not before.
    A1,
    /// A job that is voted for was in time and checked.
    A2,
    /// Views are entered for a reason.
    A10,
    /// Only what traps an executor is told as a fault.
    A11,
    /// Trace roots are released after the step that follows.
    A12,
    /// What an honest member is shown to have signed, it has signed.
    A14,
    /// Once faults end, every request is attested in bounded time.
    L1,
    /// Once faults end, every member takes part again.
    L2,
    /// A key generation ends with one key for all.
    B2,
    /// A change of members keeps the key, and names who would change it.
    B3,
    /// A register that moves says all that it said.
    C3,
    /// A step is voted for and signed in its epoch; who votes for a cutover is ready for it.
    B4,
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = match self {
            Self::S1 => "two statements attested",
            Self::S2 => "two votes or shares that contradict",
            Self::S3 => "another result than the reference's",
            Self::S4 => "nonces used twice",
            Self::S5 => "released before it was durable",
            Self::S6 => "no chain",
            Self::S7 => "no quorum behind it",
            Self::S8 => "an honest party convicted",
            Self::S9 => "a machine that stops, spins or stammers",
            Self::S10 => "a secret on the wire",
            Self::S11 => "a register that forgets",
            Self::A1 => "a vote for what nobody asked for",
            Self::A14 => "words of an honest member that it never said",
            Self::C3 => "a register that forgets as it moves",
            Self::A2 => "a vote for a job that A2 forbids",
            Self::A10 => "a view entered without reason",
            Self::A11 => "a fault without a trap",
            Self::A12 => "a trace root released early",
            Self::L1 => "a request that is never attested",
            Self::L2 => "a member that takes no part",
            Self::B2 => "a key generation without one key",
            Self::B4 => "a vote or share of another epoch, or for a change not made",
            Self::B3 => "a change that loses the key, or names an honest party",
        };
        write!(f, "{self:?} ({what})")
    }
}

/// A verdict: nothing, or which promise is broken how.
pub type Verdict = Result<(), (Rule, String)>;

/// What one party has said and heard, over all its starts.
#[derive(Debug, Default)]
struct Said {
    votes: BTreeMap<(Seq, View), StatementId>,
    shares: BTreeMap<(Seq, View), StatementId>,
    /// Its newest share's statement at each seq: what it is locked on.
    locked: BTreeMap<Seq, LockClaim>,
    /// The epoch of its process.
    epoch: Epoch,
    /// The highest view in which something left.
    view: View,
    /// The last start that recorded anything, and its view as recorded.
    boot: Boot,
    recorded_view: View,
    /// What other members' statuses showed since this start.
    heard: BTreeMap<Slot, View>,
    /// Jobs that arrived in time or with a certificate.
    jobs: BTreeSet<Digest>,
    /// The package that each of its commitments was used in.
    nonces: BTreeMap<Vec<u8>, Digest>,
}

/// The checks' memory.
#[derive(Debug)]
pub struct Watch<S: Suite> {
    /// Of each epoch.
    committees: BTreeMap<Epoch, Committee>,
    /// The first step of the second epoch, once the one before is attested.
    turn: Option<Seq>,
    verify: S::Verify,
    said: BTreeMap<Endpoint, Said>,
    packages: BTreeMap<Digest, SignedPackage>,
    jobs: BTreeMap<StatementId, Job>,
    votes: BTreeMap<(Seq, Epoch, View, StatementId), BTreeSet<Slot>>,
}

impl<S: Suite> Watch<S> {
    /// Watches a committee.
    #[must_use]
    pub fn new(founding: &Founding<S>) -> Self {
        Self {
            committees: BTreeMap::from([(founding.committee.epoch(), founding.committee.clone())]),
            turn: None,
            verify: founding.verify.clone(),
            said: BTreeMap::new(),
            packages: BTreeMap::new(),
            jobs: BTreeMap::new(),
            votes: BTreeMap::new(),
        }
    }

    /// The job behind a statement that somebody computed.
    #[must_use]
    pub fn job(&self, statement: &StatementId) -> Option<&Job> {
        self.jobs.get(statement)
    }

    /// Another epoch may come, of this committee.
    pub fn expects(&mut self, committee: &Committee) {
        let epoch = committee.epoch();
        self.committees.insert(epoch, committee.clone());
    }

    /// It has come: this is its first step.
    pub fn turns(&mut self, from: Seq) {
        self.turn = Some(from);
    }

    fn committee(&self, epoch: Epoch) -> Option<&Committee> {
        self.committees.get(&epoch)
    }

    fn domain(&self) -> Option<&Domain> {
        self.committees.values().next().map(Committee::domain)
    }

    /// B4: the epoch in which a step is voted for and signed.
    fn epoch_of(&self, seq: Seq) -> Option<Epoch> {
        let mut epochs = self.committees.keys();
        let first = epochs.next().copied();
        match self.turn {
            Some(from) if seq >= from => epochs.next().copied(),
            _ => first,
        }
    }

    /// A process starts on a register that stands in this view: what it heard before is forgotten.
    pub fn started(&mut self, party: Endpoint, view: View, epoch: Epoch) {
        let said = self.said.entry(party).or_default();
        said.heard.clear();
        said.recorded_view = view;
        said.epoch = epoch;
    }

    /// A signer's job led to a statement.
    pub fn ran(&mut self, statement: StatementId, job: &Job) {
        self.jobs.entry(statement).or_insert_with(|| job.clone());
    }

    /// A message reaches a signer.
    pub fn heard(&mut self, party: Endpoint, from: Endpoint, local_ms: u64, message: &Message) {
        match message {
            Message::ToSigner(ToSigner::Package(package)) => {
                if let Some(digest) = self.domain().map(|domain| package.digest(domain)) {
                    self.packages.insert(digest, package.clone());
                }
            }
            Message::ToSigner(ToSigner::Job {
                proposal,
                job,
                certificate,
            }) => {
                let in_time = job.context.time_ms.abs_diff(local_ms) <= CLOCK_SKEW_MS;
                let chainless = job.context.anchor_height == 0;
                if chainless && (in_time || certificate.is_some()) {
                    let said = self.said.entry(party).or_default();
                    said.jobs.insert(proposal.job);
                }
            }
            Message::ToMember(ToMember::Status(status)) => {
                let signed = &status.signed;
                let stands = self.committee(signed.epoch);
                if Endpoint::Signer(signed.slot) == from
                    && stands.is_some_and(|committee| committee.stands(signed, &self.verify))
                    && let Some(said) = self.said.get_mut(&party)
                    && said.epoch == signed.epoch
                {
                    let known = said.heard.entry(signed.slot).or_default();
                    *known = (*known).max(signed.view);
                }
            }
            _ => {}
        }
    }

    /// A message is on its way: votes count for whoever signed them.
    pub fn posted(&mut self, message: &Message) {
        if let Message::ToCoordinator(ToCoordinator::Vote { vote, .. }) = message
            && let Some(committee) = self.committees.get(&vote.epoch)
            && committee.voted(vote, &self.verify)
        {
            let place = (vote.seq, vote.epoch, vote.view, vote.statement);
            self.votes.entry(place).or_default().insert(vote.slot);
        }
    }

    /// S7: t members voted, in one view, for what is attested.
    ///
    /// # Errors
    /// The rule, if they did not.
    pub fn backed(&self, seq: Seq, epoch: Epoch, statement: StatementId) -> Verdict {
        let committee = self.committee(epoch);
        let expected = self.epoch_of(seq);
        let Some(committee) = committee.filter(|_| expected == Some(epoch)) else {
            let what = format!("step {seq} is attested in epoch {epoch}, and is of {expected:?}");
            return Err((Rule::B4, what));
        };
        let threshold = usize::from(committee.quorum().threshold());
        let places = self.votes.iter();
        let most = places
            .filter(|((at, of, _, what), _)| (*at, *of, *what) == (seq, epoch, statement))
            .map(|(_, slots)| slots.len())
            .max()
            .unwrap_or(0);
        if most >= threshold {
            Ok(())
        } else {
            let what = format!("step {seq} is attested with {most} voters in one view");
            Err((Rule::S7, what))
        }
    }

    /// Whether t members of its epoch have voted for a statement in one view.
    #[must_use]
    pub fn is_certified(&self, seq: Seq, statement: &StatementId) -> bool {
        self.votes.iter().any(|((at, epoch, _, what), slots)| {
            let threshold = self.committee(*epoch).map(|one| one.quorum().threshold());
            (at, what) == (&seq, statement)
                && threshold.is_some_and(|least| slots.len() >= usize::from(least))
        })
    }

    /// The signing set that a share is for.
    #[must_use]
    pub fn set(&self, share: &SignedShare) -> Vec<Slot> {
        let package = self.packages.get(&share.package);
        let nonces = package.into_iter().flat_map(|package| &package.nonces);
        nonces.map(|nonces| nonces.slot).collect()
    }

    /// S8: whoever is convicted lied.
    ///
    /// # Errors
    /// The rule, if an honest party is reported for what only a liar does.
    pub fn blamed(&self, honest: bool, culprit: Culprit, act: &Act) -> Verdict {
        let convicts = match act {
            Act::ProposedTwice(_)
            | Act::PackagedTwice(_)
            | Act::VotedTwice(_)
            | Act::ObservedTwice(_)
            | Act::BadShare { .. }
            | Act::BadLeafShare(_) => true,
            // Hints that a bad network gives, too: they must not prove anything.
            Act::VotedOtherwise { .. } | Act::Absent { .. } | Act::Withheld { .. } => self
                .committees
                .values()
                .any(|committee| act.proves(culprit, committee, &self.verify)),
        };
        if honest && convicts {
            return Err((Rule::S8, format!("{culprit} {act}")));
        }
        Ok(())
    }

    /// A5, checked without the code under test: t votes of distinct members, all of one epoch,
    /// seq, view and statement, all signed.
    fn certified(&self, certificate: &Certificate) -> Option<LockClaim> {
        let first = certificate.votes.first()?;
        let claim = LockClaim {
            seq: first.seq,
            view: first.view,
            statement: first.statement,
        };
        let slots: BTreeSet<Slot> = certificate.votes.iter().map(|vote| vote.slot).collect();
        let committee = self.committee(first.epoch)?;
        let threshold = usize::from(committee.quorum().threshold());
        let whole = slots.len() == threshold && certificate.votes.len() == threshold;
        let equal = certificate.votes.iter().all(|vote| {
            (vote.seq, vote.view, vote.statement) == (claim.seq, claim.view, claim.statement)
                && committee.voted(vote, &self.verify)
        });
        (whole && equal).then_some(claim)
    }

    /// C3: what a register says where it has arrived is no less than what it said.
    ///
    /// # Errors
    /// The rule, if it is.
    pub fn moved(&self, party: Endpoint, before: &Standing, after: &Standing) -> Verdict {
        let counters = |standing: &Standing| (standing.boot, standing.view, standing.behind);
        let places = |standing: &Standing| {
            let lane = standing.lanes.get(&Lane::Steps);
            let head = lane.and_then(|lane| Some(lane.attested.as_ref()?.seq));
            let vote = lane.and_then(|lane| lane.vote.as_ref());
            let lock = lane.and_then(|lane| lane.lock.as_ref()?.claim());
            let above = |seq: Seq| Some(seq) > head;
            (
                head,
                vote.filter(|vote| above(vote.seq))
                    .map(|vote| (vote.seq, vote.view)),
                lock.filter(|lock| above(lock.seq))
                    .map(|lock| (lock.seq, lock.view)),
            )
        };
        let ((one, two), (three, four)) = (
            (counters(before), counters(after)),
            (places(before), places(after)),
        );
        let keeps = one.0 <= two.0 && one.1 <= two.1 && one.2 <= two.2;
        if keeps && three.0 <= four.0 && three.1 <= four.1 && three.2 <= four.2 {
            return Ok(());
        }
        let what =
            format!("{party} said {three:?} at {one:?}, and after a move {four:?} at {two:?}");
        Err((Rule::C3, what))
    }

    /// A14: the votes of honest members in a certificate are votes that these members gave.
    fn were_said(
        &self,
        party: Endpoint,
        liars: &BTreeSet<Endpoint>,
        certificate: &Certificate,
    ) -> Verdict {
        for vote in &certificate.votes {
            let voter = Endpoint::Signer(vote.slot);
            let said = self.said.get(&voter);
            let given = said.and_then(|said| said.votes.get(&(vote.seq, vote.view)));
            if given != Some(&vote.statement) && !liars.contains(&voter) {
                let what = format!(
                    "{party} takes a vote of {voter} at step {} in view {}, which it never gave",
                    vote.seq, vote.view
                );
                return Err((Rule::A14, what));
            }
        }
        Ok(())
    }

    /// C1, A5, A10, A14: a signer records something and its node takes it.
    ///
    /// # Errors
    /// The rule that the entry breaks.
    pub fn recorded(
        &mut self,
        party: Endpoint,
        liars: &BTreeSet<Endpoint>,
        entry: &Entry,
    ) -> Verdict {
        if let Record::Boot(boot) = &entry.record {
            self.said.entry(party).or_default().boot = *boot;
        }
        let certificate = match &entry.record {
            Record::Lock(lock) => Some(&lock.certificate),
            Record::Vote(vote) => vote.shown.as_ref(),
            _ => None,
        };
        if let Some(certificate) = certificate
            && self.certified(certificate).is_none()
        {
            let what = format!("{party} records a certificate that is none: {certificate:?}");
            return Err((Rule::S7, what));
        }
        if let Some(certificate) = certificate {
            self.were_said(party, liars, certificate)?;
        }
        let said = self.said.entry(party).or_default();
        let committee = self.committees.get(&said.epoch);
        let blocking = committee.map_or(0, |committee| usize::from(committee.quorum().blocking()));
        if entry.boot < said.boot {
            let what = format!("{party}: start {} appends after {}", entry.boot, said.boot);
            return Err((Rule::S11, what));
        }
        let Record::View(view) = &entry.record else {
            return Ok(());
        };
        let before = said.recorded_view;
        said.recorded_view = *view;
        let others = said.heard.values().filter(|heard| *heard >= view).count();
        if *view <= before {
            return Err((Rule::S11, format!("{party}: view {view} after {before}")));
        }
        // Its own timer moves it by one; further only n − t + 1 others do.
        if view.0 > before.0 + 1 && others < blocking {
            let what = format!("{party} enters view {view} from {before}, shown by {others}");
            return Err((Rule::A10, what));
        }
        Ok(())
    }
}
