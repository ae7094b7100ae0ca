//! Why a block is refused: the codes with which the zApp `nom-mirror` reverts.

use core::fmt;

macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $text:literal;)*) => {
        /// Why a block is refused. The code is the revert code in the attested leaf.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        #[repr(u32)]
        pub enum Refusal {
            $($(#[$doc])* $name = $code,)*
        }

        impl Refusal {
            /// Every refusal, by rising code.
            pub const ALL: &[Self] = &[$(Self::$name),*];

            /// The revert code.
            #[must_use]
            pub const fn code(self) -> u32 {
                match self {
                    $(Self::$name => $code,)*
                }
            }
        }

        impl fmt::Display for Refusal {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self {
                    $(Self::$name => $text,)*
                })
            }
        }
    };
}

refusals! {
    /// The bytes are not the binary form of a block.
    Malformed = 100, "not the binary form of a block";
    /// The block's version is not 1.
    Version = 101, "the block's version is not 1";
    /// The block is of another chain.
    ChainIdentifier = 102, "the block is of another chain";
    /// No such block type.
    BlockType = 103, "no such block type";
    /// The hash is not that of the fields.
    BlockHash = 104, "the hash is not that of the fields";
    /// The previous hash must be zero at height 1 and only there; heights begin at 1.
    FirstBlock = 105, "the previous hash is zero at height 1 and only there";
    /// A send names a source block, an amount without token, or more than 255 bits.
    SendFields = 106, "a field does not fit a send";
    /// A receive names a recipient, token or amount, or lacks its source block.
    ReceiveFields = 107, "a field does not fit a receive";
    /// A send's data is too long; known only where the data is, not in a zApp.
    DataLength = 108, "the data of a send is longer than 16384 bytes";
    /// Proof-of-work difficulty beyond what the network counts.
    Difficulty = 109, "the difficulty is above 141750000";
    /// The nonce does not meet the difficulty.
    ProofOfWork = 110, "the nonce does not meet the difficulty";
    /// A user's block without key and signature.
    Unsigned = 111, "a user's block carries a key and a signature";
    /// A contract's or genesis block with key and signature.
    Signed = 112, "a contract's or genesis block carries no signature";
    /// The key is not that of the block's address.
    WrongKey = 113, "the key is not that of the block's address";
    /// The signature does not verify.
    Signature = 114, "the signature does not verify";
    /// A contract's block type at a user's address.
    ContractAddress = 115, "the block type belongs to contracts, the address does not";
    /// Descendants where the type allows none, or ones that are no contract sends in a chain.
    Descendants = 116, "the descendants are not contract sends of the same account";
    /// The height is not the one after the account's head.
    Height = 120, "the height is not the one after the account's head";
    /// The previous hash is not that of the account's head.
    PreviousHash = 121, "the previous hash is not that of the account's head";
    /// An older momentum is acknowledged than by the block before.
    MomentumOrder = 122, "an older momentum is acknowledged than by the block before";
    /// The source block is no send that this mirror has seen.
    UnknownSend = 123, "the source block is no known send";
    /// The send was received before.
    AlreadyReceived = 124, "the send was received before";
    /// The send was to another account.
    NotRecipient = 125, "the send was to another account";
    /// The balance does not cover the amount.
    Overdraft = 126, "the balance does not cover the amount";
    /// A balance would pass 256 bits.
    Overflow = 127, "the balance would pass 256 bits";
    /// The genesis was not loaded yet.
    NoGenesis = 130, "the genesis was not loaded yet";
    /// The genesis was loaded before.
    GenesisAgain = 131, "the genesis was loaded before";
    /// Not the block that the genesis configuration fixes for this account.
    GenesisBlock = 132, "not the block that the genesis configuration fixes";
    /// A contract send outside the contract receive that commits to it.
    ContractSend = 133, "a contract send comes inside the receive that commits to it";
    /// A block without signature from someone else than the mirror's owner.
    Unvouched = 134, "blocks without signature are taken from the mirror's owner only";
}

impl core::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_rise_and_stay_above_the_sdk_range() {
        for pair in Refusal::ALL.windows(2) {
            assert!(pair[0].code() < pair[1].code());
        }
        assert_eq!(Refusal::ALL[0].code(), 100);
    }
}
