//! What contracts say of themselves, and why they refuse.

use attestation::ids::{CommitteeId, Digest, EvmKey};

use crate::abi::{self, Value, selector};
use crate::rpc::{At, Rpc, RpcError};
use crate::transaction::Address;

/// Whom a contract trusts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trust {
    /// The committee's network.
    pub network: u64,
    /// The committee.
    pub committee: CommitteeId,
    /// Its group key.
    pub key: EvmKey,
}

/// A message acceptor at an address.
#[derive(Clone, Copy, Debug)]
pub struct MessageAcceptor<'a> {
    /// A node of its chain.
    pub rpc: &'a Rpc,
    /// Where it is.
    pub address: Address,
}

/// A ledger acceptor at an address.
#[derive(Clone, Copy, Debug)]
pub struct LedgerAcceptor<'a> {
    /// A node of its chain.
    pub rpc: &'a Rpc,
    /// Where it is.
    pub address: Address,
}

impl MessageAcceptor<'_> {
    /// Whom it trusts.
    ///
    /// # Errors
    /// [`RpcError`], also if the contract is none of these.
    pub fn trust(&self) -> Result<Trust, RpcError> {
        trust(self.rpc, &self.address, ["keyX()", "keyOdd()"])
    }

    /// How many messages of a channel it has consumed.
    ///
    /// # Errors
    /// [`RpcError`].
    pub fn consumed(&self, channel: &Digest) -> Result<u64, RpcError> {
        self.consumed_at(channel, At::Latest)
    }

    /// How many messages of a channel it had consumed in a state; none before it was deployed.
    ///
    /// # Errors
    /// [`RpcError`].
    pub fn consumed_at(&self, channel: &Digest, at: At) -> Result<u64, RpcError> {
        self.number_at("consumed(bytes32)", *channel.as_bytes(), at)
    }

    fn number_at(&self, function: &str, argument: [u8; 32], at: At) -> Result<u64, RpcError> {
        let call = abi::call(function, &[Value::Word(argument)]);
        let word = self.rpc.view_at(&self.address, &call, at)?;
        if word.is_empty() && matches!(at, At::Block(_)) {
            return Ok(0);
        }
        number(&word.try_into().map_err(|_| ANSWER)?)
    }

    /// What became of a message that it has consumed.
    ///
    /// # Errors
    /// [`RpcError`].
    pub fn outcome(&self, channel: &Digest, of: u64) -> Result<&'static str, RpcError> {
        let arguments = [Value::Word(*channel.as_bytes()), abi::number(of)];
        let function = "outcomeOf(bytes32,uint64)";
        let outcome = number(&view(self.rpc, &self.address, function, &arguments)?)?;
        match outcome {
            1 => Ok("delivered"),
            2 => Ok("reverted"),
            3 => Ok("no_receiver"),
            4 => Ok("too_much_gas"),
            _ => Err(ANSWER),
        }
    }

    /// Whether it had taken the key change of the leaf with this hash, cancelled or not.
    ///
    /// # Errors
    /// [`RpcError`].
    pub fn key_change_taken(&self, leaf: &[u8; 32], at: At) -> Result<bool, RpcError> {
        Ok(self.number_at("keyChangeTaken(bytes32)", *leaf, at)? == 1)
    }

    /// When the key change that waits may take effect, Unix seconds; `None` if none waits.
    ///
    /// # Errors
    /// [`RpcError`].
    pub fn pending_ready_at(&self) -> Result<Option<u64>, RpcError> {
        let ready_at = number(&view(self.rpc, &self.address, "pendingReadyAt()", &[])?)?;
        Ok((ready_at != 0).then_some(ready_at))
    }

    /// The key that it will trust, if a key change waits.
    ///
    /// # Errors
    /// [`RpcError`].
    pub fn pending_key(&self) -> Result<Option<EvmKey>, RpcError> {
        if self.pending_ready_at()?.is_none() {
            return Ok(None);
        }
        key(self.rpc, &self.address, ["pendingX()", "pendingOdd()"]).map(Some)
    }
}

impl LedgerAcceptor<'_> {
    /// Whom it trusts.
    ///
    /// # Errors
    /// [`RpcError`], also if the contract is none of these.
    pub fn trust(&self) -> Result<Trust, RpcError> {
        trust(self.rpc, &self.address, ["KEY_X()", "KEY_ODD()"])
    }

    /// The last step that it has accepted; 0 before the first.
    ///
    /// # Errors
    /// [`RpcError`].
    pub fn head(&self) -> Result<u64, RpcError> {
        let head = self.rpc.view(&self.address, &abi::call("head()", &[]))?;
        number(head.first_chunk().ok_or(ANSWER)?)
    }
}

/// A contract's custom error, by name, with what it says.
#[must_use]
pub fn revert(data: &[u8]) -> Option<String> {
    let (found, arguments) = data.split_first_chunk::<4>()?;
    let error = ERRORS.iter().find(|error| selector(error) == *found)?;
    let (name, _) = error.split_once('(')?;
    let words = arguments.as_chunks::<32>().0.iter();
    let words: Vec<String> = words.map(plain).collect();
    Some(format!("{name}({})", words.join(", ")))
}

/// A small number as such, anything else in hexadecimal.
fn plain(word: &[u8; 32]) -> String {
    match number(word) {
        Ok(number) => number.to_string(),
        Err(_) => format!("0x{}", hex::encode(word)),
    }
}

fn trust(rpc: &Rpc, contract: &Address, names: [&str; 2]) -> Result<Trust, RpcError> {
    Ok(Trust {
        network: number(&view(rpc, contract, "NETWORK()", &[])?)?,
        committee: CommitteeId::from_bytes(view(rpc, contract, "COMMITTEE()", &[])?),
        key: key(rpc, contract, names)?,
    })
}

/// A key from its x-coordinate and the parity of y.
fn key(rpc: &Rpc, contract: &Address, names: [&str; 2]) -> Result<EvmKey, RpcError> {
    let [x, odd] = names;
    let x = view(rpc, contract, x, &[])?;
    let odd = number(&view(rpc, contract, odd, &[])?)? == 1;
    let mut key = [2 + u8::from(odd); EvmKey::LEN];
    key.iter_mut()
        .skip(1)
        .zip(x)
        .for_each(|(to, from)| *to = from);
    Ok(EvmKey::from_bytes(key))
}

fn view(
    rpc: &Rpc,
    contract: &Address,
    function: &str,
    arguments: &[Value],
) -> Result<[u8; 32], RpcError> {
    let word = rpc.view(contract, &abi::call(function, arguments))?;
    word.try_into().map_err(|_| ANSWER)
}

fn number(word: &[u8; 32]) -> Result<u64, RpcError> {
    let (high, low) = word.split_last_chunk::<8>().ok_or(ANSWER)?;
    if high.iter().any(|byte| *byte != 0) {
        return Err(ANSWER);
    }
    Ok(u64::from_be_bytes(*low))
}

const ANSWER: RpcError = RpcError::Answer("eth_call: is a contract of this kind at the address?");

/// What the contracts of `solidity/` revert with.
pub const ERRORS: &[&str] = &[
    "UntrustworthyKey()",
    "CalldataLength(uint256,uint256)",
    "MalformedCommit()",
    "WrongCommittee(bytes32)",
    "TreeSize(uint64)",
    "MalformedLeaf()",
    "WrongStep(uint64,uint64)",
    "WrongPosition(uint256,uint8)",
    "PathDoesNotFit(uint256,uint64,uint256)",
    "NotIncluded(bytes32)",
    "BadSignature(uint8)",
    "WrongNetwork(uint64)",
    "AfterLastSeq(uint64,uint64)",
    "Paused(uint64)",
    "NotGuardian()",
    "WrongKind(uint8)",
    "KeyChangePending()",
    "NoKeyChangePending()",
    "TooEarly(uint64)",
    "KeyChangeTaken()",
    "NotThisKey()",
    "WrongChain(uint64)",
    "WrongContract(bytes32)",
    "OutOfOrder(bytes32,uint64,uint64)",
    "NotEnoughGas(uint256,uint256)",
    "Reentered()",
    "Known(uint64)",
    "Old(uint64,uint64)",
    "Gap(uint64,uint64)",
    "OldEpoch(uint64,uint64)",
    "UnknownProfile(bytes32)",
    "PreviousStatement(bytes32,bytes32)",
    "PreviousState(bytes32,bytes32)",
    "Fork(uint64,bytes32,bytes32)",
];
