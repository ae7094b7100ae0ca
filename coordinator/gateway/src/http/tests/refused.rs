//! What is refused, and with which words.

use attestation::ids::{CommitteeId, IdentityKey, NetworkId, Signature, ZappId};
use attestation::request::INPUT_BYTES_MAX;
use state::system::{DEPLOY, Deploy};

use super::*;

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
