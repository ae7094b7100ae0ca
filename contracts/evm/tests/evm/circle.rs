//! The whole circle of a bridge: a deposit on the Network of Momentum is kept, an attested message mints
//! as much on the chain, it is burned there, and what members see of that pays it out. The steps are
//! those of the real zApp on both engines; the second group key signs their statements.

use attestation::codec::Layout;
use attestation::ids::{EvmAddress, ZappId};
use attestation::leaf::Status;
use attestation::source::{Observed, Place, Reducer, Source};
use attestation::tags;
use evm::abi::{Value, call, encode, number};
use evm::anvil::{self, Anvil};
use evm::chain::{ANYONE, Account, Answer, CHAIN_ID, Chain as Evm, Event};
use evm::committee::Committee;
use evm::compiler::Contracts;
use evm::leaf::{Message, padded};
use evm::step::{attested, calldata, included};
use evm_client::relay::{Done, Relay};
use evm_client::rpc::{Rpc, bytes_of, text};
use nom::Amount;
use serde_bytes::ByteBuf;
use serde_json::json;
use state::step::StepOutcome;
use state::system::nom::Taken;

use crate::contracts;
use crate::harness::deposits::address;
use crate::harness::{Chain, key};
use crate::relayed;
use crate::steps::Steps;
use crate::world::{GAS_MAX, GUARDIAN, PAUSE, done, terms_of};

/// Gets tokens on the chain; her key there has this byte.
const ALICE: u8 = 0xa1;
/// Whoever deploys on a real node.
const DEPLOYER: u8 = 0xd1;
/// Deposits on the Network of Momentum.
const USER: u8 = 9;
const TOKEN: [u8; 10] = [7; 10];
/// What the steps deploy with.
const SALT: [u8; 32] = [1; 32];

/// A chain that the tokens go to.
trait Away {
    fn id(&self) -> u64;
    fn now(&self) -> u64;
    fn deploy(&mut self, name: &str, arguments: &[u8]) -> Account;
    fn view(&mut self, to: Account, data: &[u8]) -> Vec<u8>;
    /// Brings the messages of a step, once.
    fn bring(&mut self, acceptor: Account, committee: Committee, step: &StepOutcome);
    /// Calls a contract as Alice; its last event.
    fn by_alice(&mut self, to: Account, data: &[u8]) -> Event;
}

fn alice() -> Account {
    anvil::key(ALICE).address()
}

/// In memory.
impl Away for Evm<'_> {
    fn id(&self) -> u64 {
        CHAIN_ID
    }

    fn now(&self) -> u64 {
        self.now()
    }

    fn deploy(&mut self, name: &str, arguments: &[u8]) -> Account {
        self.deploy(name, arguments).unwrap()
    }

    fn view(&mut self, to: Account, data: &[u8]) -> Vec<u8> {
        match self.view(to, data).answer {
            Answer::Returned(bytes) => bytes,
            other => panic!("a view answers: {other:?}"),
        }
    }

    /// The message is no other than the step's, and is taken once.
    fn bring(&mut self, acceptor: Account, mut committee: Committee, step: &StepOutcome) {
        let attestation = attested(&mut committee, &step.commit, &step.root);
        let mut deliver = |leaf| {
            let data = calldata("deliver", &attestation, &included(&step.leaves, leaf));
            self.send(ANYONE, acceptor, &data).answer
        };
        assert_eq!(deliver(2), done());
        assert_eq!(deliver(2).error(), "OutOfOrder");
        assert_eq!(deliver(1).error(), "WrongKind");
    }

    fn by_alice(&mut self, to: Account, data: &[u8]) -> Event {
        let receipt = self.send(alice(), to, data);
        receipt.events.last().unwrap().clone()
    }
}

/// A real node, and the relay.
struct Node<'a> {
    anvil: Anvil,
    contracts: &'a Contracts,
}

impl Away for Node<'_> {
    fn id(&self) -> u64 {
        anvil::CHAIN
    }

    fn now(&self) -> u64 {
        self.anvil.rpc().time().unwrap()
    }

    fn deploy(&mut self, name: &str, arguments: &[u8]) -> Account {
        let deployer = anvil::key(DEPLOYER);
        self.anvil
            .deploy(&deployer, self.contracts, name, arguments)
    }

    fn view(&mut self, to: Account, data: &[u8]) -> Vec<u8> {
        self.anvil.rpc().view(&to, data).unwrap()
    }

    fn bring(&mut self, acceptor: Account, committee: Committee, step: &StepOutcome) {
        let commit = step.commit;
        let mut steps = Steps::of(committee);
        steps
            .steps
            .insert(commit.seq.0, (commit, step.leaves.clone()));
        let mut target = steps.target(Some(acceptor), None);
        target.trust.network = commit.network.0;
        target.trust.committee = commit.committee;
        let rpc = Rpc::new(self.anvil.url()).unwrap();
        let payer = anvil::key(DEPLOYER);
        let relay = Relay::begin::<std::convert::Infallible>(rpc, payer, target, 1);
        let mut brought = Vec::new();
        let passed = relay
            .unwrap()
            .pass(&mut steps, &mut |done| brought.push(done));
        assert_eq!(passed.unwrap().head, commit.seq.0);
        let delivered =
            |done: &Done| matches!(done, Done::Message { outcome, .. } if *outcome == "delivered");
        assert!(
            brought.len() == 1 && brought.iter().all(delivered),
            "{brought:?}"
        );
    }

    fn by_alice(&mut self, to: Account, data: &[u8]) -> Event {
        let transaction = self.anvil.send(&anvil::key(ALICE), Some(to), data.to_vec());
        let hash = transaction.sign(&anvil::key(ALICE)).unwrap().hash;
        let rpc = self.anvil.rpc();
        let receipt = rpc.ask("eth_getTransactionReceipt", &json!([text(&hash)]));
        let receipt = receipt.unwrap();
        let event = receipt["logs"].as_array().unwrap().last().unwrap();
        let word = |value: &serde_json::Value| bytes_of(value.as_str().unwrap()).unwrap();
        let topics = event["topics"].as_array().unwrap().iter();
        Event {
            topics: topics
                .map(|topic| word(topic).try_into().unwrap())
                .collect(),
            data: word(&event["data"]),
        }
    }
}

#[test]
fn tokens_go_to_the_chain_and_back() {
    if let Some(artifacts) = contracts() {
        circle(&mut Evm::new(artifacts));
    }
}

#[test]
fn tokens_go_to_a_real_node_by_a_relay_and_back() {
    let (Some(contracts), Some(anvil)) = (contracts(), relayed::anvil()) else {
        return;
    };
    for byte in [ALICE, DEPLOYER] {
        anvil.fund(&anvil::key(byte).address(), 10 * anvil::ETHER);
    }
    circle(&mut Node { anvil, contracts });
}

/// A zApp's id follows from its owner and salt, and its channel from that: the contract can trust
/// both before the zApp is there, and the zApp name the contract.
fn circle(evm: &mut impl Away) {
    let committee = Committee::new(1);
    let mut chain = Chain::new();
    let identity = (chain.params().network, chain.params().committee);
    let acceptor = [
        terms_of(&committee, GUARDIAN, identity),
        vec![number(GAS_MAX)],
    ]
    .concat();
    let acceptor = evm.deploy("MessageAcceptor", &encode(&acceptor));

    let zapp = Layout::new(tags::ZAPP)
        .fixed(key(2).as_bytes())
        .fixed(&SALT)
        .digest();
    let zapp = ZappId::from_bytes(*zapp.as_bytes());
    let destination = (evm.id(), &padded(acceptor));
    let channel = Message::channel(&identity.1, &zapp, destination, b"mint");
    let bridge = [
        Value::Word(padded(acceptor)),
        Value::Word(*zapp.as_bytes()),
        Value::Word(*channel.as_bytes()),
        Value::Word(padded(GUARDIAN)),
        number(PAUSE),
        number(1_000),
        number(2),
        Value::Bytes(b"Wrapped token".to_vec()),
        Value::Bytes(b"wTOK".to_vec()),
    ];
    let bridge = evm.deploy("Bridge", &encode(&bridge));
    let token = evm.view(bridge, &call("TOKEN()", &[]));
    let token: Account = token[12..].try_into().unwrap();
    let balance = call("balanceOf(address)", &[Value::Word(padded(alice()))]);

    let init = [
        TOKEN.as_slice(),
        &evm.id().to_be_bytes(),
        &acceptor,
        &bridge,
        &300_000u64.to_be_bytes(),
    ]
    .concat();
    chain.set_time(evm.now() * 1000);
    let (id, deployed) = chain.try_deploy(key(2), "bridge", &init);
    assert_eq!(deployed.status, Status::Ok, "{deployed:?}");
    assert_eq!(id, zapp);

    // A deposit, and the message out of its attested step.
    let sent = (TOKEN, Amount::from(700));
    let (taken, _) = chain.deposit(USER, zapp, sent, &alice());
    assert_eq!(taken, Taken::Accepted);
    let step = chain.last();
    assert_eq!(step.leaves.len(), 3, "settlement, output, message");
    let message = Message::from_bytes(&step.leaves[2]).unwrap();
    assert_eq!(message.channel, channel);

    evm.bring(acceptor, committee, step);
    assert_eq!(evm.view(token, &balance), evm::abi::word(700));

    // Burned for somebody's address; whoever asks names what the members are to look at.
    let home = address(7);
    let mut word = [0; 32];
    word[..20].copy_from_slice(&home);
    let burn = call("burn(bytes20,uint256)", &[Value::Word(word), number(450)]);
    let told = evm.by_alice(bridge, &burn);
    assert_eq!(evm.view(token, &balance), evm::abi::word(250));
    assert_eq!(told.topics[1], evm::abi::word(1), "its number");
    let asked = call("burnOf(uint64)", &[number(1)]);
    let seen = Observed::Bytes(ByteBuf::from(evm.view(bridge, &asked)));
    let source = Source {
        at: Place::EvmCall {
            chain: evm.id(),
            contract: EvmAddress::from_bytes(bridge),
            data: hex::encode(asked),
        },
        pointer: String::new(),
        scale: None,
        reducer: Reducer::Identical,
    };
    chain.pull(vec![source], vec![vec![seen]; 4]);
    let released = chain.call(key(50), zapp, "release", &1u64.to_be_bytes());
    assert_eq!(released.status, Status::Ok, "{released:?}");
    assert_eq!(released.output, 450u128.to_be_bytes());
    let payout = (zapp, home, TOKEN, Amount::from(450));
    assert_eq!(chain.sends(), [payout]);
    assert_eq!(chain.view(zapp, "locked", &[]), 250u128.to_be_bytes());
}
