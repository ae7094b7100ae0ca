//! One node, started and stopped.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use conformance::golden;
use nom::client::{Client, Limits};
use serde_json::{Value, json};

use crate::genesis::{self, CHAIN};

/// A network of one node, which produces a momentum every ten seconds.
#[derive(Debug)]
pub struct Network {
    client: Client,
    /// A shell that ends the node when its standard input closes: also when this process is killed.
    keeper: Child,
    folder: tempfile::TempDir,
}

impl Network {
    /// The network that the tests of one process share. It ends with the last of them.
    ///
    /// # Errors
    /// Why the node does not come up, with the end of its log.
    pub fn shared(znnd: &Path) -> Result<Arc<Self>> {
        static SHARED: Mutex<Weak<Network>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(network) = shared.upgrade() {
            return Ok(network);
        }
        let network = Arc::new(Self::start(znnd)?);
        *shared = Arc::downgrade(&network);
        Ok(network)
    }

    /// Starts a node in a folder of its own, and waits for its first momentum.
    ///
    /// # Errors
    /// Why the node does not come up, with the end of its log.
    pub fn start(znnd: &Path) -> Result<Self> {
        // Another process may take a port between our look and the node's.
        let mut attempts = 0;
        loop {
            attempts += 1;
            match Self::start_once(znnd) {
                Err(_) if attempts < 3 => {}
                outcome => return outcome,
            }
        }
    }

    /// A client of the node.
    #[must_use]
    pub const fn client(&self) -> &Client {
        &self.client
    }

    /// Calls a method as it is, past all checks of the client.
    ///
    /// # Errors
    /// The node's words, or that it does not answer.
    pub fn call_unchecked(&self, method: &str, params: &Value) -> Result<Value, String> {
        let call = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
        let answer = ureq::post(self.client.url()).send_json(call);
        let mut answer = answer.map_err(|error| error.to_string())?;
        let answer: Value = answer
            .body_mut()
            .read_json()
            .map_err(|error| error.to_string())?;
        match answer["error"]["message"].as_str() {
            Some(said) => Err(said.to_owned()),
            None => Ok(answer["result"].clone()),
        }
    }

    fn start_once(znnd: &Path) -> Result<Self> {
        let folder = tempfile::tempdir().context("a folder for the node")?;
        let ports = free_ports().context("ports on loopback")?;
        write(
            &folder.path().join("genesis.json"),
            &genesis::configuration(),
        )?;
        write(
            &folder.path().join("config.json"),
            &genesis::node(folder.path(), ports),
        )?;
        fs::create_dir(folder.path().join("wallet"))?;
        fs::copy(
            golden::repository().join("tests/nom/znnd/producer.json"),
            folder.path().join("wallet/producer.json"),
        )?;
        let keeper = Command::new("sh")
            .args(["-c", KEEPER])
            .arg(znnd)
            .arg(folder.path())
            .stdin(Stdio::piped())
            .stdout(fs::File::create(folder.path().join("log"))?)
            .stderr(Stdio::null())
            .spawn()
            .context("a shell for the node")?;
        let url = format!("http://127.0.0.1:{}", ports[1]);
        let network = Self {
            client: Client::new(&url, CHAIN, Limits::default())?,
            keeper,
            folder,
        };
        network.wait()?;
        Ok(network)
    }

    /// Until the node has a momentum after the genesis.
    fn wait(&self) -> Result<()> {
        let start = Instant::now();
        loop {
            let frontier = self.client.frontier_momentum();
            if frontier.as_ref().is_ok_and(|momentum| momentum.height > 1) {
                return Ok(());
            }
            if start.elapsed() > STARTS_WITHIN {
                let log = fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
                let from = log.len().saturating_sub(2_000);
                let end = log.get(from..).unwrap_or_default();
                bail!("the node makes no momentum: {frontier:?}\n{end}");
            }
            thread::sleep(Duration::from_millis(100));
        }
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        drop(self.keeper.stdin.take());
        // Nothing is left to do where the shell is gone already.
        let _ = self.keeper.wait();
    }
}

const STARTS_WITHIN: Duration = Duration::from_secs(60);
/// Killed and not asked: the folder goes with it, and asking takes seconds.
const KEEPER: &str = r#""$0" --data "$1" 2>&1 & cat > /dev/null; kill -9 $!; wait $!"#;

fn write(path: &Path, value: &Value) -> Result<()> {
    fs::write(path, value.to_string()).with_context(|| path.display().to_string())
}

fn free_ports() -> std::io::Result<[u16; 3]> {
    let listen = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
    let listeners = [listen()?, listen()?, listen()?];
    let [peers, http, websocket] = listeners.map(|listener| listener.local_addr());
    Ok([peers?.port(), http?.port(), websocket?.port()])
}
