//! Requests that name sources: members observe them, and a price feed takes their median.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;

use e2e::Running;
use serde_json::Value;
use tempfile::TempDir;

/// What a member's view of the outside answers to a path.
type Answers = Arc<Mutex<Vec<(&'static str, String)>>>;

/// One member's view of the outside: a server of its own, that the others do not see.
struct Outside {
    address: SocketAddr,
    answers: Answers,
}

impl Outside {
    fn open() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let answers = Answers::default();
        let served = Arc::clone(&answers);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("a connection");
                let mut bytes = vec![0; 4096];
                let length = stream.read(&mut bytes).unwrap_or_default();
                bytes.truncate(length);
                let request = String::from_utf8_lossy(&bytes).into_owned();
                let path = request.split(' ').nth(1).unwrap_or_default();
                let path = path.strip_prefix("/prices.example.org").unwrap_or(path);
                let answers = served.lock().expect("whole");
                let answer = answers.iter().find(|(served, _)| *served == path);
                let text = match answer {
                    Some((_, body)) => format!(
                        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
                        body.len()
                    ),
                    None => {
                        "HTTP/1.1 404 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".into()
                    }
                };
                let _ = stream.write_all(text.as_bytes());
            }
        });
        Self { address, answers }
    }

    fn says(&self, path: &'static str, body: &str) {
        let mut answers = self.answers.lock().expect("whole");
        answers.retain(|(served, _)| *served != path);
        answers.push((path, body.to_owned()));
    }
}

/// A committee whose members each see the outside through a server of their own: what is called
/// `https://prices.example.org` is asked for there.
struct Feed {
    running: Running,
    outside: Vec<Outside>,
    files: TempDir,
    zapp: String,
}

const TRUSTED: &str = "median:2:https://prices.example.org/a#/usd";
const OTHER: &str = "median:2:https://prices.example.org/b#/usd";

impl Feed {
    fn open() -> Self {
        let mut running = Running::prepare().expect("programs");
        let outside: Vec<Outside> = (0..5).map(|_| Outside::open()).collect();
        for (member, outside) in running.committee.members().iter().zip(&outside) {
            let rules = format!(
                "[observe]\nhosts = ['prices.example.org']\ntls_via = 'http://{}'\n",
                outside.address
            );
            std::fs::write(member.dir.join("node.toml"), rules).expect("written");
        }
        running
            .start_with(&[], &[])
            .expect("a committee with its key");
        let files = TempDir::new().expect("a directory");
        let mut feed = Self {
            running,
            outside,
            files,
            zapp: String::new(),
        };
        let key = feed.path("key");
        feed.ok(&["key", "new", &key]);
        let module = module();
        let deployed = feed.ok(&[
            "zapp",
            "deploy",
            &module,
            "sources_min=1",
            "--key",
            &key,
            "--payer",
            "caller",
        ]);
        feed.zapp = text(&deployed, "zapp");
        for source in [TRUSTED, OTHER] {
            let id = text(&feed.ok(&["zapp", "source", source]), "id");
            let argument = format!("source={id}");
            feed.call("trust", &[&argument]);
        }
        feed
    }

    fn path(&self, name: &str) -> String {
        let path = self.files.path().join(name);
        path.to_str().expect("UTF-8").to_owned()
    }

    fn zq(&self, arguments: &[&str]) -> (Value, i32) {
        let all: Vec<&str> = ["--json"].iter().chain(arguments).copied().collect();
        let (printed, code) = self.running.zq(1, &all).expect("zq runs");
        let value = serde_json::from_str(printed.lines().next().unwrap_or_default());
        (value.expect("JSON"), code.expect("an exit code"))
    }

    fn ok(&self, arguments: &[&str]) -> Value {
        let (value, code) = self.zq(arguments);
        assert_eq!(code, 0, "{arguments:?}: {value}");
        value
    }

    fn try_call(&self, method: &str, more: &[&str]) -> (Value, i32) {
        let key = self.path("key");
        let mut arguments = vec!["zapp", "call", &self.zapp, method, "--key", &key];
        arguments.extend(["--payer", "caller"]);
        arguments.extend(more);
        self.zq(&arguments)
    }

    fn call(&self, method: &str, more: &[&str]) -> Value {
        let (value, code) = self.try_call(method, more);
        assert_eq!(code, 0, "{method} {more:?}: {value}");
        value
    }

    fn price(&self) -> String {
        let view = self.ok(&["zapp", "view", &self.zapp, "price", "age_ms_max=600000"]);
        view.get("value").map(Value::to_string).unwrap_or_default()
    }
}

fn module() -> String {
    let above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let found = above.map(|folder| folder.join("target/zapps/price-feed.wasm"));
    let path = found.into_iter().find(|path| path.exists());
    let path = path.expect("run `cargo xtask zapps` first");
    path.to_str().expect("UTF-8").to_owned()
}

fn text(value: &Value, name: &str) -> String {
    let text = value.get(name).and_then(Value::as_str);
    text.unwrap_or_default().to_owned()
}

#[test]
fn a_feed_takes_the_median_of_what_members_see_whatever_one_sees_or_does_not() {
    let feed = Feed::open();
    // Four members see nearly the same; the third one's source lies wildly.
    for (at, outside) in feed.outside.iter().enumerate() {
        let price = if at == 2 {
            "1e9".to_owned()
        } else {
            format!("12.3{at}")
        };
        outside.says("/a", &format!("{{\"usd\": {price}}}"));
    }
    feed.call("update", &["--source", TRUSTED]);
    let price: i64 = feed.price().parse().expect("a number");
    assert!((1230..=1234).contains(&price), "{price}");

    // The third one's source is down, and so is the fourth's other one: four others have a value.
    feed.outside[2].says("/a", "nothing");
    for (at, outside) in feed.outside.iter().enumerate() {
        if at != 3 {
            outside.says("/b", "{\"usd\": \"99.5\"}");
        }
    }
    feed.call("update", &["--source", TRUSTED, "--source", OTHER]);
    let price: i64 = feed.price().parse().expect("a number");
    assert!((1230..=1234).contains(&price), "the lower of two: {price}");

    // Two members without a value: fewer than t have one, and the feed says so.
    feed.outside[0].says("/a", "nothing");
    let (value, code) = feed.try_call("update", &["--source", TRUSTED]);
    assert_eq!(
        (code, text(&value, "status").as_str()),
        (1, "reverted"),
        "{value}"
    );

    // What the owner does not trust, and what no operator allows.
    for source in [
        "median:2:https://prices.example.org/c#/usd",
        "median:2:http://169.254.169.254/latest#/usd",
        "median:2:http://127.0.0.1/a#/usd",
        "median:0:nom:ledger.getFrontierMomentum#/height",
    ] {
        let (value, code) = feed.try_call("update", &["--source", source]);
        assert_eq!(
            (code, text(&value, "status").as_str()),
            (1, "reverted"),
            "{source}: {value}"
        );
    }

    // Other requests go on meanwhile, and the price stays what it was.
    assert_eq!(feed.price(), price.to_string());
}
