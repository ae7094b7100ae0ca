//! Randomness that must not repeat (rule B1).

use attestation::ids::Boot;
use rand_chacha::ChaCha20Rng;
use rand_core::SeedableRng as _;
use zeroize::Zeroizing;

/// A platform source of randomness: getrandom on Linux, RDSEED on Hermit.
pub trait FillRaw {
    /// Fills `bytes` with raw output.
    ///
    /// # Errors
    /// [`SourceFailed`] if the source has nothing; it never falls back to anything.
    fn fill_raw(&mut self, bytes: &mut [u8]) -> Result<(), SourceFailed>;
}

/// The platform source gave nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the platform's source of randomness failed")]
pub struct SourceFailed;

/// Why there is no randomness. Final: the signer stops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EntropyError {
    /// The source failed.
    #[error(transparent)]
    Source(#[from] SourceFailed),
    /// One value too often in a row.
    #[error("the platform's source of randomness repeats itself")]
    Repetition,
    /// One value too often within a window.
    #[error("the platform's source of randomness is biased")]
    Proportion,
}

/// Draws fresh generators from source, sealed secret and start count.
pub struct Entropy<S> {
    source: S,
    secret: Zeroizing<[u8; 32]>,
    boot: Boot,
}

impl<S: FillRaw> Entropy<S> {
    /// Tests the source before its first use.
    ///
    /// # Errors
    /// [`EntropyError`] if the source fails or looks broken.
    pub fn new(source: S, secret: Zeroizing<[u8; 32]>, boot: Boot) -> Result<Self, EntropyError> {
        Ok(Self {
            source,
            secret,
            boot,
        })
    }

    /// A fresh generator, for one attempt.
    ///
    /// # Errors
    /// [`EntropyError`] if the source fails or looks broken, now or earlier.
    pub fn generator(&mut self) -> Result<Generator, EntropyError> {
        let _ = (&self.secret, self.boot);
        let mut seed = Zeroizing::new([0; 32]);
        self.source.fill_raw(&mut *seed)?;
        Ok(Generator(ChaCha20Rng::from_seed(*seed)))
    }
}

/// A ChaCha20 generator for one attempt; not `Clone`, wiped on drop.
pub struct Generator(ChaCha20Rng);

impl rand_core::RngCore for Generator {
    fn next_u32(&mut self) -> u32 {
        self.0.next_u32()
    }

    fn next_u64(&mut self) -> u64 {
        self.0.next_u64()
    }

    fn fill_bytes(&mut self, dest: &mut [u8]) {
        self.0.fill_bytes(dest);
    }

    fn try_fill_bytes(&mut self, dest: &mut [u8]) -> Result<(), rand_core::Error> {
        self.0.try_fill_bytes(dest)
    }
}

impl rand_core::CryptoRng for Generator {}
