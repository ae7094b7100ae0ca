//! `zq nom deposit`: a block of a user's own account, to a zApp.

use std::time::Duration;

use attestation::ids::NetworkId;
use nom::client::{Client, ClientError, Limits, Patience};
use nom::work::{Payment, find, native_seed};
use nom::{Address, Block, DATA_BYTES_MAX, Draft, Place, Seal};
use serde_json::{Value, json};

use super::{account, rpc_failure};
use crate::arguments::nom::DepositArguments;
use crate::command::trust::Trust;
use crate::failure::Failure;
use crate::key_file::CallerKey;
use crate::node::Node;
use crate::print::{Print, fields};
use crate::progress::Progress;

pub(super) fn deposit(
    arguments: &DepositArguments,
    node: &Node,
    print: &Print,
) -> Result<(), Failure> {
    let key = CallerKey::read(&arguments.key)?;
    let told = hex::decode(&arguments.data)
        .map_err(|_| Failure::Usage("--data is hexadecimal".to_owned()))?;
    let data = [arguments.zapp.as_bytes().as_slice(), &told].concat();
    if data.len() > DATA_BYTES_MAX {
        let most = DATA_BYTES_MAX - 32;
        return Err(Failure::Usage(format!("at most {most} bytes of --data")));
    }
    let trust = Trust::from_file(&arguments.committee)?;
    let committee = Address::from_key(trust.key.as_bytes());
    let answer = account(node)?;
    let chain = agreed(&committee, trust.network, &answer)?;
    let client = Client::new(&arguments.nom_rpc, chain, Limits::default());
    let client = client.map_err(|error| rpc_failure(&error))?;
    let from = Address::from_key(key.identity().as_bytes());
    let place = place(&client, from).map_err(|error| rpc_failure(&error))?;
    let draft = place.send(committee, arguments.token, arguments.amount, data);
    let block = sealed(&client, draft, &key)?;
    let confirmed = publish(&client, &block, arguments.wait)?;
    let value = json!({
        "block": block.hash.to_string(),
        "from": from.to_string(),
        "to": committee.to_string(),
        "zapp": arguments.zapp,
        "height": block.header.height,
        "momentum": confirmed,
    });
    print.result(&value, fields);
    Ok(())
}

/// The chain of the committee's account, if the node names that of the trusted key: one that names
/// another would have the money.
fn agreed(committee: &Address, network: Option<NetworkId>, answer: &Value) -> Result<u64, Failure> {
    let part = |name: &str| answer.pointer(&format!("/account/{name}"));
    let address = part("address").and_then(Value::as_str).unwrap_or_default();
    let address: Address = address.parse().map_err(|_| answered(answer))?;
    let chain = part("chain").and_then(Value::as_u64);
    let chain = chain.ok_or_else(|| answered(answer))?;
    let invalid = |error| Failure::Invalid {
        check: "account",
        error,
    };
    if address != *committee {
        return Err(invalid(format!(
            "the node names the account {address}, the committee's is {committee}"
        )));
    }
    match network {
        Some(NetworkId(network)) if network != chain => Err(invalid(format!(
            "the node names the chain {chain}, the committee's is {network}"
        ))),
        _ => Ok(chain),
    }
}

fn answered(answer: &Value) -> Failure {
    Failure::new(
        format!("not an account: {answer}"),
        "is this the API of a committee's node? see --node",
    )
}

/// The account's next place, judged against the newest momentum.
fn place(client: &Client, from: Address) -> Result<Place, ClientError> {
    let momentum = client.frontier_momentum()?.reference();
    match client.frontier_block(&from)? {
        Some(last) => Ok(Place::after(&last.block, momentum)?),
        None => Ok(Place::first(client.chain_identifier(), from, momentum)),
    }
}

/// Pays for the block, from fused plasma as far as it reaches and else by work, and signs it.
fn sealed(client: &Client, draft: Draft, key: &CallerKey) -> Result<Block, Failure> {
    let header = *draft.header();
    let required = client.requirement(
        &header.address,
        header.block_type,
        &header.to_address,
        draft.data(),
    );
    let required = required.map_err(|error| rpc_failure(&error))?;
    let payment = Payment::split(required.base_plasma, required.available_plasma);
    let nonce = match payment.difficulty {
        0 => [0; 8],
        difficulty => {
            // Half a minute where no plasma is fused for the account.
            let _progress = Progress::start("looking for a proof of work");
            let seed = native_seed(&header.address, &header.previous_hash);
            find(&seed, difficulty, 0, u64::MAX).unwrap_or_default()
        }
    };
    let draft = draft.paid(payment, nonce);
    let seal = Seal {
        public_key: *key.identity().as_bytes(),
        signature: key.sign_block(&draft.hash()),
    };
    draft.sealed(seal).map_err(|refusal| {
        Failure::new(
            format!("no such block can be: {refusal}"),
            "see what the amount and the data are",
        )
    })
}

/// Publishes, and waits until a momentum has the block; its height, unless nobody waited.
fn publish(client: &Client, block: &Block, wait_s: u64) -> Result<Option<u64>, Failure> {
    if wait_s == 0 {
        client.publish(block).map_err(|error| rpc_failure(&error))?;
        return Ok(None);
    }
    let patience = Patience {
        every: Duration::from_secs(1),
        limit: Duration::from_secs(wait_s),
    };
    let _progress = Progress::start("waiting for a momentum");
    match client.publish_and_wait(block, 1, patience) {
        Ok(confirmed) => Ok(Some(confirmed.momentum.height)),
        Err(error @ ClientError::NotConfirmed { .. }) => Err(Failure::new(
            error.to_string(),
            "look at your account before you send again",
        )),
        Err(error) => Err(rpc_failure(&error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn money_goes_to_the_account_of_the_trusted_key_alone() {
        let [ours, theirs] = [[1; 32], [2; 32]].map(|key| Address::from_key(&key));
        let answer = |address: &Address| json!({ "account": { "address": address.to_string(), "chain": 7 } });
        for network in [None, Some(NetworkId(7))] {
            assert_eq!(agreed(&ours, network, &answer(&ours)).ok(), Some(7));
        }
        let seven = Some(NetworkId(7));
        for (network, address) in [(None, theirs), (seven, theirs), (Some(NetworkId(8)), ours)] {
            let refused = agreed(&ours, network, &answer(&address));
            assert!(matches!(refused, Err(Failure::Invalid { .. })));
        }
        assert!(agreed(&ours, None, &json!({ "account": null })).is_err());
    }
}
