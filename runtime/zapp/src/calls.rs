//! Calling other zApps, and sending messages out of the committee.

use crate::typed::{Value, Writer, decode};
use crate::{METHOD_BYTES_MAX, Revert, abi};

/// A call of another zApp, put together argument by argument.
///
/// It runs within this request: what it writes stands only if both calls end well. The other zApp
/// sees this one as its caller. Neither may be entered a second time while it runs, and at most
/// eight zApps run at once; then, and where there is no such zApp, the answer is
/// [`CallFailed::NotCallable`]. `N` bytes hold name and arguments.
///
/// ```no_run
/// # use zapp::{Call, CallFailed};
/// # fn pay(ledger: [u8; 32], to: [u8; 32]) -> Result<u128, CallFailed> {
/// Call::<128>::of(&ledger, "transfer").argument(&to).argument(&500u128).send()
/// # }
/// ```
#[must_use = "nothing is called before `send`"]
pub struct Call<const N: usize> {
    zapp: [u8; 32],
    gas: u64,
    input: [u8; N],
    len: usize,
}

/// Why a call of another zApp has no result. Whatever it did is undone; this zApp runs on. A call
/// that did end well, with a result of another type than was expected, ends this one: nobody could
/// undo it alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallFailed {
    /// It reverted with this code.
    Reverted(u32),
    /// It trapped.
    Trapped,
    /// It used all gas that it was given.
    OutOfGas,
    /// It does not exist, takes no calls, runs already, or too many do.
    NotCallable,
}

/// An outbound message's destination. A channel is what one zApp sends to one contract under one
/// label; the committee numbers its messages from 1, and the contract accepts them in that order.
#[derive(Clone, Copy, Debug)]
pub struct Destination<'a> {
    /// EIP-155 id of the chain.
    pub chain: u64,
    /// The contract that accepts the message; a 20-byte address stands in the last 20.
    pub contract: [u8; 32],
    /// Whom that contract calls with it, likewise.
    pub receiver: [u8; 32],
    /// Gas that the call is given there.
    pub gas: u64,
    /// Tells channels apart, at most 32 bytes.
    pub label: &'a [u8],
}

impl<const N: usize> Call<N> {
    /// A call of this method, with all gas but a 64th of what is left when it is sent.
    pub fn of(zapp: &[u8; 32], method: &str) -> Self {
        const { assert!(N > METHOD_BYTES_MAX, "a name takes up to 65 bytes") }
        let mut call = Self {
            zapp: *zapp,
            gas: u64::MAX,
            input: [0; N],
            len: 0,
        };
        let len = u8::try_from(method.len()).unwrap_or(u8::MAX);
        call.put(&[len]);
        call.put(method.as_bytes());
        call
    }

    /// Adds an argument.
    pub fn argument<T: Value>(mut self, value: &T) -> Self {
        let rest = self.input.get_mut(self.len..).unwrap_or_default();
        let mut writer = Writer::new(rest);
        value.encode(&mut writer);
        self.len += writer.written();
        self
    }

    /// Gives it at most so much gas.
    pub fn gas(mut self, gas: u64) -> Self {
        self.gas = gas;
        self
    }

    /// Calls, and reads the result.
    ///
    /// # Errors
    /// [`CallFailed`] says how it ended.
    pub fn send<T: Value>(self) -> Result<T, CallFailed> {
        let input = self.input.get(..self.len).unwrap_or_default();
        let (status, len) = abi::call(&self.zapp, self.gas, input);
        match status {
            0 => crate::typed::with_buffer!(T::BYTES_MAX, buffer => {
                let result = buffer.get_mut(..len).and_then(|buffer| {
                    abi::result(buffer, 0);
                    decode(buffer).ok()
                });
                Ok(result.unwrap_or_else(|| abi::abort(b"a result of another type")))
            }),
            1 => {
                let mut code = [0; 4];
                abi::result(&mut code, 0);
                Err(CallFailed::Reverted(u32::from_le_bytes(code)))
            }
            2 => Err(CallFailed::Trapped),
            3 => Err(CallFailed::OutOfGas),
            _ => Err(CallFailed::NotCallable),
        }
    }

    fn put(&mut self, bytes: &[u8]) {
        let place = self.input.get_mut(self.len..self.len + bytes.len());
        match place {
            Some(place) => place.copy_from_slice(bytes),
            None => abi::abort(b"a call longer than its buffer"),
        }
        self.len += bytes.len();
    }
}

impl From<CallFailed> for Revert {
    /// A revert of the other zApp becomes this one's; anything else is [`Revert::CALL`].
    fn from(failed: CallFailed) -> Self {
        match failed {
            CallFailed::Reverted(code) => Self::passed_on(code),
            _ => Self::CALL,
        }
    }
}

impl Destination<'_> {
    /// Sends a message of at most 16 KiB: an attested leaf of its own, if the request ends well.
    pub fn send(&self, payload: &[u8]) {
        let mut to = [0; 80 + LABEL_BYTES_MAX];
        let mut writer = Writer::new(&mut to);
        writer.put(&self.chain.to_le_bytes());
        writer.put(&self.contract);
        writer.put(&self.receiver);
        writer.put(&self.gas.to_le_bytes());
        writer.put(self.label);
        let len = writer.written();
        abi::post(to.get(..len).unwrap_or_default(), payload);
    }
}

const LABEL_BYTES_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_laid_out_as_the_callee_reads_it() {
        let call = Call::<128>::of(&[7; 32], "transfer")
            .argument(&[1u8; 2])
            .argument(&5u64);
        let expected = b"\x08transfer\x01\x01\0\0\0\0\0\0\0\x05";
        assert_eq!(&call.input[..call.len], expected);
        let request = crate::Request::parse(1, &call.input[..call.len]).unwrap();
        assert_eq!(request.method, b"transfer");
    }

    #[test]
    fn a_revert_of_the_other_zapp_is_passed_on() {
        let own = Revert::from(CallFailed::Reverted(101));
        assert_eq!(own, Revert::new(101));
        assert_eq!(Revert::from(CallFailed::Reverted(4)), Revert::OVERFLOW);
        // Codes that no revert of this SDK has: the host's own, and none at all.
        for code in [0, u32::MAX, 1 << 31] {
            assert_eq!(Revert::from(CallFailed::Reverted(code)), Revert::CALL);
        }
        for failed in [
            CallFailed::Trapped,
            CallFailed::OutOfGas,
            CallFailed::NotCallable,
        ] {
            assert_eq!(Revert::from(failed), Revert::CALL);
        }
    }
}
