//! The custom section `zapp.abi`: what a zApp's callers need to know of it, as JSON.
//!
//! Everything here runs in the compiler: `#[zapp]` collects a [`Description`], whose types come
//! from the types of the code itself, and the text becomes bytes of the module.
//!
//! ```json
//! {"zapp":"counter",
//!  "calls":[{"name":"add","input":["amount:u64"],"output":"u64"}],
//!  "views":[{"name":"get","input":[],"output":"u64"}],
//!  "init":{"input":["start:u64"]},"migrate":{"input":[]},
//!  "reverts":{"100":"TooMuch: more than there is"},
//!  "events":[{"name":"added","data":["amount:u64"]}]}
//! ```
//! Methods may have a `doc`. `init`, `migrate`, `reverts` and `events` are left out where there
//! are none. Types: `u8` to `u128`, `i8` to `i128`, `bool`, `none`; `bytes32` for exactly 32
//! bytes; `bytes..32` and `text..32` for at most 32, after their length as a `u16`; `u64?` for one
//! that may be absent, after a `bool`; `[u64]..16` for a list of at most 16, after its length as
//! a `u16`; `(owner:bytes32,until:u64)` and `(u64,u64)` for several, one after another.

/// The type of a value, as the ABI names it.
#[derive(Clone, Copy, Debug)]
pub enum Type {
    /// A plain type.
    Name(&'static str),
    /// Exactly so many bytes.
    FixedBytes(usize),
    /// At most so many bytes.
    Bytes(usize),
    /// At most so many bytes of text.
    Text(usize),
    /// A value or none.
    Option(&'static Type),
    /// At most so many values.
    List(&'static Type, usize),
    /// Values without names.
    Tuple(&'static [Type]),
    /// Values with names.
    Fields(&'static [Field]),
}

/// An argument, or a field of a record or event.
#[derive(Clone, Copy, Debug)]
pub struct Field {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub of: Type,
}

/// A method.
#[derive(Clone, Copy, Debug)]
pub struct Method {
    /// Its name.
    pub name: &'static str,
    /// What it does, escaped for JSON; may be empty.
    pub doc: &'static str,
    /// Its arguments.
    pub input: &'static [Field],
    /// Its result.
    pub output: Type,
}

/// An event.
#[derive(Clone, Copy, Debug)]
pub struct EventType {
    /// Its topic.
    pub name: &'static str,
    /// Its data.
    pub data: &'static [Field],
}

/// A code with which calls revert.
#[derive(Clone, Copy, Debug)]
pub struct RevertCode {
    /// The code in the leaf.
    pub code: u32,
    /// Its name and what it means, escaped for JSON.
    pub text: &'static str,
}

/// All of it.
#[derive(Clone, Copy, Debug)]
pub struct Description {
    /// The zApp's name.
    pub name: &'static str,
    /// Signed calls.
    pub calls: &'static [Method],
    /// Queries.
    pub views: &'static [Method],
    /// What runs at the deployment, if anything does.
    pub init: Option<Method>,
    /// What runs when the module is exchanged, if anything does.
    pub migrate: Option<Method>,
    /// Reverts of its own.
    pub reverts: &'static [RevertCode],
    /// Events.
    pub events: &'static [EventType],
}

impl Description {
    /// Bytes of the text.
    #[must_use]
    pub const fn length(&self) -> usize {
        self.write(Sink::<0>::new()).length
    }

    /// The text, of [`length`](Self::length) bytes.
    #[must_use]
    pub const fn render<const N: usize>(&self) -> [u8; N] {
        let sink = self.write(Sink::<N>::new());
        assert!(sink.length == N, "N is the length");
        sink.bytes
    }

    const fn write<const N: usize>(&self, sink: Sink<N>) -> Sink<N> {
        let mut sink = sink.text("{\"zapp\":\"").text(self.name).text("\"");
        sink = sink
            .text(",\"calls\":")
            .methods(self.calls)
            .text(",\"views\":")
            .methods(self.views);
        if let Some(init) = &self.init {
            sink = sink.text(",\"init\":").setup(init);
        }
        if let Some(migrate) = &self.migrate {
            sink = sink.text(",\"migrate\":").setup(migrate);
        }
        if !self.reverts.is_empty() {
            sink = sink.text(",\"reverts\":").reverts(self.reverts);
        }
        if !self.events.is_empty() {
            sink = sink.text(",\"events\":").events(self.events);
        }
        sink.text("}")
    }
}

/// A text that grows; beyond `N` bytes it is only counted.
#[derive(Clone, Copy)]
struct Sink<const N: usize> {
    bytes: [u8; N],
    length: usize,
}

#[allow(
    clippy::indexing_slicing,
    reason = "runs in the compiler, where iterators cannot; a wrong index is a compile error"
)]
impl<const N: usize> Sink<N> {
    const fn new() -> Self {
        Self {
            bytes: [0; N],
            length: 0,
        }
    }

    const fn text(mut self, text: &str) -> Self {
        let text = text.as_bytes();
        let mut at = 0;
        while at < text.len() {
            if self.length < N {
                self.bytes[self.length] = text[at];
            }
            self.length += 1;
            at += 1;
        }
        self
    }

    const fn number(self, number: usize) -> Self {
        let sink = if number >= 10 {
            self.number(number / 10)
        } else {
            self
        };
        let (_, digits) = "0123456789".split_at(number % 10);
        sink.text(digits.split_at(1).0)
    }

    const fn methods(mut self, methods: &[Method]) -> Self {
        self = self.text("[");
        let mut at = 0;
        while at < methods.len() {
            let method = &methods[at];
            self = self.text(if at == 0 { "" } else { "," });
            self = self.text("{\"name\":\"").text(method.name);
            self = self.text("\",\"input\":").named(method.input);
            self = self.text(",\"output\":\"").of(&method.output).text("\"");
            self = self.doc(method.doc).text("}");
            at += 1;
        }
        self.text("]")
    }

    const fn setup(self, method: &Method) -> Self {
        self.text("{\"input\":")
            .named(method.input)
            .doc(method.doc)
            .text("}")
    }

    const fn doc(self, doc: &str) -> Self {
        if doc.is_empty() {
            return self;
        }
        self.text(",\"doc\":\"").text(doc).text("\"")
    }

    const fn reverts(mut self, reverts: &[RevertCode]) -> Self {
        self = self.text("{");
        let mut at = 0;
        while at < reverts.len() {
            let revert = &reverts[at];
            self = self.text(if at == 0 { "\"" } else { ",\"" });
            self = self.number(revert.code as usize).text("\":\"");
            self = self.text(revert.text).text("\"");
            at += 1;
        }
        self.text("}")
    }

    const fn events(mut self, events: &[EventType]) -> Self {
        self = self.text("[");
        let mut at = 0;
        while at < events.len() {
            let event = &events[at];
            self = self.text(if at == 0 { "" } else { "," });
            self = self.text("{\"name\":\"").text(event.name);
            self = self.text("\",\"data\":").named(event.data).text("}");
            at += 1;
        }
        self.text("]")
    }

    /// A JSON list of `name:type`.
    const fn named(mut self, fields: &[Field]) -> Self {
        self = self.text("[");
        let mut at = 0;
        while at < fields.len() {
            self = self.text(if at == 0 { "\"" } else { ",\"" });
            self = self.text(fields[at].name).text(":");
            self = self.of(&fields[at].of).text("\"");
            at += 1;
        }
        self.text("]")
    }

    const fn of(self, of: &Type) -> Self {
        match of {
            Type::Name(name) => self.text(name),
            Type::FixedBytes(length) => self.text("bytes").number(*length),
            Type::Bytes(max) => self.text("bytes..").number(*max),
            Type::Text(max) => self.text("text..").number(*max),
            Type::Option(of) => self.of(of).text("?"),
            Type::List(of, max) => self.text("[").of(of).text("]..").number(*max),
            Type::Tuple(parts) => self.tuple(parts),
            Type::Fields(fields) => self.fields(fields),
        }
    }

    const fn tuple(mut self, parts: &[Type]) -> Self {
        self = self.text("(");
        let mut at = 0;
        while at < parts.len() {
            self = self.text(if at == 0 { "" } else { "," }).of(&parts[at]);
            at += 1;
        }
        self.text(")")
    }

    const fn fields(mut self, fields: &[Field]) -> Self {
        self = self.text("(");
        let mut at = 0;
        while at < fields.len() {
            self = self.text(if at == 0 { "" } else { "," });
            self = self.text(fields[at].name).text(":").of(&fields[at].of);
            at += 1;
        }
        self.text(")")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Bytes, List, Text, Value};

    const FULL: Description = Description {
        name: "full",
        calls: &[Method {
            name: "set",
            doc: "Sets \\\"it\\\".",
            input: &[
                Field {
                    name: "key",
                    of: <[u8; 32]>::TYPE,
                },
                Field {
                    name: "name",
                    of: Option::<Text<64>>::TYPE,
                },
            ],
            output: <()>::TYPE,
        }],
        views: &[Method {
            name: "all",
            doc: "",
            input: &[],
            output: List::<(u64, Bytes<100>), 16>::TYPE,
        }],
        init: Some(Method {
            name: "init",
            doc: "",
            input: &[Field {
                name: "cap",
                of: u128::TYPE,
            }],
            output: <()>::TYPE,
        }),
        migrate: None,
        reverts: &[
            RevertCode {
                code: 100,
                text: "TooMuch",
            },
            RevertCode {
                code: 2_147_483_647,
                text: "Last: the last",
            },
        ],
        events: &[EventType {
            name: "set",
            data: &[Field {
                name: "at",
                of: i64::TYPE,
            }],
        }],
    };

    #[test]
    fn a_description_becomes_json_of_every_part() {
        const LENGTH: usize = FULL.length();
        let text = FULL.render::<LENGTH>();
        let expected = "{\"zapp\":\"full\",\
            \"calls\":[{\"name\":\"set\",\"input\":[\"key:bytes32\",\"name:text..64?\"],\
            \"output\":\"none\",\"doc\":\"Sets \\\"it\\\".\"}],\
            \"views\":[{\"name\":\"all\",\"input\":[],\"output\":\"[(u64,bytes..100)]..16\"}],\
            \"init\":{\"input\":[\"cap:u128\"]},\
            \"reverts\":{\"100\":\"TooMuch\",\"2147483647\":\"Last: the last\"},\
            \"events\":[{\"name\":\"set\",\"data\":[\"at:i64\"]}]}";
        assert_eq!(core::str::from_utf8(&text), Ok(expected));
    }
}
