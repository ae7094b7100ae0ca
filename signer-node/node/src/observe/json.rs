//! Reading one value out of a JSON document: exactly, without floats.
//!
//! Numbers are taken from their text, so that 0.1 is 0.1: every member comes to the same integer.

use std::collections::BTreeMap;

use attestation::source::{Absence, OBSERVED_BYTES_MAX, Observed};
use serde_bytes::ByteBuf;
use serde_json::value::RawValue;

/// Longest document that is read.
pub const DOCUMENT_BYTES_MAX: usize = 64 * 1024;
/// Longest number in bytes of its text, digits of its exponent apart.
const NUMBER_BYTES_MAX: usize = 128;
/// Exponents beyond this are no number of a price.
const EXPONENT_MAX: i32 = 64;

/// What a document says at a pointer (RFC 6901): an integer of so many decimal places, or text.
#[must_use]
pub fn read(document: &[u8], pointer: &str, scale: Option<u8>) -> Observed {
    match value(document, pointer).and_then(|value| observed(value.get(), scale)) {
        Ok(observed) => observed,
        Err(why) => Observed::Absent(why),
    }
}

/// The result in an answer of JSON-RPC.
///
/// # Errors
/// [`Absence::NotJson`], or [`Absence::Status`] if the answer is an error.
pub fn result(answer: &[u8]) -> Result<&[u8], Absence> {
    match value(answer, "/result") {
        Ok(result) => Ok(result.get().as_bytes()),
        Err(Absence::NoValue) => Err(Absence::Status),
        Err(why) => Err(why),
    }
}

/// The value at a pointer. Each level is parsed again: documents and pointers are short.
fn value<'a>(document: &'a [u8], pointer: &str) -> Result<&'a RawValue, Absence> {
    let mut value: &RawValue = serde_json::from_slice(document).map_err(|_| Absence::NotJson)?;
    for token in pointer.split('/').skip(1) {
        let token = token.replace("~1", "/").replace("~0", "~");
        let text = value.get();
        value = match text.as_bytes().first() {
            Some(b'{') => {
                let object = serde_json::from_str::<BTreeMap<String, &RawValue>>(text);
                object
                    .map_err(|_| Absence::NotJson)?
                    .get(&token)
                    .copied()
                    .ok_or(Absence::NoValue)?
            }
            Some(b'[') => {
                // RFC 6901 §4: no leading zeros; `-` names no element.
                let canonical = token == "0" || !token.starts_with(['0', '+']);
                let index = token.parse::<usize>().ok().filter(|_| canonical);
                let array = serde_json::from_str::<Vec<&RawValue>>(text);
                let array = array.map_err(|_| Absence::NotJson)?;
                let element = index.and_then(|index| array.get(index));
                *element.ok_or(Absence::NoValue)?
            }
            _ => return Err(Absence::NoValue),
        };
    }
    Ok(value)
}

fn observed(text: &str, scale: Option<u8>) -> Result<Observed, Absence> {
    let string = text
        .starts_with('"')
        .then(|| serde_json::from_str::<String>(text));
    let string = string.transpose().map_err(|_| Absence::NotJson)?;
    if let Some(scale) = scale {
        // Many services give numbers as strings.
        let number = string.as_deref().unwrap_or(text);
        let integer = integer(number, scale).ok_or(Absence::Kind)?;
        return Ok(Observed::Integer(integer));
    }
    let is_structure = text.starts_with(['{', '[']) || text == "null";
    let bytes = string.map_or_else(|| text.as_bytes().to_vec(), String::into_bytes);
    if is_structure || bytes.len() > OBSERVED_BYTES_MAX {
        return Err(Absence::Kind);
    }
    Ok(Observed::Bytes(ByteBuf::from(bytes)))
}

/// A JSON number times 10^scale, further digits cut off; `None` if it is no number or does not fit.
fn integer(text: &str, scale: u8) -> Option<i64> {
    if text.len() > NUMBER_BYTES_MAX {
        return None;
    }
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, exponent.parse::<i32>().ok()?),
        None => (text, 0),
    };
    if !(-EXPONENT_MAX..=EXPONENT_MAX).contains(&exponent) {
        return None;
    }
    let (negative, mantissa) = match mantissa.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, mantissa),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((_, "")) => return None,
        Some(parts) => parts,
        None => (mantissa, ""),
    };
    let digits = || whole.bytes().chain(fraction.bytes());
    if whole.is_empty() || !digits().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    // How many of the digits, or of zeros after them, stand before the point.
    let kept = i32::try_from(whole.len()).ok()? + exponent + i32::from(scale);
    let kept = usize::try_from(kept).unwrap_or(0);
    let digits = digits().chain(std::iter::repeat(b'0')).take(kept);
    let mut value: i128 = 0;
    for digit in digits {
        value = value.checked_mul(10)?.checked_add((digit - b'0').into())?;
    }
    i64::try_from(if negative { -value } else { value }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_exact_and_cut_off() {
        for (text, scale, expected) in [
            ("12.34", 2, Some(1234)),
            ("12.349", 2, Some(1234)),
            ("-12.349", 2, Some(-1234)),
            ("0.1", 8, Some(10_000_000)),
            ("0.30000000000000004", 17, Some(30_000_000_000_000_004)),
            ("5", 0, Some(5)),
            ("5e2", 0, Some(500)),
            ("5E-1", 1, Some(5)),
            ("1e+3", 0, Some(1000)),
            ("1e-30", 8, Some(0)),
            ("0", 18, Some(0)),
            ("000000000000000000000000000007", 0, Some(7)),
            ("9223372036854775807", 0, Some(i64::MAX)),
            ("-9223372036854775808", 0, Some(i64::MIN)),
            ("9223372036854775808", 0, None),
            ("1e60", 0, None),
            ("1e65", 0, None),
            ("1e99999999999", 0, None),
            ("1.", 2, None),
            (".1", 2, None),
            ("", 2, None),
            ("-", 2, None),
            ("+1", 2, None),
            ("1_000", 2, None),
            ("NaN", 2, None),
            ("0x10", 2, None),
            ("1 ", 2, None),
        ] {
            assert_eq!(integer(text, scale), expected, "{text} at {scale}");
        }
        assert_eq!(integer(&"1".repeat(129), 0), None);
        // An exponent makes no long work: the zeros are as many as it allows.
        assert_eq!(integer("0e64", 18), Some(0));
    }

    #[test]
    fn pointers_lead_where_the_rfc_says() {
        let document = br#"{"a":{"b/c":[1,{"~":"2.5"},true]},"":7,"t":"text","n":null}"#;
        let bytes = |text: &str| Observed::Bytes(ByteBuf::from(text.as_bytes().to_vec()));
        for (pointer, scale, expected) in [
            ("/a/b~1c/0", Some(1), Observed::Integer(10)),
            ("/a/b~1c/1/~0", Some(2), Observed::Integer(250)),
            ("/a/b~1c/1/~0", None, bytes("2.5")),
            ("/", Some(0), Observed::Integer(7)),
            ("/t", None, bytes("text")),
            ("/a/b~1c/2", None, bytes("true")),
            ("/t", Some(0), Observed::Absent(Absence::Kind)),
            ("/n", None, Observed::Absent(Absence::Kind)),
            ("/n", Some(0), Observed::Absent(Absence::Kind)),
            ("/a", None, Observed::Absent(Absence::Kind)),
            ("", None, Observed::Absent(Absence::Kind)),
            ("/x", None, Observed::Absent(Absence::NoValue)),
            ("/a/b~1c/3", None, Observed::Absent(Absence::NoValue)),
            ("/a/b~1c/00", None, Observed::Absent(Absence::NoValue)),
            ("/a/b~1c/-", None, Observed::Absent(Absence::NoValue)),
            ("/t/0", None, Observed::Absent(Absence::NoValue)),
        ] {
            assert_eq!(
                read(document, pointer, scale),
                expected,
                "{pointer} {scale:?}"
            );
        }
    }

    #[test]
    fn what_is_no_json_or_too_deep_or_too_long_is_absent() {
        let deep = "[".repeat(DOCUMENT_BYTES_MAX);
        for document in ["", "<html>", "{\"a\":1", "{\"a\":1}x", deep.as_str()] {
            let seen = read(document.as_bytes(), "/a", Some(0));
            assert_eq!(seen, Observed::Absent(Absence::NotJson), "{document:.20}");
        }
        let long = format!("\"{}\"", "x".repeat(OBSERVED_BYTES_MAX + 1));
        let seen = read(long.as_bytes(), "", None);
        assert_eq!(seen, Observed::Absent(Absence::Kind));
        assert_eq!(read(b"\xff", "", None), Observed::Absent(Absence::NotJson));
    }
}
