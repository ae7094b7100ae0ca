//! Leading the signing of what an attested leaf says (rule E3), beside the steps.
//!
//! Members offer commitments; the first t that are ready are packaged, last those who let earlier
//! signings of the lane wait ([`crate::parking`]); their shares make the signature. A member whose
//! share is bad is named and left out, one that is silent is passed over in the next round. The
//! signers check everything again: a coordinator that lies here gets no share, and one that vanishes
//! loses nothing but time.

#[cfg(test)]
mod vectors;

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::vec::Vec;

use attestation::ids::{Digest, Signature, Slot};
use frost_core::keys::PublicKeyPackage;
use frost_core::round1::SigningCommitments;
use frost_core::round2::SignatureShare;
use frost_core::{CheaterDetection, Ciphersuite, Identifier};
use serde_bytes::ByteBuf;
use signer_protocol::blame::LeafShare;
use signer_protocol::committee::Committee;
use signer_protocol::identity::{SignIdentity, Verify};
use signer_protocol::lane::{
    FromLane, LaneError, LanePackage, LaneShare, Proof, Signs, ToLane, Warrant, digest,
};
use signer_protocol::message::SignedNonces;
use signer_protocol::signer::signing_package;

use crate::coordinator::SHARE_WAIT_MS;
use crate::parking::{Parking, SPARE_WAIT_MS};

/// How long members may take to answer before others take their place.
pub const ROUND_MS: u64 = 1_000;

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LaneOutput {
    /// Tell a member's signer.
    Send(Slot, ToLane),
    /// The group has signed: the suite's serialisation, verified under the group key and by what
    /// the lane's consumer checks.
    Signed(Vec<u8>),
    /// A member's share fails under its verifying share.
    BadShare(Box<LeafShare>),
    /// A member kept a round from ending.
    Silent(Slot),
}

/// The signing of one warrant, led by one coordinator.
pub struct LaneSigning<C: Ciphersuite, I, V, F> {
    committee: Committee,
    rank: u16,
    identity: I,
    verify: V,
    public: PublicKeyPackage<C>,
    /// Whether a consumer would take the signature over the message.
    valid: F,
    proof: Proof,
    warrant: Warrant,
    ready: BTreeMap<Slot, SignedNonces>,
    session: Option<Session>,
    bad: BTreeSet<Slot>,
    silent: BTreeSet<Slot>,
    parking: Parking,
    /// Until when parked members wait for others, once t are ready.
    spare_until: Option<u64>,
    round_ends: u64,
    rounds: u32,
    outputs: VecDeque<LaneOutput>,
    done: bool,
}

/// A package, and the shares that have come for it.
struct Session {
    package: LanePackage,
    digest: Digest,
    shares: BTreeMap<Slot, LaneShare>,
    /// Members whose share was longer on its way than one of a step may be.
    late: BTreeSet<Slot>,
    opened_ms: u64,
}

/// A coordinator and what it knows the group by.
#[derive(Debug)]
pub struct Leader<C: Ciphersuite, I, V> {
    /// The committee.
    pub committee: Committee,
    /// The coordinator's rank.
    pub rank: u16,
    /// Its identity key.
    pub identity: I,
    /// Verifies the members'.
    pub verify: V,
    /// The group's key under the lane's suite, with all verifying shares.
    pub public: PublicKeyPackage<C>,
}

impl<C, I, V, F> LaneSigning<C, I, V, F>
where
    C: Ciphersuite,
    I: SignIdentity,
    V: Verify,
    F: Fn(&[u8], &[u8]) -> bool,
{
    /// Begins to sign what a leaf says. `valid` is the check of whoever takes the signature: of
    /// message and signature, in this order.
    ///
    /// # Errors
    /// [`LaneError::Proof`] if no signer would take the proof.
    pub fn new(
        now_ms: u64,
        leader: Leader<C, I, V>,
        proof: Proof,
        signs: &impl Signs,
        valid: F,
    ) -> Result<Self, LaneError> {
        let warrant = proof.warrant(&leader.committee, &leader.verify, signs)?;
        let parking = Parking::new(leader.committee.quorum());
        let leads = (leader, parking, valid);
        Ok(Self::begin(now_ms, leads, proof, warrant))
    }

    /// Begins to sign what a leaf says: `warrant` is its proof's.
    pub(crate) fn begin(
        now_ms: u64,
        (leader, parking, valid): (Leader<C, I, V>, Parking, F),
        proof: Proof,
        warrant: Warrant,
    ) -> Self {
        let mut signing = Self {
            committee: leader.committee,
            rank: leader.rank,
            identity: leader.identity,
            verify: leader.verify,
            public: leader.public,
            valid,
            proof,
            warrant,
            ready: BTreeMap::new(),
            session: None,
            bad: BTreeSet::new(),
            silent: BTreeSet::new(),
            parking,
            spare_until: None,
            round_ends: now_ms,
            rounds: 0,
            outputs: VecDeque::new(),
            done: false,
        };
        signing.ask(now_ms);
        signing
    }

    /// Gives the coordinator back, for its next signing, and what it has seen of the members.
    pub(crate) fn into_leader(self) -> (Leader<C, I, V>, Parking, F) {
        let leader = Leader {
            committee: self.committee,
            rank: self.rank,
            identity: self.identity,
            verify: self.verify,
            public: self.public,
        };
        (leader, self.parking, self.valid)
    }

    /// What another leaf would have this lane sign.
    pub(crate) fn warrant_of(
        &self,
        proof: &Proof,
        signs: &impl Signs,
    ) -> Result<Warrant, LaneError> {
        proof.warrant(&self.committee, &self.verify, signs)
    }

    /// How often commitments were asked for.
    #[must_use]
    pub const fn rounds(&self) -> u32 {
        self.rounds
    }

    /// Most members that may spoil a round each before only those are left that do not.
    #[must_use]
    pub const fn spoilers_max(&self) -> u32 {
        self.committee.quorum().blocking() as u32
    }

    /// What is being signed.
    #[must_use]
    pub const fn warrant(&self) -> &Warrant {
        &self.warrant
    }

    /// The next thing to do.
    pub fn poll(&mut self) -> Option<LaneOutput> {
        self.outputs.pop_front()
    }

    /// When to call [`Self::handle_timeout`]; `None` once it is signed.
    #[must_use]
    pub const fn poll_timeout(&self) -> Option<u64> {
        if self.done {
            None
        } else {
            Some(self.round_ends)
        }
    }

    /// Takes a signer's answer.
    pub fn handle(&mut self, now_ms: u64, from: Slot, answer: FromLane) {
        if self.done {
            return;
        }
        match answer {
            FromLane::Nonces(nonces) => self.on_nonces(now_ms, from, nonces),
            FromLane::Share(share) => self.on_share(now_ms, from, share),
        }
    }

    /// Ends a round that did not come to an end: whoever was silent is passed over in the next.
    pub fn handle_timeout(&mut self, now_ms: u64) {
        if self.done || now_ms < self.round_ends {
            return;
        }
        match self.session.take() {
            Some(session) => {
                let silent = session.silent();
                self.judge(&session, &silent);
                for slot in silent {
                    self.silent.insert(slot);
                    self.outputs.push_back(LaneOutput::Silent(slot));
                }
            }
            None if self.package_ready(now_ms) => return,
            // Too few were ready: nobody can be passed over.
            None => self.silent.clear(),
        }
        self.ask(now_ms);
    }

    /// Whose shares of a session came in time. Those of `missing` did not come, or are wrong.
    fn judge(&mut self, session: &Session, missing: &BTreeSet<Slot>) {
        let late = missing | &session.late;
        let in_time = session.shares.keys().copied();
        let in_time = in_time.filter(|slot| !late.contains(slot)).collect();
        self.parking.judge(&in_time, &late);
    }

    /// Asks for fresh commitments: whatever was offered before may be used or gone.
    fn ask(&mut self, now_ms: u64) {
        self.ready.clear();
        self.spare_until = None;
        self.rounds = self.rounds.saturating_add(1);
        self.round_ends = now_ms.saturating_add(ROUND_MS);
        let slots = self.committee.slots();
        let asked: Vec<Slot> = slots.filter(|slot| !self.bad.contains(slot)).collect();
        for slot in asked {
            let offer = ToLane::Offer(self.proof.clone());
            self.outputs.push_back(LaneOutput::Send(slot, offer));
        }
    }

    fn on_nonces(&mut self, now_ms: u64, from: Slot, nonces: SignedNonces) {
        let bound =
            (nonces.slot, nonces.lane, nonces.seq) == (from, self.warrant.lane, self.warrant.seq);
        // What is unsigned or no point of the group would spoil a package for the others.
        let sound = bound
            && self.committee.committed(&nonces, &self.verify)
            && SigningCommitments::<C>::deserialize(&nonces.commitments).is_ok();
        if !sound || self.bad.contains(&from) || self.session.is_some() {
            return;
        }
        self.ready.insert(from, nonces);
        self.package_ready(now_ms);
    }

    /// Opens a session with t of those who are ready, unless others are worth waiting for. Whether
    /// it did.
    fn package_ready(&mut self, now_ms: u64) -> bool {
        let pool = self.ready.values();
        let pool = pool.filter(|nonces| !self.silent.contains(&nonces.slot));
        let pool: Vec<&SignedNonces> = pool.collect();
        let here: Vec<Slot> = pool.iter().map(|nonces| nonces.slot).collect();
        let Some(set) = self.parking.choose(pool, |nonces| nonces.slot) else {
            return false;
        };
        let set = set.into_iter().cloned().collect();
        let coming = self.committee.slots().filter(|slot| {
            let passed = self.bad.contains(slot) || self.silent.contains(slot);
            !passed && !self.ready.contains_key(slot)
        });
        let waits = self.parking.waits(here.into_iter(), coming);
        let until = now_ms.saturating_add(SPARE_WAIT_MS);
        let until = *self.spare_until.get_or_insert(until);
        if waits && now_ms < until {
            self.round_ends = until;
            return false;
        }
        self.open(now_ms, set);
        true
    }

    fn open(&mut self, now_ms: u64, nonces: Vec<SignedNonces>) {
        let mut package = LanePackage {
            rank: self.rank,
            message: digest(&self.warrant.message),
            nonces,
            signature: Signature::from_bytes([0; 64]),
        };
        let domain = self.committee.domain();
        package.signature = self.identity.sign(&package.signed_bytes(domain));
        for nonces in &package.nonces {
            let send = LaneOutput::Send(nonces.slot, ToLane::Package(package.clone()));
            self.outputs.push_back(send);
        }
        self.session = Some(Session {
            digest: package.digest(domain),
            package,
            shares: BTreeMap::new(),
            late: BTreeSet::new(),
            opened_ms: now_ms,
        });
        self.round_ends = now_ms.saturating_add(ROUND_MS);
    }

    fn on_share(&mut self, now_ms: u64, from: Slot, share: LaneShare) {
        let Some(session) = &mut self.session else {
            return;
        };
        let mut set = session.package.nonces.iter().map(|nonces| nonces.slot);
        let asked = set.any(|slot| slot == from)
            && share.slot == from
            && share.package == session.digest
            && share.is_signed(&self.committee, &self.verify);
        if !asked {
            return;
        }
        if !session.shares.contains_key(&from)
            && now_ms > session.opened_ms.saturating_add(SHARE_WAIT_MS)
        {
            session.late.insert(from);
        }
        session.shares.entry(from).or_insert(share);
        if session.shares.len() < session.package.nonces.len() {
            return;
        }
        let Some(session) = self.session.take() else {
            return;
        };
        match aggregate(&self.public, &self.warrant, &session) {
            Ok(signature) if (self.valid)(&self.warrant.message, &signature) => {
                self.done = true;
                self.parking.signed();
                self.judge(&session, &BTreeSet::new());
                self.outputs.push_back(LaneOutput::Signed(signature));
            }
            Ok(_) => self.ask(now_ms),
            Err(culprits) => {
                self.parking
                    .judge(&BTreeSet::new(), &culprits.iter().copied().collect());
                for slot in culprits {
                    if let Some(share) = session.shares.get(&slot) {
                        let leaf = Box::new(LeafShare {
                            share: share.clone(),
                            package: session.package.clone(),
                            message: ByteBuf::from(self.warrant.message.clone()),
                            evm: None,
                        });
                        self.outputs.push_back(LaneOutput::BadShare(leaf));
                    }
                    self.bad.insert(slot);
                }
                self.ask(now_ms);
            }
        }
    }
}

impl Session {
    fn silent(&self) -> BTreeSet<Slot> {
        let set = self.package.nonces.iter().map(|nonces| nonces.slot);
        set.filter(|slot| !self.shares.contains_key(slot)).collect()
    }
}

/// The group's signature from a session's shares, or the members whose shares are bad.
fn aggregate<C: Ciphersuite>(
    public: &PublicKeyPackage<C>,
    warrant: &Warrant,
    session: &Session,
) -> Result<Vec<u8>, Vec<Slot>> {
    let package = signing_package::<C>(&session.package.nonces, &warrant.message);
    let package = package.ok_or(Vec::new())?;
    let (mut shares, mut ids) = (BTreeMap::new(), BTreeMap::new());
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
    let signed = signed.map_err(|error| {
        let culprits = error.culprits();
        let slots = culprits.iter().filter_map(|id| ids.get(id).copied());
        slots.collect::<Vec<_>>()
    })?;
    signed.serialize().map_err(|_| Vec::new())
}

impl<C: Ciphersuite, I, V, F> core::fmt::Debug for LaneSigning<C, I, V, F> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("LaneSigning")
            .field("lane", &self.warrant.lane)
            .field("position", &self.warrant.position)
            .field("done", &self.done)
            .finish_non_exhaustive()
    }
}
