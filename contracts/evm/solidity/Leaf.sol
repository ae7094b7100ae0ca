// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// @title Leaves, sliced at constant offsets
/// @notice Every leaf begins with 42 bytes; numbers are big-endian.
///
///     0  1   version, 1
///     1  1   kind: 0 output, 1 settlement, 2 message, 3 key change
///     2  32  zApp; zeros (the system zApp) in a settlement and a key change
///     34 8   seq
///
/// Output, 151 bytes:                      Message, 162 bytes and the payload:
///
///     42  32  request id                      42  8   destination: EIP-155 chain id
///     74  1   status, 0 to 5                  50  32  destination: contract that accepts it
///     75  4   code                            82  32  receiver that the contract calls
///     79  8   gas                             114 32  channel
///     87  32  SHA-256(output)                 146 8   number in the channel, from 1
///     119 32  events digest                   154 8   gas that the call is given
///                                             162     payload
///
/// Key change, 117 bytes:
///
///     42  1   suite: 1 FROST(secp256k1, KECCAK-256)
///     43  8   last seq of the old key
///     51  33  old key, SEC1 compressed
///     84  33  new key, SEC1 compressed
///
/// A contract or a receiver of 20 bytes stands in the last 20 of its 32. A channel is a digest of
/// committee, zApp, destination and label, which the committee makes and a contract takes as it is.
/// @dev The readers presume that the length was checked.
library Leaf {
    /// @notice Length of what every leaf begins with.
    uint256 internal constant HEAD_LENGTH = 42;
    /// @notice Length of an output leaf.
    uint256 internal constant OUTPUT_LENGTH = 151;
    /// @notice Length of a settlement leaf.
    uint256 internal constant SETTLEMENT_LENGTH = 94;
    /// @notice Length of a message leaf without its payload.
    uint256 internal constant MESSAGE_LENGTH = 162;
    /// @notice Length of a key-change leaf.
    uint256 internal constant KEY_CHANGE_LENGTH = 117;

    /// @notice Version of all leaves.
    uint8 internal constant VERSION = 1;
    /// @notice Outcome of a request.
    uint8 internal constant OUTPUT = 0;
    /// @notice The step's bill: leaf 0, and only leaf 0.
    uint8 internal constant SETTLEMENT = 1;
    /// @notice An outbound message.
    uint8 internal constant MESSAGE = 2;
    /// @notice The end of a group key and its successor.
    uint8 internal constant KEY_CHANGE = 3;

    /// @notice Highest status of an output.
    uint8 internal constant STATUS_MAX = 5;
    /// @notice Suite FROST(secp256k1, KECCAK-256) in a key change.
    uint8 internal constant SUITE_SECP256K1 = 1;

    /// @notice The byte at an offset.
    function byteAt(bytes calldata leaf, uint256 offset) internal pure returns (uint8) {
        return uint8(uint256(word(leaf, offset)) >> 248);
    }

    /// @notice The 8-byte number at an offset.
    function number(bytes calldata leaf, uint256 offset) internal pure returns (uint64) {
        return uint64(uint256(word(leaf, offset)) >> 192);
    }

    /// @notice The 32 bytes at an offset.
    function word(bytes calldata leaf, uint256 offset) internal pure returns (bytes32 value) {
        assembly ("memory-safe") {
            value := calldataload(add(leaf.offset, offset))
        }
    }

    /// @notice The kind.
    function kind(bytes calldata leaf) internal pure returns (uint8) {
        return byteAt(leaf, 1);
    }

    /// @notice The zApp that made the leaf.
    function zapp(bytes calldata leaf) internal pure returns (bytes32) {
        return word(leaf, 2);
    }

    /// @notice The step that the leaf says it belongs to.
    function seq(bytes calldata leaf) internal pure returns (uint64) {
        return number(leaf, 34);
    }
}
