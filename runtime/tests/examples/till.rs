//! `till`, with real sends of the Network of Momentum.

use attestation::codec;
use attestation::ids::{GroupKey, IdentityKey, ZappId};
use attestation::leaf::{Leaf, MessageLeaf, Status};
use ed25519_dalek::{Signer as _, SigningKey};
use nom::{Address, Amount, Hash, MomentumRef, Place, Seal, TokenStandard};
use state::step::Outcome;
use state::system::nom::{Deposit, Open, Taken};

use super::{Zapp, join, u128_of};
use crate::harness::key;

const DEPOSIT: u32 = 8;
const INSUFFICIENT: u32 = 100;
const ZERO: u32 = 101;
const GROUP: GroupKey = GroupKey::from_bytes([0x47; 32]);

fn token(text: &str) -> TokenStandard {
    text.parse().expect("a token")
}

fn znn() -> TokenStandard {
    token("zts1znnxxxxxxxxxxxxx9z4ulx")
}

/// Somebody with a key on the network.
fn person(byte: u8) -> (SigningKey, IdentityKey, Address) {
    let key = SigningKey::from_bytes(&[byte; 32]);
    let public = key.verifying_key().to_bytes();
    let address = Address::from_key(&public);
    (key, IdentityKey::from_bytes(public), address)
}

/// A till of a committee with an account.
fn till() -> Zapp {
    let mut till = Zapp::deployed(key(9), "till", &[]);
    let open = codec::encode(&Open { key: GROUP });
    let opened = till.chain.call(key(1), ZappId::SYSTEM, "nom_open", &open);
    assert_eq!(opened.status, Status::Ok);
    till
}

impl Zapp {
    /// Takes a send: what became of it.
    fn take(
        &mut self,
        from: u8,
        token: TokenStandard,
        amount: u128,
        data: &[u8],
        height: u64,
    ) -> Taken {
        let (key, _, address) = person(from);
        let place = Place {
            // The harness's network.
            chain_identifier: 321,
            address,
            height,
            previous_hash: Hash::from_bytes([1; 32]),
            momentum: MomentumRef {
                hash: Hash::from_bytes([2; 32]),
                height: 1,
            },
        };
        let data = join(&[self.id.as_bytes(), data]);
        let account = Address::from_key(GROUP.as_bytes());
        let draft = place.send(account, token, Amount::from(amount), data.clone());
        let seal = Seal {
            public_key: key.verifying_key().to_bytes(),
            signature: key.sign(draft.hash().as_bytes()).to_bytes(),
        };
        let input = codec::encode(&Deposit {
            block: draft
                .sealed(seal)
                .expect("sound")
                .to_bytes()
                .expect("short"),
            data,
            momentum_height: 1,
        });
        let chain = &mut self.chain;
        let outcome = chain.call(
            crate::harness::key(1),
            ZappId::SYSTEM,
            "nom_deposit",
            &input,
        );
        assert_eq!(outcome.status, Status::Ok, "{outcome:?}");
        codec::decode(&outcome.output, 64).expect("what became of it")
    }

    fn withdraw(&mut self, from: u8, token: TokenStandard, amount: u128) -> Outcome {
        let input = join(&[token.as_bytes(), &amount.to_be_bytes()]);
        self.chain.call(person(from).1, self.id, "withdraw", &input)
    }

    fn balance(&mut self, of: u8, token: TokenStandard) -> u128 {
        let input = join(&[person(of).2.as_bytes(), token.as_bytes()]);
        u128_of(&self.view("balance", &input))
    }

    /// What the last step sends out.
    fn sent(&self) -> Vec<MessageLeaf> {
        let leaves = self.chain.last().leaves.iter();
        let leaves = leaves.map(|leaf| Leaf::from_bytes(leaf).expect("a leaf"));
        let sent = leaves.filter_map(|leaf| match leaf {
            Leaf::Message(message) => Some(message),
            _ => None,
        });
        sent.collect()
    }
}

#[test]
fn what_is_sent_to_a_till_is_its_senders_who_is_paid_out_as_much() {
    let mut till = till();
    let qsr = token("zts1qsrxxxxxxxxxxxxxmrhjll");
    assert_eq!(till.take(2, znn(), 700, b"", 5), Taken::Accepted);
    assert_eq!(till.take(2, znn(), 300, b"", 6), Taken::Accepted);
    assert_eq!(till.take(3, qsr, 50, b"", 5), Taken::Accepted);
    assert_eq!((till.balance(2, znn()), till.balance(3, qsr)), (1_000, 50));
    assert_eq!((till.balance(2, qsr), till.balance(3, znn())), (0, 0));
    // Part of it to somebody else, by address; then both fetch.
    let give = join(&[
        person(3).2.as_bytes(),
        znn().as_bytes(),
        &400u128.to_be_bytes(),
    ]);
    till.ok(person(2).1, "give", &give);
    for (who, amount) in [(2, 600), (3, 400)] {
        let outcome = till.withdraw(who, znn(), amount);
        assert_eq!(outcome.status, Status::Ok, "{outcome:?}");
        assert_eq!(u128_of(&outcome.output), 0);
        let sent = till.sent();
        let [payout] = sent.as_slice() else {
            panic!("{sent:?}");
        };
        assert_eq!(payout.chain, MessageLeaf::NOM);
        assert_eq!(payout.contract[22..], znn().as_bytes()[..]);
        assert_eq!(payout.receiver[12..], person(who).2.as_bytes()[..]);
        assert_eq!(u128_of(&payout.payload[16..]), amount);
    }
    assert_eq!((till.balance(2, znn()), till.balance(3, znn())), (0, 0));
}

#[test]
fn a_till_pays_nobody_more_than_they_have_and_believes_no_invented_deposit() {
    let mut till = till();
    assert_eq!(till.take(2, znn(), 700, b"", 5), Taken::Accepted);
    let codes = [(2, 701, INSUFFICIENT), (3, 1, INSUFFICIENT), (2, 0, ZERO)];
    for (who, amount, code) in codes {
        let outcome = till.withdraw(who, znn(), amount);
        assert_eq!((outcome.status, outcome.code), (Status::Reverted, code));
        assert!(till.sent().is_empty());
    }
    // What comes with data it does not book: it is sent back.
    assert_eq!(
        till.take(2, znn(), 5, b"for something else", 6),
        Taken::Returned
    );
    assert_eq!(till.balance(2, znn()), 700);
    // The bytes of a deposit, from somebody who is not the committee.
    let amount = [[0; 16], 9u128.to_be_bytes()].concat();
    let (_, stranger, address) = person(3);
    let token = znn();
    let parts: [&[u8]; 5] = [
        &[1; 32],
        address.as_bytes(),
        token.as_bytes(),
        &amount,
        &[0, 0],
    ];
    let invented = join(&parts);
    assert_eq!(till.revert(stranger, "deposit", &invented), DEPOSIT);
    assert_eq!(till.revert(key(9), "deposit", &invented), DEPOSIT);
    assert_eq!(till.balance(3, znn()), 0);
}
