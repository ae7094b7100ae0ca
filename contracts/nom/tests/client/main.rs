//! The client against servers that are down, slow, long-winded, of another chain, or that lie.
//! Each tells the truth of a devnet of the real node, but for one thing.
#![allow(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a panic is a failed test"
)]
#![cfg(feature = "client")]

mod confirm;
mod server;

use std::time::Duration;

use ed25519_dalek::{Signer as _, SigningKey};
use nom::client::{Client, ClientError, Fault, Lie, Limits, Standing};
use nom::work::Payment;
use nom::{
    Address, Amount, Block, BlockType, DATA_BYTES_MAX, Draft, Hash, MomentumRef, Place, Refusal,
    Seal, TokenStandard,
};
use serde_json::{Value, json};
use server::{CHAIN, Reply, Server, dump};

/// An account of the devnet with ten blocks.
fn account() -> Address {
    dump()["accounts"]["frost_committee_1"]["address"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap()
}

fn client(server: &Server) -> Client {
    Client::new(&server.url(), CHAIN, Limits::default()).unwrap()
}

/// A server that tells the truth, but for what `change` does to the results of one method.
fn lying(method: &'static str, change: impl Fn(&mut Value) + Send + 'static) -> Server {
    Server::start(move |asked, params| {
        let mut result = server::truth(asked, params);
        if asked == method {
            change(&mut result);
        }
        Reply::Result(result)
    })
}

#[test]
fn the_truth_is_believed() {
    let server = Server::start(|method, params| Reply::Result(server::truth(method, params)));
    let client = client(&server);
    assert_eq!(client.frontier_momentum().unwrap().height, 25);
    assert_eq!(client.momentums(3, 4).unwrap().len(), 4);
    let blocks = client.blocks(&account(), 1, 3).unwrap();
    assert_eq!(blocks.len(), 3);
    let held = client.block(&blocks[1].block.hash).unwrap().unwrap();
    assert_eq!(held, blocks[1]);
    let standing = client.standing(&blocks[0].block, 4).unwrap();
    let Standing::Confirmed(confirmed) = standing else {
        panic!("{standing:?}");
    };
    assert_eq!((confirmed.momentum.height, confirmed.depth), (10, 4));
    // Deeper than the chain is long.
    let Standing::Confirmed(confirmed) = client.standing(&blocks[0].block, 100).unwrap() else {
        panic!("confirmed before");
    };
    assert_eq!(confirmed.depth, 16);
}

#[test]
fn a_node_that_is_down_slow_or_long_winded_is_unavailable() {
    let is = |error: ClientError, wanted: fn(&Fault) -> bool| match error {
        ClientError::Unavailable { fault, .. } => assert!(wanted(&fault), "{fault}"),
        other => panic!("{other}"),
    };
    let down = Client::new(&server::nobody(), CHAIN, Limits::default()).unwrap();
    is(down.frontier_momentum().unwrap_err(), |fault| {
        matches!(fault, Fault::Unreachable(_))
    });

    let impatient = Limits {
        connect: Duration::from_secs(60),
        answer: Duration::from_millis(50),
        ..Limits::default()
    };
    for silence in [Reply::Nothing, Reply::HalfAnAnswer] {
        let server = Server::start(move |_, _| silence.clone());
        let slow = Client::new(&server.url(), CHAIN, impatient).unwrap();
        is(slow.frontier_momentum().unwrap_err(), |fault| {
            matches!(fault, Fault::TooSlow)
        });
    }

    let server = Server::start(|_, _| Reply::Result(Value::from("x".repeat(5_000))));
    let short = Limits {
        body_bytes_max: 5_000,
        ..Limits::default()
    };
    let long = Client::new(&server.url(), CHAIN, short).unwrap();
    is(long.frontier_momentum().unwrap_err(), |fault| {
        matches!(fault, Fault::TooLong { bytes_max: 5_000 })
    });

    let server = Server::start(|_, _| Reply::Status("302 Found\r\nLocation: http://127.0.0.1:1/"));
    is(client(&server).frontier_momentum().unwrap_err(), |fault| {
        matches!(fault, Fault::Status(302))
    });
    let server = Server::start(|_, _| Reply::Bytes(b"SSH-2.0-OpenSSH\r\n".to_vec()));
    is(client(&server).frontier_momentum().unwrap_err(), |fault| {
        matches!(fault, Fault::Protocol)
    });
}

#[test]
fn what_is_no_address_or_no_answer_of_a_node_is_refused() {
    for url in ["", "127.0.0.1:35997", "https://127.0.0.1:1", "http://host"] {
        let error = Client::new(url, CHAIN, Limits::default()).unwrap_err();
        assert!(matches!(error, ClientError::Address { .. }), "{url}");
    }
    let bodies = [
        "",
        "null",
        "[]",
        "{}",
        r#"{"jsonrpc":"2.0","id":1}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":{"height":1}}"#,
        r#"{"jsonrpc":"2.0","id":1,"result":null,"more":1}"#,
    ];
    for body in bodies {
        let server = Server::start(move |_, _| Reply::Body(body.to_owned()));
        let error = client(&server).frontier_momentum().unwrap_err();
        assert!(matches!(error, ClientError::Form { .. }), "{body}: {error}");
    }
    // Where nothing is an answer, it is one to this call only.
    let nothing = Hash::from_bytes([1; 32]);
    let to_call = |body: &'static str| {
        let server = Server::start(move |_, _| Reply::Body(body.to_owned()));
        client(&server).block(&nothing)
    };
    let good = to_call(r#"{"jsonrpc":"2.0","id":1,"result":null}"#);
    assert_eq!(good.unwrap(), None);
    for body in [
        r#"{"jsonrpc":"1.0","id":1,"result":null}"#,
        r#"{"jsonrpc":"2.0","id":2,"result":null}"#,
        r#"{"jsonrpc":"2.0","id":null,"result":null}"#,
    ] {
        let error = to_call(body).unwrap_err();
        assert!(matches!(error, ClientError::Form { .. }), "{body}: {error}");
    }
    // Brackets in brackets neither overflow a stack nor stay.
    let deep = format!(
        r#"{{"jsonrpc":"2.0","id":1,"result":{}"#,
        "[".repeat(500_000)
    );
    let server = Server::start(move |_, _| Reply::Body(deep.clone()));
    let error = client(&server).frontier_momentum().unwrap_err();
    assert!(matches!(error, ClientError::Form { .. }), "{error}");

    let said = format!("no\u{1b}[2J\n{}", "x".repeat(1_000));
    let server = Server::start(move |_, _| Reply::Error(said.clone()));
    let declined = client(&server).frontier_momentum().unwrap_err();
    let ClientError::Declined { code, said, .. } = &declined else {
        panic!("{declined}");
    };
    assert_eq!((*code, said.chars().count()), (-32_000, 300));
    assert!(!said.chars().any(char::is_control));
}

#[test]
fn a_momentum_that_is_not_what_it_says_is_a_lie() {
    let lie = |change: fn(&mut Value)| {
        let server = lying("ledger.getMomentumsByHeight", change);
        match client(&server).momentums(3, 4).unwrap_err() {
            ClientError::Lied { lie, .. } => lie,
            other => panic!("{other}"),
        }
    };
    let timestamp = lie(|result| result["list"][2]["timestamp"] = json!(1_795_236_811));
    assert_eq!(timestamp, Lie::Momentum(Refusal::BlockHash));
    let producer = lie(|result| {
        result["list"][0]["producer"] = json!("z1qz60gq63gqpunnn8urp42t3pa077z9lcwmrwaz");
    });
    assert_eq!(producer, Lie::Momentum(Refusal::WrongKey));
    let unsigned = lie(|result| {
        result["list"][0]["publicKey"] = Value::Null;
        result["list"][0]["signature"] = Value::Null;
    });
    assert_eq!(unsigned, Lie::Momentum(Refusal::Unsigned));
    let left_out = lie(|result| {
        result["list"].as_array_mut().unwrap().remove(1);
    });
    let expected = Lie::Height {
        expected: 4,
        actual: 5,
    };
    assert_eq!(left_out, expected);
    let twice = lie(|result| {
        let first = result["list"][0].clone();
        result["list"].as_array_mut().unwrap()[1] = first;
    });
    let expected = Lie::Height {
        expected: 4,
        actual: 3,
    };
    assert_eq!(twice, expected);
    let too_many = lie(|result| {
        let list = result["list"].as_array_mut().unwrap();
        list.push(list[3].clone());
    });
    assert_eq!(too_many, Lie::TooMany);
    // A momentum of somebody's own, rightly signed, in the place of another.
    let link = lie(|result| result["list"][1] = server::forged_momentum(4));
    assert_eq!(link, Lie::Link(3));
}

#[test]
fn a_block_that_is_not_what_it_says_is_a_lie() {
    let lie = |change: fn(&mut Value)| {
        let server = lying("ledger.getAccountBlocksByHeight", change);
        match client(&server).blocks(&account(), 1, 3).unwrap_err() {
            ClientError::Lied { lie, .. } => lie,
            other => panic!("{other}"),
        }
    };
    let hash = lie(|result| result["list"][0]["fusedPlasma"] = json!(1));
    assert_eq!(hash, Lie::Block(Refusal::BlockHash));
    let data = lie(|result| result["list"][0]["data"] = json!(""));
    assert_eq!(data, Lie::Block(Refusal::BlockHash));
    let signature = lie(|result| {
        result["list"][0]["signature"] = result["list"][1]["signature"].clone();
    });
    assert_eq!(signature, Lie::Block(Refusal::Signature));
    let left_out = lie(|result| {
        result["list"].as_array_mut().unwrap().remove(0);
    });
    let expected = Lie::Height {
        expected: 1,
        actual: 2,
    };
    assert_eq!(left_out, expected);
    // Two blocks at one height.
    let twice = lie(|result| result["list"][1] = result["list"][0].clone());
    let expected = Lie::Height {
        expected: 2,
        actual: 1,
    };
    assert_eq!(twice, expected);
    let other = lie(|result| {
        result["list"] = dump()["accounts"]["frost_committee_2_pow"]["blocks"].clone();
    });
    assert_eq!(other, Lie::Account);
    // Rightly signed by the account's key, after a block that is not shown.
    let key = SigningKey::from_bytes(&[1; 32]);
    let first = signed(&key, vec![1]);
    let hidden = signed(&key, vec![2]);
    let second = Place::after(&hidden, hidden.header.momentum_acknowledged).unwrap();
    let second = sign(&key, second.receive(first.hash));
    let list = json!([nom::block_to_json(&first), nom::block_to_json(&second)]);
    let server = lying("ledger.getAccountBlocksByHeight", move |result| {
        result["list"] = list.clone();
    });
    let error = client(&server)
        .blocks(&first.header.address, 1, 2)
        .unwrap_err();
    let lie = Lie::Link(1);
    assert!(
        matches!(error, ClientError::Lied { lie: told, .. } if told == lie),
        "{error}"
    );
}

#[test]
fn an_answer_to_another_question_is_a_lie() {
    let other = Address::from_bytes([0; 20]);
    let server = lying("ledger.getFrontierAccountBlock", |_| {});
    let error = client(&server).frontier_block(&other).unwrap_err();
    let is_lie = |error: &ClientError, wanted: Lie| matches!(error, ClientError::Lied { lie, .. } if *lie == wanted);
    assert!(is_lie(&error, Lie::Account), "{error}");
    let error = client(&server)
        .block(&Hash::from_bytes([1; 32]))
        .unwrap_err();
    assert!(is_lie(&error, Lie::Hash), "{error}");
    let error = client(&server).unreceived(&other, 0).unwrap_err();
    assert!(is_lie(&error, Lie::Recipient), "{error}");
    let error = client(&server).account(&other).unwrap_err();
    assert!(is_lie(&error, Lie::Account), "{error}");
    let error = client(&server).sentinel(&other).unwrap_err();
    assert!(is_lie(&error, Lie::Account), "{error}");
    let price = client(&server).requirement(&account(), BlockType::UserSend, &other, &[0; 33]);
    let error = price.unwrap_err();
    assert!(is_lie(&error, Lie::Plasma), "{error}");
}

#[test]
fn an_amount_beyond_256_bits_is_refused_not_wrapped() {
    let beyond = "115792089237316195423570985008687907853269984665640564039457584007913129639936";
    let server = lying("ledger.getAccountInfoByAddress", move |result| {
        let balances = result["balanceInfoMap"].as_object_mut().unwrap();
        balances.values_mut().next().unwrap()["balance"] = json!(beyond);
    });
    let error = client(&server).account(&account()).unwrap_err();
    let text = error.to_string();
    assert!(text.contains("the value of balance"), "{text}");
    let server = lying("ledger.getAccountBlocksByHeight", move |result| {
        result["list"][0]["amount"] = json!(beyond);
    });
    let error = client(&server).blocks(&account(), 1, 1).unwrap_err();
    assert!(matches!(error, ClientError::Form { .. }), "{error}");

    // 256 bits are an amount, but none that a block may carry.
    let key = SigningKey::from_bytes(&[1; 32]);
    let token = TokenStandard::from_bytes([1; 10]);
    let most = Amount::from_bytes([0xff; 32]);
    let draft = place(&key).send(account(), token, most, Vec::new());
    assert_eq!(draft.check(), Err(Refusal::SendFields));
    let fits = Amount::from_bytes([0x7f; 32]);
    let draft = place(&key).send(account(), token, fits, Vec::new());
    assert_eq!(draft.check(), Ok(()));
}

#[test]
fn data_beyond_the_bound_is_refused_before_it_is_signed_or_sent() {
    let key = SigningKey::from_bytes(&[1; 32]);
    let send =
        |bytes| place(&key).send(account(), TokenStandard::ZERO, Amount::ZERO, vec![0; bytes]);
    assert_eq!(send(DATA_BYTES_MAX).check(), Ok(()));
    assert_eq!(send(DATA_BYTES_MAX + 1).check(), Err(Refusal::DataLength));
    let mut block = signed(&key, vec![0; DATA_BYTES_MAX]);
    block.data.push(0);
    // A server that nobody may reach.
    let client = Client::new(&server::nobody(), CHAIN, Limits::default()).unwrap();
    let error = client.publish(&block).unwrap_err();
    let is_refused = matches!(error, ClientError::Refused(Refusal::DataLength));
    assert!(is_refused, "{error}");
}

fn place(key: &SigningKey) -> Place {
    let address = Address::from_key(key.verifying_key().as_bytes());
    let momentum = MomentumRef {
        hash: Hash::from_bytes([1; 32]),
        height: 1,
    };
    Place::first(CHAIN, address, momentum)
}

fn signed(key: &SigningKey, data: Vec<u8>) -> Block {
    let draft = place(key).send(account(), TokenStandard::ZERO, Amount::ZERO, data);
    sign(key, draft)
}

fn sign(key: &SigningKey, draft: Draft) -> Block {
    let draft = draft.paid(Payment::split(21_000, u64::MAX), [0; 8]);
    let seal = Seal {
        public_key: key.verifying_key().to_bytes(),
        signature: key.sign(draft.hash().as_bytes()).to_bytes(),
    };
    draft.sealed(seal).unwrap()
}
