//! From the host's call to the author's function.

use crate::{Args, Revert, Value, abi, typed};

/// Longest method name in bytes.
pub const METHOD_BYTES_MAX: usize = 64;

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Op {
    /// Runs once, when the zApp is deployed.
    Init,
    /// A signed call; its writes are kept.
    Call,
    /// A query; the host refuses writes.
    View,
    /// Runs once on the state of the module before.
    Migrate,
}

impl Op {
    const fn from_number(number: i32) -> Option<Self> {
        Some(match number {
            0 => Self::Init,
            1 => Self::Call,
            2 => Self::View,
            3 => Self::Migrate,
            _ => return None,
        })
    }
}

/// A request as the zApp sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Request<'a> {
    /// What it is for.
    pub op: Op,
    /// Name of the method.
    pub method: &'a [u8],
    /// Its arguments.
    pub args: Args<'a>,
}

impl<'a> Request<'a> {
    /// Reads an input: method length u8 ‖ method ‖ arguments.
    pub(crate) fn parse(op: i32, input: &'a [u8]) -> Result<Self, Revert> {
        let op = Op::from_number(op).ok_or(Revert::UNKNOWN_METHOD)?;
        let (length, rest) = input.split_first().ok_or(Revert::ARGUMENTS)?;
        let (method, args) = rest
            .split_at_checked(usize::from(*length))
            .ok_or(Revert::ARGUMENTS)?;
        if method.len() > METHOD_BYTES_MAX {
            return Err(Revert::ARGUMENTS);
        }
        Ok(Self {
            op,
            method,
            args: Args(args),
        })
    }
}

/// Reads the input into `buffer` and runs `run`; returns the code for the host. [`entry!`] calls
/// this.
///
/// [`entry!`]: crate::entry!
pub fn enter(
    op: i32,
    input_bytes: i32,
    buffer: &mut [u8],
    run: fn(Request<'_>) -> Result<(), Revert>,
) -> i32 {
    let length = usize::try_from(input_bytes).unwrap_or(usize::MAX);
    let outcome = match buffer.get_mut(..length) {
        None => Err(Revert::INPUT_LENGTH),
        Some(input) => {
            abi::input(input, 0);
            Request::parse(op, input).and_then(run)
        }
    };
    // Revert codes are below 2^31.
    outcome.map_or_else(|revert| revert.code().cast_signed(), |()| 0)
}

/// What a method returns: a value, or a value and how it may fail.
#[diagnostic::on_unimplemented(
    message = "a method cannot return `{Self}`",
    label = "neither a value nor a `Result` of one with an error that becomes a `Revert`",
    note = "return nothing, a value (a number, [u8; N], Text<N>, …) or `Result<value>`"
)]
pub trait Answer {
    /// The value.
    type Output: Value;

    /// The value, or the revert.
    ///
    /// # Errors
    /// The revert.
    fn answer(self) -> Result<Self::Output, Revert>;
}

impl<T: Value> Answer for T {
    type Output = T;

    fn answer(self) -> Result<T, Revert> {
        Ok(self)
    }
}

impl<T: Value, E: Into<Revert>> Answer for Result<T, E> {
    type Output = T;

    fn answer(self) -> Result<T, Revert> {
        self.map_err(Into::into)
    }
}

/// Ends a call or view: its value becomes the output.
///
/// # Errors
/// The method's revert.
pub fn finish<T: Answer>(answer: T) -> Result<(), Revert> {
    let value = answer.answer()?;
    if T::Output::BYTES_MAX > 0 {
        typed::with_encoded(&value, abi::output);
    }
    Ok(())
}

/// Ends what nobody reads the output of: an init or migration.
///
/// # Errors
/// The function's revert.
pub fn finish_silent<T: Answer<Output = ()>>(answer: T) -> Result<(), Revert> {
    answer.answer()
}

/// The greatest of some lengths.
#[must_use]
pub const fn longest(mut lengths: &[usize]) -> usize {
    let mut longest = 0;
    while let [length, rest @ ..] = lengths {
        if *length > longest {
            longest = *length;
        }
        lengths = rest;
    }
    longest
}

/// Exports `zapp_main`: `entry!(run, input_bytes_max = 128)` answers requests by
/// `run(Request) -> Result<(), Revert>`. Longer inputs (method length, method and arguments
/// together) revert with [`Revert::INPUT_LENGTH`](crate::Revert::INPUT_LENGTH).
#[macro_export]
macro_rules! entry {
    ($run:path, input_bytes_max = $max:expr) => {
        #[allow(unsafe_code, reason = "the one symbol that the host looks up by name")]
        // Compiled for another machine, for tests, nobody calls it.
        #[cfg_attr(not(target_arch = "wasm32"), allow(dead_code))]
        #[cfg_attr(target_arch = "wasm32", unsafe(no_mangle))]
        extern "C" fn zapp_main(op: i32, input_bytes: i32) -> i32 {
            $crate::enter(op, input_bytes, &mut [0; $max], $run)
        }
    };
}

/// Embeds a description of the zApp's methods as the custom section `zapp.abi`; see
/// [`description`](crate::description) for its form.
#[macro_export]
macro_rules! describe {
    ($text:expr) => {
        // Not `#[used]`: beside the section it would be data, which each call pays for.
        #[allow(dead_code, reason = "read in the module's file")]
        #[allow(unsafe_code, reason = "a custom section holds bytes and no code")]
        #[cfg_attr(target_arch = "wasm32", unsafe(link_section = "zapp.abi"))]
        static ZAPP_ABI: [u8; $text.len()] = *$text;
    };
}

#[cfg(target_arch = "wasm32")]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // No message: formatting would cost more code than the zApps have.
    crate::abort(b"panic")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inputs_are_method_and_arguments() {
        let request = Request::parse(1, b"\x03addxy");
        assert_eq!(
            request,
            Ok(Request {
                op: Op::Call,
                method: b"add",
                args: Args(b"xy")
            })
        );
        assert!(Request::parse(0, b"\0").is_ok());
    }

    #[test]
    fn other_inputs_revert() {
        let mut long = [b'm'; 66];
        long[0] = 65;
        let cases: [(i32, &[u8], Revert); 5] = [
            (1, b"", Revert::ARGUMENTS),
            (1, b"\x01", Revert::ARGUMENTS),
            (1, &long, Revert::ARGUMENTS),
            (4, b"\0", Revert::UNKNOWN_METHOD),
            (-1, b"\0", Revert::UNKNOWN_METHOD),
        ];
        for (op, input, revert) in cases {
            assert_eq!(Request::parse(op, input), Err(revert));
        }
    }
}
