//! A zApp engine without WebAssembly: the input is a script, one command per line.

use alloc::string::ToString;
use alloc::vec::Vec;
use core::str;

use attestation::codec::Layout;
use attestation::ids::{Digest, IdentityKey, ModuleDigest, RequestId};
use attestation::leaf::{MessageLeaf, Status};
use attestation::tags;

use super::script_zapp;
use crate::execute::{
    Event, Executable, Execute, ExecuteError, Execution, Post, Prepared, Rejection, Verdict,
};
use crate::journal::Journal;
use crate::pull::PulledValue;
use crate::system::nom::{CALLER, Deposited, ON_DEPOSIT};

/// Passes the gatekeeper.
pub const GOOD: ModuleDigest = ModuleDigest::from_bytes([1; 32]);
/// Passes it too.
pub const NEWER: ModuleDigest = ModuleDigest::from_bytes([4; 32]);
/// Passes it, and can call other zApps.
pub const CALLS: ModuleDigest = ModuleDigest::from_bytes([5; 32]);
/// Is rejected by it.
pub const REJECTED: ModuleDigest = ModuleDigest::from_bytes([2; 32]);
/// Costs more to deploy than any request of these tests has.
pub const COSTLY: ModuleDigest = ModuleDigest::from_bytes([3; 32]);

/// Gas of one line.
pub const LINE_GAS: u64 = 10;

pub struct Script;

impl Execute for Script {
    fn prepare(&mut self, _: &RequestId, module: &ModuleDigest) -> Result<Verdict, ExecuteError> {
        let prepared = |functions| {
            Verdict::Prepared(Prepared {
                metered: Digest::from_bytes([9; 32]),
                functions,
                operators: 20,
                calls: *module == CALLS,
                pages: 1,
            })
        };
        match *module {
            GOOD | NEWER | CALLS => Ok(prepared(2)),
            COSTLY => Ok(prepared(1_000)),
            REJECTED => Ok(Verdict::Rejected(Rejection {
                rule: "opcode".to_string(),
                function: Some(3),
                offset: 77,
            })),
            unknown => Err(ExecuteError::Module(unknown)),
        }
    }

    fn execute(
        &mut self,
        call: &Executable<'_>,
        journal: &mut Journal<'_>,
    ) -> Result<Execution, ExecuteError> {
        let mut run = Execution {
            status: Status::Ok,
            code: 0,
            gas: 0,
            output: Vec::new(),
            events: Vec::new(),
            messages: Vec::new(),
            trace: Digest::from_bytes([0; 32]),
        };
        // A deposit brings its script as data, if the system zApp brings it.
        let deposit = (call.method == ON_DEPOSIT && call.caller == CALLER)
            .then(|| Deposited::from_bytes(call.input));
        let script = match &deposit {
            Some(deposit) => deposit.as_ref().expect("a deposit").data.as_slice(),
            None => call.input,
        };
        for line in str::from_utf8(script).expect("a script").lines() {
            run.gas += LINE_GAS;
            if run.gas > call.gas_limit {
                run.gas = call.gas_limit;
                run.status = Status::OutOfGas;
            } else {
                command(call, journal, &mut run, line)?;
            }
            if run.status != Status::Ok {
                run.events.clear();
                run.messages.clear();
                break;
            }
        }
        run.trace = Layout::new(tags::TRACE)
            .bytes(call.method.as_bytes())
            .bytes(call.input)
            .number(run.gas)
            .bytes(&run.output)
            .digest();
        Ok(run)
    }
}

fn command(
    call: &Executable<'_>,
    journal: &mut Journal<'_>,
    run: &mut Execution,
    line: &str,
) -> Result<(), ExecuteError> {
    let words: Vec<&str> = line.split(' ').collect();
    let mut write = |key: &str, value: Option<&str>| {
        let value = value.map(str::as_bytes);
        if journal.write(&call.zapp, key.as_bytes(), value).is_err() {
            run.status = Status::Trapped;
        }
    };
    match words.as_slice() {
        ["set", key, value] => write(key, Some(value)),
        ["del", key] => write(key, None),
        ["get", key] => match journal.get(&call.zapp, key.as_bytes())? {
            Some(value) => run.output.extend_from_slice(value),
            None => run.output.push(b'-'),
        },
        ["pull", index, key] => {
            let pulled = call.pulled.get(index.parse::<usize>().expect("a number"));
            let value = match pulled.map(|pulled| &pulled.value) {
                None => "out".to_string(),
                Some(None) => "none".to_string(),
                Some(Some(PulledValue::Integer(value))) => value.to_string(),
                Some(Some(PulledValue::Bytes(_))) => "bytes".to_string(),
            };
            write(key, Some(&value));
        }
        ["scan", key] => {
            let mut last = key.as_bytes().to_vec();
            while let Some(next) = journal.next(&call.zapp, &last)?.key {
                run.output.extend_from_slice(&next);
                run.output.push(b' ');
                last = next;
            }
        }
        // As another zApp that it calls.
        ["in", owner, key, value] => {
            let owner = IdentityKey::from_bytes([owner.parse().expect("a byte"); 32]);
            let callee = script_zapp(owner);
            if journal.callee(&callee)?.is_some() {
                journal.enter(&callee);
                let value = Some(value.as_bytes());
                if journal.write(&callee, key.as_bytes(), value).is_err() {
                    run.status = Status::Trapped;
                }
                journal.leave();
            }
        }
        ["post", label, payload] => run.messages.push(Post {
            zapp: call.zapp,
            chain: 1,
            contract: [0xcc; 32],
            receiver: [0xee; 32],
            gas: 9,
            label: label.as_bytes().to_vec(),
            payload: payload.as_bytes().to_vec(),
        }),
        // An amount of a token of the byte to an address of the byte, or to the committee's own, with
        // so many bytes of data.
        ["pay", amount, token, to, data @ ..] => {
            let byte = |text: &str| text.parse::<u8>().expect("a byte");
            let amount: u128 = amount.parse().expect("an amount");
            let padded = |byte: u8, width: usize| {
                let mut field = [0; 32];
                field[32 - width..].fill(byte);
                field
            };
            let mut payload = [0; 32].to_vec();
            payload[16..].copy_from_slice(&amount.to_be_bytes());
            match data.first() {
                Some(bytes) => payload.resize(32 + bytes.parse::<usize>().expect("a length"), 1),
                None => payload.extend_from_slice(b"paid"),
            }
            let receiver = match *to {
                "own" => {
                    let mut receiver = [0; 32];
                    receiver[12..].copy_from_slice(super::account::account().as_bytes());
                    receiver
                }
                to => {
                    let mut receiver = padded(byte(to), 20);
                    // A user's address begins with a zero.
                    receiver[12] = u8::from(byte(to) == 1);
                    receiver
                }
            };
            run.messages.push(Post {
                zapp: call.zapp,
                chain: MessageLeaf::NOM,
                contract: padded(byte(token), 10),
                receiver,
                gas: 0,
                label: Vec::new(),
                payload,
            });
        }
        ["emit", topic, data] => run.events.push(Event {
            zapp: call.zapp,
            topic: topic.as_bytes().to_vec(),
            data: data.as_bytes().to_vec(),
        }),
        ["revert", code] => {
            run.status = Status::Reverted;
            run.code = code.parse().expect("a code");
        }
        ["trap"] => run.status = Status::Trapped,
        ["hang"] => return Err(ExecuteError::Hung(call.request)),
        _ => panic!("no such command: {line}"),
    }
    Ok(())
}
