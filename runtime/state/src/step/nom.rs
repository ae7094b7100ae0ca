//! The committee's NoM account: deposits in, orders out, one block after the other (rules E3, E4).

use alloc::vec::Vec;

use attestation::codec;
use attestation::ids::{Digest, Seq, ZappId};
use attestation::leaf::{BlockLeaf, MessageLeaf, Status};
use nom::work::{Payment, base_plasma};
use nom::{Address, Amount, BlockType, BlockView, DIFFICULTY_MAX, Draft, TokenStandard};

use crate::execute::{Execute, Op, Post};
use crate::limits::SYSTEM_GAS;
use crate::step::StepError;
use crate::step::requests::Requests;
use crate::step::turn::{Run, Turn};
use crate::system::nom::{
    ACCOUNT, ANCHOR, Account, Anchor, CALLER, CONFIRM, Confirm, DEPOSIT, DEPOSIT_GAS, Deposit,
    Deposited, ISSUE, Issue, Issued, ON_DEPOSIT, OPEN, ORDERS_MAX, Open, Order, Taken,
    ZAPP_ORDERS_MAX, balance_key, order_key, taken_key, waiting_key,
};
use crate::system::{self, Refusal, methods};

/// What a method came to.
type Done<T = ()> = Result<Result<T, Refusal>, StepError>;

/// A deposit that is sound and new.
struct Sound {
    from: [u8; 20],
    token: TokenStandard,
    amount: Amount,
    hash: Digest,
}

impl Requests<'_> {
    /// Whether the request is for the committee's account.
    pub(super) fn is_nom(turn: &Turn<'_>) -> bool {
        [OPEN, DEPOSIT, ANCHOR, ISSUE, CONFIRM].contains(&turn.call.method.as_str())
    }

    /// The methods of the committee's account.
    pub(super) fn nom(
        &mut self,
        turn: &mut Turn<'_>,
        execute: &mut dyn Execute,
    ) -> Result<(), StepError> {
        let method = turn.call.method.as_str();
        let gas = match method {
            DEPOSIT => SYSTEM_GAS + DEPOSIT_GAS,
            _ => SYSTEM_GAS,
        };
        if turn.call.gas_limit < gas {
            turn.out_of_gas(&[]);
            return Ok(());
        }
        turn.outcome.gas = SYSTEM_GAS;
        let done = match method {
            OPEN => self.nom_open(turn)?,
            ANCHOR => self.nom_anchor(turn)?,
            ISSUE => self.nom_issue(turn)?,
            CONFIRM => self.nom_confirm(turn)?,
            _ => return self.nom_deposit(turn, execute),
        };
        match done {
            Ok(()) => {
                turn.outcome.status = Status::Ok;
                turn.seal(&[]);
            }
            Err(refusal) => turn.refuse(refusal),
        }
        Ok(())
    }

    fn nom_open(&mut self, turn: &Turn<'_>) -> Done {
        let Ok(Open { key }) = methods::read(&turn.call.input) else {
            return Ok(Err(Refusal::Input));
        };
        if self.nom_account()?.is_ok() {
            return Ok(Err(Refusal::Exists));
        }
        self.set_nom_account(&Account {
            chain: self.environment.network.0,
            address: *Address::from_key(key.as_bytes()).as_bytes(),
            height: 1,
            previous: Digest::from_bytes([0; 32]),
            momentum_height: 0,
            first: 1,
            end: 1,
            anchored: 0,
            anchored_seq: Seq(0),
            issued: Vec::new(),
        });
        Ok(Ok(()))
    }

    /// Orders a block that names the step before. One waits at a time: the chain has room for one in a
    /// momentum at most. It goes to the address of zeros, whose sends nobody receives: among those that
    /// wait for the account it would hide deposits.
    fn nom_anchor(&mut self, turn: &Turn<'_>) -> Done {
        if !turn.call.input.is_empty() {
            return Ok(Err(Refusal::Input));
        }
        let mut account = match self.nom_account()? {
            Ok(account) => account,
            Err(refusal) => return Ok(Err(refusal)),
        };
        if account.anchored >= account.first {
            return Ok(Err(Refusal::Orders));
        }
        let anchor = Anchor {
            committee: self.environment.committee,
            seq: self.previous.seq,
            statement: self.previous.statement,
            state: self.previous.state,
        };
        let order = Order::Send {
            zapp: ZappId::SYSTEM,
            to: Order::NOBODY,
            token: [0; 10],
            amount: [0; 32],
            data: anchor.to_bytes(),
        };
        let number = account.end;
        let ordered = self.order(&mut account, &order);
        if ordered.is_ok() {
            account.anchored = number;
            account.anchored_seq = self.previous.seq;
        }
        self.set_nom_account(&account);
        Ok(ordered)
    }

    /// Takes a deposit: the zApp that its data names is credited and called. Where that fails, the
    /// deposit is sent back: it is consumed once in either case.
    fn nom_deposit(
        &mut self,
        turn: &mut Turn<'_>,
        execute: &mut dyn Execute,
    ) -> Result<(), StepError> {
        let Ok(deposit) = methods::read::<Deposit>(&turn.call.input) else {
            turn.refuse(Refusal::Input);
            return Ok(());
        };
        let sound = match self.receive(&deposit)? {
            Ok(sound) => sound,
            Err(refusal) => {
                turn.refuse(refusal);
                return Ok(());
            }
        };
        let (before, saved) = (self.journal.checkpoint(), self.purse.save());
        let taken = if self.hand_over(turn, &deposit.data, &sound, execute)? {
            Taken::Accepted
        } else {
            self.journal.revert(before);
            self.purse.restore(saved);
            turn.outcome.events.clear();
            turn.messages.clear();
            if Address::from_bytes(sound.from).is_contract() {
                Taken::Kept
            } else if let Err(refusal) = self.send_back(&sound)? {
                turn.refuse(refusal);
                return Ok(());
            } else {
                Taken::Returned
            }
        };
        let ran = turn.outcome.trace;
        turn.outcome.status = Status::Ok;
        turn.outcome.code = 0;
        turn.outcome.output = codec::encode(&taken);
        turn.seal(&[ran.as_bytes()]);
        Ok(())
    }

    /// Checks a deposit, marks it as taken and orders its receive.
    fn receive(&mut self, deposit: &Deposit) -> Done<Sound> {
        let mut account = match self.nom_account()? {
            Ok(account) => account,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let Ok(block) = BlockView::parse(&deposit.block) else {
            return Ok(Err(Refusal::Block));
        };
        let is_ours = block.header.block_type.is_send()
            && *block.header.to_address.as_bytes() == account.address
            && block.verify(account.chain).is_ok()
            && nom::sha3_256(&deposit.data) == block.data_hash;
        if !is_ours {
            return Ok(Err(Refusal::Block));
        }
        let hash = Digest::from_bytes(*block.hash.as_bytes());
        let key = taken_key(&hash);
        if self.journal.get(&ZappId::SYSTEM, &key)?.is_some() {
            return Ok(Err(Refusal::Taken));
        }
        self.journal.put(&ZappId::SYSTEM, &key, Some(Vec::new()));
        let receive = Order::Receive {
            source: hash,
            momentum_height: deposit.momentum_height,
        };
        let ordered = self.order(&mut account, &receive);
        self.set_nom_account(&account);
        Ok(ordered.map(|()| Sound {
            from: *block.header.address.as_bytes(),
            token: block.header.token_standard,
            amount: block.header.amount,
            hash,
        }))
    }

    /// Credits the zApp that a deposit names, and calls it. Whether it took the deposit.
    fn hand_over(
        &mut self,
        turn: &mut Turn<'_>,
        data: &[u8],
        sound: &Sound,
        execute: &mut dyn Execute,
    ) -> Result<bool, StepError> {
        let Some((zapp, data)) = data.split_first_chunk() else {
            return Ok(false);
        };
        let zapp = ZappId::from_bytes(*zapp);
        let record = match self.journal.callee(&zapp)? {
            Some(record) => record,
            None => return Ok(false),
        };
        let told = Deposited {
            block: sound.hash,
            from: sound.from,
            token: *sound.token.as_bytes(),
            amount: *sound.amount.as_bytes(),
            data: data.to_vec(),
        };
        let balance = self.nom_balance(&zapp, &sound.token)?;
        let (Some(sum), Some(input)) = (balance.checked_add(sound.amount), told.to_bytes()) else {
            return Ok(false);
        };
        self.set_nom_balance(&zapp, &sound.token, sum);
        let run = Run {
            op: Op::Call,
            zapp,
            record,
            caller: CALLER,
            method: ON_DEPOSIT,
            input: &input,
            gas_limit: DEPOSIT_GAS,
        };
        self.run(turn, &run, SYSTEM_GAS, execute)?;
        Ok(turn.outcome.status == Status::Ok)
    }

    /// Orders a deposit's amount back to its sender, with the deposit's hash as data.
    fn send_back(&mut self, sound: &Sound) -> Done {
        if sound.amount.is_zero() {
            return Ok(Ok(()));
        }
        let mut account = match self.nom_account()? {
            Ok(account) => account,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let order = Order::Send {
            zapp: ZappId::SYSTEM,
            to: sound.from,
            token: *sound.token.as_bytes(),
            amount: *sound.amount.as_bytes(),
            data: sound.hash.as_bytes().to_vec(),
        };
        let ordered = self.order(&mut account, &order);
        self.set_nom_account(&account);
        Ok(ordered)
    }

    /// Orders a payout that a zApp sends as a message to [`MessageLeaf::NOM`].
    pub(super) fn pay_out(&mut self, post: &Post) -> Done {
        let mut account = match self.nom_account()? {
            Ok(account) => account,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let Some((to, token, amount, data)) = payout(post) else {
            return Ok(Err(Refusal::Order));
        };
        // It would wait for the account for ever, among the deposits.
        if *to.as_bytes() == account.address {
            return Ok(Err(Refusal::Order));
        }
        let waiting = self.nom_waiting(&post.zapp)?;
        if waiting >= ZAPP_ORDERS_MAX {
            return Ok(Err(Refusal::Orders));
        }
        let balance = self.nom_balance(&post.zapp, &token)?;
        let Some(rest) = balance.checked_sub(amount) else {
            return Ok(Err(Refusal::Balance));
        };
        self.set_nom_balance(&post.zapp, &token, rest);
        let order = Order::Send {
            zapp: post.zapp,
            to: *to.as_bytes(),
            token: *token.as_bytes(),
            amount: *amount.as_bytes(),
            data: data.to_vec(),
        };
        let ordered = self.order(&mut account, &order);
        if ordered.is_ok() {
            self.set_nom_waiting(&post.zapp, waiting + 1);
        }
        self.set_nom_account(&account);
        Ok(ordered)
    }

    /// Makes the next order a block, as a leaf of this step. Its data is the request's output, so
    /// that leaf and output are all that publishing takes.
    fn nom_issue(&mut self, turn: &mut Turn<'_>) -> Done {
        let Ok(issue) = methods::read::<Issue>(&turn.call.input) else {
            return Ok(Err(Refusal::Input));
        };
        let mut account = match self.nom_account()? {
            Ok(account) => account,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let Some(order) = self.nom_order(&account)? else {
            return Ok(Err(Refusal::Orders));
        };
        let Some(draft) = account.draft(&order, &issue) else {
            return Ok(Err(Refusal::Issue));
        };
        account.note(Issued {
            block: Digest::from_bytes(*draft.hash().as_bytes()),
            momentum_height: issue.momentum_height,
            seq: self.job.seq,
            worked: issue.fused_plasma == 0,
        });
        self.set_nom_account(&account);
        turn.outcome.output = draft.data().to_vec();
        turn.block = Some(leaf(self.job.seq, &draft));
        Ok(Ok(()))
    }

    /// The chain has confirmed a block of the order that is next: the one after it is.
    fn nom_confirm(&mut self, turn: &Turn<'_>) -> Done {
        let Ok(Confirm { block, issue }) = methods::read(&turn.call.input) else {
            return Ok(Err(Refusal::Input));
        };
        let mut account = match self.nom_account()? {
            Ok(account) => account,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let Some(order) = self.nom_order(&account)? else {
            return Ok(Err(Refusal::Block));
        };
        let draft = account.draft(&order, &issue);
        if draft.is_none_or(|draft| draft.hash().as_bytes() != block.as_bytes()) {
            return Ok(Err(Refusal::Block));
        }
        if let Order::Send { zapp, .. } = order
            && zapp != ZappId::SYSTEM
        {
            let waiting = self.nom_waiting(&zapp)?;
            self.set_nom_waiting(&zapp, waiting.saturating_sub(1));
        }
        let done = order_key(account.first);
        self.journal.put(&ZappId::SYSTEM, &done, None);
        account.previous = block;
        account.momentum_height = issue.momentum_height;
        account.issued.clear();
        account.height = account
            .height
            .checked_add(1)
            .ok_or(StepError::SystemEntry)?;
        account.first = account.first.checked_add(1).ok_or(StepError::SystemEntry)?;
        self.set_nom_account(&account);
        Ok(Ok(()))
    }

    /// Puts an order at the end of those that wait.
    fn order(&mut self, account: &mut Account, order: &Order) -> Result<(), Refusal> {
        let waiting = account.end.saturating_sub(account.first);
        let end = account.end.checked_add(1).filter(|_| waiting < ORDERS_MAX);
        let Some(end) = end else {
            return Err(Refusal::Orders);
        };
        let (key, value) = (order_key(account.end), codec::encode(order));
        self.journal.put(&ZappId::SYSTEM, &key, Some(value));
        account.end = end;
        Ok(())
    }

    /// The order that is next, if one waits.
    fn nom_order(&mut self, account: &Account) -> Result<Option<Order>, StepError> {
        if account.first == account.end {
            return Ok(None);
        }
        let key = order_key(account.first);
        let order = self.journal.get(&ZappId::SYSTEM, &key)?;
        let order = order.and_then(system::read);
        order.map(Some).ok_or(StepError::SystemEntry)
    }

    fn nom_account(&mut self) -> Done<Account> {
        Ok(match self.journal.get(&ZappId::SYSTEM, ACCOUNT)? {
            Some(value) => Ok(system::read(value).ok_or(StepError::SystemEntry)?),
            None => Err(Refusal::NoAccount),
        })
    }

    fn set_nom_account(&mut self, account: &Account) {
        let value = codec::encode(account);
        self.journal.put(&ZappId::SYSTEM, ACCOUNT, Some(value));
    }

    fn nom_waiting(&mut self, zapp: &ZappId) -> Result<u64, StepError> {
        let Some(value) = self.journal.get(&ZappId::SYSTEM, &waiting_key(zapp))? else {
            return Ok(0);
        };
        let bytes = value.try_into().map_err(|_| StepError::SystemEntry)?;
        Ok(u64::from_be_bytes(bytes))
    }

    fn set_nom_waiting(&mut self, zapp: &ZappId, waiting: u64) {
        let value = (waiting > 0).then(|| waiting.to_be_bytes().to_vec());
        let key = waiting_key(zapp);
        self.journal.put(&ZappId::SYSTEM, &key, value);
    }

    fn nom_balance(&mut self, zapp: &ZappId, token: &TokenStandard) -> Result<Amount, StepError> {
        let key = balance_key(zapp, token.as_bytes());
        let Some(value) = self.journal.get(&ZappId::SYSTEM, &key)? else {
            return Ok(Amount::ZERO);
        };
        let bytes = value.try_into().map_err(|_| StepError::SystemEntry)?;
        Ok(Amount::from_bytes(bytes))
    }

    fn set_nom_balance(&mut self, zapp: &ZappId, token: &TokenStandard, amount: Amount) {
        let value = (!amount.is_zero()).then(|| amount.as_bytes().to_vec());
        let key = balance_key(zapp, token.as_bytes());
        self.journal.put(&ZappId::SYSTEM, &key, value);
    }
}

/// Recipient, token, amount and data of a message to [`MessageLeaf::NOM`]; `None` if no block can
/// carry them, or only one that more plasma pays for than work gives: it would hold up all others
/// until somebody fuses QSR. A recipient is a user: a call of an embedded contract has another price.
fn payout(post: &Post) -> Option<(Address, TokenStandard, Amount, &[u8])> {
    let [zeros @ .., _, _, _, _, _, _, _, _, _, _] = &post.contract;
    let token = post.contract.last_chunk().copied()?;
    let to = post.receiver.last_chunk().copied()?;
    let (pad, _) = post.receiver.split_at(32 - Address::LEN);
    let is_padded = zeros.iter().chain(pad).all(|byte| *byte == 0);
    let (amount, data) = post.payload.split_first_chunk()?;
    let (to, token) = (Address::from_bytes(to), TokenStandard::from_bytes(token));
    let amount = Amount::from_bytes(*amount);
    let most = Payment {
        fused_plasma: 0,
        difficulty: DIFFICULTY_MAX,
    };
    let is_sound = is_padded
        && amount.fits_block()
        && !amount.is_zero()
        && !token.is_zero()
        && base_plasma(BlockType::UserSend, &to, data.len()).is_some_and(|base| most.pays(base))
        && !to.is_contract()
        && !to.is_zero();
    is_sound.then_some((to, token, amount, data))
}

fn leaf(seq: Seq, draft: &Draft) -> BlockLeaf {
    let header = draft.header();
    BlockLeaf {
        seq,
        chain: header.chain_identifier,
        block_type: header.block_type.number(),
        previous: *header.previous_hash.as_bytes(),
        height: header.height,
        momentum: *header.momentum_acknowledged.hash.as_bytes(),
        momentum_height: header.momentum_acknowledged.height,
        account: *header.address.as_bytes(),
        to: *header.to_address.as_bytes(),
        amount: *header.amount.as_bytes(),
        token: *header.token_standard.as_bytes(),
        source: *header.from_block_hash.as_bytes(),
        data: *nom::sha3_256(draft.data()).as_bytes(),
        fused_plasma: header.fused_plasma,
        difficulty: header.difficulty,
        nonce: header.nonce,
    }
}

/// Whether a message is an order for the committee's account.
pub(super) const fn is_payout(post: &Post) -> bool {
    post.chain == MessageLeaf::NOM
}
