//! Deposits of the Network of Momentum, for tests: sends that a key signs, taken as committees take
//! them.

use attestation::codec;
use attestation::ids::{GroupKey, IdentityKey, ZappId};
use attestation::leaf::Status;
use ed25519_dalek::{Signer as _, SigningKey};
use nom::{Address, Amount, Hash, MomentumRef, Place, Seal, TokenStandard};
use state::system::nom::{DEPOSIT, Deposit, OPEN, Open, Taken};

use super::{Chain, NOT_DEPLOYED, Ran};

impl Chain {
    /// Sends a token to the zApp that was deployed last, with data, and takes the deposit in a step
    /// of its own. What it came to is what the zApp made of it; where that failed, the deposit goes
    /// back to its sender.
    pub(in crate::author) fn deposit(
        &mut self,
        seed: [u8; 32],
        token: [u8; 10],
        amount: u128,
        data: &[u8],
    ) -> Result<Ran, String> {
        let zapp = self.zapp.ok_or(NOT_DEPLOYED)?;
        let account = self.account()?;
        let data = [zapp.as_bytes().as_slice(), data].concat();
        let key = SigningKey::from_bytes(&seed);
        let place = Place {
            chain_identifier: self.params.network.0,
            address: Address::from_key(key.verifying_key().as_bytes()),
            // Sends of one account differ: no two are one deposit.
            height: self.nonce + 2,
            previous_hash: Hash::from_bytes([1; 32]),
            momentum: MomentumRef {
                hash: Hash::from_bytes([2; 32]),
                height: 1,
            },
        };
        let token = TokenStandard::from_bytes(token);
        let draft = place.send(account, token, Amount::from(amount), data.clone());
        let seal = Seal {
            public_key: key.verifying_key().to_bytes(),
            signature: key.sign(draft.hash().as_bytes()).to_bytes(),
        };
        let refused = |rule: nom::Refusal| format!("the network takes no such send: {rule}");
        let block = draft.sealed(seal).map_err(refused)?;
        let input = codec::encode(&Deposit {
            block: block.to_bytes().map_err(refused)?,
            data,
            momentum_height: 1,
        });
        let step = self.take(BRINGER, ZappId::SYSTEM, DEPOSIT, input, GAS_LIMIT)?;
        let execution = step.reports.first().and_then(|run| run.execution.clone());
        let mut ran = self.told(step)?;
        if ran.status != Status::Ok {
            return Ok(ran);
        }
        let taken = codec::decode::<Taken>(&ran.output, 64).map_err(|error| error.to_string())?;
        ran.output.clear();
        if taken != Taken::Accepted {
            let run = execution.ok_or("the zApp takes no calls: the deposit goes back")?;
            // It ran well where what it would have paid out or stored cannot be.
            (ran.status, ran.code) = match run.status {
                Status::Ok => (Status::Refused, 0),
                failed => (failed, run.code),
            };
        }
        Ok(ran)
    }

    /// The committee's account, begun where it was not yet.
    fn account(&mut self) -> Result<Address, String> {
        let group = GroupKey::from_bytes([0x47; 32]);
        if self.state.nom_account().ok().flatten().is_none() {
            let input = codec::encode(&Open { key: group });
            let ran = self.request(BRINGER, ZappId::SYSTEM, OPEN, input, GAS_LIMIT)?;
            if ran.status != Status::Ok {
                return Err(format!("no account: {}", ran.status.name()));
            }
        }
        Ok(Address::from_key(group.as_bytes()))
    }
}

/// The key that a seed gives, and its address.
pub(in crate::author) fn account_of(seed: [u8; 32]) -> (IdentityKey, [u8; 20]) {
    let key = SigningKey::from_bytes(&seed).verifying_key().to_bytes();
    let address = *Address::from_key(&key).as_bytes();
    (IdentityKey::from_bytes(key), address)
}

/// Anybody brings deposits.
const BRINGER: IdentityKey = IdentityKey::from_bytes([0xb1; 32]);
const GAS_LIMIT: u64 = 100_000_000;
