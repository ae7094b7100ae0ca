//! Points that an owner gives away and holders pass on; and one method for each thing more that a
//! language's SDK must be able to do.
//!
//! The same zApp is written in C (`runtime/c/examples/points.c`) and in AssemblyScript
//! (`runtime/assemblyscript/examples/points.ts`). One table of calls, `runtime/tests/languages`,
//! holds for all three: equal answers, events, entries, messages and reverts.
//!
//! Its invariant: the total is the sum of what all holders have.

#![no_std]

#[zapp::zapp]
mod points {
    use zapp::prelude::*;
    use zapp::{abort, committee, gas_left, pull, state};

    static OWNER: Item<[u8; 32]> = Item::new(b"owner");
    static NAME: Item<Text<16>> = Item::new(b"name");
    static TOTAL: Item<u64> = Item::new(b"total");
    static HELD: Map<[u8; 32], u64> = Map::new(b"h");

    #[error]
    enum Error {
        /// Nothing would move.
        ZeroAmount = 100,
        /// The holder has less than the amount.
        TooFew = 101,
        /// A name has at least one character.
        NoName = 102,
    }

    #[event]
    struct Given {
        to: [u8; 32],
        amount: u64,
    }

    #[event]
    struct Passed {
        from: [u8; 32],
        to: [u8; 32],
        amount: u64,
    }

    #[init]
    fn init(name: Text<16>) -> Result<()> {
        OWNER.set(&caller());
        rename(&name)
    }

    /// Takes over what a module in another language left, under a new name.
    #[migrate]
    fn migrate(name: Text<16>) -> Result<()> {
        rename(&name)
    }

    /// Gives new points; only the owner may. Answers with what the recipient has.
    #[call]
    fn give(to: [u8; 32], amount: u64) -> Result<u64> {
        ensure(caller() == OWNER.load()?, Revert::NOT_OWNER)?;
        ensure(amount > 0, Error::ZeroAmount)?;
        let total = TOTAL.or_default()?.checked_add(amount);
        TOTAL.set(&total.ok_or(Revert::OVERFLOW)?);
        let held = credit(&to, amount)?;
        Given { to, amount }.emit();
        log("given");
        Ok(held)
    }

    /// Passes the caller's points on. Answers with what the caller has left.
    #[call]
    fn pass(to: [u8; 32], amount: u64) -> Result<u64> {
        ensure(amount > 0, Error::ZeroAmount)?;
        let from = caller();
        let left = HELD.or_default(&from)?.checked_sub(amount);
        // Written before the credit is read: passing to oneself moves nothing.
        hold(&from, left.ok_or(Error::TooFew)?);
        credit(&to, amount)?;
        Passed { from, to, amount }.emit();
        HELD.or_default(&from)
    }

    /// Gives up what the caller has.
    #[call]
    fn forgo() -> Result<()> {
        let from = caller();
        let total = TOTAL.or_default()?.checked_sub(HELD.or_default(&from)?);
        TOTAL.set(&total.ok_or(Revert::OVERFLOW)?);
        HELD.remove(&from);
        Ok(())
    }

    /// Takes all points away; only the owner may.
    #[call]
    fn clear() -> Result<()> {
        ensure(caller() == OWNER.load()?, Revert::NOT_OWNER)?;
        for holder in HELD.keys() {
            HELD.remove(&holder?);
        }
        TOTAL.clear();
        Ok(())
    }

    /// Passes points on that this zApp has at another one like it. Answers as that one does.
    #[call]
    fn pass_at(other: [u8; 32], to: [u8; 32], amount: u64) -> Result<u64> {
        let call = Call::<128>::of(&other, "pass");
        Ok(call.argument(&to).argument(&amount).send()?)
    }

    /// Calls a method without arguments and result of another zApp, on at most so much gas. Answers
    /// how that ended: 0 well, 1 with a revert, whose code follows, 2 with a trap, 3 without gas, 4
    /// not at all.
    #[call]
    fn try_at(other: [u8; 32], method: Text<16>, gas: u64) -> (u8, u32) {
        match Call::<128>::of(&other, &method).gas(gas).send::<()>() {
            Ok(()) => (0, 0),
            Err(CallFailed::Reverted(code)) => (1, code),
            Err(CallFailed::Trapped) => (2, 0),
            Err(CallFailed::OutOfGas) => (3, 0),
            Err(CallFailed::NotCallable) => (4, 0),
        }
    }

    /// Sends a message to a contract on another chain.
    #[call]
    fn send(
        chain: u64,
        contract: [u8; 32],
        receiver: [u8; 32],
        gas: u64,
        label: Bytes<32>,
        payload: Bytes<64>,
    ) {
        let destination = Destination {
            chain,
            contract,
            receiver,
            gas,
            label: &label,
        };
        destination.send(&payload);
    }

    /// What members saw at a source of the request: its id, and a number or a text.
    #[call]
    fn seen(index: u32) -> Result<Option<([u8; 32], Option<i64>, Option<Bytes<32>>)>> {
        let Some(pulled) = pull(index) else {
            return Ok(None);
        };
        let text = pulled.bytes().map(Bytes::new).transpose()?;
        Ok(Some((pulled.source(), pulled.integer(), text)))
    }

    /// Ends the call with a message.
    #[call]
    fn stop(message: Text<16>) {
        abort(message.as_bytes());
    }

    /// Breaks a rule of the host: no key is empty.
    #[call]
    fn crash() {
        state::delete(b"");
    }

    /// Runs until the gas is used up.
    #[call]
    fn spin() {
        loop {}
    }

    /// What a holder has.
    #[view]
    fn held(holder: [u8; 32]) -> Result<u64> {
        HELD.or_default(&holder)
    }

    /// Up to four holders after this one, in order, each with its points.
    #[view]
    fn page(after: Option<[u8; 32]>) -> Result<List<([u8; 32], u64), 4>> {
        let mut page = List::new();
        let holders = match after {
            Some(holder) => HELD.after(holder),
            None => HELD.iter(),
        };
        for holder in holders.take(4) {
            page.push(holder?)?;
        }
        Ok(page)
    }

    /// Name, owner and all points together.
    #[view]
    fn about() -> Result<(Text<16>, [u8; 32], u64)> {
        Ok((NAME.load()?, OWNER.load()?, TOTAL.or_default()?))
    }

    /// Caller, key that signed, this zApp, request, committee, height of the chain, time.
    #[view]
    fn context() -> ([u8; 32], [u8; 32], [u8; 32], [u8; 32], [u8; 32], (u64, u64)) {
        let time = (height(), time_ms());
        (
            caller(),
            origin(),
            zapp_id(),
            request_id(),
            committee(),
            time,
        )
    }

    /// SHA-256, SHA3-256 and Keccak-256; true if computing them took gas.
    #[view]
    fn digests(data: Bytes<64>) -> ([u8; 32], [u8; 32], [u8; 32], bool) {
        let before = gas_left();
        let digests = (sha256(&data), sha3_256(&data), keccak256(&data));
        (digests.0, digests.1, digests.2, gas_left() < before)
    }

    /// Whether this is the key's signature of the message.
    #[view]
    fn verify(key: [u8; 32], signature: [u8; 64], message: Bytes<64>) -> bool {
        ed25519_verify(&key, &message, &signature)
    }

    /// Tries to write, which no view may.
    #[view]
    fn meddle() {
        TOTAL.set(&0);
    }

    fn rename(name: &Text<16>) -> Result<()> {
        ensure(!name.is_empty(), Error::NoName)?;
        NAME.set(name);
        Ok(())
    }

    fn credit(holder: &[u8; 32], amount: u64) -> Result<u64> {
        let held = HELD.or_default(holder)?.checked_add(amount);
        let held = held.ok_or(Revert::OVERFLOW)?;
        hold(holder, held);
        Ok(held)
    }

    /// No points are no entry.
    fn hold(holder: &[u8; 32], amount: u64) {
        if amount == 0 {
            HELD.remove(holder);
        } else {
            HELD.set(holder, &amount);
        }
    }
}
