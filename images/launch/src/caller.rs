//! A caller: signs requests and follows them to their attestation.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use attestation::ids::{CommitteeId, IdentityKey, NetworkId, Signature, ZappId};
use attestation::request::{Call, FeePayer, Request};
use ed25519_dalek::{Signer as _, SigningKey};
use serde_json::Value;

use crate::http::{Http, HttpError};

/// Gas limit of requests that do not say otherwise.
pub const GAS_LIMIT: u64 = 50_000_000;
/// How long requests stay valid.
const VALID_MS: u64 = 10 * 60 * 1000;

/// Someone with a key who calls zApps.
#[derive(Debug)]
pub struct Caller {
    key: SigningKey,
    network: NetworkId,
    committee: CommitteeId,
    nonce: u64,
}

impl Caller {
    /// A caller with a fresh key.
    ///
    /// # Errors
    /// If the system has no randomness.
    pub fn new(network: NetworkId, committee: CommitteeId) -> Result<Self> {
        let mut seed = [0u8; 32];
        getrandom::getrandom(&mut seed).context("no randomness from the system")?;
        Ok(Self {
            key: SigningKey::from_bytes(&seed),
            network,
            committee,
            nonce: 0,
        })
    }

    /// The caller's key.
    #[must_use]
    pub fn identity(&self) -> IdentityKey {
        IdentityKey::from_bytes(self.key.verifying_key().to_bytes())
    }

    /// A signed request with the next nonce.
    ///
    /// # Errors
    /// If the machine's clock is before 1970.
    pub fn request(&mut self, zapp: ZappId, method: &str, input: Vec<u8>) -> Result<Request> {
        self.nonce += 1;
        Ok(self.sign(Call {
            network: self.network,
            committee: self.committee,
            zapp,
            method: method.to_owned(),
            input,
            gas_limit: GAS_LIMIT,
            fee_payer: FeePayer::Zapp,
            nonce: self.nonce,
            valid_until_ms: now_ms()? + VALID_MS,
            caller: self.identity(),
            pull: None,
        }))
    }

    /// Signs a call as it is.
    #[must_use]
    pub fn sign(&self, call: Call) -> Request {
        let signature = Signature::from_bytes(self.key.sign(&call.signed_bytes()).to_bytes());
        Request { call, signature }
    }

    /// Sends a request and waits for its attestation; the answer is the node's JSON.
    ///
    /// # Errors
    /// [`HttpError`] if the node refuses or nobody answers.
    pub fn submit(&self, http: &Http, request: &Request, wait_s: u64) -> Result<Value, HttpError> {
        let path = format!("/v1/requests?wait={wait_s}");
        http.post(&path, "application/cbor", &request.to_bytes())
    }
}

/// Unix milliseconds.
///
/// # Errors
/// If the machine's clock is before 1970.
pub fn now_ms() -> Result<u64> {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .context("the clock is before 1970")?;
    u64::try_from(now.as_millis()).context("the clock is far in the future")
}
