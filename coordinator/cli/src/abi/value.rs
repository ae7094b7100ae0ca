//! Values: JSON to a zApp's bytes and back.
//!
//! Bytes are hexadecimal digits. Numbers are JSON numbers or their digits in a text; those of more
//! than 64 bits come back as text, which JSON's readers keep exact.

use attestation::address::Address;
use serde_json::{Map, Number, Value, json};

use super::of_type::{Field, Type};

/// Appends a value's encoding.
pub(super) fn encode(of: &Type, value: &Value, bytes: &mut Vec<u8>) -> Result<(), String> {
    let unfit = || format!("{value} is no {of}");
    match of {
        Type::None => return Err("there is no value of this type".to_owned()),
        Type::Bool => bytes.push(u8::from(boolean(value).ok_or_else(unfit)?)),
        Type::Unsigned(width) => {
            let number: u128 = digits(value).parse().map_err(|_| unfit())?;
            push_number(&number.to_be_bytes(), *width, 0, bytes).ok_or_else(unfit)?;
        }
        Type::Signed(width) => {
            let number: i128 = digits(value).parse().map_err(|_| unfit())?;
            let sign = if number < 0 { 0xff } else { 0 };
            let start = bytes.len();
            push_number(&number.to_be_bytes(), *width, sign, bytes).ok_or_else(unfit)?;
            // The sign is the first bit of what is kept.
            let first = bytes.get(start).copied().unwrap_or_default();
            if (first >= 0x80) != (number < 0) {
                return Err(unfit());
            }
        }
        Type::Fixed(length) => {
            let given = fixed(*length, value).ok_or_else(unfit)?;
            if given.len() != *length {
                return Err(format!("{} bytes, {length} expected", given.len()));
            }
            bytes.extend(given);
        }
        Type::Bytes(max) => push_sized(&hexadecimal(value).ok_or_else(unfit)?, *max, bytes)?,
        Type::Text(max) => push_sized(value.as_str().ok_or_else(unfit)?.as_bytes(), *max, bytes)?,
        Type::Rest => bytes.extend(hexadecimal(value).ok_or_else(unfit)?),
        Type::Option(of) => match value {
            Value::Null => bytes.push(0),
            value => {
                bytes.push(1);
                encode(of, value, bytes)?;
            }
        },
        Type::List(of, max) => {
            let values = value.as_array().ok_or_else(unfit)?;
            push_length(values.len(), *max, bytes)?;
            for value in values {
                encode(of, value, bytes)?;
            }
        }
        Type::Record(fields) => encode_record(fields, value, bytes)?,
        Type::Tuple(parts) => {
            let values = value
                .as_array()
                .filter(|values| values.len() == parts.len());
            for (of, value) in parts.iter().zip(values.ok_or_else(unfit)?) {
                encode(of, value, bytes)?;
            }
        }
    }
    Ok(())
}

fn encode_record(fields: &[Field], value: &Value, bytes: &mut Vec<u8>) -> Result<(), String> {
    let object = value
        .as_object()
        .ok_or_else(|| format!("{value} is no object"))?;
    let named = |name: &String| fields.iter().any(|field| field.name == *name);
    if let Some(name) = object.keys().find(|name| !named(name)) {
        return Err(format!("there is no field {name}"));
    }
    for field in fields {
        let value = object.get(&field.name);
        let value = value.ok_or_else(|| format!("field {} is missing", field.name))?;
        encode(&field.of, value, bytes).map_err(|why| format!("{}: {why}", field.name))?;
    }
    Ok(())
}

fn boolean(value: &Value) -> Option<bool> {
    value.as_bool().or_else(|| value.as_str()?.parse().ok())
}

fn digits(value: &Value) -> String {
    match value {
        Value::Number(number) => number.to_string(),
        value => value.as_str().unwrap_or_default().to_owned(),
    }
}

fn hexadecimal(value: &Value) -> Option<Vec<u8>> {
    let digits = value.as_str()?;
    hex::decode(digits.strip_prefix("0x").unwrap_or(digits)).ok()
}

/// Hexadecimal digits, or an address where it has the length.
fn fixed(length: usize, value: &Value) -> Option<Vec<u8>> {
    if length == 20
        && let Some(address) = value.as_str().filter(|text| text.starts_with("z1"))
    {
        return Some(address.parse::<Address>().ok()?.as_bytes().to_vec());
    }
    hexadecimal(value)
}

/// The last `width` bytes of a number of 16, the others of which must be `fill`; more of these if
/// it is wider.
fn push_number(number: &[u8; 16], width: usize, fill: u8, bytes: &mut Vec<u8>) -> Option<()> {
    let cut = number.len().saturating_sub(width);
    let (dropped, kept) = number.split_at_checked(cut)?;
    if dropped.iter().any(|byte| *byte != fill) {
        return None;
    }
    bytes.extend(std::iter::repeat_n(
        fill,
        width.saturating_sub(number.len()),
    ));
    bytes.extend(kept);
    Some(())
}

fn push_length(length: usize, max: usize, bytes: &mut Vec<u8>) -> Result<(), String> {
    let written = u16::try_from(length).ok().filter(|_| length <= max);
    let written = written.ok_or_else(|| format!("{length} given, at most {max} allowed"))?;
    bytes.extend(written.to_be_bytes());
    Ok(())
}

fn push_sized(given: &[u8], max: usize, bytes: &mut Vec<u8>) -> Result<(), String> {
    push_length(given.len(), max, bytes)?;
    bytes.extend(given);
    Ok(())
}

/// The value whose encoding is all of `bytes`.
pub(super) fn decode(of: &Type, bytes: &[u8]) -> Option<Value> {
    let mut rest = bytes;
    let value = take(of, &mut rest)?;
    rest.is_empty().then_some(value)
}

fn take(of: &Type, rest: &mut &[u8]) -> Option<Value> {
    Some(match of {
        Type::None => Value::Null,
        Type::Bool => match take_bytes(rest, 1)? {
            [0] => json!(false),
            [1] => json!(true),
            _ => return None,
        },
        Type::Unsigned(width) => unsigned(take_bytes(rest, *width)?),
        Type::Signed(width) => signed(take_bytes(rest, *width)?),
        Type::Fixed(length) => json!(hex::encode(take_bytes(rest, *length)?)),
        Type::Bytes(max) => json!(hex::encode(take_sized(rest, *max)?)),
        Type::Text(max) => json!(std::str::from_utf8(take_sized(rest, *max)?).ok()?),
        Type::Rest => json!(hex::encode(std::mem::take(rest))),
        Type::Option(of) => match take_bytes(rest, 1)? {
            [0] => Value::Null,
            [1] => take(of, rest)?,
            _ => return None,
        },
        Type::List(of, max) => {
            let count = take_length(rest, *max)?;
            let values = (0..count).map(|_| take(of, rest));
            Value::Array(values.collect::<Option<_>>()?)
        }
        Type::Record(fields) => {
            let mut object = Map::new();
            for field in fields {
                object.insert(field.name.clone(), take(&field.of, rest)?);
            }
            Value::Object(object)
        }
        Type::Tuple(parts) => {
            let values = parts.iter().map(|of| take(of, rest));
            Value::Array(values.collect::<Option<_>>()?)
        }
    })
}

fn unsigned(bytes: &[u8]) -> Value {
    let start = bytes.len().saturating_sub(16);
    let (high, low) = bytes.split_at(start);
    if high.iter().any(|byte| *byte != 0) {
        return json!(format!("0x{}", hex::encode(bytes)));
    }
    let number = low
        .iter()
        .fold(0u128, |number, byte| number << 8 | u128::from(*byte));
    match u64::try_from(number) {
        Ok(small) if bytes.len() <= 8 => Value::Number(Number::from(small)),
        _ => json!(number.to_string()),
    }
}

fn signed(bytes: &[u8]) -> Value {
    let negative = bytes.first().is_some_and(|byte| *byte >= 0x80);
    let fill: i128 = if negative { -1 } else { 0 };
    let number = bytes
        .iter()
        .fold(fill, |number, byte| number << 8 | i128::from(*byte));
    match i64::try_from(number) {
        Ok(small) if bytes.len() <= 8 => Value::Number(Number::from(small)),
        _ => json!(number.to_string()),
    }
}

fn take_bytes<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, left) = rest.split_at_checked(length)?;
    *rest = left;
    Some(taken)
}

fn take_length(rest: &mut &[u8], max: usize) -> Option<usize> {
    let (length, left) = rest.split_first_chunk()?;
    *rest = left;
    Some(usize::from(u16::from_be_bytes(*length))).filter(|length| *length <= max)
}

fn take_sized<'a>(rest: &mut &'a [u8], max: usize) -> Option<&'a [u8]> {
    let length = take_length(rest, max)?;
    take_bytes(rest, length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_of(of: &str, value: &Value) -> Option<Vec<u8>> {
        let mut bytes = Vec::new();
        let of = Type::parse(of).expect(of);
        encode(&of, value, &mut bytes).ok().map(|()| bytes)
    }

    #[test]
    fn values_have_the_encoding_of_the_sdk_and_come_back() {
        let table: [(&str, Value, &[u8]); 14] = [
            ("u16", json!(258), &[1, 2]),
            ("i16", json!(-2), &[255, 254]),
            ("i128", json!("-1"), &[255; 16]),
            (
                "u128",
                json!("256"),
                &[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0],
            ),
            ("bool", json!(true), &[1]),
            ("bytes2", json!("0aff"), &[10, 255]),
            ("bytes..4", json!("0aff"), &[0, 2, 10, 255]),
            ("text..4", json!("añ"), b"\0\x03a\xc3\xb1"),
            ("bytes", json!("0aff"), &[10, 255]),
            ("u8?", json!(5), &[1, 5]),
            ("u8?", Value::Null, &[0]),
            ("[u16]..3", json!([1, 2]), &[0, 2, 0, 1, 0, 2]),
            ("(a:u8,b:bool)", json!({ "b": false, "a": 7 }), &[7, 0]),
            ("(u8,u8)", json!([1, 2]), &[1, 2]),
        ];
        for (of, value, bytes) in table {
            assert_eq!(bytes_of(of, &value).as_deref(), Some(bytes), "{of}");
            let back = decode(&Type::parse(of).expect(of), bytes);
            assert_eq!(back, Some(value), "{of}");
        }
        assert_eq!(bytes_of("u64", &json!("5")), bytes_of("u64", &json!(5)));
        assert_eq!(
            bytes_of("u256", &json!(1)).map(|bytes| bytes.len()),
            Some(32)
        );
        assert_eq!(bytes_of("bytes2", &json!("0x0aff")), Some(vec![10, 255]));
    }

    #[test]
    fn values_that_do_not_fit_are_refused() {
        for (of, value) in [
            ("u8", json!(256)),
            ("u8", json!(-1)),
            ("u64", json!(1.5)),
            ("i8", json!(128)),
            ("i8", json!(-129)),
            ("bool", json!(1)),
            ("bytes2", json!("0a")),
            ("bytes20", json!("z1")),
            ("bytes..1", json!("0aff")),
            ("text..1", json!("ab")),
            ("text..4", json!(5)),
            ("[u8]..1", json!([1, 2])),
            ("(a:u8)", json!({})),
            ("(a:u8)", json!({ "a": 1, "b": 2 })),
            ("(u8,u8)", json!([1])),
            ("none", Value::Null),
        ] {
            assert_eq!(bytes_of(of, &value), None, "{of} {value}");
        }
    }

    #[test]
    fn bytes_that_are_no_value_are_none() {
        for (of, bytes) in [
            ("u16", &[1][..]),
            ("u8", &[1, 2]),
            ("bool", &[2]),
            ("u8?", &[2, 1]),
            ("text..1", b"\0\x02ab"),
            ("text..4", b"\0\x01\xff"),
            ("[u8]..2", &[0, 2, 1]),
            ("[none]..9", &[0, 10]),
        ] {
            assert_eq!(decode(&Type::parse(of).expect(of), bytes), None, "{of}");
        }
    }
}
