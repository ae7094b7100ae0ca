//! From t equal votes to one signature (rules A6, A7): ROAST over the pool of equal votes.
//!
//! A session is one package to t voters. A voter that answers is ready again with the
//! commitments in its answer; one that is silent keeps its session open and holds no other up,
//! since spare voters take its place; one whose share is bad is named and left out. With t honest
//! voters in the pool, at most n − t + 1 sessions are needed, whoever is asked first: voters that
//! let the sessions of earlier steps wait come last ([`crate::parking`]).

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use attestation::ids::{Attempt, Digest, Signature, Slot, StatementId};
use attestation::receipt;
use attestation::step_attestation::StepAttestation;
use frost_core::keys::PublicKeyPackage;
use frost_core::round2::SignatureShare;
use frost_core::{CheaterDetection, Ciphersuite, Identifier};
use serde_bytes::ByteBuf;
use signer_protocol::blame::{Act, Culprit};
use signer_protocol::committee::Committee;
use signer_protocol::identity::{SignIdentity, Verify, VerifyGroup};
use signer_protocol::message::{
    Certificate, SignedNonces, SignedPackage, SignedShare, Stated, ToSigner,
};
use signer_protocol::planted::{self, Bug};
use signer_protocol::signer::{commitments_of, signing_package};

use super::ballot::{Ballot, Voter, bound};
use super::{Coordinator, Lead, Output, Phase};
use crate::parking::SPARE_WAIT_MS;

/// Longest that voters may take to answer a package before spare voters take their place: mostly it
/// is an eighth more than the slowest of them took to vote.
pub const SHARE_WAIT_MS: u64 = 250;
/// Shortest such wait.
const SHARE_WAIT_MS_MIN: u64 = 100;
/// Within this time a share is never late.
const LATE_MS_MIN: u64 = 40;
/// Steps in a row in which a voter that gives no share in its time is only slow.
const SILENCES: u8 = 3;

const _: () = assert!(SPARE_WAIT_MS <= SHARE_WAIT_MS_MIN && LATE_MS_MIN <= SHARE_WAIT_MS_MIN);

/// The signing of one statement in one view.
pub(super) struct Signing {
    statement: StatementId,
    stated: Stated,
    sessions: Vec<Session>,
    /// Voters whose share was bad.
    bad: BTreeSet<Slot>,
    /// Until when parked voters wait for others.
    spare_until: u64,
    pub(super) wait_until: u64,
}

/// One package and its answers.
struct Session {
    package: SignedPackage,
    digest: Digest,
    shares: BTreeMap<Slot, SignedShare>,
    /// Voters whose share took longer than their vote.
    late: BTreeSet<Slot>,
    /// All answers were in and did not make a signature.
    failed: bool,
    opened_ms: u64,
    /// How long the slowest of its voters has, from `opened_ms`.
    wait_ms: u64,
}

impl Session {
    fn silent(&self) -> impl Iterator<Item = Slot> + '_ {
        let set = self.package.nonces.iter().map(|nonces| nonces.slot);
        set.filter(|slot| !self.failed && !self.shares.contains_key(slot))
    }

    /// Whether a voter has had the time that its share may take.
    fn is_over(&self, now_ms: u64, voter: &Voter) -> bool {
        let wait_ms = share_ms(voter.took_ms, LATE_MS_MIN);
        now_ms > self.opened_ms.saturating_add(wait_ms)
    }

    /// Whose share is in and was not late.
    fn in_time(&self) -> BTreeSet<Slot> {
        let shares = self.shares.keys().filter(|slot| !self.late.contains(slot));
        shares.copied().collect()
    }
}

/// How long a share may take after a vote that took so long.
fn share_ms(vote_ms: u64, min_ms: u64) -> u64 {
    let share_ms = vote_ms.saturating_add(vote_ms / 8);
    share_ms.clamp(min_ms, SHARE_WAIT_MS)
}

impl<C: Ciphersuite, I: SignIdentity, V: Verify> Coordinator<C, I, V> {
    pub(super) fn start_signing(&mut self, now_ms: u64, statement: StatementId) {
        let Some(Lead {
            phase: Phase::Ballot(ballot),
            ..
        }) = &mut self.lead
        else {
            return;
        };
        let mut equal = ballot
            .voters
            .values()
            .filter(|voter| voter.vote.statement == statement);
        let Some(stated) = equal.next().map(|voter| voter.stated) else {
            return;
        };
        ballot.signing = Some(Signing {
            statement,
            stated,
            sessions: Vec::new(),
            bad: BTreeSet::new(),
            spare_until: now_ms.saturating_add(SPARE_WAIT_MS),
            wait_until: now_ms,
        });
        self.open_session(now_ms);
    }

    /// Opens another session if that can help: at once if the last one failed, after a silence
    /// otherwise; and reminds the silent.
    pub(super) fn sign_again(&mut self, now_ms: u64, waited: bool) {
        let Some(Lead {
            phase: Phase::Ballot(ballot),
            ..
        }) = &mut self.lead
        else {
            return;
        };
        let Some(signing) = &mut ballot.signing else {
            return;
        };
        let hopeless = signing.sessions.iter().all(|session| session.failed);
        if !waited && !hopeless {
            return;
        }
        let silent: Vec<(Slot, SignedPackage)> = signing
            .sessions
            .iter()
            .flat_map(|session| session.silent().map(|slot| (slot, session.package.clone())))
            .collect();
        signing.wait_until = now_ms.saturating_add(SHARE_WAIT_MS);
        if self.open_session(now_ms) || !waited {
            return;
        }
        for (slot, package) in silent {
            // The job first: a member that started anew has nothing to sign yet.
            self.send_job(slot);
            self.send(slot, ToSigner::Package(package));
        }
    }

    pub(super) fn on_share(&mut self, now_ms: u64, from: Slot, share: SignedShare) {
        let committee = &self.config.committee;
        let Some(Lead {
            phase: Phase::Ballot(ballot),
            ..
        }) = &mut self.lead
        else {
            return;
        };
        let Some(signing) = &mut ballot.signing else {
            return;
        };
        let Some(at) = signing
            .sessions
            .iter()
            .position(|session| session.digest == share.package)
        else {
            return;
        };
        let Some(session) = signing.sessions.get_mut(at) else {
            return;
        };
        let asked = session.silent().any(|slot| slot == from);
        if share.slot != from || !asked || !committee.shared(&share, &self.config.verify) {
            return;
        }
        let next = &share.next;
        if let Some(voter) = ballot.voters.get_mut(&from) {
            if session.is_over(now_ms, voter) {
                session.late.insert(from);
            }
            if bound(next, &voter.vote) && (next.boot, next.attempt) > voter.newest {
                voter.newest = (next.boot, next.attempt);
                voter.ready = Some(next.clone());
                voter.checked = false;
            }
        }
        session.shares.insert(from, share);
        if session.shares.len() == session.package.nonces.len() {
            self.aggregate(now_ms, at);
        } else {
            self.sign_again(now_ms, false);
        }
    }

    /// Names voters whose silence kept a session from finishing for as long as any may take, or for
    /// as long as it had in [`SILENCES`] steps in a row: where others are quick, one is replaced
    /// before it has been silent for long.
    pub(super) fn name_silent(&mut self, now_ms: u64, ballot: &Ballot, signing: &Signing) {
        let (seq, view) = (ballot.proposal.seq, ballot.proposal.view);
        let silent_for = |wait_ms: fn(&Session) -> u64| -> BTreeSet<Slot> {
            let sessions = signing.sessions.iter();
            let over = sessions
                .filter(|session| now_ms >= session.opened_ms.saturating_add(wait_ms(session)));
            over.flat_map(Session::silent).collect()
        };
        let silent = silent_for(|session| session.wait_ms);
        let mut named = silent_for(|_| SHARE_WAIT_MS);
        let sharing = signing
            .sessions
            .iter()
            .flat_map(|session| session.shares.keys());
        for slot in sharing {
            self.silences.remove(slot);
        }
        for slot in silent {
            let times = self.silences.entry(slot).or_insert(0);
            *times = times.saturating_add(1);
            if *times >= SILENCES {
                named.insert(slot);
            }
        }
        for slot in named {
            self.blame(Culprit::Member(slot), Act::Withheld { seq, view });
        }
    }

    /// Remembers who kept a session from finishing, or spoiled it, for the steps to come.
    pub(super) fn park(&mut self, now_ms: u64, ballot: &Ballot, signing: &Signing) {
        let bad = &signing.bad;
        for session in &signing.sessions {
            if session.failed {
                let shares = session.shares.keys().copied();
                let spoiled = shares.filter(|slot| bad.contains(slot)).collect();
                self.parking.judge(&BTreeSet::new(), &spoiled);
                continue;
            }
            let mut late = session.late.clone();
            late.extend(session.silent().filter(|slot| {
                let voter = ballot.voters.get(slot);
                voter.is_some_and(|voter| session.is_over(now_ms, voter))
            }));
            self.parking.judge(&session.in_time(), &late);
        }
    }

    /// One package to t ready voters of the pool. Whether there were as many, and no reason to wait
    /// for others.
    fn open_session(&mut self, now_ms: u64) -> bool {
        let committee = &self.config.committee;
        let attempts_max = usize::from(committee.quorum().blocking());
        let Some(Lead {
            phase: Phase::Ballot(ballot),
            ..
        }) = &mut self.lead
        else {
            return false;
        };
        let Ballot {
            voters,
            signing: Some(signing),
            ..
        } = ballot.as_mut()
        else {
            return false;
        };
        check_nonces::<C>(voters, committee, &self.config.verify);
        let attempt = signing.sessions.len();
        let to_vote = committee.slots();
        let to_vote = to_vote
            .filter(|slot| !voters.contains_key(slot) && self.listing.is_present(*slot))
            .collect::<Vec<_>>();
        let pool = voters.values_mut().filter(|voter| {
            voter.vote.statement == signing.statement
                && voter.ready.is_some()
                && !signing.bad.contains(&voter.vote.slot)
        });
        let pool: Vec<&mut Voter> = pool.collect();
        let here = pool.iter().map(|voter| voter.vote.slot);
        if attempt == 0
            && now_ms < signing.spare_until
            && self.parking.waits(here, to_vote.into_iter())
        {
            signing.wait_until = signing.spare_until;
            return false;
        }
        let chosen = self.parking.choose(pool, |voter| voter.vote.slot);
        let Some(mut set) = chosen.filter(|_| attempt < attempts_max) else {
            return false;
        };
        let slowest = set.iter().map(|voter| voter.took_ms).max().unwrap_or(0);
        let votes = set.iter().map(|voter| voter.vote.clone()).collect();
        let nonces = set
            .iter_mut()
            .filter_map(|voter| voter.ready.take())
            .collect();
        let mut package = SignedPackage {
            rank: self.config.rank,
            certificate: Certificate { votes },
            attempt: Attempt(u16::try_from(attempt).unwrap_or(u16::MAX)),
            nonces,
            signature: Signature::from_bytes([0; 64]),
        };
        let domain = self.config.committee.domain();
        package.signature = self.config.identity.sign(&package.signed_bytes(domain));
        let wait_ms = share_ms(slowest, SHARE_WAIT_MS_MIN);
        signing.wait_until = now_ms.saturating_add(wait_ms);
        signing.sessions.push(Session {
            digest: package.digest(domain),
            package: package.clone(),
            shares: BTreeMap::new(),
            late: BTreeSet::new(),
            failed: false,
            opened_ms: now_ms,
            wait_ms,
        });
        let set: Vec<Slot> = package.nonces.iter().map(|nonces| nonces.slot).collect();
        for slot in set {
            self.send(slot, ToSigner::Package(package.clone()));
        }
        true
    }

    /// All shares of a session are in: a signature, or the names of those who prevented it.
    fn aggregate(&mut self, now_ms: u64, at: usize) {
        let Some(Lead {
            phase: Phase::Ballot(ballot),
            ..
        }) = &mut self.lead
        else {
            return;
        };
        let Some(signing) = &mut ballot.signing else {
            return;
        };
        let Some(session) = signing.sessions.get_mut(at) else {
            return;
        };
        let (committee, public) = (&self.config.committee, &self.config.public);
        let keys = (committee, &self.config.verify);
        match signature(keys, public, &signing.stated, session) {
            Ok(signature) => {
                let attestation = StepAttestation {
                    commit: signing.stated.commit,
                    root: signing.stated.root,
                    signature,
                };
                let certificate = session.package.certificate.clone();
                self.attest(now_ms, &attestation, &certificate);
            }
            Err(culprits) => {
                session.failed = true;
                let stated = Box::new(signing.stated);
                let package = Box::new(session.package.clone());
                let shares: Vec<SignedShare> = culprits
                    .iter()
                    .filter_map(|slot| session.shares.get(slot).cloned())
                    .collect();
                if !planted::is(Bug::CulpritKept) {
                    signing.bad.extend(culprits);
                }
                let first = package.nonces.first().map(|nonces| nonces.slot);
                for share in shares {
                    let slot = match first {
                        Some(first) if planted::is(Bug::FirstIsGuilty) => first,
                        _ => share.slot,
                    };
                    let act = Act::BadShare {
                        share: Box::new(share),
                        package: package.clone(),
                        stated: stated.clone(),
                    };
                    self.blame(Culprit::Member(slot), act);
                }
                self.sign_again(now_ms, false);
            }
        }
    }

    fn attest(&mut self, now_ms: u64, attestation: &StepAttestation, certificate: &Certificate) {
        let Some(lead) = &mut self.lead else {
            return;
        };
        let view = lead.view;
        let done = core::mem::replace(&mut lead.phase, Phase::Request { retry_at: None });
        let bytes = ByteBuf::from(attestation.to_bytes());
        for slot in self.slots() {
            self.send(slot, ToSigner::Attested(bytes.clone()));
        }
        self.outputs
            .push_back(Output::Publish(Box::new(*attestation)));
        self.settle(now_ms, attestation);
        self.listing
            .open(attestation.commit.seq, view, attestation.statement());
        if let Phase::Ballot(ballot) = done {
            let took_ms = now_ms.saturating_sub(ballot.proposed_ms);
            self.pace.took(ballot.job.requests.len(), took_ms);
            self.parking.signed();
            if let Some(signing) = &ballot.signing {
                self.name_silent(now_ms, &ballot, signing);
                self.park(now_ms, &ballot, signing);
            }
            self.name_dissent(&ballot, certificate);
            for (_, voter) in ballot.voters {
                self.listing.add(voter.vote);
            }
        }
        self.look_for_work(now_ms);
    }
}

/// What is unsigned or no point of the group would spoil a package for the others.
fn check_nonces<C: Ciphersuite>(
    voters: &mut BTreeMap<Slot, Voter>,
    committee: &Committee,
    verify: &impl Verify,
) {
    let signed = |nonces: &SignedNonces| {
        committee.committed(nonces, verify) && commitments_of::<C>(nonces).is_some()
    };
    for voter in voters.values_mut().filter(|voter| !voter.checked) {
        voter.ready = voter.ready.take().filter(signed);
        voter.checked = true;
    }
}

/// The group's signature from a session's shares, or the members whose shares are bad.
fn signature<C: Ciphersuite>(
    (committee, verify): (&Committee, &impl VerifyGroup),
    public: &PublicKeyPackage<C>,
    stated: &Stated,
    session: &Session,
) -> Result<Signature, Vec<Slot>> {
    let key = committee.group_key();
    let message = receipt::sig_structure(&stated.commit, &stated.root, key);
    let package = signing_package::<C>(&session.package.nonces, &message).ok_or(Vec::new())?;
    let mut shares = BTreeMap::new();
    let mut ids = BTreeMap::new();
    let mut malformed = Vec::new();
    for (slot, share) in &session.shares {
        let id = Identifier::<C>::try_from(slot.0).map_err(|_| Vec::new())?;
        ids.insert(id, *slot);
        match SignatureShare::<C>::deserialize(&share.share) {
            Ok(share) => {
                shares.insert(id, share);
            }
            Err(_) => malformed.push(*slot),
        }
    }
    if !malformed.is_empty() {
        return Err(malformed);
    }
    let all = CheaterDetection::AllCheaters;
    let signed = frost_core::aggregate_custom(&package, &shares, public, all);
    let bytes = signed
        .map_err(|error| error.culprits())
        .map_err(|culprits| {
            culprits
                .iter()
                .filter_map(|id| ids.get(id).copied())
                .collect::<Vec<_>>()
        })?
        .serialize()
        .map_err(|_| Vec::new())?;
    let signature = Signature::from_bytes(bytes.try_into().map_err(|_| Vec::new())?);
    // What counts is the equation that every consumer checks.
    let attestation = StepAttestation {
        commit: stated.commit,
        root: stated.root,
        signature,
    };
    if verify.attests(key, &attestation) {
        Ok(signature)
    } else {
        Err(Vec::new())
    }
}
