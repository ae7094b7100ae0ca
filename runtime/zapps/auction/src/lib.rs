//! Sealed bids for several equal lots: commit, reveal, settle.
//!
//! While bidding lasts, a bidder commits to SHA-256(auction's id ‖ bidder ‖ amount ‖ salt): the
//! auction, so that no commitment serves in another one; the bidder, so that none can be copied; a
//! random salt, so that nobody finds the amount by trying. Then amounts are revealed; a bid that is
//! not counts for nothing. After that anybody settles: lots go to the highest bids in order, and
//! between equal ones to the one that was committed first.
//!
//! Bids are kept under (complement of the amount, turn): the order of the keys is the order of the
//! awards, and settling is a walk from the first.

#![no_std]

#[zapp::zapp]
mod auction {
    use zapp::prelude::*;

    /// Lots awarded by one call: each costs some reads and writes.
    const AWARDS_MAX: u16 = 16;
    const PAGE: usize = 16;

    static TERMS: Item<Terms> = Item::new(b"terms");
    static COMMITS: Map<[u8; 32], Commit> = Map::new(b"c");
    /// The last turn that was given to a commitment.
    static TURN: Item<u64> = Item::new(b"turn");
    /// Revealed bids, best first.
    static BIDS: Map<(u128, u64), [u8; 32]> = Map::new(b"b");
    static AWARDED: Item<u16> = Item::new(b"awarded");

    #[derive(Value)]
    pub struct Terms {
        lots: u16,
        reserve: u128,
        bidding_until_ms: u64,
        reveal_until_ms: u64,
    }

    #[derive(Value)]
    pub struct Commit {
        hash: [u8; 32],
        turn: u64,
        revealed: bool,
    }

    #[derive(Value)]
    pub struct Bid {
        bidder: [u8; 32],
        amount: u128,
    }

    #[error]
    enum Error {
        /// No lots, or no time to bid or to reveal.
        BadTerms,
        /// Bidding is over.
        BiddingOver,
        /// It is not the time to reveal.
        NotRevealing,
        /// The time to reveal is not over.
        NotOver,
        /// The caller has committed to nothing.
        NoCommit,
        /// The caller has revealed.
        Revealed,
        /// Amount and salt are not those of the commitment.
        WrongReveal,
        /// The amount is below the reserve.
        BelowReserve,
        /// Every lot is awarded, or no bid is left.
        Settled,
    }

    #[event]
    struct Committed {
        bidder: [u8; 32],
        turn: u64,
    }

    #[event]
    struct Revealed {
        bidder: [u8; 32],
        amount: u128,
    }

    #[event]
    struct Won {
        lot: u16,
        bidder: [u8; 32],
        amount: u128,
    }

    /// Opens the auction: times are counted from the step of the deployment.
    #[init]
    fn init(lots: u16, reserve: u128, bidding_ms: u64, reveal_ms: u64) -> Result<()> {
        ensure(lots > 0 && bidding_ms > 0 && reveal_ms > 0, Error::BadTerms)?;
        let bidding_until_ms = time_ms().checked_add(bidding_ms);
        let bidding_until_ms = bidding_until_ms.ok_or(Revert::OVERFLOW)?;
        let reveal_until_ms = bidding_until_ms.checked_add(reveal_ms);
        TERMS.set(&Terms {
            lots,
            reserve,
            bidding_until_ms,
            reveal_until_ms: reveal_until_ms.ok_or(Revert::OVERFLOW)?,
        });
        Ok(())
    }

    /// Commits to a bid. A later commitment takes the place of the caller's first, and loses its
    /// turn. Answers with the turn.
    #[call]
    fn commit(hash: [u8; 32]) -> Result<u64> {
        let terms = TERMS.load()?;
        ensure(time_ms() < terms.bidding_until_ms, Error::BiddingOver)?;
        let turn = TURN.or_default()? + 1;
        TURN.set(&turn);
        let bidder = caller();
        COMMITS.set(
            &bidder,
            &Commit {
                hash,
                turn,
                revealed: false,
            },
        );
        Committed { bidder, turn }.emit();
        Ok(turn)
    }

    /// Reveals the bid that the caller committed to.
    #[call]
    fn reveal(amount: u128, salt: [u8; 32]) -> Result<()> {
        let terms = TERMS.load()?;
        let now = time_ms();
        let revealing = terms.bidding_until_ms <= now && now < terms.reveal_until_ms;
        ensure(revealing, Error::NotRevealing)?;
        let bidder = caller();
        let commit = COMMITS.get(&bidder)?.ok_or(Error::NoCommit)?;
        ensure(!commit.revealed, Error::Revealed)?;
        ensure(
            commit.hash == sealed(&bidder, amount, &salt),
            Error::WrongReveal,
        )?;
        ensure(amount >= terms.reserve, Error::BelowReserve)?;
        BIDS.set(&(u128::MAX - amount, commit.turn), &bidder);
        COMMITS.set(
            &bidder,
            &Commit {
                revealed: true,
                ..commit
            },
        );
        Revealed { bidder, amount }.emit();
        Ok(())
    }

    /// Awards up to 16 lots to the best bids that are left. Answers with how many are awarded now.
    #[call]
    fn settle() -> Result<u16> {
        let terms = TERMS.load()?;
        ensure(time_ms() >= terms.reveal_until_ms, Error::NotOver)?;
        let before = AWARDED.or_default()?;
        let mut awarded = before;
        for entry in BIDS.iter() {
            if awarded == terms.lots || awarded - before == AWARDS_MAX {
                break;
            }
            let ((complement, turn), bidder) = entry?;
            awarded += 1;
            // Taken out: the next call goes on with the next.
            BIDS.remove(&(complement, turn));
            Won {
                lot: awarded,
                bidder,
                amount: u128::MAX - complement,
            }
            .emit();
        }
        ensure(awarded > before, Error::Settled)?;
        AWARDED.set(&awarded);
        Ok(awarded)
    }

    /// The terms.
    #[view]
    fn terms() -> Result<Terms> {
        TERMS.load()
    }

    /// The best bids that are revealed and not awarded, in the order in which lots go to them.
    #[view]
    fn bids() -> Result<List<Bid, PAGE>> {
        let mut page = List::new();
        for entry in BIDS.iter().take(PAGE) {
            let ((complement, _), bidder) = entry?;
            let amount = u128::MAX - complement;
            page.push(Bid { bidder, amount })?;
        }
        Ok(page)
    }

    fn sealed(bidder: &[u8; 32], amount: u128, salt: &[u8; 32]) -> [u8; 32] {
        let bytes: [u8; 112] = join(&[&zapp_id(), bidder, &amount.to_be_bytes(), salt]);
        sha256(&bytes)
    }
}
