//! What a zApp says of itself: the custom section `zapp.abi` of its module.
//!
//! It is the author's word, and from a node it is a node's word too: it decides how values are
//! written and shown, never whether an attestation is valid.

mod of_type;
mod value;

use std::collections::BTreeMap;

use serde_json::{Value, json};

pub(crate) use of_type::{Field, Type};

use crate::failure::Failure;

/// A zApp's methods, reverts and events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Abi {
    pub(crate) name: String,
    calls: Vec<Method>,
    views: Vec<Method>,
    init: Vec<Field>,
    migrate: Vec<Field>,
    reverts: BTreeMap<u32, String>,
    events: Vec<(String, Vec<Field>)>,
}

/// A method.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Method {
    pub(crate) name: String,
    pub(crate) doc: String,
    pub(crate) input: Vec<Field>,
    pub(crate) output: Type,
}

/// Which method is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Which<'a> {
    Init,
    Migrate,
    Call(&'a str),
    View(&'a str),
}

impl Abi {
    /// From a module; `None` if it has no ABI or one that is not understood.
    pub(crate) fn of_module(wasm: &[u8]) -> Option<Self> {
        let text = runtime::inspect::custom_section(wasm, "zapp.abi")?;
        Self::parse(&serde_json::from_slice(text).ok()?)
    }

    /// What is not understood in a module's section `zapp.abi`, where it has one: written by hand, it
    /// has mistakes.
    pub(crate) fn fault_of_module(wasm: &[u8]) -> Option<String> {
        let text = runtime::inspect::custom_section(wasm, "zapp.abi")?;
        let json: Value = match serde_json::from_slice(text) {
            Ok(json) => json,
            Err(error) => return Some(format!("no JSON: {error}")),
        };
        let name = json.get("zapp").filter(|name| name.is_string());
        let Some(name) = name else {
            return Some("\"zapp\", the name, is missing".to_owned());
        };
        let parts = json.as_object()?.iter().flat_map(|(part, value)| {
            let each: Vec<&Value> = match value.as_array() {
                Some(list) => list.iter().collect(),
                None => vec![value],
            };
            each.into_iter()
                .map(move |one| (part, value.is_array(), one))
        });
        let fault = |(part, in_list, one): (&String, bool, &Value)| {
            let value = if in_list { json!([one]) } else { one.clone() };
            let alone = json!({ "zapp": name, part.as_str(): value });
            Self::parse(&alone)
                .is_none()
                .then(|| format!("{part}: {one}"))
        };
        parts.filter_map(fault).next()
    }

    fn parse(json: &Value) -> Option<Self> {
        let methods = |name: &str| -> Option<Vec<Method>> {
            let list = json.get(name).and_then(Value::as_array);
            list.into_iter().flatten().map(method).collect()
        };
        let reverts = json.get("reverts").and_then(Value::as_object);
        let reverts = reverts.into_iter().flatten();
        let reverts = reverts.map(|(code, text)| Some((code.parse().ok()?, text.as_str()?.into())));
        let events = json.get("events").and_then(Value::as_array);
        let events = events.into_iter().flatten().map(|event| {
            let name = event.get("name")?.as_str()?.to_owned();
            Some((name, fields(event.get("data"))?))
        });
        Some(Self {
            name: json.get("zapp")?.as_str()?.to_owned(),
            calls: methods("calls")?,
            views: methods("views")?,
            init: fields(json.pointer("/init/input"))?,
            migrate: fields(json.pointer("/migrate/input"))?,
            reverts: reverts.collect::<Option<_>>()?,
            events: events.collect::<Option<_>>()?,
        })
    }

    /// Whether a method only reads; none if there is no such method.
    pub(crate) fn is_view(&self, name: &str) -> Option<bool> {
        let is = |methods: &[Method]| methods.iter().any(|method| method.name == name);
        match (is(&self.calls), is(&self.views)) {
            (true, _) => Some(false),
            (_, true) => Some(true),
            (false, false) => None,
        }
    }

    /// The input of a method from named values.
    pub(crate) fn input(
        &self,
        which: Which<'_>,
        given: &[(String, Value)],
    ) -> Result<Vec<u8>, Failure> {
        let (fields, method) = match which {
            Which::Init => (self.init.as_slice(), "init"),
            Which::Migrate => (self.migrate.as_slice(), "migrate"),
            Which::Call(name) | Which::View(name) => (self.method(which)?.input.as_slice(), name),
        };
        let usage = |why: String| {
            let takes = of_type::list(fields);
            let takes = if takes.is_empty() {
                "no arguments"
            } else {
                takes.as_str()
            };
            Failure::Usage(format!("{method}: {why}; it takes {takes}"))
        };
        for (at, (name, _)) in given.iter().enumerate() {
            if !fields.iter().any(|field| field.name == *name) {
                return Err(usage(format!("no argument is named {name}")));
            }
            if given.iter().take(at).any(|(other, _)| other == name) {
                return Err(usage(format!("{name} is given twice")));
            }
        }
        let mut bytes = Vec::new();
        for field in fields {
            let value = given.iter().find(|(name, _)| *name == field.name);
            let (_, value) = value.ok_or_else(|| usage(format!("{} is missing", field.name)))?;
            let encoded = value::encode(&field.of, value, &mut bytes);
            encoded.map_err(|why| usage(format!("{}: {why}", field.name)))?;
        }
        Ok(bytes)
    }

    /// A method's result, if the bytes are one.
    pub(crate) fn output(&self, which: Which<'_>, bytes: &[u8]) -> Option<Value> {
        match self.method(which).ok()?.output {
            Type::None => None,
            ref of => value::decode(of, bytes),
        }
    }

    /// What a revert's code means.
    pub(crate) fn revert(&self, code: u32) -> Option<String> {
        let own = self.reverts.get(&code).cloned();
        own.or_else(|| sdk_revert(code).map(str::to_owned))
    }

    /// One line for each method, revert and event.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if !self.init.is_empty() {
            lines.push(format!("init({})", of_type::list(&self.init)));
        }
        let calls = self.calls.iter().map(|method| ("call", method));
        let views = self.views.iter().map(|method| ("view", method));
        for (kind, method) in calls.chain(views) {
            let (name, input) = (&method.name, of_type::list(&method.input));
            let mut line = format!("{kind}  {name}({input})");
            if method.output != Type::None {
                line.push_str(&format!(" -> {}", method.output));
            }
            lines.push(line);
            if !method.doc.is_empty() {
                lines.push(format!("        {}", method.doc));
            }
        }
        for (code, text) in &self.reverts {
            lines.push(format!("revert  {code} {text}"));
        }
        for (name, data) in &self.events {
            lines.push(format!("event  {name}({})", of_type::list(data)));
        }
        lines
    }

    fn method(&self, which: Which<'_>) -> Result<&Method, Failure> {
        let (kind, name, methods, others) = match which {
            Which::Call(name) => ("call", name, &self.calls, &self.views),
            Which::View(name) => ("view", name, &self.views, &self.calls),
            Which::Init | Which::Migrate => {
                return Err(Failure::Usage("init and migrate are no methods".to_owned()));
            }
        };
        if let Some(method) = methods.iter().find(|method| method.name == name) {
            return Ok(method);
        }
        if others.iter().any(|method| method.name == name) {
            let other = if kind == "call" { "view" } else { "call" };
            let message = format!(
                "{name} is a {other} of {}: use `zq zapp {other}`",
                self.name
            );
            return Err(Failure::Usage(message));
        }
        let known: Vec<&str> = methods.iter().map(|method| method.name.as_str()).collect();
        let known = known.join(", ");
        let message = format!("{} has no {kind} named {name}; it has: {known}", self.name);
        Err(Failure::Usage(message))
    }
}

fn method(json: &Value) -> Option<Method> {
    Some(Method {
        name: json.get("name")?.as_str()?.to_owned(),
        doc: json
            .get("doc")
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned(),
        input: fields(json.get("input"))?,
        output: Type::parse_output(json.get("output")?.as_str()?)?,
    })
}

/// A list of `name:type`; absent, it is empty.
fn fields(json: Option<&Value>) -> Option<Vec<Field>> {
    let list = json.and_then(Value::as_array);
    let list = list.into_iter().flatten();
    list.map(|field| Field::parse(field.as_str()?)).collect()
}

/// Codes that mean the same in every zApp (runtime/zapp/src/revert.rs).
pub(crate) const fn sdk_revert(code: u32) -> Option<&'static str> {
    Some(match code {
        1 => "UNKNOWN_METHOD: the zApp has no such method for this kind of request",
        2 => "ARGUMENTS: the arguments are not those of the method",
        3 => "NOT_OWNER: the method is for the zApp's owner",
        4 => "OVERFLOW: a number would pass its range",
        5 => "STATE: a state entry is missing or not what the zApp writes",
        6 => "INPUT_LENGTH: the input is longer than the zApp's buffer",
        7 => "CALL: another zApp that was called gave no result",
        8 => "DEPOSIT: only the committee calls this, when a deposit comes in",
        u32::MAX => "ABORT: the zApp panicked or aborted; the output is its message",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn abi() -> Abi {
        let json = json!({
            "zapp": "shop",
            "calls": [{ "name": "buy", "input": ["item:u64", "to:bytes2"], "output": "none" }],
            "views": [{ "name": "price", "input": ["item:u64"], "output": "u128", "doc": "D." }],
            "reverts": { "100": "SoldOut: none is left" },
            "events": [{ "name": "sold", "data": ["item:u64"] }],
        });
        Abi::parse(&json).expect("an ABI")
    }

    fn named(pairs: &[(&str, Value)]) -> Vec<(String, Value)> {
        let pair = |(name, value): &(&str, Value)| ((*name).to_owned(), value.clone());
        pairs.iter().map(pair).collect()
    }

    #[test]
    fn the_part_of_a_description_that_is_not_understood_is_named() {
        let fault = |text: &str| {
            let mut wasm = b"\0asm\x01\0\0\0\0".to_vec();
            let name = b"\x08zapp.abi";
            wasm.push(u8::try_from(name.len() + text.len()).expect("short"));
            wasm.extend([name, text.as_bytes()].concat());
            Abi::fault_of_module(&wasm)
        };
        let table = [
            (r#"{"zapp":"a"}"#, None),
            (r#"{"zapp":"a","calls":[]"#, Some("no JSON: EOF")),
            (r#"{"calls":[]}"#, Some("name, is missing")),
            (
                r#"{"zapp":"a","views":[{"name":"b","output":"u8"},{"name":"c","output":"u7"}]}"#,
                Some(r#"views: {"name":"c","output":"u7"}"#),
            ),
            (r#"{"zapp":"a","init":{"input":["b"]}}"#, Some("init: {")),
            (r#"{"zapp":"a","reverts":{"x":"b"}}"#, Some("reverts: {")),
        ];
        for (text, words) in table {
            match (fault(text), words) {
                (None, None) => {}
                (Some(told), Some(words)) => assert!(told.contains(words), "{told}"),
                (told, _) => panic!("{text}: {told:?}"),
            }
        }
        assert_eq!(Abi::fault_of_module(b"\0asm\x01\0\0\0"), None);
    }

    #[test]
    fn named_values_become_the_input_in_the_order_of_the_abi() {
        let given = named(&[("to", json!("0aff")), ("item", json!(258))]);
        let input = abi().input(Which::Call("buy"), &given).expect("an input");
        assert_eq!(input, [0, 0, 0, 0, 0, 0, 1, 2, 10, 255]);
    }

    #[test]
    fn what_does_not_fit_is_told_with_what_would() {
        let item = ("item", json!(1));
        let to = ("to", json!("0aff"));
        let table = [
            (Which::Call("buy"), vec![item.clone()], "to is missing"),
            (
                Which::Call("buy"),
                vec![item.clone(), to.clone(), ("x", json!(1))],
                "named x",
            ),
            (
                Which::Call("buy"),
                vec![item.clone(), item.clone(), to.clone()],
                "twice",
            ),
            (Which::Call("buy"), vec![("item", json!(-1)), to], "item: "),
            (Which::Call("sell"), vec![], "it has: buy"),
            (Which::Call("price"), vec![], "zq zapp view"),
            (Which::View("buy"), vec![], "zq zapp call"),
            (Which::Init, vec![item], "it takes no arguments"),
        ];
        for (which, given, words) in table {
            match abi().input(which, &named(&given)) {
                Err(Failure::Usage(why)) => assert!(why.contains(words), "{which:?}: {why}"),
                other => panic!("{which:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn outputs_and_codes_are_read_by_the_abi() {
        let price = abi().output(Which::View("price"), &[0; 16]);
        assert_eq!(price, Some(json!("0")));
        assert_eq!(abi().output(Which::View("price"), &[0; 15]), None);
        assert_eq!(abi().output(Which::Call("buy"), &[]), None);
        assert_eq!(abi().revert(100).as_deref(), Some("SoldOut: none is left"));
        assert!(
            abi()
                .revert(4)
                .is_some_and(|text| text.starts_with("OVERFLOW"))
        );
        assert_eq!(abi().revert(99), None);
        let lines = abi().lines().join("\n");
        assert!(
            lines.contains("view  price(item: u64) -> u128\n        D."),
            "{lines}"
        );
    }
}
