//! FROST(Ed25519, SHA-512): RFC 9591's vectors and the library's own, as frost-ed25519 ships them.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::{bytes, text};

/// A signing of RFC 9591 (appendix E.1), or one with larger identifiers in the same form.
#[derive(Clone, Debug)]
pub struct Signing {
    /// t.
    pub threshold: u16,
    /// The group's public key.
    pub group_key: Vec<u8>,
    /// What is signed.
    pub message: Vec<u8>,
    /// The secret shares of all members.
    pub shares: BTreeMap<u16, Vec<u8>>,
    /// Who signs, in the order of identifiers.
    pub signers: Vec<Signer>,
    /// The group's signature.
    pub signature: Vec<u8>,
}

/// One signer's part in a [`Signing`].
#[derive(Clone, Debug)]
pub struct Signer {
    /// Its identifier.
    pub slot: u16,
    /// The randomness that its hiding and its binding nonce are made of.
    pub randomness: [Vec<u8>; 2],
    /// The hiding and the binding commitment.
    pub commitments: [Vec<u8>; 2],
    /// Its share of the signature.
    pub share: Vec<u8>,
}

/// A key generation: what each member draws, sends and ends with.
#[derive(Clone, Debug)]
pub struct Generation {
    /// t.
    pub threshold: u16,
    /// The group's public key.
    pub group_key: Vec<u8>,
    /// By identifier.
    pub members: BTreeMap<u16, Member>,
}

/// One member of a [`Generation`].
#[derive(Clone, Debug)]
pub struct Member {
    /// The coefficients of its polynomial, the constant first.
    pub coefficients: Vec<Vec<u8>>,
    /// Its commitments to them.
    pub commitments: Vec<Vec<u8>>,
    /// Its proof that it knows the constant.
    pub proof: Vec<u8>,
    /// What each other member deals to it.
    pub dealt: BTreeMap<u16, Vec<u8>>,
    /// Its share of the key.
    pub share: Vec<u8>,
    /// The public side of that share.
    pub verifying_share: Vec<u8>,
}

/// A repair's sums: of what one helper gets of the others, and of what all helpers send.
#[derive(Clone, Debug)]
pub struct Repair {
    /// What one helper gets.
    pub parts: Vec<Vec<u8>>,
    /// Their sum.
    pub parts_sum: Vec<u8>,
    /// What the helpers send to the member that lost its share.
    pub sums: Vec<Vec<u8>>,
    /// The share.
    pub share: Vec<u8>,
}

/// Every signing that the library ships.
///
/// # Panics
/// If the library's files are not there, or not of the form of its version 3.
#[must_use]
pub fn signings() -> Vec<Signing> {
    ["vectors", "vectors-big-identifier"].map(signing).into()
}

fn signing(name: &str) -> Signing {
    let file: SigningFile = read(name);
    let shares = file.inputs.participant_shares.into_iter();
    let shares = shares.map(|share| (share.identifier, bytes(&share.participant_share)));
    let outputs = file.round_one_outputs.outputs.into_iter();
    let signers = outputs.zip(file.round_two_outputs.outputs);
    let signer = |(one, two): (RoundOne, RoundTwo)| {
        assert_eq!(one.identifier, two.identifier);
        Signer {
            slot: one.identifier,
            randomness: [
                bytes(&one.hiding_nonce_randomness),
                bytes(&one.binding_nonce_randomness),
            ],
            commitments: [
                bytes(&one.hiding_nonce_commitment),
                bytes(&one.binding_nonce_commitment),
            ],
            share: bytes(&two.sig_share),
        }
    };
    Signing {
        threshold: number(&file.config.min_participants),
        group_key: bytes(&file.inputs.verifying_key_key),
        message: bytes(&file.inputs.message),
        shares: shares.collect(),
        signers: signers.map(signer).collect(),
        signature: bytes(&file.final_output.sig),
    }
}

/// The key generation that the library ships.
///
/// # Panics
/// As [`signings`].
#[must_use]
pub fn generation() -> Generation {
    let file: GenerationFile = read("vectors_dkg");
    let member = |(slot, value): (String, Value)| {
        let slot = slot.parse().ok()?;
        let member: MemberFile = serde_json::from_value(value).expect("a member of a generation");
        let dealt = member.signing_shares.iter();
        let dealt = dealt.map(|(from, share)| (from.parse().expect("a member"), bytes(share)));
        let member = Member {
            coefficients: vec![bytes(&member.signing_key), bytes(&member.coefficient)],
            commitments: member
                .vss_commitments
                .iter()
                .map(|one| bytes(one))
                .collect(),
            proof: bytes(&member.proof_of_knowledge),
            dealt: dealt.collect(),
            share: bytes(&member.signing_share),
            verifying_share: bytes(&member.verifying_share),
        };
        Some((slot, member))
    };
    Generation {
        threshold: number(&file.config.min_participants),
        group_key: bytes(&file.inputs.verifying_key),
        members: file.inputs.members.into_iter().filter_map(member).collect(),
    }
}

/// The repair that the library ships.
///
/// # Panics
/// As [`signings`].
#[must_use]
pub fn repair() -> Repair {
    let file: RepairFile = read("repair-share");
    let (parts, sums) = (file.scalar_generation, file.sigma_generation);
    let numbered = |from: &BTreeMap<String, String>, name: &str| {
        let names = (1..).map(|at| format!("{name}_{at}"));
        let values = names.map_while(|name| from.get(&name).map(|one| bytes(one)));
        let values: Vec<_> = values.collect();
        assert_eq!(
            values.len() + 1,
            from.len(),
            "numbered values and their sum"
        );
        values
    };
    let sum = |from: &BTreeMap<String, String>, name| bytes(from.get(name).expect("the sum"));
    Repair {
        parts: numbered(&parts, "random_scalar"),
        parts_sum: sum(&parts, "random_scalar_sum"),
        sums: numbered(&sums, "sigma"),
        share: sum(&sums, "sigma_sum"),
    }
}

fn read<T: for<'de> Deserialize<'de>>(name: &str) -> T {
    let text = text("frost-ed25519", &format!("tests/helpers/{name}.json"));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{name}.json: {error}"))
}

/// Some files have numbers as text.
fn number(value: &Value) -> u16 {
    let text = value.as_str().map(str::parse).and_then(Result::ok);
    let number = value.as_u64().and_then(|number| number.try_into().ok());
    text.or(number).expect("a small number")
}

#[derive(Deserialize)]
struct Config {
    #[serde(rename = "MIN_PARTICIPANTS")]
    min_participants: Value,
}

#[derive(Deserialize)]
struct SigningFile {
    config: Config,
    inputs: Inputs,
    round_one_outputs: Outputs<RoundOne>,
    round_two_outputs: Outputs<RoundTwo>,
    final_output: FinalOutput,
}

#[derive(Deserialize)]
struct Inputs {
    verifying_key_key: String,
    message: String,
    participant_shares: Vec<ParticipantShare>,
}

#[derive(Deserialize)]
struct ParticipantShare {
    identifier: u16,
    participant_share: String,
}

#[derive(Deserialize)]
struct Outputs<T> {
    outputs: Vec<T>,
}

#[derive(Deserialize)]
struct RoundOne {
    identifier: u16,
    hiding_nonce_randomness: String,
    binding_nonce_randomness: String,
    hiding_nonce_commitment: String,
    binding_nonce_commitment: String,
}

#[derive(Deserialize)]
struct RoundTwo {
    identifier: u16,
    sig_share: String,
}

#[derive(Deserialize)]
struct FinalOutput {
    sig: String,
}

#[derive(Deserialize)]
struct GenerationFile {
    config: Config,
    inputs: GenerationInputs,
}

#[derive(Deserialize)]
struct GenerationInputs {
    verifying_key: String,
    #[serde(flatten)]
    members: BTreeMap<String, Value>,
}

#[derive(Deserialize)]
struct MemberFile {
    signing_key: String,
    coefficient: String,
    vss_commitments: Vec<String>,
    proof_of_knowledge: String,
    signing_shares: BTreeMap<String, String>,
    signing_share: String,
    verifying_share: String,
}

#[derive(Deserialize)]
struct RepairFile {
    scalar_generation: BTreeMap<String, String>,
    sigma_generation: BTreeMap<String, String>,
}
