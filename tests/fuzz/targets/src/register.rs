//! The register: entries as bytes, and records in any order.

use std::collections::BTreeMap;

use attestation::ids::{
    Boot, CommitteeId, Digest, Epoch, NetworkId, Seq, Signature, Slot, StatementId, View,
};
use signer_protocol::message::{Certificate, Lane};
use signer_protocol::register::{Attested, Chain, Entry, Locked, Record, Voted};
use state::job::{Domain, SignedVote};

use crate::input::Input;

/// Whose register it is.
pub const DOMAIN: Domain = Domain {
    network: NetworkId(1),
    committee: CommitteeId::from_bytes([1; 32]),
};
/// Whose register it is.
pub const SLOT: Slot = Slot(3);

/// Entries, each behind its length: what is read is written as it was read, and a register that
/// opens opens again.
pub fn entries(bytes: &[u8]) -> bool {
    let mut input = Input::new(bytes);
    let mut left = input.rest();
    let mut entries: Vec<&[u8]> = Vec::new();
    while let Some((length, rest)) = left.split_first_chunk::<2>() {
        let length = usize::from(u16::from_be_bytes(*length)).min(rest.len());
        let (entry, after) = rest.split_at(length);
        entries.push(entry);
        left = after;
    }
    let mut read = false;
    for bytes in &entries {
        if let Ok(entry) = Entry::from_bytes(bytes) {
            assert_eq!(entry.to_bytes(), *bytes, "another encoding is read");
            read = true;
        }
    }
    let open = || Chain::replay(&DOMAIN, SLOT, entries.iter().copied());
    if let Ok(chain) = open() {
        assert_eq!(open().as_ref(), Ok(&chain));
        assert!(chain.next_index() >= entries.len() as u64);
    }
    read
}

/// Any records in any order: the rules of votes, views and locks hold, a refusal changes nothing,
/// the node takes exactly what the signer appends, and a restart forgets nothing.
pub fn answers(bytes: &[u8]) -> bool {
    let mut input = Input::new(bytes);
    let mut chain = Chain::new(&DOMAIN, SLOT);
    let mut node = chain.clone();
    let mut disk: Vec<Vec<u8>> = Vec::new();
    let mut voted = BTreeMap::<(Seq, View), StatementId>::new();
    let (mut view, mut head) = (View(0), Seq(0));
    let mut taken = 0;
    while !input.is_empty() {
        if input.byte() % 16 == 0 {
            let replayed = Chain::replay(&DOMAIN, SLOT, disk.iter().map(Vec::as_slice));
            assert_eq!(replayed.as_ref(), Ok(&chain), "a restart forgets something");
        }
        let record = record(&mut input, &chain);
        let before = chain.clone();
        let Ok(appended) = chain.append(record.clone()) else {
            assert_eq!(chain, before, "a refusal changes something");
            continue;
        };
        let Some(entry) = appended.entry else {
            assert_eq!(chain, before);
            continue;
        };
        taken += 1;
        assert_eq!(node.accept(&entry), Ok(()), "the node refuses its signer");
        disk.push(entry.to_bytes());
        match record {
            Record::View(entered) => {
                assert!(entered > view, "views only rise");
                view = entered;
            }
            Record::Vote(vote) => {
                assert_eq!(vote.view, view);
                assert_eq!(Some(vote.seq), head.next());
                let first = voted.entry((vote.seq, vote.view)).or_insert(vote.statement);
                assert_eq!(*first, vote.statement, "two statements at one (seq, view)");
                let lock = before.lane(Lane::Steps).lock.and_then(|lock| lock.claim());
                if let Some(lock) = lock.filter(|lock| lock.seq == vote.seq)
                    && lock.statement != vote.statement
                {
                    let shown = vote.shown.and_then(|shown| shown.claim());
                    assert!(shown.is_some_and(|shown| shown.view > lock.view
                        && shown.seq == vote.seq
                        && shown.statement == vote.statement));
                }
            }
            Record::Lock(lock) => {
                let claim = lock.certificate.claim().expect("a lock claims something");
                assert_eq!(voted.get(&(claim.seq, claim.view)), Some(&claim.statement));
            }
            Record::Attested(step) => {
                assert!(step.seq > head, "the head only rises");
                head = step.seq;
            }
            Record::Boot(_) | Record::Base(_) | Record::Behind(_) | Record::Signed(_) => {}
        }
    }
    taken > 0
}

fn record(input: &mut Input<'_>, chain: &Chain) -> Record {
    let small = |input: &mut Input<'_>| u64::from(input.byte() % 8);
    let statement = |input: &mut Input<'_>| StatementId::from_bytes([input.byte() % 3; 32]);
    // Numbers near those that are next, so that many are taken.
    let lane = chain.lane(Lane::Steps);
    let next = lane.attested.as_ref().map_or(1, |step| step.seq.0 + 1);
    let here = chain.standing().view.0;
    let seq = |input: &mut Input<'_>| match input.byte() {
        0..=200 => Seq(next),
        byte => Seq(u64::from(byte % 8)),
    };
    let view = |input: &mut Input<'_>| match input.byte() {
        0..=200 => View(here),
        byte => View(u64::from(byte % 8)),
    };
    match input.byte() % 7 {
        0 => Record::Boot(Boot(chain.standing().boot.0 + small(input) % 3)),
        1 => Record::View(View(here + small(input) % 3)),
        2 | 3 => Record::Vote(Voted {
            lane: Lane::Steps,
            seq: seq(input),
            view: view(input),
            statement: statement(input),
            mask: Digest::from_bytes([0; 32]),
            shown: (input.byte() % 2 == 0).then(|| certificate(input, seq, view)),
        }),
        4 => Record::Lock(Locked {
            lane: Lane::Steps,
            certificate: certificate(input, seq, view),
        }),
        5 => Record::Attested(Attested {
            lane: Lane::Steps,
            seq: seq(input),
            statement: statement(input),
            attestation: Default::default(),
        }),
        _ if input.byte() % 2 == 0 => Record::Behind(Epoch(small(input))),
        _ => Record::Base(Box::new(chain.standing().clone())),
    }
}

fn certificate(
    input: &mut Input<'_>,
    seq: impl Fn(&mut Input<'_>) -> Seq,
    view: impl Fn(&mut Input<'_>) -> View,
) -> Certificate {
    let votes = input.byte() % 4;
    let (seq, view) = (seq(input), view(input));
    let statement = StatementId::from_bytes([input.byte() % 3; 32]);
    let vote = |slot| SignedVote {
        slot: Slot(u16::from(slot)),
        epoch: Epoch(1),
        seq,
        view,
        statement,
        mask: Digest::from_bytes([0; 32]),
        signature: Signature::from_bytes([0; 64]),
    };
    Certificate {
        votes: (1..=votes).map(vote).collect(),
    }
}
