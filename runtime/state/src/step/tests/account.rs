//! The committee's account on the Network of Momentum.

mod orders;

use ::nom::work::{self, Payment};
use ::nom::{Address, Amount, Block, BlockType, Hash, MomentumRef, Place, Seal, TokenStandard};
use attestation::codec;
use attestation::ids::GroupKey;
use attestation::leaf::{BlockLeaf, Leaf, MessageLeaf};
use attestation::tags;
use ed25519_dalek::{Signer as _, SigningKey};

use super::*;
use crate::limits::SYSTEM_GAS;
use crate::system::Refusal;
use crate::system::nom::{
    ANCHOR, CONFIRM, Claim, Confirm, DEPOSIT, DEPOSIT_GAS, Deep, Deposit, FUSED_ISSUES_MAX, ISSUE,
    Issue, OPEN, ORDERS_MAX, Open, Order, Taken, WORKED_ISSUES_MAX, ZAPP_ORDERS_MAX, observed,
    opened, published,
};

/// The tests' committees are of network 3.
const NETWORK: u64 = 3;
const TOKEN: [u8; 10] = [7; 10];
const MOMENTUM: Digest = Digest::from_bytes([0x33; 32]);
/// Height of the momentum that confirms deposits.
const CONFIRMED_AT: u64 = 6;

fn group() -> GroupKey {
    GroupKey::from_bytes([0x55; 32])
}

pub(super) fn account() -> Address {
    Address::from_key(group().as_bytes())
}

fn sender() -> SigningKey {
    SigningKey::from_bytes(&[9; 32])
}

/// A send of the sender, with its data.
fn send(to: Address, amount: u128, data: &[u8], height: u64) -> Block {
    let key = sender();
    let place = Place {
        chain_identifier: NETWORK,
        address: Address::from_key(key.verifying_key().as_bytes()),
        height,
        previous_hash: Hash::from_bytes(if height == 1 { [0; 32] } else { [1; 32] }),
        momentum: MomentumRef {
            hash: Hash::from_bytes([2; 32]),
            height: 5,
        },
    };
    let token = TokenStandard::from_bytes(if amount == 0 { [0; 10] } else { TOKEN });
    let draft = place.send(to, token, Amount::from(amount), data.to_vec());
    let seal = Seal {
        public_key: key.verifying_key().to_bytes(),
        signature: key.sign(draft.hash().as_bytes()).to_bytes(),
    };
    draft.sealed(seal).expect("a sound block")
}

fn to_zapp(zapp: ZappId, amount: u128, script: &str, height: u64) -> Block {
    let data = [zapp.as_bytes().as_slice(), script.as_bytes()].concat();
    send(account(), amount, &data, height)
}

fn input_of(block: &Block) -> Vec<u8> {
    codec::encode(&Deposit {
        block: block.to_bytes().expect("short"),
        data: block.data.clone(),
        momentum_height: CONFIRMED_AT,
    })
}

fn issue(height: u64, fused_plasma: u64) -> Issue {
    Issue {
        momentum: MOMENTUM,
        momentum_height: height,
        fused_plasma,
        difficulty: 0,
        nonce: 0,
    }
}

impl Chain {
    /// With one zApp, and the account begun.
    fn with_account() -> (Self, ZappId) {
        let (mut chain, zapp) = Self::with_zapp();
        assert_eq!(
            chain.nom(OPEN, &codec::encode(&Open { key: group() })),
            Ok(Vec::new())
        );
        (chain, zapp)
    }

    /// A step of one request to the system zApp: its output, or why it is refused.
    fn nom(&mut self, method: &str, input: &[u8]) -> Result<Vec<u8>, Option<Refusal>> {
        let request = self.request(BOB, ZappId::SYSTEM, method, input);
        let outcome = self.step(vec![request]);
        let [done] = outcome.outcomes.as_slice() else {
            panic!("one request");
        };
        match done.status {
            Status::Ok => Ok(done.output.clone()),
            _ => Err(Refusal::from_code(done.code)),
        }
    }

    fn deposit(&mut self, block: &Block) -> Result<Vec<u8>, Option<Refusal>> {
        self.nom(DEPOSIT, &input_of(block))
    }

    /// Issues the next order's block: the leaf and the block's data.
    fn issue(&mut self, issue: &Issue) -> Result<(BlockLeaf, Vec<u8>), Option<Refusal>> {
        let request = self.request(BOB, ZappId::SYSTEM, ISSUE, &codec::encode(issue));
        let outcome = self.step(vec![request]);
        let done = &outcome.outcomes[0];
        let leaves = outcome.leaves.iter().filter_map(|leaf| {
            match Leaf::from_bytes(leaf).expect("a leaf") {
                Leaf::Block(block) => Some(block),
                _ => None,
            }
        });
        let blocks: Vec<BlockLeaf> = leaves.collect();
        if done.status == Status::Ok {
            assert_eq!(blocks.len(), 1);
            Ok((blocks[0], done.output.clone()))
        } else {
            assert_eq!(blocks, []);
            Err(Refusal::from_code(done.code))
        }
    }

    fn confirm(&mut self, leaf: &BlockLeaf) -> Result<Vec<u8>, Option<Refusal>> {
        self.nom(CONFIRM, &codec::encode(&confirmed(leaf)))
    }

    fn held(&self, zapp: &ZappId) -> Amount {
        Amount::from_bytes(self.state.nom_balance(zapp, &TOKEN).expect("whole"))
    }

    fn waiting(&self) -> u64 {
        let account = self.state.nom_account().expect("whole").expect("begun");
        account.end - account.first
    }
}

fn hash(leaf: &BlockLeaf) -> Hash {
    ::nom::sha3_256(&leaf.to_bytes()[BlockLeaf::HASHED_FROM..])
}

/// What tells of a block that it is confirmed.
fn confirmed(leaf: &BlockLeaf) -> Confirm {
    Confirm {
        block: Digest::from_bytes(*hash(leaf).as_bytes()),
        issue: Issue {
            momentum: Digest::from_bytes(leaf.momentum),
            momentum_height: leaf.momentum_height,
            fused_plasma: leaf.fused_plasma,
            difficulty: leaf.difficulty,
            nonce: u64::from_be_bytes(leaf.nonce),
        },
    }
}

fn taken(output: &[u8]) -> Taken {
    codec::decode(output, 100).expect("what became of it")
}

const ACCEPTED: fn(Taken) -> bool = |taken| taken == Taken::Accepted;

#[test]
fn a_deposit_is_received_and_what_its_zapp_pays_out_becomes_a_block_that_can_be_published() {
    let (mut chain, zapp) = Chain::with_account();
    let deposit = to_zapp(zapp, 700, "set level 3\npay 450 7 8", 1);
    let output = chain.deposit(&deposit).expect("a sound deposit");
    assert!(ACCEPTED(taken(&output)));
    assert_eq!(chain.value(&zapp, "level"), Some(b"3".as_slice()));
    assert_eq!(chain.held(&zapp), Amount::from(250));
    assert_eq!(chain.waiting(), 2);

    // First the receive, and nothing else until it is confirmed.
    let (receive, data) = chain.issue(&issue(10, 21_000)).expect("a block");
    assert_eq!(
        (receive.block_type, receive.height),
        (BlockLeaf::RECEIVE, 1)
    );
    assert_eq!(
        (receive.chain, receive.account),
        (NETWORK, *account().as_bytes())
    );
    assert_eq!(receive.source, *deposit.hash.as_bytes());
    assert!(data.is_empty());
    chain.confirm(&receive).expect("issued");

    let (payout, data) = chain.issue(&issue(10, 21_272)).expect("a block");
    assert_eq!((payout.block_type, payout.height), (BlockLeaf::SEND, 2));
    assert_eq!(payout.previous, *hash(&receive).as_bytes());
    let mut to = [8; 20];
    to[0] = 0;
    assert_eq!((payout.to, payout.token), (to, TOKEN));
    assert_eq!(payout.amount, *Amount::from(450).as_bytes());
    assert_eq!(data, b"paid");
    // Leaf and output are all that the network hashes.
    let place = Place {
        chain_identifier: NETWORK,
        address: account(),
        height: 2,
        previous_hash: hash(&receive),
        momentum: MomentumRef {
            hash: Hash::from_bytes([0x33; 32]),
            height: 10,
        },
    };
    let draft = place.send(
        Address::from_bytes(to),
        TokenStandard::from_bytes(TOKEN),
        Amount::from(450),
        data,
    );
    let draft = draft.paid(Payment::split(21_272, u64::MAX), [0; 8]);
    assert_eq!(draft.hash(), hash(&payout));
    // With another signature than the group's there is no block.
    let seal = Seal {
        public_key: *group().as_bytes(),
        signature: [0; 64],
    };
    let data = draft.data().to_vec();
    assert_eq!(
        published(&payout, data, seal),
        Err(::nom::Refusal::Signature)
    );
    chain.confirm(&payout).expect("issued");
    assert_eq!(chain.waiting(), 0);
    assert_eq!(chain.issue(&issue(10, 21_000)), Err(Some(Refusal::Orders)));
}

#[test]
fn a_deposit_is_taken_once() {
    let (mut chain, zapp) = Chain::with_account();
    let deposit = to_zapp(zapp, 700, "", 1);
    assert!(chain.deposit(&deposit).is_ok());
    assert_eq!(chain.deposit(&deposit), Err(Some(Refusal::Taken)));
    // Twice in one step.
    let another = to_zapp(zapp, 1, "", 2);
    let requests =
        [(); 2].map(|()| chain.request(BOB, ZappId::SYSTEM, DEPOSIT, &input_of(&another)));
    let outcome = chain.step(requests.to_vec());
    assert_eq!(outcome.outcomes[0].status, Status::Ok);
    assert_eq!(outcome.outcomes[1].code, Refusal::Taken.code());
    assert_eq!(chain.held(&zapp), Amount::from(701));
    assert_eq!(chain.waiting(), 2);
}

#[test]
fn what_is_no_authentic_deposit_to_the_account_is_refused() {
    let (mut chain, zapp) = Chain::with_account();
    let good = to_zapp(zapp, 700, "", 1);
    let mut alien = good.clone();
    alien.header.chain_identifier = 4;
    alien.hash = alien.recomputed_hash();
    let mut forged = good.clone();
    forged.seal.as_mut().expect("sealed").signature[7] ^= 1;
    let mut richer = good.clone();
    richer.header.amount = Amount::from(701);
    let elsewhere = send(Address::from_bytes([0; 20]), 700, &good.data, 1);
    for block in [alien, forged, richer, elsewhere] {
        assert_eq!(chain.deposit(&block), Err(Some(Refusal::Block)));
    }
    let other_data = Deposit {
        block: good.to_bytes().expect("short"),
        data: b"other".to_vec(),
        momentum_height: CONFIRMED_AT,
    };
    let refused = chain.nom(DEPOSIT, &codec::encode(&other_data));
    assert_eq!(refused, Err(Some(Refusal::Block)));
    assert_eq!(chain.nom(DEPOSIT, b"junk"), Err(Some(Refusal::Input)));
    assert_eq!(chain.waiting(), 0);
    assert!(chain.deposit(&good).is_ok());
}

#[test]
fn a_deposit_that_nobody_takes_is_sent_back_and_leaves_nothing_else() {
    let (mut chain, zapp) = Chain::with_account();
    let nobody = ZappId::from_bytes([0x99; 32]);
    let refused = [
        send(account(), 700, b"short", 1),
        to_zapp(nobody, 700, "", 2),
        to_zapp(ZappId::SYSTEM, 700, "", 3),
        to_zapp(zapp, 700, "set a 1\nrevert 7", 4),
        to_zapp(zapp, 700, "set a 1\ntrap", 5),
        // More than it has.
        to_zapp(zapp, 700, "set a 1\npay 701 7 8", 6),
    ];
    for (deposit, at) in refused.iter().zip(0..) {
        let output = chain.deposit(deposit).expect("a sound deposit");
        assert_eq!(taken(&output), Taken::Returned, "{at}");
        assert_eq!(chain.held(&zapp), Amount::ZERO);
        assert_eq!(chain.value(&zapp, "a"), None);
        let back = chain.state.nom_order(2 * at + 2).expect("whole");
        let expected = Order::Send {
            zapp: ZappId::SYSTEM,
            to: *deposit.header.address.as_bytes(),
            token: TOKEN,
            amount: *Amount::from(700).as_bytes(),
            data: deposit.hash.as_bytes().to_vec(),
        };
        assert_eq!(back, Some(expected));
    }
    assert_eq!(chain.waiting(), 12);
    // There is nothing to send back of nothing.
    let empty = send(account(), 0, b"", 7);
    let output = chain.deposit(&empty).expect("a sound deposit");
    assert_eq!((taken(&output), chain.waiting()), (Taken::Returned, 13));
}

#[test]
fn what_a_contract_sends_to_nobody_is_kept_and_orders_no_block_that_cannot_be() {
    let (mut chain, zapp) = Chain::with_account();
    let contract = |data: &[u8], height| {
        let mut block = send(account(), 700, data, height);
        block.header.block_type = BlockType::ContractSend;
        block.header.address =
            Address::from_bytes([[1].as_slice(), &[7; 19]].concat().try_into().expect("20"));
        block.seal = None;
        block.hash = block.recomputed_hash();
        block
    };
    let output = chain.deposit(&contract(b"short", 1)).expect("sound");
    assert_eq!(taken(&output), Taken::Kept);
    // Its receive, and nothing that the contract could not take: the next order is reached.
    assert_eq!(chain.waiting(), 1);
    let (receive, _) = chain.issue(&issue(10, 21_000)).expect("a block");
    assert!(chain.confirm(&receive).is_ok());
    let data = [zapp.as_bytes().as_slice(), b"set a 1"].concat();
    let output = chain.deposit(&contract(&data, 2)).expect("sound");
    assert!(ACCEPTED(taken(&output)));
    assert_eq!(chain.held(&zapp), Amount::from(700));
}

#[test]
fn gas_of_a_deposit_does_not_depend_on_who_brings_it() {
    let (mut chain, zapp) = Chain::with_account();
    let deposit = to_zapp(zapp, 700, "", 1);
    let mut request = chain.request(BOB, ZappId::SYSTEM, DEPOSIT, &input_of(&deposit));
    request.call.gas_limit = SYSTEM_GAS + DEPOSIT_GAS - 1;
    let outcome = chain.step(vec![request.clone()]);
    assert_eq!(outcome.outcomes[0].status, Status::OutOfGas);
    assert_eq!(chain.waiting(), 0);
    request.call.gas_limit += 1;
    request.call.nonce += 1;
    chain.nonce += 1;
    let outcome = chain.step(vec![request]);
    assert_eq!(outcome.outcomes[0].status, Status::Ok);
}

#[test]
fn a_zapp_pays_out_no_more_than_it_has_and_only_what_a_block_can_carry() {
    let (mut chain, zapp) = Chain::with_account();
    assert!(chain.deposit(&to_zapp(zapp, 700, "", 1)).is_ok());
    let cases = [
        ("pay 701 7 8", Some(Refusal::Balance)),
        ("pay 400 7 8\npay 301 7 8", Some(Refusal::Balance)),
        ("pay 1 6 8", Some(Refusal::Balance)),
        // No token, no recipient, an embedded contract.
        ("pay 1 0 8", Some(Refusal::Order)),
        ("pay 1 7 0", Some(Refusal::Order)),
        ("pay 1 7 1", Some(Refusal::Order)),
        // Nothing; what only the committee says of itself; more data than work pays for.
        ("pay 0 0 8", Some(Refusal::Order)),
        ("pay 0 7 8", Some(Refusal::Order)),
        ("pay 1 7 own", Some(Refusal::Order)),
        ("pay 1 7 8 1081", Some(Refusal::Order)),
        ("pay 400 7 8\npay 300 7 9 1080", None),
    ];
    for (script, refusal) in cases {
        let script = ["set paid yes", script].join("\n");
        let request = chain.call(zapp, &script);
        let outcome = chain.step(vec![request]);
        let done = &outcome.outcomes[0];
        let expected = refusal.map_or(0, Refusal::code);
        assert_eq!(done.code, expected, "{script}");
        let is_done = refusal.is_none();
        assert_eq!(done.status == Status::Ok, is_done, "{script}");
        assert_eq!(chain.value(&zapp, "paid").is_some(), is_done, "{script}");
        let messages = outcome.leaves.iter().filter(|leaf| leaf[1] == 2).count();
        assert_eq!(messages, if is_done { 2 } else { 0 });
    }
    assert_eq!(chain.held(&zapp), Amount::ZERO);
    assert_eq!(chain.waiting(), 3);
    // The payout is a message, too: its channel is that of the zApp and the token.
    let mut contract = [0; 32];
    contract[22..].copy_from_slice(&TOKEN);
    let committee = chain.params.committee;
    let channel = MessageLeaf::channel(&committee, &zapp, (MessageLeaf::NOM, &contract), b"");
    let key = crate::system::channel_key(&channel);
    let last = chain.state.get(&ZappId::SYSTEM, &key).expect("whole");
    assert_eq!(last, Some(2u64.to_be_bytes().as_slice()));
}

#[test]
fn an_account_is_begun_once_and_nothing_works_before() {
    let (mut chain, zapp) = Chain::with_zapp();
    let deposit = to_zapp(zapp, 700, "", 1);
    let none = Err(Some(Refusal::NoAccount));
    assert_eq!(chain.deposit(&deposit), none);
    assert_eq!(chain.nom(ANCHOR, b""), none);
    assert_eq!(
        chain.issue(&issue(1, 21_000)),
        Err(Some(Refusal::NoAccount))
    );
    let request = chain.call(zapp, "pay 0 0 8");
    let outcome = chain.step(vec![request]);
    assert_eq!(outcome.outcomes[0].code, Refusal::NoAccount.code());
    let open = codec::encode(&Open { key: group() });
    assert!(chain.nom(OPEN, &open).is_ok());
    assert_eq!(chain.nom(OPEN, &open), Err(Some(Refusal::Exists)));
    assert!(chain.deposit(&deposit).is_ok());
}

#[test]
fn what_a_request_claims_of_the_chain_and_of_the_key_is_told() {
    let (mut chain, zapp) = Chain::with_account();
    let deposit = to_zapp(zapp, 700, "", 1);
    let block = Digest::from_bytes(*deposit.hash.as_bytes());
    let claim = |of, height| Some(Claim { of, height });
    let confirm = codec::encode(&Confirm {
        block,
        issue: issue(10, 21_000),
    });
    let cases = [
        (
            DEPOSIT,
            input_of(&deposit),
            claim(Deep::Block(block), Some(CONFIRMED_AT)),
            None,
        ),
        (
            ISSUE,
            codec::encode(&issue(10, 1)),
            claim(Deep::Momentum(MOMENTUM), Some(10)),
            None,
        ),
        (CONFIRM, confirm, claim(Deep::Block(block), None), None),
        (
            OPEN,
            codec::encode(&Open { key: group() }),
            None,
            Some(group()),
        ),
        (ANCHOR, Vec::new(), None, None),
        (DEPOSIT, b"junk".to_vec(), None, None),
    ];
    for (method, input, claim, key) in cases {
        let call = chain.request(BOB, ZappId::SYSTEM, method, &input).call;
        assert_eq!((observed(&call), opened(&call)), (claim, key), "{method}");
        let call = chain.request(BOB, zapp, method, &input).call;
        assert_eq!((observed(&call), opened(&call)), (None, None), "{method}");
    }

    let seen = [(Deep::Momentum(MOMENTUM), 10), (Deep::Block(block), 10)].into();
    for (height, is_borne_out) in [
        (None, true),
        (Some(10), true),
        (Some(11), false),
        (Some(9), false),
    ] {
        let of = |of| Claim { of, height };
        for there in [Deep::Momentum(MOMENTUM), Deep::Block(block)] {
            assert_eq!(of(there).is_borne_out(&seen), is_borne_out);
        }
        // A block is no momentum, nor a momentum a block.
        assert!(!of(Deep::Momentum(block)).is_borne_out(&seen));
        assert!(!of(Deep::Block(MOMENTUM)).is_borne_out(&seen));
    }
}
