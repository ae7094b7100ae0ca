// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// @title What bridges with guardians do, to compare with: t ECDSA signatures, each through ecrecover
/// @notice A set of n addresses in storage; t signatures of 66 bytes each, with the index of who
/// signed, in rising order (the layout of Wormhole's VAAs).
contract Guardians {
    /// @notice Not as many signatures as the threshold asks for.
    error NotEnough();
    /// @notice The signatures are not in rising order of guardians.
    error OutOfOrder();
    /// @notice A signature is not its guardian's.
    error NotThisGuardian();

    /// @notice The guardians.
    address[] public guardians;
    /// @notice How many must sign.
    uint256 public immutable THRESHOLD;

    constructor(uint256 threshold, address[] memory set) {
        THRESHOLD = threshold;
        guardians = set;
    }

    /// @notice Reverts unless enough guardians signed the digest.
    function check(bytes32 digest, bytes calldata signatures) public view {
        uint256 count = signatures.length / 66;
        if (count < THRESHOLD || signatures.length != 66 * count) revert NotEnough();
        uint256 next = 0;
        for (uint256 from = 0; from < signatures.length; from += 66) {
            uint256 index = uint8(signatures[from]);
            if (index < next) revert OutOfOrder();
            next = index + 1;
            bytes32 r = bytes32(signatures[from + 1:from + 33]);
            bytes32 s = bytes32(signatures[from + 33:from + 65]);
            address signer = ecrecover(digest, uint8(signatures[from + 65]), r, s);
            if (signer == address(0) || signer != guardians[index]) revert NotThisGuardian();
        }
    }

    /// @notice Gas that a check takes.
    function checkGas(bytes32 digest, bytes calldata signatures) external view returns (uint256) {
        uint256 before = gasleft();
        check(digest, signatures);
        return before - gasleft();
    }
}
