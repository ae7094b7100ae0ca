//! A registry of names, each held by one key for a term that can be renewed.
//!
//! A name has 3 to 32 of the characters a-z, 0-9 and `-`. Nobody has to delete what expired: a name
//! whose term is over counts as free, and the next registration writes over it.
//!
//! Its invariant: a name is in the index of exactly that key's names that its record says holds it.

#![no_std]

#[zapp::zapp]
mod names {
    use zapp::prelude::*;

    type Name = Text<32>;

    /// A year.
    const TERM_MS: u64 = 365 * 24 * 60 * 60 * 1000;
    /// How far ahead a name can be held.
    const AHEAD_MS_MAX: u64 = 10 * TERM_MS;
    /// Names on one page of a listing; each costs the view a read or two.
    const PAGE: usize = 16;

    static RECORDS: Map<Name, Record> = Map::new(b"n");
    /// Names by holder, in order.
    static HELD: Set<([u8; 32], Name)> = Set::new(b"h");

    #[derive(Value)]
    pub struct Record {
        holder: [u8; 32],
        /// The first moment at which the name is free again.
        until_ms: u64,
    }

    #[derive(Value)]
    pub struct Row {
        name: Name,
        holder: [u8; 32],
        until_ms: u64,
    }

    #[error]
    enum Error {
        /// A name has 3 to 32 of a-z, 0-9 and -, and neither begins nor ends with -.
        BadName,
        /// Somebody holds the name.
        Taken,
        /// Nobody holds the name, or its term is over.
        Free,
        /// The caller does not hold the name.
        NotHolder,
        /// The name would be held for more than ten years ahead.
        TooFarAhead,
    }

    #[event]
    struct Registered {
        name: Name,
        holder: [u8; 32],
        until_ms: u64,
    }

    #[event]
    struct Renewed {
        name: Name,
        until_ms: u64,
    }

    #[event]
    struct Transferred {
        name: Name,
        from: [u8; 32],
        to: [u8; 32],
    }

    /// Takes a free name for a year. Answers with the moment at which the term ends.
    #[call]
    fn register(name: Name) -> Result<u64> {
        ensure(is_valid(name.as_bytes()), Error::BadName)?;
        if let Some(record) = RECORDS.get(&name)? {
            ensure(!is_live(&record), Error::Taken)?;
            HELD.remove(&(record.holder, name));
        }
        let holder = caller();
        let until_ms = time_ms() + TERM_MS;
        RECORDS.set(&name, &Record { holder, until_ms });
        HELD.insert(&(holder, name));
        Registered {
            name,
            holder,
            until_ms,
        }
        .emit();
        Ok(until_ms)
    }

    /// Adds a year to the term of a name that the caller holds. Answers with its end.
    #[call]
    fn renew(name: Name) -> Result<u64> {
        let mut record = own(&name)?;
        record.until_ms += TERM_MS;
        let ahead = record.until_ms - time_ms();
        ensure(ahead <= AHEAD_MS_MAX, Error::TooFarAhead)?;
        RECORDS.set(&name, &record);
        let until_ms = record.until_ms;
        Renewed { name, until_ms }.emit();
        Ok(until_ms)
    }

    /// Gives a name that the caller holds to another key, with what is left of its term.
    #[call]
    fn transfer(name: Name, to: [u8; 32]) -> Result<()> {
        let record = own(&name)?;
        let from = record.holder;
        RECORDS.set(
            &name,
            &Record {
                holder: to,
                ..record
            },
        );
        // In this order: the index is right also for a transfer to oneself.
        HELD.remove(&(from, name));
        HELD.insert(&(to, name));
        Transferred { name, from, to }.emit();
        Ok(())
    }

    /// Who holds a name, and until when.
    #[view]
    fn lookup(name: Name) -> Result<Option<Record>> {
        Ok(RECORDS.get(&name)?.filter(is_live))
    }

    /// Names that are held, in order, from the first above `after` on: one page of at most 16.
    /// The next page begins after its last name; a page with no names is the last.
    #[view]
    fn list(after: Name) -> Result<List<Row, PAGE>> {
        let mut page = List::new();
        for entry in RECORDS.after(after) {
            let (name, record) = entry?;
            if is_live(&record) {
                let Record { holder, until_ms } = record;
                page.push(Row {
                    name,
                    holder,
                    until_ms,
                })?;
            }
            if page.is_full() {
                break;
            }
        }
        Ok(page)
    }

    /// Names of one key, in order, paged as in `list`.
    #[view]
    fn held_by(holder: [u8; 32], after: Name) -> Result<List<Name, PAGE>> {
        let mut page = List::new();
        for entry in HELD.after((holder, after)) {
            let (of, name) = entry?;
            if of != holder || page.is_full() {
                break;
            }
            if lookup(name)?.is_some() {
                page.push(name)?;
            }
        }
        Ok(page)
    }

    fn own(name: &Name) -> Result<Record> {
        let record = RECORDS.get(name)?.filter(is_live).ok_or(Error::Free)?;
        ensure(record.holder == caller(), Error::NotHolder)?;
        Ok(record)
    }

    fn is_live(record: &Record) -> bool {
        time_ms() < record.until_ms
    }

    fn is_valid(name: &[u8]) -> bool {
        let plain = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        let inner = |byte: &u8| plain(byte) || *byte == b'-';
        name.len() >= 3
            && name.iter().all(inner)
            && name.first().is_some_and(plain)
            && name.last().is_some_and(plain)
    }
}
