//! `nom-mirror` on a small chain of our own, whose blocks are properly signed: what a key's owner
//! may not do either.

mod harness;

use attestation::ids::ZappId;
use attestation::leaf::Status;
use ed25519_dalek::{Signer as _, SigningKey};
use harness::{Chain, key};
use nom::{
    Address, Amount, Block, BlockType, Hash, Header, MomentumRef, Refusal, Seal, TokenStandard,
    genesis_bytes,
};

const CHAIN: u64 = 7;
const OWNER: u8 = 1;
const ANYONE: u8 = 2;
const TOKEN: TokenStandard = TokenStandard::from_bytes([3; 10]);
/// Opening balance of everyone.
const OPENING: u128 = 1_000;

/// An account whose key we hold.
struct User {
    signing: SigningKey,
    address: Address,
    height: u64,
    head: Hash,
}

impl User {
    fn new(seed: u8) -> Self {
        let signing = SigningKey::from_bytes(&[seed; 32]);
        let address = Address::from_key(signing.verifying_key().as_bytes());
        let genesis = sealed(Header::genesis(CHAIN, address), None);
        Self {
            signing,
            address,
            height: 1,
            head: genesis.hash,
        }
    }

    /// The next block's header, acknowledging momentum 10.
    fn next(&self, block_type: BlockType) -> Header {
        Header {
            block_type,
            previous_hash: self.head,
            height: self.height + 1,
            momentum_acknowledged: MomentumRef {
                hash: Hash::from_bytes([1; 32]),
                height: 10,
            },
            ..Header::genesis(CHAIN, self.address)
        }
    }

    fn send(&self, to: &Self, amount: Amount) -> Header {
        Header {
            to_address: to.address,
            amount,
            token_standard: TOKEN,
            ..self.next(BlockType::UserSend)
        }
    }

    fn receive(&self, from_block_hash: Hash) -> Header {
        Header {
            from_block_hash,
            ..self.next(BlockType::UserReceive)
        }
    }

    fn sign(&self, header: Header) -> Block {
        sealed(header, Some(&self.signing))
    }
}

fn sealed(header: Header, signing: Option<&SigningKey>) -> Block {
    let mut block = Block {
        hash: Hash::ZERO,
        header,
        seal: None,
        data: Vec::new(),
        descendants: Vec::new(),
    };
    block.hash = block.recomputed_hash();
    block.seal = signing.map(|signing| Seal {
        public_key: signing.verifying_key().to_bytes(),
        signature: signing.sign(block.hash.as_bytes()).to_bytes(),
    });
    block
}

struct Mirror {
    chain: Chain,
    id: ZappId,
}

impl Mirror {
    /// Two users with their genesis blocks taken in.
    fn with(users: [&User; 2], opening: Amount) -> Self {
        let mut chain = Chain::new();
        let id = chain.deploy(key(OWNER), "nom-mirror");
        let mut accounts = users.map(|user| (user.address, vec![(TOKEN, opening)]));
        accounts.sort();
        let genesis = genesis_bytes(CHAIN, &accounts).expect("rising");
        let loaded = chain.call(key(OWNER), id, "genesis", &genesis);
        assert_eq!(loaded.status, Status::Ok);
        let mut mirror = Self { chain, id };
        for user in users {
            mirror.take(&sealed(Header::genesis(CHAIN, user.address), None));
        }
        mirror
    }

    /// Anyone may bring what its maker signed.
    fn take(&mut self, block: &Block) {
        let form = block.to_bytes().expect("within limits");
        let outcome = self.chain.call(key(ANYONE), self.id, "block", &form);
        assert_eq!(outcome.status, Status::Ok, "{outcome:?}");
    }

    fn refuses(&mut self, block: &Block, refusal: Refusal) {
        let form = block.to_bytes().expect("within limits");
        let code = self.chain.revert(key(ANYONE), self.id, "block", &form);
        assert_eq!(code, refusal.code(), "expected: {refusal}");
    }

    fn balance(&mut self, user: &User) -> Amount {
        let input = [user.address.as_bytes().as_slice(), TOKEN.as_bytes()].concat();
        let output = self.chain.view(self.id, "balance", &input);
        Amount::from_bytes(output.try_into().expect("32 bytes"))
    }
}

#[test]
fn a_send_and_its_receive_move_a_balance_once() {
    let (mut alice, mut bob) = (User::new(11), User::new(12));
    let mut mirror = Mirror::with([&alice, &bob], Amount::from(OPENING));
    let send = alice.sign(alice.send(&bob, Amount::from(OPENING)));
    mirror.take(&send);
    (alice.height, alice.head) = (2, send.hash);
    assert_eq!(mirror.balance(&alice), Amount::ZERO);
    assert_eq!(mirror.balance(&bob), Amount::from(OPENING));

    mirror.refuses(&alice.sign(alice.receive(send.hash)), Refusal::NotRecipient);
    let receive = bob.sign(bob.receive(send.hash));
    mirror.take(&receive);
    (bob.height, bob.head) = (2, receive.hash);
    assert_eq!(mirror.balance(&bob), Amount::from(2 * OPENING));
    mirror.refuses(&bob.sign(bob.receive(send.hash)), Refusal::AlreadyReceived);
    mirror.refuses(&bob.sign(bob.receive(receive.hash)), Refusal::UnknownSend);
    mirror.refuses(
        &alice.sign(alice.send(&bob, Amount::from(1))),
        Refusal::Overdraft,
    );
}

#[test]
fn signed_blocks_that_break_a_rule_are_refused() {
    let (alice, bob) = (User::new(11), User::new(12));
    let mut mirror = Mirror::with([&alice, &bob], Amount::from(OPENING));
    let good = alice.send(&bob, Amount::from(1));
    let receive = alice.receive(Hash::from_bytes([1; 32]));
    let other = Hash::from_bytes([5; 32]);
    let wide = Amount::from_bytes([0x80; 32]);
    let user = bob.address;
    let cases = [
        (Header { version: 2, ..good }, Refusal::Version),
        (
            Header {
                chain_identifier: 8,
                ..good
            },
            Refusal::ChainIdentifier,
        ),
        (Header { height: 3, ..good }, Refusal::Height),
        (
            Header {
                height: u64::MAX,
                ..good
            },
            Refusal::Height,
        ),
        (Header { height: 1, ..good }, Refusal::FirstBlock),
        (Header { height: 0, ..good }, Refusal::FirstBlock),
        (
            Header {
                previous_hash: Hash::ZERO,
                ..good
            },
            Refusal::FirstBlock,
        ),
        (
            Header {
                previous_hash: other,
                ..good
            },
            Refusal::PreviousHash,
        ),
        (
            Header {
                from_block_hash: other,
                ..good
            },
            Refusal::SendFields,
        ),
        (
            Header {
                token_standard: TokenStandard::ZERO,
                ..good
            },
            Refusal::SendFields,
        ),
        (
            Header {
                amount: wide,
                ..good
            },
            Refusal::SendFields,
        ),
        (
            Header {
                amount: Amount::from(OPENING + 1),
                ..good
            },
            Refusal::Overdraft,
        ),
        (
            Header {
                address: user,
                ..good
            },
            Refusal::WrongKey,
        ),
        (
            Header {
                block_type: BlockType::ContractSend,
                ..good
            },
            Refusal::Signed,
        ),
        (
            Header {
                block_type: BlockType::GenesisReceive,
                ..good
            },
            Refusal::Signed,
        ),
        (
            Header {
                amount: Amount::from(1),
                ..receive
            },
            Refusal::ReceiveFields,
        ),
        (
            Header {
                token_standard: TOKEN,
                ..receive
            },
            Refusal::ReceiveFields,
        ),
        (
            Header {
                to_address: user,
                ..receive
            },
            Refusal::ReceiveFields,
        ),
        (
            Header {
                from_block_hash: Hash::ZERO,
                ..receive
            },
            Refusal::ReceiveFields,
        ),
        (
            Header {
                difficulty: 141_750_001,
                ..good
            },
            Refusal::Difficulty,
        ),
        (
            Header {
                difficulty: 141_750_000,
                ..good
            },
            Refusal::ProofOfWork,
        ),
    ];
    for (header, refusal) in cases {
        mirror.refuses(&alice.sign(header), refusal);
    }
    mirror.refuses(&sealed(good, None), Refusal::Unsigned);
    mirror.take(&alice.sign(Header {
        difficulty: 1,
        ..good
    }));
}

#[test]
fn momentums_that_blocks_acknowledge_never_go_back() {
    let (mut alice, bob) = (User::new(11), User::new(12));
    let mut mirror = Mirror::with([&alice, &bob], Amount::from(OPENING));
    let send = alice.sign(alice.send(&bob, Amount::ZERO));
    mirror.take(&send);
    (alice.height, alice.head) = (2, send.hash);
    let mut older = alice.send(&bob, Amount::ZERO);
    older.momentum_acknowledged.height = 9;
    mirror.refuses(&alice.sign(older), Refusal::MomentumOrder);
    mirror.take(&alice.sign(alice.send(&bob, Amount::ZERO)));
}

#[test]
fn balances_stop_at_256_bits() {
    let (alice, bob) = (User::new(11), User::new(12));
    let mut mirror = Mirror::with([&alice, &bob], Amount::from_bytes([0xff; 32]));
    let send = alice.sign(alice.send(&bob, Amount::from(1)));
    mirror.take(&send);
    mirror.refuses(&bob.sign(bob.receive(send.hash)), Refusal::Overflow);
}
