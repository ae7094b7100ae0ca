//! `zq nom`.

use serde_json::json;

use crate::arguments::NomVerb;
use crate::failure::Failure;
use crate::files;
use crate::print::{Print, fields};

pub(crate) fn run(verb: NomVerb, print: &Print) -> Result<(), Failure> {
    match verb {
        NomVerb::Address { key } => {
            let mut bytes = [0u8; 32];
            hex::decode_to_slice(&key, &mut bytes)
                .map_err(|_| Failure::Usage("a key has 64 hexadecimal digits".to_owned()))?;
            let identity = attestation::ids::IdentityKey::from_bytes(bytes);
            let address = attestation::address::Address::of_key(identity.as_bytes()).to_string();
            print.result(&json!({ "address": address }), fields);
            Ok(())
        }
        NomVerb::BlockHash { file } => block_hash(&file, print),
    }
}

fn block_hash(file: &std::path::Path, print: &Print) -> Result<(), Failure> {
    let text = files::read_text(file, files::JSON_BYTES_MAX)?;
    let block = nom::block_from_json(&text).map_err(|error| {
        Failure::new(
            format!("not an account block: {error}"),
            "give one block as znnd prints it",
        )
    })?;
    let hash = block.recomputed_hash();
    let chain = block.header.chain_identifier;
    let verdict = block.check(chain);
    let value = json!({
        "hash": hash.to_string(),
        "claimed": block.hash.to_string(),
        "chain": chain,
        "address": block.header.address.to_string(),
        "height": block.header.height,
        "valid": verdict.is_ok(),
    });
    print.result(&value, fields);
    verdict.map_err(|refusal| {
        Failure::new(
            format!("the block is refused: {refusal}"),
            "do not rely on it",
        )
    })
}
