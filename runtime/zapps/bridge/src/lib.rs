//! One side of a bridge: locks tokens of a `ledger` here and orders their mint on another chain;
//! releases here what was burned there.
//!
//! `lock` takes tokens that the caller has approved, keeps them in this zApp's name, and sends a
//! message. The committee attests it as a leaf of its own, a message acceptor on the other chain
//! delivers it once and in order, and the bridge contract there mints. What that contract announces
//! (a burn, or a deposit that it gave back) this zApp learns from watchers, and acts once enough of
//! them have said the same: members do not follow that chain themselves. Watchers can release no
//! more than is locked, and only to whom they name together.
//!
//! Its invariant: the tokens that this zApp holds in the ledger are `locked` and `due` together.

#![no_std]

#[zapp::zapp]
mod bridge {
    use zapp::prelude::*;

    /// As many as fit into the mask of what they said.
    const WATCHERS_MAX: usize = 16;
    /// A mint order is good for so long; the contract gives back what it is shown later.
    const TERM_MS: u64 = 24 * 60 * 60 * 1000;
    /// First byte of a mint order.
    const MINT: u8 = 1;
    const ORDER_BYTES: usize = 93;

    static SIDES: Item<Sides> = Item::new(b"sides");
    /// Each watcher's position in the mask.
    static WATCHERS: Map<[u8; 32], u8> = Map::new(b"w");
    /// Tokens that exist on the other side, or are on the way.
    static LOCKED: Item<u128> = Item::new(b"locked");
    /// Deposits by the id of the request that made them.
    static DEPOSITS: Map<[u8; 32], Deposit> = Map::new(b"made");
    /// What watchers said, and who of them.
    static SAID: Map<Report, u16> = Map::new(b"said");
    static HEARD: Set<(u8, [u8; 32])> = Set::new(b"h");
    /// What is due to an address and not yet fetched.
    static DUE: Map<[u8; 20], u128> = Map::new(b"due");

    #[derive(Value)]
    pub struct Sides {
        ledger: [u8; 32],
        /// EIP-155 id of the other chain.
        chain: u64,
        /// The message acceptor there, and the bridge contract that it calls.
        acceptor: [u8; 20],
        contract: [u8; 20],
        /// Gas for the call there.
        gas: u64,
        /// Watchers that must say the same.
        quorum: u8,
    }

    #[derive(Value)]
    pub struct Deposit {
        sender: [u8; 32],
        amount: u128,
    }

    /// Kind (burn or return), number or deposit, recipient, amount.
    type Report = (u8, [u8; 32], [u8; 20], u128);

    const BURN: u8 = 0;
    const RETURN: u8 = 1;

    #[error]
    enum Error {
        /// No watchers, more than 16, one twice, or a quorum that they cannot reach.
        BadWatchers,
        /// The caller is none of the watchers.
        NotAWatcher,
        /// Nothing would move.
        ZeroAmount,
        /// This burn or return was acted on before.
        Known,
        /// More than is locked.
        TooMuch,
        /// No deposit has this id, or another amount.
        NoSuchDeposit,
        /// Nothing is due to the caller.
        NothingDue,
    }

    #[event]
    struct Locked {
        deposit: [u8; 32],
        sender: [u8; 32],
        recipient: [u8; 20],
        amount: u128,
    }

    #[event]
    struct Released {
        kind: u8,
        id: [u8; 32],
        amount: u128,
    }

    /// Fixes both sides and the watchers, which nobody can change.
    #[init]
    fn init(sides: Sides, watchers: List<[u8; 32], WATCHERS_MAX>) -> Result<()> {
        let reachable = (1..=watchers.len()).contains(&usize::from(sides.quorum));
        ensure(reachable, Error::BadWatchers)?;
        for (watcher, position) in watchers.iter().zip(0..) {
            ensure(!WATCHERS.contains(watcher), Error::BadWatchers)?;
            WATCHERS.set(watcher, &position);
        }
        SIDES.set(&sides);
        Ok(())
    }

    /// Takes the caller's tokens, as far as it has approved this zApp in the ledger, and orders as
    /// many for `recipient` on the other chain. Answers with the deposit's id.
    #[call]
    fn lock(amount: u128, recipient: [u8; 20]) -> Result<[u8; 32]> {
        ensure(amount > 0, Error::ZeroAmount)?;
        let (sides, sender, deposit) = (SIDES.load()?, caller(), request_id());
        // A zApp that calls this one could lock twice in one request: one deposit, one id.
        ensure(!DEPOSITS.contains(&deposit), Error::Known)?;
        Call::<192>::of(&sides.ledger, "transfer_from")
            .argument(&sender)
            .argument(&zapp_id())
            .argument(&amount)
            .send::<u128>()?;
        let locked = LOCKED.or_default()?.checked_add(amount);
        LOCKED.set(&locked.ok_or(Revert::OVERFLOW)?);
        DEPOSITS.set(&deposit, &Deposit { sender, amount });
        let order = order(&recipient, amount, &deposit);
        Destination {
            chain: sides.chain,
            contract: padded(&sides.acceptor),
            receiver: padded(&sides.contract),
            gas: sides.gas,
            label: b"mint",
        }
        .send(&order);
        Locked {
            deposit,
            sender,
            recipient,
            amount,
        }
        .emit();
        Ok(deposit)
    }

    /// A watcher's word that burn `number` on the other chain is for `to`: the NoM address of a
    /// key, which can then `fetch` it. Answers whether that was the last word needed.
    #[call]
    fn burned(number: u64, to: [u8; 20], amount: u128) -> Result<bool> {
        let mut id = [0; 32];
        if let Some(place) = id.last_chunk_mut::<8>() {
            *place = number.to_be_bytes();
        }
        if !say(&(BURN, id, to, amount))? {
            return Ok(false);
        }
        unlock(BURN, id, amount)?;
        let due = DUE.or_default(&to)?.checked_add(amount);
        DUE.set(&to, &due.ok_or(Revert::OVERFLOW)?);
        Ok(true)
    }

    /// A watcher's word that the contract gave a deposit back. The last word needed sends it to
    /// whoever locked it.
    #[call]
    fn returned(deposit: [u8; 32], amount: u128) -> Result<bool> {
        if !say(&(RETURN, deposit, [0; 20], amount))? {
            return Ok(false);
        }
        let made = DEPOSITS.get(&deposit)?;
        let made = made.filter(|made| made.amount == amount);
        let made = made.ok_or(Error::NoSuchDeposit)?;
        unlock(RETURN, deposit, amount)?;
        pay(&made.sender, amount)?;
        Ok(true)
    }

    /// Pays out what is due to the caller's address. Answers with the amount.
    #[call]
    fn fetch() -> Result<u128> {
        let to = caller();
        let address = nom::address(&to);
        let due = DUE.or_default(&address)?;
        ensure(due > 0, Error::NothingDue)?;
        DUE.remove(&address);
        pay(&to, due)?;
        Ok(due)
    }

    /// Tokens that exist on the other side, or are on the way.
    #[view]
    fn locked() -> Result<u128> {
        LOCKED.or_default()
    }

    /// What is due to an address.
    #[view]
    fn due(address: [u8; 20]) -> Result<u128> {
        DUE.or_default(&address)
    }

    /// A deposit.
    #[view]
    fn deposit(id: [u8; 32]) -> Result<Option<Deposit>> {
        DEPOSITS.get(&id)
    }

    /// Notes a watcher's word; true once enough have said the same.
    fn say(report: &Report) -> Result<bool> {
        let watcher = WATCHERS.get(&caller())?.ok_or(Error::NotAWatcher)?;
        let (kind, id, _, amount) = *report;
        ensure(amount > 0, Error::ZeroAmount)?;
        ensure(!HEARD.contains(&(kind, id)), Error::Known)?;
        let said = SAID.or_default(report)? | 1 << watcher;
        if said.count_ones() < u32::from(SIDES.load()?.quorum) {
            SAID.set(report, &said);
            return Ok(false);
        }
        SAID.remove(report);
        HEARD.insert(&(kind, id));
        Ok(true)
    }

    fn unlock(kind: u8, id: [u8; 32], amount: u128) -> Result<()> {
        let left = LOCKED.or_default()?.checked_sub(amount);
        LOCKED.set(&left.ok_or(Error::TooMuch)?);
        Released { kind, id, amount }.emit();
        Ok(())
    }

    fn pay(to: &[u8; 32], amount: u128) -> Result<()> {
        Call::<128>::of(&SIDES.load()?.ledger, "transfer")
            .argument(to)
            .argument(&amount)
            .send::<u128>()?;
        Ok(())
    }

    /// What the contract on the other side takes: kind, recipient, amount, expiry in Unix seconds,
    /// deposit.
    fn order(recipient: &[u8; 20], amount: u128, deposit: &[u8; 32]) -> [u8; ORDER_BYTES] {
        let expiry = (time_ms() + TERM_MS) / 1000;
        join(&[
            &[MINT],
            recipient,
            &[0; 16],
            &amount.to_be_bytes(),
            &expiry.to_be_bytes(),
            deposit,
        ])
    }

    fn padded(address: &[u8; 20]) -> [u8; 32] {
        join(&[&[0; 12], address])
    }
}
