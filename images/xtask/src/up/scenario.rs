//! What the started committee is asked: counter, ledger, and the replay of a NoM devnet.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use attestation::codec::{Layout, encode};
use attestation::ids::{CommitteeId, Digest, GroupKey, ModuleDigest, RequestId, ZappId};
use attestation::leaf::{Leaf, Status};
use attestation::tags;
use attestation::verify::verify_receipt;
use launch::{Caller, Committee, Http};
use nom::{BlockView, Refusal};
use serde_json::Value;
use state::system::Deploy;

use super::interrupt;

/// Seconds a request may take to its attestation.
const WAIT_S: u64 = 60;

/// One request and what became of it.
pub(super) struct Sent {
    /// For people: zApp and method.
    pub(super) what: String,
    /// The node's answer.
    pub(super) answer: Value,
    /// Attested, accepted by the ledger, and run with the status that it should have.
    pub(super) accepted: bool,
}

/// Runs the whole scenario; the first refusal does not stop the rest.
pub(super) fn run(
    root: &Path,
    wasm: &Path,
    committee: &Committee,
    key: GroupKey,
) -> Result<Vec<Sent>> {
    let record = committee.record();
    let mut session = Session {
        http: committee.http(1)?,
        key,
        committee: record.id(),
        caller: Caller::new(record.network, record.id())?,
        sent: Vec::new(),
    };
    counter(&mut session, wasm)?;
    ledger(&mut session, wasm)?;
    nom_mirror(&mut session, root, wasm)?;
    Ok(session.sent)
}

struct Session {
    http: Http,
    key: GroupKey,
    committee: CommitteeId,
    caller: Caller,
    sent: Vec<Sent>,
}

impl Session {
    /// Uploads a module and deploys it.
    fn deploy(&mut self, name: &str, wasm: &Path) -> Result<ZappId> {
        let path = wasm.join(format!("{name}.wasm"));
        let module = fs::read(&path).with_context(|| format!("no {}", path.display()))?;
        let answer = self.http.put("/v1/modules", "application/wasm", &module)?;
        let digest = answer
            .get("module")
            .and_then(Value::as_str)
            .unwrap_or_default();
        let digest: ModuleDigest = digest.parse().context("the node's module digest")?;
        let salt = Digest::from_bytes([u8::try_from(self.sent.len()).unwrap_or(u8::MAX); 32]);
        let deploy = encode(&Deploy {
            module: digest,
            salt,
            escrow: 0,
            init: Vec::new(),
        });
        self.call(&format!("deploy {name}"), ZappId::SYSTEM, "deploy", deploy)?;
        let id = Layout::new(tags::ZAPP)
            .fixed(self.caller.identity().as_bytes())
            .fixed(salt.as_bytes())
            .digest();
        Ok(ZappId::from_bytes(*id.as_bytes()))
    }

    /// Sends one request and waits for its attestation.
    fn call(&mut self, what: &str, zapp: ZappId, method: &str, input: Vec<u8>) -> Result<()> {
        self.call_for(what, zapp, method, input, (Status::Ok, 0))
    }

    /// The same for a request that should end with this status and code.
    fn call_for(
        &mut self,
        what: &str,
        zapp: ZappId,
        method: &str,
        input: Vec<u8>,
        expected: (Status, u32),
    ) -> Result<()> {
        interrupt::check()?;
        let request = self.caller.request(zapp, method, input)?;
        let answer = match self.caller.submit(&self.http, &request, WAIT_S) {
            Ok(answer) => answer,
            Err(launch::HttpError::Refused { body, .. }) => body,
            Err(error) => bail!("{what}: {error}"),
        };
        let text = |pointer| {
            answer
                .pointer(pointer)
                .and_then(Value::as_str)
                .unwrap_or("-")
        };
        let number = |pointer| answer.pointer(pointer).and_then(Value::as_u64).unwrap_or(0);
        let verified = self.verify(&answer, request.id(), expected);
        let ok = text("/state") == "accepted" && text("/outcome/status") == expected.0.name();
        let accepted = ok && verified.is_ok();
        println!(
            "step {:>4} leaf {:>2}  {:<28} {:<10} gas {:>9}  statement {:.16}",
            number("/seq"),
            number("/leaf"),
            what,
            if accepted { "attested" } else { text("/state") },
            number("/outcome/gas"),
            text("/statement"),
        );
        if !accepted {
            println!("  {answer}");
        }
        if let (true, Err(error)) = (ok, verified) {
            println!("  the node's attestation is not one: {error:#}");
        }
        self.sent.push(Sent {
            what: what.to_owned(),
            answer,
            accepted,
        });
        Ok(())
    }

    /// Believes an answer only as far as its attestation goes.
    fn verify(&self, answer: &Value, request: RequestId, expected: (Status, u32)) -> Result<()> {
        let bytes = |name: &str| {
            let digits = answer.get(name).and_then(Value::as_str);
            hex::decode(digits.unwrap_or_default()).with_context(|| name.to_owned())
        };
        let (receipt, leaf) = (bytes("attestation")?, bytes("leaf_bytes")?);
        let verified = verify_receipt(&receipt, Some(&leaf), &self.key, Some(&self.committee))?;
        match verified.leaf {
            Some(Leaf::Output(leaf))
                if leaf.request == request && (leaf.status, leaf.code) == expected =>
            {
                Ok(())
            }
            _ => bail!("it is of another request or outcome"),
        }
    }

    fn view(&self, zapp: ZappId, method: &str, input: &[u8]) -> Result<Vec<u8>> {
        let input = hex::encode(input);
        let path = format!("/v1/zapps/{zapp}/view?method={method}&input={input}");
        let answer = self.http.get(&path)?;
        let output = answer.get("output").and_then(Value::as_str);
        hex::decode(output.unwrap_or_default()).context("the view's output")
    }
}

fn counter(session: &mut Session, wasm: &Path) -> Result<()> {
    let counter = session.deploy("counter", wasm)?;
    for amount in 1..=5u64 {
        let what = format!("counter add {amount}");
        session.call(&what, counter, "add", amount.to_be_bytes().to_vec())?;
    }
    if session.view(counter, "get", &[])? != 15u64.to_be_bytes() {
        bail!("the counter is not 15");
    }
    Ok(())
}

fn ledger(session: &mut Session, wasm: &Path) -> Result<()> {
    let ledger = session.deploy("ledger", wasm)?;
    let me = *session.caller.identity().as_bytes();
    let you = [7u8; 32];
    let moved = |to: &[u8; 32], amount: u128| [&to[..], &amount.to_be_bytes()].concat();
    session.call("ledger mint 1000", ledger, "mint", moved(&me, 1_000))?;
    session.call("ledger transfer 250", ledger, "transfer", moved(&you, 250))?;
    if session.view(ledger, "balance", &you)? != 250u128.to_be_bytes() {
        bail!("the receiver's balance is not 250");
    }
    Ok(())
}

/// What is forged of a signed block by one flipped bit, at which byte (contracts/nom/src/binary.rs),
/// and why it is refused.
const FORGERIES: [(&str, usize, Refusal); 4] = [
    ("hash", 1, Refusal::BlockHash),
    ("amount", 208, Refusal::BlockHash),
    ("key", 308, Refusal::WrongKey),
    ("signature", 340, Refusal::Signature),
];

fn forged(block: &[u8], at: usize) -> Result<Vec<u8>> {
    let mut forged = block.to_vec();
    *forged.get_mut(at).context("a block")? ^= 1;
    Ok(forged)
}

fn is_signed(block: &[u8]) -> bool {
    BlockView::parse(block).is_ok_and(|block| block.seal.is_some())
}

/// Replays every block of a devnet of the real Zenon node, one of them forged as well in each of the
/// ways, and compares the balances.
fn nom_mirror(session: &mut Session, root: &Path, wasm: &Path) -> Result<()> {
    let data = |name: &str| {
        let path = root.join("tests/data").join(name);
        fs::read_to_string(&path).with_context(|| format!("no {}", path.display()))
    };
    let mirror = session.deploy("nom-mirror", wasm)?;
    let calls = nom::mirror_calls(&data("nom-devnet.json")?, &data("nom-devnet-dropped.json")?)?;
    let last = calls.iter().rposition(|(_, input)| is_signed(input));
    let last = last.context("a signed block")?;
    for (at, (method, input)) in calls.into_iter().enumerate() {
        if at == last {
            // Each refusal is attested, and the block itself is taken afterwards.
            for (what, byte, refusal) in FORGERIES {
                let forged = forged(&input, byte)?;
                let what = format!("nom-mirror forged {what}");
                let expected = (Status::Reverted, refusal.code());
                session.call_for(&what, mirror, method, forged, expected)?;
            }
        }
        session.call(&format!("nom-mirror {method} {at}"), mirror, method, input)?;
    }
    let expected: Value = serde_json::from_str(&data("nom-devnet-balances.json")?)?;
    let balances = expected.get("balances").and_then(Value::as_object);
    let mut compared = 0;
    for (address, tokens) in balances.context("balances")? {
        let holder: nom::Address = address.parse()?;
        for (token, amount) in tokens.as_object().context("tokens")? {
            let standard: nom::TokenStandard = token.parse()?;
            let input = [&holder.as_bytes()[..], standard.as_bytes()].concat();
            let balance = session.view(mirror, "balance", &input)?;
            let expected: u128 = amount.as_str().unwrap_or_default().parse()?;
            let actual = balance
                .iter()
                .fold(0u128, |sum, byte| sum << 8 | u128::from(*byte));
            if actual != expected {
                bail!("{address} {token}: {actual}, the devnet says {expected}");
            }
            compared += 1;
        }
    }
    println!("nom-mirror: all {compared} balances equal the devnet's");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_forgery_of_a_devnets_block_is_refused_for_what_is_forged() {
        let data = crate::workspace_root().join("tests/data");
        let read = |name: &str| fs::read_to_string(data.join(name)).expect(name);
        let (dump, dropped) = (read("nom-devnet.json"), read("nom-devnet-dropped.json"));
        let calls = nom::mirror_calls(&dump, &dropped).expect("a dump");
        let mut signed = 0;
        for (_, block) in calls.iter().filter(|(_, input)| is_signed(input)) {
            let view = BlockView::parse(block).expect("a block");
            let chain = view.header.chain_identifier;
            assert_eq!(view.verify(chain), Ok(()));
            for (what, byte, refusal) in FORGERIES {
                let forged = forged(block, byte).expect("a block");
                let judged = BlockView::parse(&forged).and_then(|view| view.verify(chain));
                assert_eq!(judged, Err(refusal), "{what}");
            }
            signed += 1;
        }
        assert_eq!(signed, 11);
    }
}
