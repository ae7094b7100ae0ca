//! The committee's account on the Network of Momentum, as the head leaves it.

use ::nom::{Address, Amount, TokenStandard};
use attestation::ids::ZappId;
use axum::Json;
use axum::extract::{Path, State};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use state::State as Tree;
use state::system::nom::{Account, Order};
use state::tree::NeedState;

use super::problem::Problem;
use super::zapps::parse_zapp;
use crate::gateway::Gateway;

/// Orders that an answer shows; the account says how many wait.
const SHOWN_MAX: u64 = 64;

/// `GET /v1/nom`: where the account stands, and what it is to do next.
pub(super) async fn account(State(gateway): State<Gateway>) -> Result<Response, Problem> {
    let chain = gateway.inner.chain.read().await;
    let shown = chain.state.nom_account().and_then(|account| {
        let account = account.map(|account| shown(&chain.state, &account));
        Ok((chain.seq(), account.transpose()?))
    });
    let Ok((seq, account)) = shown else {
        return Err(crate::rows::StoreError::Damaged { table: "entries" }.into());
    };
    Ok(Json(json!({ "seq": seq, "account": account })).into_response())
}

/// `GET /v1/nom/balances/{zapp}/{token}`: what deposits gave a zApp and it has not paid out.
pub(super) async fn balance(
    State(gateway): State<Gateway>,
    Path((zapp, token)): Path<(String, String)>,
) -> Result<Response, Problem> {
    let zapp: ZappId = parse_zapp(&zapp)?;
    let parsed: Result<TokenStandard, _> = token.parse();
    let parsed = parsed.map_err(|_| Problem::argument("token", "a token standard, zts1…"))?;
    let chain = gateway.inner.chain.read().await;
    // A whole state shows every entry.
    let balance = chain.state.nom_balance(&zapp, parsed.as_bytes());
    let balance = Amount::from_bytes(balance.unwrap_or_default());
    let answer = json!({
        "seq": chain.seq(),
        "zapp": zapp,
        "token": token,
        "balance": balance.to_string(),
    });
    Ok(Json(answer).into_response())
}

fn shown(state: &Tree, account: &Account) -> Result<Value, NeedState> {
    let issued = account.issued.iter().map(|issued| {
        json!({
            "block": issued.block,
            "seq": issued.seq,
            "momentum_height": issued.momentum_height,
        })
    });
    let issued: Vec<Value> = issued.collect();
    let shown_end = account.end.min(account.first.saturating_add(SHOWN_MAX));
    let mut orders = Vec::new();
    for number in account.first..shown_end {
        if let Some(order) = state.nom_order(number)? {
            orders.push(order_json(number, &order));
        }
    }
    Ok(json!({
        "chain": account.chain,
        "address": Address::from_bytes(account.address).to_string(),
        "height": account.height.saturating_sub(1),
        "previous": account.previous,
        "momentum_height": account.momentum_height,
        "waiting": account.end.saturating_sub(account.first),
        "orders": orders,
        "issued": issued,
        "anchored": account.anchored_seq,
    }))
}

fn order_json(number: u64, order: &Order) -> Value {
    match order {
        Order::Receive { source, .. } => {
            json!({ "number": number, "kind": "receive", "source": source })
        }
        Order::Send {
            zapp,
            to,
            token,
            amount,
            data,
        } => json!({
            "number": number,
            "kind": if *to == Order::NOBODY { "anchor" } else { "payout" },
            "zapp": zapp,
            "to": Address::from_bytes(*to).to_string(),
            "token": TokenStandard::from_bytes(*token).to_string(),
            "amount": Amount::from_bytes(*amount).to_string(),
            "data": hex::encode(data),
        }),
    }
}
