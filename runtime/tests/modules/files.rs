//! Hostile modules that lie in files, each with what is to become of it beside it
//! (runtime/tests/hostile/README.md says what the lines mean).

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use attestation::leaf::Status;
use state::execute::Op;

use crate::bed::{Bed, Done, PLENTY};

/// What a file says.
#[derive(Default)]
struct Expected {
    /// Rules by which the gatekeeper refuses the module; none if it takes it.
    rules: Vec<String>,
    status: Option<Status>,
    fault: Option<String>,
    limit: Option<u64>,
    gas: Option<u64>,
    above: Option<u64>,
    below: Option<u64>,
    output: Option<Vec<u8>>,
    writes: Option<usize>,
    events: Option<usize>,
    entries: Vec<(Vec<u8>, Vec<u8>)>,
    view: bool,
    sweep: bool,
}

impl Expected {
    fn parse(text: &str) -> Result<Self, String> {
        let mut expected = Self::default();
        for line in text.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let wrong = || format!("not understood: {line}");
            let number = |text: &str| text.parse().map_err(|_| wrong());
            match words.as_slice() {
                ["refused", rules @ ..] if !rules.is_empty() => {
                    expected.rules = rules.iter().map(|rule| (*rule).to_owned()).collect();
                }
                ["ok"] => expected.status = Some(Status::Ok),
                ["out_of_gas"] => expected.status = Some(Status::OutOfGas),
                ["trapped", fault @ ..] if fault.len() <= 1 => {
                    expected.status = Some(Status::Trapped);
                    expected.fault = fault.first().map(|fault| (*fault).to_owned());
                }
                ["limit", gas] => expected.limit = Some(number(gas)?),
                ["gas", gas] => expected.gas = Some(number(gas)?),
                ["above", gas] => expected.above = Some(number(gas)?),
                ["below", gas] => expected.below = Some(number(gas)?),
                ["output", bytes] => expected.output = Some(digits(bytes).ok_or_else(wrong)?),
                ["writes", count] => expected.writes = Some(count.parse().map_err(|_| wrong())?),
                ["events", count] => expected.events = Some(count.parse().map_err(|_| wrong())?),
                ["entry", key, value] => {
                    let entry = digits(key).zip(digits(value));
                    expected.entries.push(entry.ok_or_else(wrong)?);
                }
                ["op", "view"] => expected.view = true,
                ["sweep"] => expected.sweep = true,
                _ => return Err(wrong()),
            }
        }
        match expected.rules.is_empty() == expected.status.is_some() {
            true => Ok(expected),
            false => Err("it is refused, or it ends in one way".to_owned()),
        }
    }

    /// Every line that does not hold for the module.
    fn differs(&self, text: &str) -> Vec<String> {
        let wasm = match wat::parse_str(text) {
            Ok(wasm) => wasm,
            Err(error) => return vec![error.to_string()],
        };
        match runtime::prepare(&wasm) {
            Err(rejection) => match self
                .rules
                .iter()
                .any(|rule| *rule == rejection.rule.to_string())
            {
                true => Vec::new(),
                false => vec![format!("refused: {rejection}")],
            },
            Ok(_) if !self.rules.is_empty() => vec!["the gatekeeper takes it".to_owned()],
            Ok(_) => self.runs(text),
        }
    }

    /// The call, on both engines: the bed compares them.
    fn runs(&self, text: &str) -> Vec<String> {
        let entries: Vec<(&[u8], &[u8])> = self
            .entries
            .iter()
            .map(|(key, value)| (key.as_slice(), value.as_slice()))
            .collect();
        let mut bed = Bed::new(text).with_entries(&entries);
        let op = if self.view { Op::View } else { Op::Call };
        let done = bed.run(op, "m", b"input", self.limit.unwrap_or(PLENTY));
        let mut wrong = Vec::new();
        let mut check = |name: &str, holds: bool, found: String| {
            if !holds {
                wrong.push(format!("{name}: {found}"));
            }
        };
        let (fault, gas) = (done.ran.fault.map(|fault| format!("{fault:?}")), done.gas());
        let ended = Some(done.status()) == self.status;
        check("ends", ended, format!("{:?} {fault:?}", done.status()));
        check(
            "fault",
            self.fault.is_none() || self.fault == fault,
            format!("{fault:?}"),
        );
        check(
            "gas",
            self.gas.is_none_or(|expected| gas == expected),
            gas.to_string(),
        );
        check(
            "above",
            self.above.is_none_or(|bound| gas > bound),
            gas.to_string(),
        );
        check(
            "below",
            self.below.is_none_or(|bound| gas < bound),
            gas.to_string(),
        );
        let output = self.output.as_deref();
        check(
            "output",
            output.is_none_or(|output| output == done.output()),
            hex(done.output()),
        );
        let (writes, events) = (done.writes.len(), done.ran.execution.events.len());
        check(
            "writes",
            self.writes.is_none_or(|count| count == writes),
            writes.to_string(),
        );
        check(
            "events",
            self.events.is_none_or(|count| count == events),
            events.to_string(),
        );
        if self.sweep {
            let short = (1..=1_500).map(|short| gas.saturating_sub(short));
            let stood = short.map(|limit| bed.run(op, "m", b"input", limit));
            let stood = stood.filter(|done| done.status() != Status::OutOfGas || leaves(done));
            check(
                "sweep",
                stood.count() == 0,
                "a limit below leaves something".to_owned(),
            );
            // The trace names the limit.
            let again = bed.run(op, "m", b"input", gas);
            let same = (again.status(), again.gas()) == (done.status(), gas)
                && again.writes == done.writes
                && again.output() == done.output();
            check(
                "sweep",
                same,
                "the limit that it takes is too little".to_owned(),
            );
        }
        wrong
    }
}

fn leaves(done: &Done) -> bool {
    !done.writes.is_empty() || !done.output().is_empty() || !done.ran.execution.events.is_empty()
}

fn digits(text: &str) -> Option<Vec<u8>> {
    let pairs = text.as_bytes().chunks(2);
    let bytes = pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok());
    bytes.collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `{{3*text}}` is the text three times.
fn expanded(text: &str) -> String {
    let mut whole = String::new();
    let mut rest = text;
    while let Some((before, marked)) = rest.split_once("{{") {
        let (mark, after) = marked.split_once("}}").expect("a mark ends");
        let (times, repeated) = mark.split_once('*').expect("how often, and what");
        whole.push_str(before);
        whole.push_str(&repeated.repeat(times.parse().expect("a number")));
        rest = after;
    }
    whole + rest
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/hostile")
}

#[test]
fn every_hostile_module_ends_as_the_file_beside_it_says() {
    let files = fs::read_dir(folder()).expect("the folder");
    let mut modules = BTreeSet::new();
    let mut expectations = BTreeSet::new();
    for file in files {
        let path = file.expect("readable").path();
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("wat") => modules.insert(path.with_extension("")),
            Some("expected") => expectations.insert(path.with_extension("")),
            _ => path.ends_with("README.md"),
        };
    }
    assert_eq!(modules, expectations, "each has the other beside it");
    let mut wrong = Vec::new();
    for path in &modules {
        let read = |extension| fs::read_to_string(path.with_extension(extension));
        let text = expanded(&read("wat").expect("text"));
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let differs = match Expected::parse(&read("expected").expect("text")) {
            Ok(expected) => expected.differs(&text),
            Err(why) => vec![why],
        };
        wrong.extend(differs.iter().map(|line| format!("{name}: {line}")));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(modules.len() > 70, "{} modules", modules.len());
}

#[test]
fn an_expectation_that_does_not_hold_is_told() {
    let text = "(module (memory (export \"memory\") 1 2)
      (func (export \"zapp_main\") (param i32 i32) (result i32) (i32.const 0)))";
    for wrong in [
        "refused mem",
        "trapped",
        "trapped Stack",
        "ok\ngas 1",
        "ok\nabove 1000000",
        "ok\nbelow 1",
        "ok\noutput 00",
        "ok\nwrites 1",
        "ok\nevents 1",
    ] {
        let expected = Expected::parse(wrong).expect("understood");
        assert!(!expected.differs(text).is_empty(), "{wrong}");
    }
    assert!(
        Expected::parse("ok")
            .expect("understood")
            .differs(text)
            .is_empty()
    );
    for garbled in [
        "",
        "okay",
        "refused",
        "ok\nrefused mem",
        "ok\noutput 0g",
        "gas 1",
    ] {
        assert!(Expected::parse(garbled).is_err(), "{garbled}");
    }
}
