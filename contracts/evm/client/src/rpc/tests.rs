use std::process::Command;

use conformance::http::{Reply, Server};

use super::*;

#[test]
fn errors_show_no_key_of_an_address() {
    for (url, shown) in [
        ("https://user:k3y@rpc.example/v3/k3y", "https://rpc.example"),
        (
            "https://rpc.example:8545?key=k3y",
            "https://rpc.example:8545",
        ),
        ("rpc.example/k3y#k3y", "rpc.example"),
    ] {
        let error = Rpc::new(url).map(drop).expect_err("no http").to_string();
        assert!(error.contains(shown), "{error}");
        assert!(!error.contains("k3y"), "{error}");
    }
    let rpc = Rpc::new("http://user:k3y@127.0.0.1:1/v3/k3y").expect("an address");
    let error = rpc.chain().expect_err("nobody listens").to_string();
    assert!(
        error.contains("http://127.0.0.1:1") && !error.contains("k3y"),
        "{error}"
    );
}

/// The answer of a new [`Rpc`]'s first question.
fn first(result: &str) -> Reply {
    Reply::Ok(format!(r#"{{"jsonrpc":"2.0","id":1,"result":{result}}}"#))
}

#[test]
fn a_nodes_text_is_cut_and_has_no_control_characters() {
    let said = format!("\\u001b[2Jgone\\n\\u009b31m{}", "x".repeat(1000));
    let body = format!(r#"{{"error":{{"message":"{said}"}}}}"#);
    let server = Server::always(Reply::Ok(body));
    let error = Rpc::new(&server.url()).expect("an address").chain();
    let Err(RpcError::Refused { message, .. }) = error else {
        panic!("{error:?}");
    };
    assert!(message.starts_with(" [2Jgone  31mxxx"), "{message:?}");
    assert!(message.len() < 400 && !message.contains(char::is_control));
}

#[test]
fn a_node_sends_nobody_elsewhere() {
    let elsewhere = Server::always(first(r#""0x1""#));
    for status in ["302 Found", "307 Temporary Redirect"] {
        let status = format!("{status}\r\nLocation: {}/", elsewhere.url());
        let server = Server::always(Reply::Status(status, String::new()));
        let chain = Rpc::new(&server.url()).expect("an address").chain();
        assert!(chain.is_err(), "{chain:?}");
    }
    assert_eq!(elsewhere.asked(), 0);
    let rpc = Rpc::new(&elsewhere.url()).expect("an address");
    assert_eq!(rpc.chain(), Ok(1));
}

#[test]
fn no_proxy_of_the_environment_is_asked() {
    let proxy = Server::always(first(r#""0x1""#));
    // Another process, since the environment of this one is all tests'.
    let mut other = Command::new(std::env::current_exe().expect("this test"));
    other.args(["--exact", "rpc::tests::a_node_sends_nobody_elsewhere"]);
    for name in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
        other.env(name, proxy.url());
    }
    other.env_remove("no_proxy").env_remove("NO_PROXY");
    let output = other.output().expect("it runs");
    assert!(output.status.success(), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
    assert_eq!(proxy.asked(), 0);
}

#[test]
fn a_node_that_answers_badly_is_told_by_how() {
    let chain = "eth_chainId";
    let unreadable = "the node's answer to eth_chainId cannot be read";
    let other = "the node's answer to eth_chainId is to another question";
    let ok = |body: &str| Reply::Ok(body.to_owned());
    for (reply, expected) in [
        (ok("<html>no</html>"), unreadable),
        (ok(""), unreadable),
        (ok("[1"), unreadable),
        (ok(&"[".repeat(100_000)), unreadable),
        (first("null"), unreadable),
        (first(r#""1""#), unreadable),
        (first(r#""0x10000000000000000""#), unreadable),
        (ok(r#"{"id":1}"#), unreadable),
        (ok(r#"{"id":2,"result":"0x1"}"#), other),
        (ok(r#"{"id":"1","result":"0x1"}"#), other),
        (ok(r#"{"result":"0x1"}"#), other),
        (ok(r#"{"id":2,"error":{"message":"no"}}"#), other),
        (ok(r#"[{"id":1,"result":"0x1"}]"#), other),
        (
            Reply::Endless,
            "the node's answer to eth_chainId is longer than 4194304 bytes",
        ),
        (
            Reply::Status("502 Bad Gateway".to_owned(), "<html>".to_owned()),
            "answers with HTTP status 502 Bad Gateway",
        ),
        (
            ok(r#"{"id":1,"error":{"message":"no"}}"#),
            "the node refuses eth_chainId: no",
        ),
        (
            ok(r#"{"id":null,"error":{"message":"no"}}"#),
            "the node refuses eth_chainId: no",
        ),
    ] {
        let server = Server::always(reply.clone());
        let rpc = Rpc::new(&server.url()).expect("an address");
        let error = rpc.chain().expect_err("no chain").to_string();
        assert!(error.ends_with(expected), "{reply:?}: {error}");
        assert!(error.contains(chain) || error.contains(&server.url()));
    }
}

#[test]
fn a_node_that_breaks_off_is_unreachable_and_one_that_is_too_slow_is_named_with_the_time() {
    let Reply::Ok(body) = first(r#""0x1""#) else {
        panic!("a body");
    };
    let server = Server::always(Reply::Cut(body));
    let error = Rpc::new(&server.url()).expect("an address").chain();
    let url = server.url();
    let is_named = matches!(&error, Err(RpcError::Unreachable { url: of, .. }) if *of == url);
    assert!(is_named, "{error:?}");

    let server = Server::always(Reply::Never);
    let rpc = Rpc::new(&server.url()).expect("an address");
    let rpc = rpc.with_answer_within(Duration::from_millis(200));
    let error = rpc.chain().expect_err("no answer").to_string();
    let expected = format!("{}: no answer to eth_chainId within 0.2 s", server.url());
    assert_eq!(error, expected);
}

#[test]
fn a_receipt_is_of_the_transaction_that_was_asked_for_and_in_a_block() {
    let receipt = |hash: u8, block: &str| {
        let hash = text(&[hash; 32]);
        first(&format!(
            r#"{{"transactionHash":"{hash}","status":"0x1","gasUsed":"0x5208",
                "effectiveGasPrice":"0x7","blockNumber":{block}}}"#
        ))
    };
    let method = "eth_getTransactionReceipt";
    let found = Receipt {
        succeeded: true,
        gas: 21_000,
        price: Some(7),
        block: 9,
    };
    for (reply, expected) in [
        (receipt(1, r#""0x9""#), Ok(Some(found))),
        (receipt(1, "null"), Ok(None)),
        (first("null"), Ok(None)),
        (receipt(2, r#""0x9""#), Err(RpcError::Elsewhere(method))),
        (receipt(1, r#""9""#), Err(RpcError::Answer(method))),
        (first("{}"), Err(RpcError::Answer(method))),
        (first("7"), Err(RpcError::Answer(method))),
    ] {
        let server = Server::always(reply.clone());
        let rpc = Rpc::new(&server.url()).expect("an address");
        assert_eq!(rpc.receipt(&[1; 32]), expected, "{reply:?}");
    }
}

#[test]
fn nodes_say_in_their_own_words_why_they_take_no_transaction() {
    for (message, expected) in [
        ("already known", Some(Refusal::Known)),
        ("ALREADY_EXISTS: already known", Some(Refusal::Known)),
        ("AlreadyKnown", Some(Refusal::Known)),
        ("Known transaction", Some(Refusal::Known)),
        ("transaction already imported", Some(Refusal::Known)),
        (
            "nonce too low: next nonce 7, tx nonce 5",
            Some(Refusal::NonceTooLow),
        ),
        ("OldNonce", Some(Refusal::NonceTooLow)),
        (
            "replacement transaction underpriced",
            Some(Refusal::Underpriced),
        ),
        ("transaction underpriced", Some(Refusal::Underpriced)),
        ("insufficient funds for gas * price + value", None),
        ("", None),
    ] {
        let refused = RpcError::Refused {
            method: "eth_sendRawTransaction",
            message: message.to_owned(),
            revert: None,
        };
        assert_eq!(refused.refusal(), expected, "{message}");
    }
    assert_eq!(RpcError::Answer("eth_chainId").refusal(), None);
}
