//! `zq nom`.

mod anchor;
mod deposit;
mod payout;

use serde_json::{Value, json};
use state::system::nom::ANCHOR;

use crate::arguments::nom::{AnchorVerb, NomVerb};
use crate::command::money::system;
use crate::failure::Failure;
use crate::files;
use crate::node::Node;
use crate::print::{Print, fields, plain};

pub(crate) fn run(
    verb: NomVerb,
    node: impl FnOnce() -> Result<Node, Failure>,
    print: &Print,
) -> Result<(), Failure> {
    match verb {
        NomVerb::Address { key } => {
            let mut bytes = [0u8; 32];
            hex::decode_to_slice(&key, &mut bytes)
                .map_err(|_| Failure::Usage("a key has 64 hexadecimal digits".to_owned()))?;
            let address = nom::Address::from_key(&bytes).to_string();
            print.result(&json!({ "address": address }), fields);
            Ok(())
        }
        NomVerb::BlockHash { file } => block_hash(&file, print),
        NomVerb::Anchor(AnchorVerb::Show) => {
            let account = account(&node()?)?;
            print.result(&account, shown);
            Ok(())
        }
        NomVerb::Anchor(AnchorVerb::Order { sending }) => {
            system(&node()?, ANCHOR, Vec::new(), &sending, print)
        }
        NomVerb::Anchor(AnchorVerb::Verify(arguments)) => anchor::verify(&arguments, print),
        NomVerb::Deposit(arguments) => deposit::deposit(&arguments, &node()?, print),
        NomVerb::Payout {
            seq: Some(seq),
            rpc,
            committee,
        } => payout::trace(seq, &rpc, committee.as_deref(), &node()?, print),
        NomVerb::Payout { seq: None, .. } => {
            print.result(&account(&node()?)?, shown);
            Ok(())
        }
    }
}

/// The committee's account as the node has it at its head.
fn account(node: &Node) -> Result<Value, Failure> {
    let answer = node.get("/v1/nom")?;
    match answer.get("account") {
        Some(Value::Object(_)) => Ok(answer),
        _ => Err(Failure::new(
            "the committee has no account on the Network of Momentum yet",
            "it begins one by itself once t members run with --nom-rpc; see zq status",
        )),
    }
}

/// The account's fields, then a line for each order that waits and each block issued for the first.
fn shown(answer: &Value) -> String {
    let mut account = answer.get("account").cloned().unwrap_or_default();
    let mut take = |name: &str| {
        let list = account.as_object_mut().and_then(|all| all.remove(name));
        list.and_then(|list| list.as_array().cloned())
            .unwrap_or_default()
    };
    let (orders, issued) = (take("orders"), take("issued"));
    let mut lines = vec![fields(&account)];
    for order in &orders {
        let part = |name: &str| order.get(name).map(plain).unwrap_or_default();
        lines.push(match part("kind").as_str() {
            "receive" => format!("order {}  receive {}", part("number"), part("source")),
            "payout" => format!(
                "order {}  pay {} of {} to {}",
                part("number"),
                part("amount"),
                part("token"),
                part("to")
            ),
            kind => format!("order {}  {kind}", part("number")),
        });
    }
    for block in &issued {
        let part = |name: &str| block.get(name).map(plain).unwrap_or_default();
        lines.push(format!("issued in step {}  {}", part("seq"), part("block")));
    }
    lines.join("\n")
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

/// An NoM node that does not answer, or not as it should.
fn rpc_failure(error: &nom::client::ClientError) -> Failure {
    Failure::new(
        error.to_string(),
        "give the RPC of an NoM node of the committee's network with --nom-rpc",
    )
}
