//! `zq key`.

use attestation::address::Address;
use attestation::conditions::Sentinel;
use serde_json::{Value, json};

use crate::arguments::KeyVerb;
use crate::failure::Failure;
use crate::key_file::CallerKey;
use crate::print::{Print, fields};

pub(crate) fn run(verb: KeyVerb, print: &Print) -> Result<(), Failure> {
    let key = match verb {
        KeyVerb::Vouch { file, statement } => {
            let value = vouch(&CallerKey::read(&file)?, &statement)?;
            print.result(&value, fields);
            return Ok(());
        }
        KeyVerb::New { file } => CallerKey::create(&file)?,
        KeyVerb::Show { file } => CallerKey::read(&file)?,
    };
    let identity = key.identity();
    let value =
        json!({ "key": identity, "address": Address::of_key(identity.as_bytes()).to_string() });
    print.result(&value, fields);
    Ok(())
}

/// A Sentinel owner's word for a member. The key signs blocks and requests, too: it gets to see no
/// other text.
fn vouch(key: &CallerKey, statement: &str) -> Result<Value, Failure> {
    let statement = statement.trim();
    if !Sentinel::is_statement(statement) {
        return Err(Failure::new(
            "not what a Sentinel's owner signs for a member",
            "give the line that begins with ZQSNTL1:, from `zq member sentinel`",
        ));
    }
    let owner = key.identity();
    Ok(json!({
        "owner": owner,
        "address": Address::from(&owner),
        "signature": key.sign_statement(statement),
    }))
}
