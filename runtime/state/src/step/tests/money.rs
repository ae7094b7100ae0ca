//! Fees, escrows, deposits and what members earn: what each request costs whom, and that no money
//! appears or is lost.

use attestation::codec::encode;
use attestation::ids::{Slot, TraceRoot, View};
use attestation::leaf::{Leaf, SettlementLeaf};
use attestation::request::work_bits;
use proptest::prelude::*;
use serde::Serialize;

use super::*;
use crate::job::SignedVote;
use crate::limits::{ESCROW_CALL_GAS, REQUEST_GAS, SYSTEM_GAS};
use crate::system::{
    Abort, CREDITS, Claim, Credits, FUNDS, Fund, Funds, Lease, LeaseTerms, Refusal, Transfer,
    lease_key,
};

const TERMS: Terms = Terms {
    gas_price: 1_000_000,
    request_fee: 7,
    byte_deposit: 3,
    work_bits: 4,
    work_gas: 1_000,
};
/// With this price a unit of gas costs one unit of money.
const RICH: u64 = 10_000_000_000;

/// A committee that charges, with one zApp of Alice's whose escrow holds this.
fn priced(escrow: u64) -> (Chain, ZappId) {
    let mut chain = Chain::on(TERMS, &[(ALICE, RICH), (BOB, RICH)]);
    let deploy = Deploy {
        escrow,
        ..script_deploy(script::GOOD, "")
    };
    let request = chain.request(ALICE, ZappId::SYSTEM, "deploy", &deploy.to_bytes());
    let outcome = chain.step(vec![request]);
    assert_eq!(outcome.outcomes[0].status, Status::Ok);
    (chain, script_zapp(ALICE))
}

impl Chain {
    fn funds(&self) -> Funds {
        self.state.funds().expect("whole").expect("a committee")
    }

    fn escrow(&self, zapp: &ZappId) -> Lease {
        self.state.lease(zapp).expect("whole")
    }

    fn balance(&self, account: &IdentityKey) -> u64 {
        self.state.balance(account).expect("whole")
    }

    fn system(&mut self, caller: IdentityKey, method: &str, input: &impl Serialize) -> Request {
        self.request(caller, ZappId::SYSTEM, method, &encode(input))
    }

    /// One request that the zApp pays for, with just enough gas for its lines.
    fn paid_by_zapp(&mut self, zapp: ZappId, script: &str) -> Request {
        let mut request = self.request(BOB, zapp, "run", script.as_bytes());
        request.call.fee_payer = FeePayer::Zapp;
        request.call.gas_limit = script.lines().count() as u64 * script::LINE_GAS;
        request
    }

    fn one(&mut self, request: Request) -> Outcome {
        self.step(vec![request]).outcomes.remove(0)
    }
}

fn refused(outcome: &Outcome) -> Option<Refusal> {
    assert_eq!(outcome.status, Status::Refused, "{outcome:?}");
    Refusal::from_code(outcome.code)
}

#[test]
fn deploying_costs_its_owner_gas_and_what_it_puts_into_the_escrow() {
    let (chain, zapp) = priced(500);
    let gas = 10_000_000 + 2 * 70_000 + 20 * 3_000;
    assert_eq!(chain.balance(&ALICE), RICH - gas - 7 - 500);
    assert_eq!(chain.escrow(&zapp).escrow, 500);
    let funds = chain.funds();
    assert_eq!((funds.pending, funds.last), (gas + 7, gas + 7));
    assert!(funds.balance());
}

#[test]
fn the_zapp_pays_by_default_and_the_caller_if_the_request_says_so() {
    let (mut chain, zapp) = priced(500);
    let before = chain.balance(&BOB);
    let request = chain.paid_by_zapp(zapp, "get a");
    let outcome = chain.one(request);
    assert_eq!((outcome.status, outcome.fee), (Status::Ok, 17));
    assert_eq!(
        (chain.escrow(&zapp).escrow, chain.balance(&BOB)),
        (483, before)
    );

    let request = chain.request(BOB, zapp, "run", b"get a\nget b");
    let outcome = chain.one(request);
    assert_eq!((outcome.gas, outcome.fee), (20, 27));
    assert_eq!(chain.escrow(&zapp).escrow, 483);
    assert_eq!(chain.balance(&BOB), before - 27, "unused gas is given back");
}

#[test]
fn the_settlement_leaf_shows_the_fees() {
    let (mut chain, zapp) = priced(500);
    let before = 10_000_000 + 2 * 70_000 + 20 * 3_000 + 7;
    let requests = vec![
        chain.paid_by_zapp(zapp, "get a"),
        chain.request(BOB, zapp, "run", b"trap"),
    ];
    let outcome = chain.step(requests);
    let Ok(Leaf::Settlement(SettlementLeaf {
        fees, fees_total, ..
    })) = Leaf::from_bytes(&outcome.leaves[0])
    else {
        panic!("leaf 0 settles");
    };
    assert_eq!((fees, fees_total), (34, before + 34));
}

#[test]
fn an_escrow_is_spent_to_the_last_unit_and_not_beyond() {
    let (mut chain, zapp) = priced(17);
    let request = chain.paid_by_zapp(zapp, "get a");
    let outcome = chain.one(request);
    assert_eq!((outcome.status, outcome.fee), (Status::Ok, 17));
    assert_eq!(chain.escrow(&zapp).escrow, 0);
    assert_eq!(chain.value(&ZappId::SYSTEM, "lease/"), None);
    let gone = chain.state.get(&ZappId::SYSTEM, &lease_key(&zapp));
    assert_eq!(gone, Ok(None), "an empty lease is no entry");

    let request = chain.paid_by_zapp(zapp, "get a");
    let outcome = chain.one(request);
    assert_eq!(refused(&outcome), Some(Refusal::Unpaid));
    assert_eq!((outcome.gas, outcome.fee), (10, 0));
    // Whoever pays for itself is still served.
    let request = chain.request(BOB, zapp, "run", b"get a");
    assert_eq!(chain.one(request).status, Status::Ok);
}

#[test]
fn the_most_that_a_request_may_cost_must_be_there_before_it_runs() {
    let (mut chain, zapp) = priced(1_000);
    let mut request = chain.paid_by_zapp(zapp, "get a");
    request.call.gas_limit = 994;
    let outcome = chain.one(request);
    assert_eq!(refused(&outcome), Some(Refusal::Unpaid));
    let mut request = chain.paid_by_zapp(zapp, "get a");
    request.call.gas_limit = 993;
    assert_eq!(chain.one(request).status, Status::Ok);
}

#[test]
fn an_owner_bounds_what_the_escrow_is_spent_on() {
    let (mut chain, zapp) = priced(1_000);
    let terms = LeaseTerms {
        zapp,
        reserve: 960,
        call_gas_max: 20,
    };
    let request = chain.system(BOB, "lease", &terms);
    assert_eq!(refused(&chain.one(request)), Some(Refusal::NotOwner));
    let request = chain.system(ALICE, "lease", &terms);
    assert_eq!(chain.one(request).status, Status::Ok);

    let mut request = chain.paid_by_zapp(zapp, "get a");
    request.call.gas_limit = 21;
    assert_eq!(refused(&chain.one(request)), Some(Refusal::CallGas));
    let request = chain.paid_by_zapp(zapp, "get a");
    assert_eq!(chain.one(request).fee, 17);
    let request = chain.paid_by_zapp(zapp, "get a");
    assert_eq!(chain.one(request).fee, 17);
    // 966 are left, 6 above the reserve.
    let request = chain.paid_by_zapp(zapp, "get a");
    assert_eq!(refused(&chain.one(request)), Some(Refusal::Unpaid));
}

#[test]
fn an_escrow_that_nobody_bounded_pays_for_calls_of_moderate_gas_only() {
    let (mut chain, zapp) = priced(1_000_000_000);
    let ask = |chain: &mut Chain, gas| {
        let mut request = chain.paid_by_zapp(zapp, "get a");
        request.call.gas_limit = gas;
        chain.one(request)
    };
    assert_eq!(ask(&mut chain, ESCROW_CALL_GAS).fee, 17);
    let refusal = refused(&ask(&mut chain, ESCROW_CALL_GAS + 1));
    assert_eq!(refusal, Some(Refusal::CallGas));
    // An owner may allow more.
    let terms = LeaseTerms {
        zapp,
        reserve: 0,
        call_gas_max: ESCROW_CALL_GAS + 1,
    };
    let request = chain.system(ALICE, "lease", &terms);
    assert_eq!(chain.one(request).status, Status::Ok);
    assert_eq!(ask(&mut chain, ESCROW_CALL_GAS + 1).fee, 17);
}

#[test]
fn a_request_that_nobody_pays_leaves_its_receipt_and_nonce_and_nothing_else() {
    let (mut chain, zapp) = priced(0);
    let request = chain.paid_by_zapp(zapp, "set k v");
    let outcome = chain.step(vec![request.clone()]);
    assert_eq!(refused(&outcome.outcomes[0]), Some(Refusal::Unpaid));
    let keys: Vec<&[u8]> = outcome
        .writes
        .iter()
        .map(|write| write.key.as_slice())
        .collect();
    let nonce = crate::system::nonce_key(&BOB);
    assert_eq!(
        keys,
        [FUNDS, &nonce, crate::system::TOTALS, crate::system::VOTES]
    );
    // The nonce makes the receipt final: with money there, what was refused does not run after all.
    let fund = chain.system(ALICE, "fund", &Fund { zapp, amount: 500 });
    assert_eq!(chain.one(fund).status, Status::Ok);
    let again = chain.job(vec![request]);
    let Err(StepError::Request(_, Violation::Replayed { .. })) = chain.run(&again) else {
        panic!("it ran");
    };
}

#[test]
fn fees_that_nobody_earned_stay_in_the_books_and_are_nobodys() {
    let (mut chain, _) = priced(0);
    let nothing = TraceRoot::from_bytes([0; 32]);
    let mut revealed = None;
    let mut of = nothing;
    let mut unassigned = 0;
    for _ in 0..4 {
        // Two of five vote, so that three fifths of each step's fees are nobody's.
        let trace = listed(&mut chain, &[1, 3], &of, revealed);
        revealed = (of != nothing).then_some(of);
        of = trace;
        let funds = chain.funds();
        assert!(funds.balance() && funds.unassigned >= unassigned);
        unassigned = funds.unassigned;
    }
    assert!(unassigned > 0);
    // Whoever voted claims its part; the rest does not move.
    for slot in 1..=5 {
        let claim = chain.system(BOB, "claim", &Claim { slot: Slot(slot) });
        assert_eq!(chain.one(claim).status, Status::Ok);
    }
    let funds = chain.funds();
    assert_eq!((funds.earned, funds.unassigned), (0, unassigned));
}

#[test]
fn stored_bytes_hold_a_deposit_and_deleting_returns_it() {
    let (mut chain, zapp) = priced(1_000);
    // 3 for each of the 2 + 4 bytes.
    let request = chain.request(BOB, zapp, "run", b"set k1 four");
    assert_eq!(chain.one(request).status, Status::Ok);
    let lease = chain.escrow(&zapp);
    assert_eq!((lease.stored, lease.escrow), (6, 982));
    assert_eq!(chain.funds().held, 18);
    // Rewriting within a request counts what is left of it.
    let script = b"set k1 longer\ndel k1\nset k1 x\nset k2 y\ndel k2";
    let request = chain.request(BOB, zapp, "run", script);
    assert_eq!(chain.one(request).status, Status::Ok);
    let lease = chain.escrow(&zapp);
    assert_eq!((lease.stored, lease.escrow), (3, 991));
    let request = chain.request(BOB, zapp, "run", b"del k1\ndel never");
    assert_eq!(chain.one(request).status, Status::Ok);
    assert_eq!(chain.escrow(&zapp).escrow, 1_000);
    assert_eq!(chain.funds().held, 0);
}

#[test]
fn what_the_escrow_cannot_pay_a_deposit_for_is_not_stored() {
    let (mut chain, zapp) = priced(17);
    let request = chain.request(BOB, zapp, "run", b"emit a b\nset k1 four\nget k1");
    let before = chain.balance(&BOB);
    let outcome = chain.one(request);
    assert_eq!(refused(&outcome), Some(Refusal::Deposit));
    assert_eq!((outcome.gas, outcome.fee), (30, 37), "the work is paid");
    assert_eq!(chain.balance(&BOB), before - 37);
    assert!(outcome.output.is_empty() && outcome.events.is_empty());
    assert_eq!(chain.value(&zapp, "k1"), None);
    // One unit more, and it is.
    let request = chain.system(BOB, "fund", &Fund { zapp, amount: 1 });
    assert_eq!(chain.one(request).status, Status::Ok);
    let request = chain.request(BOB, zapp, "run", b"set k1 four");
    assert_eq!(chain.one(request).status, Status::Ok);
    assert_eq!(chain.escrow(&zapp).escrow, 0);
}

#[test]
fn money_moves_only_by_who_owns_it() {
    let (mut chain, zapp) = priced(100);
    let (alice, bob) = (chain.balance(&ALICE), chain.balance(&BOB));
    let fee = SYSTEM_GAS + 7;
    let carol = IdentityKey::from_bytes([0xca; 32]);
    let all = Fund { zapp, amount: 101 };
    let some = Fund { zapp, amount: 60 };
    let nobodys = Fund {
        zapp: ZappId::from_bytes([9; 32]),
        amount: 1,
    };
    let too_much = Transfer {
        to: ALICE,
        amount: bob,
    };
    let table: Vec<(Request, Option<Refusal>)> = vec![
        (
            chain.system(BOB, "withdraw", &some),
            Some(Refusal::NotOwner),
        ),
        (
            chain.system(ALICE, "withdraw", &all),
            Some(Refusal::Balance),
        ),
        (chain.system(ALICE, "withdraw", &some), None),
        (chain.system(BOB, "fund", &some), None),
        (
            chain.system(BOB, "fund", &nobodys),
            Some(Refusal::UnknownZapp),
        ),
        // What is held back for the request's own bill cannot be spent by it.
        (
            chain.system(BOB, "transfer", &too_much),
            Some(Refusal::Balance),
        ),
        (
            chain.system(
                BOB,
                "transfer",
                &Transfer {
                    to: carol,
                    amount: 5,
                },
            ),
            None,
        ),
        (
            chain.system(BOB, "transfer", &Transfer { to: BOB, amount: 5 }),
            None,
        ),
        (chain.system(carol, "fund", &some), Some(Refusal::Unpaid)),
        (chain.system(BOB, "fund", &7u8), Some(Refusal::Input)),
        (
            chain.system(BOB, "mint", &some),
            Some(Refusal::UnknownMethod),
        ),
    ];
    let mut refusals = [0, 0];
    for (request, expected) in table {
        let caller = request.call.caller;
        let (method, gas) = (request.call.method.clone(), request.call.gas_limit);
        assert!(gas >= SYSTEM_GAS);
        let outcome = chain.one(request);
        match expected {
            None => assert_eq!(outcome.status, Status::Ok, "{method}"),
            Some(refusal) => assert_eq!(refused(&outcome), Some(refusal), "{method}"),
        }
        if outcome.fee == REQUEST_GAS + 7 {
            refusals[usize::from(caller == BOB)] += 1;
        } else if expected != Some(Refusal::Unpaid) {
            assert_eq!(outcome.fee, fee, "{method}");
        }
        assert!(chain.funds().balance());
    }
    assert_eq!(refusals, [0, 1], "an unknown method is not worked on");
    assert_eq!(chain.balance(&ALICE), alice - 2 * fee + 60);
    assert_eq!(chain.balance(&BOB), bob - 7 * fee - (REQUEST_GAS + 7) - 65);
    assert_eq!(
        (chain.balance(&carol), chain.escrow(&zapp).escrow),
        (5, 100)
    );
}

#[test]
fn a_method_with_too_little_gas_does_nothing() {
    let (mut chain, zapp) = priced(100);
    let mut request = chain.system(ALICE, "withdraw", &Fund { zapp, amount: 60 });
    request.call.gas_limit = SYSTEM_GAS - 1;
    let outcome = chain.one(request);
    assert_eq!(outcome.status, Status::OutOfGas);
    assert_eq!(outcome.fee, SYSTEM_GAS + 6);
    assert_eq!(chain.escrow(&zapp).escrow, 100);
}

#[test]
fn an_aborted_zapp_takes_no_calls_and_its_escrow_returns() {
    let (mut chain, zapp) = priced(1_000);
    let request = chain.request(BOB, zapp, "run", b"set k1 four");
    chain.one(request);
    let request = chain.system(BOB, "abort", &Abort { zapp });
    assert_eq!(refused(&chain.one(request)), Some(Refusal::NotOwner));
    let before = chain.balance(&ALICE);
    // The abort and calls around it in one step: what runs before it counts, what comes after not.
    let requests = vec![
        chain.request(BOB, zapp, "run", b"get k1"),
        chain.system(ALICE, "abort", &Abort { zapp }),
        chain.request(BOB, zapp, "run", b"get k1"),
        chain.system(ALICE, "abort", &Abort { zapp }),
        chain.system(BOB, "fund", &Fund { zapp, amount: 1 }),
    ];
    let outcome = chain.step(requests);
    let ended: Vec<_> = outcome
        .outcomes
        .iter()
        .map(|one| (one.status, Refusal::from_code(one.code)))
        .collect();
    assert_eq!(
        ended,
        [
            (Status::Ok, None),
            (Status::Ok, None),
            (Status::Refused, Some(Refusal::Aborted)),
            (Status::Refused, Some(Refusal::Aborted)),
            (Status::Refused, Some(Refusal::UnknownZapp)),
        ]
    );
    let fees = 2 * (SYSTEM_GAS + 7);
    assert_eq!(chain.balance(&ALICE), before + 982 - fees);
    assert_eq!(chain.escrow(&zapp).stored, 6, "what is stored stays");
    assert_eq!(chain.funds().held, 18);
}

#[test]
fn work_pays_for_small_requests() {
    let (mut chain, zapp) = priced(0);
    let mut request = chain.request(BOB, zapp, "run", b"get a");
    request.call.fee_payer = FeePayer::Work;
    request.call.gas_limit = 1_000;
    request.call.valid_until_ms = 600_000;
    let mut bits = |chain: &mut Chain, enough: bool| {
        while (work_bits(&request.id()) >= 4) != enough {
            request.call.nonce += 1;
        }
        chain.nonce = request.call.nonce;
        request.clone()
    };
    let short = bits(&mut chain, false);
    assert_eq!(refused(&chain.one(short)), Some(Refusal::Work));
    let worked = bits(&mut chain, true);
    let outcome = chain.one(worked.clone());
    assert_eq!((outcome.status, outcome.fee), (Status::Ok, 0));
    let mut greedy = worked;
    greedy.call.gas_limit = 1_001;
    greedy.call.nonce += 1;
    while work_bits(&greedy.id()) < 4 {
        greedy.call.nonce += 1;
    }
    assert_eq!(refused(&chain.one(greedy)), Some(Refusal::Work));
    // Nobody works ahead for a day on which all of it is sent at once.
    let mut stocked = request;
    stocked.call.valid_until_ms = 1_000_000;
    stocked.call.nonce = chain.nonce + 1;
    while work_bits(&stocked.id()) < 4 {
        stocked.call.nonce += 1;
    }
    assert_eq!(refused(&chain.one(stocked)), Some(Refusal::Work));
}

#[test]
fn work_bits_count_the_zeros_that_an_id_begins_with() {
    let table = [
        ([0xff, 0xff], 0),
        ([0x7f, 0], 1),
        ([0, 0x80], 8),
        ([0, 1], 15),
    ];
    for (begin, expected) in table {
        let mut id = [0xff; 32];
        id[..2].copy_from_slice(&begin);
        assert_eq!(work_bits(&RequestId::from_bytes(id)), expected, "{begin:?}");
    }
    assert_eq!(work_bits(&RequestId::from_bytes([0; 32])), 256);
}

/// A step whose job lists these votes and reveals this.
fn listed(
    chain: &mut Chain,
    votes: &[u16],
    of: &TraceRoot,
    reveal: Option<TraceRoot>,
) -> TraceRoot {
    let vote = |slot: &u16| SignedVote {
        slot: Slot(*slot),
        epoch: chain.previous.epoch,
        seq: chain.previous.seq,
        view: View(0),
        statement: chain.previous.statement,
        mask: SignedVote::mask(Slot(*slot), chain.previous.seq, of),
        signature: Signature::from_bytes([0; 64]),
    };
    let votes: Vec<_> = votes.iter().map(vote).collect();
    let request = chain.request(BOB, script_zapp(ALICE), "run", b"get a");
    let job = Job {
        votes,
        reveal,
        ..chain.job(vec![request])
    };
    let (_, outcome) = chain.agree(job);
    chain.accept(&outcome);
    outcome.trace_root
}

fn credits(chain: &Chain) -> Vec<(u16, u64)> {
    let value = chain.state.get(&ZappId::SYSTEM, CREDITS).expect("whole");
    let credits: Credits = value.and_then(crate::system::read).expect("credits");
    let Credits(credits) = credits;
    credits.iter().map(|one| (one.slot.0, one.earned)).collect()
}

#[test]
fn fees_go_to_those_whose_votes_match_and_nobody_gains_by_anothers_absence() {
    let (mut chain, _) = priced(0);
    let deployed = chain.funds().last;
    let nothing = TraceRoot::from_bytes([0; 32]);
    let first = listed(&mut chain, &[], &nothing, None);
    assert_eq!(chain.funds().last, 17);
    let second = listed(&mut chain, &[1, 3], &first, None);
    assert_eq!(chain.funds().unassigned, 0, "no trace root was revealed");
    // What nothing was revealed of is divided with the next: a fifth for each who voted.
    let third = listed(&mut chain, &[1, 2, 3, 4], &second, Some(first));
    let share = (deployed + 17) / 5;
    assert_eq!(credits(&chain), [(1, share), (3, share)]);
    let funds = chain.funds();
    assert_eq!(funds.earned, 2 * share);
    assert_eq!(funds.unassigned, deployed + 17 - 2 * share);
    // 17 for five members: 3 each, for the four who voted.
    listed(&mut chain, &[], &third, Some(second));
    let both = share + 3;
    assert_eq!(credits(&chain), [(1, both), (2, 3), (3, both), (4, 3)]);

    let absent = chain.system(BOB, "claim", &Claim { slot: Slot(9) });
    assert_eq!(refused(&chain.one(absent)), Some(Refusal::NoPayout));
    let left = chain.funds().earned - both;
    for amount in [both, 0] {
        // Whoever asks: it goes where the member's card says.
        let claim = chain.system(BOB, "claim", &Claim { slot: Slot(3) });
        assert_eq!(chain.one(claim).output, amount.to_be_bytes());
        assert_eq!(chain.balance(&IdentityKey::from_bytes([103; 32])), both);
        assert_eq!(chain.funds().earned, left);
    }
}

#[test]
fn books_that_do_not_add_up_are_never_voted_for() {
    let (mut chain, zapp) = priced(500);
    let request = chain.paid_by_zapp(zapp, "get a");
    let job = chain.job(vec![request]);
    assert!(chain.run(&job).is_ok());
    for wrong in [
        Funds {
            deposits: chain.funds().deposits + 1,
            ..chain.funds()
        },
        Funds {
            accounts: chain.funds().accounts - 1,
            unassigned: 1,
            ..chain.funds()
        },
    ] {
        let mut forged = chain.state.clone();
        let write = crate::entry::EntryWrite {
            zapp: ZappId::SYSTEM,
            key: FUNDS.to_vec(),
            value: Some(encode(&wrong)),
        };
        let root = forged.apply(&[write]).expect("whole");
        let previous = Previous {
            state: root,
            ..chain.previous
        };
        let result = run(&chain.params, &previous, &job, &forged, &mut Script);
        let balanced = wrong.balance();
        assert_eq!(result.is_ok(), balanced, "{wrong:?}");
        if !balanced {
            assert_eq!(result.unwrap_err(), StepError::Conservation);
        }
    }
}

#[test]
fn entries_that_their_totals_do_not_know_of_are_never_voted_for() {
    let (mut chain, zapp) = priced(500);
    let request = chain.request(BOB, zapp, "run", b"get a");
    let job = chain.job(vec![request]);
    // A balance that grew by itself, as a mistake in the bookkeeping would leave it: the totals
    // follow what the step does, and no more. The next step moves it, and the check sees both.
    let mut journal = crate::journal::Journal::new(&chain.state);
    let more = (chain.balance(&BOB) + 1).to_be_bytes().to_vec();
    journal.put(
        &ZappId::SYSTEM,
        &crate::system::account_key(&BOB),
        Some(more),
    );
    let (writes, _) = journal.finish().expect("whole");
    assert_eq!(
        super::super::purse::check(&chain.state, &TERMS, &writes),
        Err(StepError::Conservation)
    );
    assert!(chain.run(&job).is_ok());
}

#[test]
fn a_deployment_that_its_owner_cannot_fund_is_not_shown_to_the_gatekeeper() {
    let mut chain = Chain::on(TERMS, &[(ALICE, RICH)]);
    let deploy = Deploy {
        escrow: RICH,
        // Nobody has this module: whoever asks for it has no outcome.
        ..script_deploy(ModuleDigest::from_bytes([0xdd; 32]), "")
    };
    let request = chain.request(ALICE, ZappId::SYSTEM, "deploy", &deploy.to_bytes());
    let outcome = chain.one(request);
    assert_eq!(refused(&outcome), Some(Refusal::Balance));
    assert_eq!(outcome.fee, REQUEST_GAS + 7);
    assert_eq!(chain.balance(&ALICE), RICH - REQUEST_GAS - 7);
    assert_eq!(chain.escrow(&script_zapp(ALICE)), Lease::default());
}

#[test]
fn a_deployment_that_fails_gives_the_escrow_back() {
    for (init, status) in [
        ("set k v\ntrap", Status::Trapped),
        ("set k v\nrevert 1", Status::Reverted),
        // 3 for each of 4 bytes are more than the escrow.
        ("set key v", Status::Refused),
    ] {
        let mut chain = Chain::on(TERMS, &[(ALICE, RICH)]);
        let deploy = Deploy {
            escrow: 11,
            ..script_deploy(script::GOOD, init)
        };
        let request = chain.request(ALICE, ZappId::SYSTEM, "deploy", &deploy.to_bytes());
        let outcome = chain.one(request);
        assert_eq!(outcome.status, status, "{init}");
        assert_eq!(chain.balance(&ALICE), RICH - outcome.fee, "{init}");
        assert_eq!(chain.escrow(&script_zapp(ALICE)), Lease::default());
        let funds = chain.funds();
        assert_eq!((funds.escrows, funds.held), (0, 0), "{init}");
        assert_eq!(funds.accounts, RICH - outcome.fee);
    }
}

#[test]
fn a_deposit_leaves_the_owners_reserve_alone() {
    let (mut chain, zapp) = priced(30);
    let terms = LeaseTerms {
        zapp,
        reserve: 13,
        call_gas_max: 0,
    };
    let request = chain.system(ALICE, "lease", &terms);
    assert_eq!(chain.one(request).status, Status::Ok);
    // 18 of 30 would leave 12.
    let request = chain.request(BOB, zapp, "run", b"set k1 four");
    assert_eq!(refused(&chain.one(request)), Some(Refusal::Deposit));
    let request = chain.request(BOB, zapp, "run", b"set k1 thr");
    assert_eq!(chain.one(request).status, Status::Ok);
    assert_eq!(chain.escrow(&zapp).escrow, 15);
    // What shrinks is given back, reserve or not.
    let request = chain.request(BOB, zapp, "run", b"del k1");
    assert_eq!(chain.one(request).status, Status::Ok);
    assert_eq!(chain.escrow(&zapp).escrow, 30);
}

#[test]
fn a_free_committee_reads_no_balance() {
    let (mut chain, zapp) = Chain::with_zapp();
    let mut request = chain.call(zapp, "set k v");
    request.call.fee_payer = FeePayer::Zapp;
    let outcome = chain.step(vec![request]);
    assert_eq!(outcome.outcomes[0].fee, 0);
    let system: Vec<_> = outcome
        .writes
        .iter()
        .filter(|write| write.zapp == ZappId::SYSTEM)
        .map(|write| String::from_utf8_lossy(&write.key[..5]).into_owned())
        .collect();
    assert_eq!(system, ["nonce", "total", "votes"]);
}

#[test]
fn what_cannot_be_paid_is_known_before_it_is_queued() {
    let (mut chain, zapp) = priced(17);
    let request = chain.paid_by_zapp(zapp, "get a");
    assert_eq!(payable(&chain.state, &request.call, 2_000), Ok(Ok(())));
    let mut dearer = request.call.clone();
    dearer.gas_limit += 1;
    assert_eq!(
        payable(&chain.state, &dearer, 2_000),
        Ok(Err(Refusal::Unpaid))
    );
}

/// One of the things that people do.
fn request(chain: &mut Chain, zapp: ZappId, kind: u8, amount: u64) -> Request {
    let caller = if amount.is_multiple_of(2) { ALICE } else { BOB };
    match kind {
        0 => chain.system(caller, "fund", &Fund { zapp, amount }),
        1 => chain.system(caller, "withdraw", &Fund { zapp, amount }),
        2 => chain.system(caller, "transfer", &Transfer { to: BOB, amount }),
        3 => {
            let terms = LeaseTerms {
                zapp,
                reserve: amount / 2,
                call_gas_max: 0,
            };
            chain.system(caller, "lease", &terms)
        }
        4 => chain.paid_by_zapp(zapp, &alloc::format!("set k{} {amount}", amount % 7)),
        5 => chain.paid_by_zapp(zapp, &alloc::format!("del k{}", amount % 7)),
        6 => chain.request(caller, zapp, "run", b"set k0 v\nset k9 v\ntrap"),
        _ => chain.request(caller, zapp, "run", b"set k8 value\ndel k8\nset k3 v"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever people do: the totals are those of the entries, recomputed from nothing.
    #[test]
    fn no_money_appears_or_is_lost(
        escrow in 0u64..200,
        steps in prop::collection::vec(prop::collection::vec((0u8..8, 0u64..120), 1..5), 1..6),
    ) {
        let (mut chain, zapp) = priced(escrow);
        for step in steps {
            let requests = step
                .into_iter()
                .map(|(kind, amount)| request(&mut chain, zapp, kind, amount))
                .collect();
            chain.step(requests);
            let funds = chain.funds();
            prop_assert!(funds.balance());
            prop_assert_eq!(funds.deposits, 2 * RICH);
            prop_assert_eq!(funds.accounts, chain.balance(&ALICE) + chain.balance(&BOB));
            let lease = chain.escrow(&zapp);
            prop_assert_eq!(funds.escrows, lease.escrow);
            let stored: usize = chain
                .state
                .of(&zapp)
                .map(|(key, entry)| key.len() + entry.value.len())
                .sum();
            prop_assert_eq!(lease.stored, stored as u64);
            prop_assert_eq!(funds.held, lease.stored * TERMS.byte_deposit);
        }
    }
}
