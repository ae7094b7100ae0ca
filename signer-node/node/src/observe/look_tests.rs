use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;

use attestation::source::Reducer;
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
