//! A pot from which `threshold` of its owners together spend, at most `limit` in each period.
//!
//! An owner proposes a payment, which is also the first approval; others approve; any owner
//! executes what enough have approved. A payment moves an amount from the pot to the recipient's
//! balance, both inside of this zApp, and whoever has a balance may pay it back in.
//!
//! Its invariants: pot and balances sum up to the supply; within one period no more than the limit
//! leaves the pot, whoever agrees; no payment is executed twice.

#![no_std]

#[zapp::zapp]
mod vault {
    use zapp::prelude::*;

    /// As many as fit into the mask of approvals.
    const OWNERS_MAX: usize = 16;

    static RULES: Item<Rules> = Item::new(b"rules");
    /// Each owner's position in the mask.
    static OWNERS: Map<[u8; 32], u8> = Map::new(b"o");
    static POT: Item<u128> = Item::new(b"pot");
    static BALANCES: Map<[u8; 32], u128> = Map::new(b"b");
    static SPENT: Item<Spent> = Item::new(b"spent");
    static PAYMENTS: Map<u64, Payment> = Map::new(b"n");
    /// The number of the last payment.
    static LAST: Item<u64> = Item::new(b"last");

    #[derive(Value)]
    pub struct Rules {
        threshold: u8,
        limit: u128,
        period_ms: u64,
    }

    /// What left the pot in one period, counted from the year 1970.
    #[derive(Value)]
    pub struct Spent {
        period: u64,
        amount: u128,
    }

    #[derive(Value)]
    pub struct Payment {
        to: [u8; 32],
        amount: u128,
        /// One bit for each owner.
        approvals: u16,
        executed: bool,
    }

    #[error]
    enum Error {
        /// The caller is none of the owners.
        NotAnOwner,
        /// The threshold is zero or above the number of owners, or the period is zero.
        BadRules,
        /// A key is listed twice as owner.
        OwnerTwice,
        /// No payment has this number.
        NoSuchPayment,
        /// The payment is done.
        Executed,
        /// Fewer owners than the threshold have approved.
        TooFewApprovals,
        /// More than what is left of this period's limit.
        OverLimit,
        /// More than what is in the pot, or in the caller's balance.
        TooMuch,
        /// Nothing would move.
        ZeroAmount,
    }

    #[event]
    struct Proposed {
        payment: u64,
        to: [u8; 32],
        amount: u128,
    }

    #[event]
    struct Approved {
        payment: u64,
        owner: [u8; 32],
    }

    #[event]
    struct Executed {
        payment: u64,
    }

    /// Sets the rules, which nobody can change, and fills the pot.
    #[init]
    fn init(
        owners: List<[u8; 32], OWNERS_MAX>,
        threshold: u8,
        limit: u128,
        period_ms: u64,
        supply: u128,
    ) -> Result<()> {
        let reachable = (1..=owners.len()).contains(&usize::from(threshold));
        ensure(reachable && period_ms > 0, Error::BadRules)?;
        for (owner, position) in owners.iter().zip(0..) {
            ensure(!OWNERS.contains(owner), Error::OwnerTwice)?;
            OWNERS.set(owner, &position);
        }
        RULES.set(&Rules {
            threshold,
            limit,
            period_ms,
        });
        POT.set(&supply);
        Ok(())
    }

    /// Proposes a payment and approves it. Answers with its number.
    #[call]
    fn propose(to: [u8; 32], amount: u128) -> Result<u64> {
        let position = owner()?;
        ensure(amount > 0, Error::ZeroAmount)?;
        let payment = LAST.or_default()? + 1;
        LAST.set(&payment);
        PAYMENTS.set(
            &payment,
            &Payment {
                to,
                amount,
                approvals: 1 << position,
                executed: false,
            },
        );
        Proposed {
            payment,
            to,
            amount,
        }
        .emit();
        Ok(payment)
    }

    /// Approves a payment; again is the same as once. Answers with the number of approvals.
    #[call]
    fn approve(payment: u64) -> Result<u32> {
        let position = owner()?;
        let mut proposed = pending(payment)?;
        proposed.approvals |= 1 << position;
        PAYMENTS.set(&payment, &proposed);
        let owner = caller();
        Approved { payment, owner }.emit();
        Ok(proposed.approvals.count_ones())
    }

    /// Executes a payment that enough owners have approved. Answers with what is left in the pot.
    #[call]
    fn execute(payment: u64) -> Result<u128> {
        owner()?;
        let mut due = pending(payment)?;
        let rules = RULES.load()?;
        let enough = due.approvals.count_ones() >= u32::from(rules.threshold);
        ensure(enough, Error::TooFewApprovals)?;

        let spent = spent(&rules)?;
        let amount = spent.amount.checked_add(due.amount);
        let amount = amount.filter(|amount| *amount <= rules.limit);
        let amount = amount.ok_or(Error::OverLimit)?;
        SPENT.set(&Spent { amount, ..spent });

        let left = POT.load()?.checked_sub(due.amount).ok_or(Error::TooMuch)?;
        POT.set(&left);
        let balance = BALANCES.or_default(&due.to)?;
        // Pot and balances sum up to the supply, which is a u128: no overflow.
        BALANCES.set(&due.to, &(balance + due.amount));

        due.executed = true;
        PAYMENTS.set(&payment, &due);
        Executed { payment }.emit();
        Ok(left)
    }

    /// Pays from the caller's balance into the pot. Answers with what is in it.
    #[call]
    fn deposit(amount: u128) -> Result<u128> {
        ensure(amount > 0, Error::ZeroAmount)?;
        let from = caller();
        let left = BALANCES.or_default(&from)?.checked_sub(amount);
        BALANCES.set(&from, &left.ok_or(Error::TooMuch)?);
        let pot = POT.load()? + amount;
        POT.set(&pot);
        Ok(pot)
    }

    /// A payment.
    #[view]
    fn payment(number: u64) -> Result<Option<Payment>> {
        PAYMENTS.get(&number)
    }

    /// What is in the pot.
    #[view]
    fn pot() -> Result<u128> {
        POT.load()
    }

    /// What may still leave the pot in the present period.
    #[view]
    fn allowance() -> Result<u128> {
        let rules = RULES.load()?;
        Ok(rules.limit - spent(&rules)?.amount)
    }

    /// What a key has been paid and has not paid back.
    #[view]
    fn balance(holder: [u8; 32]) -> Result<u128> {
        BALANCES.or_default(&holder)
    }

    /// The caller's position among the owners.
    fn owner() -> Result<u8> {
        Ok(OWNERS.get(&caller())?.ok_or(Error::NotAnOwner)?)
    }

    fn pending(payment: u64) -> Result<Payment> {
        let pending = PAYMENTS.get(&payment)?.ok_or(Error::NoSuchPayment)?;
        ensure(!pending.executed, Error::Executed)?;
        Ok(pending)
    }

    /// What was spent in the present period: nothing, once a new one has begun.
    fn spent(rules: &Rules) -> Result<Spent> {
        let period = time_ms() / rules.period_ms;
        let spent = SPENT.get()?.filter(|spent| spent.period == period);
        Ok(spent.unwrap_or(Spent { period, amount: 0 }))
    }
}
