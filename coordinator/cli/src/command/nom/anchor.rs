//! `zq nom anchor verify`: what the chain holds of the committee's steps.

use attestation::ids::{CommitteeId, NetworkId};
use attestation::verify::{Check, Verified, verify_receipt};
use nom::client::{Client, ClientError, Confirmed, LIST_MAX, Limits, Standing};
use nom::{Address, Block, Hash};
use serde_json::json;
use state::system::nom::{Anchor, Order};

use super::rpc_failure;
use crate::arguments::nom::AnchorVerifyArguments;
use crate::command::attestation::invalid;
use crate::command::trust::Trust;
use crate::failure::Failure;
use crate::files;
use crate::print::{Print, fields};

/// An anchor, and the block that carries it.
struct Anchored {
    anchor: Anchor,
    block: Block,
}

pub(super) fn verify(arguments: &AnchorVerifyArguments, print: &Print) -> Result<(), Failure> {
    let trust = Trust::from_file(&arguments.committee)?;
    let said = match &arguments.attestation {
        Some(path) => {
            let check = Check::Receipt.name();
            let receipt = files::read_proof(path, check, files::PROOF_BYTES_MAX)?;
            let said = verify_receipt(&receipt, None, &trust.key, trust.committee.as_ref());
            Some(said.map_err(|error| invalid(&error))?)
        }
        None => None,
    };
    let chain = chain(trust.network, said.as_ref())?;
    let client = Client::new(&arguments.nom_rpc, chain, Limits::default());
    let client = client.map_err(|error| rpc_failure(&error))?;
    let account = Address::from_key(trust.key.as_bytes());
    let anchors = read(&client, &account, trust.committee.as_ref())?;
    let found = chosen(&anchors, said.as_ref())?;
    let confirmed = confirmed(&client, &found.block, arguments.confirmations)?;
    let anchor = &found.anchor;
    let value = json!({
        "valid": true,
        "account": account.to_string(),
        "anchors": anchors.len(),
        "seq": anchor.seq,
        "statement": anchor.statement,
        "state": anchor.state,
        "attested": said.is_some(),
        "block": found.block.hash.to_string(),
        "height": found.block.header.height,
        "momentum": confirmed.momentum.height,
        "momentum_hash": confirmed.momentum.hash.to_string(),
        "depth": confirmed.depth,
    });
    print.result(&value, fields);
    Ok(())
}

/// The chain that the committee's account is of.
fn chain(network: Option<NetworkId>, said: Option<&Verified>) -> Result<u64, Failure> {
    let attested = said.map(|said| said.commit.network);
    match (network, attested) {
        (Some(network), Some(attested)) if network != attested => Err(wrong(
            "network",
            format!(
                "the attestation is of network {}, the committee file of {}",
                attested.0, network.0
            ),
        )),
        (Some(NetworkId(chain)), _) | (None, Some(NetworkId(chain))) => Ok(chain),
        (None, None) => Err(Failure::Usage(
            "the committee file names no network: give an attestation, which does".to_owned(),
        )),
    }
}

/// All anchors of the account, oldest first, from blocks that are hashed again, signed by the
/// account's key and linked from the first on.
fn read(
    client: &Client,
    account: &Address,
    committee: Option<&CommitteeId>,
) -> Result<Vec<Anchored>, Failure> {
    let mut anchors: Vec<Anchored> = Vec::new();
    let (mut next, mut last) = (1, Hash::from_bytes([0; 32]));
    loop {
        let page = client.blocks(account, next, LIST_MAX);
        let page = page.map_err(|error| refused(&error))?;
        if page.is_empty() {
            return Ok(anchors);
        }
        for held in page {
            let block = held.block;
            // Within a page the client has looked.
            if block.header.previous_hash != last {
                return Err(wrong(
                    "block",
                    format!("block {next} of the account does not follow on the one before"),
                ));
            }
            (next, last) = (next.saturating_add(1), block.hash);
            if let Some(anchor) = anchor(&block, committee)? {
                follows(anchors.last().map(|before| &before.anchor), &anchor)?;
                anchors.push(Anchored { anchor, block });
            }
        }
    }
}

/// The anchor that a block is. A committee sends nothing else to nobody: whatever else is there,
/// somebody signed it who should not have.
fn anchor(block: &Block, committee: Option<&CommitteeId>) -> Result<Option<Anchor>, Failure> {
    let header = &block.header;
    if !header.block_type.is_send() || *header.to_address.as_bytes() != Order::NOBODY {
        return Ok(None);
    }
    let at = header.height;
    let Some(anchor) = Anchor::from_bytes(&block.data) else {
        let error = format!("block {at} of the account is sent to nobody and is no anchor");
        return Err(wrong("form", error));
    };
    match committee {
        Some(ours) if anchor.committee != *ours => Err(wrong(
            "committee",
            format!("block {at} anchors the committee {}", anchor.committee),
        )),
        _ => Ok(Some(anchor)),
    }
}

/// Steps are anchored in their order, each once.
fn follows(before: Option<&Anchor>, anchor: &Anchor) -> Result<(), Failure> {
    match before {
        Some(before) if before.seq >= anchor.seq => Err(wrong(
            "order",
            format!(
                "step {} is anchored after step {}",
                anchor.seq.0, before.seq.0
            ),
        )),
        _ => Ok(()),
    }
}

/// The anchor of the attested step, if it says the same; without an attestation the newest.
fn chosen<'a>(anchors: &'a [Anchored], said: Option<&Verified>) -> Result<&'a Anchored, Failure> {
    let Some(newest) = anchors.last() else {
        return Err(Failure::new(
            "the chain has no anchor of this committee yet",
            "zq nom anchor order asks for one; zq nom anchor show tells whether one waits",
        ));
    };
    let Some(said) = said else {
        return Ok(newest);
    };
    let seq = said.commit.seq;
    let Some(found) = anchors.iter().find(|one| one.anchor.seq == seq) else {
        let nearest = anchors.iter().find(|one| one.anchor.seq > seq);
        let nearest = nearest.unwrap_or(newest).anchor.seq.0;
        return Err(Failure::new(
            format!("no anchor names step {}", seq.0),
            format!(
                "not every step is anchored: take an attestation of step {nearest}, which is \
                 (zq attestation get {nearest} 0)"
            ),
        ));
    };
    let attested = Anchor {
        committee: said.commit.committee,
        seq,
        statement: said.statement,
        state: said.commit.state,
    };
    compare(&found.anchor, &attested)?;
    Ok(found)
}

fn compare(anchor: &Anchor, attested: &Anchor) -> Result<(), Failure> {
    let seq = attested.seq.0;
    if anchor.committee != attested.committee {
        let error = format!("step {seq} is anchored for committee {}", anchor.committee);
        return Err(wrong("committee", error));
    }
    if anchor.statement != attested.statement {
        return Err(wrong(
            "statement",
            format!(
                "the chain holds statement {} for step {seq}, the attestation is {}: the committee \
                 signed both",
                anchor.statement, attested.statement
            ),
        ));
    }
    if anchor.state != attested.state {
        return Err(wrong(
            "state",
            format!(
                "the chain holds state {} for step {seq}, the attestation says {}",
                anchor.state, attested.state
            ),
        ));
    }
    Ok(())
}

fn confirmed(client: &Client, block: &Block, depth: u64) -> Result<Confirmed, Failure> {
    let standing = client.standing(block, depth);
    let standing = standing.map_err(|error| refused(&error))?;
    let (is, advice) = match standing {
        Standing::Confirmed(now) if now.depth >= depth => return Ok(now),
        Standing::Confirmed(now) => (
            format!("{} momentums deep, not {depth}", now.depth),
            "a momentum comes every ten seconds: ask again, or for fewer with --confirmations",
        ),
        Standing::Pending => ("in no momentum yet".to_owned(), "ask again in a minute"),
        Standing::Unknown => (
            "gone from the NoM node".to_owned(),
            "ask again, and another node with --nom-rpc",
        ),
    };
    Err(Failure::new(format!("the anchor is {is}"), advice))
}

/// A node that shows what cannot be is no proof; one that does not answer says nothing.
fn refused(error: &ClientError) -> Failure {
    match error {
        ClientError::Lied { .. }
        | ClientError::Displaced { .. }
        | ClientError::Reorganised { .. } => wrong("block", error.to_string()),
        other => rpc_failure(other),
    }
}

const fn wrong(check: &'static str, error: String) -> Failure {
    Failure::Invalid { check, error }
}

#[cfg(test)]
mod tests {
    use attestation::ids::{Seq, StateRoot, StatementId};

    use super::*;

    fn anchor(seq: u64) -> Anchor {
        Anchor {
            committee: CommitteeId::from_bytes([1; 32]),
            seq: Seq(seq),
            statement: StatementId::from_bytes([2; 32]),
            state: StateRoot::from_bytes([3; 32]),
        }
    }

    fn check(done: Result<(), Failure>) -> Option<&'static str> {
        match done {
            Ok(()) => None,
            Err(Failure::Invalid { check, .. }) => Some(check),
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_anchor_is_what_the_attestation_says_or_the_part_that_differs_is_named() {
        let said = anchor(7);
        let committee = CommitteeId::from_bytes([9; 32]);
        let statement = StatementId::from_bytes([9; 32]);
        let state = StateRoot::from_bytes([9; 32]);
        for (held, differs) in [
            (said, None),
            (Anchor { committee, ..said }, Some("committee")),
            (Anchor { statement, ..said }, Some("statement")),
            (Anchor { state, ..said }, Some("state")),
        ] {
            assert_eq!(check(compare(&held, &said)), differs);
        }
    }

    #[test]
    fn steps_are_anchored_in_their_order_and_each_once() {
        for (before, differs) in [
            (None, None),
            (Some(6), None),
            (Some(7), Some("order")),
            (Some(8), Some("order")),
        ] {
            let before = before.map(anchor);
            assert_eq!(check(follows(before.as_ref(), &anchor(7))), differs);
        }
    }

    #[test]
    fn the_chain_is_the_one_that_the_committee_file_names() {
        assert_eq!(chain(Some(NetworkId(7)), None).ok(), Some(7));
        assert!(matches!(chain(None, None), Err(Failure::Usage(_))));
    }
}
