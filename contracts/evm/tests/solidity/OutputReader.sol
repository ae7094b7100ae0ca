// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {OutputAcceptor} from "../../solidity/OutputAcceptor.sol";

/// @notice Keeps the last output; code 7 is not wanted.
contract OutputReader is OutputAcceptor {
    error NotWanted();

    Output public last;

    constructor(Terms memory terms) OutputAcceptor(terms) {}

    function _onOutput(uint64, uint256, Output memory output) internal override {
        if (output.code == 7) revert NotWanted();
        last = output;
    }
}
