//! Text for people, JSON for programs.

use std::cell::Cell;
use std::io::{self, Write as _};

use serde_json::Value;

use crate::failure::Failure;

/// How results are printed.
pub(crate) struct Print {
    json: bool,
    printed: Cell<bool>,
    lost: Cell<Option<io::Error>>,
}

impl Print {
    pub(crate) fn new(json: bool) -> Self {
        Self {
            json,
            printed: Cell::new(false),
            lost: Cell::new(None),
        }
    }

    /// Whether standard output holds one JSON value.
    pub(crate) const fn is_json(&self) -> bool {
        self.json
    }

    /// Prints a result: the value under `--json`, else what `text` makes of it.
    pub(crate) fn result(&self, value: &Value, text: impl FnOnce(&Value) -> String) {
        let line = if self.json {
            value.to_string()
        } else {
            text(value)
        };
        self.printed.set(true);
        let written = writeln!(io::stdout().lock(), "{line}");
        // A reader that went away is not an error of ours; a full disk is.
        let lost = written
            .err()
            .filter(|error| error.kind() != io::ErrorKind::BrokenPipe);
        self.lost.set(lost);
    }

    /// Fails if the result could not be written.
    pub(crate) fn finish(&self) -> Result<(), Failure> {
        self.lost.take().map_or(Ok(()), |error| {
            Err(Failure::new(
                format!("the result cannot be written: {error}"),
                "check where standard output goes",
            ))
        })
    }

    /// Prints a failure to standard error; under `--json` its value is the result, unless there
    /// is one already: standard output holds one JSON value.
    pub(crate) fn failure(&self, failure: &Failure) {
        let value = failure.to_json();
        if self.json && !self.printed.get() {
            let _ = writeln!(io::stdout().lock(), "{value}");
        }
        let part = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        let error = part("error").unwrap_or_default();
        let check = part("check")
            .map(|check| format!("check {check}: "))
            .unwrap_or_default();
        let _ = writeln!(io::stderr().lock(), "error: {check}{error}");
        if let Some(advice) = part("what_to_do").filter(|advice| !advice.is_empty()) {
            let _ = writeln!(io::stderr().lock(), "  {advice}");
        }
    }
}

/// `name  value` lines of an object's plain fields, names padded.
pub(crate) fn fields(value: &Value) -> String {
    let Some(object) = value.as_object() else {
        return value.to_string();
    };
    let names: Vec<&str> = object.keys().map(String::as_str).collect();
    fields_of(value, &names)
}

/// The same of these fields, in this order; absent ones are left out.
pub(crate) fn fields_of(value: &Value, names: &[&str]) -> String {
    let shown: Vec<(&str, &Value)> = names
        .iter()
        .filter_map(|name| Some((*name, value.get(name)?)))
        .filter(|(_, value)| !value.is_object() && !value.is_array() && !value.is_null())
        .collect();
    let width = shown.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let lines: Vec<String> = shown
        .iter()
        .map(|(name, value)| format!("{name:<width$}  {}", plain(value)))
        .collect();
    lines.join("\n")
}

/// A value without JSON's quotes.
pub(crate) fn plain(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}
