//! Lanes: what a group signs beside its steps, because an attested leaf says so (rule E3).
//!
//! A step's attestation is the order: it carries a leaf that fixes every byte of what is to be
//! signed. No vote is needed any more, and no coordinator is trusted for it: the signer derives the
//! message from the leaf itself, signs it and no other, at most one for each position of the lane,
//! and enters that in its register before a share leaves. What a later leaf may issue again at the
//! same position is the same but for what it does not fix ([`Warrant::fixed`]).
//!
//! Sans-IO and generic over the suite: [`LaneSigner`] holds a key share and nonces, and nothing of
//! what is signed but [`Signs`].

mod orders;

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use attestation::codec::{self, Layout};
use attestation::ids::{Attempt, Boot, Digest, Seq, Signature, Slot, View};
use attestation::leaf::Leaf;
use attestation::step_attestation::StepAttestation;
use attestation::{merkle, tags};
use frost_core::keys::KeyPackage;
use frost_core::{Ciphersuite, SigningPackage};
use rand_core::{CryptoRng, RngCore};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use sha2::{Digest as _, Sha256};
use state::job::Domain;

pub use self::orders::{EvmStatements, NomBlocks};
use crate::committee::Committee;
use crate::identity::{SignIdentity, Verify, VerifyIdentity};
use crate::message::{Lane, SignedNonces};
use crate::nonce::{Binding, OneShotNonces};
use crate::register::{Chain, Entry, LaneSigned, Record, Refused};
use crate::signer::signing_package;

/// Lanes sign in no view: positions order them.
const NO_VIEW: View = View(0);

/// A leaf of an attested step, with what shows that it is one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// The step's attestation, as [`StepAttestation::to_bytes`] writes it.
    pub attestation: ByteBuf,
    /// The leaf.
    pub leaf: ByteBuf,
    /// Its position among the step's leaves.
    pub index: u64,
    /// Its inclusion path, from the leaf up.
    pub path: Vec<Digest>,
}

/// What an attested leaf has the group sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warrant {
    /// The lane.
    pub lane: Lane,
    /// The step.
    pub seq: Seq,
    /// Position in the lane: one message is signed at each, or one again.
    pub position: u64,
    /// The bytes that are signed.
    pub message: Vec<u8>,
    /// Digest of all that stays the same when the position is issued again; `None` where nothing
    /// can be issued twice, so that the register need not know what was signed.
    pub fixed: Option<Digest>,
}

/// Which signing of a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signing {
    /// The lane.
    pub lane: Lane,
    /// The step of the leaf.
    pub seq: Seq,
    /// The position in the lane.
    pub position: u64,
    /// SHA-256 of the bytes that are signed.
    pub message: Digest,
}

/// What a group signed because a leaf says so, for the lane's consumer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signed {
    /// What was signed.
    pub signing: Signing,
    /// The suite's serialisation.
    #[serde(with = "serde_bytes")]
    pub signature: Vec<u8>,
}

impl Warrant {
    /// The signing that it is the warrant of.
    #[must_use]
    pub fn named(&self) -> Signing {
        Signing {
            lane: self.lane,
            seq: self.seq,
            position: self.position,
            message: digest(&self.message),
        }
    }
}

/// How a lane's leaves become messages.
pub trait Signs {
    /// What the leaf of an attested step has this committee sign; `None` if that is nothing.
    fn warrant(
        &self,
        committee: &Committee,
        step: &StepAttestation,
        leaf: &Leaf,
    ) -> Option<Warrant>;
}

impl Proof {
    /// The proof of a leaf of a step; `None` if there is no such leaf.
    #[must_use]
    pub fn of(attestation: &StepAttestation, leaves: &[Vec<u8>], index: usize) -> Option<Self> {
        let path = merkle::path(leaves, index)?;
        Some(Self {
            attestation: ByteBuf::from(attestation.to_bytes()),
            leaf: ByteBuf::from(leaves.get(index)?.clone()),
            index: u64::try_from(index).ok()?,
            path: path.into_iter().map(Digest::from_bytes).collect(),
        })
    }

    /// What the leaf has the group sign, if the committee attested it.
    ///
    /// # Errors
    /// [`LaneError::Proof`] if it did not, or the leaf is of another lane or committee.
    pub fn warrant(
        &self,
        committee: &Committee,
        verify: &impl Verify,
        signs: &impl Signs,
    ) -> Result<Warrant, LaneError> {
        self.check(committee, verify)
            .and_then(|(step, leaf)| signs.warrant(committee, &step, &leaf))
            .ok_or(LaneError::Proof)
    }

    fn check(
        &self,
        committee: &Committee,
        verify: &impl Verify,
    ) -> Option<(StepAttestation, Leaf)> {
        let step = StepAttestation::from_bytes(&self.attestation).ok()?;
        let domain = committee.domain();
        let ours =
            step.commit.network == domain.network && step.commit.committee == domain.committee;
        if !ours {
            return None;
        }
        let path: Vec<[u8; 32]> = self.path.iter().map(|hash| *hash.as_bytes()).collect();
        let hash = merkle::leaf_hash(&self.leaf);
        let root = merkle::root_from_path(hash, self.index, step.commit.tree_size, &path)?;
        let leaf = Leaf::from_bytes(&self.leaf).ok()?;
        let is_included = root == step.root && leaf.seq() == step.commit.seq;
        (is_included && verify.attests(committee.group_key(), &step)).then_some((step, leaf))
    }
}

/// A coordinator's question to sign what a leaf says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ToLane {
    /// Offer commitments.
    Offer(Proof),
    /// Sign.
    Package(LanePackage),
}

/// A signer's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum FromLane {
    /// Commitments for one signing.
    Nonces(SignedNonces),
    /// A share.
    Share(LaneShare),
}

/// The commitments of exactly t members, for one signing of one warrant.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LanePackage {
    /// Rank of the coordinator.
    pub rank: u16,
    /// SHA-256 of the bytes to be signed.
    pub message: Digest,
    /// The set's commitments in slot order.
    pub nonces: Vec<SignedNonces>,
    /// Signature by the coordinator's identity key over [`LanePackage::signed_bytes`].
    pub signature: Signature,
}

/// A member's share for a package.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaneShare {
    /// The member.
    pub slot: Slot,
    /// [`LanePackage::digest`].
    pub package: Digest,
    /// `frost_core::round2::SignatureShare::serialize`.
    pub share: ByteBuf,
    /// Signature by the member's identity key over [`LaneShare::signed_bytes`].
    pub signature: Signature,
}

impl LanePackage {
    /// The bytes that the coordinator signs.
    #[must_use]
    pub fn signed_bytes(&self, domain: &Domain) -> Vec<u8> {
        self.layout(domain).into_bytes()
    }

    /// SHA-256 of the signed bytes: what shares are bound to.
    #[must_use]
    pub fn digest(&self, domain: &Domain) -> Digest {
        self.layout(domain).digest()
    }

    /// Whether its coordinator signed it.
    #[must_use]
    pub fn is_signed(&self, committee: &Committee, verify: &impl VerifyIdentity) -> bool {
        let message = self.signed_bytes(committee.domain());
        committee
            .coordinator(self.rank)
            .is_some_and(|key| verify.verify(key, &message, &self.signature))
    }

    fn layout(&self, domain: &Domain) -> Layout {
        domain
            .layout(tags::LANE_PACKAGE)
            .number(self.rank)
            .fixed(self.message.as_bytes())
            .bytes(&codec::encode(&self.nonces))
    }
}

impl LaneShare {
    /// The bytes that the member signs.
    #[must_use]
    pub fn signed_bytes(&self, domain: &Domain) -> Vec<u8> {
        domain
            .layout(tags::LANE_SHARE)
            .number(self.slot.0)
            .fixed(self.package.as_bytes())
            .bytes(&self.share)
            .into_bytes()
    }

    /// Whether a current member signed it.
    #[must_use]
    pub fn is_signed(&self, committee: &Committee, verify: &impl VerifyIdentity) -> bool {
        let message = self.signed_bytes(committee.domain());
        committee
            .member(self.slot)
            .is_some_and(|key| verify.verify(key, &message, &self.signature))
    }
}

/// Why a lane does not sign. Nothing has left, and no nonce is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LaneError {
    /// The proof does not show a leaf of this lane that the committee attested.
    #[error("no attested leaf of this lane")]
    Proof,
    /// The signer does not hold the step yet: it catches up first.
    #[error("the step of the leaf is above this signer's head")]
    Unheld,
    /// No commitments were offered to this coordinator, or the package is of another message.
    #[error("no commitments were offered for this message")]
    NotAsked,
    /// The package's coordinator did not sign it.
    #[error("the package is not signed by its coordinator")]
    Coordinator,
    /// Not exactly t members in slot order.
    #[error("the signing set is not t members in slot order")]
    Set,
    /// Commitments that their member did not make for this signing, or no points.
    #[error("commitments that their member did not make for this signing")]
    Commitments,
    /// The own commitments are not the ones offered.
    #[error("own commitments are not the ones offered")]
    OwnCommitments,
    /// As many leaves wait for this coordinator as fit.
    #[error("too many leaves wait to be signed")]
    Busy,
    /// The register does not allow it: another message was signed at this position or above.
    #[error(transparent)]
    Register(#[from] Refused),
}

/// The signer that a lane belongs to, as it is now.
#[derive(Debug)]
pub struct Party<'a, I, V> {
    /// The committee.
    pub committee: &'a Committee,
    /// This member.
    pub slot: Slot,
    /// Its start.
    pub boot: Boot,
    /// The last attested step that it holds.
    pub head: Seq,
    /// Its identity key.
    pub identity: &'a I,
    /// Verifies the others'.
    pub verify: &'a V,
}

/// One lane of a member's signer.
pub struct LaneSigner<C: Ciphersuite, S> {
    signs: S,
    key: KeyPackage<C>,
    /// One signing for each coordinator at most.
    open: BTreeMap<u16, Open<C>>,
    made: u16,
}

/// Commitments that a coordinator was offered.
struct Open<C: Ciphersuite> {
    warrant: Warrant,
    binding: Binding,
    nonces: OneShotNonces<C>,
    offered: SignedNonces,
    /// What to sign, and how many register entries must be on disk before.
    ready: Option<(Digest, SigningPackage<C>, u64)>,
}

impl<C: Ciphersuite, S: Signs> LaneSigner<C, S> {
    /// A lane under a key share.
    #[must_use]
    pub const fn new(signs: S, key: KeyPackage<C>) -> Self {
        Self {
            signs,
            key,
            open: BTreeMap::new(),
            made: 0,
        }
    }

    /// Offers a coordinator commitments for what an attested leaf says; those that it was offered
    /// before are gone.
    ///
    /// # Errors
    /// [`LaneError::Proof`], [`LaneError::Unheld`].
    pub fn offer<I: SignIdentity, V: Verify>(
        &mut self,
        party: &Party<'_, I, V>,
        rng: &mut (impl RngCore + CryptoRng),
        rank: u16,
        proof: &Proof,
    ) -> Result<SignedNonces, LaneError> {
        let committee = party.committee;
        let known = committee.ranks().any(|known| known == rank);
        let warrant = proof.warrant(committee, party.verify, &self.signs)?;
        if !known {
            return Err(LaneError::Coordinator);
        }
        if warrant.seq > party.head {
            return Err(LaneError::Unheld);
        }
        let binding = Binding {
            lane: warrant.lane,
            epoch: committee.epoch(),
            seq: warrant.seq,
            view: NO_VIEW,
            attempt: Attempt(self.made),
            boot: party.boot,
        };
        self.made = self.made.wrapping_add(1);
        let nonces = OneShotNonces::generate(binding, &self.key, rng);
        let points = nonces.commitments().serialize();
        let mut offered = SignedNonces {
            slot: party.slot,
            lane: binding.lane,
            epoch: binding.epoch,
            seq: binding.seq,
            view: binding.view,
            attempt: binding.attempt,
            boot: binding.boot,
            // Nonces of the library always serialise.
            commitments: ByteBuf::from(points.map_err(|_| LaneError::Commitments)?),
            signature: Signature::from_bytes([0; 64]),
        };
        offered.signature = party
            .identity
            .sign(&offered.signed_bytes(committee.domain()));
        let open = Open {
            warrant,
            binding,
            nonces,
            offered: offered.clone(),
            ready: None,
        };
        self.open.insert(rank, open);
        Ok(offered)
    }

    /// Takes a package: every check, then the register. The share is for [`Self::release`], once
    /// the entry, if there is one, is on disk.
    ///
    /// # Errors
    /// [`LaneError`]; the commitments stay on offer.
    pub fn package<I: SignIdentity, V: Verify>(
        &mut self,
        party: &Party<'_, I, V>,
        chain: &mut Chain,
        rank: u16,
        package: &LanePackage,
    ) -> Result<Option<Entry>, LaneError> {
        let committee = party.committee;
        let open = self.open.get_mut(&rank).ok_or(LaneError::NotAsked)?;
        if package.message != digest(&open.warrant.message) {
            return Err(LaneError::NotAsked);
        }
        if package.rank != rank || !package.is_signed(committee, party.verify) {
            return Err(LaneError::Coordinator);
        }
        let threshold = usize::from(committee.quorum().threshold());
        let is_ordered = package
            .nonces
            .windows(2)
            .all(|pair| matches!(pair, [a, b] if a.slot < b.slot));
        if package.nonces.len() != threshold || !is_ordered {
            return Err(LaneError::Set);
        }
        let own = package.nonces.iter().find(|one| one.slot == party.slot);
        if own != Some(&open.offered) {
            return Err(LaneError::OwnCommitments);
        }
        for nonces in package.nonces.iter().filter(|one| one.slot != party.slot) {
            let bound = (nonces.lane, nonces.seq, nonces.view)
                == (open.binding.lane, open.binding.seq, NO_VIEW);
            if !bound || !committee.committed(nonces, party.verify) {
                return Err(LaneError::Commitments);
            }
        }
        // Bytes that are no points would cost the nonces and give no share.
        let signing = signing_package(&package.nonces, &open.warrant.message)
            .ok_or(LaneError::Commitments)?;
        let (entry, gate) = match open.warrant.fixed {
            Some(fixed) => {
                let appended = chain.append(Record::Signed(LaneSigned {
                    lane: open.warrant.lane,
                    position: open.warrant.position,
                    message: package.message,
                    fixed,
                }))?;
                (appended.entry, appended.gate.saturating_add(1))
            }
            None => (None, 0),
        };
        open.ready = Some((package.digest(committee.domain()), signing, gate));
        Ok(entry)
    }

    /// Whether this coordinator was offered commitments for the package's message.
    #[must_use]
    pub fn expects(&self, rank: u16, package: &LanePackage) -> bool {
        let open = self.open.get(&rank);
        open.is_some_and(|open| digest(&open.warrant.message) == package.message)
    }

    /// The shares whose register entries are on disk: entries below `durable` are. Their nonces
    /// are gone.
    pub fn release<I: SignIdentity, V: Verify>(
        &mut self,
        party: &Party<'_, I, V>,
        durable: u64,
    ) -> Vec<(u16, LaneShare)> {
        let due = |open: &Open<C>| {
            open.ready
                .as_ref()
                .is_some_and(|(_, _, gate)| *gate <= durable)
        };
        let ranks: Vec<u16> = self
            .open
            .iter()
            .filter(|(_, open)| due(open))
            .map(|(rank, _)| *rank)
            .collect();
        let mut shares = Vec::new();
        for rank in ranks {
            let Some(open) = self.open.remove(&rank) else {
                continue;
            };
            let Some((package, signing, _)) = open.ready else {
                continue;
            };
            let Ok(share) = open.nonces.sign(&open.binding, &signing, &self.key) else {
                continue;
            };
            let mut share = LaneShare {
                slot: party.slot,
                package,
                share: ByteBuf::from(share),
                signature: Signature::from_bytes([0; 64]),
            };
            let message = share.signed_bytes(party.committee.domain());
            share.signature = party.identity.sign(&message);
            shares.push((rank, share));
        }
        shares
    }

    /// Goes on under the key share of a new epoch; nonces of the old one are gone.
    pub fn renew(&mut self, key: KeyPackage<C>) {
        self.close();
        self.key = key;
    }

    /// Forgets all nonces.
    pub fn close(&mut self) {
        self.open.clear();
    }
}

impl<C: Ciphersuite, S> core::fmt::Debug for LaneSigner<C, S> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("LaneSigner")
            .field("open", &self.open.len())
            .finish_non_exhaustive()
    }
}

/// SHA-256 of what is signed, as packages and the register name it.
#[must_use]
pub fn digest(message: &[u8]) -> Digest {
    Digest::from_bytes(Sha256::digest(message).into())
}
