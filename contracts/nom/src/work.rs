//! Plasma: what a block costs, and the proof of work that pays where no QSR is fused.
//!
//! Work depends on the account and its previous block alone (`pow/pow.go:14-23,74-108`), so it can
//! be done before the block is known. The nonce is hashed with the block: it is fixed first.

use crate::rules::Crypto;
use crate::{Address, BlockType, Hash};

/// Plasma of a receive, and of a send without data (`vm/constants/plasma.go`).
pub const BLOCK_PLASMA: u64 = 21_000;
/// Plasma of each byte of a send's data.
pub const DATA_BYTE_PLASMA: u64 = 68;
/// Difficulty that stands for one plasma.
pub const PLASMA_DIFFICULTY: u64 = 1_500;

/// The plasma that a block needs; `None` for a send to an embedded contract, which has a price for
/// each method.
#[must_use]
pub fn base_plasma(block_type: BlockType, to: &Address, data_bytes: usize) -> Option<u64> {
    match block_type {
        BlockType::UserSend if to.is_contract() => None,
        BlockType::UserSend => {
            let data = u64::try_from(data_bytes).ok()?;
            data.checked_mul(DATA_BYTE_PLASMA)?
                .checked_add(BLOCK_PLASMA)
        }
        BlockType::UserReceive => Some(BLOCK_PLASMA),
        BlockType::GenesisReceive | BlockType::ContractSend | BlockType::ContractReceive => Some(0),
    }
}

/// What all nonces for an account's next block begin from.
pub fn seed(address: &Address, previous_hash: &Hash, crypto: &mut impl Crypto) -> Hash {
    let mut bytes = [0; Address::LEN + Hash::LEN];
    let from = address.as_bytes().iter().chain(previous_hash.as_bytes());
    for (to, from) in bytes.iter_mut().zip(from) {
        *to = *from;
    }
    crypto.sha3_256(&bytes)
}

/// Whether a nonce shows the work: its digest, read little-endian, is at least
/// 2^64 − ⌊2^64 / difficulty⌋. Difficulty 0 asks for nothing.
pub fn is_met(seed: &Hash, difficulty: u64, nonce: [u8; 8], crypto: &mut impl Crypto) -> bool {
    let mut attempt = [0; 8 + Hash::LEN];
    for (to, from) in attempt.iter_mut().zip(nonce.iter().chain(seed.as_bytes())) {
        *to = *from;
    }
    let digest = crypto.sha3_256(&attempt);
    let mut head = [0; 8];
    for (to, from) in head.iter_mut().zip(digest.as_bytes()) {
        *to = *from;
    }
    // 2^64 / 1 is the whole range: difficulty 1 accepts every nonce.
    let Some(range) = (1u128 << 64).checked_div(u128::from(difficulty)) else {
        return true;
    };
    u128::from(u64::from_le_bytes(head)) + range >= 1u128 << 64
}

/// How a block's plasma is paid: from what is fused as far as it reaches, the rest by work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Payment {
    /// Plasma taken from fused QSR.
    pub fused_plasma: u64,
    /// Difficulty of the work that pays the rest; 0 for none.
    pub difficulty: u64,
}

impl Payment {
    /// Whether it pays `base` plasma.
    #[must_use]
    pub const fn pays(&self, base: u64) -> bool {
        let worked = self.difficulty / PLASMA_DIFFICULTY;
        self.fused_plasma.saturating_add(worked) >= base
    }

    /// The payment of `base` plasma by an account that has `available`.
    #[must_use]
    pub const fn split(base: u64, available: u64) -> Self {
        let fused_plasma = if available < base { available } else { base };
        let missing = base.saturating_sub(fused_plasma);
        Self {
            fused_plasma,
            difficulty: missing.saturating_mul(PLASMA_DIFFICULTY),
        }
    }
}

/// Looks for a nonce among `attempts` from `first` on; about `difficulty` attempts are needed.
#[cfg(feature = "verify")]
#[must_use]
pub fn find(seed: &Hash, difficulty: u64, first: u64, attempts: u64) -> Option<[u8; 8]> {
    let mut crypto = crate::verify::Native;
    (0..attempts)
        .map(|offset| first.wrapping_add(offset).to_le_bytes())
        .find(|nonce| is_met(seed, difficulty, *nonce, &mut crypto))
}

/// [`seed`] with this process's own SHA3.
#[cfg(feature = "verify")]
#[must_use]
pub fn native_seed(address: &Address, previous_hash: &Hash) -> Hash {
    seed(address, previous_hash, &mut crate::verify::Native)
}

#[cfg(all(test, feature = "verify"))]
mod tests {
    use super::*;
    use crate::DIFFICULTY_MAX;

    #[test]
    fn a_nonce_is_found_that_meets_its_difficulty_and_no_much_higher_one() {
        let seed = native_seed(&Address::from_bytes([7; 20]), &Hash::from_bytes([9; 32]));
        let nonce = find(&seed, 5_000, 0, 100_000).expect("twenty times the work expected");
        let mut crypto = crate::verify::Native;
        assert!(is_met(&seed, 5_000, nonce, &mut crypto));
        assert!(!is_met(&seed, DIFFICULTY_MAX, nonce, &mut crypto));
        let other = native_seed(&Address::from_bytes([8; 20]), &Hash::from_bytes([9; 32]));
        assert!(!is_met(&other, 5_000, nonce, &mut crypto));
        assert_eq!(find(&seed, DIFFICULTY_MAX, 0, 10), None);
        assert!(is_met(&seed, 0, [0; 8], &mut crypto) && is_met(&seed, 1, [0; 8], &mut crypto));
    }

    #[test]
    fn plasma_is_priced_as_the_network_does() {
        let user = Address::ZERO;
        let contract = Address::from_bytes([1; 20]);
        assert_eq!(base_plasma(BlockType::UserSend, &user, 32), Some(23_176));
        assert_eq!(
            base_plasma(BlockType::UserReceive, &user, 999),
            Some(21_000)
        );
        assert_eq!(base_plasma(BlockType::UserSend, &contract, 0), None);
        let by_work = Payment::split(23_176, 0);
        assert_eq!((by_work.fused_plasma, by_work.difficulty), (0, 34_764_000));
        let mixed = Payment::split(21_000, 20_900);
        assert_eq!((mixed.fused_plasma, mixed.difficulty), (20_900, 150_000));
        let fused = Payment::split(21_000, u64::MAX);
        assert_eq!((fused.fused_plasma, fused.difficulty), (21_000, 0));
    }
}
