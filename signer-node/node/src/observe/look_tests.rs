use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use attestation::ids::EvmAddress;
use attestation::source::{OBSERVED_BYTES_MAX, Reducer};
use serde_bytes::ByteBuf;

use super::*;
use crate::observe::json::DOCUMENT_BYTES_MAX;

/// Serves an answer to each path, until the test ends; notes what was asked.
fn serve(answer: fn(&str) -> String) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("bound");
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let request = request(&mut stream);
            // A client that has heard enough hangs up.
            let _ = stream.write_all(answer(&request).as_bytes());
        }
    });
    address
}

/// A whole request: its body may come after its head.
fn request(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    loop {
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let lines = head.lines().map(str::to_ascii_lowercase);
        let length = lines
            .filter_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok())
            .next();
        if text.contains("\r\n\r\n") && body.len() >= length.unwrap_or(0) {
            return text;
        }
        let mut bytes = [0; 4096];
        match stream.read(&mut bytes) {
            Ok(more) if more > 0 => text += &String::from_utf8_lossy(&bytes[..more]),
            _ => return text,
        }
    }
}

fn ok(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )
}

fn source(url: String) -> Source {
    Source {
        at: Place::HttpJson { url },
        pointer: "/price".to_owned(),
        scale: Some(2),
        reducer: Reducer::Median,
    }
}

fn rules(text: &str) -> Rules {
    toml::from_str(text).expect("rules")
}

fn answers(request: &str) -> String {
    let path = request.split(' ').nth(1).unwrap_or_default();
    match path {
        "/good?x=1" => ok(r#"{"price": 12.345}"#),
        "/error" => "HTTP/1.1 500 No\r\nContent-Length: 15\r\n\r\n{\"price\": 12.3}".to_owned(),
        "/moved" => "HTTP/1.1 302 Found\r\nLocation: /good?x=1\r\nContent-Length: 0\r\n\r\n".into(),
        "/long" => ok(&format!(
            r#"{{"price": 1, "x": "{}"}}"#,
            "x".repeat(DOCUMENT_BYTES_MAX)
        )),
        "/html" => ok("<html>"),
        "/none" => ok(r#"{"cost": 1}"#),
        "/text" => ok(r#"{"price": "much"}"#),
        _ => String::new(),
    }
}

#[test]
fn a_source_is_read_and_whatever_goes_wrong_is_an_absence_that_says_why() {
    let address = serve(answers);
    let rules = rules(&format!("private_hosts = ['{address}']"));
    let absent = Observed::Absent;
    for (path, expected) in [
        ("good?x=1", Observed::Integer(1234)),
        ("error", absent(Absence::Status)),
        ("moved", absent(Absence::Status)),
        ("long", absent(Absence::TooLong)),
        ("html", absent(Absence::NotJson)),
        ("none", absent(Absence::NoValue)),
        ("text", absent(Absence::Kind)),
        ("hangs-up", absent(Absence::Unreachable)),
    ] {
        let seen = at(&rules, &source(format!("http://{address}/{path}")));
        assert_eq!(seen, expected, "{path}");
    }
}

#[test]
fn a_name_that_leads_to_a_private_address_is_not_followed() {
    let address = serve(answers);
    let port = address.port();
    // Named as a host, but not for what its name resolves to.
    let named = rules(&format!("hosts = ['localhost:{port}', '127.0.0.1:{port}']"));
    for host in ["localhost", "127.0.0.1"] {
        let seen = at(&named, &source(format!("http://{host}:{port}/good?x=1")));
        assert_eq!(seen, Observed::Absent(Absence::Forbidden), "{host}");
    }
    let nobody = Rules::default();
    let seen = at(&nobody, &source(format!("http://{address}/good?x=1")));
    assert_eq!(seen, Observed::Absent(Absence::Forbidden));
}

#[test]
fn https_is_asked_for_through_whoever_speaks_it() {
    let address = serve(|request| {
        let path = request.split(' ').nth(1).unwrap_or_default();
        match path {
            "/prices.example.org/usd?a" => ok(r#"{"price": 7}"#),
            _ => ok("{}"),
        }
    });
    let rules = rules(&format!("hosts = ['*']\ntls_via = 'http://{address}'"));
    let seen = at(
        &rules,
        &source("https://prices.example.org/usd?a".to_owned()),
    );
    assert_eq!(seen, Observed::Integer(700));
}

#[test]
fn the_operators_nom_node_is_asked_by_method_and_only_if_there_is_one() {
    let address = serve(|request| {
        let body = request.split("\r\n\r\n").nth(1).unwrap_or_default();
        let question: Value = serde_json::from_str(body).expect("a question");
        match question["method"].as_str() {
            Some("ledger.getFrontierMomentum") => {
                assert_eq!(question["params"], serde_json::json!([1]));
                ok(r#"{"jsonrpc":"2.0","id":1,"result":{"height":99,"hash":"ab"}}"#)
            }
            _ => ok(r#"{"jsonrpc":"2.0","id":1,"error":{"code":-1,"message":"no"}}"#),
        }
    });
    let asked = |method: &str, pointer: &str, scale| Source {
        at: Place::NomRpc {
            method: method.to_owned(),
            params: "[1]".to_owned(),
        },
        pointer: pointer.to_owned(),
        scale,
        reducer: Reducer::Identical,
    };
    let rules = rules(&format!("nom_rpc = 'http://{address}'"));
    let momentum = "ledger.getFrontierMomentum";
    let hash = Observed::Bytes(ByteBuf::from(b"ab".to_vec()));
    let height = Observed::Integer(99);
    assert_eq!(at(&rules, &asked(momentum, "/height", Some(0))), height);
    assert_eq!(at(&rules, &asked(momentum, "/hash", None)), hash);
    let refused = at(&rules, &asked("ledger.getNothing", "/height", Some(0)));
    assert_eq!(refused, Observed::Absent(Absence::Status));
    let without = at(&Rules::default(), &asked(momentum, "/height", Some(0)));
    assert_eq!(without, Observed::Absent(Absence::Forbidden));
}

/// A node of chain 5 at block 0x64. What it is asked about a contract depends on the data.
fn evm_node(request: &str) -> String {
    let body = request.split("\r\n\r\n").nth(1).unwrap_or_default();
    let question: Value = serde_json::from_str(body).expect("a question");
    let result = |text: &str| ok(&format!(r#"{{"jsonrpc":"2.0","id":1,"result":"{text}"}}"#));
    let params = &question["params"];
    match question["method"].as_str() {
        Some("eth_chainId") => result("0x5"),
        Some("eth_blockNumber") => result("0x64"),
        Some("eth_call") => {
            assert_eq!(params[0]["to"], format!("0x{}", "07".repeat(20)));
            match params[0]["data"].as_str().expect("data") {
                // Says at which block it was asked.
                "0x00000001" => match params[1].as_str().expect("a block") {
                    "finalized" => result("0xf1"),
                    "0x5c" => result("0x5c"),
                    "0x0" => result("0x00"),
                    other => panic!("at block {other}"),
                },
                "0x00000002" => result("0x"),
                "0x00000003" => result(&format!("0x{}", "ab".repeat(OBSERVED_BYTES_MAX))),
                "0x00000004" => result(&format!("0x{}", "ab".repeat(OBSERVED_BYTES_MAX + 1))),
                "0x00000005" => result("0xabc"),
                "0x00000006" => result("0xzz"),
                "0x00000007" => result("f1"),
                "0x00000008" => ok(r#"{"jsonrpc":"2.0","id":1,"result":{"a":1}}"#),
                _ => ok(r#"{"jsonrpc":"2.0","id":1,"error":{"code":3,"message":"reverted"}}"#),
            }
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_contract_is_called_by_the_operators_own_node_at_a_block_that_is_final() {
    let address = serve(evm_node);
    let rules = |chain: u64, confirmations: &str| {
        rules(&format!(
            "[[evm]]\nchain = {chain}\nrpc = 'http://{address}'\n{confirmations}"
        ))
    };
    let call = |chain, data: &str| Source {
        at: Place::EvmCall {
            chain,
            contract: EvmAddress::from_bytes([7; 20]),
            data: data.to_owned(),
        },
        pointer: String::new(),
        scale: None,
        reducer: Reducer::Identical,
    };
    let bytes = |bytes: &[u8]| Observed::Bytes(ByteBuf::from(bytes.to_vec()));
    let absent = Observed::Absent;
    for (confirmations, seen) in [
        ("", bytes(&[0xf1])),
        ("confirmations = 8", bytes(&[0x5c])),
        ("confirmations = 100", bytes(&[0])),
        ("confirmations = 101", absent(Absence::NoValue)),
    ] {
        let asked = at(&rules(5, confirmations), &call(5, "00000001"));
        assert_eq!(asked, seen, "{confirmations}");
    }
    let rules = rules(5, "");
    for (data, seen) in [
        ("00000002", absent(Absence::NoValue)),
        ("00000003", bytes(&[0xab; OBSERVED_BYTES_MAX])),
        ("00000004", absent(Absence::Kind)),
        ("00000005", absent(Absence::Kind)),
        ("00000006", absent(Absence::Kind)),
        ("00000007", absent(Absence::Kind)),
        ("00000008", absent(Absence::Kind)),
        ("00000009", absent(Absence::Status)),
    ] {
        assert_eq!(at(&rules, &call(5, data)), seen, "{data}");
    }
    assert_eq!(
        asked(&rules, &[call(5, "00000001"), call(6, "00000001")]),
        1
    );
    let seen = at(&rules, &call(6, "00000001"));
    assert_eq!(seen, absent(Absence::Forbidden), "no node of that chain");
}

#[test]
fn a_node_of_another_evm_chain_is_not_believed() {
    let address = serve(evm_node);
    let rules = rules(&format!("[[evm]]\nchain = 1\nrpc = 'http://{address}'"));
    let source = Source {
        at: Place::EvmCall {
            chain: 1,
            contract: EvmAddress::from_bytes([7; 20]),
            data: "00000001".to_owned(),
        },
        pointer: String::new(),
        scale: None,
        reducer: Reducer::Identical,
    };
    assert_eq!(at(&rules, &source), Observed::Absent(Absence::Forbidden));
}

#[test]
fn only_sources_that_the_rules_allow_are_asked_for_and_paid_for() {
    let rules: Rules = toml::from_str(
        r#"hosts = ["prices.example.org"]
           deny = ["bad.example.org"]"#,
    )
    .expect("rules");
    let nom = Source {
        at: Place::NomRpc {
            method: "ledger.getFrontierMomentum".to_owned(),
            params: "[]".to_owned(),
        },
        ..source(String::new())
    };
    let sources = [
        source("http://prices.example.org/a".to_owned()),
        source("http://bad.example.org/a".to_owned()),
        source("http://10.0.0.1/a".to_owned()),
        nom,
    ];
    assert_eq!(asked(&rules, &sources), 1);
    let with_nom = rules.or_nom_rpc(Some("http://127.0.0.1:35997"));
    assert_eq!(asked(&with_nom, &sources), 2);
    assert_eq!(asked(&Rules::default(), &sources), 0);
}
