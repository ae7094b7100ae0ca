// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {CommitteeConsumer} from "./CommitteeConsumer.sol";
import {IMessageReceiver} from "./IMessageReceiver.sol";
import {Leaf} from "./Leaf.sol";

/// @title Rule E2 for messages: each outbound message once, in its channel's order
/// @notice A channel is one zApp's to one destination under one label; the committee numbers its
/// messages from 1. The number is consumed before the receiver is called, and a message that fails
/// although it was given its gas is recorded as failed: the channel moves on, whatever a leaf says.
contract MessageAcceptor is CommitteeConsumer {
    using Leaf for bytes;

    /// @notice What became of a message.
    enum Outcome {
        /// Its number has not come.
        None,
        Delivered,
        /// The receiver reverted, or ran out of the gas that the leaf grants.
        Reverted,
        /// There is no contract at the receiver's address, or it is no address.
        NoReceiver,
        /// The leaf grants more gas than this contract ever gives.
        TooMuchGas
    }

    /// @notice The message is for another chain.
    error WrongChain(uint64 actual);
    /// @notice The message is for another contract.
    error WrongContract(bytes32 actual);
    /// @notice The channel's next message is another: this one was consumed, or others come first.
    error OutOfOrder(bytes32 channel, uint64 actual, uint64 expected);
    /// @notice The transaction's gas does not cover what the leaf grants; give it more.
    error NotEnoughGas(uint256 actual, uint256 needed);
    /// @notice A receiver may not deliver messages.
    error Reentered();

    /// @notice A message's number was consumed.
    event MessageConsumed(
        bytes32 indexed channel, uint64 indexed number, uint64 seq, Outcome outcome
    );

    /// @dev What the call itself, the record of a failure and the event cost at most.
    uint256 private constant RESERVE = 60_000;

    /// @notice Most gas that a message is given.
    uint64 public immutable GAS_MAX;

    /// @notice Number of messages consumed per channel.
    mapping(bytes32 channel => uint64) public consumed;
    /// @dev Failures only: what was consumed and is not here was delivered.
    mapping(bytes32 channel => mapping(uint64 number => Outcome)) private _failures;
    bool private transient _entered;

    constructor(Terms memory terms, uint64 gasMax) CommitteeConsumer(terms) {
        GAS_MAX = gasMax;
    }

    /// @notice Delivers the next message of a channel. Anyone may call it.
    function deliver(Attestation calldata attestation, Inclusion calldata inclusion) external {
        if (_entered) revert Reentered();
        uint64 seq = _verify(attestation, inclusion);
        bytes calldata leaf = inclusion.leaf;
        if (leaf.kind() != Leaf.MESSAGE) revert WrongKind(leaf.kind());
        if (leaf.length < Leaf.MESSAGE_LENGTH) revert MalformedLeaf();
        if (leaf.number(42) != block.chainid) revert WrongChain(leaf.number(42));
        if (leaf.word(50) != bytes32(uint256(uint160(address(this))))) {
            revert WrongContract(leaf.word(50));
        }
        bytes32 channel = leaf.word(114);
        uint64 number = leaf.number(146);
        // A channel cannot overflow: it ends with the highest number.
        uint256 expected = uint256(consumed[channel]) + 1;
        if (number != expected) revert OutOfOrder(channel, number, uint64(expected));
        consumed[channel] = number;
        _entered = true;
        Outcome outcome = _dispatch(leaf, channel, number);
        _entered = false;
        if (outcome != Outcome.Delivered) _failures[channel][number] = outcome;
        emit MessageConsumed(channel, number, seq, outcome);
    }

    /// @notice What became of a message.
    function outcomeOf(bytes32 channel, uint64 number) external view returns (Outcome) {
        if (number == 0 || number > consumed[channel]) return Outcome.None;
        Outcome failure = _failures[channel][number];
        return failure == Outcome.None ? Outcome.Delivered : failure;
    }

    /// @dev A whole failure is the leaf's fault, never the caller's: whoever calls with too little
    /// gas gets an error and consumes nothing.
    function _dispatch(bytes calldata leaf, bytes32 channel, uint64 number)
        private
        returns (Outcome)
    {
        uint256 receiver = uint256(leaf.word(82));
        uint256 granted = leaf.number(154);
        if (receiver >> 160 != 0) return Outcome.NoReceiver;
        if (address(uint160(receiver)).code.length == 0) return Outcome.NoReceiver;
        if (granted > GAS_MAX) return Outcome.TooMuchGas;
        bytes memory call_ = abi.encodeCall(
            IMessageReceiver.onMessage,
            (leaf.zapp(), channel, number, leaf[Leaf.MESSAGE_LENGTH:])
        );
        // A call gets at most 63/64 of what is left (EIP-150); a shortfall would not be an error.
        uint256 needed = granted + granted / 63 + RESERVE;
        if (gasleft() < needed) revert NotEnoughGas(gasleft(), needed);
        bool ok;
        assembly ("memory-safe") {
            // What the receiver returns is not copied: it may be as long as its gas allows.
            ok := call(granted, receiver, 0, add(call_, 32), mload(call_), 0, 0)
        }
        return ok ? Outcome.Delivered : Outcome.Reverted;
    }
}
