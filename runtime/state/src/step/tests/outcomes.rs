//! What requests come to, and what a commit says of them.

use attestation::leaf::{Leaf, OutputLeaf, SettlementLeaf};
use proptest::prelude::*;
use sha2::{Digest as _, Sha256};

use super::*;
use crate::system::Refusal;

#[test]
fn deploying_registers_the_zapp_and_runs_init() {
    let (chain, zapp) = Chain::with_zapp();
    let record = chain.state.zapp(&zapp).expect("whole").expect("deployed");
    assert_eq!((record.owner, record.module), (ALICE, script::GOOD));
    assert_eq!(record.seq, Seq(1));
    assert_eq!(chain.value(&zapp, "born"), Some(b"1".as_slice()));
    assert_eq!(chain.state.zapps().collect::<Vec<_>>(), [(zapp, record)]);
}

#[test]
fn requests_of_a_step_see_each_other_in_order() {
    let (mut chain, zapp) = Chain::with_zapp();
    let scripts = [
        "set k 1",
        "get k\nset k 2",
        "get k\ndel k\ndel born",
        "get k\nscan a",
    ];
    let requests = scripts.map(|script| chain.call(zapp, script)).to_vec();
    let outcome = chain.step(requests);
    let outputs: Vec<_> = outcome
        .outcomes
        .iter()
        .map(|one| one.output.as_slice())
        .collect();
    assert_eq!(outputs, [b"".as_slice(), b"1", b"2", b"-"]);
    assert_eq!(chain.state.of(&zapp).count(), 1, "the head sentinel alone");
}

#[test]
fn leaves_say_what_happened() {
    let (mut chain, zapp) = Chain::with_zapp();
    let before = chain.previous;
    let requests = vec![
        chain.call(zapp, "emit hello world\nget born"),
        chain.call(zapp, "revert 7"),
    ];
    let ids: Vec<_> = requests.iter().map(Request::id).collect();
    let outcome = chain.step(requests);

    let gas = 3 * script::LINE_GAS;
    let deployed = 10_000_000 + 2 * 70_000 + 20 * 3_000 + script::LINE_GAS;
    assert_eq!(outcome.leaves.len(), 3);
    let settlement = SettlementLeaf {
        seq: Seq(2),
        epoch: Epoch(1),
        requests: 2,
        gas,
        fees: 0,
        requests_total: 3,
        gas_total: gas + deployed,
        fees_total: 0,
    };
    assert_eq!(
        Leaf::from_bytes(&outcome.leaves[0]),
        Ok(Leaf::Settlement(settlement))
    );
    let events = [Event {
        zapp,
        topic: b"hello".to_vec(),
        data: b"world".to_vec(),
    }];
    let first = OutputLeaf {
        zapp,
        seq: Seq(2),
        request: ids[0],
        status: Status::Ok,
        code: 0,
        gas: 2 * script::LINE_GAS,
        output: Digest::from_bytes(Sha256::digest(b"1").into()),
        events: Event::digest(&events),
    };
    assert_eq!(
        Leaf::from_bytes(&outcome.leaves[1]),
        Ok(Leaf::Output(first))
    );
    let second = OutputLeaf::from_bytes(&outcome.leaves[2]).expect("a leaf");
    assert_eq!((second.status, second.code), (Status::Reverted, 7));
    assert_eq!(second.events, Event::digest(&[]));

    let commit = &outcome.commit;
    assert_eq!(commit.seq, Seq(2));
    assert_eq!(commit.tree_size, 3);
    assert_eq!(commit.gas_used, gas);
    assert_eq!(commit.previous, before.statement);
    assert_eq!(commit.previous_state, before.state);
    assert_eq!(commit.profile, RuntimeProfile::from_bytes([8; 32]));
    let trace = Sha256::digest(outcome.trace_root.as_bytes());
    assert_eq!(commit.trace, Digest::from_bytes(trace.into()));
}

#[test]
fn a_failed_run_leaves_nothing_but_its_bill() {
    let table = [
        ("set born 2\ndel born\nset x 1\ntrap", Status::Trapped, 4),
        ("set born 2\nrevert 3", Status::Reverted, 2),
        ("set born 2\nset  x", Status::Trapped, 2),
    ];
    for (script, status, lines) in table {
        let (mut chain, zapp) = Chain::with_zapp();
        let before = chain.state.clone();
        let request = chain.call(zapp, script);
        let outcome = chain.step(vec![request.clone()]);
        let one = &outcome.outcomes[0];
        assert_eq!(
            (one.status, one.gas),
            (status, lines * script::LINE_GAS),
            "{script}"
        );
        assert!(outcome.reports[0].writes.is_empty());
        assert!(
            before.of(&zapp).eq(chain.state.of(&zapp)),
            "{script} left a write"
        );
        assert_eq!(chain.state.nonce(&ALICE), Ok(Some(request.call.nonce)));
        assert!(
            outcome
                .writes
                .iter()
                .all(|write| write.zapp == ZappId::SYSTEM)
        );
    }
}

#[test]
fn running_out_of_gas_is_charged_in_full() {
    let (mut chain, zapp) = Chain::with_zapp();
    let mut request = chain.call(zapp, "set a 1\nset b 2\nset c 3");
    request.call.gas_limit = 2 * script::LINE_GAS;
    let outcome = chain.step(vec![request]);
    assert_eq!(outcome.outcomes[0].status, Status::OutOfGas);
    assert_eq!(outcome.commit.gas_used, 2 * script::LINE_GAS);
    assert_eq!(chain.value(&zapp, "a"), None);
}

#[test]
fn a_deployment_that_cannot_pay_for_the_gatekeeper_is_not_shown_to_it() {
    let mut chain = Chain::with_zapp().0;
    // Nobody has this module: whoever asks for it has no outcome.
    let unknown = ModuleDigest::from_bytes([0xdd; 32]);
    let mut request = chain.deploy(BOB, unknown, "");
    request.call.gas_limit = 10_000_000 - 1;
    let outcome = chain.step(vec![request]);
    assert_eq!(outcome.outcomes[0].status, Status::OutOfGas);
    assert_eq!(outcome.commit.gas_used, 10_000_000 - 1);
}

#[test]
fn a_failed_init_deploys_nothing() {
    let table = [
        (script::GOOD, "set x 1\ntrap", Status::Trapped),
        (script::GOOD, "set x 1\nrevert 2", Status::Reverted),
        (script::COSTLY, "set x 1", Status::OutOfGas),
    ];
    for (module, init, status) in table {
        let mut chain = Chain::new();
        let request = chain.deploy(ALICE, module, init);
        let outcome = chain.step(vec![request]);
        assert_eq!(outcome.outcomes[0].status, status);
        assert_eq!(chain.state.zapps().count(), 0);
        assert_eq!(chain.state.of(&script_zapp(ALICE)).count(), 0);
        assert!(outcome.commit.gas_used > 0);
    }
}

#[test]
fn what_cannot_run_is_refused_with_a_receipt() {
    let nowhere = ZappId::from_bytes([0xee; 32]);
    let (mut chain, zapp) = Chain::with_zapp();
    let before = chain.state.clone();
    let requests = vec![
        chain.request(ALICE, nowhere, "run", b"trap"),
        chain.request(ALICE, ZappId::SYSTEM, "mint", b""),
        chain.request(ALICE, ZappId::SYSTEM, "deploy", b"garbage"),
        chain.deploy(ALICE, script::GOOD, "set x 1"),
        chain.deploy(BOB, script::REJECTED, "set x 1"),
    ];
    let outcome = chain.step(requests);
    let refusals: Vec<_> = outcome
        .outcomes
        .iter()
        .map(|one| {
            (
                one.status,
                Refusal::from_code(one.code).expect("a reason"),
                one.gas,
            )
        })
        .collect();
    let expected = [
        (Refusal::UnknownZapp, 1_000),
        (Refusal::UnknownMethod, 1_000),
        (Refusal::Input, 1_000),
        (Refusal::Exists, 1_000),
        // The gatekeeper has looked at the whole module.
        (Refusal::Module, 10_000_000),
    ];
    assert_eq!(
        refusals,
        expected.map(|(reason, gas)| (Status::Refused, reason, gas))
    );
    let rejection: Rejection =
        attestation::codec::decode(&outcome.outcomes[4].output, 1_000).expect("a rejection");
    assert_eq!((rejection.rule.as_str(), rejection.offset), ("opcode", 77));
    assert!(before.of(&zapp).eq(chain.state.of(&zapp)));
    assert_eq!(chain.state.zapps().count(), 1);
}

#[test]
fn trace_root_and_inputs_root_tell_orders_apart() {
    let (mut chain, zapp) = Chain::with_zapp();
    let mut one = chain.call(zapp, "get a");
    let mut two = chain.call(zapp, "get b");
    (one.call.caller, two.call.caller) = (ALICE, BOB);
    let forth = chain
        .run(&chain.job(vec![one.clone(), two.clone()]))
        .expect("valid");
    let back = chain.run(&chain.job(vec![two, one])).expect("valid");
    assert_ne!(forth.trace_root, back.trace_root);
    assert_ne!(forth.commit.inputs, back.commit.inputs);
    assert_eq!(forth.commit.state, back.commit.state);
}

fn script() -> impl Strategy<Value = String> {
    let key = || (0..6u8).prop_map(|key| char::from(b'a' + key));
    let line = prop_oneof![
        (key(), 0..9u8).prop_map(|(key, value)| alloc::format!("set {key} {value}")),
        (key(), 0..9u8).prop_map(|(key, value)| alloc::format!("set {key} {value}")),
        key().prop_map(|key| alloc::format!("del {key}")),
        key().prop_map(|key| alloc::format!("get {key}")),
        key().prop_map(|key| alloc::format!("scan {key}")),
        Just(String::from("emit a b")),
        prop_oneof![Just("get a"), Just("trap"), Just("revert 4")].prop_map(String::from),
    ];
    prop::collection::vec(line, 1..8).prop_map(|lines| lines.join("\n"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    /// `Chain::step` runs every job as gateway, executor and signer and compares all of it.
    #[test]
    fn gateway_executor_and_signer_agree(
        steps in prop::collection::vec(
            prop::collection::vec((any::<bool>(), 0..4usize, script()), 1..6),
            1..5,
        ),
    ) {
        let mut chain = Chain::new();
        for requests in steps {
            let mut job = Vec::new();
            for (alice, what, script) in requests {
                let caller = if alice { ALICE } else { BOB };
                job.push(match what {
                    0 => chain.deploy(caller, script::GOOD, &script),
                    1 => chain.request(caller, script_zapp(BOB), "run", script.as_bytes()),
                    _ => chain.request(caller, script_zapp(ALICE), "run", script.as_bytes()),
                });
            }
            chain.step(job);
        }
    }
}
