//! Sources that members are to observe, as callers write them.

use std::str::FromStr;

use attestation::source::{Place, Reducer, Source};
use clap::Args;

/// Sources of a call.
#[derive(Args, Clone, Debug, Default)]
pub(crate) struct Sources {
    /// Have members observe this, for the zApp to read; up to 16 times. REDUCER:SCALE:PLACE#POINTER
    /// for a number (SCALE decimal places), REDUCER:PLACE#POINTER for text. REDUCER is median, mode
    /// or identical; PLACE is a URL of a JSON document, `nom:METHOD[PARAMETERS]` for a member's own
    /// NoM node, or `evm:CHAIN:CONTRACT:DATA` for a call of a contract by a member's own node of that
    /// chain (hexadecimal digits); POINTER is a JSON pointer.
    #[arg(long = "source", value_name = "SOURCE")]
    pub(crate) sources: Vec<SourceArgument>,
    /// Seconds within which members must have observed; after them the call is refused, attested.
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    pub(crate) observe_within: u64,
}

/// One source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SourceArgument(pub(crate) Source);

impl FromStr for SourceArgument {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let shape = "write REDUCER:SCALE:PLACE#POINTER, as in median:8:https://host/path#/usd";
        let (reducer, rest) = text.split_once(':').ok_or(shape)?;
        let reducer = match reducer {
            "median" => Reducer::Median,
            "mode" => Reducer::Mode,
            "identical" => Reducer::Identical,
            other => return Err(format!("{other} is no reducer: median, mode or identical")),
        };
        let (scale, rest) = match rest.split_once(':') {
            Some((digits, rest)) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                let scale = digits.parse::<u8>();
                (Some(scale.map_err(|_| "at most 18 decimal places")?), rest)
            }
            _ => (None, rest),
        };
        let (place, pointer) = rest.split_once('#').unwrap_or((rest, ""));
        let at = match place.split_once(':') {
            Some(("nom", call)) => {
                let (method, params) = call.split_at(call.find('[').unwrap_or(call.len()));
                let params = if params.is_empty() { "[]" } else { params };
                Place::NomRpc {
                    method: method.to_owned(),
                    params: params.to_owned(),
                }
            }
            Some(("evm", call)) => evm(call)?,
            _ => Place::HttpJson {
                url: place.to_owned(),
            },
        };
        let source = Source {
            at,
            pointer: pointer.to_owned(),
            scale,
            reducer,
        };
        // What members would refuse is refused here, with its reason.
        let alone = attestation::source::Pull {
            sources: vec![source.clone()],
            deadline_ms: 0,
        };
        alone.check(0).map_err(|error| error.to_string())?;
        Ok(Self(source))
    }
}

/// `CHAIN:CONTRACT:DATA`, the last two with or without 0x.
fn evm(call: &str) -> Result<Place, String> {
    let shape = "write evm:CHAIN:CONTRACT:DATA, as in evm:1:0x52…:0x70a08231…";
    let mut parts = call.split(':');
    let (Some(chain), Some(contract), Some(data), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(shape.to_owned());
    };
    let digits = |text: &str| text.strip_prefix("0x").unwrap_or(text).to_ascii_lowercase();
    Ok(Place::EvmCall {
        chain: chain.parse().map_err(|_| shape)?,
        contract: digits(contract)
            .parse()
            .map_err(|_| format!("{contract} is no address: 40 hexadecimal digits"))?,
        data: digits(data),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Source, String> {
        text.parse::<SourceArgument>().map(|argument| argument.0)
    }

    #[test]
    fn a_source_is_read_as_it_is_written() {
        let url = |url: &str| Place::HttpJson {
            url: url.to_owned(),
        };
        let nom = |method: &str, params: &str| Place::NomRpc {
            method: method.to_owned(),
            params: params.to_owned(),
        };
        for (text, at, pointer, scale, reducer) in [
            (
                "median:8:https://host:81/p?q=1#/usd/0",
                url("https://host:81/p?q=1"),
                "/usd/0",
                Some(8),
                Reducer::Median,
            ),
            (
                "mode:http://host",
                url("http://host"),
                "",
                None,
                Reducer::Mode,
            ),
            (
                "identical:0:nom:ledger.getFrontierMomentum#/height",
                nom("ledger.getFrontierMomentum", "[]"),
                "/height",
                Some(0),
                Reducer::Identical,
            ),
            (
                r#"identical:nom:embedded.token.getByZts["zts1#"]#/name"#,
                nom("embedded.token.getByZts", r#"["zts1"#),
                "",
                None,
                Reducer::Identical,
            ),
        ] {
            // A parameter cannot hold the sign that ends it.
            if text.contains("zts1#") {
                assert!(read(text).is_err());
                continue;
            }
            let expected = Source {
                at,
                pointer: pointer.to_owned(),
                scale,
                reducer,
            };
            assert_eq!(read(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn a_call_of_a_contract_is_read_with_its_digits_in_one_case() {
        let contract = "0x00000000000000000000000000000000000000AB";
        let text = format!("identical:evm:31337:{contract}:0x01ABCDEF");
        let mut address = [0; 20];
        address[19] = 0xab;
        let expected = Source {
            at: Place::EvmCall {
                chain: 31_337,
                contract: attestation::ids::EvmAddress::from_bytes(address),
                data: "01abcdef".to_owned(),
            },
            pointer: String::new(),
            scale: None,
            reducer: Reducer::Identical,
        };
        assert_eq!(read(&text), Ok(expected));
        let scaled = format!("identical:2:evm:1:{contract}:0x01ABCDEF");
        let refused = read(&scaled).expect_err("returned bytes are no number");
        assert!(refused.contains("no decimal places"), "{refused}");
    }

    #[test]
    fn what_is_no_source_is_refused_with_its_reason() {
        for (text, reason) in [
            ("https://host/", "no reducer"),
            ("mean:8:https://host/", "mean is no reducer"),
            ("median:https://host/", "median needs them"),
            ("median:19:https://host/", "18 decimal places"),
            ("median:300:https://host/", "18 decimal places"),
            ("median:8:ftp://host/", "http or https URL"),
            ("median:8:https://host/#usd", "JSON pointer"),
            ("mode:nom:ledger.publishRawTransaction", "begins with `get`"),
            ("median", "REDUCER:SCALE:PLACE#POINTER"),
            ("identical:evm:1:0x01", "evm:CHAIN:CONTRACT:DATA"),
            (
                "identical:evm:one:0x01:0x01abcdef",
                "evm:CHAIN:CONTRACT:DATA",
            ),
            ("identical:evm:1:0x01:0x01abcdef", "0x01 is no address"),
        ] {
            let refused = read(text).expect_err(text);
            assert!(refused.contains(reason), "{text}: {refused}");
        }
    }
}
