// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {CommitteeConsumer} from "./CommitteeConsumer.sol";
import {Leaf} from "./Leaf.sol";

/// @title Rule E2 for outputs: each output of a committee once, in any order
/// @notice Steps may be skipped and come in any order: the attestation proves the output, whatever
/// happened around it.
/// @dev Derive from it and override `_onOutput`: consuming an output and its effect are one.
contract OutputAcceptor is CommitteeConsumer {
    using Leaf for bytes;

    /// @notice Outcome of a request.
    /// @param zapp the zApp called
    /// @param request the request's id
    /// @param status 0 ok, 1 reverted, 2 trapped, 3 out of gas, 4 refused, 5 faulted
    /// @param code the zApp's own code of a revert, the number of a refusal's reason
    /// @param gasUsed gas charged
    /// @param output SHA-256 of the output
    /// @param events digest of the events
    struct Output {
        bytes32 zapp;
        bytes32 request;
        uint8 status;
        uint32 code;
        uint64 gasUsed;
        bytes32 output;
        bytes32 events;
    }

    /// @notice The leaf is a settlement, which is nobody's output.
    error NotAnOutput(uint256 index);
    /// @notice The output was consumed before.
    error Consumed(uint64 seq, uint256 index);

    /// @notice An output was consumed.
    event OutputAccepted(
        uint64 indexed seq, uint256 indexed index, bytes32 indexed request, uint8 status
    );

    /// @dev One bit per output; a step has at most 65,536 leaves.
    mapping(uint64 seq => mapping(uint256 word => uint256 bits)) private _consumed;

    constructor(Terms memory terms) CommitteeConsumer(terms) {}

    /// @notice Accepts an output, once. What its status means is the heir's to decide.
    function accept(Attestation calldata attestation, Inclusion calldata inclusion) external {
        uint64 seq = _verify(attestation, inclusion);
        bytes calldata leaf = inclusion.leaf;
        uint256 index = inclusion.index;
        Output memory output = _read(leaf, index);
        uint256 bit = 1 << (index & 0xff);
        if (_consumed[seq][index >> 8] & bit != 0) revert Consumed(seq, index);
        _consumed[seq][index >> 8] |= bit;
        emit OutputAccepted(seq, index, output.request, output.status);
        _onOutput(seq, index, output);
    }

    /// @notice Whether an output was consumed.
    function isConsumed(uint64 seq, uint256 index) external view returns (bool) {
        return _consumed[seq][index >> 8] & (1 << (index & 0xff)) != 0;
    }

    /// @dev The effect of an output. A revert leaves it unconsumed.
    function _onOutput(uint64 seq, uint256 index, Output memory output) internal virtual {}

    function _read(bytes calldata leaf, uint256 index) private pure returns (Output memory) {
        if (leaf.kind() == Leaf.SETTLEMENT) {
            if (leaf.length != Leaf.SETTLEMENT_LENGTH || leaf.zapp() != 0) revert MalformedLeaf();
            revert NotAnOutput(index);
        }
        if (leaf.kind() != Leaf.OUTPUT) revert WrongKind(leaf.kind());
        if (leaf.length != Leaf.OUTPUT_LENGTH) revert MalformedLeaf();
        Output memory output = Output({
            zapp: leaf.zapp(),
            request: leaf.word(42),
            status: leaf.byteAt(74),
            code: uint32(uint256(leaf.word(75)) >> 224),
            gasUsed: leaf.number(79),
            output: leaf.word(87),
            events: leaf.word(119)
        });
        if (output.status > Leaf.STATUS_MAX) revert MalformedLeaf();
        return output;
    }
}
