//! What counts as confirmed, and what becomes of it.

use std::time::Duration;

use ed25519_dalek::SigningKey;
use nom::client::{ClientError, Lie, Patience, Standing, Tail};
use serde_json::{Value, json};

use crate::server::{self, Reply, Server, dump};
use crate::{account, client, lying, signed};

#[test]
fn a_block_that_is_taken_and_never_confirmed_is_told_and_published_again_while_it_is_unknown() {
    let key = SigningKey::from_bytes(&[1; 32]);
    let block = signed(&key, vec![1]);
    let (server, published) = Server::counting("ledger.publishRawTransaction", |method, params| {
        Reply::Result(match method {
            "ledger.publishRawTransaction" => Value::Null,
            "ledger.getAccountBlocksByHeight" => json!({ "list": [], "count": 0, "more": false }),
            _ => server::truth(method, params),
        })
    });
    let patience = Patience {
        every: Duration::ZERO,
        limit: Duration::from_millis(50),
    };
    let error = client(&server)
        .publish_and_wait(&block, 1, patience)
        .unwrap_err();
    let is_told =
        matches!(error, ClientError::NotConfirmed { hash, height: 1 } if hash == block.hash);
    assert!(is_told, "{error}");
    assert!(published.get() > 1);
}

#[test]
fn what_is_not_deep_enough_is_not_confirmed_and_no_deposit() {
    let truth = Server::start(|method, params| {
        Reply::Result(match method {
            "ledger.publishRawTransaction" => Value::Null,
            "ledger.getUnreceivedBlocksByAddress" if params[1] != json!(0) => {
                json!({ "list": [], "count": 0 })
            }
            "ledger.getUnreceivedBlocksByAddress" => {
                let mut list = server::truth("ledger.getAccountBlocksByHeight", &json!([0, 1, 6]));
                let blocks = list["list"].as_array_mut().unwrap();
                blocks.retain(|block| block["toAddress"] == json!(account().to_string()));
                list
            }
            _ => server::truth(method, params),
        })
    });
    // Confirmed at 10 of 25.
    let block = client(&truth).blocks(&account(), 1, 1).unwrap()[0]
        .block
        .clone();
    let patience = Patience {
        every: Duration::ZERO,
        limit: Duration::ZERO,
    };
    let wait = |depth| client(&truth).publish_and_wait(&block, depth, patience);
    assert_eq!(wait(16).unwrap().depth, 16);
    let error = wait(17).unwrap_err();
    assert!(matches!(error, ClientError::NotConfirmed { .. }), "{error}");
    let deposits = |depth| client(&truth).deposits(&account(), depth).unwrap().len();
    assert!(deposits(16) > 0 && deposits(17) == 0);
    assert!(deposits(13) > deposits(16));
}

#[test]
fn another_block_at_its_height_is_told() {
    let key = SigningKey::from_bytes(&[1; 32]);
    let (ours, theirs) = (signed(&key, vec![1]), signed(&key, vec![2]));
    let held = nom::block_to_json(&theirs);
    let server = lying("ledger.getAccountBlocksByHeight", move |result| {
        *result = json!({ "list": [held], "count": 1, "more": false });
    });
    let error = client(&server).standing(&ours, 1).unwrap_err();
    let is_told = matches!(
        error,
        ClientError::Displaced { height: 1, theirs: there, is_confirmed: false, .. }
            if there == theirs.hash
    );
    assert!(is_told, "{error}");
    let error = error.to_string();
    assert!(error.contains("not yet confirmed"), "{error}");
    let standing = client(&server).standing(&theirs, 1).unwrap();
    assert_eq!(standing, Standing::Pending);
}

#[test]
fn a_confirmation_that_no_momentum_bears_out_is_no_confirmation() {
    let truth = Server::start(|method, params| Reply::Result(server::truth(method, params)));
    let first = client(&truth).blocks(&account(), 1, 1).unwrap()[0]
        .block
        .clone();
    // The momentum is there, and another one holds the block.
    let server = lying("ledger.getAccountBlocksByHeight", |result| {
        let momentum = &dump()["momentums"][11];
        let detail = &mut result["list"][0]["confirmationDetail"];
        detail["momentumHeight"] = momentum["height"].clone();
        detail["momentumHash"] = momentum["hash"].clone();
    });
    let error = client(&server).standing(&first, 1).unwrap_err();
    let lie = Lie::NotHeld(12);
    assert!(
        matches!(error, ClientError::Lied { lie: told, .. } if told == lie),
        "{error}"
    );
    // There is no such momentum yet.
    let server = lying("ledger.getAccountBlocksByHeight", |result| {
        result["list"][0]["confirmationDetail"]["momentumHeight"] = json!(1_000);
    });
    let error = client(&server).standing(&first, 1).unwrap_err();
    let lie = Lie::NotHeld(1_000);
    assert!(
        matches!(error, ClientError::Lied { lie: told, .. } if told == lie),
        "{error}"
    );
    // Another momentum stands there now.
    let server = lying("ledger.getMomentumsByHeight", |result| {
        result["list"] = json!([server::forged_momentum(10)]);
    });
    let error = client(&server).standing(&first, 1).unwrap_err();
    let is_told = matches!(&error, ClientError::Reorganised { ours, theirs }
        if ours.height == 10 && theirs.height == 10 && ours.hash != theirs.hash);
    assert!(is_told, "{error}");
}

#[test]
fn a_reorganised_chain_is_told_once_and_followed_from_the_fork() {
    let truth = Server::start(|method, params| Reply::Result(server::truth(method, params)));
    let momentums = client(&truth).momentums(1, 100).unwrap();
    let mut tail = Tail::after(momentums[0].reference());
    assert_eq!(client(&truth).follow(&mut tail).unwrap().len(), 24);
    assert_eq!(client(&truth).follow(&mut tail).unwrap().len(), 0);

    // The last three momentums are others now, of a chain as long.
    let server = Server::start(|method, params| {
        let mut result = server::truth(method, params);
        if method == "ledger.getMomentumsByHeight" {
            for momentum in result["list"].as_array_mut().unwrap() {
                let height = momentum["height"].as_u64().unwrap();
                if height > 22 {
                    *momentum = server::branch_momentum(height);
                }
            }
        }
        Reply::Result(result)
    });
    let error = client(&server).follow(&mut tail).unwrap_err();
    let ClientError::Reorganised { ours, theirs } = error else {
        panic!("{error}");
    };
    assert_eq!(ours, momentums[22].reference());
    assert_eq!(
        (theirs.height, tail.last()),
        (23, Some(momentums[21].reference()))
    );
    let followed = client(&server).follow(&mut tail).unwrap();
    assert_eq!(followed.len(), 3);
    assert_eq!(followed[0].hash, theirs.hash);
    // A momentum that does not continue what was seen is not taken.
    let fork = tail.push(&momentums[24]).unwrap_err();
    assert_eq!(fork.height, 25);
}
