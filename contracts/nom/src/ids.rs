//! Hashes, addresses and token standards: fixed-width byte strings, each a type of its own.

use core::fmt;

/// A SHA3-256 digest.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash([u8; Hash::LEN]);

/// An account: kind byte (0 user, 1 contract), then 19 bytes.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Address([u8; Address::LEN]);

/// A token (ZTS).
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenStandard([u8; TokenStandard::LEN]);

macro_rules! fixed_bytes {
    ($name:ident, $len:literal) => {
        impl $name {
            /// Length in bytes.
            pub const LEN: usize = $len;
            /// All zero: the network's "none".
            pub const ZERO: Self = Self([0; $len]);

            /// Takes bytes that a decoder or a hash produced.
            #[must_use]
            pub const fn from_bytes(bytes: [u8; $len]) -> Self {
                Self(bytes)
            }

            /// The bytes as they enter hashes.
            #[must_use]
            pub const fn as_bytes(&self) -> &[u8; $len] {
                &self.0
            }

            /// Whether every byte is zero.
            #[must_use]
            pub fn is_zero(&self) -> bool {
                *self == Self::ZERO
            }
        }
    };
}

fixed_bytes!(Hash, 32);
fixed_bytes!(Address, 20);
fixed_bytes!(TokenStandard, 10);

impl Address {
    /// First byte of a contract's address (`common/types/address.go:17-20`).
    const CONTRACT: u8 = 1;

    /// The address of a key, from SHA3-256 of the key's bytes: `0x00 ‖ digest[0..19]`.
    #[must_use]
    pub fn from_key_digest(digest: &Hash) -> Self {
        let mut bytes = [0; Self::LEN];
        for (to, from) in bytes.iter_mut().skip(1).zip(digest.as_bytes()) {
            *to = *from;
        }
        Self(bytes)
    }

    /// Whether the account is an embedded contract, which signs nothing.
    #[must_use]
    pub fn is_contract(&self) -> bool {
        let [kind, ..] = self.0;
        kind == Self::CONTRACT
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({self})")
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_hex(f, "Address", &self.0)
    }
}

impl fmt::Debug for TokenStandard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        debug_hex(f, "TokenStandard", &self.0)
    }
}

fn debug_hex(f: &mut fmt::Formatter<'_>, name: &str, bytes: &[u8]) -> fmt::Result {
    write!(f, "{name}(")?;
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
    f.write_str(")")
}
