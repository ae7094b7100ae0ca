use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader};

use attestation::ids::{
    CommitteeId, Digest, Epoch, IdentityKey, NetworkId, Signature, Slot, StateRoot, StatementId,
    View, ZappId,
};
use attestation::receipt::CONTENT_TYPE;
use attestation::request::{INPUT_BYTES_MAX, Request};
use attestation::step_attestation::StepAttestation;
use attestation::verify::verify_receipt;
use serde_json::{Value, json};
use signer_protocol::blame::Divergence;
use state::job::SignedVote;
use state::proof::EntryProof;
use state::system::{DEPLOY, Deploy};
use tokio::sync::oneshot;

use super::described::undescribed;
use super::*;
use crate::fixture::{Caller, Fixture, START_MS};
use crate::reports::Report;

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
async fn bad_requests_are_refused_with_their_reason() {
    let mut served = Served::new().await;
    let zapp = served.fixture.deploy_counter().await;
    let caller = Caller::new(30);
    let call = caller.call(&served.fixture, zapp, "inc", 10);
    let good = caller.sign(call.clone());

    let mut unsigned = good.clone();
    unsigned.signature = Signature::from_bytes([0; 64]);
    let mut altered = good.clone();
    altered.call.gas_limit += 1;
    let other_signer = Caller::new(31).sign(call.clone());
    let mut no_key = good.clone();
    no_key.call.caller = IdentityKey::from_bytes([0; 32]);
    let with = |change: fn(&mut attestation::request::Call)| {
        let mut call = call.clone();
        change(&mut call);
        caller.sign(call)
    };
    let table = [
        ("unsigned", unsigned, 401, "signature"),
        ("altered", altered, 401, "signature"),
        ("signed by another", other_signer, 401, "signature"),
        ("key of small order", no_key, 400, "caller_key"),
        (
            "no method",
            with(|call| call.method.clear()),
            400,
            "method_length",
        ),
        (
            "long method",
            with(|call| call.method = "m".repeat(65)),
            400,
            "method_length",
        ),
        (
            "long input",
            with(|call| call.input = vec![0; INPUT_BYTES_MAX + 1]),
            413,
            "too_large",
        ),
        (
            "other network",
            with(|call| call.network = NetworkId(1)),
            400,
            "other_network",
        ),
        (
            "other committee",
            with(|call| call.committee = CommitteeId::from_bytes([1; 32])),
            400,
            "other_committee",
        ),
        (
            "expired",
            with(|call| call.valid_until_ms = START_MS - 1),
            410,
            "expired",
        ),
        (
            "too much gas",
            with(|call| call.gas_limit = u64::MAX),
            400,
            "gas_limit",
        ),
    ];
    for (what, request, status, code) in table {
        let answer = served.submit(&request).await;
        assert_eq!(answer.code(), (status, code.to_owned()), "{what}");
        assert_eq!(answer.json()["rule"], "A1", "{what}");
    }
    assert_eq!(served.fixture.gateway.pending_requests().len(), 0);

    assert_eq!(served.submit(&good).await.status, 202);
    assert_eq!(
        served.submit(&good).await.status,
        202,
        "sending again is harmless"
    );
    let same_nonce = with(|call| call.gas_limit -= 1);
    assert_eq!(
        served.submit(&same_nonce).await.code(),
        (409, "nonce_taken".to_owned())
    );
    served.fixture.step().await;
    assert_eq!(
        served.submit(&good).await.code(),
        (409, "replayed".to_owned())
    );
    assert_eq!(
        served.submit(&same_nonce).await.code(),
        (409, "nonce_used".to_owned())
    );
}

#[tokio::test]
async fn bytes_that_are_no_request_are_refused() {
    let served = Served::new().await;
    let caller = Caller::new(30);
    let call = caller.call(&served.fixture, ZappId::from_bytes([1; 32]), "inc", 1);
    let good = caller.sign(call).to_bytes();
    let mut trailing = good.clone();
    trailing.push(0);
    let cbor = "application/cbor";
    let oversized = vec![0; attestation::request::REQUEST_BYTES_MAX + 1];
    let table = [
        ("empty", cbor, Vec::new(), 400, "malformed"),
        ("garbage", cbor, vec![0xff; 100], 400, "malformed"),
        (
            "truncated",
            cbor,
            good[..good.len() - 1].to_vec(),
            400,
            "malformed",
        ),
        ("trailing byte", cbor, trailing, 400, "malformed"),
        ("oversized", cbor, oversized, 413, "too_large"),
        (
            "not JSON",
            "application/json",
            good.clone(),
            400,
            "malformed",
        ),
        (
            "JSON without fields",
            "application/json",
            b"{}".to_vec(),
            400,
            "malformed",
        ),
        (
            "no media type",
            "text/plain",
            good.clone(),
            415,
            "media_type",
        ),
    ];
    for (what, media_type, body, status, code) in table {
        let answer = served.send("POST", "/v1/requests", media_type, body).await;
        assert_eq!(answer.code(), (status, code.to_owned()), "{what}");
    }
    let wait = served
        .send("POST", "/v1/requests?wait=61", cbor, good)
        .await;
    assert_eq!(wait.code(), (400, "bad_argument".to_owned()));
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

#[tokio::test]
async fn the_author_of_a_bad_module_learns_rule_function_and_offset() {
    let served = Served::new().await;
    let upload = |wat: &'static str| {
        let wasm = wat::parse_str(wat).unwrap();
        served.send("PUT", "/v1/modules", "application/wasm", wasm)
    };
    let start = r#"(module (memory (export "memory") 1 1) (func $f) (start $f)
        (func (export "zapp_main") (param i32 i32) (result i32) (i32.const 0)))"#;
    let answer = upload(start).await;
    assert_eq!(answer.code(), (422, "module_rejected".to_owned()));
    assert_eq!(answer.json()["rule"], "start");
    assert!(answer.json()["offset"].is_u64());
    let opcode = r#"(module (memory (export "memory") 1 1)
        (func (export "zapp_main") (param i32 i32) (result i32)
        (drop (ref.null func)) (i32.const 0)))"#;
    let answer = upload(opcode).await.json();
    assert_eq!(answer["code"], "module_rejected");
    assert_eq!(answer["function"], 0);
    let huge = served
        .send("PUT", "/v1/modules", "", vec![0; (1 << 20) + 1])
        .await;
    assert_eq!(huge.code(), (413, "too_large".to_owned()));

    let good = upload(crate::fixture::COUNTER).await.json();
    let wasm = wat::parse_str(crate::fixture::COUNTER).unwrap();
    let module = good["module"].as_str().unwrap();
    assert_eq!(
        served.get(&format!("/v1/modules/{module}")).await.body,
        wasm
    );
}

#[tokio::test]
async fn deploying_a_module_that_was_not_uploaded_is_refused() {
    let served = Served::new().await;
    let owner = Caller::new(30);
    let deploy = Deploy {
        module: attestation::ids::ModuleDigest::from_bytes([1; 32]),
        salt: attestation::ids::Digest::from_bytes([1; 32]),
        escrow: 0,
        init: Vec::new(),
    };
    let input = deploy.to_bytes();
    let request = owner.request(&served.fixture, ZappId::SYSTEM, DEPLOY, input, 1);
    let answer = served.submit(&request).await;
    assert_eq!(answer.code(), (422, "unknown_module".to_owned()));
}

#[tokio::test]
async fn a_request_is_followed_to_its_end() {
    let mut served = Served::new().await;
    let zapp = served.fixture.deploy_counter().await;
    let caller = Caller::new(30);
    let request = caller.sign(caller.call(&served.fixture, zapp, "inc", 1));
    served.submit(&request).await;
    let path = format!("/v1/requests/{}", request.id());
    assert_eq!(served.get(&path).await.json()["state"], "pending");
    // Opened while the request waits: it tells so, then the end, and closes.
    let mut following = served.follow(&format!("{path}/events")).await;
    let told = following.recv().await.unwrap();
    assert!(told.starts_with("event: pending\ndata: {"), "{told}");
    served.fixture.step().await;
    let told = following.recv().await.unwrap();
    assert!(told.starts_with("event: accepted\ndata: {"), "{told}");
    assert_eq!(following.recv().await, None, "nothing after the end");
    assert_eq!(served.get(&path).await.json()["state"], "accepted");
    let events = served.get(&format!("{path}/events")).await;
    let text = String::from_utf8(events.body).unwrap();
    assert!(text.starts_with("event: accepted\ndata: {"), "{text}");
    let unknown = served
        .get(&format!("/v1/requests/{}", "00".repeat(32)))
        .await;
    assert_eq!(unknown.code(), (404, "unknown_request".to_owned()));
}

#[tokio::test]
async fn steps_are_followed_as_they_are_accepted() {
    let mut served = Served::new().await;
    let zapp = served.fixture.deploy_counter().await;
    let mut following = served.follow("/v1/events").await;
    let caller = Caller::new(30);
    for (nonce, seq) in [(1, 2), (2, 3)] {
        let request = caller.sign(caller.call(&served.fixture, zapp, "inc", nonce));
        served.submit(&request).await;
        served.fixture.step().await;
        let told = following.recv().await.unwrap();
        let data = told.strip_prefix("event: step\ndata: ").expect(&told);
        let data: Value = serde_json::from_str(data).unwrap();
        assert_eq!(data["seq"], seq, "from now on, in order, and no other");
        assert_eq!(data["leaves"][1]["request"], json!(request.id()));
        let step = served.get(&format!("/v1/steps/{seq}")).await.json();
        assert_eq!(data, step, "what the document describes as a step");
    }
}

#[tokio::test]
async fn followers_are_told_of_the_end_of_a_waiting_request() {
    let mut fixture = Fixture::new().await;
    let zapp = fixture.deploy_counter().await;
    let caller = Caller::new(30);
    let request = caller.sign(caller.call(&fixture, zapp, "inc", 1));
    let id = fixture.gateway.submit(request).await.unwrap();
    let mut changes = fixture.gateway.inner.watches.watch(id);
    fixture.step().await;
    let ended = changes.wait_for(|state| matches!(state, crate::RequestState::Accepted { .. }));
    assert!(ended.await.is_ok());
}

#[tokio::test]
async fn a_report_is_listed_shown_and_its_job_handed_out() {
    let mut served = Served::new().await;
    let zapp = served.fixture.deploy_counter().await;
    let caller = Caller::new(30);
    let request = caller.sign(caller.call(&served.fixture, zapp, "inc", 1));
    served.fixture.gateway.submit(request).await.unwrap();
    let order = served.fixture.order().await;
    let job = served.fixture.gateway.build_job(order).await.unwrap();
    let job = job.unwrap();
    let report = Report::Divergence(Divergence {
        seq: job.seq,
        view: View(7),
        job: job.digest(),
        votes: vec![SignedVote {
            slot: Slot(2),
            epoch: Epoch(1),
            seq: job.seq,
            view: View(7),
            statement: StatementId::from_bytes([4; 32]),
            mask: Digest::from_bytes([0; 32]),
            signature: Signature::from_bytes([5; 64]),
        }],
        silent: vec![Slot(5)],
    });
    let gateway = &served.fixture.gateway;
    gateway.report(&report, Some(&job)).await.unwrap();

    let status = served.get("/v1/status").await.json();
    assert_eq!(status["reports"], 1);
    let listed = served.get("/v1/reports").await.json();
    assert_eq!(listed["count"], 1);
    let first = &listed["reports"][0];
    assert_eq!(first["kind"], "divergence");
    assert_eq!((&first["seq"], &first["view"]), (&json!(2), &json!(7)));
    assert_eq!(
        (&first["proof"], &first["job"]),
        (&json!(false), &json!(true))
    );
    let id = first["id"].as_str().unwrap();
    let shown = served.get(&format!("/v1/reports/{id}")).await.json();
    assert_eq!(shown["votes"][0]["member"], 2);
    assert_eq!(shown["votes"][0]["statement"], "04".repeat(32));
    assert_eq!(shown["silent"], json!([5]));
    assert_eq!(shown["job_digests"], json!([job.digest()]));
    let evidence = hex::decode(shown["evidence"].as_str().unwrap()).unwrap();
    assert_eq!(evidence, report.to_bytes());
    let body = served.get(&format!("/v1/reports/{id}/job")).await.body;
    assert_eq!(body, attestation::codec::encode(&job));
    for (path, expected) in [
        ("/v1/reports/zz", (400, "bad_argument")),
        (
            &*format!("/v1/reports/{}", "00".repeat(32)),
            (404, "unknown_report"),
        ),
    ] {
        let answer = served.get(path).await;
        assert_eq!(answer.code(), (expected.0, expected.1.to_owned()), "{path}");
    }
}
