//! The bytes of a call's input, from the command line.

use crate::arguments::Input;
use crate::failure::Failure;

/// Input bytes: `--input` as it is, or the `--arg`s one after the other.
pub(crate) fn bytes(input: &Input) -> Result<Vec<u8>, Failure> {
    if let Some(digits) = &input.input {
        return hex::decode(digits).map_err(|error| Failure::Usage(format!("--input: {error}")));
    }
    let mut bytes = Vec::new();
    for argument in &input.arg {
        bytes.extend(one(argument)?);
    }
    Ok(bytes)
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
    use super::one;

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
