//! The chain adapter's eyes against NoM nodes that are down, of another chain, behind, or that lie,
//! reorganise and forget. Each tells the truth of a devnet of the real node, but for one thing.

#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    dead_code,
    reason = "a panic is a failed test; the server is shared with the client's tests"
)]

#[path = "../../../../contracts/nom/tests/client/server.rs"]
mod server;

mod sentinels;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use node::chain::watch::{Look, Own, STILL_S_MAX, Wanted, WatchError, Watcher};
use nom::client::{ClientError, Lie};
use nom::{Address, Amount, Block, Hash};
use serde_json::{Value, json};
use server::{CHAIN, Reply, Server, branch_momentum, detailed, dump};
use state::system::nom::Issue;

/// The account that the dump's only deposit goes to, in momentum 16 of 25.
const ACCOUNT: &str = "z1qrdnztf5yh2ed2kxpqp5mamdr940jplgt2pg6r";

/// When the dump's newest momentum was made; one comes every ten seconds.
const NEWEST_S: u64 = 1_795_237_060;

fn account() -> Address {
    ACCOUNT.parse().unwrap()
}

/// What the devnet's node answers to the adapter.
fn truth(method: &str, params: &Value) -> Value {
    match method {
        "stats.syncInfo" => json!({ "state": 2, "currentHeight": 25, "targetHeight": 25 }),
        "ledger.getUnreceivedBlocksByAddress" if params[1] == json!(0) => {
            json!({ "list": [dump()["accounts"]["dev_key_1"]["blocks"][2]], "count": 1 })
        }
        "ledger.getUnreceivedBlocksByAddress" => json!({ "list": [], "count": 0 }),
        "ledger.getAccountBlocksByHeight" => {
            let accounts = dump()["accounts"].clone();
            let accounts = accounts.as_object().unwrap().values();
            let mut asked = accounts.filter(|one| one["address"] == params[0]);
            let blocks = asked.next().unwrap()["blocks"].as_array().unwrap().clone();
            let from = usize::try_from(params[1].as_u64().unwrap() - 1).unwrap();
            let count = usize::try_from(params[2].as_u64().unwrap()).unwrap();
            let list: Vec<Value> = blocks.into_iter().skip(from).take(count).collect();
            json!({ "list": list, "count": list.len() })
        }
        other => server::truth(other, params),
    }
}

/// A server that tells the truth, but for what `change` does to the results of one method.
fn lying(method: &'static str, change: impl Fn(&mut Value) + Send + 'static) -> Server {
    Server::start(move |asked, params| {
        let mut result = truth(asked, params);
        if asked == method {
            change(&mut result);
        }
        Reply::Result(result)
    })
}

fn watcher(urls: &[String], depth: u64) -> Watcher {
    Watcher::new(urls, CHAIN, depth).unwrap()
}

fn wanted() -> Wanted {
    Wanted {
        address: account(),
        from_height: 1,
        publish: Vec::new(),
        taken: BTreeSet::new(),
        now_s: NEWEST_S,
    }
}

fn look(watcher: &mut Watcher) -> Look {
    watcher.look(&wanted()).unwrap().0
}

#[test]
fn what_is_deep_enough_is_seen_and_nothing_else() {
    let server = lying("", |_| {});
    let urls = [server.url()];
    let seen = look(&mut watcher(&urls, 10));
    assert_eq!(seen.frontier.height, 25);
    let heights: Vec<u64> = seen.momentums.iter().map(|one| one.height).collect();
    assert_eq!(heights, (1..=16).collect::<Vec<_>>());
    let [deposit] = seen.deposits.as_slice() else {
        panic!("{:?}", seen.deposits);
    };
    assert_eq!(deposit.momentum.height, 16);
    assert_eq!(deposit.block.header.amount, Amount::from(700_000_000));
    assert_eq!(seen.depth(&deposit.momentum), 10);
    let own: Vec<(u64, u64)> = seen.own.iter().map(|own| (own.height, own.depth)).collect();
    // Both are in momentum 10, and followed one further than what counts.
    assert_eq!(own, [(1, 11), (2, 11)]);
    // One momentum deeper, and the deposit is none yet.
    let seen = look(&mut watcher(&urls, 11));
    assert_eq!(seen.deposits, []);
    assert_eq!(seen.momentums.len(), 15);
    // A second look finds the same.
    let mut again = watcher(&urls, 10);
    assert_eq!(look(&mut again), look(&mut again));
}

#[test]
fn a_node_that_is_down_behind_or_of_another_chain_shows_nothing_and_the_next_is_asked() {
    let good = lying("", |_| {});
    let mut down = watcher(&[server::nobody(), good.url()], 3);
    let error = down.look(&wanted()).unwrap_err();
    let is_down = matches!(error, WatchError::Client(ClientError::Unavailable { .. }));
    assert!(is_down, "{error}");
    down.turn();
    assert_eq!(look(&mut down).frontier.height, 25);

    let mut other = Watcher::new(&[good.url()], CHAIN + 1, 3).unwrap();
    let error = other.look(&wanted()).unwrap_err();
    let told = error.to_string();
    assert!(told.contains("of chain 321, not 322"), "{told}");

    let behind = lying("stats.syncInfo", |result| result["state"] = json!(1));
    let error = watcher(&[behind.url()], 3).look(&wanted()).unwrap_err();
    assert!(matches!(error, WatchError::Syncing { .. }), "{error}");
}

#[test]
fn a_node_that_stands_still_is_told_with_its_age_and_the_next_is_asked() {
    // It shows five momentums less than its peers have, and says that it is in sync.
    let still = Server::start(|method, params| {
        let mut result = truth(method, params);
        match method {
            "ledger.getFrontierMomentum" => result = dump()["momentums"][19].clone(),
            "ledger.getMomentumsByHeight" => {
                let list = result["list"].as_array_mut().unwrap();
                list.retain(|one| one["height"].as_u64() <= Some(20));
                let count = list.len();
                result["count"] = count.into();
            }
            _ => {}
        }
        Reply::Result(result)
    });
    let moving = lying("", |_| {});
    let at = |now_s| Wanted { now_s, ..wanted() };
    let newest_s = NEWEST_S - 50;
    let mut both = watcher(&[still.url(), moving.url()], 3);
    for now_s in [0, newest_s, newest_s + STILL_S_MAX] {
        let (seen, _) = both.look(&at(now_s)).unwrap();
        assert_eq!(seen.frontier.height, 20, "{now_s}");
    }
    let late = at(newest_s + STILL_S_MAX + 1);
    let error = both.look(&late).unwrap_err();
    assert!(matches!(error, WatchError::Still { .. }), "{error}");
    let told = error.to_string();
    for part in [&still.url(), "momentum 20", "181 s old", "clock"] {
        assert!(told.contains(part), "{told}");
    }
    // Again, for as long as nothing comes.
    assert!(both.look(&late).is_err());
    both.turn();
    let (seen, _) = both.look(&late).unwrap();
    assert_eq!(seen.frontier.height, 25);
}

#[test]
fn a_node_that_lies_is_found_out_and_shows_nothing() {
    let is_lie = |server: Server, wanted_lie: fn(&Lie) -> bool| {
        let error = watcher(&[server.url()], 3).look(&wanted()).unwrap_err();
        match error {
            WatchError::Client(ClientError::Lied { lie, .. }) => assert!(wanted_lie(&lie), "{lie}"),
            other => panic!("{other}"),
        }
    };
    let unreceived = "ledger.getUnreceivedBlocksByAddress";
    let more = lying(unreceived, |result| {
        if let Some(block) = result["list"].get_mut(0) {
            block["amount"] = json!("700000000000");
        }
    });
    is_lie(more, |lie| matches!(lie, Lie::Block(_)));
    let elsewhere = lying(unreceived, |result| {
        if result["list"].get(0).is_some() {
            result["list"] = json!([dump()["accounts"]["dev_key_1"]["blocks"][1]]);
        }
    });
    is_lie(elsewhere, |lie| matches!(lie, Lie::Recipient));
    let broken = lying("ledger.getMomentumsByHeight", |result| {
        if let Some(momentum) = result["list"].get_mut(5) {
            momentum["hash"] = json!("00".repeat(32));
        }
    });
    is_lie(broken, |lie| matches!(lie, Lie::Momentum(_)));
    // It says that a momentum holds the deposit, and the momentum does not.
    let unheld = lying(unreceived, |result| {
        if let Some(block) = result["list"].get_mut(0) {
            block["confirmationDetail"]["momentumHeight"] = json!(15);
            block["confirmationDetail"]["momentumHash"] = dump()["momentums"][14]["hash"].clone();
        }
    });
    // What it says of the list counts for nothing: the deposit is looked up by itself.
    let seen = look(&mut watcher(&[unheld.url()], 3));
    assert_eq!(seen.deposits[0].momentum.height, 16);
}

#[test]
fn a_deposit_is_seen_that_the_list_of_what_is_not_received_does_not_show() {
    // As after five hundred sends of nothing whose hashes are lower.
    let unreceived = "ledger.getUnreceivedBlocksByAddress";
    let server = lying(unreceived, |result| {
        *result = json!({ "list": [], "count": 0 });
    });
    let fresh = || watcher(&[server.url()], 3);
    let mut first = fresh();
    assert_eq!(first.settled(), 0);
    let seen = look(&mut first);
    let [deposit] = seen.deposits.as_slice() else {
        panic!("{:?}", seen.deposits);
    };
    assert_eq!(deposit.momentum.height, 16);
    assert_eq!(deposit.block.header.amount, Amount::from(700_000_000));
    // It stays until a step has taken it, and so does the place to begin at.
    assert_eq!(look(&mut first).deposits, seen.deposits);
    assert_eq!(first.settled(), 15);
    let mut again = fresh();
    again.resume(15);
    assert_eq!(look(&mut again).deposits, seen.deposits);
    let taken = Wanted {
        taken: [deposit.block.hash].into(),
        ..wanted()
    };
    assert_eq!(first.look(&taken).unwrap().0.deposits, []);
    // What counts is 3 deep of 25.
    assert_eq!(first.settled(), 23);

    let hiding = lying("ledger.getDetailedMomentumsByHeight", |result| {
        for one in result["list"].as_array_mut().unwrap() {
            if one["momentum"]["height"] == 16 {
                one["blocks"].as_array_mut().unwrap().pop();
            }
        }
    });
    let error = watcher(&[hiding.url()], 3).look(&wanted()).unwrap_err();
    let WatchError::Client(ClientError::Lied { lie, .. }) = error else {
        panic!("{error}");
    };
    assert_eq!(lie, Lie::LeftOut(16));
}

#[test]
fn what_a_reorganisation_undid_is_seen_no_more() {
    let branched = Arc::new(AtomicBool::new(false));
    let switch = Arc::clone(&branched);
    let server = Server::start(move |method, params| {
        let momentums = "ledger.getMomentumsByHeight";
        let is_detailed = method == "ledger.getDetailedMomentumsByHeight";
        let method = if is_detailed { momentums } else { method };
        let mut result = truth(method, params);
        if switch.load(Ordering::SeqCst) {
            match method {
                "ledger.getFrontierMomentum" => result = branch_momentum(24),
                _ if method == momentums => {
                    let list = result["list"].as_array_mut().unwrap();
                    list.retain(|one| one["height"].as_u64() < Some(25));
                    for momentum in list.iter_mut() {
                        let height = momentum["height"].as_u64().unwrap();
                        if height > 22 {
                            *momentum = branch_momentum(height);
                        }
                    }
                    result["count"] = json!(result["list"].as_array().unwrap().len());
                }
                _ => {}
            }
        }
        if is_detailed {
            result = detailed(&result);
        }
        Reply::Result(result)
    });
    let mut watcher = watcher(&[server.url()], 2);
    let before = look(&mut watcher);
    let at = |look: &Look, height| {
        let mut momentums = look.momentums.iter();
        momentums
            .find(|one| one.height == height)
            .map(|one| one.hash)
    };
    assert_eq!(at(&before, 24).map(|hash| hash.is_zero()), Some(false));
    branched.store(true, Ordering::SeqCst);
    let after = look(&mut watcher);
    assert_eq!(after.frontier.height, 24);
    assert_eq!(at(&after, 22), at(&before, 22));
    assert!(at(&after, 23).is_some() && at(&after, 23) != at(&before, 23));
    assert_eq!(at(&after, 24), None);
    assert_eq!(after.deposits, before.deposits);
}

#[test]
fn a_block_that_is_taken_and_forgotten_is_not_seen_and_one_that_is_declined_is_told() {
    let block = dump()["accounts"]["frost_committee_1"]["blocks"][0].to_string();
    let block: Block = nom::block_from_json(&block).unwrap();
    let mut wanted = wanted();
    wanted.publish = vec![block.clone()];
    let no_blocks = |method: &str, params: &Value| match method {
        "ledger.getAccountBlocksByHeight" if params[0] == json!(ACCOUNT) => {
            json!({ "list": [], "count": 0 })
        }
        "ledger.publishRawTransaction" => Value::Null,
        _ => truth(method, params),
    };
    let (server, published) =
        Server::counting("ledger.publishRawTransaction", move |method, params| {
            Reply::Result(no_blocks(method, params))
        });
    let mut forgets = watcher(&[server.url()], 3);
    for times in 1..=2 {
        let (seen, declined) = forgets.look(&wanted).unwrap();
        assert_eq!(declined, [""; 0]);
        assert_eq!(seen.own, []);
        assert_eq!(published.get(), times);
    }
    let server = Server::start(move |method, params| match method {
        "ledger.publishRawTransaction" => Reply::Error("not enough plasma".to_owned()),
        _ => Reply::Result(truth(method, params)),
    });
    let (seen, declined) = watcher(&[server.url()], 3).look(&wanted).unwrap();
    assert_eq!(declined, ["not enough plasma"]);
    let first = Own {
        height: 1,
        hash: block.hash,
        issue: Issue::of(&block.header),
        depth: 4,
    };
    assert_eq!(seen.own[0], first);
    assert_ne!(seen.own[1].hash, Hash::ZERO);
}
