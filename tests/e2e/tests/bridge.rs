//! The whole circle of a bridge over two real chains: a committee of processes between the Zenon node
//! and an EVM node. Each member asks both; the bridge zApp, its contract and the relay are the real ones.

#![allow(
    clippy::indexing_slicing,
    reason = "a test may panic on the shape of what it is told"
)]

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use attestation::ids::{EvmKey, GroupKey, ZappId};
use attestation::leaf::MessageLeaf;
use conformance::outside;
use devnet::{Account, Key, Network, ZNN, token};
use e2e::{Running, wait_for};
use evm::abi::{Value as Word, call, encode, number, word};
use evm::anvil::{self, Anvil, CHAIN, ETHER};
use evm::compiler::Contracts;
use evm::leaf::padded;
use evm_client::rpc::text;
use evm_client::transaction::Address as EvmAddress;
use nom::{Address, Amount};
use serde_json::Value;
use signer_protocol::suite::Affine;

/// Holds what is minted; its key there has this byte.
const ALICE: u8 = 0xa1;
/// Deploys contracts and pays the relay's fees.
const DEPLOYER: u8 = 0xd1;
/// Rights of the contracts that nobody uses here.
const NOBODY: Word = Word::Word([0; 32]);

/// Both chains and the contracts' code; `None`, with the line that counts as a skip, where they cannot
/// be had.
fn outside() -> Option<(Arc<Network>, Anvil, Contracts)> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let parts = devnet::build(folder).and_then(|znnd| {
        let contracts = Contracts::compile(folder)?;
        let anvil = Anvil::start(folder)?;
        let network = Network::start(&znnd).map_err(|error| error.to_string())?;
        Ok((Arc::new(network), anvil, contracts))
    });
    let skipped = |reason: &String| outside::skip("a bridge between two real chains", reason);
    parts.inspect_err(skipped).ok()
}

/// The committee, with both chains.
struct Bridge {
    running: Running,
    network: Arc<Network>,
    anvil: Anvil,
    zapp: ZappId,
    acceptor: EvmAddress,
    contract: EvmAddress,
    token: EvmAddress,
}

impl Bridge {
    /// A committee whose members look at both chains, the contracts, and the zApp with the committee's
    /// account open.
    fn open((network, anvil, contracts): (Arc<Network>, Anvil, Contracts)) -> Self {
        let mut running = Running::prepare_for_evm().expect("programs");
        for member in running.committee.members() {
            let rules = format!(
                "[[observe.evm]]\nchain = {CHAIN}\nrpc = '{}'\nconfirmations = 1\n",
                anvil.url()
            );
            fs::write(member.dir.join("node.toml"), rules).expect("written");
        }
        let url = network.client().url().to_owned();
        let nom = ["--nom-rpc", url.as_str(), "--nom-confirmations", "1"];
        running
            .start_with(&[1, 2, 3, 4, 5], &nom)
            .expect("a committee with its key");
        let key = wait_for("the second key", || {
            let committee = running.committee.committee_json(1).ok()?;
            let key = committee.pointer("/evm/key")?.as_str()?;
            key.parse::<EvmKey>().ok()
        });
        let Affine { x, y } = Affine::decompress(key.expect("a key").as_bytes()).expect("a point");

        for byte in [ALICE, DEPLOYER] {
            anvil.fund(&anvil::key(byte).address(), 10 * ETHER);
        }
        let deployer = anvil::key(DEPLOYER);
        let record = running.committee.record();
        let terms = encode(&[
            number(record.network.0),
            Word::Word(*record.id().as_bytes()),
            Word::Word(x),
            Word::Word(y),
            NOBODY,
            number(86_400),
            number(86_400),
            number(1_000_000),
        ]);
        let acceptor = anvil.deploy(&deployer, &contracts, "MessageAcceptor", &terms);
        let wasm = fs::read(bridge_module()).expect("run `cargo xtask zapps` first");
        let module = running.upload(1, &wasm).expect("stored");
        let zapp = running.zapp(module);
        let committee = running.committee.record().id();
        let channel = MessageLeaf::channel(&committee, &zapp, (CHAIN, &padded(acceptor)), b"mint");
        let terms = encode(&[
            Word::Word(padded(acceptor)),
            Word::Word(*zapp.as_bytes()),
            Word::Word(*channel.as_bytes()),
            NOBODY,
            number(0),
            number(1_000),
            number(0),
            Word::Bytes(b"Wrapped ZNN".to_vec()),
            Word::Bytes(b"wZNN".to_vec()),
        ]);
        let contract = anvil.deploy(&deployer, &contracts, "Bridge", &terms);
        let at = anvil.rpc().view(&contract, &call("TOKEN()", &[]));
        let at = at.expect("a view").split_off(12);

        let init = [
            token(ZNN).as_bytes().as_slice(),
            &CHAIN.to_be_bytes(),
            &acceptor,
            &contract,
            &300_000u64.to_be_bytes(),
        ]
        .concat();
        let deployed = running.deploy_module(1, module, init).expect("attested");
        assert_eq!(deployed, zapp);
        Self {
            running,
            network,
            anvil,
            zapp,
            acceptor,
            contract,
            token: at.try_into().expect("an address"),
        }
    }

    /// The address of the committee on the Network of Momentum, once its account is open.
    fn account(&self) -> Address {
        let committee = self.running.committee.committee_json(1).expect("a node");
        let key: GroupKey = committee["group_key"]
            .as_str()
            .and_then(|key| key.parse().ok())
            .expect("a key");
        let address = Address::from_key(key.as_bytes());
        let open = wait_for("the committee's account", || {
            let http = self.running.committee.http(1).ok()?;
            let account = http.get("/v1/nom").ok()?;
            let found = account.pointer("/account/address")?.as_str()? == address.to_string();
            found.then_some(())
        });
        open.expect("open");
        address
    }

    fn zq(&self, arguments: &[&str]) -> (Value, Option<i32>) {
        let all = [&["--json"], arguments].concat();
        let (printed, code) = self.running.zq(1, &all).expect("zq runs");
        let value = serde_json::from_str(printed.lines().next().unwrap_or_default());
        (value.expect("JSON"), code)
    }

    /// What the zApp keeps, as JSON writes it.
    fn locked(&self) -> String {
        let zapp = self.zapp.to_string();
        let (view, _) = self.zq(&["zapp", "view", &zapp, "locked"]);
        view["value"].to_string().replace('"', "")
    }

    fn minted(&self, of: &EvmAddress) -> Vec<u8> {
        let data = call("balanceOf(address)", &[Word::Word(padded(*of))]);
        self.anvil.rpc().view(&self.token, &data).expect("a view")
    }

    /// Brings what waits to the chain; how many leaves were brought.
    fn relay(&self, key: &str) -> Value {
        let (rpc, acceptor) = (self.anvil.url().to_owned(), text(&self.acceptor));
        let chain = CHAIN.to_string();
        let mut arguments = vec!["relay", "evm", "--rpc", &rpc, "--once", "--chain", &chain];
        arguments.extend(["--messages", &acceptor, "--key", key]);
        let (told, code) = self.zq(&arguments);
        assert_eq!(code, Some(0), "{told}");
        told["leaves_brought"].clone()
    }

    /// Asks for burn 1 to be paid out, and has members look at what the contract says of burn `seen`.
    fn release(&self, key: &str, seen: u64) -> (Value, Option<i32>) {
        let data = hex::encode(call("burnOf(uint64)", &[number(seen)]));
        let source = format!("identical:evm:{CHAIN}:{}:{data}", text(&self.contract));
        let zapp = self.zapp.to_string();
        let mut arguments = vec!["zapp", "call", &zapp, "release", "number=1"];
        arguments.extend(["--source", &source, "--key", key, "--payer", "caller"]);
        self.zq(&arguments)
    }

    /// The same where it is attested that it cannot be.
    fn reverts(&self, key: &str, seen: u64, why: &str) {
        let (told, code) = self.release(key, seen);
        assert_eq!(code, Some(1), "{told}");
        let revert = told["revert"].as_str().unwrap_or_default();
        assert!(revert.starts_with(why), "{told}");
    }
}

fn bridge_module() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/zapps/bridge.wasm")
}

#[test]
fn what_is_sent_on_the_zenon_node_is_minted_on_an_evm_node_and_what_is_burned_there_is_paid_out() {
    let Some(outside) = outside() else {
        return;
    };
    let bridge = Bridge::open(outside);
    let key = bridge.running.dir().join("caller.key");
    let key = key.to_str().expect("UTF-8");
    let (made, code) = bridge.zq(&["key", "new", key]);
    assert_eq!(code, Some(0), "{made}");
    let payer = bridge.running.dir().join("relay.key");
    let payer = payer.to_str().expect("UTF-8");
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(payer)
        .expect("writable");
    writeln!(file, "{}", hex::encode([DEPLOYER; 32])).expect("written");

    // Sent on one chain, with the recipient on the other as its data.
    let account = bridge.account();
    let mut user = Account::new(&bridge.network, Key::user(0));
    user.fuse(&account, 500 * 100_000_000).expect("plasma");
    let alice = anvil::key(ALICE);
    let data = [bridge.zapp.as_bytes().as_slice(), &alice.address()].concat();
    let draft = user.place().expect("a place");
    let draft = draft.send(account, token(ZNN), Amount::from(700), data);
    let sent = user.sign(draft).expect("a block");
    user.publish(&sent, 1).expect("confirmed");
    wait_for("the deposit in a step", || {
        (bridge.locked() == "700").then_some(())
    })
    .expect("kept");

    // Minted on the other.
    wait_for("the mint", || (bridge.relay(payer) == 1).then_some(())).expect("brought");
    assert_eq!(bridge.minted(&alice.address()), word(700));

    // Burned there for an address here. Before it is, nobody gets anything; the source must be the
    // burn's own.
    bridge.reverts(key, 1, "NotBurned");
    let home = Address::from_key(&[0x77; 32]);
    let mut to = [0; 32];
    to[..20].copy_from_slice(home.as_bytes());
    let burn = call("burn(bytes20,uint256)", &[Word::Word(to), number(450)]);
    bridge.anvil.send(&alice, Some(bridge.contract), burn);
    assert_eq!(bridge.minted(&alice.address()), word(250));
    // One block more makes it final for these members.
    bridge.anvil.pass(1);
    bridge.reverts(key, 2, "OtherSource");
    let (released, code) = bridge.release(key, 1);
    assert_eq!(code, Some(0), "{released}");
    bridge.reverts(key, 1, "Known");
    assert_eq!(bridge.locked(), "250");

    // Paid out here, confirmed.
    let client = bridge.network.client();
    let paid = wait_for("the payout in a momentum", || {
        let waiting = client.unreceived(&home, 0).ok()?;
        waiting.into_iter().find(|held| held.momentum.is_some())
    });
    let paid = paid.expect("confirmed").block;
    assert_eq!(paid.header.address, account);
    assert_eq!(paid.header.amount, Amount::from(450));
    assert_eq!(paid.header.token_standard, token(ZNN));
    let held = client.account(&account).expect("an account").balances;
    assert_eq!(held.get(&token(ZNN)), Some(&Amount::from(250)));
}
