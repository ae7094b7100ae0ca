//! The whole circle of a bridge: tokens of a zApp's ledger are locked, an attested message mints
//! them on the chain, they are burned there, and what its watchers saw releases them. The steps are
//! those of the real zApps on both engines; the second group key signs their statements.

use attestation::codec::Layout;
use attestation::ids::ZappId;
use attestation::leaf::Status;
use attestation::tags;
use evm::abi::{Value, call, encode, number};
use evm::chain::{ANYONE, Account, Answer, CHAIN_ID, Chain as Evm};
use evm::committee::Committee;
use evm::leaf::{Message, padded};
use evm::step::{attested, calldata, included};
use sha3::{Digest as _, Sha3_256};

use crate::contracts;
use crate::harness::{Chain, key};
use crate::world::{GAS_MAX, GUARDIAN, PAUSE, done, terms_of};

const ALICE: Account = [0xa1; 20];
/// Holds tokens of the ledger, and fetches what was burned for its address.
const HOLDER: u8 = 1;
const WATCHERS: [u8; 2] = [11, 12];
/// What the steps deploy with.
const SALT: [u8; 32] = [1; 32];

/// A zApp's id follows from its owner and salt, and its channel from that: the contract can trust
/// both before the zApp is there, and the zApp name the contract.
#[test]
fn tokens_go_to_the_chain_and_back() {
    let Some(artifacts) = contracts() else {
        return;
    };
    let mut evm = Evm::new(artifacts);
    let mut committee = Committee::new(1);
    let mut chain = Chain::new();
    let ledger = chain.deploy(key(HOLDER), "ledger");
    let identity = (chain.params().network, chain.params().committee);
    let acceptor = [
        terms_of(&committee, GUARDIAN, identity),
        vec![number(GAS_MAX)],
    ]
    .concat();
    let acceptor = evm.deploy("MessageAcceptor", &encode(&acceptor)).unwrap();

    let zapp = Layout::new(tags::ZAPP)
        .fixed(key(2).as_bytes())
        .fixed(&SALT)
        .digest();
    let zapp = ZappId::from_bytes(*zapp.as_bytes());
    let destination = (CHAIN_ID, &padded(acceptor));
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
    let bridge = evm.deploy("Bridge", &encode(&bridge)).unwrap();
    let Answer::Returned(token) = evm.view(bridge, &call("TOKEN()", &[])).answer else {
        panic!("a view answers");
    };
    let token: Account = token[12..].try_into().unwrap();
    let balance = |evm: &mut Evm<'_>| {
        let data = call("balanceOf(address)", &[Value::Word(padded(ALICE))]);
        evm.number(token, &data)
    };

    let watchers: Vec<u8> = WATCHERS
        .iter()
        .flat_map(|byte| *key(*byte).as_bytes())
        .collect();
    let init = [
        ledger.as_bytes().as_slice(),
        &CHAIN_ID.to_be_bytes(),
        &acceptor,
        &bridge,
        &300_000u64.to_be_bytes(),
        &[2],
        &2u16.to_be_bytes(),
        &watchers,
    ]
    .concat();
    chain.set_time(evm.now() * 1000);
    let (id, deployed) = chain.try_deploy(key(2), "bridge", &init);
    assert_eq!(deployed.status, Status::Ok, "{deployed:?}");
    assert_eq!(id, zapp);

    // Lock, and take the message out of the attested step.
    let amount = 700u128.to_be_bytes();
    let mint = [key(HOLDER).as_bytes().as_slice(), &amount].concat();
    let approve = [zapp.as_bytes().as_slice(), &amount].concat();
    let lock = [amount.as_slice(), &ALICE].concat();
    for (to, method, input) in [
        (ledger, "mint", &mint),
        (ledger, "approve", &approve),
        (zapp, "lock", &lock),
    ] {
        let outcome = chain.call(key(HOLDER), to, method, input);
        assert_eq!(outcome.status, Status::Ok, "{method}: {outcome:?}");
    }
    let step = chain.last();
    assert_eq!(step.leaves.len(), 3, "settlement, output, message");
    let message = Message::from_bytes(&step.leaves[2]).unwrap();
    assert_eq!(message.channel, channel);

    // Deliver: the message is no other than the step's, and is taken once.
    let attestation = attested(&mut committee, &step.commit, &step.root);
    let inclusion = included(&step.leaves, 2);
    let deliver = calldata("deliver", &attestation, &inclusion);
    assert_eq!(evm.send(ANYONE, acceptor, &deliver).answer, done());
    assert_eq!(balance(&mut evm), 700);
    let again = evm.send(ANYONE, acceptor, &deliver).answer;
    assert!(
        matches!(&again, Answer::Refused(why) if why.starts_with("OutOfOrder")),
        "{again:?}"
    );
    let output = calldata("deliver", &attestation, &included(&step.leaves, 1));
    let output = evm.send(ANYONE, acceptor, &output).answer;
    assert!(
        matches!(&output, Answer::Refused(why) if why.starts_with("WrongKind")),
        "{output:?}"
    );

    // Burn for the holder's NoM address; watchers tell; the holder fetches.
    let mut home = [0; 32];
    home[1..20].copy_from_slice(&Sha3_256::digest(key(HOLDER).as_bytes())[..19]);
    let burn = call("burn(bytes20,uint256)", &[Value::Word(home), number(450)]);
    let receipt = evm.send(ALICE, bridge, &burn);
    assert_eq!(balance(&mut evm), 250);
    let told = receipt.events.last().unwrap();
    let burn_number = &told.topics[1][24..];
    assert_eq!(
        (&told.topics[3], &told.data[..]),
        (&home, &evm::abi::word(450)[..])
    );
    let seen = [burn_number, &home[..20], &450u128.to_be_bytes()].concat();
    for watcher in WATCHERS {
        let outcome = chain.call(key(watcher), zapp, "burned", &seen);
        assert_eq!(outcome.status, Status::Ok, "{outcome:?}");
    }
    let fetched = chain.call(key(HOLDER), zapp, "fetch", &[]);
    assert_eq!(fetched.output, 450u128.to_be_bytes());
    let home_balance = chain.view(ledger, "balance", key(HOLDER).as_bytes());
    assert_eq!(home_balance, 450u128.to_be_bytes());
    assert_eq!(chain.view(zapp, "locked", &[]), 250u128.to_be_bytes());
}
