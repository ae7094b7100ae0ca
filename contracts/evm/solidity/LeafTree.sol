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
        for (uint256 level = 0; level < path.length; ++level) {
            if (last == 0) return (false, 0);
            if (index & 1 == 1 || index == last) {
                hash = node(path[level], hash);
                // A last node without a sibling rises as it is.
                while (index & 1 == 0 && index != 0) {
                    index >>= 1;
                    last >>= 1;
                }
            } else {
                hash = node(hash, path[level]);
            }
            index >>= 1;
            last >>= 1;
        }
        return (last == 0, hash);
    }

    function node(bytes32 left, bytes32 right) private view returns (bytes32 hash) {
        assembly ("memory-safe") {
            let m := mload(0x40)
            mstore8(m, 1)
            mstore(add(m, 1), left)
            mstore(add(m, 33), right)
            if iszero(staticcall(gas(), 2, m, 65, 0x00, 32)) { revert(0, 0) }
            hash := mload(0x00)
        }
    }
}
