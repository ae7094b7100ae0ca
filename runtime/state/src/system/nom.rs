//! The committee's account on the Network of Momentum (rules E3, E4): entries and inputs.
//!
//! | key | value |
//! |---|---|
//! | `nom` | [`Account`]: where its chain stands, and which order is next |
//! | `nom/order/` ‖ number | [`Order`]: what a block is to do, 8 bytes big-endian from 1 |
//! | `nom/taken/` ‖ hash | nothing: this deposit was taken |
//! | `nom/balance/` ‖ zApp ‖ token | what deposits gave the zApp and it has not spent, 32 bytes |
//! | `nom/waiting/` ‖ zApp | how many orders of the zApp wait, 8 bytes big-endian; absent for none |
//!
//! Orders become blocks one after the other. A request names momentum, plasma and work for the next
//! one; the block that follows is a leaf of the step, and only then does anybody sign it. It can be
//! issued again with another momentum or other work, never with another effect, until a request
//! names the block that the chain has confirmed. Anyone may send these requests: what they claim of
//! the chain is in [`observed`], and no signer takes a job with a claim that its own operator's node
//! does not bear out.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use attestation::codec::Layout;
use attestation::ids::{
    CommitteeId, Digest, GroupKey, IdentityKey, Seq, StateRoot, StatementId, ZappId,
};
use attestation::leaf::BlockLeaf;
use attestation::request::Call;
use attestation::tags;
use nom::work::{Payment, base_plasma};
use nom::{Address, Amount, Draft, Hash, Header, MomentumRef, Place, TokenStandard};
use serde::{Deserialize, Serialize};

use crate::state::State;
use crate::system::{methods, read};
use crate::tree::NeedState;

/// Begins the account: [`Open`].
pub const OPEN: &str = "nom_open";
/// Takes a deposit: [`Deposit`].
pub const DEPOSIT: &str = "nom_deposit";
/// Orders an anchor of the step before.
pub const ANCHOR: &str = "nom_anchor";
/// Makes the next order a block: [`Issue`].
pub const ISSUE: &str = "nom_issue";
/// Tells which block the chain has confirmed: [`Confirm`].
pub const CONFIRM: &str = "nom_confirm";
/// The method of a zApp that a deposit to it calls, with [`Deposited`] as input.
pub const ON_DEPOSIT: &str = "deposit";

/// Most orders that wait.
pub const ORDERS_MAX: u64 = 4096;
/// Most orders of one zApp that wait: the others' are not kept out by it.
pub const ZAPP_ORDERS_MAX: u64 = 256;
/// Blocks issued for one order that are remembered, of which work alone pays for. Any block of the
/// order can be confirmed, remembered or not: a momentum that blocks name can be lost, however many
/// there are.
pub const WORKED_ISSUES_MAX: usize = 16;
/// Those that plasma of fused QSR pays for in part. No step can tell whether the account has it: what
/// strangers say of it must not push out blocks that work pays for, which every node of the network
/// takes.
pub const FUSED_ISSUES_MAX: usize = 16;
/// Gas that a deposit's call of its zApp is given, whoever sends the request.
pub const DEPOSIT_GAS: u64 = 20_000_000;

/// Key of [`Account`].
pub const ACCOUNT: &[u8] = b"nom";

/// Input of [`OPEN`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// The committee's group key. No signer takes a job with another.
    pub key: GroupKey,
}

/// Input of [`DEPOSIT`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deposit {
    /// The send, in the binary form of the crate `nom`.
    #[serde(with = "serde_bytes")]
    pub block: Vec<u8>,
    /// Its data: a zApp's id, and what the zApp is told.
    #[serde(with = "serde_bytes")]
    pub data: Vec<u8>,
    /// Height of the momentum that confirmed it: its receive names none before.
    pub momentum_height: u64,
}

/// Input of [`ISSUE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issue {
    /// Hash of the momentum that the block acknowledges.
    pub momentum: Digest,
    /// Its height.
    pub momentum_height: u64,
    /// Plasma from fused QSR.
    pub fused_plasma: u64,
    /// Difficulty of the work for the rest.
    pub difficulty: u64,
    /// The work's nonce, big-endian.
    pub nonce: u64,
}

impl Issue {
    /// What a block of the chain was issued with.
    #[must_use]
    pub fn of(header: &Header) -> Self {
        let momentum = &header.momentum_acknowledged;
        Self {
            momentum: Digest::from_bytes(*momentum.hash.as_bytes()),
            momentum_height: momentum.height,
            fused_plasma: header.fused_plasma,
            difficulty: header.difficulty,
            nonce: u64::from_be_bytes(header.nonce),
        }
    }
}

/// Input of [`CONFIRM`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Confirm {
    /// Hash of the block.
    pub block: Digest,
    /// What it was issued with: all of it that the order leaves open.
    pub issue: Issue,
}

/// The account as the next step finds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    /// The network's chain identifier: the committee's network.
    pub chain: u64,
    /// The address of the group key.
    pub address: [u8; 20],
    /// Height of the next block.
    pub height: u64,
    /// Hash of the last confirmed block; zeros before the first.
    pub previous: Digest,
    /// Height of the momentum that the last confirmed block acknowledges: the next one's is no
    /// lower.
    pub momentum_height: u64,
    /// Number of the order that is next.
    pub first: u64,
    /// Number that the next new order gets.
    pub end: u64,
    /// Number of the last order of an anchor; 0 before the first.
    pub anchored: u64,
    /// The step that it anchors.
    pub anchored_seq: Seq,
    /// Blocks issued for the order that is next: the first and the newest of each kind.
    pub issued: Vec<Issued>,
}

/// A block that may be signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issued {
    /// Its hash.
    pub block: Digest,
    /// Height of the momentum that it acknowledges.
    pub momentum_height: u64,
    /// The step whose leaf it is.
    pub seq: Seq,
    /// Whether work alone pays for it.
    pub worked: bool,
}

impl Account {
    /// The newest issued block that work alone pays for.
    #[must_use]
    pub fn worked(&self) -> Option<&Issued> {
        self.issued.iter().rfind(|issued| issued.worked)
    }

    /// Notes an issued block. Where there is no room the second of its kind goes: the first has the
    /// time since when one is waited for.
    pub fn note(&mut self, issued: Issued) {
        if self.issued.iter().any(|held| held.block == issued.block) {
            return;
        }
        let most = if issued.worked {
            WORKED_ISSUES_MAX
        } else {
            FUSED_ISSUES_MAX
        };
        let held = self.issued.iter().enumerate();
        let mut places = held
            .filter(|(_, held)| held.worked == issued.worked)
            .map(|(place, _)| place);
        if let Some(place) = places.nth(1)
            && places.count() + 2 >= most
        {
            self.issued.remove(place);
        }
        self.issued.push(issued);
    }

    /// The next block, for this order, if it breaks no rule of the network.
    #[must_use]
    pub fn draft(&self, order: &Order, issue: &Issue) -> Option<Draft> {
        let hash = |digest: &Digest| Hash::from_bytes(*digest.as_bytes());
        let place = Place {
            chain_identifier: self.chain,
            address: Address::from_bytes(self.address),
            height: self.height,
            previous_hash: hash(&self.previous),
            momentum: MomentumRef {
                hash: hash(&issue.momentum),
                height: issue.momentum_height,
            },
        };
        let (draft, source_height) = match order {
            Order::Send {
                to,
                token,
                amount,
                data,
                ..
            } => {
                let (to, token) = (Address::from_bytes(*to), TokenStandard::from_bytes(*token));
                let draft = place.send(to, token, Amount::from_bytes(*amount), data.clone());
                (draft, 1)
            }
            Order::Receive {
                source,
                momentum_height,
            } => (place.receive(hash(source)), *momentum_height),
        };
        let payment = Payment {
            fused_plasma: issue.fused_plasma,
            difficulty: issue.difficulty,
        };
        let draft = draft.paid(payment, issue.nonce.to_be_bytes());
        let header = draft.header();
        let base = base_plasma(header.block_type, &header.to_address, draft.data().len())?;
        let is_new = issue.momentum_height >= self.momentum_height.max(source_height);
        (is_new && payment.pays(base) && draft.check().is_ok()).then_some(draft)
    }
}

/// What a block of the account is to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Order {
    /// Send.
    Send {
        /// The zApp that pays; the system zApp where the committee itself does.
        zapp: ZappId,
        /// Recipient.
        to: [u8; 20],
        /// Token.
        token: [u8; 10],
        /// Amount, big-endian.
        amount: [u8; 32],
        /// Data.
        #[serde(with = "serde_bytes")]
        data: Vec<u8>,
    },
    /// Take a deposit in.
    Receive {
        /// Hash of the send.
        source: Digest,
        /// Height of the momentum that confirmed it.
        momentum_height: u64,
    },
}

impl Order {
    /// Whom anchors are sent to.
    pub const NOBODY: [u8; 20] = [0; 20];
}

/// What the block of an anchor carries as data: a step, and the state it left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Anchor {
    /// The committee.
    pub committee: CommitteeId,
    /// The step.
    pub seq: Seq,
    /// Its attestation's id.
    pub statement: StatementId,
    /// The state's root after it.
    pub state: StateRoot,
}

impl Anchor {
    /// Tag, committee, seq as 8 bytes big-endian, statement and state: 112 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        Layout::new(tags::ANCHOR)
            .fixed(self.committee.as_bytes())
            .number(self.seq.0)
            .fixed(self.statement.as_bytes())
            .fixed(self.state.as_bytes())
            .into_bytes()
    }

    /// The anchor that a block's data is; `None` if it is anything else.
    #[must_use]
    pub fn from_bytes(data: &[u8]) -> Option<Self> {
        let rest = data.strip_prefix(tags::ANCHOR.0.as_slice())?;
        let (committee, rest) = rest.split_first_chunk()?;
        let (seq, rest) = rest.split_first_chunk()?;
        let (statement, rest) = rest.split_first_chunk()?;
        let state = rest.try_into().ok()?;
        Some(Self {
            committee: CommitteeId::from_bytes(*committee),
            seq: Seq(u64::from_be_bytes(*seq)),
            statement: StatementId::from_bytes(*statement),
            state: StateRoot::from_bytes(state),
        })
    }
}

/// What is deep enough in the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Deep {
    /// The momentum of this hash.
    Momentum(Digest),
    /// The account block of this hash. It is no momentum: a block that named it as one could never be
    /// confirmed.
    Block(Digest),
}

/// What a request claims of the chain: a block or momentum that is deep enough in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Which.
    pub of: Deep,
    /// Height of the momentum, or of the one that confirmed the block, if that is claimed.
    pub height: Option<u64>,
}

impl Claim {
    /// Whether what is deep enough, with heights, bears it out.
    #[must_use]
    pub fn is_borne_out(&self, confirmed: &BTreeMap<Deep, u64>) -> bool {
        let height = confirmed.get(&self.of);
        height.is_some_and(|height| self.height.is_none_or(|claimed| claimed == *height))
    }
}

/// What a zApp is told of a deposit. Who calls is the system zApp: an id of zeros, which no key
/// has. The fields stand one after another, data behind its length of two bytes, big-endian: the
/// encoding that arguments of zApps have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deposited {
    /// Hash of the send.
    pub block: Digest,
    /// Who sent it: the address's core bytes.
    pub from: [u8; 20],
    /// Token.
    pub token: [u8; 10],
    /// Amount, big-endian.
    pub amount: [u8; 32],
    /// What follows the zApp's id in the send's data.
    pub data: Vec<u8>,
}

impl Deposited {
    /// The input of [`ON_DEPOSIT`]; `None` if there are more data than a block has.
    #[must_use]
    pub fn to_bytes(&self) -> Option<Vec<u8>> {
        let length = u16::try_from(self.data.len()).ok()?;
        let parts: [&[u8]; 6] = [
            self.block.as_bytes(),
            &self.from,
            &self.token,
            &self.amount,
            &length.to_be_bytes(),
            &self.data,
        ];
        Some(parts.concat())
    }

    /// Reads what [`Self::to_bytes`] writes; `None` of anything else.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (block, rest) = bytes.split_first_chunk()?;
        let (from, rest) = rest.split_first_chunk()?;
        let (token, rest) = rest.split_first_chunk()?;
        let (amount, rest) = rest.split_first_chunk()?;
        let (length, data) = rest.split_first_chunk()?;
        (usize::from(u16::from_be_bytes(*length)) == data.len()).then(|| Self {
            block: Digest::from_bytes(*block),
            from: *from,
            token: *token,
            amount: *amount,
            data: data.to_vec(),
        })
    }
}

/// What became of a deposit: the output of its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Taken {
    /// The zApp has it.
    Accepted,
    /// It names no zApp that takes calls, or the zApp's call failed: it is sent back.
    Returned,
    /// The same, of an embedded contract: those take nothing back, and the committee's account keeps
    /// it.
    Kept,
}

/// Who calls a zApp's [`ON_DEPOSIT`].
pub const CALLER: IdentityKey = IdentityKey::from_bytes(*ZappId::SYSTEM.as_bytes());

/// Key of an order.
#[must_use]
pub fn order_key(number: u64) -> Vec<u8> {
    [b"nom/order/".as_slice(), &number.to_be_bytes()].concat()
}

/// Key that says that a deposit was taken.
#[must_use]
pub fn taken_key(block: &Digest) -> Vec<u8> {
    [b"nom/taken/".as_slice(), block.as_bytes()].concat()
}

/// Key of what a zApp has of a token.
#[must_use]
pub fn balance_key(zapp: &ZappId, token: &[u8; 10]) -> Vec<u8> {
    [b"nom/balance/".as_slice(), zapp.as_bytes(), token].concat()
}

/// Key of how many orders of a zApp wait.
#[must_use]
pub fn waiting_key(zapp: &ZappId) -> Vec<u8> {
    [b"nom/waiting/".as_slice(), zapp.as_bytes()].concat()
}

/// The block or momentum that must be deep enough in the chain for this request to be in a job: a
/// signer asks its own operator's node (rule A2). `None` for requests that claim nothing, and for
/// those that the step will refuse.
#[must_use]
pub fn observed(call: &Call) -> Option<Claim> {
    if call.zapp != ZappId::SYSTEM {
        return None;
    }
    let (of, height) = match call.method.as_str() {
        DEPOSIT => {
            let deposit: Deposit = methods::read(&call.input).ok()?;
            (Deep::Block(deposited(call)?), Some(deposit.momentum_height))
        }
        ISSUE => {
            let issue: Issue = methods::read(&call.input).ok()?;
            (Deep::Momentum(issue.momentum), Some(issue.momentum_height))
        }
        CONFIRM => {
            let confirm: Confirm = methods::read(&call.input).ok()?;
            (Deep::Block(confirm.block), None)
        }
        _ => return None,
    };
    Some(Claim { of, height })
}

/// The hash of the deposit that a request brings.
#[must_use]
pub fn deposited(call: &Call) -> Option<Digest> {
    if call.zapp != ZappId::SYSTEM || call.method != DEPOSIT {
        return None;
    }
    let deposit: Deposit = methods::read(&call.input).ok()?;
    let block = nom::BlockView::parse(&deposit.block).ok()?;
    Some(Digest::from_bytes(*block.hash.as_bytes()))
}

/// The key that a request names as the committee's: a signer takes no job with another.
#[must_use]
pub fn opened(call: &Call) -> Option<GroupKey> {
    let opens = call.zapp == ZappId::SYSTEM && call.method == OPEN;
    opens
        .then(|| methods::read::<Open>(&call.input).ok())?
        .map(|open| open.key)
}

/// The block that a leaf fixes, for the network: with its data, which is the output of the request
/// that issued it, and the group's key and signature.
///
/// # Errors
/// The rule that it breaks: of data or signature that are not the leaf's, if the leaf is attested.
pub fn published(
    leaf: &BlockLeaf,
    data: Vec<u8>,
    seal: nom::Seal,
) -> Result<nom::Block, nom::Refusal> {
    let place = Place {
        chain_identifier: leaf.chain,
        address: Address::from_bytes(leaf.account),
        height: leaf.height,
        previous_hash: Hash::from_bytes(leaf.previous),
        momentum: MomentumRef {
            hash: Hash::from_bytes(leaf.momentum),
            height: leaf.momentum_height,
        },
    };
    let draft = match leaf.block_type {
        BlockLeaf::RECEIVE => place.receive(Hash::from_bytes(leaf.source)),
        _ => place.send(
            Address::from_bytes(leaf.to),
            TokenStandard::from_bytes(leaf.token),
            Amount::from_bytes(leaf.amount),
            data,
        ),
    };
    let payment = Payment {
        fused_plasma: leaf.fused_plasma,
        difficulty: leaf.difficulty,
    };
    draft.paid(payment, leaf.nonce).sealed(seal)
}

impl State {
    /// The committee's NoM account, once it is begun.
    ///
    /// # Errors
    /// [`NeedState`] if a pruned state does not show it.
    pub fn nom_account(&self) -> Result<Option<Account>, NeedState> {
        Ok(self.get(&ZappId::SYSTEM, ACCOUNT)?.and_then(read))
    }

    /// Whether a step took this deposit.
    ///
    /// # Errors
    /// [`NeedState`] if a pruned state does not show it.
    pub fn nom_is_taken(&self, block: &Digest) -> Result<bool, NeedState> {
        Ok(self.get(&ZappId::SYSTEM, &taken_key(block))?.is_some())
    }

    /// An order that waits.
    ///
    /// # Errors
    /// [`NeedState`] if a pruned state does not show it.
    pub fn nom_order(&self, number: u64) -> Result<Option<Order>, NeedState> {
        Ok(self
            .get(&ZappId::SYSTEM, &order_key(number))?
            .and_then(read))
    }

    /// What a zApp has of a token, 32 bytes big-endian.
    ///
    /// # Errors
    /// [`NeedState`] if a pruned state does not show it.
    pub fn nom_balance(&self, zapp: &ZappId, token: &[u8; 10]) -> Result<[u8; 32], NeedState> {
        let value = self.get(&ZappId::SYSTEM, &balance_key(zapp, token))?;
        Ok(value
            .and_then(|value| value.try_into().ok())
            .unwrap_or_default())
    }
}
