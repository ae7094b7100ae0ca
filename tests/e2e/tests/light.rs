//! `zq light` follows a committee of processes through a change of members, at gateways that lie.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use e2e::Running;
use e2e::town::{Town, text};
use serde_json::Value;

/// What paths answer.
type Answers = BTreeMap<String, Vec<u8>>;

/// A gateway that answers what it was told to, whatever is true.
struct Liar {
    address: String,
    answers: Arc<Mutex<Answers>>,
}

impl Liar {
    fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address");
        let answers = Arc::new(Mutex::new(Answers::new()));
        let served = Arc::clone(&answers);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // A caller that went away is the test's to notice.
                let _gone = answer(
                    stream,
                    &served.lock().unwrap_or_else(PoisonError::into_inner),
                );
            }
        });
        Self {
            address: format!("http://{address}"),
            answers,
        }
    }

    fn say(&self, answers: &Answers) {
        let mut said = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
        said.clone_from(answers);
    }
}

fn answer(mut stream: TcpStream, answers: &Answers) -> std::io::Result<()> {
    let mut lines = BufReader::new(stream.try_clone()?).lines();
    let first = lines.next().transpose()?.unwrap_or_default();
    for line in lines {
        if line?.is_empty() {
            break;
        }
    }
    let path = first.split(' ').nth(1).unwrap_or_default();
    let (status, body) = match answers.get(path) {
        Some(body) => ("200 OK", body.as_slice()),
        None => ("404 Not Found", &b"{}"[..]),
    };
    let length = body.len();
    write!(
        stream,
        "HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
    )?;
    stream.write_all(body)
}

/// All that a gateway is asked for to follow, as an honest one answers now.
fn recorded(town: &Town) -> Answers {
    let committee = hex::encode("committee");
    let http = town.running.committee.http(1).expect("a member");
    let mut answers = Answers::new();
    let mut keep = |path: String| {
        let body = http.get(&path).expect("answered");
        answers.insert(path, body.to_string().into_bytes());
        body
    };
    let zeros = "0".repeat(64);
    let entry = keep(format!("/v1/state/{zeros}/{committee}"));
    keep("/v1/committee/epochs".to_owned());
    let seq = entry.get("seq").and_then(Value::as_u64).expect("a step");
    let path = format!("/v1/steps/{seq}/attestation");
    let step = http.get_bytes(&path).expect("answered");
    answers.insert(path, step);
    answers
}

/// What `zq --json light` says at this gateway, and its exit code.
fn light(gateway: &str, arguments: &[&str]) -> (Value, Option<i32>) {
    let all = [&["--json", "--node", gateway, "light"], arguments].concat();
    let (said, code) = Running::offline(&all).expect("zq runs");
    let json = serde_json::from_str(&said).unwrap_or_else(|_| panic!("JSON: {said}"));
    (json, code)
}

fn slots(said: &Value) -> Vec<u64> {
    e2e::town::members(said)
}

#[test]
fn zq_light_follows_through_a_change_and_is_not_deceived() {
    let mut town = Town::open();
    let id = town.running.committee.record().id().to_string();
    let file = text(&town.path("my.light"));
    let honest = town
        .running
        .committee
        .http(2)
        .expect("a member")
        .base()
        .to_owned();
    let follow = ["follow", &id, "--state", &file];
    town.call(1);
    let (said, code) = light(&honest, &follow);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(said["epoch"], 1);
    assert_eq!(slots(&said), [1, 2, 3, 4, 5]);
    let old = recorded(&town);

    // Another committee's id, and another gateway's.
    let wrong = "7".repeat(64);
    let elsewhere = text(&town.path("other.light"));
    let (said, code) = light(&honest, &["follow", &wrong, "--state", &elsewhere]);
    assert_eq!(
        (code, &said["check"]),
        (Some(3), &Value::from("committee")),
        "{said}"
    );
    let (said, code) = light(&honest, &["show", &wrong, "--state", &file]);
    assert_eq!(code, Some(1), "{said}");

    let joins = town.running.committee.enrol().expect("a data directory");
    let card = text(&town.running.committee.members()[5].dir.join("card.json"));
    let change = town.plan(1, "change", &["--join", &card, "--leave", "3"]);
    for slot in [joins, 1, 2, 4, 5] {
        let approved = town.running.committee.approve(slot, &change);
        approved.expect("approved");
    }
    town.running.committee.start_member(6).expect("started");
    town.activate(&[1, 2, 4, 5, 6]);
    town.wait_epoch(&[1, 2, 4, 5, 6], 2);
    assert_eq!(town.call(1), 2);
    let new = recorded(&town);

    // The new epoch's step without the change that led there.
    let liar = Liar::open();
    let epochs = "/v1/committee/epochs".to_owned();
    let mut withheld = new.clone();
    withheld.insert(epochs.clone(), old[&epochs].clone());
    liar.say(&withheld);
    let before = std::fs::read(&file).expect("kept");
    let (said, code) = light(&liar.address, &follow);
    assert_eq!(
        (code, &said["check"]),
        (Some(3), &Value::from("withheld")),
        "{said}"
    );
    assert_eq!(
        std::fs::read(&file).expect("kept"),
        before,
        "nothing changes"
    );

    let (said, code) = light(&honest, &follow);
    assert_eq!(code, Some(0), "{said}");
    assert_eq!(
        (&said["epoch"], &said["moved"]),
        (&Value::from(2), &Value::from(true))
    );
    assert_eq!(slots(&said), [1, 2, 4, 5, 6]);
    let (shown, code) = light("http://127.0.0.1:1", &["show", &id, "--state", &file]);
    assert_eq!(
        (code, &shown["statement"]),
        (Some(0), &said["statement"]),
        "{shown}"
    );

    // The old head, the newest one again, a step that nobody signed, nothing at all.
    liar.say(&old);
    let (said, code) = light(&liar.address, &follow);
    assert_eq!(
        (code, &said["check"]),
        (Some(3), &Value::from("old")),
        "{said}"
    );
    liar.say(&new);
    let (said, code) = light(&liar.address, &follow);
    assert_eq!(
        (code, &said["moved"]),
        (Some(0), &Value::from(false)),
        "{said}"
    );
    // First contact with a gateway that has nothing newer than before the change.
    liar.say(&old);
    let aged = ["follow", &id, "--state", &elsewhere, "--age-max", "1"];
    let (said, code) = light(&liar.address, &aged);
    assert_eq!(
        (code, &said["check"]),
        (Some(3), &Value::from("age")),
        "{said}"
    );
    assert_eq!(town.call(1), 2);
    let mut forged = recorded(&town);
    for (_, body) in forged
        .iter_mut()
        .filter(|(path, _)| path.ends_with("attestation"))
    {
        *body.last_mut().expect("bytes") ^= 1;
    }
    liar.say(&forged);
    let (said, code) = light(&liar.address, &follow);
    assert_eq!(
        (code, &said["check"]),
        (Some(3), &Value::from("signature")),
        "{said}"
    );

    // Entries and leaves, true and forged.
    let system = "0".repeat(64);
    let key = hex::encode("totals");
    let (said, code) = light(&honest, &["entry", &id, &system, &key, "--state", &file]);
    assert_eq!(code, Some(0), "{said}");
    assert!(said["value"].is_string(), "{said}");
    let seq = said["seq"].to_string();
    let leaf = ["leaf", &id, &seq, "1", "--state", &file];
    let (said, code) = light(&honest, &leaf);
    assert_eq!(code, Some(0), "{said}");
    let http = town.running.committee.http(1).expect("a member");
    let path = format!("/v1/attestations/{seq}/1");
    let mut bytes = http.get_bytes(&format!("{path}/leaf")).expect("a leaf");
    *bytes.last_mut().expect("bytes") ^= 1;
    let receipt = http.get_bytes(&path).expect("a receipt");
    liar.say(&Answers::from([
        (path.clone(), receipt),
        (format!("{path}/leaf"), bytes),
    ]));
    let (said, code) = light(&liar.address, &leaf);
    assert_eq!(
        (code, &said["check"]),
        (Some(3), &Value::from("leaf")),
        "{said}"
    );
}
