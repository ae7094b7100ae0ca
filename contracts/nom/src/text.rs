//! `z1…` and `zts1…`: bech32 with BIP-173's constant, not bech32m.

use core::fmt;
use core::str::FromStr;

use bech32::primitives::decode::CheckedHrpstring;
use bech32::{Bech32, Hrp};

use crate::{Address, TokenStandard};

/// Why text is no address or token standard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextError {
    /// Not 40 (address) or 26 (token standard) characters.
    Length,
    /// Not bech32, or its checksum does not fit.
    Checksum,
    /// Another prefix than `z` or `zts`.
    Prefix,
    /// A valid value in another spelling (upper case).
    Spelling,
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Length => "an address has 40 characters, a token standard 26",
            Self::Checksum => "not bech32, or the checksum does not fit",
            Self::Prefix => "an address begins with z1, a token standard with zts1",
            Self::Spelling => "not in lower case",
        })
    }
}

impl core::error::Error for TextError {}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(f, ADDRESS_PREFIX, self.as_bytes())
    }
}

impl FromStr for Address {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        read(text, ADDRESS_PREFIX, ADDRESS_CHARS).map(Self::from_bytes)
    }
}

impl fmt::Display for TokenStandard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write(f, TOKEN_PREFIX, self.as_bytes())
    }
}

impl FromStr for TokenStandard {
    type Err = TextError;

    fn from_str(text: &str) -> Result<Self, TextError> {
        read(text, TOKEN_PREFIX, TOKEN_CHARS).map(Self::from_bytes)
    }
}

fn write(f: &mut fmt::Formatter<'_>, prefix: Hrp, bytes: &[u8]) -> fmt::Result {
    // At most 40 characters, so the only error is the formatter's own.
    bech32::encode_lower_to_fmt::<Bech32, _>(f, prefix, bytes).map_err(|_| fmt::Error)
}

fn read<const N: usize>(text: &str, prefix: Hrp, chars: usize) -> Result<[u8; N], TextError> {
    if text.len() != chars {
        return Err(TextError::Length);
    }
    let checked = CheckedHrpstring::new::<Bech32>(text).map_err(|_| TextError::Checksum)?;
    if checked.hrp() != prefix {
        return Err(TextError::Prefix);
    }
    if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err(TextError::Spelling);
    }
    let mut bytes = [0; N];
    let mut from = checked.byte_iter();
    for (to, from) in bytes.iter_mut().zip(&mut from) {
        *to = from;
    }
    // 160 and 80 bits are whole numbers of symbols, so there is no padding to check.
    Ok(bytes)
}

const ADDRESS_PREFIX: Hrp = Hrp::parse_unchecked("z");
const TOKEN_PREFIX: Hrp = Hrp::parse_unchecked("zts");
const ADDRESS_CHARS: usize = 40;
const TOKEN_CHARS: usize = 26;

#[cfg(test)]
mod tests {
    use std::string::{String, ToString};

    use super::*;

    #[test]
    fn keys_have_the_addresses_that_go_zenon_and_its_wallets_give_them() {
        // go-zenon common/types/address_test.go:55-78 and RFC 8032 keys of znn-sdk fixtures.
        let cases = [
            (
                "e93a02c39b08022e0d05e2653568754a687a25b879419358f1a3a02829a51d3e",
                "z1qry3r6n4adzwlyqrm6e2s8hz4kff9uzmkqjnqy",
            ),
            ("", "z1qznll3hchu0dwej3c9r4dgrp6e30tq8l7qv2em"),
            (
                "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
                "z1qqz57dq697jcfwcv2s8m753jlnhk7ak9whaqdf",
            ),
            (
                "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
                "z1qz60gq63gqpunnn8urp42t3pa077z9lcwmrwaz",
            ),
            (
                "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
                "z1qpyn8f0ac7ampccwz6agmnx5y6hk5qhtdaupas",
            ),
        ];
        for (key, address) in cases {
            let derived = Address::from_key(&hex::decode(key).expect("hex"));
            assert_eq!(derived.to_string(), address);
            assert_eq!(address.parse(), Ok(derived));
            assert!(!derived.is_contract());
        }
    }

    #[test]
    fn known_token_standards_round_trip() {
        let known = [
            ("b520b446d56ef2c4a1cb", "zts1k5stg3k4dmevfgwtgmg36u"),
            ("00000000000000000000", "zts1qqqqqqqqqqqqqqqqtq587y"),
        ];
        for (bytes, text) in known {
            let token: TokenStandard = text.parse().expect(text);
            assert_eq!(hex::encode(token.as_bytes()), bytes);
            assert_eq!(token.to_string(), text);
        }
        for text in ["zts1znnxxxxxxxxxxxxx9z4ulx", "zts1qsrxxxxxxxxxxxxxmrhjll"] {
            assert_eq!(text.parse::<TokenStandard>().expect(text).to_string(), text);
        }
        let zero = "z1qqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqqsggv2f";
        assert_eq!(zero.parse(), Ok(Address::ZERO));
    }

    #[test]
    fn bad_addresses_are_refused_with_their_reason() {
        let good = "z1qry3r6n4adzwlyqrm6e2s8hz4kff9uzmkqjnqy";
        let bech32m = bech32::encode::<bech32::Bech32m>(ADDRESS_PREFIX, &[0; 20]).expect("short");
        let other = bech32::encode::<Bech32>(Hrp::parse("y").expect("hrp"), &[0; 20]);
        let cases = [
            (String::new(), TextError::Length),
            (good[..39].to_string(), TextError::Length),
            (good.to_string() + "q", TextError::Length),
            (good.replace("ry3", "ry4"), TextError::Checksum),
            (good.replace("ry3", "rb3"), TextError::Checksum),
            (good.replace("ry3", "rY3"), TextError::Checksum),
            (good.replace("ry3", "r\u{e9}"), TextError::Checksum),
            (bech32m, TextError::Checksum),
            (other.expect("short"), TextError::Prefix),
            (good.to_ascii_uppercase(), TextError::Spelling),
        ];
        for (text, reason) in cases {
            assert_eq!(text.parse::<Address>(), Err(reason), "{text}");
        }
        let token = "zts1znnxxxxxxxxxxxxx9z4ulx";
        assert_eq!(token.parse::<Address>(), Err(TextError::Length));
        let typo = token.replace("znn", "znm");
        assert_eq!(typo.parse::<TokenStandard>(), Err(TextError::Checksum));
    }

    #[test]
    fn every_changed_character_is_refused() {
        let good = "z1qry3r6n4adzwlyqrm6e2s8hz4kff9uzmkqjnqy";
        for at in 0..good.len() {
            for symbol in "qpzry9x8gf2tvdw0s3jn54khce6mua7l1b".chars() {
                let mut text = String::from(good);
                text.replace_range(at..=at, symbol.encode_utf8(&mut [0; 4]));
                if text != good {
                    assert!(text.parse::<Address>().is_err(), "{text}");
                }
            }
        }
    }
}
