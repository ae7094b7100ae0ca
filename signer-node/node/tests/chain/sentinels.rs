//! Whether members' Sentinels are active, as the operators' NoM nodes say or cannot say.

use attestation::ids::{NetworkId, Slot};
use node::sentinel::active::{Backed, missing};
use nom::Address;
use serde_json::{Value, json};

use crate::server::{self, CHAIN, Reply, Server};
use crate::truth;

fn owner(byte: u8) -> Address {
    Address::from_key(&[byte; 32])
}

/// Owner 1's Sentinel is active, owner 2's is not, owner 3 has none.
fn answer(method: &str, params: &Value) -> Value {
    if method != "embedded.sentinel.getByOwner" {
        return truth(method, params);
    }
    let of = |active| {
        json!({
            "owner": params[0],
            "registrationTimestamp": 1_795_237_000,
            "isRevocable": false,
            "revokeCooldown": 2_332_790,
            "active": active,
        })
    };
    match &params[0] {
        asked if *asked == owner(1).to_string() => of(true),
        asked if *asked == owner(2).to_string() => of(false),
        _ => Value::Null,
    }
}

/// A node that tells the truth, but for what `change` does to the results of one method.
fn node(method: &'static str, change: impl Fn(&mut Value) + Send + 'static) -> Server {
    Server::start(move |asked, params| {
        let mut result = answer(asked, params);
        if asked == method {
            change(&mut result);
        }
        Reply::Result(result)
    })
}

fn backed(slot: u16, byte: u8) -> Backed {
    Backed {
        slot: Slot(slot),
        owner: owner(byte),
    }
}

/// When the devnet's last momentum was made.
fn now_s() -> u64 {
    let frontier = truth("ledger.getFrontierMomentum", &Value::Null);
    frontier["timestamp"].as_u64().expect("Unix seconds")
}

fn asked(urls: &[String], network: u64, now_s: u64) -> Result<Vec<String>, String> {
    let members = [backed(1, 1), backed(2, 2), backed(5, 3)];
    let missing = missing(urls, NetworkId(network), &members, now_s);
    let missing = missing.map_err(|error| format!("{error:#}"))?;
    Ok(missing.iter().map(ToString::to_string).collect())
}

#[test]
fn members_whose_sentinels_are_not_active_are_named_with_their_owners() {
    let good = node("", |_| {});
    let named = asked(&[good.url()], CHAIN, now_s()).expect("it tells");
    let expected = [
        format!(
            "member 2 (owner {} its Sentinel is revoked or lacks collateral)",
            owner(2)
        ),
        format!("member 5 (owner {} has registered no Sentinel)", owner(3)),
    ];
    assert_eq!(named, expected);
    // The next is asked where the first does not answer.
    let urls = [server::nobody(), good.url()];
    assert_eq!(asked(&urls, CHAIN, now_s()).expect("it tells"), expected);
}

#[test]
fn where_no_node_can_tell_of_sentinels_nobody_counts_as_active() {
    let refused = |urls: &[String], network, now_s, why: &str| {
        let told = asked(urls, network, now_s).expect_err(why);
        assert!(told.contains(why), "{told}");
    };
    let now = now_s();
    refused(&[], CHAIN, now, "no NoM node to ask");
    refused(
        &[server::nobody()],
        CHAIN,
        now,
        "Try again once one answers",
    );
    let good = node("", |_| {});
    refused(&[good.url()], CHAIN + 1, now, "of chain 321, not 322");
    refused(&[good.url()], CHAIN, now + 601, "601 s old");
    let behind = node("stats.syncInfo", |result| {
        *result = json!({ "state": 1, "currentHeight": 25, "targetHeight": 90 });
    });
    refused(&[behind.url()], CHAIN, now, "at momentum 25 of 90");
    let alone = node("stats.syncInfo", |result| result["state"] = json!(3));
    refused(&[alone.url()], CHAIN, now, "too few peers");
    // Another's Sentinel is none of this owner.
    let other = node("embedded.sentinel.getByOwner", |result| {
        if !result.is_null() {
            result["owner"] = json!(owner(9).to_string());
        }
    });
    refused(&[other.url()], CHAIN, now, "another account");
}
