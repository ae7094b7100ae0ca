//! Types as the ABI writes them (runtime/zapp/src/description.rs has the list).

use std::fmt;

/// A type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    None,
    Bool,
    /// Bytes of an unsigned number.
    Unsigned(usize),
    /// Bytes of a signed number.
    Signed(usize),
    /// Exactly so many bytes.
    Fixed(usize),
    /// At most so many bytes, after their length.
    Bytes(usize),
    /// At most so many bytes of text, after their length.
    Text(usize),
    /// All bytes that are left.
    Rest,
    Option(Box<Type>),
    List(Box<Type>, usize),
    /// Values with names.
    Record(Vec<Field>),
    Tuple(Vec<Type>),
}

/// A name and its type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) name: String,
    pub(crate) of: Type,
}

impl Field {
    /// Reads `name:type`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut reader = Reader {
            rest: text,
            depth: 0,
        };
        let field = reader.field()?;
        reader.rest.is_empty().then_some(field)
    }
}

impl Type {
    /// Reads a type.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let mut reader = Reader {
            rest: text,
            depth: 0,
        };
        let of = reader.of()?;
        reader.rest.is_empty().then_some(of)
    }

    /// Reads the type of a result, which may be a record without its brackets.
    pub(crate) fn parse_output(text: &str) -> Option<Self> {
        Self::parse(text).or_else(|| Self::parse(&format!("({text})")))
    }
}

/// What is left of a text, and how deep the reader is in it.
struct Reader<'a> {
    rest: &'a str,
    depth: usize,
}

impl Reader<'_> {
    fn field(&mut self) -> Option<Field> {
        let (name, rest) = self.rest.split_once(':')?;
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if name.is_empty() || !name.chars().all(plain) {
            return None;
        }
        let name = name.to_owned();
        self.rest = rest;
        let of = self.of()?;
        Some(Field { name, of })
    }

    fn of(&mut self) -> Option<Type> {
        self.depth += 1;
        // A node's answer is a stranger's: nesting is bounded.
        if self.depth > DEPTH_MAX {
            return None;
        }
        let mut of = if self.skip("(") {
            self.parts()?
        } else if self.skip("[") {
            let of = self.of()?;
            self.skip("]..").then_some(())?;
            Type::List(Box::new(of), self.number()?)
        } else {
            self.plain()?
        };
        while self.skip("?") {
            of = Type::Option(Box::new(of));
        }
        self.depth -= 1;
        Some(of)
    }

    fn parts(&mut self) -> Option<Type> {
        let named = self.rest.find([':', ',', '(', '[', ')']);
        let named = named.and_then(|at| self.rest.get(at..=at)) == Some(":");
        let (mut fields, mut types) = (Vec::new(), Vec::new());
        loop {
            match named {
                true => fields.push(self.field()?),
                false => types.push(self.of()?),
            }
            if self.skip(")") {
                break;
            }
            self.skip(",").then_some(())?;
        }
        Some(match named {
            true => Type::Record(fields),
            false => Type::Tuple(types),
        })
    }

    fn plain(&mut self) -> Option<Type> {
        let end = self.rest.find(|c: char| !c.is_ascii_lowercase());
        let (word, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        let word = word.to_owned();
        self.rest = rest;
        Some(match word.as_str() {
            "none" => Type::None,
            "bool" => Type::Bool,
            "u" => Type::Unsigned(self.width()?),
            "i" => Type::Signed(self.width().filter(|bytes| *bytes <= 16)?),
            "text" => {
                self.skip("..").then_some(())?;
                Type::Text(self.number()?)
            }
            "bytes" if self.skip("..") => Type::Bytes(self.number()?),
            "bytes" if self.rest.starts_with(|c: char| c.is_ascii_digit()) => {
                Type::Fixed(self.number()?)
            }
            "bytes" => Type::Rest,
            _ => return None,
        })
    }

    /// Bits of a number, in bytes.
    fn width(&mut self) -> Option<usize> {
        let bits = self.number()?;
        let known = [8, 16, 32, 64, 128, 256].contains(&bits);
        known.then_some(bits / 8)
    }

    fn number(&mut self) -> Option<usize> {
        let end = self.rest.find(|c: char| !c.is_ascii_digit());
        let (digits, rest) = self.rest.split_at(end.unwrap_or(self.rest.len()));
        let number = digits.parse().ok().filter(|number| *number <= LENGTH_MAX)?;
        self.rest = rest;
        Some(number)
    }

    fn skip(&mut self, text: &str) -> bool {
        match self.rest.strip_prefix(text) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }
}

/// Fields as people read them.
pub(crate) fn list(fields: &[Field]) -> String {
    let fields = fields
        .iter()
        .map(|field| format!("{}: {}", field.name, field.of));
    fields.collect::<Vec<_>>().join(", ")
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Bool => f.write_str("bool"),
            Self::Unsigned(bytes) => write!(f, "u{}", bytes * 8),
            Self::Signed(bytes) => write!(f, "i{}", bytes * 8),
            Self::Fixed(bytes) => write!(f, "bytes{bytes}"),
            Self::Bytes(max) => write!(f, "bytes..{max}"),
            Self::Text(max) => write!(f, "text..{max}"),
            Self::Rest => f.write_str("bytes"),
            Self::Option(of) => write!(f, "{of}?"),
            Self::List(of, max) => write!(f, "[{of}]..{max}"),
            Self::Record(fields) => write!(f, "({})", list(fields)),
            Self::Tuple(parts) => {
                let parts: Vec<String> = parts.iter().map(Self::to_string).collect();
                write!(f, "({})", parts.join(", "))
            }
        }
    }
}

const DEPTH_MAX: usize = 16;
/// No encoding is longer.
const LENGTH_MAX: usize = 1 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_type_is_read_as_it_is_written() {
        for text in [
            "none",
            "bool",
            "u8",
            "i128",
            "u256",
            "bytes32",
            "bytes..64",
            "text..32",
            "bytes",
            "u64?",
            "text..8??",
            "[u64]..16",
            "[(u64, bytes..3)]..2",
            "(a: u8, b_2: [u8?]..9?)",
        ] {
            let compact = text.replace(' ', "");
            let read = Type::parse(&compact).map(|of| of.to_string());
            assert_eq!(read.as_deref(), Some(text));
        }
        let record = Type::parse_output("origin:u8,hash:bytes32").map(|of| of.to_string());
        assert_eq!(record.as_deref(), Some("(origin: u8, hash: bytes32)"));
    }

    #[test]
    fn what_is_no_type_is_none() {
        let deep = "[".repeat(100_000);
        for text in [
            "",
            "u",
            "u7",
            "u64x",
            "text",
            "text32",
            "[u8]",
            "[u8..4",
            "(u8",
            "(u8,",
            "()",
            "u8,u8",
            "(a:u8,u8)",
            "i256",
            "bytes..",
            "bytes99999999",
            "usize",
            &deep,
        ] {
            assert_eq!(Type::parse(text), None, "{text:.20}");
        }
    }
}
