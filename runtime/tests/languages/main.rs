//! One zApp in Rust, C and AssemblyScript: each module passes the gatekeeper, and one table of calls
//! holds for all of them, on both engines.
//!
//! Answers, events, entries, messages and reverts are equal in every language. Gas is each module's
//! own, and equal on both engines. Without a compiler for a language its part of a test is a skip,
//! printed as `SKIP: reason`; under `CI=true` a skip fails.

#![allow(
    clippy::indexing_slicing,
    reason = "a test may panic on the shape of its own data"
)]

#[path = "../harness/mod.rs"]
mod harness;
mod source;
mod table;

use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use attestation::ids::{Digest, ZappId};
use attestation::leaf::{MessageLeaf, Status};
use attestation::source::{Absence, Observed, Place, Reducer, Source};
use conformance::languages::{Compiler, Language};
use conformance::outside;
use ed25519_dalek::{Signer as _, SigningKey};
use harness::{Chain, key, module};
use runtime::inspect::custom_section;
use runtime::prepare;
use sha2::{Digest as _, Sha256};
use sha3::{Keccak256, Sha3_256};
use state::entry::EntryWrite;
use state::step::Outcome;
use table::{Ends, Line, OWNER, counted, to_and_amount, u64, who};

/// The two examples in one language.
struct Modules {
    language: &'static str,
    points: Vec<u8>,
    counter: Vec<u8>,
}

/// The examples in every language that has a compiler here, Rust first; once per run.
fn modules() -> &'static [Modules] {
    static MODULES: OnceLock<Vec<Modules>> = OnceLock::new();
    MODULES.get_or_init(|| {
        let rust = Modules {
            language: "Rust",
            points: module("points"),
            counter: module("counter"),
        };
        let others = Language::ALL.into_iter().filter_map(|language| {
            let compiler = compiler(language)?;
            let compiled = |name| compiled(&compiler, &language.sdk(), name).expect("it compiles");
            Some(Modules {
                language: name(language),
                points: compiled("points"),
                counter: compiled("counter"),
            })
        });
        std::iter::once(rust).chain(others).collect()
    })
}

/// A compiler; without one the test is a skip.
fn compiler(language: Language) -> Option<Compiler> {
    let found = language.compiler(Path::new(env!("CARGO_TARGET_TMPDIR")));
    let what = format!("zApps in {}", name(language));
    found
        .inspect_err(|reason| outside::skip(&what, reason))
        .ok()
}

const fn name(language: Language) -> &'static str {
    match language {
        Language::C => "C",
        Language::AssemblyScript => "AssemblyScript",
    }
}

fn compiled(compiler: &Compiler, sdk: &Path, example: &str) -> Result<Vec<u8>, String> {
    let out = tempfile::tempdir().expect("writable");
    let module = out.path().join("module.wasm");
    compiler.compile(sdk, &format!("examples/{example}"), &module)?;
    Ok(fs::read(module).expect("written"))
}

/// `points` in one language, deployed.
struct Points {
    chain: Chain,
    id: ZappId,
}

impl Points {
    fn deployed(wasm: &[u8]) -> Self {
        let mut chain = Chain::new();
        let (id, outcome) = chain.try_deploy_module(key(OWNER), wasm, &counted("points"));
        assert_eq!(outcome.status, Status::Ok, "{outcome:?}");
        Self { chain, id }
    }

    /// Runs a line of the table and checks it; what is left is to be equal in every language.
    fn run(&mut self, line: &Line) -> Option<Seen> {
        match line {
            Line::Call(from, method, input, ends) => {
                let outcome = self.chain.call(key(*from), self.id, method, input);
                assert_eq!(&ended(&outcome), ends, "{method} {}", hex(input));
                Some(self.seen(outcome))
            }
            Line::View(method, input, ends) => {
                let execution = self.chain.query(self.id, method, input);
                let (status, code) = (execution.status, execution.code);
                let ended = end(status, code, execution.output, Vec::new());
                assert_eq!(&ended, ends, "{method} {}", hex(input));
                None
            }
            Line::Holds(entries) => {
                assert_eq!(&self.chain.entries(self.id), entries);
                None
            }
        }
    }

    /// A call that ends well; its output.
    fn ok(&mut self, from: u8, method: &str, input: &[u8]) -> Vec<u8> {
        let outcome = self.chain.call(key(from), self.id, method, input);
        assert_eq!(outcome.status, Status::Ok, "{method}: {outcome:?}");
        outcome.output
    }

    fn seen(&self, outcome: Outcome) -> Seen {
        let last = self.chain.last();
        let own = last.writes.iter().filter(|write| write.zapp == self.id);
        let writes: Vec<_> = own.cloned().collect();
        if outcome.status != Status::Ok {
            assert!(writes.is_empty() && outcome.events.is_empty());
        }
        Seen {
            // A module's own: gas, and the trace, which holds it.
            outcome: Outcome {
                gas: 0,
                trace: Digest::from_bytes([0; 32]),
                ..outcome
            },
            writes,
            messages: last.leaves[2..].to_vec(),
        }
    }
}

/// All of a call that does not depend on the language.
#[derive(Debug, PartialEq, Eq)]
struct Seen {
    outcome: Outcome,
    writes: Vec<EntryWrite>,
    messages: Vec<Vec<u8>>,
}

fn ended(outcome: &Outcome) -> Ends {
    let topic = |topic: &[u8]| match topic {
        b"given" => "given",
        b"passed" => "passed",
        b"added" => "added",
        _ => panic!("no event of ours"),
    };
    let events = outcome.events.iter();
    let events = events.map(|event| (topic(&event.topic), event.data.clone()));
    let (status, code) = (outcome.status, outcome.code);
    end(status, code, outcome.output.clone(), events.collect())
}

fn end(status: Status, code: u32, output: Vec<u8>, events: Vec<(&'static str, Vec<u8>)>) -> Ends {
    match (status, code) {
        (Status::Ok, 0) => Ends::Well(output, events),
        (Status::Reverted, u32::MAX) => Ends::Aborts(output.leak()),
        (Status::Reverted, code) if output.is_empty() => Ends::Reverts(code),
        (Status::Trapped, 0) => Ends::Traps,
        other => panic!("{other:?} {}", hex(&output)),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn one_table_holds_for_every_language() {
    let runs = modules().iter().map(|one| {
        let mut points = Points::deployed(&one.points);
        let seen: Vec<_> = (table::table().iter())
            .filter_map(|line| points.run(line))
            .collect();
        (one.language, seen)
    });
    let runs: Vec<_> = runs.collect();
    assert!(runs[0].1.len() > 40);
    for (language, seen) in &runs[1..] {
        assert_eq!(seen.len(), runs[0].1.len());
        for (theirs, ours) in seen.iter().zip(&runs[0].1) {
            assert_eq!(theirs, ours, "{language} and Rust");
        }
    }
}

#[test]
fn a_deployment_takes_text_and_nothing_else_in_every_language() {
    for one in modules() {
        for (input, code) in table::bad_names() {
            let (_, outcome) = Chain::new().try_deploy_module(key(OWNER), &one.points, &input);
            let language = one.language;
            let end = (outcome.status, outcome.code);
            let what = hex(&input);
            assert_eq!(end, (Status::Reverted, code), "{language} {what}");
        }
        for name in table::GOOD_NAMES {
            let mut chain = Chain::new();
            let (id, _) = chain.try_deploy_module(key(OWNER), &one.points, &counted(name));
            let about = [counted(name), who(OWNER), u64(0)].concat();
            assert_eq!(chain.view(id, "about", &[]), about, "{}", one.language);
        }
    }
}

#[test]
fn context_hashes_and_signatures_are_the_same_in_every_language() {
    for one in modules() {
        let Points { mut chain, id } = Points::deployed(&one.points);
        chain.set_time(0x0102_0304_0506);
        let (viewer, committee) = (key(99), chain.committee());
        let ids = [
            viewer.as_bytes().as_slice(),
            viewer.as_bytes(),
            id.as_bytes(),
            &[0; 32],
            committee.as_bytes(),
        ];
        let times = [harness::ANCHOR_HEIGHT, 0x0102_0304_0506].map(u64).concat();
        let expected = [ids.concat(), times].concat();
        assert_eq!(chain.view(id, "context", &[]), expected, "{}", one.language);

        for data in [b"".as_slice(), b"abc", &[7; 64]] {
            let expected = [
                Sha256::digest(data).to_vec(),
                Sha3_256::digest(data).to_vec(),
                Keccak256::digest(data).to_vec(),
                vec![1],
            ];
            let output = chain.view(id, "digests", &counted(data));
            assert_eq!(output, expected.concat(), "{}", one.language);
        }

        let signing = SigningKey::from_bytes(&[5; 32]);
        let signed = [
            signing.verifying_key().to_bytes().to_vec(),
            signing.sign(b"message").to_bytes().to_vec(),
        ];
        for (message, verdict) in [(b"message", 1), (b"massage", 0)] {
            let input = [signed.concat(), counted(message)].concat();
            assert_eq!(chain.view(id, "verify", &input), [verdict]);
        }
    }
}

#[test]
fn a_zapp_calls_one_in_any_other_language() {
    for (caller, callee) in modules()
        .iter()
        .flat_map(|one| modules().iter().map(move |other| (one, other)))
    {
        let pair = format!("{} calls {}", caller.language, callee.language);
        let Points { mut chain, id: own } = Points::deployed(&caller.points);
        let (other, _) = chain.try_deploy_module(key(2), &callee.points, &counted("other"));
        let own_id = *own.as_bytes();
        let given = [own_id.to_vec(), u64(9)].concat();
        chain.call(key(2), other, "give", &given);

        let pass_at = |to, amount| [other.as_bytes().to_vec(), to_and_amount(to, amount)].concat();
        let outcome = chain.call(key(3), own, "pass_at", &pass_at(4, 5));
        assert_eq!(outcome.output, u64(4), "{pair}: {outcome:?}");
        // It is this zApp that has passed them on, not who signed.
        let event = [own_id.to_vec(), to_and_amount(4, 5)].concat();
        assert_eq!(outcome.events.len(), 1);
        let announced = &outcome.events[0];
        assert_eq!((announced.zapp, &announced.data), (other, &event), "{pair}");
        assert_eq!(chain.view(other, "held", &who(4)), u64(5));

        let nobody = [who(0xee), to_and_amount(4, 5)].concat();
        let refused = [
            (pass_at(4, 5), table::TOO_FEW),
            (pass_at(4, 0), table::ZERO_AMOUNT),
            (nobody, table::CALL),
        ];
        for (input, code) in refused {
            assert_eq!(chain.revert(key(3), own, "pass_at", &input), code, "{pair}");
        }

        let tries = [
            (other, "clear", 1_000_000, (1, table::NOT_OWNER)),
            (other, "take", 1_000_000, (1, table::UNKNOWN_METHOD)),
            (other, "crash", 1_000_000, (2, 0)),
            (other, "spin", 200_000, (3, 0)),
            (own, "forgo", 1_000_000, (4, 0)),
            (other, "forgo", 1_000_000, (0, 0)),
        ];
        for (zapp, method, gas, (status, code)) in tries {
            let id = zapp.as_bytes().to_vec();
            let input = [id, counted(method), u64(gas)].concat();
            let output = chain.call(key(3), own, "try_at", &input).output;
            let expected = [vec![status], u32::to_be_bytes(code).to_vec()].concat();
            assert_eq!(output, expected, "{pair}: {method}");
        }
        // Only the last of them has done anything: the four points that were left are gone.
        assert_eq!(chain.view(other, "held", &own_id), u64(0), "{pair}");
        assert_eq!(chain.view(other, "held", &who(4)), u64(5), "{pair}");
    }
}

#[test]
fn messages_are_the_same_in_every_language() {
    for one in modules() {
        let mut points = Points::deployed(&one.points);
        for (number, label, payload) in [(1, &b""[..], &b"first"[..]), (1, &[7; 32], &[8; 64])] {
            let input = [
                u64(0x0102_0304_0506_0708),
                who(0xc0),
                who(0xd0),
                u64(250_000),
                counted(label),
                counted(payload),
            ];
            points.ok(2, "send", &input.concat());
            let leaves = &points.chain.last().leaves[2..];
            assert_eq!(leaves.len(), 1, "{}", one.language);
            let sent = MessageLeaf::from_bytes(&leaves[0]).expect("a message");
            assert_eq!((sent.zapp, sent.number), (points.id, number));
            assert_eq!((sent.chain, sent.gas), (0x0102_0304_0506_0708, 250_000));
            assert_eq!((sent.contract, sent.receiver), ([0xc0; 32], [0xd0; 32]));
            assert_eq!(sent.payload, payload, "{}", one.language);
        }
    }
}

#[test]
fn what_members_saw_reads_the_same_in_every_language() {
    let source = |scale| Source {
        at: Place::HttpJson {
            url: "https://prices.example.org/znn".to_owned(),
        },
        pointer: "/usd".to_owned(),
        scale,
        reducer: Reducer::Mode,
    };
    let text = |text: &[u8]| Observed::Bytes(text.to_vec().into());
    let none = Observed::Absent(Absence::Unreachable);
    let negative = (-5i64).to_be_bytes().to_vec();
    let longest = [b'x'; 32];
    let table = [
        (
            Some(8),
            Observed::Integer(-5),
            [vec![1], negative, vec![0]].concat(),
        ),
        (None, text(b"up"), [vec![0, 1], counted("up")].concat()),
        (
            None,
            text(&longest),
            [vec![0, 1], counted(longest)].concat(),
        ),
        (Some(8), none, vec![0, 0]),
    ];
    for one in modules() {
        let mut points = Points::deployed(&one.points);
        let first = u32::to_be_bytes(0);
        for (scale, observed, expected) in &table {
            let source = source(*scale);
            points
                .chain
                .pull(vec![source.clone()], vec![vec![observed.clone()]; 4]);
            let expected = [&[1], source.id().as_bytes().as_slice(), expected].concat();
            assert_eq!(points.ok(2, "seen", &first), expected, "{}", one.language);
        }
        assert_eq!(points.ok(2, "seen", &first), [0], "no source is named");
        points
            .chain
            .pull(vec![source(None)], vec![vec![text(&[b'x'; 33])]; 4]);
        let code = points.chain.revert(key(2), points.id, "seen", &first);
        assert_eq!(code, table::ARGUMENTS, "{}", one.language);
    }
}

#[test]
fn a_module_takes_over_the_state_that_one_in_another_language_left() {
    let mut points = Points::deployed(&modules()[0].points);
    points.ok(OWNER, "give", &to_and_amount(2, 100));
    let (mut holders, mut given) = (vec![(2, 100)], 100);
    let turns = modules().iter().cycle().skip(1).take(2 * modules().len());
    for (turn, one) in (3..).zip(turns) {
        let name = format!("turn {turn}");
        let Points { chain, id } = &mut points;
        let outcome = chain.upgrade(key(OWNER), *id, &one.points, &counted(""));
        assert_eq!(
            (outcome.status, outcome.code),
            (Status::Reverted, table::NO_NAME)
        );
        let outcome = chain.upgrade(key(OWNER), *id, &one.points, &counted(&name));
        assert_eq!(outcome.status, Status::Ok, "{}: {outcome:?}", one.language);

        points.ok(OWNER, "give", &to_and_amount(turn, 7));
        points.ok(2, "pass", &to_and_amount(turn, 3));
        given += 7;
        holders[0].1 -= 3;
        holders.push((turn, 10));
        let mut expected: Vec<_> = (holders.iter())
            .map(|(holder, amount)| table::held(*holder, *amount))
            .collect();
        expected.extend([
            (b"name".to_vec(), counted(&name)),
            (b"owner".to_vec(), who(OWNER)),
            (b"total".to_vec(), u64(given)),
        ]);
        assert_eq!(
            points.chain.entries(points.id),
            expected,
            "{}",
            one.language
        );
    }
}

#[test]
fn entries_that_are_not_the_zapps_revert_in_every_language() {
    for one in modules() {
        let mut chain = Chain::new();
        // `probe` lets everyone write: a key that is no holder's, and no owner.
        let id = chain.deploy(key(OWNER), "probe");
        chain.call(key(OWNER), id, "put", b"hxyz\0\0\0\0\0\0\0\x01");
        let outcome = chain.upgrade(key(OWNER), id, &one.points, &counted("points"));
        assert_eq!(outcome.status, Status::Ok, "{}: {outcome:?}", one.language);
        for (method, input) in [("give", to_and_amount(2, 1)), ("clear", Vec::new())] {
            let code = chain.revert(key(OWNER), id, method, &input);
            assert_eq!(code, table::STATE, "{}: {method}", one.language);
        }
        for (method, input) in [("about", Vec::new()), ("page", vec![0])] {
            let ended = chain.query(id, method, &input);
            let end = (ended.status, ended.code);
            assert_eq!(end, (Status::Reverted, table::STATE), "{}", one.language);
        }
        assert_eq!(chain.view(id, "held", &who(2)), u64(0));
    }
}

#[test]
fn the_counter_counts_in_every_language() {
    for one in modules() {
        let mut chain = Chain::new();
        let (id, deployed) = chain.try_deploy_module(key(OWNER), &one.counter, &[]);
        assert_eq!(
            deployed.status,
            Status::Ok,
            "{}: {deployed:?}",
            one.language
        );
        for (amount, total) in [(5, 5), (0, 5), (u64::MAX - 5, u64::MAX)] {
            let outcome = chain.call(key(2), id, "add", &u64(amount));
            let expected = Ends::Well(u64(total), vec![("added", u64(amount))]);
            assert_eq!(ended(&outcome), expected, "{}", one.language);
        }
        assert_eq!(chain.revert(key(2), id, "add", &u64(1)), table::OVERFLOW);
        assert_eq!(chain.view(id, "get", &[]), u64(u64::MAX));
        let entries = [(b"total".to_vec(), u64(u64::MAX))];
        assert_eq!(chain.entries(id), entries, "{}", one.language);
    }
}

#[test]
fn every_language_describes_the_same_methods_once() {
    let abi = |wasm: &[u8]| -> serde_json::Value {
        let section = custom_section(wasm, "zapp.abi").expect("a description");
        serde_json::from_slice(section).expect("JSON")
    };
    let [rust, others @ ..] = modules() else {
        panic!("Rust is always there");
    };
    for one in others {
        for (theirs, ours) in [(&one.points, &rust.points), (&one.counter, &rust.counter)] {
            assert_eq!(abi(theirs), abi(ours), "{} and Rust", one.language);
            let kept = prepare(theirs).expect("the gatekeeper takes it").metered;
            assert_eq!(abi(&kept), abi(ours));
            // Data beside the section would cost each call gas.
            let marks = kept.windows(7).filter(|part| part == b"bytes32");
            let in_section = abi(ours).to_string().matches("bytes32").count();
            assert_eq!(marks.count(), in_section, "{}", one.language);
        }
    }
}
