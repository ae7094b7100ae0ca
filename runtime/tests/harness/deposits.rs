//! The committee's account on the Network of Momentum: deposits that users sign, and the payouts that
//! zApps order.

use attestation::codec;
use attestation::ids::{GroupKey, IdentityKey, ZappId};
use attestation::leaf::Status;
use ed25519_dalek::{Signer as _, SigningKey};
use nom::{Address, Amount, Hash, MomentumRef, Place, Seal, TokenStandard};
use state::system::nom::{DEPOSIT, Deposit, OPEN, Open, Order, Taken};

use super::{Chain, key};

/// Whose signature is under deposits: their address.
pub fn address(seed: u8) -> [u8; 20] {
    *Address::from_key(signer(seed).verifying_key().as_bytes()).as_bytes()
}

/// Their key, as a caller's.
pub fn identity(seed: u8) -> IdentityKey {
    IdentityKey::from_bytes(signer(seed).verifying_key().to_bytes())
}

fn signer(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

impl Chain {
    /// Takes a send to a zApp in a step: what became of it, and its hash. `data` are those behind
    /// the zApp's id.
    pub fn deposit(
        &mut self,
        from: u8,
        zapp: ZappId,
        (token, amount): ([u8; 10], Amount),
        data: &[u8],
    ) -> (Taken, [u8; 32]) {
        let group = GroupKey::from_bytes([0x47; 32]);
        if self.state.nom_account().expect("whole").is_none() {
            let open = codec::encode(&Open { key: group });
            let outcome = self.call(key(99), ZappId::SYSTEM, OPEN, &open);
            assert_eq!(outcome.status, Status::Ok, "{outcome:?}");
        }
        let data = [zapp.as_bytes().as_slice(), data].concat();
        let place = Place {
            chain_identifier: self.params.network.0,
            address: Address::from_bytes(address(from)),
            // No two sends are alike.
            height: self.nonce + 2,
            previous_hash: Hash::from_bytes([1; 32]),
            momentum: MomentumRef {
                hash: Hash::from_bytes([2; 32]),
                height: 1,
            },
        };
        let to = Address::from_key(group.as_bytes());
        let draft = place.send(to, TokenStandard::from_bytes(token), amount, data.clone());
        let hash = draft.hash();
        let seal = Seal {
            public_key: signer(from).verifying_key().to_bytes(),
            signature: signer(from).sign(hash.as_bytes()).to_bytes(),
        };
        let block = draft.sealed(seal).expect("a sound block");
        let deposit = Deposit {
            block: block.to_bytes().expect("short"),
            data,
            momentum_height: 1,
        };
        let input = codec::encode(&deposit);
        let outcome = self.call(key(99), ZappId::SYSTEM, DEPOSIT, &input);
        assert_eq!(outcome.status, Status::Ok, "{outcome:?}");
        let taken = codec::decode(&outcome.output, 64).expect("what became of it");
        (taken, *hash.as_bytes())
    }

    /// What a zApp has of a token.
    pub fn nom_balance(&self, zapp: ZappId, token: &[u8; 10]) -> Amount {
        Amount::from_bytes(self.state.nom_balance(&zapp, token).expect("whole"))
    }

    /// What was ordered to be sent, in order, and by whom: recipient, token, amount.
    pub fn sends(&self) -> Vec<(ZappId, [u8; 20], [u8; 10], Amount)> {
        let Some(account) = self.state.nom_account().expect("whole") else {
            return Vec::new();
        };
        let numbers = account.first..account.end;
        let orders = numbers.filter_map(|number| self.state.nom_order(number).expect("whole"));
        let sends = orders.filter_map(|order| match order {
            Order::Send {
                zapp,
                to,
                token,
                amount,
                ..
            } => Some((zapp, to, token, Amount::from_bytes(amount))),
            Order::Receive { .. } => None,
        });
        sends.collect()
    }
}
