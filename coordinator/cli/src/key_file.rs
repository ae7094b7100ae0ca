//! A caller's key: a file of 64 hexadecimal digits, the Ed25519 seed, readable by its owner only.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;

use attestation::ids::{IdentityKey, Signature};
use attestation::request::{Call, Request};
use ed25519_dalek::{Signer as _, SigningKey};
use zeroize::Zeroizing;

use crate::failure::Failure;
use crate::files;

/// A caller's signing key.
pub(crate) struct CallerKey(SigningKey);

impl CallerKey {
    /// Makes a key in a new file.
    pub(crate) fn create(path: &Path) -> Result<Self, Failure> {
        let mut seed = Zeroizing::new([0u8; 32]);
        getrandom::getrandom(&mut *seed)
            .map_err(|error| Failure::new(format!("no randomness: {error}"), "try again"))?;
        let text = Zeroizing::new(hex::encode(*seed));
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(|error| Failure::file(path, &error))?;
        writeln!(file, "{}", *text)
            .and_then(|()| file.sync_all())
            .map_err(|error| Failure::file(path, &error))?;
        Ok(Self(SigningKey::from_bytes(&seed)))
    }

    /// Reads a key file; refuses one that others can read.
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        Ok(Self(SigningKey::from_bytes(&*secret(path)?)))
    }

    /// The public key.
    pub(crate) fn identity(&self) -> IdentityKey {
        IdentityKey::from_bytes(self.0.verifying_key().to_bytes())
    }

    /// Signs a block of the key's own account on the Network of Momentum.
    pub(crate) fn sign_block(&self, hash: &nom::Hash) -> [u8; 64] {
        self.0.sign(hash.as_bytes()).to_bytes()
    }

    /// Signs a Sentinel owner's statement on a member.
    pub(crate) fn sign_statement(&self, statement: &str) -> Signature {
        Signature::from_bytes(self.0.sign(statement.as_bytes()).to_bytes())
    }

    /// Signs a call.
    pub(crate) fn sign(&self, call: Call) -> Request {
        let signature = Signature::from_bytes(self.0.sign(&call.signed_bytes()).to_bytes());
        Request { call, signature }
    }
}

/// The secret of a key file; refuses one that others can read.
pub(crate) fn secret(path: &Path) -> Result<Zeroizing<[u8; 32]>, Failure> {
    let text = Zeroizing::new(files::read_text(path, files::KEY_BYTES_MAX)?);
    let mut secret = Zeroizing::new([0u8; 32]);
    hex::decode_to_slice(text.trim(), &mut *secret).map_err(|_| {
        Failure::new(
            "not a key file: 64 hexadecimal digits expected",
            "see zq key new",
        )
    })?;
    let metadata = fs::metadata(path).map_err(|error| Failure::file(path, &error))?;
    if metadata.permissions().mode() & 0o077 != 0 {
        let advice = format!("chmod 600 {}", path.display());
        return Err(Failure::new("others can read the key file", advice));
    }
    Ok(secret)
}
