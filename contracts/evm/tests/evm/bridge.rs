//! The sample bridge, behind a message acceptor and a committee.

use attestation::ids::Digest;
use conformance::sample;
use evm::abi::{Value, call, encode, number, word};
use evm::chain::{ANYONE, Account, Answer, Receipt};
use evm::leaf::padded;
use serde_json::{Value as Json, json};

use crate::world::{GUARDIAN, PAUSE, World, channel, done, refused};

const ALICE: Account = [0xa1; 20];
const BURST: u64 = 1_000;
const PER_SECOND: u64 = 2;

/// What a deposit came to.
const WAITING: u64 = 1;
const MINTED: u64 = 2;
const RETURNED: u64 = 3;

struct Bridge {
    world: World,
    at: Account,
    token: Account,
    messages: u64,
}

#[derive(Clone)]
struct Mint {
    recipient: Account,
    amount: [u8; 32],
    expiry: u64,
    deposit: [u8; 32],
}

impl Mint {
    fn payload(&self) -> Vec<u8> {
        let mut out = vec![1];
        out.extend_from_slice(&self.recipient);
        out.extend_from_slice(&self.amount);
        out.extend_from_slice(&self.expiry.to_be_bytes());
        out.extend_from_slice(&self.deposit);
        out
    }
}

impl Bridge {
    fn new() -> Option<Self> {
        let mut world = World::new()?;
        let terms = [
            Value::Word(padded(world.acceptor)),
            Value::Word(*sample::zapp().as_bytes()),
            Value::Word(channel()),
            Value::Word(padded(GUARDIAN)),
            number(PAUSE),
            number(BURST),
            number(PER_SECOND),
            Value::Bytes(b"Wrapped QSR".to_vec()),
            Value::Bytes(b"wQSR".to_vec()),
        ];
        let at = world.chain.deploy("Bridge", &encode(&terms)).unwrap();
        let Answer::Returned(token) = world.chain.view(at, &call("TOKEN()", &[])).answer else {
            panic!("a view answers");
        };
        world.receiver = at;
        Some(Self {
            world,
            at,
            token: token[12..].try_into().unwrap(),
            messages: 0,
        })
    }

    fn mint(&self, name: &str, amount: u64) -> Mint {
        Mint {
            recipient: ALICE,
            amount: word(amount),
            expiry: self.world.chain.now() + 10_000,
            deposit: sample::digest(name),
        }
    }

    /// Delivers a mint; the outcome that the acceptor records.
    fn told(&mut self, mint: &Mint) -> u64 {
        self.tell(&mint.payload());
        self.world.outcome(self.messages)
    }

    fn tell(&mut self, payload: &[u8]) -> Receipt {
        self.messages += 1;
        let message = self.world.message(self.messages, self.messages, payload);
        let receipt = self.world.deliver(&message);
        assert_eq!(receipt.answer, done());
        receipt
    }

    fn state(&mut self, mint: &Mint) -> u64 {
        let data = call("stateOf(bytes32)", &[Value::Word(mint.deposit)]);
        self.world.chain.number(self.at, &data)
    }

    fn settle(&mut self, mint: &Mint) -> Answer {
        let data = call("settle(bytes32)", &[Value::Word(mint.deposit)]);
        self.world.chain.send(ANYONE, self.at, &data).answer
    }

    fn burn(&mut self, from: Account, to: u8, amount: u64) -> Receipt {
        let mut address = [0; 32];
        address[..20].fill(to);
        let arguments = [Value::Word(address), number(amount)];
        let data = call("burn(bytes20,uint256)", &arguments);
        self.world.chain.send(from, self.at, &data)
    }

    fn balance(&mut self, of: Account) -> u64 {
        let data = call("balanceOf(address)", &[Value::Word(padded(of))]);
        self.world.chain.number(self.token, &data)
    }

    fn supply(&mut self) -> u64 {
        self.world
            .chain
            .number(self.token, &call("totalSupply()", &[]))
    }

    fn order(&mut self, from: Account, signature: &str) -> Answer {
        let data = call(signature, &[]);
        self.world.chain.send(from, self.at, &data).answer
    }

    fn on_token(&mut self, from: Account, signature: &str, to: Account, value: u64) -> Answer {
        let data = call(signature, &[Value::Word(padded(to)), number(value)]);
        self.world.chain.send(from, self.token, &data).answer
    }
}

#[test]
fn what_was_locked_is_minted_and_what_is_burned_is_told_once_per_number() {
    let Some(mut bridge) = Bridge::new() else {
        return;
    };
    let mint = bridge.mint("deposit", 700);
    assert_eq!((bridge.told(&mint), bridge.state(&mint)), (1, MINTED));
    assert_eq!((bridge.balance(ALICE), bridge.supply()), (700, 700));
    for (place, amount) in [(1, 300), (2, 400)] {
        let receipt = bridge.burn(ALICE, 0x7a, amount);
        assert_eq!(receipt.answer, done());
        let event = receipt.events.last().unwrap();
        assert_eq!(event.topics[1..3], [word(place), padded(ALICE)]);
        assert_eq!(event.topics[3][..20], [0x7a; 20]);
        assert_eq!(event.data, word(amount));
    }
    assert_eq!((bridge.balance(ALICE), bridge.supply()), (0, 0));
    let poor = bridge.burn(ALICE, 0x7a, 1).answer;
    assert_eq!(poor, refused("Insufficient(0,1)"));
    assert_eq!(bridge.burn(ALICE, 0, 1).answer, refused("EmptyBurn()"));
    assert_eq!(bridge.burn(ALICE, 1, 0).answer, refused("EmptyBurn()"));
    // The same deposit told again, under a number of its own, is a failure and mints nothing.
    assert_eq!(bridge.told(&mint), 2);
    assert_eq!(bridge.supply(), 0);
}

#[test]
fn nobody_but_the_committees_zapp_in_its_channel_mints() {
    let Some(mut bridge) = Bridge::new() else {
        return;
    };
    let mint = bridge.mint("deposit", 5);
    let arguments = [
        Value::Word(*sample::zapp().as_bytes()),
        Value::Word(channel()),
        number(1),
        Value::Bytes(mint.payload()),
    ];
    let direct = call("onMessage(bytes32,bytes32,uint64,bytes)", &arguments);
    let answer = bridge.world.chain.send(ANYONE, bridge.at, &direct).answer;
    assert_eq!(answer, refused("NotAcceptor()"));
    for part in 0..2 {
        let mut message = bridge.world.message(1, 1, &mint.payload());
        match part {
            0 => message.zapp = attestation::ids::ZappId::from_bytes([1; 32]),
            _ => message.channel = Digest::from_bytes(sample::digest("another")),
        }
        let receipt = bridge.world.deliver(&message);
        assert_eq!(receipt.answer, done());
        let outcome = &receipt.events.last().unwrap().data[32..64];
        assert_eq!(outcome, word(2), "reverted");
    }
    for (from, what) in [
        (ANYONE, "mint(address,uint256)"),
        (ALICE, "burn(address,uint256)"),
    ] {
        let answer = bridge.on_token(from, what, ALICE, 1);
        assert_eq!(answer, refused("NotBridge()"));
    }
    bridge.messages = 1;
    let mut wrong = [mint.payload(), mint.payload(), mint.payload()];
    wrong[0].push(0);
    wrong[1].truncate(92);
    wrong[2][0] = 2;
    for payload in wrong {
        bridge.tell(&payload);
        assert_eq!(bridge.world.outcome(bridge.messages), 2);
    }
    assert_eq!((bridge.supply(), bridge.state(&mint)), (0, 0));
}

#[test]
fn the_rate_limit_makes_mints_wait_and_loses_none() {
    let Some(mut bridge) = Bridge::new() else {
        return;
    };
    let (first, second) = (bridge.mint("first", BURST), bridge.mint("second", 300));
    let too_much = bridge.mint("too much", BURST + 1);
    assert_eq!((bridge.told(&first), bridge.state(&first)), (1, MINTED));
    assert_eq!((bridge.told(&second), bridge.state(&second)), (1, WAITING));
    assert_eq!(
        (bridge.told(&too_much), bridge.state(&too_much)),
        (1, RETURNED)
    );
    assert_eq!(bridge.settle(&second), refused("RateLimited(0,300)"));
    bridge.world.chain.pass(149);
    assert_eq!(bridge.settle(&second), refused("RateLimited(298,300)"));
    bridge.world.chain.pass(1);
    assert_eq!(bridge.settle(&second), done());
    assert_eq!(
        (bridge.state(&second), bridge.balance(ALICE)),
        (MINTED, BURST + 300)
    );
    assert_eq!(bridge.settle(&second).error(), "NotWaiting");
    assert_eq!(bridge.settle(&first).error(), "NotWaiting");
    assert_eq!(bridge.told(&second), 2, "told again");
    // What may be minted grows to the burst and no further.
    bridge.world.chain.pass(100_000);
    let room = bridge.world.chain.number(bridge.at, &call("room()", &[]));
    assert_eq!(room, BURST);
    let third = bridge.mint("third", BURST - 1);
    assert_eq!((bridge.told(&third), bridge.state(&third)), (1, MINTED));
    let fourth = bridge.mint("fourth", 2);
    assert_eq!((bridge.told(&fourth), bridge.state(&fourth)), (1, WAITING));
}

#[test]
fn what_expires_or_cannot_be_minted_is_given_back() {
    let Some(mut bridge) = Bridge::new() else {
        return;
    };
    let mut late = bridge.mint("late", 5);
    late.expiry = bridge.world.chain.now() - 1;
    let mut in_time = bridge.mint("in time", 5);
    in_time.expiry = bridge.world.chain.now();
    let mut nobody = bridge.mint("nobody", 5);
    nobody.recipient = [0; 20];
    let mut endless = bridge.mint("endless", 5);
    endless.amount = [0xff; 32];
    for (mint, state) in [
        (&late, RETURNED),
        (&in_time, MINTED),
        (&nobody, RETURNED),
        (&endless, RETURNED),
    ] {
        assert_eq!((bridge.told(mint), bridge.state(mint)), (1, state));
    }
    let full = bridge.mint("full", BURST);
    assert_eq!((bridge.told(&full), bridge.state(&full)), (1, WAITING));
    bridge.world.chain.pass(10_001);
    assert_eq!(bridge.settle(&full), done());
    assert_eq!((bridge.state(&full), bridge.supply()), (RETURNED, 5));
    assert_eq!(bridge.settle(&full).error(), "NotWaiting");
}

#[test]
fn a_pause_makes_mints_wait_and_refuses_burns() {
    let Some(mut bridge) = Bridge::new() else {
        return;
    };
    let before = bridge.mint("before", 10);
    assert_eq!((bridge.told(&before), bridge.state(&before)), (1, MINTED));
    for order in ["pause()", "resume()"] {
        assert_eq!(bridge.order(ANYONE, order), refused("NotGuardian()"));
    }
    assert_eq!(bridge.order(GUARDIAN, "pause()"), done());
    let mut within = bridge.mint("within", 10);
    within.expiry += 2 * PAUSE;
    assert_eq!((bridge.told(&within), bridge.state(&within)), (1, WAITING));
    assert_eq!(bridge.settle(&within).error(), "Paused");
    assert_eq!(bridge.burn(ALICE, 1, 1).answer.error(), "Paused");
    // An expired deposit is given back within a pause, too.
    let soon = bridge.mint("soon", 10);
    assert_eq!((bridge.told(&soon), bridge.state(&soon)), (1, WAITING));
    bridge.world.chain.pass(PAUSE - 1);
    assert_eq!(bridge.settle(&soon), done());
    assert_eq!(bridge.state(&soon), RETURNED);
    assert_eq!(bridge.settle(&within).error(), "Paused");
    bridge.world.chain.pass(1);
    assert_eq!(bridge.settle(&within), done());
    assert_eq!(bridge.order(GUARDIAN, "pause()"), done());
    assert_eq!(bridge.order(GUARDIAN, "resume()"), done());
    assert_eq!(bridge.burn(ALICE, 1, 20).answer, done());
}

#[test]
fn the_token_moves_as_its_owners_say() {
    const BOB: Account = [0xb0; 20];
    let Some(mut bridge) = Bridge::new() else {
        return;
    };
    let mint = bridge.mint("deposit", 100);
    assert_eq!(bridge.told(&mint), 1);
    let yes = Answer::Returned(word(1).to_vec());
    let transfer = "transfer(address,uint256)";
    assert_eq!(bridge.on_token(ALICE, transfer, BOB, 30), yes);
    assert_eq!(
        bridge.on_token(BOB, transfer, ALICE, 31),
        refused("Insufficient(30,31)")
    );
    assert_eq!(
        bridge.on_token(BOB, transfer, [0; 20], 1),
        refused("ToNobody()")
    );
    let from_alice = |bridge: &mut Bridge, value| {
        let arguments = [
            Value::Word(padded(ALICE)),
            Value::Word(padded(BOB)),
            number(value),
        ];
        let data = call("transferFrom(address,address,uint256)", &arguments);
        bridge.world.chain.send(BOB, bridge.token, &data).answer
    };
    assert_eq!(from_alice(&mut bridge, 1), refused("Insufficient(0,1)"));
    assert_eq!(
        bridge.on_token(ALICE, "approve(address,uint256)", BOB, 50),
        yes
    );
    assert_eq!(from_alice(&mut bridge, 40), yes);
    assert_eq!(from_alice(&mut bridge, 11), refused("Insufficient(10,11)"));
    assert_eq!((bridge.balance(ALICE), bridge.balance(BOB)), (30, 70));
    assert_eq!(bridge.supply(), 100);
}

/// What a mint and a burn cost.
pub fn gas() -> Json {
    let mut bridge = Bridge::new().unwrap();
    let (first, next) = (bridge.mint("first", 10), bridge.mint("next", 10));
    let [first, next] = [first, next].map(|mint| bridge.tell(&mint.payload()).gas);
    let burn = bridge.burn(ALICE, 1, 5).gas;
    json!({
        "mint to a new holder, 2 leaves": first,
        "mint to a holder, 2 leaves": next,
        "burn": burn,
    })
}
