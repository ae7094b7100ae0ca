//! The first state of the network, and the node's configuration.

use std::path::Path;
use std::time::SystemTime;

use nom::{Address, TokenStandard};
use serde_json::{Value, json};

use crate::account::Key;

/// The network's identifier: the one of launched committees.
pub const CHAIN: u64 = 321;
/// How many user accounts there are.
pub const USERS: u8 = 8;
/// How many accounts of committees there are.
pub const COMMITTEES: u8 = 8;
/// What each user has of each token: enough to register a Sentinel.
const EACH: u64 = 60_000 * COIN;
/// The QSR fused for each user and committee: plasma for the longest data, twice.
const FUSED: u64 = 1_200 * COIN;
const COIN: u64 = 100_000_000;
/// The collateral of the one producer.
const PILLAR: u64 = 15_000 * COIN;

/// ZNN.
pub const ZNN: &str = "zts1znnxxxxxxxxxxxxx9z4ulx";
/// QSR.
pub const QSR: &str = "zts1qsrxxxxxxxxxxxxxmrhjll";

const PRODUCER: &str = "z1qqlhccv7w3hamml906w6z6neaa4k568aqgsfu9";
const PILLAR_CONTRACT: &str = "z1qxemdeddedxpyllarxxxxxxxxxxxxxxxsy3fmg";
pub(crate) const PLASMA_CONTRACT: &str = "z1qxemdeddedxplasmaxxxxxxxxxxxxxxxxsctrp";
pub(crate) const SENTINEL_CONTRACT: &str = "z1qxemdeddedxsentynelxxxxxxxxxxxxxwy0r2r";
const TOKEN_CONTRACT: &str = "z1qxemdeddedxt0kenxxxxxxxxxxxxxxxxh9amk0";
/// Rules that the main network has long activated: accelerator, htlc, bridge and liquidity.
const SPORKS: [&str; 3] = [
    "6d2b1e6cb4025f2f45533f0fe22e9b7ce2014d91cc960471045fa64eee5a6ba3",
    "ceb7e3808ef17ea910adda2f3ab547be4cdfb54de8400ce3683258d06be1354b",
    "ddd43466769461c5b5d109c639da0f50a7eeb96ad6e7274b1928a35c431d7b1b",
];

/// A token by its text.
///
/// # Panics
/// If the text is no token.
#[must_use]
pub fn token(text: &str) -> TokenStandard {
    text.parse().expect("a token's text")
}

/// The genesis configuration.
pub(crate) fn configuration() -> Value {
    let users: Vec<Address> = (0..USERS).map(|n| Key::user(n).address()).collect();
    let committees = (0..COMMITTEES).map(|n| Key::committee(n).address());
    let fused: Vec<Address> = users.iter().copied().chain(committees).collect();
    let fusions: Vec<Value> = fused.iter().zip(1u64..).map(fusion).collect();
    let all_fused = FUSED * fused.len() as u64;
    let all_each = EACH * users.len() as u64;
    let mut blocks = vec![
        json!({ "Address": PILLAR_CONTRACT, "BalanceList": { ZNN: PILLAR } }),
        json!({ "Address": PLASMA_CONTRACT, "BalanceList": { QSR: all_fused } }),
    ];
    blocks.extend(users.iter().map(
        |user| json!({ "Address": user.to_string(), "BalanceList": { ZNN: EACH, QSR: EACH } }),
    ));
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    // Two momentums back, so that the first is made at once.
    let start = now.expect("a clock after 1970").as_secs() - 20;
    json!({
        "ChainIdentifier": CHAIN,
        "ExtraData": "a network for tests",
        "GenesisTimestampSec": start,
        "SporkAddress": users[0].to_string(),
        "PillarConfig": {
            "Pillars": [{
                "Name": "test",
                "BlockProducingAddress": PRODUCER,
                "RewardWithdrawAddress": PRODUCER,
                "StakeAddress": PRODUCER,
                "Amount": PILLAR,
                "RegistrationTime": 0,
                "RevokeTime": 0,
                "GiveBlockRewardPercentage": 0,
                "GiveDelegateRewardPercentage": 100,
                "PillarType": 1,
            }],
            "Delegations": [],
            "LegacyEntries": [],
        },
        "TokenConfig": {
            "Tokens": [
                minted("tZNN", ZNN, all_each + PILLAR),
                minted("tQSR", QSR, all_each + all_fused),
            ],
        },
        "PlasmaConfig": { "Fusions": fusions },
        "SwapConfig": { "Entries": [] },
        "SporkConfig": { "Sporks": SPORKS.map(spork) },
        "GenesisBlocks": { "Blocks": blocks },
    })
}

/// The node's configuration: it listens on loopback, seeks no peer and produces alone.
pub(crate) fn node(folder: &Path, [peers, http, websocket]: [u16; 3]) -> Value {
    json!({
        "GenesisFile": folder.join("genesis.json"),
        "WalletPath": folder.join("wallet"),
        "Producer": {
            "Address": PRODUCER,
            "Index": 0,
            "KeyFilePath": "producer.json",
            // The key file is part of this repository: it guards nothing.
            "Password": "devnet",
        },
        "Net": {
            "ListenHost": "127.0.0.1",
            "ListenPort": peers,
            "MinPeers": 0,
            "MinConnectedPeers": 0,
            "Seeders": [],
        },
        "RPC": {
            "EnableHTTP": true,
            "HTTPHost": "127.0.0.1",
            "HTTPPort": http,
            "EnableWS": true,
            "WSHost": "127.0.0.1",
            "WSPort": websocket,
            "Endpoints": [],
        },
    })
}

fn fusion((beneficiary, number): (&Address, u64)) -> Value {
    json!({
        "owner": PRODUCER,
        "id": format!("{number:064x}"),
        "amount": FUSED,
        "withdrawHeight": 1,
        "beneficiaryAddress": beneficiary.to_string(),
    })
}

fn minted(name: &str, token: &str, supply: u64) -> Value {
    json!({
        "owner": TOKEN_CONTRACT,
        "tokenName": name,
        "tokenSymbol": name,
        "tokenDomain": "test.network",
        "totalSupply": supply,
        "maxSupply": 9_007_199_254_740_991u64,
        "decimals": 8,
        "isMintable": true,
        "isBurnable": true,
        "isUtility": true,
        "tokenStandard": token,
    })
}

fn spork(id: &str) -> Value {
    json!({
        "id": id,
        "name": "active",
        "description": "active from the start",
        "activated": true,
        "enforcementHeight": 0,
    })
}
