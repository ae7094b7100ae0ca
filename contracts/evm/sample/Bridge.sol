// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.28;

import {IMessageReceiver} from "../solidity/IMessageReceiver.sol";
import {BridgeToken} from "./BridgeToken.sol";

/// @title A sample bridge: what a zApp locked is minted here, what is burned here it releases
/// @notice A message of the zApp mints, within a rate limit and before it expires. A mint that
/// exceeds the limit, or comes within a pause, waits; whoever calls `settle` later completes it.
/// An expired one is given back. The zApp's committee reads `stateOf` and `burnOf`: what either says
/// once, a deposit that is given back or a burn, it says for ever.
/// @dev `onMessage` reverts for nothing that the zApp may send: a failed message does not come
/// again, and its deposit would be nobody's. The payload, 93 bytes:
///
///     0   1   1: mint
///     1   20  recipient
///     21  32  amount
///     53  8   expiry, Unix seconds
///     61  32  deposit: hash of the account block that brought the amount
contract Bridge is IMessageReceiver {
    /// @notice What became of a deposit.
    enum State {
        Unknown,
        Waiting,
        Minted,
        Returned
    }

    /// @notice What was burned.
    struct Burn {
        bytes20 to;
        uint256 amount;
    }

    /// @notice A deposit that waits.
    struct Waiting {
        address recipient;
        uint64 expiry;
        uint256 amount;
    }

    /// @notice What a bridge is deployed with.
    /// @param acceptor the message acceptor that may call
    /// @param zapp the zApp that holds the other side
    /// @param channel its channel to this bridge
    /// @param guardian who may pause; zero for nobody
    /// @param pauseMax seconds after which a pause ends by itself
    /// @param burst most that is minted at once
    /// @param perSecond by how much what may be minted grows each second, up to `burst`
    struct Terms {
        address acceptor;
        bytes32 zapp;
        bytes32 channel;
        address guardian;
        uint32 pauseMax;
        uint128 burst;
        uint128 perSecond;
    }

    /// @notice Only the acceptor may do this.
    error NotAcceptor();
    /// @notice The message is of another zApp or channel.
    error NotThisChannel();
    /// @notice The payload has another length or kind.
    error MalformedPayload();
    /// @notice The deposit was told before.
    error DepositKnown(bytes32 deposit);
    /// @notice The deposit does not wait.
    error NotWaiting(bytes32 deposit);
    /// @notice The rate limit has no room yet.
    error RateLimited(uint256 room, uint256 needed);
    /// @notice Nothing is minted or burned until this time, Unix seconds.
    error Paused(uint64 until);
    /// @notice Only the guardian may do this.
    error NotGuardian();
    /// @notice Nothing is burned for nobody, and not nothing.
    error EmptyBurn();

    /// @notice A deposit waits for the rate limit, or for the end of a pause.
    event MintWaits(bytes32 indexed deposit, address indexed recipient, uint256 amount);
    /// @notice A deposit was minted.
    event Minted(bytes32 indexed deposit, address indexed recipient, uint256 amount);
    /// @notice A deposit will never be minted; the zApp gives it back.
    event DepositReturned(bytes32 indexed deposit, uint256 amount);
    /// @notice Tokens were burned; the zApp releases them, once per number.
    event Burned(uint64 indexed number, address indexed from, bytes20 indexed to, uint256 amount);
    /// @notice Nothing is minted or burned until this time; 0 ends a pause.
    event PausedUntil(uint64 until);

    /// @notice The message acceptor that may call.
    address public immutable ACCEPTOR;
    /// @notice The zApp that holds the other side.
    bytes32 public immutable ZAPP;
    /// @notice Its channel to this bridge.
    bytes32 public immutable CHANNEL;
    /// @notice Who may pause; zero for nobody.
    address public immutable GUARDIAN;
    /// @notice Seconds after which a pause ends by itself.
    uint32 public immutable PAUSE_MAX;
    /// @notice Most that is minted at once.
    uint128 public immutable BURST;
    /// @notice By how much what may be minted grows each second.
    uint128 public immutable PER_SECOND;
    /// @notice The token.
    BridgeToken public immutable TOKEN;

    /// @notice Nothing is minted or burned before this time, Unix seconds.
    uint64 public pausedUntil;
    /// @notice When `spare` was true.
    uint64 public sparedAt;
    /// @notice Number of the last burn.
    uint64 public burns;
    /// @notice What could be minted then.
    uint256 public spare;
    /// @notice What became of each deposit.
    mapping(bytes32 deposit => State) public stateOf;
    /// @notice Deposits that wait.
    mapping(bytes32 deposit => Waiting) public waiting;
    /// @notice What was burned, by number from 1: nobody and nothing where there is no such burn.
    mapping(uint64 number => Burn) public burnOf;

    constructor(Terms memory terms, string memory name, string memory symbol) {
        ACCEPTOR = terms.acceptor;
        ZAPP = terms.zapp;
        CHANNEL = terms.channel;
        GUARDIAN = terms.guardian;
        PAUSE_MAX = terms.pauseMax;
        BURST = terms.burst;
        PER_SECOND = terms.perSecond;
        TOKEN = new BridgeToken(name, symbol);
        spare = terms.burst;
        sparedAt = uint64(block.timestamp);
    }

    modifier onlyGuardian() {
        if (msg.sender != GUARDIAN || GUARDIAN == address(0)) revert NotGuardian();
        _;
    }

    /// @inheritdoc IMessageReceiver
    function onMessage(bytes32 zapp, bytes32 channel, uint64, bytes calldata payload) external {
        if (msg.sender != ACCEPTOR) revert NotAcceptor();
        if (zapp != ZAPP || channel != CHANNEL) revert NotThisChannel();
        if (payload.length != 93 || payload[0] != 0x01) revert MalformedPayload();
        address recipient = address(bytes20(payload[1:21]));
        uint256 amount = uint256(bytes32(payload[21:53]));
        uint64 expiry = uint64(bytes8(payload[53:61]));
        bytes32 deposit = bytes32(payload[61:93]);
        if (stateOf[deposit] != State.Unknown) revert DepositKnown(deposit);
        // What can never be minted is given back at once.
        if (block.timestamp > expiry || amount > BURST || recipient == address(0)) {
            _giveBack(deposit, amount);
        } else if (block.timestamp < pausedUntil || amount > room()) {
            stateOf[deposit] = State.Waiting;
            waiting[deposit] = Waiting({recipient: recipient, expiry: expiry, amount: amount});
            emit MintWaits(deposit, recipient, amount);
        } else {
            _mint(deposit, recipient, amount);
        }
    }

    /// @notice Completes a deposit that waits: mints it, or gives it back if it has expired.
    /// Anyone may call it.
    function settle(bytes32 deposit) external {
        if (stateOf[deposit] != State.Waiting) revert NotWaiting(deposit);
        Waiting memory found = waiting[deposit];
        delete waiting[deposit];
        if (block.timestamp > found.expiry) {
            _giveBack(deposit, found.amount);
            return;
        }
        _requireNotPaused();
        if (found.amount > room()) revert RateLimited(room(), found.amount);
        _mint(deposit, found.recipient, found.amount);
    }

    /// @notice Burns tokens for a release on the Network of Momentum.
    /// @param to the 20 bytes of a z1… address
    function burn(bytes20 to, uint256 amount) external {
        _requireNotPaused();
        if (to == 0 || amount == 0) revert EmptyBurn();
        ++burns;
        burnOf[burns] = Burn({to: to, amount: amount});
        TOKEN.burn(msg.sender, amount);
        emit Burned(burns, msg.sender, to, amount);
    }

    /// @notice Mints and burns nothing for as long as a pause may last. May be renewed.
    function pause() external onlyGuardian {
        pausedUntil = uint64(block.timestamp) + PAUSE_MAX;
        emit PausedUntil(pausedUntil);
    }

    /// @notice Ends a pause.
    function resume() external onlyGuardian {
        pausedUntil = 0;
        emit PausedUntil(0);
    }

    /// @notice What may be minted now.
    function room() public view returns (uint256) {
        // Checked arithmetic could stop every mint; whoever deploys keeps the product in range.
        uint256 grown = spare + uint256(PER_SECOND) * (block.timestamp - sparedAt);
        return grown < BURST ? grown : BURST;
    }

    function _mint(bytes32 deposit, address recipient, uint256 amount) private {
        spare = room() - amount;
        sparedAt = uint64(block.timestamp);
        stateOf[deposit] = State.Minted;
        TOKEN.mint(recipient, amount);
        emit Minted(deposit, recipient, amount);
    }

    function _giveBack(bytes32 deposit, uint256 amount) private {
        stateOf[deposit] = State.Returned;
        emit DepositReturned(deposit, amount);
    }

    function _requireNotPaused() private view {
        if (block.timestamp < pausedUntil) revert Paused(pausedUntil);
    }
}
