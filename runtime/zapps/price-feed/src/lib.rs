//! A price that members observe at sources which the owner of the feed trusts.
//!
//! Anybody may ask for an update and names the sources in the request; the feed takes a value from
//! those that its owner has listed, and from no other. The price is the lower median over the
//! sources that have a value, of which there must be enough; each value is itself the lower median
//! of what at least t members saw. Whoever reads it says how old it may be.
//!
//! Its invariants: no price comes from fewer sources than the owner asks for, none from a source
//! that is not listed, and none twice from the same one.

#![no_std]

#[zapp::zapp]
mod price_feed {
    use zapp::prelude::*;
    use zapp::pull;

    /// As many as a request may name.
    const SOURCES_MAX: usize = 16;

    static OWNER: Item<[u8; 32]> = Item::new(b"owner");
    /// Sources that must have a value.
    static SOURCES_MIN: Item<u8> = Item::new(b"min");
    static TRUSTED: Set<[u8; 32]> = Set::new(b"s");
    static PRICE: Item<Price> = Item::new(b"price");

    #[derive(Value)]
    pub struct Price {
        /// The price times 10^scale, as the sources say.
        value: i64,
        /// Time of the step that made it.
        time_ms: u64,
        /// Sources that it is the median of.
        sources: u8,
    }

    #[error]
    enum Error {
        /// No price needs no source, and none can have more than a request may name.
        BadMinimum,
        /// The owner has not listed a source of the request.
        Untrusted,
        /// Fewer sources than the owner asks for have a value.
        TooFewSources,
        /// There is no price yet.
        NoPrice,
        /// The price is older than the reader allows.
        Stale,
    }

    #[event]
    struct Updated {
        value: i64,
        sources: u8,
    }

    /// The caller owns the feed. A price needs values of so many sources.
    #[init]
    fn init(sources_min: u8) -> Result<()> {
        ensure(
            (1..=SOURCES_MAX).contains(&usize::from(sources_min)),
            Error::BadMinimum,
        )?;
        OWNER.set(&caller());
        SOURCES_MIN.set(&sources_min);
        Ok(())
    }

    /// Lists a source by its id: `zq source` prints it.
    #[call]
    fn trust(source: [u8; 32]) -> Result<()> {
        owner()?;
        TRUSTED.insert(&source);
        Ok(())
    }

    /// Takes a source off the list.
    #[call]
    fn distrust(source: [u8; 32]) -> Result<()> {
        owner()?;
        TRUSTED.remove(&source);
        Ok(())
    }

    /// Gives the feed to another owner.
    #[call]
    fn give(to: [u8; 32]) -> Result<()> {
        owner()?;
        OWNER.set(&to);
        Ok(())
    }

    /// Takes the lower median of what members saw at the sources of this request.
    #[call]
    fn update() -> Result<i64> {
        let mut values = [0; SOURCES_MAX];
        let mut count = 0;
        // A request names no source twice.
        for (index, _) in (0..).zip(0..SOURCES_MAX) {
            let Some(pulled) = pull(index) else { break };
            ensure(TRUSTED.contains(&pulled.source()), Error::Untrusted)?;
            if let Some(value) = pulled.integer()
                && let Some(place) = values.get_mut(count)
            {
                *place = value;
                count += 1;
            }
        }
        let min = usize::from(SOURCES_MIN.get()?.ok_or(Error::TooFewSources)?);
        ensure(count >= min, Error::TooFewSources)?;
        let seen = values.get_mut(..count).unwrap_or_default();
        seen.sort_unstable();
        let middle = seen.get((count - 1) / 2).copied();
        let value = middle.ok_or(Error::TooFewSources)?;
        let sources = u8::try_from(count).unwrap_or(u8::MAX);
        PRICE.set(&Price {
            value,
            time_ms: time_ms(),
            sources,
        });
        Updated { value, sources }.emit();
        Ok(value)
    }

    /// The price, if it is not older than this.
    #[view]
    fn price(age_ms_max: u64) -> Result<i64> {
        let price = latest()?;
        let age_ms = time_ms().saturating_sub(price.time_ms);
        ensure(age_ms <= age_ms_max, Error::Stale)?;
        Ok(price.value)
    }

    /// The last price, its time and how many sources it is from, however old it is.
    #[view]
    fn latest() -> Result<Price> {
        Ok(PRICE.get()?.ok_or(Error::NoPrice)?)
    }

    /// Whether the owner has listed a source.
    #[view]
    fn trusted(source: [u8; 32]) -> Result<bool> {
        Ok(TRUSTED.contains(&source))
    }

    fn owner() -> Result<()> {
        ensure(OWNER.get()? == Some(caller()), Revert::NOT_OWNER)
    }
}
