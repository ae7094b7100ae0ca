//! The runtime profile: one digest over everything that decides what a call computes and costs.

use std::fmt::Write as _;

use attestation::codec::Layout;
use attestation::ids::RuntimeProfile;
use attestation::tags;
use wasmparser::{BinaryReader, OperatorsReader};

use crate::schedule::{self, Facts};
use crate::{abi, engine, limits};

/// Digest of engine version and configuration, gas schedule, limits and host interface. It is a
/// field of every commit; two members with different ones never vote alike.
#[must_use]
pub fn profile() -> RuntimeProfile {
    let digest = Layout::new(tags::PROFILE)
        .bytes(engine::describe().as_bytes())
        .bytes(describe_schedule().as_bytes())
        .bytes(describe_limits().as_bytes())
        .bytes(abi::describe().as_bytes())
        .digest();
    RuntimeProfile::from_bytes(*digest.as_bytes())
}

fn describe_limits() -> String {
    limits::ALL
        .iter()
        .fold(String::new(), |mut text, (name, value)| {
            let _ = writeln!(text, "{name} {value}");
            text
        })
}

/// Every price, read out of the table itself: each opcode is asked for.
fn describe_schedule() -> String {
    let mut text = format!("schedule {}\n", schedule::VERSION);
    for (name, value) in schedule::CONSTANTS {
        let _ = writeln!(text, "{name} {value}");
    }
    for pages in [16, 64, 256, 1024] {
        let _ = writeln!(text, "access {pages} {}", schedule::memory_access(pages));
    }
    let facts = Facts::default();
    let single = (0..=u8::MAX).map(|opcode| vec![opcode]);
    let prefixed = (0..32).map(|opcode| vec![0xfc, opcode]);
    for opcode in single.chain(prefixed) {
        let mut bytes = opcode.clone();
        // Immediates of any operator: zeros, of which a block type is none but 0x40.
        bytes.extend_from_slice(&[if is_block(&opcode) { 0x40 } else { 0 }; 24]);
        let mut reader = OperatorsReader::new(BinaryReader::new(&bytes, 0));
        let price = reader.read().ok().and_then(|operator| {
            let weight = schedule::compile_weight(&operator);
            schedule::operator(&operator, &facts).map(|gas| (gas, weight))
        });
        let _ = writeln!(text, "{opcode:x?} {price:?}");
    }
    text
}

fn is_block(opcode: &[u8]) -> bool {
    matches!(opcode, [0x02..=0x04])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_profile_names_the_engines_that_are_locked() {
        let lock = include_str!("../../Cargo.lock");
        for (name, version) in engine::VERSIONS {
            let entry = format!("name = \"{name}\"\nversion = \"{version}\"");
            assert!(lock.contains(&entry), "{name} {version}");
            assert!(engine::describe().contains(&format!("{name} {version}\n")));
        }
    }

    #[test]
    fn the_schedule_text_holds_prices_of_plain_prefixed_and_forbidden_operators() {
        let text = describe_schedule();
        for line in [
            "[6a] Some((1, 1))",
            "[6d] Some((8, 64))",
            "[fc, b] Some((12, 32))",
            "[3] Some((0, 32))",
            "[d0] None",
        ] {
            assert!(text.lines().any(|l| l == line), "{line}\n{text}");
        }
    }
}
