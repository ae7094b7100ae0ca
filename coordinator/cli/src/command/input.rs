//! The bytes of a call's input, from the command line.

use std::path::Path;

use serde_json::{Map, Value};

use crate::abi::{Abi, Which};
use crate::arguments::Input;
use crate::failure::Failure;
use crate::key_file::CallerKey;

/// What the command line gives.
pub(crate) enum Given {
    /// Bytes, as they are.
    Bytes(Vec<u8>),
    /// Values by name, for the ABI to put in order.
    Named(Vec<(String, Value)>),
}

impl Given {
    pub(crate) fn of(input: &Input) -> Result<Self, Failure> {
        if let Some(digits) = &input.input {
            let bytes = hex::decode(digits);
            let bytes = bytes.map_err(|error| Failure::Usage(format!("--input: {error}")));
            return bytes.map(Self::Bytes);
        }
        if !input.arg.is_empty() {
            let parts: Result<Vec<Vec<u8>>, Failure> =
                input.arg.iter().map(|argument| one(argument)).collect();
            return Ok(Self::Bytes(parts?.concat()));
        }
        if let Some(json) = &input.json_args {
            let object: Option<Map<String, Value>> = serde_json::from_str(json).ok();
            let object = object.ok_or_else(|| {
                Failure::Usage("--json-args: a JSON object such as {\"amount\":5}".to_owned())
            })?;
            return Ok(Self::Named(object.into_iter().collect()));
        }
        let named: Result<_, Failure> = input.named.iter().map(|pair| named(pair)).collect();
        Ok(Self::Named(named?))
    }

    /// The input's bytes. Names need the ABI; without one, only no arguments at all are taken.
    pub(crate) fn bytes(self, abi: Option<&Abi>, which: Which<'_>) -> Result<Vec<u8>, Failure> {
        match (self, abi) {
            (Self::Bytes(bytes), _) => Ok(bytes),
            (Self::Named(values), Some(abi)) => abi.input(which, &values),
            (Self::Named(values), None) if values.is_empty() => Ok(Vec::new()),
            (Self::Named(_), None) => Err(Failure::new(
                "the zApp's module does not say what arguments it takes",
                "give them in order as --arg TYPE:VALUE, see the zApp's documentation",
            )),
        }
    }
}

/// `name=value`; what looks like a list, a record or nothing is JSON.
fn named(pair: &str) -> Result<(String, Value), Failure> {
    let (name, value) = pair.split_once('=').ok_or_else(|| {
        Failure::Usage(format!(
            "{pair}: an argument is NAME=VALUE, such as amount=5"
        ))
    })?;
    if let Some(path) = value.strip_prefix('@') {
        let key = CallerKey::read(Path::new(path))?.identity();
        return Ok((name.to_owned(), Value::String(key.to_string())));
    }
    let is_json = value.starts_with(['[', '{', '"']) || value == "null";
    let value = match is_json {
        true => serde_json::from_str(value)
            .map_err(|error| Failure::Usage(format!("{name}: no JSON: {error}")))?,
        false => Value::String(value.to_owned()),
    };
    Ok((name.to_owned(), value))
}

fn one(argument: &str) -> Result<Vec<u8>, Failure> {
    let usage = |why: &str| Failure::Usage(format!("--arg {argument}: {why}"));
    let (kind, value) = argument
        .split_once(':')
        .ok_or_else(|| usage("expected TYPE:VALUE"))?;
    let number = || usage("not a number of that size");
    match kind {
        "u8" => Ok(value
            .parse::<u8>()
            .map_err(|_| number())?
            .to_be_bytes()
            .to_vec()),
        "u32" => Ok(value
            .parse::<u32>()
            .map_err(|_| number())?
            .to_be_bytes()
            .to_vec()),
        "u64" => Ok(value
            .parse::<u64>()
            .map_err(|_| number())?
            .to_be_bytes()
            .to_vec()),
        "u128" => Ok(value
            .parse::<u128>()
            .map_err(|_| number())?
            .to_be_bytes()
            .to_vec()),
        "hex" => hex::decode(value).map_err(|_| usage("not hexadecimal digits")),
        "text" => Ok(value.as_bytes().to_vec()),
        "address" => {
            let address: nom::Address = value.parse().map_err(|_| usage("not a z1… address"))?;
            Ok(address.as_bytes().to_vec())
        }
        _ => Err(usage("types are u8 u32 u64 u128 hex text address")),
    }
}

#[cfg(test)]
mod tests {
    use super::{named, one};
    use serde_json::json;

    #[test]
    fn named_values_are_texts_or_json() {
        for (pair, name, value) in [
            ("amount=5", "amount", json!("5")),
            ("to=a=b", "to", json!("a=b")),
            ("keys=[\"0a\",1]", "keys", json!(["0a", 1])),
            ("none=null", "none", serde_json::Value::Null),
            ("quoted=\"null\"", "quoted", json!("null")),
            ("empty=", "empty", json!("")),
        ] {
            assert_eq!(named(pair).ok(), Some((name.to_owned(), value)), "{pair}");
        }
        for wrong in ["amount", "keys=[1", "to=@/no/such/file"] {
            assert!(named(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn one_encodes_numbers_big_endian_and_refuses_what_does_not_fit() {
        assert_eq!(one("u64:258").ok(), Some(vec![0, 0, 0, 0, 0, 0, 1, 2]));
        assert_eq!(one("hex:0aFF").ok(), Some(vec![10, 255]));
        assert_eq!(one("text:a:b").ok(), Some(b"a:b".to_vec()));
        for wrong in [
            "u8:256",
            "u64:-1",
            "hex:abc",
            "address:z1",
            "float:1",
            "u64",
        ] {
            assert!(one(wrong).is_err(), "{wrong}");
        }
    }
}
