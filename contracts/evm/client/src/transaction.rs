//! Transactions of type 2 (EIP-1559), signed by an account's key.

use alloy_rlp::{BufMut, Encodable, Header};
use k256::ecdsa::SigningKey;
use sha3::{Digest as _, Keccak256};
use signer_protocol::suite::Affine;
use zeroize::Zeroizing;

/// An EVM account's address.
pub type Address = [u8; 20];

/// EIP-2718 type.
const TYPE: u8 = 2;

/// The key of the account that pays for transactions. Zeroised on drop, shown nowhere.
pub struct AccountKey(SigningKey);

/// What a transaction says. It transfers no value and names no access list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Transaction {
    /// The chain.
    pub chain: u64,
    /// How many transactions the account has sent before.
    pub nonce: u64,
    /// Fee per gas for whoever builds the block, wei.
    pub tip: u128,
    /// Most that is paid per gas, the tip included, wei.
    pub fee_max: u128,
    /// Most gas.
    pub gas: u64,
    /// The contract that is called; `None` to make one.
    pub to: Option<Address>,
    /// Calldata, or creation code with the constructor's arguments.
    pub data: Vec<u8>,
}

/// A signed transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signed {
    /// What a node takes.
    pub bytes: Vec<u8>,
    /// Its hash, which names it.
    pub hash: [u8; 32],
}

impl AccountKey {
    /// The key of a secret scalar; `None` if it is zero or not below the group's order.
    #[must_use]
    pub fn from_bytes(secret: &Zeroizing<[u8; 32]>) -> Option<Self> {
        SigningKey::from_slice(&**secret).ok().map(Self)
    }

    /// The account.
    #[must_use]
    pub fn address(&self) -> Address {
        let point = self.0.verifying_key().to_encoded_point(true);
        let compressed = point.as_bytes().try_into().ok();
        let point = compressed.and_then(Affine::decompress);
        // A public key is a point.
        point.map(|point| point.address()).unwrap_or_default()
    }
}

impl std::fmt::Debug for AccountKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "AccountKey(0x{}, redacted)", hex::encode(self.address()))
    }
}

impl Transaction {
    /// Signs it (RFC 6979, low s); `None` never happens with a sound key.
    #[must_use]
    pub fn sign(&self, key: &AccountKey) -> Option<Signed> {
        let digest = keccak(&self.envelope(None));
        let (signature, recovery) = key.0.sign_prehash_recoverable(&digest).ok()?;
        let (r, s) = signature.split_bytes();
        let signed = (recovery.is_y_odd(), r.into(), s.into());
        let bytes = self.envelope(Some(&signed));
        let hash = keccak(&bytes);
        Some(Signed { bytes, hash })
    }

    /// The most that it can cost, wei.
    #[must_use]
    pub const fn cost_max(&self) -> u128 {
        self.fee_max.saturating_mul(self.gas as u128)
    }

    /// The contract that it makes, if it makes one: fixed by the sender and its nonce.
    #[must_use]
    pub fn created(&self, sender: &Address) -> Address {
        let mut list = Vec::new();
        sender.encode(&mut list);
        self.nonce.encode(&mut list);
        let hash = keccak(&in_list(list));
        hash.last_chunk().copied().unwrap_or_default()
    }

    fn envelope(&self, signature: Option<&(bool, [u8; 32], [u8; 32])>) -> Vec<u8> {
        let mut list = Vec::new();
        self.chain.encode(&mut list);
        self.nonce.encode(&mut list);
        self.tip.encode(&mut list);
        self.fee_max.encode(&mut list);
        self.gas.encode(&mut list);
        match &self.to {
            Some(to) => to.encode(&mut list),
            None => [0u8; 0].encode(&mut list),
        }
        // No value.
        0u8.encode(&mut list);
        self.data.as_slice().encode(&mut list);
        Header {
            list: true,
            payload_length: 0,
        }
        .encode(&mut list);
        if let Some((odd, r, s)) = signature {
            u8::from(*odd).encode(&mut list);
            integer(r).encode(&mut list);
            integer(s).encode(&mut list);
        }
        let mut bytes = vec![TYPE];
        bytes.extend(in_list(list));
        bytes
    }
}

/// An integer's bytes without leading zeros, as RLP has it.
fn integer(word: &[u8; 32]) -> &[u8] {
    let zeros = word.iter().take_while(|byte| **byte == 0).count();
    word.get(zeros..).unwrap_or_default()
}

fn in_list(payload: Vec<u8>) -> Vec<u8> {
    let mut list = Vec::with_capacity(payload.len() + 9);
    Header {
        list: true,
        payload_length: payload.len(),
    }
    .encode(&mut list);
    list.put_slice(&payload);
    list
}

fn keccak(bytes: &[u8]) -> [u8; 32] {
    Keccak256::digest(bytes).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(byte: u8) -> AccountKey {
        let mut secret = Zeroizing::new([0; 32]);
        secret[31] = byte;
        AccountKey::from_bytes(&secret).unwrap()
    }

    #[test]
    fn an_account_is_that_of_its_key_and_no_secret_is_shown() {
        // The account of the secret key 1, as every wallet has it.
        let address = "7e5f4552091a69125d5dfcb7b8c2659029395bdf";
        assert_eq!(hex::encode(key(1).address()), address);
        let shown = format!("{:?}", key(1));
        assert!(shown.contains(address) && shown.contains("redacted"));
        assert!(AccountKey::from_bytes(&Zeroizing::new([0; 32])).is_none());
        assert!(AccountKey::from_bytes(&Zeroizing::new([0xff; 32])).is_none());
    }

    #[test]
    fn integers_have_no_leading_zeros() {
        let mut word = [0; 32];
        assert_eq!(integer(&word), [0u8; 0]);
        word[30] = 7;
        assert_eq!(integer(&word), [7, 0]);
    }
}
