//! Where a contract's state lies.
//!
//! | key | value |
//! |---|---|
//! | `c` | what was registered, JSON |
//! | `h` | a ledger's head, JSON |
//! | `t` | the trusted key, the pending change, the pause, JSON |
//! | `o` ‖ seq ‖ position / 256 | 256 outputs of a step, one bit each: 1 if consumed |
//! | `n` ‖ channel | number of the last message consumed |
//! | `f` ‖ channel ‖ number | what became of a message that failed |
//! | `k` ‖ leaf hash | a key change that was taken |
//!
//! Numbers are big-endian and have 8 bytes.

use alloc::string::String;
use alloc::vec::Vec;

use acceptor::messages::Channels;
use acceptor::outputs::{Consumed, OutputId};
use acceptor::trust::{Pending, Taken, Trust};
use attestation::ids::{Digest, Seq};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::host::Host;
use crate::message::{self, Guard, Head, LedgerTerms, Number, Outcome, Terms};

/// What was registered.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Config {
    /// A ledger.
    Ledger {
        /// The committee.
        terms: LedgerTerms,
    },
    /// An acceptor of outputs.
    Outputs {
        /// The committee; its key as it was at the start.
        terms: Terms,
        /// Who may stop it.
        guard: Guard,
        /// Contract that is sent every accepted output.
        receiver: Option<String>,
    },
    /// An acceptor of messages.
    Messages {
        /// The committee; its key as it was at the start.
        terms: Terms,
        /// Who may stop it.
        guard: Guard,
        /// This contract, as messages name it.
        contract: Digest,
        /// Most gas that a message is given.
        gas_max: Number,
    },
}

/// The state of one contract.
pub struct Store<'a, H>(pub &'a H);

impl<H: Host> Store<'_, H> {
    /// What was registered.
    ///
    /// # Panics
    /// Never: a contract is called after it was instantiated.
    #[must_use]
    pub fn config(&self) -> Config {
        self.read(b"c").expect("written when instantiated")
    }

    /// Registers, once.
    pub fn set_config(&self, config: &Config) {
        self.write(b"c", config);
    }

    /// A ledger's head.
    #[must_use]
    pub fn head(&self) -> Option<Head> {
        self.read(b"h")
    }

    /// Sets a ledger's head.
    pub fn set_head(&self, head: &Head) {
        self.write(b"h", head);
    }

    /// The trusted key; `None` for a ledger.
    #[must_use]
    pub fn trust(&self) -> Option<Trust> {
        let trust: message::Trust = self.read(b"t")?;
        Some(Trust {
            key: trust.group_key,
            pending: trust.pending.map(|pending| Pending {
                key: pending.group_key,
                last: Seq(pending.last_seq.0),
                ready_at: pending.ready_at.0,
            }),
            paused_until: trust.paused_until.0,
        })
    }

    /// Sets the trusted key.
    pub fn set_trust(&self, trust: &Trust) {
        self.write(b"t", &shown(trust));
    }

    /// Whether an output was consumed.
    #[must_use]
    pub fn is_consumed(&self, seq: Seq, index: u64) -> bool {
        let (key, byte, bit) = place(seq, index);
        self.bits(&key)
            .get(byte)
            .is_some_and(|bits| bits & bit != 0)
    }

    /// What became of a message that failed.
    #[must_use]
    pub fn failure(&self, channel: &Digest, number: u64) -> Option<Outcome> {
        self.read(&failure(channel, number))
    }

    /// Remembers that a message failed.
    pub fn fail(&self, channel: &Digest, number: u64, outcome: Outcome) {
        self.write(&failure(channel, number), &outcome);
    }

    fn bits(&self, key: &[u8]) -> [u8; 32] {
        let bits = self.0.get(key);
        bits.and_then(|bits| bits.try_into().ok())
            .unwrap_or_default()
    }

    fn read<T: DeserializeOwned>(&self, key: &[u8]) -> Option<T> {
        let value = self.0.get(key)?;
        Some(serde_json::from_slice(&value).expect("what this contract wrote"))
    }

    fn write(&self, key: &[u8], value: &impl Serialize) {
        let value = serde_json::to_vec(value).expect("plain structs always encode");
        self.0.set(key, &value);
    }
}

impl<H: Host> Consumed for Store<'_, H> {
    fn consume(&mut self, id: OutputId) -> bool {
        let (key, byte, bit) = place(id.seq, id.index);
        let mut bits = self.bits(&key);
        let Some(bits_of_8) = bits.get_mut(byte) else {
            unreachable!("256 bits are 32 bytes");
        };
        let fresh = *bits_of_8 & bit == 0;
        *bits_of_8 |= bit;
        self.0.set(&key, &bits);
        fresh
    }
}

impl<H: Host> Channels for Store<'_, H> {
    fn last(&self, channel: &Digest) -> u64 {
        let value = self.0.get(&keyed(b'n', &[channel.as_bytes()]));
        let value = value.and_then(|value| value.try_into().ok());
        value.map_or(0, u64::from_be_bytes)
    }

    fn consume(&mut self, channel: &Digest, number: u64) {
        let key = keyed(b'n', &[channel.as_bytes()]);
        self.0.set(&key, &number.to_be_bytes());
    }
}

impl<H: Host> Taken for Store<'_, H> {
    fn take(&mut self, leaf_hash: &[u8; 32]) -> bool {
        let key = keyed(b'k', &[leaf_hash]);
        let fresh = self.0.get(&key).is_none();
        self.0.set(&key, &[1]);
        fresh
    }
}

/// The trusted key as it is shown and stored.
#[must_use]
pub fn shown(trust: &Trust) -> message::Trust {
    message::Trust {
        group_key: trust.key,
        pending: trust.pending.map(|pending| message::Pending {
            group_key: pending.key,
            last_seq: pending.last.into(),
            ready_at: Number(pending.ready_at),
        }),
        paused_until: Number(trust.paused_until),
    }
}

/// Key, byte and bit of an output.
fn place(seq: Seq, index: u64) -> (Vec<u8>, usize, u8) {
    let [rest @ .., low] = index.to_be_bytes();
    let key = keyed(b'o', &[&seq.0.to_be_bytes(), &[0], &rest]);
    (key, usize::from(low / 8), 1 << (low % 8))
}

fn failure(channel: &Digest, number: u64) -> Vec<u8> {
    keyed(b'f', &[channel.as_bytes(), &number.to_be_bytes()])
}

fn keyed(kind: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut key = Vec::from([kind]);
    parts.iter().for_each(|part| key.extend_from_slice(part));
    key
}
