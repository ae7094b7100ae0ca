//! `zq relay`.

mod gateway;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use evm_client::relay::{Blocked, Done, Lane, Pass, Relay, RelayError, Target};
use evm_client::rpc::{Rpc, RpcError, harmless, text};
use evm_client::transaction::AccountKey;
use serde_json::{Value, json};

use self::gateway::{Gateway, trust};
use crate::arguments::relay::{EvmArguments, RelayVerb};
use crate::failure::Failure;
use crate::key_file;
use crate::node::Node;
use crate::print::{Print, fields};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);
/// How often a wait looks whether it is interrupted.
const LOOK: Duration = Duration::from_millis(100);
const GWEI: u128 = 1_000_000_000;

pub(crate) fn run(verb: RelayVerb, node: Node, print: &Print) -> Result<(), Failure> {
    let RelayVerb::Evm(arguments) = verb;
    evm(&arguments, node, print)
}

fn evm(arguments: &EvmArguments, node: Node, print: &Print) -> Result<(), Failure> {
    let key = AccountKey::from_bytes(&key_file::secret(&arguments.key)?).ok_or_else(|| {
        Failure::new(
            "the key file holds no key of secp256k1",
            "make another one: zq key new",
        )
    })?;
    let rpc = Rpc::new(&arguments.rpc).map_err(|error| Failure::Usage(error.to_string()))?;
    let target = Target {
        chain: arguments.chain,
        messages: arguments.messages.map(|address| address.0),
        ledger: arguments.ledger.map(|address| address.0),
        fee_max: u128::from(arguments.fee_max) * GWEI,
        gas_max: arguments.gas_max,
        budget: arguments.budget.map(|budget| budget.0),
        zapps: arguments.zapp.iter().copied().collect(),
        confirmations: arguments.confirmations,
        trust: trust(&node)?,
    };
    if target.messages.is_some() && target.zapps.is_empty() && target.budget.is_none() {
        tell("without --zapp and --budget, anybody's messages are paid for: see --help");
    }
    interruptible()?;
    let every = Duration::from_secs(arguments.every);
    if !arguments.once && !await_node(&rpc, || wait(every)) {
        return Ok(());
    }
    let relay = Relay::begin(rpc, key, target, arguments.from).map_err(failed)?;
    let mut relay = relay.until(interrupted);
    let mut told = Told::default();
    let mut end = follow(arguments, &mut relay, &mut Gateway(node), &mut told);
    if arguments.once && end.is_ok() && !told.pass.blocked.is_empty() {
        let blocked = told.pass.blocked.remove(0);
        end = Err(failed(blocked.error));
    }
    // What was paid for is told, however it ended.
    if end.is_ok() || told.has_brought() {
        print.result(&told.summary(&relay), fields);
    }
    end
}

fn follow(
    arguments: &EvmArguments,
    relay: &mut Relay,
    source: &mut Gateway,
    told: &mut Told,
) -> Result<(), Failure> {
    let mut failed_before = false;
    let mut told_before = String::new();
    loop {
        match relay.pass(source, &mut |done| told.note(&done)) {
            Ok(pass) => {
                let is_unfinished = pass.unfinished;
                told.end_of(pass);
                failed_before = false;
                told_before.clear();
                if is_unfinished && !interrupted() {
                    continue;
                }
            }
            Err(RelayError::Interrupted) => return Ok(()),
            // Whoever follows outlives what passes.
            Err(error) if !arguments.once && passes(&error, failed_before) => {
                failed_before = matches!(error, RelayError::Failed(_));
                let why = reason(error);
                // Once for each reason: it is tried again every few seconds.
                if why != told_before {
                    tell(&format!("{why}; trying again"));
                    told_before = why;
                }
            }
            Err(error) => return Err(failed(error)),
        }
        if arguments.once || !wait(Duration::from_secs(arguments.every)) {
            return Ok(());
        }
    }
}

/// Waits until the chain's node answers; false if that is given up.
fn await_node(rpc: &Rpc, mut wait: impl FnMut() -> bool) -> bool {
    let mut has_told = false;
    while let Err(error @ (RpcError::Unreachable { .. } | RpcError::Slow { .. })) = rpc.chain() {
        if !has_told {
            tell(&format!("{error}; waiting for the node"));
            has_told = true;
        }
        if !wait() {
            return false;
        }
    }
    true
}

/// Why something failed, in a line.
fn reason(error: RelayError<Failure>) -> String {
    let failure = failed(error).to_json();
    let why = failure.get("error").and_then(Value::as_str);
    why.unwrap_or_default().to_owned()
}

/// What was brought, and where it ended.
#[derive(Default)]
struct Told {
    pass: Pass<Failure>,
    /// Why each lane waits, as it was told last.
    blocked: BTreeMap<Lane, String>,
    brought: Vec<Value>,
    counts: [u64; 2],
    /// How often the chain undid something.
    undone: u64,
    gas: u64,
}

/// Most things that the summary names one by one.
const NAMED_MAX: usize = 1000;
/// Most things whose reasons are kept, so that each is told once.
const BLOCKED_MAX: usize = 10_000;

impl Told {
    fn note(&mut self, done: &Done) {
        let (value, line) = described(done);
        if let Some(value) = value {
            let at = usize::from(matches!(done, Done::Step { .. }));
            if let Some(count) = self.counts.get_mut(at) {
                *count += 1;
            }
            if self.brought.len() < NAMED_MAX {
                self.brought.push(value);
            }
        }
        let Some(sent) = done.sent() else {
            self.undone += 1;
            return tell(&line);
        };
        self.gas = self.gas.saturating_add(sent.receipt.gas);
        tell(&format!("{line}, gas {}", sent.receipt.gas));
    }

    /// A pass ended: what could not be brought is told once for each reason.
    fn end_of(&mut self, pass: Pass<Failure>) {
        if self.blocked.len() > BLOCKED_MAX {
            self.blocked.clear();
        }
        for blocked in &pass.blocked {
            let why = blocked.error.to_string();
            let line = format!("{}: {why}; the others go on", place(blocked));
            if self.blocked.insert(blocked.lane, why.clone()) != Some(why) {
                tell(&line);
            }
        }
        self.pass = pass;
    }

    fn has_brought(&self) -> bool {
        self.counts.iter().any(|count| *count > 0)
    }

    fn summary(self, relay: &Relay) -> Value {
        let [leaves, steps] = self.counts;
        let blocked = self.pass.blocked.iter().map(|blocked| {
            json!({ "seq": blocked.seq, "what": place(blocked), "error": blocked.error.to_string() })
        });
        json!({
            "account": text(&relay.account()),
            "head": self.pass.head,
            "leaves_brought": leaves,
            "steps_brought": steps,
            "skipped": self.pass.skipped,
            "left_out": self.pass.left_out,
            "not_brought": self.pass.blocked.len(),
            "waits_for_signature_of": self.pass.unsigned,
            "unconfirmed": self.pass.unconfirmed,
            "undone": self.undone,
            "gas": self.gas,
            "wei": relay.spent().to_string(),
            "pending": relay.pending().map(|hash| text(&hash)),
            "blocked": blocked.collect::<Vec<_>>(),
            "brought": self.brought,
        })
    }
}

/// Where something stands that could not be brought.
fn place(blocked: &Blocked<Failure>) -> String {
    place_of(blocked.seq, blocked.lane)
}

fn place_of(seq: u64, lane: Lane) -> String {
    match lane {
        Lane::Ledger => format!("step {seq}"),
        Lane::Channel(channel) => format!("step {seq}, channel {channel}"),
        Lane::KeyChange { index, .. } => format!("step {seq}, key change at {index}"),
        Lane::Key => "the contract's next key".to_owned(),
    }
}

/// What was done, for the summary and as a line.
fn described(done: &Done) -> (Option<Value>, String) {
    let sent = done.sent();
    let transaction = sent.map(|sent| text(&sent.hash));
    let gas = sent.map(|sent| sent.receipt.gas);
    let (mut value, line) = match done {
        Done::Message {
            seq,
            channel,
            number,
            outcome,
            ..
        } => (
            json!({ "seq": seq, "channel": channel, "number": number, "outcome": outcome }),
            format!("step {seq}: message {number} of channel {channel}: {outcome}"),
        ),
        Done::Step { seq, .. } => (
            json!({ "seq": seq, "outcome": "accepted" }),
            format!("step {seq}: accepted by the ledger"),
        ),
        Done::KeyChange { seq, .. } => (
            json!({ "seq": seq, "outcome": "key_change_taken" }),
            format!("step {seq}: the contract took a change of key, which waits for its delay"),
        ),
        Done::KeyActivated { .. } => (
            json!({ "outcome": "key_changed" }),
            "the contract trusts the new key".to_owned(),
        ),
        Done::Late { sent } => (
            json!({ "outcome": if sent.receipt.succeeded { "in_a_block" } else { "failed" } }),
            format!("transaction {} is in a block now", text(&sent.hash)),
        ),
        Done::Undone {
            seq,
            lane,
            transaction,
        } => {
            let whose = match transaction {
                Some(hash) => format!("transaction {}", text(hash)),
                None => "another relay's transaction".to_owned(),
            };
            let place = place_of(*seq, *lane);
            let line = format!("{place}: the chain undid {whose}; it is brought again");
            return (None, line);
        }
    };
    if let Some(value) = value.as_object_mut() {
        value.insert("transaction".to_owned(), transaction.into());
        value.insert("gas".to_owned(), gas.into());
    }
    (Some(value), line)
}

/// Whether it may be over when it is tried again.
/// One failed transaction may be another relay's success; the second in a row costs fees for nothing.
const fn passes(error: &RelayError<Failure>, failed_before: bool) -> bool {
    match error {
        RelayError::Source(Failure::Unreachable { .. })
        | RelayError::Fee { .. }
        | RelayError::Funds { .. }
        | RelayError::Refused { .. }
        | RelayError::NextKey { .. }
        | RelayError::Unconfirmed(_)
        | RelayError::Unmined(_)
        | RelayError::Nonce { .. }
        | RelayError::Leap { .. }
        | RelayError::Stuck { .. } => true,
        // A node that starts, or one of several behind one address that is not well.
        RelayError::Rpc(error) => !matches!(error, RpcError::Address(_)),
        RelayError::Failed(_) => !failed_before,
        _ => false,
    }
}

fn failed(error: RelayError<Failure>) -> Failure {
    let error = match error {
        RelayError::Source(failure) => return failure,
        other => other,
    };
    let advice = match &error {
        RelayError::Source(_) | RelayError::Interrupted => "",
        RelayError::Rpc(RpcError::Unreachable { url, error }) => {
            return Failure::Unreachable {
                node: url.clone(),
                error: error.clone(),
            };
        }
        RelayError::Committee { .. } | RelayError::Key { .. } => {
            let error = error.to_string();
            let check = "trust";
            return Failure::Invalid { check, error };
        }
        RelayError::Proof { .. } => {
            let error = error.to_string();
            let check = "proof";
            return Failure::Invalid { check, error };
        }
        RelayError::Rpc(RpcError::Slow { .. }) => "try again when the node has less to do",
        RelayError::Rpc(_) => "check --rpc, and that the node is synchronised",
        RelayError::Chain { .. } => "check --chain and --rpc",
        RelayError::NoContract(_) => "check --messages and --ledger, and the chain",
        RelayError::Missing { .. } => "begin with an earlier step: --from",
        RelayError::NextKey { .. } => {
            "wait: the contract's change of key takes effect after its delay, and the relay sees \
             to it"
        }
        RelayError::Unconfirmed(_) => {
            "wait for blocks; if the chain goes on, allow fewer --confirmations"
        }
        RelayError::Nonce { .. } | RelayError::Leap { .. } => {
            "let no other program use the relay's key, and check that the node is synchronised"
        }
        RelayError::Refused { why, .. } if why.starts_with("Paused") => {
            "the contract is paused until the time in brackets, Unix seconds"
        }
        RelayError::Refused { why, .. } if why.starts_with("NotEnoughGas") => {
            "the message grants more gas than a transaction of this chain may have"
        }
        RelayError::Refused { .. } => {
            "look up the error in contracts/evm; another relay may have been first"
        }
        RelayError::Fee { .. } => "wait, or allow more with --fee-max",
        RelayError::Funds { .. } => "send the account ether of this chain",
        RelayError::Gas { .. } => "allow more with --gas-max if the zApp is worth it",
        RelayError::Budget { .. } => {
            "the relay ends here; start it again with another --budget, or name with --zapp whose \
             messages are worth it"
        }
        RelayError::Unmined(_) => {
            "its fee is raised up to --fee-max; start again and wait: nothing is sent twice"
        }
        RelayError::Stuck { .. } => "allow more with --fee-max, so that it can be outbid",
        RelayError::Signing => "make another key: zq key new",
        RelayError::Failed(_) => "start again: what was consumed is skipped",
    };
    Failure::new(error.to_string(), advice)
}

fn interruptible() -> Result<(), Failure> {
    ctrlc::set_handler(|| {
        if INTERRUPTED.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    })
    .map_err(|error| Failure::new(format!("no handler of Ctrl-C: {error}"), "try again"))
}

fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// Waits; false once interrupted.
fn wait(time: Duration) -> bool {
    let began = Instant::now();
    while began.elapsed() < time && !interrupted() {
        std::thread::sleep(LOOK.min(time));
    }
    !interrupted()
}

/// For people; a line that cannot be shown is no reason to stop.
fn tell(line: &str) {
    use std::io::Write as _;
    let _ = writeln!(std::io::stderr(), "{}", harmless(line));
}

#[cfg(test)]
mod tests {
    use conformance::http::{Reply, Server};

    use super::*;

    #[test]
    fn a_relay_waits_for_a_node_that_is_down_at_the_start_until_it_is_up_or_that_is_given_up() {
        let answer = || Reply::Ok(r#"{"jsonrpc":"2.0","id":3,"result":"0x1"}"#.to_owned());
        let server = Server::always(answer());
        let (url, address) = (server.url(), server.address());
        drop(server);
        let rpc = Rpc::new(&url).expect("an address");
        let mut up = None;
        let mut waits = 0;
        let answers = await_node(&rpc, || {
            waits += 1;
            if waits == 2 {
                up = Some(Server::start_at(address, move |_| answer()));
            }
            true
        });
        assert_eq!((answers, waits), (true, 2));
        drop(up);
        assert!(!await_node(&rpc, || false));
    }
}
