// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// @title The commit of a step, sliced at constant offsets
/// @notice 345 bytes: a CBOR array of sixteen byte strings of 8 or 32 bytes, so that every field
/// stands where it always stands. The layout's table is in the crate `attestation`, module `commit`.
/// @dev The readers presume `isWellFormed`: they read past the end of anything shorter.
library StepCommit {
    /// @notice Length in bytes.
    uint256 internal constant LENGTH = 345;

    /// @notice Whether the length and every byte that is no field's data are a commit's: the CBOR
    /// heads and the tag "ZQSTEP1\0", which no other signed message has.
    function isWellFormed(bytes calldata commit) internal pure returns (bool) {
        if (commit.length != LENGTH) return false;
        uint256 start;
        uint256 wrong;
        assembly ("memory-safe") {
            start := commit.offset
            function differs(position, mask, expected) -> bits {
                bits := xor(and(calldataload(position), mask), expected)
            }
            wrong := differs(
                start,
                0xffffffffffffffffffffff0000000000000000ffff0000000000000000000000,
                0x90485a5153544550310048000000000000000058200000000000000000000000
            )
            wrong := or(wrong, differs(add(start, 53), shl(248, 0xff), shl(248, 0x48)))
            wrong := or(wrong, differs(add(start, 62), shl(248, 0xff), shl(248, 0x48)))
            // Tree size and previous state root; the pairs 0x5820 are heads of 32 bytes.
            wrong := or(
                wrong,
                differs(
                    add(start, 71),
                    0xff0000000000000000ffff000000000000000000000000000000000000000000,
                    0x4800000000000000005820000000000000000000000000000000000000000000
                )
            )
            wrong := or(wrong, differs(add(start, 114), shl(240, 0xffff), shl(240, 0x5820)))
            wrong := or(wrong, differs(add(start, 148), shl(240, 0xffff), shl(240, 0x5820)))
            wrong := or(wrong, differs(add(start, 182), shl(240, 0xffff), shl(240, 0x5820)))
            // Anchor height and anchor.
            wrong := or(
                wrong,
                differs(
                    add(start, 216),
                    0xff0000000000000000ffff000000000000000000000000000000000000000000,
                    0x4800000000000000005820000000000000000000000000000000000000000000
                )
            )
            // Time, gas used, inputs root.
            wrong := or(
                wrong,
                differs(
                    add(start, 259),
                    0xff0000000000000000ff0000000000000000ffff000000000000000000000000,
                    0x4800000000000000004800000000000000005820000000000000000000000000
                )
            )
            wrong := or(wrong, differs(add(start, 311), shl(240, 0xffff), shl(240, 0x5820)))
        }
        return wrong == 0;
    }

    /// @notice SHA-256(commit ‖ root): the id of the step's attestation, what the group key of
    /// suite FROST(secp256k1, KECCAK-256) signs, and the next commit's `previous`.
    function statement(bytes calldata commit, bytes32 root) internal view returns (bytes32 id) {
        assembly ("memory-safe") {
            let m := mload(0x40)
            calldatacopy(m, commit.offset, LENGTH)
            mstore(add(m, LENGTH), root)
            // Precompile 2 cannot fail but for want of gas, and answers 32 bytes.
            if iszero(staticcall(gas(), 2, m, add(LENGTH, 32), 0x00, 32)) { revert(0, 0) }
            id := mload(0x00)
        }
    }

    /// @notice Network of the committee.
    function network(bytes calldata commit) internal pure returns (uint64) {
        return number(commit, 11);
    }

    /// @notice Digest of the committee's creation record.
    function committee(bytes calldata commit) internal pure returns (bytes32) {
        return word(commit, 21);
    }

    /// @notice Generation of key shares that signs.
    function epoch(bytes calldata commit) internal pure returns (uint64) {
        return number(commit, 54);
    }

    /// @notice Position in the committee's chain, from 1.
    function seq(bytes calldata commit) internal pure returns (uint64) {
        return number(commit, 63);
    }

    /// @notice Number of leaves.
    function treeSize(bytes calldata commit) internal pure returns (uint64) {
        return number(commit, 72);
    }

    /// @notice State root before the step.
    function previousState(bytes calldata commit) internal pure returns (bytes32) {
        return word(commit, 82);
    }

    /// @notice State root after the step.
    function state(bytes calldata commit) internal pure returns (bytes32) {
        return word(commit, 116);
    }

    /// @notice Runtime profile: engine, gas schedule, host interface, limits.
    function profile(bytes calldata commit) internal pure returns (bytes32) {
        return word(commit, 150);
    }

    /// @notice Statement of the step before; the committee's id for seq 1.
    function previous(bytes calldata commit) internal pure returns (bytes32) {
        return word(commit, 184);
    }

    function word(bytes calldata commit, uint256 offset) private pure returns (bytes32 value) {
        assembly ("memory-safe") {
            value := calldataload(add(commit.offset, offset))
        }
    }

    function number(bytes calldata commit, uint256 offset) private pure returns (uint64) {
        return uint64(uint256(word(commit, offset)) >> 192);
    }
}
