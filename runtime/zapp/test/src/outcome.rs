//! What became of a call.

use std::fmt;

use zapp::Value;

use crate::server::{bytes_of, text_of};

/// How a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It ran, and its writes stand.
    Ok,
    /// The zApp gave up with a code; nothing is written.
    Reverted,
    /// The module trapped; nothing is written.
    Trapped,
    /// The gas limit was reached; nothing is written.
    OutOfGas,
    /// It did not run.
    Refused,
}

impl Status {
    fn of(name: &str) -> Option<Self> {
        Some(match name {
            "ok" => Self::Ok,
            "reverted" => Self::Reverted,
            "trapped" => Self::Trapped,
            "out_of_gas" => Self::OutOfGas,
            "refused" => Self::Refused,
            _ => return None,
        })
    }
}

/// An event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its topic.
    pub topic: String,
    /// Its data.
    pub data: Vec<u8>,
}

/// A message out of the committee.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// EIP-155 id of the chain.
    pub chain: u64,
    /// The contract that accepts it.
    pub contract: [u8; 32],
    /// Whom that contract calls with it.
    pub receiver: [u8; 32],
    /// Gas that the call is given there.
    pub gas: u64,
    /// What it says.
    pub payload: Vec<u8>,
}

/// A payout on the Network of Momentum.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payout {
    /// The recipient's address.
    pub to: [u8; 20],
    /// The token standard.
    pub token: [u8; 10],
    /// How much, in the token's smallest unit.
    pub amount: u128,
    /// What the recipient is told.
    pub data: Vec<u8>,
}

/// What a call left behind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended.
    pub status: Status,
    /// The code of a revert or refusal, else 0.
    pub code: u32,
    /// Gas used, the same as in production.
    pub gas: u64,
    /// The result's bytes.
    pub output: Vec<u8>,
    /// Events in order.
    pub events: Vec<Event>,
    /// Messages to other chains in order, without payouts.
    pub messages: Vec<Message>,
    /// Payouts in order.
    pub payouts: Vec<Payout>,
    /// Lines of `zapp::log`.
    pub log: Vec<String>,
    /// Name of a revert, from the ABI, or what the runtime says of a trap; empty if it succeeded.
    pub why: String,
    method: String,
}

impl Outcome {
    /// Checks that it succeeded, and hands it on.
    ///
    /// # Panics
    /// If it did not.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert!(self.status == Status::Ok, "{self}");
        self
    }

    /// The result of a call that succeeds.
    ///
    /// # Panics
    /// If it did not, or answered with something else than a `T`.
    #[track_caller]
    pub fn value<T: Value>(self) -> T {
        assert!(self.status == Status::Ok, "{self}");
        zapp::decode(&self.output).unwrap_or_else(|_| {
            panic!(
                "`{}` answered with {} bytes that are no {}: {:02x?}",
                self.method,
                self.output.len(),
                std::any::type_name::<T>(),
                self.output,
            )
        })
    }

    /// Checks that the call reverted with this name: of a variant of the `#[error]` enum, or of a
    /// constant of `Revert`.
    ///
    /// # Panics
    /// If it did not.
    #[track_caller]
    pub fn reverts(self, name: &str) -> Self {
        let named = self.why.split([':', ' ']).next().unwrap_or_default();
        assert!(
            self.status == Status::Reverted && named == name,
            "expected a revert with {name}, but {self}"
        );
        self
    }

    /// The only event of a type, if there is one.
    ///
    /// # Panics
    /// If there are several.
    #[must_use]
    #[track_caller]
    pub fn event<E: zapp::Event>(&self) -> Option<E> {
        let of_type = |event: &&Event| event.topic.as_bytes() == E::TOPIC;
        let found: Vec<&Event> = self.events.iter().filter(of_type).collect();
        assert!(found.len() <= 1, "{} events of one type", found.len());
        let [event] = found.as_slice() else {
            return None;
        };
        zapp::decode(&event.data).ok()
    }

    /// Reads an answer: status, code, gas, output, why, events, log, messages.
    pub(crate) fn parse(method: &str, answer: &str) -> Option<Self> {
        let mut words = answer.split(' ');
        let status = Status::of(words.next()?)?;
        let (code, gas) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let (output, why) = (bytes_of(words.next()?)?, text_of(words.next()?));
        let events = list(words.next()?).map(|event| {
            let (topic, data) = event.split_once(':')?;
            Some(Event {
                topic: text_of(topic),
                data: bytes_of(data)?,
            })
        });
        let events = events.collect::<Option<_>>()?;
        let log = list(words.next()?).map(text_of).collect();
        let sent = list(words.next()?)
            .map(message)
            .collect::<Option<Vec<_>>>()?;
        let (payouts, messages): (Vec<_>, Vec<_>) =
            sent.into_iter().partition(|message| message.chain == NOM);
        Some(Self {
            status,
            code,
            gas,
            output,
            events,
            messages,
            payouts: payouts.iter().map(payout).collect::<Option<_>>()?,
            log,
            why,
            method: method.to_owned(),
        })
    }
}

fn message(word: &str) -> Option<Message> {
    let mut parts = word.split(':');
    Some(Message {
        chain: parts.next()?.parse().ok()?,
        contract: bytes_of(parts.next()?)?.try_into().ok()?,
        receiver: bytes_of(parts.next()?)?.try_into().ok()?,
        gas: parts.next()?.parse().ok()?,
        payload: bytes_of(parts.next()?)?,
    })
}

/// The payout that a message orders (`zapp::nom::pay`); the SDK makes none of another form.
fn payout(message: &Message) -> Option<Payout> {
    let (amount, data) = message.payload.split_first_chunk::<32>()?;
    Some(Payout {
        to: *message.receiver.last_chunk()?,
        token: *message.contract.last_chunk()?,
        amount: u128::from_be_bytes(*amount.last_chunk()?),
        data: data.to_vec(),
    })
}

/// The chain of messages that are payouts.
const NOM: u64 = u64::MAX;

/// A word that holds words.
fn list(word: &str) -> impl Iterator<Item = &str> {
    word.split(',').filter(|part| *part != "none")
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (method, code, why) = (&self.method, self.code, &self.why);
        match self.status {
            Status::Ok => write!(f, "`{method}` succeeded")?,
            Status::Reverted => write!(f, "`{method}` reverted with code {code}, {why}")?,
            Status::Trapped => write!(f, "`{method}` trapped: {why}")?,
            Status::OutOfGas => {
                let gas = self.gas;
                write!(
                    f,
                    "`{method}` used up its {gas} gas; see Chain::set_gas_limit"
                )?;
            }
            Status::Refused => write!(f, "`{method}` was refused with code {code}, {why}")?,
        }
        for line in &self.log {
            write!(f, "\n  log: {line}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const REVERTED: &str = "reverted 100 5000 - 546f6f4d7563683a206d6f7265 none 6869 none";

    #[test]
    fn an_answer_is_read_and_told() {
        let outcome = Outcome::parse("pay", REVERTED).expect("an outcome");
        assert_eq!((outcome.code, outcome.gas), (100, 5000));
        assert_eq!(outcome.why, "TooMuch: more");
        let told = "`pay` reverted with code 100, TooMuch: more\n  log: hi";
        assert_eq!(outcome.to_string(), told);
        outcome.reverts("TooMuch");
        let answer = "ok 0 7 0005 - 6164646564:01,61:- none none";
        let outcome = Outcome::parse("add", answer).expect("an outcome");
        assert_eq!(outcome.events.len(), 2);
        assert_eq!(outcome.events[0].topic, "added");
        assert_eq!(outcome.value::<u16>(), 5);
        for wrong in [
            "",
            "ok",
            "ok 0 7 0 - none none none",
            "good 0 7 - - none none none",
        ] {
            assert_eq!(Outcome::parse("m", wrong), None, "{wrong}");
        }
    }

    #[test]
    fn payouts_are_told_from_messages() {
        let (contract, receiver) = ("00".repeat(22) + &"07".repeat(10), "00".repeat(32));
        let amount = "00".repeat(31) + "05";
        let payout = format!("{NOM}:{contract}:{receiver}:0:{amount}6869");
        let message = format!("1:{contract}:{receiver}:9:-");
        let answer = format!("ok 0 7 - - none none {message},{payout}");
        let outcome = Outcome::parse("pay", &answer).expect("an outcome");
        assert_eq!(outcome.messages.len(), 1);
        assert_eq!(outcome.messages[0].gas, 9);
        let expected = Payout {
            to: [0; 20],
            token: [7; 10],
            amount: 5,
            data: b"hi".to_vec(),
        };
        assert_eq!(outcome.payouts, [expected]);
        let short = answer.replace(&amount, "05");
        assert_eq!(Outcome::parse("pay", &short), None);
    }

    #[test]
    #[should_panic(expected = "expected a revert with TooLittle, but `pay` reverted")]
    fn another_revert_is_told() {
        let outcome = Outcome::parse("pay", REVERTED).expect("an outcome");
        let _ = outcome.reverts("TooLittle");
    }

    #[test]
    #[should_panic(expected = "1 bytes that are no u64")]
    fn an_output_of_another_type_is_told() {
        let outcome = Outcome::parse("get", "ok 0 7 05 - none none none").expect("an outcome");
        let _: u64 = outcome.value();
    }
}
