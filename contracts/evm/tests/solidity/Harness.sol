// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {FrostSecp256k1} from "../../solidity/FrostSecp256k1.sol";
import {LeafTree} from "../../solidity/LeafTree.sol";
import {StepCommit} from "../../solidity/StepCommit.sol";

/// @notice The libraries' functions, callable.
contract Harness {
    /// @dev As an acceptor has it: the key in the code, the rest in calldata.
    function flaw(uint256 x, bool odd, bytes32 message, uint256 rx, uint256 ry, uint256 z)
        external
        pure
        returns (FrostSecp256k1.Flaw)
    {
        return FrostSecp256k1.flaw(x, odd, message, rx, ry, z);
    }

    function challenge(uint256 x, bool odd, bytes32 message, uint256 rx, bool rOdd)
        external
        pure
        returns (uint256)
    {
        return FrostSecp256k1.challenge(x, odd, message, rx, rOdd);
    }

    function isKey(uint256 x, uint256 y) external pure returns (bool) {
        return FrostSecp256k1.isKey(x, y);
    }

    function isKeyX(uint256 x) external view returns (bool) {
        return FrostSecp256k1.isKeyX(x);
    }

    function isWellFormed(bytes calldata commit) external pure returns (bool) {
        return StepCommit.isWellFormed(commit);
    }

    function statement(bytes calldata commit, bytes32 root) external view returns (bytes32) {
        return StepCommit.statement(commit, root);
    }

    function fields(bytes calldata commit) external pure returns (bytes32[9] memory all) {
        all[0] = bytes32(uint256(StepCommit.network(commit)));
        all[1] = StepCommit.committee(commit);
        all[2] = bytes32(uint256(StepCommit.epoch(commit)));
        all[3] = bytes32(uint256(StepCommit.seq(commit)));
        all[4] = bytes32(uint256(StepCommit.treeSize(commit)));
        all[5] = StepCommit.previousState(commit);
        all[6] = StepCommit.state(commit);
        all[7] = StepCommit.profile(commit);
        all[8] = StepCommit.previous(commit);
    }

    function include(bytes calldata leaf, uint256 index, uint256 size, bytes32[] calldata path)
        external
        view
        returns (bool, bytes32)
    {
        return LeafTree.climb(LeafTree.leafHash(leaf), index, size, path);
    }

    /// @dev Gas between the two readings, without the dispatch and the ABI around a call.
    function flawGas(uint256 x, bool odd, bytes32 message, uint256 rx, uint256 ry, uint256 z)
        external
        view
        returns (uint256)
    {
        uint256 before = gasleft();
        FrostSecp256k1.Flaw found = FrostSecp256k1.flaw(x, odd, message, rx, ry, z);
        uint256 spent = before - gasleft();
        require(found == FrostSecp256k1.Flaw.None);
        return spent;
    }

    function includeGas(
        bytes calldata leaf,
        uint256 index,
        uint256 size,
        bytes32[] calldata path,
        bytes32 root
    ) external view returns (uint256) {
        uint256 before = gasleft();
        (bool fits, bytes32 actual) = LeafTree.climb(LeafTree.leafHash(leaf), index, size, path);
        uint256 spent = before - gasleft();
        require(fits && actual == root);
        return spent;
    }
}
