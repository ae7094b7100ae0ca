//! Tests of a zApp against the real thing: `zq zapp test` runs them.
//!
//! A [`Chain`] is a committee of one, in a process of its own (`zq zapp serve-chain`): the module
//! goes through gatekeeper, metering and compiler, each call is a whole step on real state, and
//! every engine runs it. So outcome and gas in a test are those of production, and a call on which
//! two engines differ fails the test.
//!
//! ```no_run
//! use zapp_test::{Chain, key};
//!
//! let mut chain = Chain::new();
//! chain.deploy(key(1), ()).ok();
//! let total: u64 = chain.call(key(2), "add", 5u64).value();
//! assert_eq!(total, 5);
//! chain.call(key(2), "add", u64::MAX).reverts("OVERFLOW");
//! assert_eq!(chain.view::<u64>("get", ()), 5);
//! ```
//!
//! Arguments are values of the SDK: one, or a tuple of them, or `()`.

mod module;
mod outcome;
mod server;

pub use outcome::{Event, Message, Outcome, Payout, Status};

use server::{Server, bytes, bytes_of};
use zapp::{Value, Writer};

/// A key that signs requests. Tests sign nothing: any 32 bytes are one.
pub type Key = [u8; 32];

/// The key whose bytes are all `byte`.
#[must_use]
pub const fn key(byte: u8) -> Key {
    [byte; 32]
}

/// An account on the Network of Momentum that sends deposits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// Its key, which can also call.
    pub key: Key,
    /// Its address.
    pub address: [u8; 20],
    seed: [u8; 32],
}

/// A committee of one with one zApp. Each step takes a second, from second 2 on.
pub struct Chain {
    server: Server,
    gas_limit: u64,
}

impl Default for Chain {
    fn default() -> Self {
        Self::new()
    }
}

impl Chain {
    /// Starts one for the module of this package: the one that `zq zapp test` has built, or where
    /// `cargo test` was called, one that is built now.
    ///
    /// # Panics
    /// If `zq` is not found, or refuses the module.
    #[must_use]
    #[track_caller]
    pub fn new() -> Self {
        Self::of(&module::built())
    }

    /// Starts one for a module's file.
    ///
    /// # Panics
    /// If `zq` is not found, or refuses the module.
    #[must_use]
    #[track_caller]
    pub fn of(module: &str) -> Self {
        Self {
            server: Server::start(module),
            gas_limit: GAS_LIMIT,
        }
    }

    /// Deploys the zApp; `owner` is the caller of its init. Calls go to the one deployed last.
    #[track_caller]
    pub fn deploy(&mut self, owner: Key, init: impl Value) -> Outcome {
        let line = format!("deploy {} {}", bytes(&owner), bytes(&encoded(&init)));
        self.outcome("deploy", &line)
    }

    /// Calls a method in a step of its own.
    #[track_caller]
    pub fn call(&mut self, caller: Key, method: &str, arguments: impl Value) -> Outcome {
        let line = format!(
            "call {} {} {} {}",
            bytes(&caller),
            bytes(method.as_bytes()),
            bytes(&encoded(&arguments)),
            self.gas_limit,
        );
        self.outcome(method, &line)
    }

    /// The account of a number.
    #[track_caller]
    pub fn account(&mut self, number: u8) -> Account {
        let seed = [number; 32];
        let answer = self.server.ask(&format!("account {}", bytes(&seed)));
        let words = answer.split_once(' ');
        let account = words.and_then(|(key, address)| {
            Some(Account {
                key: bytes_of(key)?.try_into().ok()?,
                address: bytes_of(address)?.try_into().ok()?,
                seed,
            })
        });
        account.unwrap_or_else(|| panic!("zq answered something else: {answer:?}"))
    }

    /// Sends a token to the zApp on the Network of Momentum, and takes the deposit in a step of its
    /// own: what the zApp's `#[deposit]` came to. Where it failed, the deposit went back. The first
    /// deposit of a chain begins the committee's account, which takes one step more.
    #[track_caller]
    pub fn deposit(
        &mut self,
        from: &Account,
        token: &[u8; 10],
        amount: u128,
        data: &[u8],
    ) -> Outcome {
        let (seed, token, data) = (bytes(&from.seed), bytes(token), bytes(data));
        self.outcome(
            "deposit",
            &format!("deposit {seed} {token} {amount} {data}"),
        )
    }

    /// The value of a view that succeeds.
    ///
    /// # Panics
    /// If it does not succeed, or answers with something else.
    #[track_caller]
    pub fn view<T: Value>(&mut self, method: &str, arguments: impl Value) -> T {
        self.query(method, arguments).value()
    }

    /// A view, however it ends.
    #[track_caller]
    pub fn query(&mut self, method: &str, arguments: impl Value) -> Outcome {
        let method_bytes = bytes(method.as_bytes());
        let line = format!("view {method_bytes} {}", bytes(&encoded(&arguments)));
        self.outcome(method, &line)
    }

    /// Sets the time of the next step and of views, in Unix milliseconds; it cannot go back.
    ///
    /// # Panics
    /// If it would.
    #[track_caller]
    pub fn set_time(&mut self, ms: u64) {
        self.server.ask(&format!("time {ms}"));
    }

    /// Sets the gas that each call may use from now on; 50,000,000 at first, as `zq` has it.
    pub fn set_gas_limit(&mut self, gas: u64) {
        self.gas_limit = gas;
    }

    #[track_caller]
    fn outcome(&mut self, method: &str, line: &str) -> Outcome {
        let answer = self.server.ask(line);
        Outcome::parse(method, &answer)
            .unwrap_or_else(|| panic!("zq answered something else: {answer:?}"))
    }
}

/// A value's encoding.
#[must_use]
pub fn encoded<T: Value>(value: &T) -> Vec<u8> {
    let mut buffer = vec![0; T::BYTES_MAX];
    let mut writer = Writer::new(&mut buffer);
    value.encode(&mut writer);
    let written = writer.written();
    buffer.truncate(written);
    buffer
}

const GAS_LIMIT: u64 = 50_000_000;
