//! What a contract on an EVM chain returns, by the operator's own node of that chain.
//!
//! Members compare what they see byte by byte, and none of them sees the chain at the same moment: so a
//! call is made at a block that does not go away any more, and says something that stays as it is
//! from some block on (what became of a deposit, a burn with its number).

use attestation::ids::EvmAddress;
use attestation::source::{Absence, OBSERVED_BYTES_MAX, Observed};
use serde_bytes::ByteBuf;
use serde_json::{Value, json};

use super::http;
use super::rules::{Rules, Target};

/// What the contract returns to `data`, hexadecimal digits, at the newest block that is final.
///
/// # Errors
/// [`Absence`]: `Forbidden` where the operator has no node of this chain, or it is one of another;
/// `Status` where the call reverts or the node refuses it; `NoValue` where nothing is final yet, or
/// no contract is there; `Kind` where more is returned than a value may hold.
pub fn call(
    rules: &Rules,
    chain: u64,
    contract: &EvmAddress,
    data: &str,
) -> Result<Observed, Absence> {
    let (node, confirmations) = rules.evm(chain).ok_or(Absence::Forbidden)?;
    if quantity(&node, "eth_chainId", &json!([]))? != chain {
        return Err(Absence::Forbidden);
    }
    let block = match confirmations {
        None => json!("finalized"),
        Some(confirmations) => {
            let newest = quantity(&node, "eth_blockNumber", &json!([]))?;
            let newest = newest.checked_sub(confirmations).ok_or(Absence::NoValue)?;
            json!(format!("0x{newest:x}"))
        }
    };
    let call = json!({ "to": format!("0x{contract}"), "data": format!("0x{data}") });
    let returned = text(&node, "eth_call", &json!([call, block]))?;
    // Longer text is not even decoded.
    if returned.len() > 2 * OBSERVED_BYTES_MAX {
        return Err(Absence::Kind);
    }
    match hex::decode(returned).map_err(|_| Absence::Kind)? {
        // An account without code returns nothing to anything.
        nothing if nothing.is_empty() => Err(Absence::NoValue),
        bytes => Ok(Observed::Bytes(ByteBuf::from(bytes))),
    }
}

fn quantity(node: &Target, method: &str, params: &Value) -> Result<u64, Absence> {
    u64::from_str_radix(&text(node, method, params)?, 16).map_err(|_| Absence::Kind)
}

/// Hexadecimal digits that the node answers with.
fn text(node: &Target, method: &str, params: &Value) -> Result<String, Absence> {
    let result = http::ask_rpc(node, method, params)?;
    let text: String = serde_json::from_slice(&result).map_err(|_| Absence::Kind)?;
    let digits = text.strip_prefix("0x").ok_or(Absence::Kind)?;
    let is_digits = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_digits.then(|| digits.to_owned()).ok_or(Absence::Kind)
}
