// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// @title What a message acceptor calls
interface IMessageReceiver {
    /// @notice A message of the committee, once and in its channel's order.
    /// @dev Check three things: that the caller is your acceptor, that `zapp` is the zApp you
    /// trust, and that `channel` is the one you expect of it. A revert is recorded as a failure;
    /// the message does not come again.
    /// @param zapp the zApp that sent it
    /// @param channel its channel
    /// @param number its number in the channel, from 1
    /// @param payload what the zApp sent
    function onMessage(bytes32 zapp, bytes32 channel, uint64 number, bytes calldata payload)
        external;
}
