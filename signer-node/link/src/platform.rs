//! The platform's source of randomness. Linux: `getrandom`. Hermit: RDSEED or RDRAND themselves,
//! since the kernel's call gives the output of a generator, on which a health test says nothing.

use signer_protocol::entropy::{Entropy, EntropyError, FillRaw, SourceFailed};
use zeroize::Zeroizing;

use attestation::ids::Boot;

use crate::secret::BootSeed;

/// The source, without state.
#[derive(Clone, Copy, Debug, Default)]
pub struct Platform;

impl FillRaw for Platform {
    fn fill_raw(&mut self, bytes: &mut [u8]) -> Result<(), SourceFailed> {
        #[cfg(target_os = "hermit")]
        let filled = machine::randomness::fill(bytes);
        #[cfg(not(target_os = "hermit"))]
        let filled = getrandom::getrandom(bytes);
        filled.map_err(|_| SourceFailed)
    }
}

/// Entropy of a process that has no sealed secret (yet): the platform's, health-tested, and what the
/// operator's machine gave.
///
/// # Errors
/// [`EntropyError`] if the source fails or looks broken.
pub fn unsealed(seed: &BootSeed) -> Result<Entropy<Platform>, EntropyError> {
    let mut secret = Zeroizing::new([0; 32]);
    Platform.fill_raw(&mut *secret)?;
    sealed(secret, seed, Boot(0))
}

/// Entropy of a process with the secret of its sealed record.
///
/// # Errors
/// [`EntropyError`] if the source fails or looks broken.
pub fn sealed(
    secret: Zeroizing<[u8; 32]>,
    seed: &BootSeed,
    boot: Boot,
) -> Result<Entropy<Platform>, EntropyError> {
    Entropy::new(Platform, secret, Zeroizing::new(*seed.expose()), boot)
}
