//! Randomness that must not repeat (rule B1).
//!
//! A FROST nonce that repeats or can be guessed gives the key share away, and a platform can fail
//! silently: Hermit's own call falls back to a linear generator seeded with the boot time. So the
//! raw source is health-tested (SP 800-90B §4.4) before its output is used, and it is never alone:
//! every seed also depends on randomness that the operator's machine gave for this start, on a secret
//! from the sealed record, on the signer's start count, which the register raises at every start, and
//! on a counter. A source that repeats its output after a restart, or that an outsider knows, then
//! still does not repeat or reveal a seed. A guest without a sealed secret yet, whose keys are being
//! made, and one without a register, have the two sources alone. Whatever goes wrong is final: the
//! signer stops.

use core::fmt;

use attestation::codec::Layout;
use attestation::ids::Boot;
use attestation::tags;
use hkdf::Hkdf;
use rand_chacha::ChaCha20Rng;
use rand_core::{CryptoRng, RngCore, SeedableRng as _};
use sha2::Sha256;
use zeroize::Zeroizing;

/// Min-entropy per byte that the health tests assume, in bits: half of what a sound source has.
const ENTROPY_BITS_PER_BYTE: usize = 4;
/// Raw bytes per seed: 256 bits at the assumed min-entropy.
const DRAW_BYTES: usize = 256 / ENTROPY_BITS_PER_BYTE;
/// Bytes tested before first use (SP 800-90B §4.3: at least 1,024 samples).
const STARTUP_BYTES: usize = 1024;
/// SP 800-90B §4.4.1: 1 + ⌈30 / H⌉ for a false alarm in 2³⁰.
const REPETITIONS_MAX: u32 = 1 + 30u32.div_ceil(4);
/// SP 800-90B §4.4.2: window for sources of more than two values.
const WINDOW_BYTES: u32 = 512;
/// SP 800-90B §4.4.2: 1 + CRITBINOM(512, 2⁻⁴, 1 − 2⁻³⁰).
const PROPORTION_MAX: u32 = 71;

const _: () = assert!(ENTROPY_BITS_PER_BYTE == 4 && REPETITIONS_MAX == 9);
const _: () = assert!(STARTUP_BYTES.is_multiple_of(DRAW_BYTES));

/// A platform source of randomness: getrandom on Linux, RDSEED or RDRAND on Hermit.
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
    /// The counter of draws is used up.
    #[error("too many draws since the start")]
    Exhausted,
}

/// Draws fresh generators from source, sealed secret and start count.
pub struct Entropy<S> {
    source: S,
    secret: Zeroizing<[u8; 32]>,
    given: Zeroizing<[u8; 32]>,
    boot: Boot,
    draws: u64,
    health: Health,
    failed: Option<EntropyError>,
}

impl<S: FillRaw> Entropy<S> {
    /// Tests the source before its first use. `secret` is the sealed record's, `given` what the
    /// operator's machine gave for this start, `boot` the number that the register has given to this
    /// start and to no other.
    ///
    /// # Errors
    /// [`EntropyError`] if the source fails or looks broken.
    pub fn new(
        source: S,
        secret: Zeroizing<[u8; 32]>,
        given: Zeroizing<[u8; 32]>,
        boot: Boot,
    ) -> Result<Self, EntropyError> {
        let mut entropy = Self {
            source,
            secret,
            given,
            boot,
            draws: 0,
            health: Health::default(),
            failed: None,
        };
        for _ in 0..STARTUP_BYTES / DRAW_BYTES {
            entropy.draw()?;
        }
        Ok(entropy)
    }

    /// A fresh generator, for one attempt.
    ///
    /// # Errors
    /// [`EntropyError`] if the source fails or looks broken, now or at any time before.
    pub fn generator(&mut self) -> Result<Generator, EntropyError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        self.seed().inspect_err(|error| self.failed = Some(*error))
    }

    /// HKDF-SHA-256 (RFC 5869): salt = start and draw, key material = source, secret and what was
    /// given.
    fn seed(&mut self) -> Result<Generator, EntropyError> {
        let raw = self.draw()?;
        self.draws = self.draws.checked_add(1).ok_or(EntropyError::Exhausted)?;
        let salt = Layout::new(tags::ENTROPY)
            .number(self.boot.0)
            .number(self.draws)
            .into_bytes();
        let mut material = Zeroizing::new([0; DRAW_BYTES + 64]);
        let (first, others) = material.split_at_mut(DRAW_BYTES);
        let (second, third) = others.split_at_mut(32);
        first.copy_from_slice(&*raw);
        second.copy_from_slice(&*self.secret);
        third.copy_from_slice(&*self.given);
        let mut seed = Zeroizing::new([0; 32]);
        Hkdf::<Sha256>::new(Some(&salt), &*material)
            .expand(&tags::ENTROPY.0, &mut *seed)
            .expect("32 bytes are fewer than HKDF-SHA-256's limit of 8160");
        Ok(Generator(ChaCha20Rng::from_seed(*seed)))
    }

    /// Raw bytes that passed the health tests.
    fn draw(&mut self) -> Result<Zeroizing<[u8; DRAW_BYTES]>, EntropyError> {
        let mut raw = Zeroizing::new([0; DRAW_BYTES]);
        self.source.fill_raw(&mut *raw)?;
        raw.iter().try_for_each(|byte| self.health.test(*byte))?;
        Ok(raw)
    }
}

impl<S> fmt::Debug for Entropy<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Entropy(boot {}, draw {})", self.boot, self.draws)
    }
}

/// The continuous health tests of SP 800-90B §4.4 over the whole life of the source.
#[derive(Default)]
struct Health {
    last: Option<u8>,
    repetitions: u32,
    reference: u8,
    matches: u32,
    tested: u32,
}

impl Health {
    fn test(&mut self, sample: u8) -> Result<(), EntropyError> {
        self.repetitions = match self.last {
            Some(last) if last == sample => self.repetitions.saturating_add(1),
            _ => 1,
        };
        self.last = Some(sample);
        if self.repetitions >= REPETITIONS_MAX {
            return Err(EntropyError::Repetition);
        }
        if self.tested == 0 {
            self.reference = sample;
            self.matches = 0;
        }
        self.matches += u32::from(sample == self.reference);
        self.tested = (self.tested + 1) % WINDOW_BYTES;
        if self.matches >= PROPORTION_MAX {
            return Err(EntropyError::Proportion);
        }
        Ok(())
    }
}

/// A ChaCha20 generator for one attempt; not `Clone`, overwritten on drop.
pub struct Generator(ChaCha20Rng);

impl Drop for Generator {
    fn drop(&mut self) {
        self.0 = ChaCha20Rng::from_seed([0; 32]);
        zeroize::optimization_barrier(&self.0);
    }
}

impl fmt::Debug for Generator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Generator(redacted)")
    }
}

impl RngCore for Generator {
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

impl CryptoRng for Generator {}

#[cfg(test)]
#[allow(clippy::cast_possible_truncation, reason = "patterns of bytes")]
mod tests {
    use alloc::boxed::Box;
    use alloc::collections::BTreeSet;

    use super::*;

    /// A source that a closure plays, byte by byte.
    struct Played<F>(F, usize);

    impl<F: FnMut(usize) -> Option<u8>> FillRaw for Played<F> {
        fn fill_raw(&mut self, bytes: &mut [u8]) -> Result<(), SourceFailed> {
            for byte in bytes {
                *byte = (self.0)(self.1).ok_or(SourceFailed)?;
                self.1 += 1;
            }
            Ok(())
        }
    }

    type Bytes = Box<dyn FnMut(usize) -> Option<u8>>;

    fn sound(seed: u64) -> Bytes {
        let mut rng = ChaCha20Rng::seed_from_u64(seed);
        Box::new(move |_| Some((rng.next_u32() & 0xff) as u8))
    }

    /// Sound up to a byte, then as the closure says.
    fn breaks(at: usize, mut broken: impl FnMut(usize) -> Option<u8> + 'static) -> Bytes {
        let mut before = sound(1);
        Box::new(move |index| {
            if index < at {
                before(index)
            } else {
                broken(index)
            }
        })
    }

    fn entropy(
        source: Bytes,
        secret: u8,
        boot: u64,
    ) -> Result<Entropy<Played<Bytes>>, EntropyError> {
        given(source, (secret, 0), boot)
    }

    fn given(
        source: Bytes,
        (secret, given): (u8, u8),
        boot: u64,
    ) -> Result<Entropy<Played<Bytes>>, EntropyError> {
        let [secret, given] = [secret, given].map(|byte| Zeroizing::new([byte; 32]));
        Entropy::new(Played(source, 0), secret, given, Boot(boot))
    }

    #[test]
    fn broken_sources_are_refused_at_the_start() {
        let cases: [(&str, Bytes, EntropyError); 6] = [
            ("none", Box::new(|_| None), SourceFailed.into()),
            ("dries up", breaks(1000, |_| None), SourceFailed.into()),
            ("zeros", Box::new(|_| Some(0)), EntropyError::Repetition),
            (
                "sticks late",
                breaks(1015, |_| Some(7)),
                EntropyError::Repetition,
            ),
            // Never nine in a row, but every fourth byte is the same.
            (
                "biased",
                Box::new(|at| Some(if at % 4 == 0 { 0 } else { at as u8 })),
                EntropyError::Proportion,
            ),
            (
                "counts to seven",
                Box::new(|at| Some((at % 7) as u8)),
                EntropyError::Proportion,
            ),
        ];
        for (name, source, expected) in cases {
            assert_eq!(entropy(source, 1, 1).unwrap_err(), expected, "{name}");
        }
    }

    #[test]
    fn the_cutoffs_are_exact() {
        let row = |length: u32| {
            let mut health = Health::default();
            (0..length).try_for_each(|_| health.test(5))
        };
        assert_eq!(row(REPETITIONS_MAX - 1), Ok(()));
        assert_eq!(row(REPETITIONS_MAX), Err(EntropyError::Repetition));

        let window = |matches: u32| {
            let mut health = Health::default();
            (0..WINDOW_BYTES).try_for_each(|at| {
                let filler = (at % 200) as u8 + 1;
                health.test(if at % 7 == 0 && at / 7 < matches {
                    0
                } else {
                    filler
                })
            })
        };
        assert_eq!(window(PROPORTION_MAX - 1), Ok(()));
        assert_eq!(window(PROPORTION_MAX), Err(EntropyError::Proportion));
    }

    #[test]
    fn a_failure_is_final() {
        let mut recovering = entropy(
            breaks(STARTUP_BYTES, |at| (at > STARTUP_BYTES).then_some(at as u8)),
            1,
            1,
        )
        .unwrap();
        for _ in 0..3 {
            assert_eq!(
                recovering.generator().unwrap_err(),
                EntropyError::Source(SourceFailed)
            );
        }
    }

    #[test]
    fn a_source_that_repeats_still_never_repeats_a_generator() {
        let mut first = BTreeSet::new();
        for (seed, secret, boot) in [(1, 1, 1), (1, 1, 2), (1, 2, 1), (2, 1, 1)] {
            let mut drawn = entropy(sound(seed), secret, boot).unwrap();
            for _ in 0..10 {
                assert!(first.insert(drawn.generator().unwrap().next_u64()));
            }
        }
        // Nor does another start of a guest that has neither register nor secret.
        for seed in 1..=10 {
            let mut drawn = given(sound(1), (1, seed), 1).unwrap();
            assert!(first.insert(drawn.generator().unwrap().next_u64()));
        }
        // The same source, secret, boot and draw do: the inputs are all there is.
        let mut again = entropy(sound(1), 1, 1).unwrap();
        assert!(!first.insert(again.generator().unwrap().next_u64()));
    }

    #[test]
    fn draws_from_a_constant_source_within_one_start_differ() {
        // As a snapshot that repeats the source's output exactly.
        let cycle = |at: usize| Some(((at % DRAW_BYTES) as u8).wrapping_mul(37));
        let mut drawn = entropy(Box::new(cycle), 1, 1).unwrap();
        let first = drawn.generator().unwrap().next_u64();
        assert_ne!(first, drawn.generator().unwrap().next_u64());
    }
}
