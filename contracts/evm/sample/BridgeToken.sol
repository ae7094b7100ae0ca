// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

/// @title A token that one bridge mints and burns
/// @notice ERC-20 without permit, hooks or an owner.
contract BridgeToken {
    /// @notice Only the bridge may do this.
    error NotBridge();
    /// @notice The balance or the allowance is lower than the amount.
    error Insufficient(uint256 actual, uint256 needed);
    /// @notice Tokens at the zero address would be lost.
    error ToNobody();

    event Transfer(address indexed from, address indexed to, uint256 value);
    event Approval(address indexed owner, address indexed spender, uint256 value);

    /// @notice Name of the token.
    string public name;
    /// @notice Symbol of the token.
    string public symbol;
    /// @notice Decimals, as on the Network of Momentum.
    uint8 public constant decimals = 8;
    /// @notice Who mints and burns.
    address public immutable BRIDGE;

    /// @notice Tokens in circulation.
    uint256 public totalSupply;
    /// @notice Tokens per owner.
    mapping(address owner => uint256) public balanceOf;
    /// @notice What a spender may spend.
    mapping(address owner => mapping(address spender => uint256)) public allowance;

    constructor(string memory name_, string memory symbol_) {
        BRIDGE = msg.sender;
        name = name_;
        symbol = symbol_;
    }

    /// @notice Sends tokens.
    function transfer(address to, uint256 value) external returns (bool) {
        _move(msg.sender, to, value);
        return true;
    }

    /// @notice Sends tokens of somebody who allowed it.
    function transferFrom(address from, address to, uint256 value) external returns (bool) {
        uint256 allowed = allowance[from][msg.sender];
        if (allowed != type(uint256).max) {
            if (allowed < value) revert Insufficient(allowed, value);
            allowance[from][msg.sender] = allowed - value;
        }
        _move(from, to, value);
        return true;
    }

    /// @notice Allows somebody to spend tokens.
    function approve(address spender, uint256 value) external returns (bool) {
        allowance[msg.sender][spender] = value;
        emit Approval(msg.sender, spender, value);
        return true;
    }

    /// @notice Makes tokens.
    function mint(address to, uint256 value) external {
        if (msg.sender != BRIDGE) revert NotBridge();
        if (to == address(0)) revert ToNobody();
        totalSupply += value;
        balanceOf[to] += value;
        emit Transfer(address(0), to, value);
    }

    /// @notice Ends tokens.
    function burn(address from, uint256 value) external {
        if (msg.sender != BRIDGE) revert NotBridge();
        _take(from, value);
        totalSupply -= value;
        emit Transfer(from, address(0), value);
    }

    function _move(address from, address to, uint256 value) private {
        if (to == address(0)) revert ToNobody();
        _take(from, value);
        balanceOf[to] += value;
        emit Transfer(from, to, value);
    }

    function _take(address from, uint256 value) private {
        uint256 balance = balanceOf[from];
        if (balance < value) revert Insufficient(balance, value);
        balanceOf[from] = balance - value;
    }
}
