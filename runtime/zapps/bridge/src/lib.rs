//! One side of a bridge: keeps what was sent to it on the Network of Momentum and orders its mint on
//! another chain; pays out there what was burned here, and here what was burned there.
//!
//! A deposit of the bridge's token, with the recipient's 20 bytes as its data, is kept, and a
//! message sent. The committee attests it as a leaf of its own, a message acceptor on the other chain
//! delivers it once and in order, and the bridge contract there mints. What became of it there (a burn,
//! or a deposit that was given back) the members themselves look up, each at its operator's node
//! of that chain: whoever calls `release` or `give_back` names the call of the contract as a source,
//! and this zApp takes no other. It has no owner and no watchers.
//!
//! Its invariant: what this zApp holds of its token is `locked`, and a deposit that came to nothing
//! went back.

#![no_std]

#[zapp::zapp]
mod bridge {
    use zapp::prelude::*;
    use zapp::{evm_source, pull};

    /// A mint order is good for so long; the contract gives back what it is shown later.
    const TERM_MS: u64 = 24 * 60 * 60 * 1000;
    /// First byte of a mint order.
    const MINT: u8 = 1;
    const ORDER_BYTES: usize = 93;
    /// What the contract is asked.
    const BURN_OF: &[u8] = b"burnOf(uint64)";
    const STATE_OF: &[u8] = b"stateOf(bytes32)";
    /// What `stateOf` says of a deposit that will never be minted.
    const RETURNED: u8 = 3;

    static SIDES: Item<Sides> = Item::new(b"sides");
    /// Tokens that exist on the other side, or are on the way.
    static LOCKED: Item<u128> = Item::new(b"locked");
    /// Deposits by the hash of the block that made them, until they are given back.
    static DEPOSITS: Map<[u8; 32], Made> = Map::new(b"made");
    /// Numbers of burns that were paid out.
    static RELEASED: Set<u64> = Set::new(b"r");

    #[derive(Value)]
    pub struct Sides {
        /// The token's standard, as in a `zts1…` address.
        token: [u8; 10],
        /// EIP-155 id of the other chain.
        chain: u64,
        /// The message acceptor there, and the bridge contract that it calls.
        acceptor: [u8; 20],
        contract: [u8; 20],
        /// Gas for the call there.
        gas: u64,
    }

    #[derive(Value)]
    pub struct Made {
        from: [u8; 20],
        amount: u128,
    }

    #[error]
    enum Error {
        /// The deposit is of another token than the bridge's.
        OtherToken,
        /// The deposit's data are no recipient: 20 bytes, not all zeros.
        NoRecipient,
        /// Nothing would move.
        ZeroAmount,
        /// The request does not name the call of the contract that this needs, and no other.
        OtherSource,
        /// Fewer members than must saw what the contract says.
        NotSeen,
        /// The contract knows no such burn.
        NotBurned,
        /// The contract has not given this deposit back.
        NotReturned,
        /// This burn was paid out before.
        Known,
        /// More than is locked.
        TooMuch,
        /// No deposit of this hash is kept.
        NoSuchDeposit,
    }

    #[event]
    struct Locked {
        deposit: [u8; 32],
        from: [u8; 20],
        recipient: [u8; 20],
        amount: u128,
    }

    #[event]
    struct Released {
        burn: u64,
        to: [u8; 20],
        amount: u128,
    }

    #[event]
    struct GivenBack {
        deposit: [u8; 32],
        to: [u8; 20],
        amount: u128,
    }

    /// Fixes both sides, which nobody can change.
    #[init]
    fn init(sides: Sides) {
        SIDES.set(&sides);
    }

    /// Keeps what was sent, and orders as much for the recipient on the other chain. What cannot be
    /// kept goes back to its sender.
    #[deposit]
    fn lock(deposit: Deposit<20>) -> Result<()> {
        let sides = SIDES.load()?;
        ensure(deposit.token == sides.token, Error::OtherToken)?;
        ensure(deposit.amount > 0, Error::ZeroAmount)?;
        let recipient: [u8; 20] = deposit
            .data
            .as_ref()
            .try_into()
            .map_err(|_| Error::NoRecipient)?;
        ensure(recipient != [0; 20], Error::NoRecipient)?;
        let locked = LOCKED.or_default()?.checked_add(deposit.amount);
        LOCKED.set(&locked.ok_or(Revert::OVERFLOW)?);
        let made = Made {
            from: deposit.from,
            amount: deposit.amount,
        };
        DEPOSITS.set(&deposit.block, &made);
        Destination {
            chain: sides.chain,
            contract: padded(&sides.acceptor),
            receiver: padded(&sides.contract),
            gas: sides.gas,
            label: b"mint",
        }
        .send(&order(&recipient, deposit.amount, &deposit.block));
        Locked {
            deposit: deposit.block,
            from: deposit.from,
            recipient,
            amount: deposit.amount,
        }
        .emit();
        Ok(())
    }

    /// Pays out burn `number` to the address that it was for. Anybody may ask; the request's only
    /// source is `identical:evm:CHAIN:CONTRACT:` with the data of `burnOf(number)`. Answers with the
    /// amount.
    #[call]
    fn release(number: u64) -> Result<u128> {
        let sides = SIDES.load()?;
        let mut argument = [0; 32];
        if let Some(place) = argument.last_chunk_mut::<8>() {
            *place = number.to_be_bytes();
        }
        let burn: [u8; 64] = seen(&sides, BURN_OF, &argument)?;
        let (to, amount) = burn.split_at(32);
        let (Some(to), Some(amount)) = (to.first_chunk::<20>(), amount.first_chunk()) else {
            return Err(Error::NotBurned.into());
        };
        let amount = narrow(amount)?;
        ensure(amount > 0, Error::NotBurned)?;
        ensure(!RELEASED.contains(&number), Error::Known)?;
        RELEASED.insert(&number);
        unlock(amount)?;
        pay(to, &sides.token, amount);
        Released {
            burn: number,
            to: *to,
            amount,
        }
        .emit();
        Ok(amount)
    }

    /// Pays a deposit back to its sender that the contract gave back. Anybody may ask; the request's
    /// only source is `identical:evm:CHAIN:CONTRACT:` with the data of `stateOf(deposit)`. Answers with
    /// the amount.
    #[call]
    fn give_back(deposit: [u8; 32]) -> Result<u128> {
        let sides = SIDES.load()?;
        let state: [u8; 32] = seen(&sides, STATE_OF, &deposit)?;
        ensure(state == padded(&[RETURNED]), Error::NotReturned)?;
        let made = DEPOSITS.get(&deposit)?.ok_or(Error::NoSuchDeposit)?;
        DEPOSITS.remove(&deposit);
        unlock(made.amount)?;
        pay(&made.from, &sides.token, made.amount);
        GivenBack {
            deposit,
            to: made.from,
            amount: made.amount,
        }
        .emit();
        Ok(made.amount)
    }

    /// Tokens that exist on the other side, or are on the way.
    #[view]
    fn locked() -> Result<u128> {
        LOCKED.or_default()
    }

    /// Whether a burn was paid out.
    #[view]
    fn released(number: u64) -> Result<bool> {
        Ok(RELEASED.contains(&number))
    }

    /// A deposit that was not given back.
    #[view]
    fn deposit_of(block: [u8; 32]) -> Result<Option<Made>> {
        DEPOSITS.get(&block)
    }

    /// What the members saw that the contract returns to a call of one argument: `N` bytes.
    fn seen<const N: usize>(
        sides: &Sides,
        signature: &[u8],
        argument: &[u8; 32],
    ) -> Result<[u8; N]> {
        let hash = keccak256(signature);
        let selector = hash.first_chunk::<4>().copied().unwrap_or_default();
        let data: [u8; 36] = join(&[&selector, argument]);
        let pulled = pull(0).ok_or(Error::OtherSource)?;
        let expected = evm_source(sides.chain, &sides.contract, &data);
        ensure(pulled.source() == expected, Error::OtherSource)?;
        let bytes = pulled.bytes().ok_or(Error::NotSeen)?;
        Ok(bytes.try_into().map_err(|_| Error::NotSeen)?)
    }

    fn unlock(amount: u128) -> Result<()> {
        let left = LOCKED.or_default()?.checked_sub(amount);
        LOCKED.set(&left.ok_or(Error::TooMuch)?);
        Ok(())
    }

    /// An amount of the other chain; none that was locked has more than 128 bits.
    fn narrow(amount: &[u8; 32]) -> Result<u128> {
        let (high, low) = amount.split_at(16);
        ensure(high.iter().all(|byte| *byte == 0), Error::TooMuch)?;
        let low = low.first_chunk().copied().unwrap_or_default();
        Ok(u128::from_be_bytes(low))
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

    fn padded<const N: usize>(bytes: &[u8; N]) -> [u8; 32] {
        let mut padded = [0; 32];
        for (place, byte) in padded.iter_mut().rev().zip(bytes.iter().rev()) {
            *place = *byte;
        }
        padded
    }
}
