// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// @title Schnorr signatures of suite FROST(secp256k1, KECCAK-256)
/// @notice Verifies what the crate `frost-secp256k1-evm` 3.0.0 signs: with group key X, message m
/// and signature (R, z)
///
///     c = H2(SEC1(R) ‖ SEC1(X) ‖ m)        SEC1: compressed, 33 bytes
///     valid  <=>  zG − cX = R
///
/// H2 is hash_to_field of RFC 9380 §5.2 with expand_message_xmd over Keccak-256.
/// @dev The curve arithmetic is the `ecrecover` precompile's: for a point with x-coordinate r it
/// answers the address of r⁻¹(s·(r, v) − e·G). With r = x(X), e = −z·x(X) and s = −c·x(X) that
/// is zG − cX. The precompile wants 0 < r < N, which is why a key needs x(X) < N.
library FrostSecp256k1 {
    /// @notice Order of the field.
    uint256 internal constant P =
        0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEFFFFFC2F;
    /// @notice Order of the group.
    uint256 internal constant N =
        0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141;

    /// @dev "FROST-secp256k1-KECCAK256-v1chal": 32 bytes.
    uint256 private constant DST =
        0x46524f53542d736563703235366b312d4b454343414b3235362d76316368616c;

    /// @notice What is wrong with a signature.
    enum Flaw {
        None,
        /// z is 0, or N or more: a second encoding of another z.
        ScalarRange,
        /// (rx, ry) is not a point of the curve in its one encoding.
        PointOffCurve,
        /// zG − cX is another point than R.
        Equation
    }

    /// @notice The first flaw of a signature, None if it is valid.
    /// @param x x-coordinate of a key that passed `isKey` when it was registered
    /// @param odd whether the key's y-coordinate is odd
    /// @param message the signed 32 bytes
    /// @param rx x-coordinate of R
    /// @param ry y-coordinate of R
    /// @param z the scalar
    function flaw(uint256 x, bool odd, bytes32 message, uint256 rx, uint256 ry, uint256 z)
        internal
        pure
        returns (Flaw)
    {
        if (z == 0 || z >= N) return Flaw.ScalarRange;
        // Only 160 bits of R are compared below. Were any (rx, ry) allowed, rx would fix c, and a
        // birthday search over z on one side and ry on the other would forge at 2^80.
        if (!isPoint(rx, ry)) return Flaw.PointOffCurve;
        uint256 c = challenge(x, odd, message, rx, ry & 1 == 1);
        address expected;
        assembly ("memory-safe") {
            mstore(0x00, rx)
            mstore(0x20, ry)
            expected := and(keccak256(0x00, 0x40), 0xffffffffffffffffffffffffffffffffffffffff)
        }
        // Neither product is 0: N is prime, and x and z are not multiples of it. With c = 0 the
        // precompile is asked for s = N, which it refuses.
        address actual = ecrecover(
            bytes32(N - mulmod(z, x, N)),
            odd ? 28 : 27,
            bytes32(x),
            bytes32(N - mulmod(c, x, N))
        );
        if (actual == address(0) || actual != expected) return Flaw.Equation;
        return Flaw.None;
    }

    /// @notice Whether (x, y) may be registered as a group key: a point with x < N.
    /// @dev A key generation that yields x >= N (one in 2^128) has to be repeated. No point has
    /// x = 0, since 7 is no square.
    function isKey(uint256 x, uint256 y) internal pure returns (bool) {
        return x < N && isPoint(x, y);
    }

    /// @notice Whether (x, y) is a point: y² = x³ + 7, both coordinates reduced.
    function isPoint(uint256 x, uint256 y) internal pure returns (bool) {
        if (x >= P || y >= P) return false;
        return mulmod(y, y, P) == addmod(mulmod(mulmod(x, x, P), x, P), 7, P);
    }

    /// @notice Whether a point with this x-coordinate exists and may be a group key.
    function isKeyX(uint256 x) internal view returns (bool) {
        if (x >= N) return false;
        uint256 square = addmod(mulmod(mulmod(x, x, P), x, P), 7, P);
        // P = 3 mod 4: a square's root is its power (P + 1) / 4.
        bytes memory call_ =
            abi.encode(uint256(32), uint256(32), uint256(32), square, (P + 1) / 4, P);
        (bool ok, bytes memory result) = address(5).staticcall(call_);
        if (!ok || result.length != 32) return false;
        uint256 root = abi.decode(result, (uint256));
        return mulmod(root, root, P) == square;
    }

    /// @notice H2(SEC1(R) ‖ SEC1(X) ‖ message), reduced mod N.
    function challenge(uint256 x, bool odd, bytes32 message, uint256 rx, bool rOdd)
        internal
        pure
        returns (uint256 c)
    {
        assembly ("memory-safe") {
            let m := mload(0x40)
            // b0 = K(136 zeros, Keccak's block ‖ message ‖ 48 as u16 ‖ 0 ‖ DST ‖ its length).
            mstore(m, 0)
            mstore(add(m, 32), 0)
            mstore(add(m, 64), 0)
            mstore(add(m, 96), 0)
            mstore(add(m, 128), 0)
            mstore8(add(m, 136), add(2, rOdd))
            mstore(add(m, 137), rx)
            mstore8(add(m, 169), add(2, odd))
            mstore(add(m, 170), x)
            mstore(add(m, 202), message)
            mstore(add(m, 234), shl(232, 0x003000))
            mstore(add(m, 237), DST)
            mstore8(add(m, 269), 0x20)
            let b0 := keccak256(m, 270)
            // b1 = K(b0 ‖ 1 ‖ DST ‖ its length), b2 = K(b0 ^ b1 ‖ 2 ‖ DST ‖ its length).
            mstore(m, b0)
            mstore8(add(m, 32), 1)
            mstore(add(m, 33), DST)
            mstore8(add(m, 65), 0x20)
            let b1 := keccak256(m, 66)
            mstore(m, xor(b0, b1))
            mstore8(add(m, 32), 2)
            let b2 := keccak256(m, 66)
            // The first 48 bytes of b1 ‖ b2 as one number.
            c := addmod(mulmod(b1, shl(128, 1), N), shr(128, b2), N)
        }
    }
}
