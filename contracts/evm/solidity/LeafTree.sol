// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// @title Inclusion in a step's tree of leaves
/// @notice RFC 9162 §2.1 over SHA-256: leaf hash = SHA-256(0 ‖ leaf), node = SHA-256(1 ‖ left ‖
/// right). The root does not commit to the number of leaves; the commit does.
library LeafTree {
    /// @notice SHA-256(0 ‖ leaf).
    function leafHash(bytes calldata leaf) internal view returns (bytes32 hash) {
        assembly ("memory-safe") {
            let m := mload(0x40)
            mstore8(m, 0)
            calldatacopy(add(m, 1), leaf.offset, leaf.length)
            if iszero(staticcall(gas(), 2, m, add(leaf.length, 1), 0x00, 32)) { revert(0, 0) }
            hash := mload(0x00)
        }
    }

    /// @notice The root that `path` leads to from the hash of leaf `index` of `size`
    /// (RFC 9162 §2.1.3.2).
    /// @param path sibling hashes from the leaf up
    /// @return fits whether the path is as long as a path of this leaf must be
    /// @return root the root, if it fits
    function climb(bytes32 hash, uint256 index, uint256 size, bytes32[] calldata path)
        internal
        view
        returns (bool fits, bytes32 root)
    {
        if (index >= size) return (false, 0);
        uint256 last = size - 1;
        assembly ("memory-safe") {
            // 1 ‖ left ‖ right, of which 65 bytes are hashed; the answer goes to 0x00.
            let m := mload(0x40)
            mstore8(m, 1)
            fits := 1
            for { let level := 0 } lt(level, path.length) { level := add(level, 1) } {
                if iszero(last) {
                    fits := 0
                    break
                }
                let sibling := calldataload(add(path.offset, shl(5, level)))
                switch or(and(index, 1), eq(index, last))
                case 0 {
                    mstore(add(m, 1), hash)
                    mstore(add(m, 33), sibling)
                }
                default {
                    mstore(add(m, 1), sibling)
                    mstore(add(m, 33), hash)
                    // A last node without a sibling rises as it is. This ends: the index is odd,
                    // or `last`, which is not 0.
                    for {} iszero(and(index, 1)) {} {
                        index := shr(1, index)
                        last := shr(1, last)
                    }
                }
                // Precompile 2 cannot fail but for want of gas, and answers 32 bytes.
                if iszero(staticcall(gas(), 2, m, 65, 0x00, 32)) { revert(0, 0) }
                hash := mload(0x00)
                index := shr(1, index)
                last := shr(1, last)
            }
            if last { fits := 0 }
            root := hash
        }
    }
}
