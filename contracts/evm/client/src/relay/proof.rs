//! Proofs, checked before gas is paid for them.

use attestation::ids::EvmKey;
use attestation::merkle;
use signer_protocol::suite;

use super::{Proof, Relay, RelayError, Source};
use crate::calldata::{Attestation, Signature};

impl Relay {
    /// A leaf's proof, checked.
    pub(super) fn proof<S: Source>(
        &self,
        source: &mut S,
        seq: u64,
        index: u64,
        key: &EvmKey,
    ) -> Result<Option<Proof>, RelayError<S::Error>> {
        let proof = self.unsigned(source, seq, index)?;
        if let Some(proof) = &proof {
            self.require_signed(proof, key)?;
        }
        Ok(proof)
    }

    /// A leaf's proof, of which the signature is still to be checked.
    pub(super) fn unsigned<S: Source>(
        &self,
        source: &mut S,
        seq: u64,
        index: u64,
    ) -> Result<Option<Proof>, RelayError<S::Error>> {
        let proof = source.proof(seq, index).map_err(RelayError::Source)?;
        let flaw = proof
            .as_ref()
            .and_then(|proof| self.flaw(proof, seq, index));
        match flaw {
            Some(why) => Err(RelayError::Proof { seq, index, why }),
            None => Ok(proof),
        }
    }

    /// Requires the signature of the key that the contract trusts.
    pub(super) fn require_signed<E>(
        &self,
        proof: &Proof,
        key: &EvmKey,
    ) -> Result<(), RelayError<E>> {
        if is_signed(proof, key) {
            return Ok(());
        }
        let (seq, index) = (proof.commit.seq.0, proof.inclusion.index);
        // The committee signs with its next key while contracts let the delay pass.
        let next = self.acceptor().map(|acceptor| acceptor.pending_key());
        if let Some(next) = next.transpose()?.flatten()
            && is_signed(proof, &next)
        {
            return Err(RelayError::NextKey { seq });
        }
        let why = "the signature is not the group's";
        Err(RelayError::Proof { seq, index, why })
    }

    fn flaw(&self, proof: &Proof, seq: u64, index: u64) -> Option<&'static str> {
        let (commit, inclusion) = (&proof.commit, &proof.inclusion);
        let trust = &self.target.trust;
        if commit.seq.0 != seq || inclusion.index != index {
            return Some("another step or leaf");
        }
        if (commit.network.0, commit.committee) != (trust.network, trust.committee) {
            return Some("another committee's step");
        }
        let hash = merkle::leaf_hash(&inclusion.leaf);
        let root = merkle::root_from_path(hash, index, commit.tree_size, &inclusion.path);
        (root != Some(proof.root)).then_some("the leaf is not in the step")
    }
}

fn is_signed(proof: &Proof, key: &EvmKey) -> bool {
    let statement = proof.commit.statement(&proof.root);
    suite::verify_evm(key, statement.as_bytes(), &proof.signature)
}

/// The step as contracts take it.
pub(super) fn attested<E>(proof: &Proof) -> Result<Attestation, RelayError<E>> {
    let signature = Signature::new(&proof.signature).ok_or(RelayError::Proof {
        seq: proof.commit.seq.0,
        index: proof.inclusion.index,
        why: "the signature's R is no point",
    })?;
    Ok(Attestation::new(&proof.commit, &proof.root, signature))
}
