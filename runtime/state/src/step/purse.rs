//! Money within a step: who pays, how much, and that none of it appears or is lost.

use attestation::codec;
use attestation::ids::{IdentityKey, Slot, ZappId};
use attestation::request::{Call, FeePayer, work_bits};
use attestation::terms::Terms;

use crate::journal::Journal;
use crate::limits::{ESCROW_CALL_GAS, WORK_AHEAD_MS};
use crate::state::{State, Writes};
use crate::step::StepError;
use crate::step::requests::read;
use crate::system::{
    self, ACCOUNTS, CREDITS, Credits, FUNDS, Funds, LEASES, Lease, Refusal, account_key, lease_key,
};

/// Accounts, escrows and the totals over them. Where terms are free and nobody moves money, no
/// entry of it is read or written.
pub(super) struct Purse {
    terms: Terms,
    /// As they are now; `None` until something needs them.
    funds: Option<Funds>,
}

/// Who pays for a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Payer {
    /// Nobody: terms are free, or the caller has worked for it.
    Nobody,
    /// An account.
    Account(IdentityKey),
    /// A zApp's escrow.
    Escrow(ZappId),
}

/// What was taken from a payer before the request ran.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prepaid {
    payer: Payer,
    amount: u64,
}

impl Purse {
    pub(super) fn new(terms: Terms) -> Self {
        Self { terms, funds: None }
    }

    /// Fees of the last step, which are divided once its trace root is known.
    pub(super) fn last_fees(&mut self, journal: &mut Journal<'_>) -> Result<u64, StepError> {
        if self.terms.are_free() {
            return Ok(0);
        }
        Ok(core::mem::take(&mut self.funds(journal)?.last))
    }

    /// Divides the fees of a step: `earned` of them went to members.
    pub(super) fn divide(
        &mut self,
        journal: &mut Journal<'_>,
        fees: u64,
        earned: u64,
    ) -> Result<(), StepError> {
        if fees > 0 {
            let funds = self.funds(journal)?;
            take(&mut funds.pending, fees)?;
            funds.earned = add(funds.earned, earned)?;
            let rest = fees.checked_sub(earned).ok_or(StepError::Conservation)?;
            funds.unassigned = add(funds.unassigned, rest)?;
        }
        Ok(())
    }

    /// Takes the most that a request may cost from whoever pays, before anything of it runs: what
    /// the request itself then spends cannot be the money for its bill.
    pub(super) fn prepay(
        &mut self,
        journal: &mut Journal<'_>,
        request: &Call,
        work_bits: u32,
        time_ms: u64,
    ) -> Result<Result<Prepaid, Refusal>, StepError> {
        let payer = match payer(&self.terms, request, work_bits, time_ms) {
            Ok(payer) => payer,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let amount = self.terms.fee(request.gas_limit);
        match payer {
            Payer::Nobody => {}
            Payer::Account(account) => {
                let balance = self.account(journal, &account)?;
                let Some(rest) = balance.checked_sub(amount) else {
                    return Ok(Err(Refusal::Unpaid));
                };
                self.set_account(journal, &account, rest)?;
            }
            Payer::Escrow(zapp) => {
                let mut lease = self.lease(journal, &zapp)?;
                if let Some(refusal) = refuses(&lease, request.gas_limit, amount) {
                    return Ok(Err(refusal));
                }
                lease.escrow -= amount;
                self.set_lease(journal, &zapp, &lease)?;
            }
        }
        if payer == Payer::Nobody {
            return Ok(Ok(Prepaid { payer, amount: 0 }));
        }
        let funds = self.funds(journal)?;
        funds.pending = add(funds.pending, amount)?;
        Ok(Ok(Prepaid { payer, amount }))
    }

    /// Charges the gas that was used and gives the rest back; returns the fee.
    pub(super) fn charge(
        &mut self,
        journal: &mut Journal<'_>,
        prepaid: Prepaid,
        gas: u64,
    ) -> Result<u64, StepError> {
        let fee = self.terms.fee(gas).min(prepaid.amount);
        let rest = prepaid.amount - fee;
        match prepaid.payer {
            Payer::Nobody => return Ok(0),
            Payer::Account(account) => {
                let balance = add(self.account(journal, &account)?, rest)?;
                self.set_account(journal, &account, balance)?;
            }
            Payer::Escrow(zapp) => {
                let mut lease = self.lease(journal, &zapp)?;
                lease.escrow = add(lease.escrow, rest)?;
                self.set_lease(journal, &zapp, &lease)?;
            }
        }
        let funds = self.funds(journal)?;
        take(&mut funds.pending, rest)?;
        funds.last = add(funds.last, fee)?;
        Ok(fee)
    }

    /// Holds or returns deposits for what a run stored and deleted; `false` if the escrow cannot
    /// pay, and then nothing has changed.
    pub(super) fn store(
        &mut self,
        journal: &mut Journal<'_>,
        zapp: &ZappId,
        grown: u64,
        shrunk: u64,
    ) -> Result<bool, StepError> {
        if self.terms.byte_deposit == 0 || grown == shrunk {
            return Ok(true);
        }
        let mut lease = self.lease(journal, zapp)?;
        let stored = add(lease.stored, grown)?;
        let stored = stored.checked_sub(shrunk).ok_or(StepError::Conservation)?;
        let (before, after) = (self.deposit(lease.stored)?, self.deposit(stored)?);
        let whole = add(lease.escrow, before)?;
        // Growth is held to the owner's reserve like any other expense; shrinking never is.
        let floor = if after > before { lease.reserve } else { 0 };
        let Some(escrow) = whole.checked_sub(after).filter(|left| *left >= floor) else {
            return Ok(false);
        };
        lease.escrow = escrow;
        lease.stored = stored;
        self.set_lease(journal, zapp, &lease)?;
        Ok(true)
    }

    /// Moves money from an account into an escrow; `false` if there is less.
    pub(super) fn fund(
        &mut self,
        journal: &mut Journal<'_>,
        from: &IdentityKey,
        zapp: &ZappId,
        amount: u64,
    ) -> Result<bool, StepError> {
        if amount == 0 {
            return Ok(true);
        }
        let balance = self.account(journal, from)?;
        let Some(rest) = balance.checked_sub(amount) else {
            return Ok(false);
        };
        self.set_account(journal, from, rest)?;
        let mut lease = self.lease(journal, zapp)?;
        lease.escrow = add(lease.escrow, amount)?;
        self.set_lease(journal, zapp, &lease)?;
        Ok(true)
    }

    /// Moves money from an escrow into an account; `false` if there is less.
    pub(super) fn withdraw(
        &mut self,
        journal: &mut Journal<'_>,
        zapp: &ZappId,
        to: &IdentityKey,
        amount: u64,
    ) -> Result<bool, StepError> {
        let mut lease = self.lease(journal, zapp)?;
        let Some(rest) = lease.escrow.checked_sub(amount) else {
            return Ok(false);
        };
        if amount > 0 {
            lease.escrow = rest;
            self.set_lease(journal, zapp, &lease)?;
            let balance = add(self.account(journal, to)?, amount)?;
            self.set_account(journal, to, balance)?;
        }
        Ok(true)
    }

    /// Moves money between accounts; `false` if there is less.
    pub(super) fn transfer(
        &mut self,
        journal: &mut Journal<'_>,
        from: &IdentityKey,
        to: &IdentityKey,
        amount: u64,
    ) -> Result<bool, StepError> {
        let balance = self.account(journal, from)?;
        let Some(rest) = balance.checked_sub(amount) else {
            return Ok(false);
        };
        if amount > 0 && from != to {
            self.set_account(journal, from, rest)?;
            let balance = add(self.account(journal, to)?, amount)?;
            self.set_account(journal, to, balance)?;
        }
        Ok(true)
    }

    /// Pays out what a member has earned.
    pub(super) fn claim(
        &mut self,
        journal: &mut Journal<'_>,
        slot: Slot,
        to: &IdentityKey,
    ) -> Result<u64, StepError> {
        let mut credits: Credits = read(journal, CREDITS)?;
        let amount = credits.take(slot);
        if amount > 0 {
            journal.put(&ZappId::SYSTEM, CREDITS, Some(codec::encode(&credits)));
            take(&mut self.funds(journal)?.earned, amount)?;
            let balance = add(self.account(journal, to)?, amount)?;
            self.set_account(journal, to, balance)?;
        }
        Ok(amount)
    }

    /// The lease of a zApp.
    pub(super) fn lease(
        &self,
        journal: &mut Journal<'_>,
        zapp: &ZappId,
    ) -> Result<Lease, StepError> {
        match journal.get(&ZappId::SYSTEM, &lease_key(zapp))? {
            Some(value) => system::read(value).ok_or(StepError::SystemEntry),
            None => Ok(Lease::default()),
        }
    }

    /// Sets a lease, and the totals over escrows and deposits with it.
    pub(super) fn set_lease(
        &mut self,
        journal: &mut Journal<'_>,
        zapp: &ZappId,
        lease: &Lease,
    ) -> Result<(), StepError> {
        let before = self.lease(journal, zapp)?;
        let (held, holds) = (self.deposit(before.stored)?, self.deposit(lease.stored)?);
        let funds = self.funds(journal)?;
        take(&mut funds.escrows, before.escrow)?;
        funds.escrows = add(funds.escrows, lease.escrow)?;
        take(&mut funds.held, held)?;
        funds.held = add(funds.held, holds)?;
        let value = (*lease != Lease::default()).then(|| codec::encode(lease));
        journal.put(&ZappId::SYSTEM, &lease_key(zapp), value);
        Ok(())
    }

    /// What is in the purse, to [`Self::restore`] when a request is undone.
    pub(super) fn save(&self) -> Option<Funds> {
        self.funds
    }

    /// Undoes with the journal what a request did.
    pub(super) fn restore(&mut self, saved: Option<Funds>) {
        // What was not loaded then is loaded again when needed: the entry is written at the end.
        self.funds = saved;
    }

    /// Writes the totals; called once, after the last request.
    pub(super) fn end(&self, journal: &mut Journal<'_>) {
        if let Some(funds) = &self.funds {
            journal.put(&ZappId::SYSTEM, FUNDS, Some(codec::encode(funds)));
        }
    }

    fn account(&self, journal: &mut Journal<'_>, account: &IdentityKey) -> Result<u64, StepError> {
        let value = journal.get(&ZappId::SYSTEM, &account_key(account))?;
        system::read_number(value).ok_or(StepError::SystemEntry)
    }

    fn set_account(
        &mut self,
        journal: &mut Journal<'_>,
        account: &IdentityKey,
        balance: u64,
    ) -> Result<(), StepError> {
        let before = self.account(journal, account)?;
        let funds = self.funds(journal)?;
        take(&mut funds.accounts, before)?;
        funds.accounts = add(funds.accounts, balance)?;
        let value = (balance > 0).then(|| balance.to_be_bytes().to_vec());
        journal.put(&ZappId::SYSTEM, &account_key(account), value);
        Ok(())
    }

    fn deposit(&self, bytes: u64) -> Result<u64, StepError> {
        bytes
            .checked_mul(self.terms.byte_deposit)
            .ok_or(StepError::Conservation)
    }

    fn funds(&mut self, journal: &mut Journal<'_>) -> Result<&mut Funds, StepError> {
        if self.funds.is_none() {
            self.funds = Some(read(journal, FUNDS)?);
        }
        self.funds.as_mut().ok_or(StepError::SystemEntry)
    }
}

/// Whether a request can be paid for on this state: what a node asks before it queues one.
///
/// # Errors
/// The [`Refusal`] that a step would give it now; [`StepError`] if the state is no committee's.
pub fn payable(state: &State, call: &Call, time_ms: u64) -> Result<Result<(), Refusal>, StepError> {
    let committee = state.committee()?.ok_or(StepError::SystemEntry)?;
    if committee.terms.are_free() {
        return Ok(Ok(()));
    }
    let mut purse = Purse::new(committee.terms);
    let mut journal = Journal::new(state);
    let work = work_bits(&call.id());
    Ok(purse.prepay(&mut journal, call, work, time_ms)?.map(|_| ()))
}

/// Recomputes from a step's net writes what its totals say: every member does before it votes, so
/// that no mistake in the bookkeeping is ever signed.
pub(super) fn check(state: &State, terms: &Terms, writes: &Writes) -> Result<(), StepError> {
    let Some(system) = writes.get(&ZappId::SYSTEM) else {
        return Ok(());
    };
    let mut moved = Moved::default();
    for (key, value) in system {
        let old = state.get(&ZappId::SYSTEM, key)?;
        let new = value.as_deref();
        if key.starts_with(ACCOUNTS) {
            moved.accounts += difference(old, new, |value| system::read_number(Some(value)))?;
        } else if key.starts_with(LEASES) {
            let escrow = |value: &[u8]| system::read::<Lease>(value).map(|lease| lease.escrow);
            let stored = |value: &[u8]| system::read::<Lease>(value).map(|lease| lease.stored);
            moved.escrows += difference(old, new, escrow)?;
            moved.held += difference(old, new, stored)? * i128::from(terms.byte_deposit);
        } else if key == CREDITS {
            let earned = |value: &[u8]| system::read::<Credits>(value).map(|all| all.earned());
            moved.earned += difference(old, new, earned)?;
        }
    }
    // Where nothing moved the totals need not be in the witness.
    if moved == Moved::default() && !system.contains_key(FUNDS) {
        return Ok(());
    }
    let read = |value: Option<&[u8]>| value.and_then(system::read::<Funds>);
    let old = read(state.get(&ZappId::SYSTEM, FUNDS)?).ok_or(StepError::SystemEntry)?;
    let new = match system.get(FUNDS) {
        Some(value) => read(value.as_deref()).ok_or(StepError::SystemEntry)?,
        None => old,
    };
    let told = Moved {
        accounts: i128::from(new.accounts) - i128::from(old.accounts),
        escrows: i128::from(new.escrows) - i128::from(old.escrows),
        held: i128::from(new.held) - i128::from(old.held),
        earned: i128::from(new.earned) - i128::from(old.earned),
    };
    // Nothing comes in yet but what the record granted.
    if told != moved || !new.balance() || new.deposits != old.deposits {
        return Err(StepError::Conservation);
    }
    Ok(())
}

/// Changes of totals.
#[derive(Debug, Default, PartialEq, Eq)]
struct Moved {
    accounts: i128,
    escrows: i128,
    held: i128,
    earned: i128,
}

fn difference(
    old: Option<&[u8]>,
    new: Option<&[u8]>,
    amount: impl Fn(&[u8]) -> Option<u64>,
) -> Result<i128, StepError> {
    let read = |value: Option<&[u8]>| match value {
        Some(value) => amount(value).ok_or(StepError::SystemEntry),
        None => Ok(0),
    };
    Ok(i128::from(read(new)?) - i128::from(read(old)?))
}

fn payer(terms: &Terms, call: &Call, work_bits: u32, time_ms: u64) -> Result<Payer, Refusal> {
    if call.fee_payer == FeePayer::Work {
        let works = terms.work_bits > 0
            && work_bits >= u32::from(terms.work_bits)
            && call.gas_limit <= terms.work_gas
            // Work done for later is worth nothing: a stock of it could flood a committee.
            && call.valid_until_ms <= time_ms.saturating_add(WORK_AHEAD_MS);
        return if works || terms.are_free() {
            Ok(Payer::Nobody)
        } else {
            Err(Refusal::Work)
        };
    }
    Ok(if terms.are_free() {
        Payer::Nobody
    } else if call.fee_payer == FeePayer::Zapp && call.zapp != ZappId::SYSTEM {
        Payer::Escrow(call.zapp)
    } else {
        Payer::Account(call.caller)
    })
}

/// Why an escrow does not pay.
fn refuses(lease: &Lease, gas_limit: u64, amount: u64) -> Option<Refusal> {
    let gas_max = match lease.call_gas_max {
        0 => ESCROW_CALL_GAS,
        set => set,
    };
    if gas_limit > gas_max {
        return Some(Refusal::CallGas);
    }
    let free = lease.escrow.checked_sub(lease.reserve);
    free.is_none_or(|free| free < amount)
        .then_some(Refusal::Unpaid)
}

fn add(to: u64, amount: u64) -> Result<u64, StepError> {
    to.checked_add(amount).ok_or(StepError::Conservation)
}

fn take(from: &mut u64, amount: u64) -> Result<(), StepError> {
    *from = from.checked_sub(amount).ok_or(StepError::Conservation)?;
    Ok(())
}
