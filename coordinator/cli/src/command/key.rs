//! `zq key`.

use attestation::address::Address;
use serde_json::json;

use crate::arguments::KeyVerb;
use crate::failure::Failure;
use crate::key_file::CallerKey;
use crate::print::{Print, fields};

pub(crate) fn run(verb: KeyVerb, print: &Print) -> Result<(), Failure> {
    let key = match verb {
        KeyVerb::New { file } => CallerKey::create(&file)?,
        KeyVerb::Show { file } => CallerKey::read(&file)?,
    };
    let identity = key.identity();
    let value =
        json!({ "key": identity, "address": Address::of_key(identity.as_bytes()).to_string() });
    print.result(&value, fields);
    Ok(())
}
