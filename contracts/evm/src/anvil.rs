//! A real EVM node for tests: Foundry's anvil, as npm has it, pinned by version and checksum in
//! `anvil/`, on a loopback port of its own choice.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use evm_client::rpc::{At, Rpc, text};
use evm_client::transaction::{AccountKey, Address, Transaction};
use k256::elliptic_curve::zeroize::Zeroizing;
use serde_json::json;

use crate::compiler::{Contracts, install};

/// EIP-155 id of its chain.
pub const CHAIN: u64 = 31_337;
/// One ether, in wei.
pub const ETHER: u128 = 1_000_000_000_000_000_000;
/// A transaction is in a block at once; machines under load take longer.
const WITHIN: Duration = Duration::from_secs(60);

/// A running node; it ends when this is dropped.
#[derive(Debug)]
pub struct Anvil {
    process: Child,
    url: String,
    rpc: Rpc,
}

impl Anvil {
    /// Starts a node, with its program kept in `folder` between runs.
    ///
    /// # Errors
    /// Why there is none.
    ///
    /// # Panics
    /// If it starts and does not listen.
    pub fn start(folder: &Path) -> Result<Self, String> {
        let program = program(&install(folder, "anvil")?)?;
        let mut process = Command::new(program)
            .args(["--host", "127.0.0.1", "--port", "0", "--accounts", "1"])
            .args(["--chain-id", &CHAIN.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("anvil: {error}"))?;
        let output = BufReader::new(process.stdout.take().expect("piped"));
        let mut lines = output.lines().map_while(Result::ok);
        let address = lines.find_map(|line| Some(line.strip_prefix("Listening on ")?.to_owned()));
        let url = format!("http://{}", address.expect("it says where it listens"));
        // What it says later would fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        let rpc = Rpc::new(&url).expect("an address of http");
        Ok(Self { process, url, rpc })
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Asks it.
    #[must_use]
    pub const fn rpc(&self) -> &Rpc {
        &self.rpc
    }

    /// Gives an account so much, in wei.
    ///
    /// # Panics
    /// If the node does not.
    pub fn fund(&self, account: &Address, wei: u128) {
        let params = json!([text(account), format!("{wei:#x}")]);
        self.rpc.ask("anvil_setBalance", &params).expect("funded");
    }

    /// Lets time pass, and a block be built.
    ///
    /// # Panics
    /// If the node does not.
    pub fn pass(&self, seconds: u64) {
        let rpc = &self.rpc;
        rpc.ask("evm_increaseTime", &json!([seconds]))
            .expect("later");
        rpc.ask("evm_mine", &json!([])).expect("a block");
    }

    /// Exchanges so many of the last blocks for others with these signed transactions, each by the
    /// place of its block among them.
    ///
    /// # Panics
    /// If the node does not.
    pub fn reorganise(&self, blocks: u64, transactions: &[(Vec<u8>, u64)]) {
        let pairs = transactions.iter().map(|(raw, at)| json!([text(raw), at]));
        let params = json!([blocks, pairs.collect::<Vec<_>>()]);
        self.rpc.ask("anvil_reorg", &params).expect("other blocks");
    }

    /// A state to come back to with [`Self::revert`].
    ///
    /// # Panics
    /// If the node does not.
    #[must_use]
    pub fn snapshot(&self) -> serde_json::Value {
        self.rpc.ask("evm_snapshot", &json!([])).expect("a state")
    }

    /// Takes back all blocks since.
    ///
    /// # Panics
    /// If the node does not.
    pub fn revert(&self, snapshot: &serde_json::Value) {
        let reverted = self.rpc.ask("evm_revert", &json!([snapshot]));
        assert_eq!(reverted.expect("the state"), true);
    }

    /// Builds so many blocks of nothing.
    ///
    /// # Panics
    /// If the node does not.
    pub fn mine(&self, blocks: u64) {
        for _ in 0..blocks {
            self.rpc.ask("evm_mine", &json!([])).expect("a block");
        }
    }

    /// Deploys a contract from an account.
    ///
    /// # Panics
    /// If it is refused.
    pub fn deploy(
        &self,
        key: &AccountKey,
        contracts: &Contracts,
        name: &str,
        arguments: &[u8],
    ) -> Address {
        let data = [contracts.code(name), arguments].concat();
        let transaction = self.send(key, None, data);
        let contract = transaction.created(&key.address());
        assert!(
            !self.rpc.code(&contract).expect("code").is_empty(),
            "{name}"
        );
        contract
    }

    /// Sends a transaction, and waits for its block.
    ///
    /// # Panics
    /// If it is refused or fails.
    pub fn send(&self, key: &AccountKey, to: Option<Address>, data: Vec<u8>) -> Transaction {
        let account = key.address();
        let rpc = &self.rpc;
        let gas = rpc.estimate(&account, to.as_ref(), &data).expect("gas");
        let fees = rpc.fees().expect("fees");
        let transaction = Transaction {
            chain: CHAIN,
            nonce: rpc.nonce(&account, At::Latest).expect("a nonce"),
            tip: fees.tip,
            fee_max: 2 * fees.base + fees.tip,
            gas: gas + gas / 10,
            to,
            data,
        };
        let signed = transaction.sign(key).expect("a key");
        rpc.send(&signed.bytes).expect("taken");
        let began = Instant::now();
        let receipt = loop {
            match rpc.receipt(&signed.hash).expect("an answer") {
                Some(receipt) => break receipt,
                None if began.elapsed() > WITHIN => panic!("in no block"),
                None => std::thread::sleep(Duration::from_millis(20)),
            }
        };
        assert!(receipt.succeeded, "{receipt:?}");
        transaction
    }
}

impl Drop for Anvil {
    fn drop(&mut self) {
        // One that has ended already is ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The key of an account for tests.
///
/// # Panics
/// If the byte is zero.
#[must_use]
pub fn key(byte: u8) -> AccountKey {
    AccountKey::from_bytes(&Zeroizing::new([byte; 32])).expect("a key")
}

/// The program for this machine.
fn program(installed: &Path) -> Result<PathBuf, String> {
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => return Err(format!("no anvil for {other}")),
    };
    let package = format!("node_modules/@foundry-rs/anvil-linux-{architecture}");
    let program = installed.join(package).join("bin/anvil");
    if program.is_file() {
        Ok(program)
    } else {
        Err(format!("npm has no anvil for {architecture}"))
    }
}
