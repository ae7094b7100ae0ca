//! `zq account`, `zq lease`, and what owners do with their zApps.

use attestation::codec::encode;
use attestation::ids::{Slot, ZappId};
use serde_json::{Value, json};
use state::system::methods::{
    ABORT, CANCEL, CLAIM, FREEZE, FUND, LEASE, TRANSFER, UPGRADE, WITHDRAW,
};
use state::system::{Abort, Claim, Freeze, Fund, LeaseTerms, Transfer, Upgrade};

use crate::abi::Which;
use crate::arguments::Sending;
use crate::arguments::money::{AccountVerb, LeaseVerb, OwnerVerb};
use crate::command::input::Given;
use crate::command::zapp::{abi_of, outcome, send, succeeded, upload};
use crate::failure::Failure;
use crate::key_file::CallerKey;
use crate::node::Node;
use crate::print::{Print, fields, plain};
use crate::qsr::Qsr;

/// Amounts that are printed in QSR beside their units.
const AMOUNTS: [&str; 13] = [
    "balance",
    "escrow",
    "reserve",
    "fee",
    "deposit",
    "deposits",
    "accounts",
    "escrows",
    "held",
    "earned",
    "pending",
    "unassigned",
    "amount",
];

pub(crate) fn account(verb: AccountVerb, node: &Node, print: &Print) -> Result<(), Failure> {
    match verb {
        AccountVerb::Show { account, key } => {
            let account = match (account, key) {
                (Some(account), _) => account,
                (None, Some(key)) => CallerKey::read(&key)?.identity(),
                (None, None) => return Err(Failure::Usage("give a key".to_owned())),
            };
            print.result(&node.get(&format!("/v1/callers/{account}"))?, money);
            Ok(())
        }
        AccountVerb::Transfer {
            to,
            amount: Qsr(amount),
            sending,
        } => system(
            node,
            TRANSFER,
            encode(&Transfer { to, amount }),
            &sending,
            print,
        ),
        AccountVerb::Claim { slot, sending } => {
            let claim = Claim { slot: Slot(slot) };
            let mut value = send(node, ZappId::SYSTEM, CLAIM, encode(&claim), &sending)?;
            let output = value.get("output").and_then(Value::as_str);
            let amount = output.and_then(|digits| u64::from_str_radix(digits, 16).ok());
            if let (Some(object), Some(amount)) = (value.as_object_mut(), amount) {
                object.insert("amount".to_owned(), json!(amount));
            }
            print.result(&value, money);
            succeeded(&value)
        }
        AccountVerb::Cancel { sending } => system(node, CANCEL, Vec::new(), &sending, print),
    }
}

pub(crate) fn lease(verb: LeaseVerb, node: &Node, print: &Print) -> Result<(), Failure> {
    match verb {
        LeaseVerb::Show { zapp } => {
            let value = node.get(&format!("/v1/zapps/{zapp}"))?;
            let lease = value.get("lease").cloned().unwrap_or_default();
            print.result(&lease, money);
            Ok(())
        }
        LeaseVerb::Fund {
            zapp,
            amount: Qsr(amount),
            sending,
        } => system(node, FUND, encode(&Fund { zapp, amount }), &sending, print),
        LeaseVerb::Withdraw {
            zapp,
            amount: Qsr(amount),
            sending,
        } => system(
            node,
            WITHDRAW,
            encode(&Fund { zapp, amount }),
            &sending,
            print,
        ),
        LeaseVerb::Set {
            zapp,
            reserve: Qsr(reserve),
            call_gas_max,
            sending,
        } => {
            let terms = LeaseTerms {
                zapp,
                reserve,
                call_gas_max,
            };
            system(node, LEASE, encode(&terms), &sending, print)
        }
        LeaseVerb::Quote {
            zapp,
            method,
            input,
            caller,
        } => {
            let abi = abi_of(node, zapp);
            let input = Given::of(&input)?.bytes(abi.as_ref(), Which::Call(&method))?;
            let input = hex::encode(input);
            let body = json!({ "method": method, "input": input, "caller": caller });
            let path = format!("/v1/zapps/{zapp}/quote");
            let value = node.post(&path, "application/json", body.to_string().as_bytes())?;
            print.result(&value, money);
            Ok(())
        }
        LeaseVerb::Funds => {
            print.result(&node.get("/v1/funds")?, funds);
            Ok(())
        }
    }
}

pub(crate) fn owner(verb: OwnerVerb, node: &Node, print: &Print) -> Result<(), Failure> {
    match verb {
        OwnerVerb::Upgrade {
            zapp,
            module,
            input,
            sending,
        } => {
            let (module, abi) = upload(node, &module)?;
            let migrate = Given::of(&input)?.bytes(abi.as_ref(), Which::Migrate)?;
            let upgrade = Upgrade {
                zapp,
                module,
                migrate,
            };
            system(node, UPGRADE, encode(&upgrade), &sending, print)
        }
        OwnerVerb::Freeze { zapp, sending } => {
            system(node, FREEZE, encode(&Freeze { zapp }), &sending, print)
        }
        OwnerVerb::Abort { zapp, sending } => {
            system(node, ABORT, encode(&Abort { zapp }), &sending, print)
        }
    }
}

pub(crate) fn system(
    node: &Node,
    method: &str,
    input: Vec<u8>,
    sending: &Sending,
    print: &Print,
) -> Result<(), Failure> {
    let value = send(node, ZappId::SYSTEM, method, input, sending)?;
    print.result(&value, outcome);
    succeeded(&value)
}

/// Fields with their amounts in QSR.
fn money(value: &Value) -> String {
    fields(&in_qsr(value))
}

fn in_qsr(value: &Value) -> Value {
    let mut shown = value.clone();
    if let Some(object) = shown.as_object_mut() {
        for (name, amount) in object {
            if let (true, Some(units)) = (AMOUNTS.contains(&name.as_str()), amount.as_i64()) {
                let sign = if units < 0 { "-" } else { "" };
                *amount = json!(format!("{sign}{} QSR", Qsr(units.unsigned_abs())));
            }
        }
    }
    shown
}

fn funds(value: &Value) -> String {
    let mut totals = in_qsr(value);
    let members = totals
        .as_object_mut()
        .and_then(|object| object.remove("members"));
    let mut lines = vec![fields(&totals)];
    for member in members.iter().filter_map(Value::as_array).flatten() {
        let member = in_qsr(member);
        let part = |name: &str| member.get(name).map(plain).unwrap_or_default();
        lines.push(format!(
            "slot {}  credited for {} steps  earned {}",
            part("slot"),
            part("steps"),
            part("earned")
        ));
    }
    lines.join("\n")
}
