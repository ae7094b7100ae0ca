//! Replacing and freezing a zApp's module.

use attestation::codec::encode;

use super::*;
use crate::system::{Freeze, Refusal, Upgrade};

fn upgrade(chain: &mut Chain, caller: IdentityKey, module: ModuleDigest, script: &str) -> Request {
    let upgrade = Upgrade {
        zapp: script_zapp(ALICE),
        module,
        migrate: script.as_bytes().to_vec(),
    };
    chain.request(caller, ZappId::SYSTEM, "upgrade", &encode(&upgrade))
}

fn end(outcome: &StepOutcome) -> (Status, Option<Refusal>) {
    let one = &outcome.outcomes[0];
    let refusal = (one.status == Status::Refused).then(|| Refusal::from_code(one.code));
    (one.status, refusal.flatten())
}

#[test]
fn an_upgrade_replaces_the_module_and_runs_its_migrate() {
    let (mut chain, zapp) = Chain::with_zapp();
    let request = upgrade(&mut chain, ALICE, script::NEWER, "get born\nset born 2");
    let outcome = chain.step(vec![request]);
    assert_eq!(end(&outcome), (Status::Ok, None));
    assert_eq!(outcome.outcomes[0].output, b"1");
    let gas = 10_000_000 + 2 * 70_000 + 20 * 3_000 + 2 * script::LINE_GAS;
    assert_eq!(outcome.outcomes[0].gas, gas);
    let record = chain.state.zapp(&zapp).expect("whole").expect("deployed");
    assert_eq!((record.module, record.version), (script::NEWER, 1));
    assert_eq!((record.owner, record.seq), (ALICE, Seq(2)));
    assert_eq!(chain.value(&zapp, "born"), Some(b"2".as_slice()));
}

#[test]
fn an_upgrade_that_fails_leaves_the_old_code_and_state() {
    let table: [(ModuleDigest, &str, u64, Status, Option<Refusal>); 6] = [
        (
            script::NEWER,
            "set born 2\ntrap",
            GAS,
            Status::Trapped,
            None,
        ),
        (
            script::NEWER,
            "set born 2\nrevert 3",
            GAS,
            Status::Reverted,
            None,
        ),
        (
            script::NEWER,
            "set born 2",
            10_200_005,
            Status::OutOfGas,
            None,
        ),
        (
            script::NEWER,
            "set born 2",
            10_199_999,
            Status::OutOfGas,
            None,
        ),
        (script::COSTLY, "set born 2", GAS, Status::OutOfGas, None),
        (
            script::REJECTED,
            "",
            GAS,
            Status::Refused,
            Some(Refusal::Module),
        ),
    ];
    for (module, script, gas_limit, status, refusal) in table {
        let (mut chain, zapp) = Chain::with_zapp();
        let before = chain.state.zapp(&zapp);
        let mut request = upgrade(&mut chain, ALICE, module, script);
        request.call.gas_limit = gas_limit;
        // What comes after in the same step meets the old code.
        let after = chain.call(zapp, "get born");
        let outcome = chain.step(vec![request, after]);
        assert_eq!(end(&outcome), (status, refusal), "{script}");
        assert_eq!(outcome.outcomes[1].output, b"1");
        assert_eq!(chain.state.zapp(&zapp), before);
        assert_eq!(chain.value(&zapp, "born"), Some(b"1".as_slice()));
    }
}

#[test]
fn only_the_owner_upgrades_and_nobody_after_a_freeze() {
    let (mut chain, zapp) = Chain::with_zapp();
    let request = upgrade(&mut chain, BOB, script::NEWER, "");
    let refused = |refusal| (Status::Refused, Some(refusal));
    assert_eq!(end(&chain.step(vec![request])), refused(Refusal::NotOwner));
    let freeze = |chain: &mut Chain, caller| {
        chain.request(caller, ZappId::SYSTEM, "freeze", &encode(&Freeze { zapp }))
    };
    let request = freeze(&mut chain, BOB);
    assert_eq!(end(&chain.step(vec![request])), refused(Refusal::NotOwner));
    let request = freeze(&mut chain, ALICE);
    assert_eq!(end(&chain.step(vec![request])), (Status::Ok, None));
    let request = upgrade(&mut chain, ALICE, script::NEWER, "");
    assert_eq!(end(&chain.step(vec![request])), refused(Refusal::Frozen));
    let record = chain.state.zapp(&zapp).expect("whole").expect("deployed");
    assert!(record.frozen && record.module == script::GOOD);
    // It still works.
    let request = chain.call(zapp, "get born");
    assert_eq!(end(&chain.step(vec![request])), (Status::Ok, None));
}

#[test]
fn an_upgrade_of_nothing_is_refused() {
    let mut chain = Chain::new();
    let request = upgrade(&mut chain, ALICE, script::NEWER, "");
    let outcome = chain.step(vec![request]);
    assert_eq!(end(&outcome).1, Some(Refusal::UnknownZapp));
    let request = chain.request(ALICE, ZappId::SYSTEM, "upgrade", b"\xa0");
    let outcome = chain.step(vec![request]);
    assert_eq!(end(&outcome).1, Some(Refusal::Input));
}
