//! The scenarios of EIP-3076's interchange tests (eth-clients/slashing-protection-interchange-tests
//! v5.3.0, by their names there), as far as a register of steps has them: a block's slot is a seq,
//! an attestation's target is the view in which one votes, its source the lock that it rests on.
//! Importing an interchange is replaying entries.

use attestation::ids::NetworkId;

use super::Answer::{Base, Boot as WrongBoot, Locked, LowerView, New, NotVoted, Same, Second, Seq};
use super::*;

fn scenarios() -> Vec<Case> {
    vec![
        (
            "single_validator_genesis_attestation",
            vec![(vote(1, 0, 1), New), (vote(0, 0, 1), Seq)],
        ),
        (
            "single_validator_single_block",
            vec![(attested(32, 1), New), (vote(33, 0, 2), New)],
        ),
        (
            "single_validator_multiple_blocks",
            vec![
                (attested(32, 1), New),
                (attested(33, 2), New),
                (vote(33, 0, 3), Seq),
                (vote(34, 0, 3), New),
            ],
        ),
        (
            "single_validator_resign_block",
            vec![
                (vote(1, 0, 1), New),
                (vote(1, 0, 1), Same),
                (lock(1, 0, 1), New),
                (lock(1, 0, 1), Same),
                (attested(1, 1), New),
                (attested(1, 1), Same),
            ],
        ),
        (
            "single_validator_slashable_blocks",
            vec![
                (vote(1, 0, 1), New),
                (vote(1, 0, 2), Second),
                (attested(1, 1), New),
                (attested(1, 2), Seq),
            ],
        ),
        (
            // Another mask is another signed vote, though for the same statement.
            "single_validator_slashable_blocks_no_root",
            vec![(vote(1, 0, 1), New), (masked(1, 0, 1, 9), Second)],
        ),
        (
            "single_validator_out_of_order_blocks",
            vec![
                (attested(4, 1), New),
                (attested(3, 1), Seq),
                (vote(4, 0, 1), Seq),
                (vote(3, 0, 1), Seq),
                (vote(6, 0, 1), Seq),
            ],
        ),
        (
            "single_validator_single_attestation",
            vec![(view(1), New), (vote(1, 1, 1), New), (lock(1, 1, 1), New)],
        ),
        (
            "single_validator_multiple_attestations",
            vec![
                (vote(1, 0, 1), New),
                (view(1), New),
                (vote(1, 1, 1), New),
                (view(2), New),
                (vote(1, 2, 1), New),
            ],
        ),
        (
            "single_validator_resign_attestation",
            vec![
                (view(1), New),
                (vote(1, 1, 1), New),
                (view(1), Same),
                (vote(1, 1, 1), Same),
            ],
        ),
        (
            "single_validator_slashable_attestations_double_vote",
            vec![
                (view(2), New),
                (vote(1, 2, 1), New),
                (vote(1, 2, 2), Second),
            ],
        ),
        (
            // A vote whose source is older than the lock, in a later view.
            "single_validator_slashable_attestations_surrounds_existing",
            vec![
                (view(3), New),
                (vote(1, 3, 1), New),
                (lock(1, 3, 1), New),
                (view(4), New),
                (shown(1, 4, 2, Some(certificate(1, 2, 2))), Locked),
                (shown(1, 4, 2, Some(certificate(1, 3, 2))), Locked),
                (shown(1, 4, 2, None), Locked),
            ],
        ),
        (
            // A vote in a lower view than one that is on record.
            "single_validator_slashable_attestations_surrounded_by_existing",
            vec![
                (view(3), New),
                (vote(1, 3, 1), New),
                (vote(1, 2, 1), LowerView),
                (vote(1, 2, 2), LowerView),
                (lock(1, 2, 1), LowerView),
            ],
        ),
        (
            "single_validator_out_of_order_attestations",
            vec![
                (view(4), New),
                (view(3), LowerView),
                (view(4), Same),
                (vote(1, 3, 1), LowerView),
            ],
        ),
        (
            // A certificate of a view that is still to come.
            "single_validator_source_greater_than_target",
            vec![
                (vote(1, 0, 1), New),
                (lock(1, 0, 1), New),
                (view(2), New),
                (shown(1, 2, 2, Some(certificate(1, 3, 2))), Locked),
                (lock(1, 3, 1), LowerView),
            ],
        ),
        (
            "single_validator_multiple_blocks_and_attestations",
            vec![
                (vote(1, 0, 1), New),
                (lock(1, 0, 1), New),
                (attested(1, 1), New),
                (view(5), New),
                (vote(2, 5, 2), New),
                (vote(2, 5, 3), Second),
                (lock(2, 5, 3), NotVoted),
                (lock(2, 5, 2), New),
                (view(6), New),
                (vote(2, 6, 3), Locked),
                (attested(2, 2), New),
                (vote(3, 6, 3), New),
            ],
        ),
        (
            "multiple_interchanges_single_validator_first_surrounds_second",
            vec![
                (Record::Boot(Boot(2)), New),
                (Record::Boot(Boot(2)), WrongBoot),
                (Record::Boot(Boot(1)), WrongBoot),
            ],
        ),
        (
            "multiple_interchanges_single_validator_multiple_blocks_out_of_order",
            vec![(vote(1, 0, 1), New), (empty_base(), Base)],
        ),
    ]
}

/// A vote with a mask that is not the statement's usual one.
fn masked(seq: u64, view: u64, of: u8, mask: u8) -> Record {
    let Record::Vote(mut vote) = vote(seq, view, of) else {
        unreachable!("it is a vote")
    };
    vote.mask = Digest::from_bytes([mask; 32]);
    Record::Vote(vote)
}

/// A base that knows of nothing: what importing an older interchange over a newer one would be.
fn empty_base() -> Record {
    Record::Base(Box::new(Chain::new(&DOMAIN, SLOT).standing))
}

#[test]
fn scenarios_of_eip_3076_get_their_answer_also_after_a_restart_at_any_point() {
    let scenarios = scenarios();
    assert_eq!(scenarios.len(), 18);
    for (name, steps) in scenarios {
        check(name, &steps);
    }
}

#[test]
fn registers_of_other_members_and_networks_are_refused_as_eip_3076_asks() {
    // "multiple_validators_same_slot_blocks": each member's register stands alone.
    let (mut chain, mut disk) = started();
    disk.push(answer(&mut chain, vote(1, 0, 1)).1.unwrap().to_bytes());
    let open = |domain: &Domain, slot| Chain::replay(domain, slot, disk.iter().map(Vec::as_slice));
    assert!(open(&DOMAIN, SLOT).is_ok());
    assert!(open(&DOMAIN, Slot(4)).is_err());
    // "wrong_genesis_validators_root".
    let committee = Domain {
        committee: CommitteeId::from_bytes([2; 32]),
        ..DOMAIN
    };
    let network = Domain {
        network: NetworkId(2),
        ..DOMAIN
    };
    assert!(open(&committee, SLOT).is_err() && open(&network, SLOT).is_err());
}
