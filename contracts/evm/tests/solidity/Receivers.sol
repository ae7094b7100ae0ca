// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IMessageReceiver} from "../../solidity/IMessageReceiver.sol";

/// @notice Takes every message but those that tell it what else to do.
/// @dev The payload's first byte says what: 0 take it, 1 revert, 2 burn all gas, 3 revert with a
/// reason of 200,000 bytes, 4 an invalid operation, 5 call the caller with the rest of the
/// payload and keep what it answers.
contract Receiver is IMessageReceiver {
    address public sender;
    bytes32 public zapp;
    bytes32 public channel;
    uint64 public number;
    uint256 public count;
    uint256 public gasGiven;
    bytes public payload;
    bytes public answer;

    function onMessage(bytes32 zapp_, bytes32 channel_, uint64 number_, bytes calldata payload_)
        external
    {
        gasGiven = gasleft();
        uint8 what = payload_.length == 0 ? 0 : uint8(payload_[0]);
        if (what == 1) revert("no");
        if (what == 2) while (true) {}
        if (what == 3) {
            assembly {
                revert(0, 200000)
            }
        }
        if (what == 4) {
            assembly {
                invalid()
            }
        }
        if (what == 5) (, answer) = msg.sender.call(payload_[1:]);
        sender = msg.sender;
        zapp = zapp_;
        channel = channel_;
        number = number_;
        if (what == 0) payload = payload_;
        ++count;
    }
}

/// @notice Takes every message and does nothing.
contract Sink is IMessageReceiver {
    function onMessage(bytes32, bytes32, uint64, bytes calldata) external {}
}

/// @notice Makes two calls in one transaction.
contract Pair {
    function both(address to, bytes calldata first, bytes calldata second)
        external
        returns (bool, bool)
    {
        (bool one,) = to.call(first);
        (bool other,) = to.call(second);
        return (one, other);
    }
}
