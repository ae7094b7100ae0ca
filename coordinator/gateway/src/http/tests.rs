mod followed;
mod refused;

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};

use attestation::ids::StateRoot;
use attestation::receipt::CONTENT_TYPE;
use attestation::request::Request;
use attestation::step_attestation::StepAttestation;
use attestation::verify::verify_receipt;
use serde_json::{Value, json};
use state::proof::EntryProof;
use tokio::sync::oneshot;

use super::described::undescribed;
use super::*;
use crate::fixture::{Caller, Fixture, START_MS};

/// A gateway that listens on a free loopback port, and a client.
struct Served {
    fixture: Fixture,
    base: String,
    agent: ureq::Agent,
    _stop: oneshot::Sender<()>,
}

struct Answer {
    status: u16,
    media_type: String,
    request_id: Option<String>,
    body: Vec<u8>,
}

impl Answer {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap()
    }

    fn code(&self) -> (u16, String) {
        let body = self.json();
        assert!(
            body["error"].is_string() && body["what_to_do"].is_string(),
            "{body}"
        );
        (self.status, body["code"].as_str().unwrap().to_owned())
    }
}

impl Served {
    async fn new() -> Self {
        let fixture = Fixture::new().await;
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let (stop, stopped) = oneshot::channel::<()>();
        let gateway = fixture.gateway.clone();
        tokio::spawn(async move {
            let stopped = async move {
                let _ = stopped.await;
            };
            gateway.serve(listener, stopped).await;
        });
        let config = ureq::Agent::config_builder().http_status_as_error(false);
        Self {
            fixture,
            base,
            agent: config.build().into(),
            _stop: stop,
        }
    }

    async fn send(
        &self,
        method: &'static str,
        path: &str,
        media_type: &'static str,
        body: Vec<u8>,
    ) -> Answer {
        let (agent, url) = (self.agent.clone(), format!("{}{path}", self.base));
        tokio::task::spawn_blocking(move || {
            let request = ureq::http::Request::builder()
                .method(method)
                .uri(url)
                .header("content-type", media_type)
                .body(body)
                .unwrap();
            let path = request.uri().path().to_owned();
            let mut answer = agent.run(request).unwrap();
            let header = |name: &str| {
                let value = answer.headers().get(name)?;
                Some(value.to_str().unwrap().to_owned())
            };
            let answer = Answer {
                status: answer.status().as_u16(),
                media_type: header("content-type").unwrap_or_default(),
                request_id: header("x-request-id"),
                body: answer.body_mut().read_to_vec().unwrap(),
            };
            // The document describes itself as an object and no further.
            if answer.media_type == "application/json"
                && answer.status < 400
                && path != "/openapi.json"
            {
                let told = undescribed(method, &path, (answer.status, &answer.json()));
                assert!(told.is_empty(), "{method} {path}: not described: {told:?}");
            }
            answer
        })
        .await
        .unwrap()
    }

    async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, "", Vec::new()).await
    }

    /// The events of a stream from now on, one by one, until it ends.
    async fn follow(&self, path: &str) -> tokio::sync::mpsc::Receiver<String> {
        let (agent, url) = (self.agent.clone(), format!("{}{path}", self.base));
        let (told, events) = tokio::sync::mpsc::channel(8);
        let answer = tokio::task::spawn_blocking(move || agent.get(url).call().unwrap());
        let mut answer = answer.await.unwrap();
        tokio::task::spawn_blocking(move || {
            let stream = BufReader::new(answer.body_mut().as_reader());
            let mut event = String::new();
            // An endless stream breaks off when its test ends.
            for line in stream.lines().map_while(Result::ok) {
                if line.is_empty() {
                    let _ = told.blocking_send(std::mem::take(&mut event));
                } else if !line.starts_with(':') {
                    event.push_str(&line);
                    event.push('\n');
                }
            }
        });
        events
    }

    async fn submit(&self, request: &Request) -> Answer {
        self.send(
            "POST",
            "/v1/requests",
            "application/cbor",
            request.to_bytes(),
        )
        .await
    }
}

#[test]
fn the_openapi_document_and_the_routes_are_the_same() {
    let document: Value = serde_json::from_str(node::OPENAPI).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let documented: BTreeSet<(String, String)> = paths
        .iter()
        .flat_map(|(path, methods)| {
            let methods = methods.as_object().unwrap().keys();
            methods.map(move |method| (path.clone(), method.clone()))
        })
        .collect();
    let served: BTreeSet<(String, String)> = routes()
        .iter()
        .flat_map(|route| {
            let methods = route.methods.iter();
            methods.map(|method| (route.path.to_owned(), (*method).to_owned()))
        })
        .collect();
    assert_eq!(documented, served);
}

#[test]
fn the_openapi_document_refers_only_to_what_it_defines() {
    fn walk(value: &Value, document: &Value) {
        match value {
            Value::Object(members) => {
                if let Some(Value::String(target)) = members.get("$ref") {
                    let pointer = target.strip_prefix('#').unwrap();
                    assert!(document.pointer(pointer).is_some(), "{target}");
                }
                members.values().for_each(|member| walk(member, document));
            }
            Value::Array(items) => items.iter().for_each(|item| walk(item, document)),
            _ => {}
        }
    }
    let document: Value = serde_json::from_str(node::OPENAPI).unwrap();
    walk(&document, &document);
    for methods in document["paths"].as_object().unwrap().values() {
        for operation in methods.as_object().unwrap().values() {
            assert!(operation["operationId"].is_string() && operation["responses"].is_object());
        }
    }
}

#[tokio::test]
async fn every_route_answers_each_of_its_methods() {
    let served = Served::new().await;
    for route in routes() {
        let path = ["request", "key", "zapp", "module", "report"]
            .iter()
            .fold(route.path.to_owned(), |path, name| {
                path.replace(&format!("{{{name}}}"), &"00".repeat(32))
            })
            .replace("{seq}", "1")
            .replace("{leaf}", "0");
        if path.ends_with("/events") {
            continue;
        }
        for method in route.methods {
            let method = if *method == "get" { "GET" } else { "POST" };
            let method = if route.methods == ["put"] {
                "PUT"
            } else {
                method
            };
            let answer = served.send(method, &path, "", Vec::new()).await;
            assert!(answer.status != 405, "{method} {path}");
            if answer.status >= 400 {
                assert_ne!(answer.code().1, "not_found", "{method} {path}");
            }
            assert!(answer.request_id.is_some(), "{method} {path}");
        }
        let answer = served.send("DELETE", &path, "", Vec::new()).await;
        assert_eq!(
            answer.code(),
            (405, "method_not_allowed".to_owned()),
            "{path}"
        );
    }
    let nowhere = served.get("/v2").await;
    assert_eq!(nowhere.code(), (404, "not_found".to_owned()));
}

#[tokio::test]
async fn a_json_request_that_waits_is_answered_with_its_attestation() {
    let mut served = Served::new().await;
    let zapp = served.fixture.deploy_counter().await;
    let caller = Caller::new(30);
    let request = caller.sign(caller.call(&served.fixture, zapp, "inc", 1));
    let body = json!({
        "network": 321,
        "committee": request.call.committee,
        "zapp": zapp,
        "method": "inc",
        "input": "",
        "gas_limit": request.call.gas_limit,
        "fee_payer": "zapp",
        "nonce": 1,
        "valid_until_ms": request.call.valid_until_ms,
        "caller": request.call.caller,
        "signature": request.signature,
    });
    let path = "/v1/requests?wait=60";
    let mut pending = served.fixture.gateway.subscribe();
    let gateway_step = async {
        pending.recv().await.unwrap();
    };
    let body = serde_json::to_vec(&body).unwrap();
    let waiting = served.send("POST", path, "application/json; charset=utf-8", body);
    let mut waiting = std::pin::pin!(waiting);
    tokio::select! {
        answer = &mut waiting => panic!("answered before the step: {}", answer.status),
        () = gateway_step => {}
    }
    let mut order_view = Fixture::new().await;
    let order = order_view.order().await;
    let head = served.fixture.gateway.head().await.unwrap();
    let order = state::job::BuildJob {
        seq: head.commit.seq.next().unwrap(),
        previous: Some(head),
        ..order
    };
    let job = served
        .fixture
        .gateway
        .build_job(order)
        .await
        .unwrap()
        .unwrap();
    let attestation = served.fixture.attestation(&job).await;
    served
        .fixture
        .gateway
        .attested(attestation, Some(job), None)
        .await
        .unwrap();
    let answer = waiting.await;

    assert_eq!(answer.status, 200);
    let answer = answer.json();
    assert_eq!(answer["state"], "accepted");
    assert_eq!(answer["outcome"]["status"], "ok");
    assert_eq!(answer["outcome"]["output"], "0100000000000000");
    let hex = |name: &str| hex::decode(answer[name].as_str().unwrap()).unwrap();
    let key = served.fixture.key();
    verify_receipt(&hex("attestation"), Some(&hex("leaf_bytes")), &key, None).unwrap();
}

#[tokio::test]
async fn steps_receipts_and_leaves_are_served_and_verify() {
    let mut served = Served::new().await;
    let zapp = served.fixture.deploy_counter().await;
    let (key, committee) = (served.fixture.key(), served.fixture.gateway.record().id());
    for leaf in 0..2 {
        let receipt = served.get(&format!("/v1/attestations/1/{leaf}")).await;
        assert_eq!(receipt.media_type, CONTENT_TYPE);
        let named = served.get(&format!("/v1/attestations/1/{leaf}.cose")).await;
        assert_eq!(named.body, receipt.body);
        let bytes = served
            .get(&format!("/v1/attestations/1/{leaf}.bin"))
            .await
            .body;
        assert_eq!(
            served
                .get(&format!("/v1/attestations/1/{leaf}/leaf"))
                .await
                .body,
            bytes
        );
        verify_receipt(&receipt.body, Some(&bytes), &key, Some(&committee)).unwrap();
    }
    let step = served.get("/v1/steps/head").await.json();
    assert_eq!(step["seq"], 1);
    assert_eq!(step["leaves"][1]["status"], "ok");
    assert_eq!(served.get("/v1/steps").await.json()["steps"][0], step);
    let attestation = served.get("/v1/steps/1/attestation").await.body;
    let attestation = StepAttestation::from_bytes(&attestation).unwrap();
    attestation.verify(&key).unwrap();
    assert_eq!(
        served.get("/v1/steps/2").await.code(),
        (404, "unknown_step".to_owned())
    );
    assert_eq!(
        served.get("/v1/steps/x").await.code(),
        (400, "bad_argument".to_owned())
    );
    let leaf = served.get("/v1/attestations/1/2").await;
    assert_eq!(leaf.code(), (404, "unknown_leaf".to_owned()));

    let zapps = served.get("/v1/zapps").await.json();
    assert_eq!(zapps["zapps"][0]["zapp"], json!(zapp));
    assert_eq!(
        served.get(&format!("/v1/zapps/{zapp}")).await.json()["seq"],
        1
    );
    let committee_json = served.get("/v1/committee").await.json();
    assert_eq!(committee_json["group_key"], json!(key));
    assert_eq!(committee_json["members"][4]["slot"], 5);
}

#[tokio::test]
async fn state_entries_come_with_proofs_against_the_attested_root() {
    let mut served = Served::new().await;
    let zapp = served.fixture.deploy_counter().await;
    let caller = Caller::new(30);
    let request = caller.sign(caller.call(&served.fixture, zapp, "inc", 1));
    served.submit(&request).await;
    let step = served.fixture.step().await;
    let table = [("6e", Some("0100000000000000")), ("6f", None)];
    for (key, value) in table {
        let entry = served.get(&format!("/v1/state/{zapp}/{key}")).await.json();
        assert_eq!(entry["value"], json!(value));
        let root: StateRoot = entry["state"].as_str().unwrap().parse().unwrap();
        assert_eq!(root, step.attestation.commit.state);
        let bytes = served
            .get(&format!("/v1/state/{zapp}/{key}/proof"))
            .await
            .body;
        assert_eq!(entry["proof"], json!(hex::encode(&bytes)));
        let proof: EntryProof = attestation::codec::decode(&bytes, 1 << 20).unwrap();
        let proven = proof.verify(&root).unwrap().map(hex::encode);
        assert_eq!(proven.as_deref(), value);
    }
    let bad = served.get(&format!("/v1/state/{zapp}/6")).await;
    assert_eq!(bad.code(), (400, "bad_argument".to_owned()));
}

#[tokio::test]
async fn views_answer_and_change_nothing() {
    let mut served = Served::new().await;
    let zapp = served.fixture.deploy_counter().await;
    let path = format!("/v1/zapps/{zapp}/view");
    let body = br#"{"method":"count"}"#.to_vec();
    let posted = served
        .send("POST", &path, "application/json", body)
        .await
        .json();
    assert_eq!(posted["output"], "0000000000000000");
    let asked = served
        .get(&format!("{path}?method=count&input=00"))
        .await
        .json();
    assert_eq!(asked, posted);
    let nowhere = served
        .get(&format!("/v1/zapps/{}/view?method=m", "11".repeat(32)))
        .await;
    assert_eq!(nowhere.code(), (404, "unknown_zapp".to_owned()));
    let no_method = served.get(&path).await;
    assert_eq!(no_method.code(), (400, "bad_argument".to_owned()));
}
