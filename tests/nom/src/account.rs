//! Accounts of the network: of users, and of committees whose key is shared.

use std::sync::Arc;
use std::time::{Duration, Instant};

use conformance::frost::Committee;
use ed25519_dalek::{Signer as _, SigningKey};
use nom::client::{Client, ClientError, Confirmed, Patience, Sentinel};
use nom::work::Payment;
use nom::{Address, Amount, Block, Draft, Hash, Place, Seal, work};

use crate::Network;
use crate::genesis::{PLASMA_CONTRACT, QSR, SENTINEL_CONTRACT, ZNN, token};

/// What signs for an account.
#[derive(Debug)]
pub enum Key {
    /// One key.
    User(Box<SigningKey>),
    /// Four of five members of a committee.
    Committee(Box<Committee>),
}

/// An account of the network that one test uses alone.
#[derive(Debug)]
pub struct Account {
    network: Arc<Network>,
    key: Key,
}

impl Key {
    /// The key of user `n`.
    #[must_use]
    pub fn user(n: u8) -> Self {
        Self::User(Box::new(SigningKey::from_bytes(&[n + 1; 32])))
    }

    /// The key of committee `n`.
    #[must_use]
    pub fn committee(n: u8) -> Self {
        Self::Committee(Box::new(Committee::new(u64::from(n))))
    }

    /// The public key.
    #[must_use]
    pub fn public(&self) -> [u8; 32] {
        match self {
            Self::User(key) => key.verifying_key().to_bytes(),
            Self::Committee(committee) => *committee.key().as_bytes(),
        }
    }

    /// The key's account.
    #[must_use]
    pub fn address(&self) -> Address {
        Address::from_key(&self.public())
    }

    /// Key and signature of a block's hash.
    pub fn seal(&mut self, hash: &Hash) -> Seal {
        let signature = match self {
            Self::User(key) => key.sign(hash.as_bytes()).to_bytes(),
            Self::Committee(committee) => *committee.sign(hash.as_bytes()).as_bytes(),
        };
        Seal {
            public_key: self.public(),
            signature,
        }
    }
}

impl Account {
    /// The account of a key on a network.
    #[must_use]
    pub fn new(network: &Arc<Network>, key: Key) -> Self {
        Self {
            network: Arc::clone(network),
            key,
        }
    }

    /// The address.
    #[must_use]
    pub fn address(&self) -> Address {
        self.key.address()
    }

    /// Where the account's next block goes, judged against the newest momentum.
    ///
    /// # Errors
    /// As the node's answers.
    ///
    /// # Panics
    /// If the node is behind its own blocks.
    pub fn place(&self) -> Result<Place, ClientError> {
        let client = self.client();
        let frontier = client.frontier_momentum()?;
        let momentum = frontier.reference();
        let address = self.address();
        Ok(match client.frontier_block(&address)? {
            Some(last) => Place::after(&last.block, momentum).expect("no later momentum"),
            None => Place::first(client.chain_identifier(), address, momentum),
        })
    }

    /// A block, paid from fused plasma or else by work, and signed.
    ///
    /// # Errors
    /// As the node's answers.
    ///
    /// # Panics
    /// If the block breaks a rule.
    pub fn sign(&mut self, draft: Draft) -> Result<Block, ClientError> {
        let header = *draft.header();
        let requirement = self.client().requirement(
            &header.address,
            header.block_type,
            &header.to_address,
            draft.data(),
        )?;
        let payment = Payment::split(requirement.base_plasma, requirement.available_plasma);
        Ok(self.sign_paid(draft, payment))
    }

    /// A block, paid as said, and signed.
    ///
    /// # Panics
    /// If the block breaks a rule.
    pub fn sign_paid(&mut self, draft: Draft, payment: Payment) -> Block {
        let header = draft.header();
        let seed = work::native_seed(&header.address, &header.previous_hash);
        let nonce = match payment.difficulty {
            0 => [0; 8],
            difficulty => work::find(&seed, difficulty, 0, u64::MAX).expect("enough attempts"),
        };
        let draft = draft.paid(payment, nonce);
        draft.check().expect("a block that breaks no rule");
        let seal = self.key.seal(&draft.hash());
        draft.sealed(seal).expect("our signature")
    }

    /// Fuses QSR, 10⁻⁸ QSR, so that another account has plasma; waits until that is confirmed.
    ///
    /// # Errors
    /// As the node's answers.
    pub fn fuse(&mut self, beneficiary: &Address, amount: u64) -> Result<(), ClientError> {
        let plasma: Address = PLASMA_CONTRACT.parse().expect("an address");
        let qsr = token(QSR);
        // A method's id, then the address as a word of 32 bytes (`vm/abi/method.go`).
        let hash = nom::sha3_256(b"Fuse(address)");
        let id = hash.as_bytes().iter().take(4);
        let word = [0; 32 - Address::LEN].iter().chain(beneficiary.as_bytes());
        let data = id.chain(word).copied().collect();
        let draft = self
            .place()?
            .send(plasma, qsr, Amount::from(u128::from(amount)), data);
        let block = self.sign(draft)?;
        self.publish(&block, 1)?;
        Ok(())
    }

    /// Registers a Sentinel and waits until the node shows it: the QSR first, then the ZNN.
    ///
    /// # Errors
    /// As the node's answers.
    ///
    /// # Panics
    /// If it does not show up.
    pub fn register_sentinel(&mut self) -> Result<Sentinel, ClientError> {
        let contract: Address = SENTINEL_CONTRACT.parse().expect("an address");
        // Selectors of DepositQsr and Register (`vm/embedded/definition/sentinel.go`).
        let deposit = (QSR, 50_000u128, vec![0xd4, 0x95, 0x77, 0xf4]);
        let register = (ZNN, 5_000u128, vec![0x4d, 0xd2, 0x35, 0x17]);
        for (coin, whole, data) in [deposit, register] {
            assert_eq!(self.client().sentinel(&self.address())?, None);
            let amount = Amount::from(whole * 100_000_000);
            let draft = self.place()?.send(contract, token(coin), amount, data);
            let block = self.sign(draft)?;
            // The contract takes it in one momentum later.
            self.publish(&block, 2)?;
        }
        let start = Instant::now();
        loop {
            if let Some(sentinel) = self.client().sentinel(&self.address())? {
                return Ok(sentinel);
            }
            assert!(start.elapsed() < PATIENCE.limit, "no Sentinel");
            std::thread::sleep(PATIENCE.every);
        }
    }

    /// Publishes a block and waits until it is `depth` momentums deep.
    ///
    /// # Errors
    /// As [`Client::publish_and_wait`].
    pub fn publish(&self, block: &Block, depth: u64) -> Result<Confirmed, ClientError> {
        self.client().publish_and_wait(block, depth, PATIENCE)
    }

    /// The key.
    pub const fn key(&mut self) -> &mut Key {
        &mut self.key
    }

    fn client(&self) -> &Client {
        self.network.client()
    }
}

/// Six momentums: one may just be closed when a block comes.
const PATIENCE: Patience = Patience {
    every: Duration::from_millis(300),
    limit: Duration::from_secs(60),
};
