//! `vault`.

use attestation::ids::IdentityKey;

use super::{Zapp, join, u64_of, u128_of};
use crate::harness::key;

const NOT_AN_OWNER: u32 = 100;
const BAD_RULES: u32 = 101;
const OWNER_TWICE: u32 = 102;
const NO_SUCH_PAYMENT: u32 = 103;
const EXECUTED: u32 = 104;
const TOO_FEW_APPROVALS: u32 = 105;
const OVER_LIMIT: u32 = 106;
const TOO_MUCH: u32 = 107;
const ZERO_AMOUNT: u32 = 108;

const PERIOD_MS: u64 = 60_000;
const LIMIT: u128 = 100;
const SUPPLY: u128 = 150;

fn rules(owners: &[IdentityKey], threshold: u8, period_ms: u64) -> Vec<u8> {
    let count = u16::try_from(owners.len()).expect("few").to_be_bytes();
    let keys: Vec<&[u8]> = owners.iter().map(|owner| &owner.as_bytes()[..]).collect();
    join(&[
        &count,
        &keys.concat(),
        &[threshold],
        &LIMIT.to_be_bytes(),
        &period_ms.to_be_bytes(),
        &SUPPLY.to_be_bytes(),
    ])
}

/// Two of the owners 1, 2, 3.
fn vault() -> Zapp {
    Zapp::deployed(
        key(9),
        "vault",
        &rules(&[key(1), key(2), key(3)], 2, PERIOD_MS),
    )
}

impl Zapp {
    fn propose(&mut self, from: u8, to: u8, amount: u128) -> u64 {
        let input = join(&[key(to).as_bytes(), &amount.to_be_bytes()]);
        let (output, events) = self.ok(key(from), "propose", &input);
        assert_eq!(events, ["proposed"]);
        u64_of(&output)
    }

    fn pot(&mut self) -> u128 {
        u128_of(&self.view("pot", &[]))
    }

    fn paid(&mut self, holder: u8) -> u128 {
        u128_of(&self.view("balance", key(holder).as_bytes()))
    }
}

#[test]
fn vault_pays_what_enough_owners_approved_and_only_once() {
    let mut vault = vault();
    let number = vault.propose(1, 7, 60);
    assert_eq!(number, 1);
    let payment = number.to_be_bytes();
    assert_eq!(vault.revert(key(1), "execute", &payment), TOO_FEW_APPROVALS);
    let (approvals, _) = vault.ok(key(1), "approve", &payment);
    assert_eq!(approvals, 1u32.to_be_bytes(), "twice is once");
    let (approvals, events) = vault.ok(key(3), "approve", &payment);
    assert_eq!(
        (&approvals[..], &events[..]),
        (&2u32.to_be_bytes()[..], &["approved".into()][..])
    );
    let shown = vault.view("payment", &payment);
    let expected = join(&[
        &[1],
        key(7).as_bytes(),
        &60u128.to_be_bytes(),
        &[0, 0b101, 0],
    ]);
    assert_eq!(shown, expected);

    let (left, events) = vault.ok(key(2), "execute", &payment);
    assert_eq!(
        (u128_of(&left), &events[..]),
        (90, &["executed".into()][..])
    );
    assert_eq!((vault.pot(), vault.paid(7)), (90, 60));
    assert_eq!(vault.revert(key(2), "execute", &payment), EXECUTED);
    assert_eq!(vault.revert(key(2), "approve", &payment), EXECUTED);

    let (pot, _) = vault.ok(key(7), "deposit", &25u128.to_be_bytes());
    assert_eq!(u128_of(&pot), 115);
    assert_eq!((vault.pot(), vault.paid(7)), (115, 35));
    assert_eq!(
        vault.revert(key(7), "deposit", &36u128.to_be_bytes()),
        TOO_MUCH
    );
}

#[test]
fn vault_lets_no_more_than_the_limit_out_in_one_period() {
    let mut vault = vault();
    vault.chain.set_time(10 * PERIOD_MS);
    let [first, second, third, whole] = [70, 30, 1, 100].map(|amount| {
        let payment = vault.propose(1, 7, amount).to_be_bytes();
        vault.ok(key(2), "approve", &payment);
        payment
    });
    vault.ok(key(1), "execute", &first);
    assert_eq!(vault.revert(key(1), "execute", &whole), OVER_LIMIT);
    assert_eq!(u128_of(&vault.view("allowance", &[])), 30);
    vault.ok(key(1), "execute", &second);
    assert_eq!(vault.revert(key(1), "execute", &third), OVER_LIMIT);
    vault.chain.set_time(11 * PERIOD_MS - 1);
    assert_eq!(vault.revert(key(1), "execute", &third), OVER_LIMIT);
    vault.chain.set_time(11 * PERIOD_MS);
    assert_eq!(u128_of(&vault.view("allowance", &[])), LIMIT);
    // The limit would allow it; the pot does not hold it.
    assert_eq!(vault.revert(key(1), "execute", &whole), TOO_MUCH);
    vault.ok(key(1), "execute", &third);
    assert_eq!((vault.pot(), vault.paid(7)), (49, 101));
}

#[test]
fn vault_refuses_strangers_and_rules_that_cannot_be_met() {
    let mut vault = vault();
    let payment = vault.propose(1, 7, 1).to_be_bytes();
    let proposal = join(&[key(8).as_bytes(), &5u128.to_be_bytes()]);
    let nothing = join(&[key(8).as_bytes(), &0u128.to_be_bytes()]);
    let cases: [(u8, &str, &[u8], u32); 6] = [
        (9, "propose", &proposal, NOT_AN_OWNER),
        (9, "approve", &payment, NOT_AN_OWNER),
        (9, "execute", &payment, NOT_AN_OWNER),
        (1, "propose", &nothing, ZERO_AMOUNT),
        (1, "deposit", &[0; 16], ZERO_AMOUNT),
        (1, "execute", &2u64.to_be_bytes(), NO_SUCH_PAYMENT),
    ];
    for (from, method, input, code) in cases {
        assert_eq!(vault.revert(key(from), method, input), code, "{method}");
    }
    assert_eq!(vault.view("payment", &2u64.to_be_bytes()), [0], "absent");

    let three = [key(1), key(2), key(3)];
    let twice = [key(1), key(2), key(1)];
    for (init, code) in [
        (rules(&three, 0, PERIOD_MS), BAD_RULES),
        (rules(&three, 4, PERIOD_MS), BAD_RULES),
        (rules(&three, 2, 0), BAD_RULES),
        (rules(&twice, 2, PERIOD_MS), OWNER_TWICE),
        (rules(&[key(1); 17], 2, PERIOD_MS), 2),
    ] {
        assert_eq!(Zapp::refused(key(9), "vault", &init), code);
    }
}
