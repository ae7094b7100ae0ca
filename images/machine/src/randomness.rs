//! The processor's source of randomness, raw: what the health tests of SP 800-90B are for. The
//! kernel's own call gives the output of a generator, which looks healthy whatever seeds it.

use std::arch::is_x86_feature_detected;
use std::arch::x86_64::{_rdrand64_step, _rdseed64_step};

/// RDSEED runs dry for microseconds when others use it; a unit that gives nothing for so long is
/// broken.
const TRIES_MAX: u32 = 1_000_000;

/// The processor has no source of randomness, or it gives nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the processor has neither RDSEED nor RDRAND, or they give nothing")]
pub struct NoRandomness;

/// Fills `bytes` from RDSEED, or from RDRAND where there is no RDSEED; never from anything else.
///
/// # Errors
/// [`NoRandomness`].
pub fn fill(bytes: &mut [u8]) -> Result<(), NoRandomness> {
    let word = if is_x86_feature_detected!("rdseed") {
        seed
    } else if is_x86_feature_detected!("rdrand") {
        random
    } else {
        return Err(NoRandomness);
    };
    for chunk in bytes.chunks_mut(8) {
        let value = (0..TRIES_MAX).find_map(|_| word()).ok_or(NoRandomness)?;
        let value = value.to_ne_bytes();
        let (taken, _) = value.split_at(chunk.len());
        chunk.copy_from_slice(taken);
    }
    Ok(())
}

#[allow(unsafe_code, reason = "the instruction that the processor says it has")]
fn seed() -> Option<u64> {
    let mut value = 0;
    // SAFETY: called only after the processor said that it has RDSEED.
    let filled = unsafe { _rdseed64_step(&mut value) };
    (filled == 1).then_some(value)
}

#[allow(unsafe_code, reason = "the instruction that the processor says it has")]
fn random() -> Option<u64> {
    let mut value = 0;
    // SAFETY: called only after the processor said that it has RDRAND.
    let filled = unsafe { _rdrand64_step(&mut value) };
    (filled == 1).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_filled_where_there_is_a_source() {
        let has_source = is_x86_feature_detected!("rdseed") || is_x86_feature_detected!("rdrand");
        let mut ever_set = [0_u8; 21];
        for _ in 0..64 {
            let mut bytes = [0; 21];
            assert_eq!(fill(&mut bytes).is_ok(), has_source);
            for (ever, byte) in ever_set.iter_mut().zip(bytes) {
                *ever |= byte;
            }
        }
        assert_eq!(ever_set.iter().all(|byte| *byte != 0), has_source);
    }
}
