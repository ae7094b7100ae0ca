//! `zq zapp serve-chain`: what tests of zApps speak to (crate `zapp-test`).
//!
//! A line asks and a line answers, until standard input ends. Words are separated by one space,
//! bytes are hexadecimal digits, `-` is none of them:
//! ```text
//! deploy OWNER INIT                  ok STATUS CODE GAS OUTPUT WHY EVENTS LOG MESSAGES
//! call CALLER METHOD INPUT GAS       the same
//! deposit SEED TOKEN AMOUNT DATA     the same
//! view METHOD INPUT                  the same
//! account SEED                       ok KEY ADDRESS
//! time MS                            ok
//! anything that is refused           error TEXT
//! ```
//! The first line is an answer to nothing: whether the module runs. EVENTS are `TOPIC:DATA`, LOG is
//! lines and MESSAGES are `CHAIN:CONTRACT:RECEIVER:GAS:PAYLOAD`, separated by commas, `none` without
//! any. WHY is text: a revert's name, or what trapped. A SEED gives a key that signs deposits.

use std::io::{self, BufRead as _, Write as _};
use std::path::Path;

use attestation::ids::IdentityKey;
use attestation::leaf::Status;
use runtime::abi::HostFault;

use super::chain::{Chain, Ran, account_of};
use crate::abi::{Abi, sdk_revert};
use crate::engines::on_deep_stack;
use crate::failure::Failure;
use crate::files;
use state::system::Refusal;

pub(crate) fn run(path: &Path) -> Result<(), Failure> {
    let path = path.to_owned();
    on_deep_stack(move || serve(&path))
}

fn serve(path: &Path) -> Result<(), Failure> {
    let wasm = files::read(path, files::MODULE_BYTES_MAX)?;
    let abi = Abi::of_module(&wasm);
    let mut chain = match Chain::new(&wasm) {
        Ok(chain) => chain,
        Err(why) => {
            say(&error(&format!("{}: {why}", path.display())))?;
            return Ok(());
        }
    };
    say("ok")?;
    for line in io::stdin().lock().lines() {
        let line = line.map_err(|error| Failure::new(error.to_string(), "try again"))?;
        let answer = answer(&mut chain, abi.as_ref(), &line);
        say(&answer.unwrap_or_else(|why| error(&why)))?;
    }
    Ok(())
}

fn say(line: &str) -> Result<(), Failure> {
    let mut output = io::stdout().lock();
    let written = writeln!(output, "{line}").and_then(|()| output.flush());
    written.map_err(|error| Failure::new(format!("no answer: {error}"), "the test has ended"))
}

fn error(why: &str) -> String {
    format!("error {}", word(why.as_bytes()))
}

fn answer(chain: &mut Chain, abi: Option<&Abi>, line: &str) -> Result<String, String> {
    let words: Vec<&str> = line.split(' ').collect();
    let ran = match words.as_slice() {
        ["deploy", owner, init] => chain.deploy(key(owner)?, bytes(init)?)?,
        ["call", caller, method, input, gas] => {
            let gas = gas.parse().map_err(|_| format!("{gas}: no gas"))?;
            chain.call(key(caller)?, &text(method)?, bytes(input)?, gas)?
        }
        ["view", method, input] => chain.view(&text(method)?, &bytes(input)?)?,
        ["deposit", seed, token, amount, data] => {
            let token = fixed(token)?;
            let amount = amount.parse().map_err(|_| format!("{amount}: no amount"))?;
            chain.deposit(fixed(seed)?, token, amount, &bytes(data)?)?
        }
        ["account", seed] => {
            let (key, address) = account_of(fixed(seed)?);
            return Ok(format!("ok {key} {}", word(&address)));
        }
        ["time", ms] => {
            chain.set_time(ms.parse().map_err(|_| format!("{ms}: no time"))?)?;
            return Ok("ok".to_owned());
        }
        _ => {
            return Err(format!(
                "{line}: not understood; zq and zapp-test differ in age"
            ));
        }
    };
    Ok(told(&ran, abi))
}

fn told(ran: &Ran, abi: Option<&Abi>) -> String {
    let events = ran.events.iter();
    let events = events.map(|event| format!("{}:{}", word(&event.topic), word(&event.data)));
    let log = ran.log.iter().map(|line| word(line));
    let messages = ran.messages.iter().map(|message| {
        let (chain, gas) = (message.chain, message.gas);
        let [contract, receiver] = [message.contract, message.receiver].map(hex::encode);
        let payload = word(&message.payload);
        format!("{chain}:{contract}:{receiver}:{gas}:{payload}")
    });
    format!(
        "ok {} {} {} {} {} {} {} {}",
        ran.status.name(),
        ran.code,
        ran.gas,
        word(&ran.output),
        word(why(ran, abi).as_bytes()),
        list(events.collect()),
        list(log.collect()),
        list(messages.collect()),
    )
}

/// What its author wants to know of a call that did not succeed.
pub(super) fn why(ran: &Ran, abi: Option<&Abi>) -> String {
    let code = ran.code;
    match ran.status {
        Status::Reverted if code == runtime::abi::ABORT_CODE => {
            format!("ABORT: {}", String::from_utf8_lossy(&ran.output))
        }
        Status::Reverted => abi
            .and_then(|abi| abi.revert(code))
            .or_else(|| sdk_revert(code).map(str::to_owned))
            .unwrap_or_else(|| "which the ABI does not name".to_owned()),
        Status::Trapped => ran.fault.map_or(TRAP, fault).to_owned(),
        Status::Refused if code == 0 => UNDONE.to_owned(),
        Status::Refused => {
            Refusal::from_code(code).map_or_else(String::new, |refusal| refusal.to_string())
        }
        _ => String::new(),
    }
}

const UNDONE: &str =
    "it ran well, and what it would pay out or store cannot be: nothing of it stands";
const TRAP: &str = "an arithmetic error, an access outside of the memory, or unreachable code";

const fn fault(fault: HostFault) -> &'static str {
    match fault {
        HostFault::Stack => "the stack is exhausted: recursion, or large values in many frames",
        HostFault::Bounds => "a host function was given bytes outside of the memory",
        HostFault::Key => "a state key has 1 to 256 bytes",
        HostFault::Length => "a value, event or output is too long",
        HostFault::Writes => "more writes than a call may make",
        HostFault::Events => "more events, or longer ones, than a call may emit",
        HostFault::ReadOnly => "a view wrote to the state: make it a #[call]",
        HostFault::Algorithm => "the host does not have this algorithm",
        HostFault::Messages => "more outbound messages, or longer ones, than a call may send",
        HostFault::Method => "a call of another zApp that names no method",
    }
}

fn word(bytes: &[u8]) -> String {
    match bytes {
        [] => "-".to_owned(),
        bytes => hex::encode(bytes),
    }
}

fn list(words: Vec<String>) -> String {
    match words.as_slice() {
        [] => "none".to_owned(),
        words => words.join(","),
    }
}

fn bytes(word: &str) -> Result<Vec<u8>, String> {
    match word {
        "-" => Ok(Vec::new()),
        digits => hex::decode(digits).map_err(|_| format!("{digits}: no bytes")),
    }
}

fn text(word: &str) -> Result<String, String> {
    String::from_utf8(bytes(word)?).map_err(|_| format!("{word}: no text"))
}

fn fixed<const N: usize>(word: &str) -> Result<[u8; N], String> {
    let bytes = bytes(word)?;
    let fixed = bytes.try_into();
    fixed.map_err(|_| format!("{word}: not {N} bytes"))
}

fn key(word: &str) -> Result<IdentityKey, String> {
    word.parse()
        .map_err(|_| format!("{word}: no key of 32 bytes"))
}
