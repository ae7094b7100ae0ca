// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {FrostSecp256k1} from "./FrostSecp256k1.sol";
import {StepCommit} from "./StepCommit.sol";

/// @title Rule E1: the chain of a committee's steps, each once and in order
/// @notice Runtime profile and key are those registered: a commit that would need others is refused.
/// Epochs only rise; all of a committee's have one key.
contract LedgerAcceptor {
    using StepCommit for bytes;

    /// @notice What is registered.
    /// @param network the committee's network
    /// @param committee digest of its creation record
    /// @param profile the runtime profile in force
    /// @param keyX group key of suite FROST(secp256k1, KECCAK-256)
    /// @param keyY its y-coordinate
    struct Terms {
        uint64 network;
        bytes32 committee;
        bytes32 profile;
        uint256 keyX;
        uint256 keyY;
    }

    /// @notice The last accepted step.
    /// @param seq its position; 0 before the first step
    /// @param epoch its epoch; the first one before the first step
    /// @param statement its statement; the committee's id before the first step
    /// @param state state root after it
    struct Head {
        uint64 seq;
        uint64 epoch;
        bytes32 statement;
        bytes32 state;
    }

    /// @notice The key is no point, or its x-coordinate is not below the group's order.
    error UntrustworthyKey();
    /// @notice Calldata has bytes that no argument has.
    error CalldataLength(uint256 actual, uint256 expected);
    /// @notice The commit has another length, head or tag.
    error MalformedCommit();
    /// @notice The commit is of another network.
    error WrongNetwork(uint64 actual);
    /// @notice The commit is of another committee.
    error WrongCommittee(bytes32 actual);
    /// @notice A step has 2 to 65,536 leaves.
    error TreeSize(uint64 actual);
    /// @notice The step is the head already.
    error Known(uint64 seq);
    /// @notice The step is before the head.
    error Old(uint64 seq, uint64 head);
    /// @notice Steps between the head and this one are missing.
    error Gap(uint64 seq, uint64 head);
    /// @notice The epoch is one that the head's has followed.
    error OldEpoch(uint64 actual, uint64 head);
    /// @notice The runtime profile is not the registered one.
    error UnknownProfile(bytes32 actual);
    /// @notice The commit follows another step than the head.
    error PreviousStatement(bytes32 actual, bytes32 head);
    /// @notice The step ran on another state than the head's.
    error PreviousState(bytes32 actual, bytes32 head);
    /// @notice The signature does not verify under the registered key.
    error BadSignature(FrostSecp256k1.Flaw flaw);
    /// @notice The group key signed two steps for the head's seq. Stop: no rule can choose.
    error Fork(uint64 seq, bytes32 accepted, bytes32 other);

    /// @notice A step was accepted.
    event StepAccepted(uint64 indexed seq, bytes32 statement, bytes32 state, bytes32 root);

    /// @notice The committee's network.
    uint64 public immutable NETWORK;
    /// @notice The committee.
    bytes32 public immutable COMMITTEE;
    /// @notice The runtime profile in force.
    bytes32 public immutable PROFILE;
    /// @notice x-coordinate of the group key.
    uint256 public immutable KEY_X;
    /// @notice Whether its y-coordinate is odd.
    bool public immutable KEY_ODD;

    /// @notice The last accepted step.
    Head public head;

    /// @param terms what is registered
    /// @param from where to begin: for a new chain seq 0, epoch 1, the committee's id, and the
    /// state root before the first step
    constructor(Terms memory terms, Head memory from) {
        if (!FrostSecp256k1.isKey(terms.keyX, terms.keyY)) revert UntrustworthyKey();
        NETWORK = terms.network;
        COMMITTEE = terms.committee;
        PROFILE = terms.profile;
        KEY_X = terms.keyX;
        KEY_ODD = terms.keyY & 1 == 1;
        head = from;
    }

    /// @notice Accepts the step that follows the head.
    /// @param commit the commit, 345 bytes
    /// @param root root over the step's leaves
    /// @param rx x-coordinate of the signature's R
    /// @param ry y-coordinate of R
    /// @param z the signature's scalar
    function accept(bytes calldata commit, bytes32 root, uint256 rx, uint256 ry, uint256 z)
        external
    {
        if (!commit.isWellFormed()) revert MalformedCommit();
        // Selector, offset, root, rx, ry, z, length and 352 bytes of the commit.
        if (msg.data.length != 4 + 6 * 32 + 352) {
            revert CalldataLength(msg.data.length, 4 + 6 * 32 + 352);
        }
        if (commit.network() != NETWORK) revert WrongNetwork(commit.network());
        if (commit.committee() != COMMITTEE) revert WrongCommittee(commit.committee());
        uint64 size = commit.treeSize();
        if (size < 2 || size > 65536) revert TreeSize(size);
        Head memory last = head;
        uint64 seq = commit.seq();
        bytes32 statement = commit.statement(root);
        if (seq == last.seq && seq != 0) {
            if (statement == last.statement) revert Known(seq);
            // Anyone can invent a statement that nobody signed.
            _checkSignature(statement, rx, ry, z);
            revert Fork(seq, last.statement, statement);
        }
        if (seq <= last.seq) revert Old(seq, last.seq);
        if (seq - last.seq != 1) revert Gap(seq, last.seq);
        if (commit.epoch() < last.epoch) revert OldEpoch(commit.epoch(), last.epoch);
        if (commit.profile() != PROFILE) revert UnknownProfile(commit.profile());
        if (commit.previous() != last.statement) {
            revert PreviousStatement(commit.previous(), last.statement);
        }
        if (commit.previousState() != last.state) {
            revert PreviousState(commit.previousState(), last.state);
        }
        _checkSignature(statement, rx, ry, z);
        head = Head({
            seq: seq,
            epoch: commit.epoch(),
            statement: statement,
            state: commit.state()
        });
        emit StepAccepted(seq, statement, commit.state(), root);
    }

    function _checkSignature(bytes32 statement, uint256 rx, uint256 ry, uint256 z) private view {
        FrostSecp256k1.Flaw flaw = FrostSecp256k1.flaw(KEY_X, KEY_ODD, statement, rx, ry, z);
        if (flaw != FrostSecp256k1.Flaw.None) revert BadSignature(flaw);
    }
}
