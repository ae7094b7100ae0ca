// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {FrostSecp256k1} from "./FrostSecp256k1.sol";
import {Leaf} from "./Leaf.sol";
import {LeafTree} from "./LeafTree.sol";
import {StepCommit} from "./StepCommit.sol";

/// @title What every consumer of a committee's leaves has: its key, and the check of a leaf
/// @notice One committee, one trusted group key at a time. Any valid attestation under that key
/// is accepted, of whatever step and epoch. The committee may hand over to a new key by an
/// attested leaf, after a delay in which the guardian can cancel it.
/// @dev The guardian may pause, resume and cancel, nothing else, and a pause ends by itself.
/// Without a guardian nothing stops a committee whose key is compromised: it can hand over to any
/// key, and there is no way back.
abstract contract CommitteeConsumer {
    using Leaf for bytes;

    /// @notice What a consumer is deployed with.
    /// @param network the committee's network
    /// @param committee digest of its creation record
    /// @param keyX group key of suite FROST(secp256k1, KECCAK-256)
    /// @param keyY its y-coordinate
    /// @param guardian who may pause and cancel; zero for nobody
    /// @param changeDelay seconds between a key change and its effect
    /// @param pauseMax seconds after which a pause ends by itself
    struct Terms {
        uint64 network;
        bytes32 committee;
        uint256 keyX;
        uint256 keyY;
        address guardian;
        uint32 changeDelay;
        uint32 pauseMax;
    }

    /// @notice A step's statement and the group's signature over it.
    /// @param commit the commit, 345 bytes
    /// @param root root over the step's leaves
    /// @param rx x-coordinate of the signature's R
    /// @param ry y-coordinate of R, which the 65-byte form of a signature leaves to be computed
    /// @param z the signature's scalar
    struct Attestation {
        bytes commit;
        bytes32 root;
        uint256 rx;
        uint256 ry;
        uint256 z;
    }

    /// @notice A leaf and where it stands in its step.
    /// @param leaf its exact bytes
    /// @param index its position
    /// @param path sibling hashes from the leaf up
    struct Inclusion {
        bytes leaf;
        uint256 index;
        bytes32[] path;
    }

    /// @notice The key is no point, or its x-coordinate is not below the group's order.
    error UntrustworthyKey();
    /// @notice Calldata has bytes that no argument has.
    error CalldataLength(uint256 actual, uint256 expected);
    /// @notice The commit has another length, head or tag.
    error MalformedCommit();
    /// @notice The commit is of another committee.
    error WrongCommittee(bytes32 actual);
    /// @notice A step has 2 to 65,536 leaves.
    error TreeSize(uint64 actual);
    /// @notice The leaf has another length or version, or a field out of range.
    error MalformedLeaf();
    /// @notice The leaf is of another step than the commit.
    error WrongStep(uint64 leaf, uint64 commit);
    /// @notice A settlement stands at position 0, and nothing else does.
    error WrongPosition(uint256 index, uint8 kind);
    /// @notice The path is not as long as that of leaf `index` of `size` must be.
    error PathDoesNotFit(uint256 index, uint64 size, uint256 length);
    /// @notice Leaf and path lead to another root.
    error NotIncluded(bytes32 actual);
    /// @notice The signature does not verify under the trusted key.
    error BadSignature(FrostSecp256k1.Flaw flaw);
    /// @notice The commit is of another network.
    error WrongNetwork(uint64 actual);
    /// @notice The key's last step, according to the pending key change, is before this one.
    error AfterLastSeq(uint64 seq, uint64 lastSeq);
    /// @notice Nothing is accepted until this time, Unix seconds.
    error Paused(uint64 until);
    /// @notice Only the guardian may do this.
    error NotGuardian();
    /// @notice The leaf is of a kind that this function does not take.
    error WrongKind(uint8 actual);
    /// @notice A key change is pending already.
    error KeyChangePending();
    /// @notice No key change is pending.
    error NoKeyChangePending();
    /// @notice The key change takes effect at this time, Unix seconds.
    error TooEarly(uint64 readyAt);
    /// @notice The key change was taken before.
    error KeyChangeTaken();
    /// @notice The key change is for another suite, or replaces another key than the trusted one.
    error NotThisKey();

    /// @notice A key change is pending; it takes effect at `readyAt` unless cancelled.
    event KeyChangeStarted(uint256 keyX, bool keyOdd, uint64 lastSeq, uint64 readyAt);
    /// @notice The guardian cancelled the pending key change.
    event KeyChangeCancelled(uint256 keyX);
    /// @notice Another key is trusted from now on, and only that one.
    event KeyChanged(uint256 keyX, bool keyOdd);
    /// @notice Nothing is accepted until this time; 0 ends a pause.
    event PausedUntil(uint64 until);

    /// @notice The committee's network.
    uint64 public immutable NETWORK;
    /// @notice The committee.
    bytes32 public immutable COMMITTEE;
    /// @notice Who may pause and cancel; zero for nobody.
    address public immutable GUARDIAN;
    /// @notice Seconds between a key change and its effect.
    uint32 public immutable CHANGE_DELAY;
    /// @notice Seconds after which a pause ends by itself.
    uint32 public immutable PAUSE_MAX;

    /// @notice x-coordinate of the trusted key.
    uint256 public keyX;
    /// @notice Whether its y-coordinate is odd.
    bool public keyOdd;
    /// @notice Whether the pending key's y-coordinate is odd.
    bool public pendingOdd;
    /// @notice Nothing is accepted before this time, Unix seconds.
    uint64 public pausedUntil;
    /// @notice Last step of the trusted key while a key change is pending.
    uint64 public pendingLastSeq;
    /// @notice When the pending key change takes effect; 0 if none is pending.
    uint64 public pendingReadyAt;
    /// @notice x-coordinate of the key that will be trusted.
    uint256 public pendingX;
    /// @notice Hashes of the key-change leaves that were taken, cancelled ones too.
    mapping(bytes32 leafHash => bool) public keyChangeTaken;

    constructor(Terms memory terms) {
        if (!FrostSecp256k1.isKey(terms.keyX, terms.keyY)) revert UntrustworthyKey();
        NETWORK = terms.network;
        COMMITTEE = terms.committee;
        GUARDIAN = terms.guardian;
        CHANGE_DELAY = terms.changeDelay;
        PAUSE_MAX = terms.pauseMax;
        keyX = terms.keyX;
        keyOdd = terms.keyY & 1 == 1;
    }

    modifier onlyGuardian() {
        if (msg.sender != GUARDIAN || GUARDIAN == address(0)) revert NotGuardian();
        _;
    }

    /// @notice Takes a key change of the committee. Until it takes effect or is cancelled, no
    /// other is taken, and the old key is good for steps up to the last one that it names.
    /// @dev Once in effect the old key signs nothing: the new key signs older steps, too, which
    /// are not delivered yet.
    function changeKey(Attestation calldata attestation, Inclusion calldata inclusion) external {
        uint64 seq = _verify(attestation, inclusion);
        bytes calldata leaf = inclusion.leaf;
        if (leaf.kind() != Leaf.KEY_CHANGE) revert WrongKind(leaf.kind());
        if (leaf.length != Leaf.KEY_CHANGE_LENGTH || leaf.zapp() != 0) revert MalformedLeaf();
        if (pendingReadyAt != 0) revert KeyChangePending();
        if (
            leaf.byteAt(42) != Leaf.SUITE_SECP256K1 || leaf.byteAt(51) != _prefix(keyOdd)
                || uint256(leaf.word(52)) != keyX
        ) revert NotThisKey();
        uint64 lastSeq = leaf.number(43);
        uint256 x = uint256(leaf.word(85));
        bool odd = leaf.byteAt(84) == _prefix(true);
        // The old key signs at least the step that ends it.
        if (lastSeq < seq || (!odd && leaf.byteAt(84) != _prefix(false))) revert MalformedLeaf();
        if (!FrostSecp256k1.isKeyX(x)) revert UntrustworthyKey();
        bytes32 hash = LeafTree.leafHash(leaf);
        if (keyChangeTaken[hash]) revert KeyChangeTaken();
        keyChangeTaken[hash] = true;
        pendingX = x;
        pendingOdd = odd;
        pendingLastSeq = lastSeq;
        pendingReadyAt = uint64(block.timestamp) + CHANGE_DELAY;
        emit KeyChangeStarted(x, odd, lastSeq, pendingReadyAt);
    }

    /// @notice Lets the pending key change take effect, after its delay. Anyone may call it.
    function activateKey() external {
        _requireNotPaused();
        if (pendingReadyAt == 0) revert NoKeyChangePending();
        if (block.timestamp < pendingReadyAt) revert TooEarly(pendingReadyAt);
        keyX = pendingX;
        keyOdd = pendingOdd;
        pendingReadyAt = 0;
        emit KeyChanged(keyX, keyOdd);
    }

    /// @notice Drops the pending key change, for good.
    function cancelKeyChange() external onlyGuardian {
        if (pendingReadyAt == 0) revert NoKeyChangePending();
        pendingReadyAt = 0;
        emit KeyChangeCancelled(pendingX);
    }

    /// @notice Accepts nothing for as long as a pause may last. May be renewed.
    function pause() external onlyGuardian {
        pausedUntil = uint64(block.timestamp) + PAUSE_MAX;
        emit PausedUntil(pausedUntil);
    }

    /// @notice Ends a pause.
    function resume() external onlyGuardian {
        pausedUntil = 0;
        emit PausedUntil(0);
    }

    /// @dev Every check of an attested leaf, in the order of the rulebook (crate `acceptor`).
    /// @return seq the step
    function _verify(Attestation calldata attestation, Inclusion calldata inclusion)
        internal
        view
        returns (uint64 seq)
    {
        _requireNotPaused();
        bytes calldata commit = attestation.commit;
        if (!StepCommit.isWellFormed(commit)) revert MalformedCommit();
        _requireExactCalldata(inclusion);
        if (StepCommit.committee(commit) != COMMITTEE) revert WrongCommittee(StepCommit.committee(commit));
        uint64 size = StepCommit.treeSize(commit);
        if (size < 2 || size > 65536) revert TreeSize(size);
        seq = StepCommit.seq(commit);
        _checkInclusion(attestation.root, inclusion, seq, size);
        FrostSecp256k1.Flaw flaw = FrostSecp256k1.flaw(
            keyX,
            keyOdd,
            StepCommit.statement(commit, attestation.root),
            attestation.rx,
            attestation.ry,
            attestation.z
        );
        if (flaw != FrostSecp256k1.Flaw.None) revert BadSignature(flaw);
        if (StepCommit.network(commit) != NETWORK) revert WrongNetwork(StepCommit.network(commit));
        if (pendingReadyAt != 0 && seq > pendingLastSeq) {
            revert AfterLastSeq(seq, pendingLastSeq);
        }
    }

    function _checkInclusion(
        bytes32 root,
        Inclusion calldata inclusion,
        uint64 seq,
        uint64 size
    ) private view {
        bytes calldata leaf = inclusion.leaf;
        if (leaf.length < Leaf.HEAD_LENGTH || leaf.byteAt(0) != Leaf.VERSION) {
            revert MalformedLeaf();
        }
        if (leaf.seq() != seq) revert WrongStep(leaf.seq(), seq);
        if ((inclusion.index == 0) != (leaf.kind() == Leaf.SETTLEMENT)) {
            revert WrongPosition(inclusion.index, leaf.kind());
        }
        (bool fits, bytes32 actual) =
            LeafTree.climb(LeafTree.leafHash(leaf), inclusion.index, size, inclusion.path);
        if (!fits) revert PathDoesNotFit(inclusion.index, size, inclusion.path.length);
        if (actual != root) revert NotIncluded(actual);
    }

    function _requireNotPaused() private view {
        if (block.timestamp < pausedUntil) revert Paused(pausedUntil);
    }

    /// @dev No bytes after or between the arguments; the commit has its length.
    function _requireExactCalldata(Inclusion calldata inclusion) private pure {
        uint256 leaf = (inclusion.leaf.length + 31) & ~uint256(31);
        // Selector; two offsets; offset, root, rx, ry, z, length and 352 bytes of the commit;
        // offset, index, offset, and the lengths of leaf and path.
        uint256 expected = 4 + 2 * 32 + (6 * 32 + 352) + 5 * 32 + leaf + 32 * inclusion.path.length;
        if (msg.data.length != expected) revert CalldataLength(msg.data.length, expected);
    }

    function _prefix(bool odd) private pure returns (uint8) {
        return odd ? 3 : 2;
    }
}
