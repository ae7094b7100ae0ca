//! Methods: functions with a mark.

use proc_macro2::Span;
use syn::spanned::Spanned as _;
use syn::{FnArg, GenericArgument, Ident, ItemFn, Pat, PathArguments, ReturnType, Type, TypePath};

use crate::model::Mistakes;
use crate::text;

/// What a method is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Init,
    Call,
    View,
    Migrate,
    Deposit,
}

impl Kind {
    pub(crate) const NAMES: [&'static str; 5] = ["init", "call", "view", "migrate", "deposit"];

    fn of(mark: &Ident) -> Self {
        match mark.to_string().as_str() {
            "init" => Self::Init,
            "view" => Self::View,
            "migrate" => Self::Migrate,
            "deposit" => Self::Deposit,
            _ => Self::Call,
        }
    }

    /// Whether its own name is what a request names.
    pub(crate) const fn is_named(self) -> bool {
        matches!(self, Self::Call | Self::View)
    }

    /// The mark of what a zApp has at most one of.
    const fn only(self) -> Option<&'static str> {
        match self {
            Self::Init => Some("init"),
            Self::Migrate => Some("migrate"),
            Self::Deposit => Some(DEPOSIT),
            Self::Call | Self::View => None,
        }
    }
}

/// A method.
pub(crate) struct Method {
    pub(crate) kind: Kind,
    pub(crate) function: Ident,
    pub(crate) name: String,
    pub(crate) doc: String,
    pub(crate) arguments: Vec<(Ident, Type)>,
    /// The type that the function returns; absent for none.
    pub(crate) returns: Option<Type>,
}

impl Method {
    /// Reads a function that carries `mark`.
    pub(crate) fn read(mark: &Ident, function: &ItemFn, mistakes: &mut Mistakes) -> Option<Self> {
        let kind = Kind::of(mark);
        let signature = &function.sig;
        refuse_qualifiers(function, mistakes);
        let conditional = |attribute: &&syn::Attribute| attribute.path().is_ident("cfg");
        if let Some(attribute) = function.attrs.iter().find(conditional) {
            let message = "a method is always there, since callers know it by the ABI: put the \
                           condition into its body";
            mistakes.add(attribute.span(), message);
        }
        let mut arguments = Vec::new();
        for input in &signature.inputs {
            arguments.extend(argument(input, mistakes));
        }
        if kind == Kind::Deposit && signature.inputs.len() != 1 {
            mistakes.add(signature.ident.span(), DEPOSIT_ARGUMENT);
        }
        let name = match kind {
            Kind::Deposit => DEPOSIT.to_owned(),
            _ => text::name_of(&signature.ident),
        };
        if kind.is_named() && name.len() > NAME_BYTES_MAX {
            let message = format!("a method's name has at most {NAME_BYTES_MAX} bytes");
            mistakes.add(signature.ident.span(), message);
        }
        let returns = match &signature.output {
            ReturnType::Default => None,
            ReturnType::Type(_, returns) => {
                refuse_type(returns, Place::Result, mistakes);
                Some((**returns).clone())
            }
        };
        Some(Self {
            kind,
            function: signature.ident.clone(),
            name,
            doc: text::doc(&function.attrs),
            arguments,
            returns,
        })
    }
}

/// Checks the methods against each other.
pub(crate) fn check(methods: &[Method], mistakes: &mut Mistakes) {
    for (at, method) in methods.iter().enumerate() {
        // Two calls of one name are two functions of one name, which the compiler refuses.
        let again = methods
            .iter()
            .take(at)
            .any(|other| other.kind == method.kind);
        let is_both = |other: &Method| {
            let kinds = (method.kind, other.kind);
            kinds == (Kind::Call, Kind::Deposit) && method.name == other.name
        };
        if methods.iter().any(is_both) {
            mistakes.add(method.function.span(), BOTH_DEPOSIT);
        }
        if again && let Some(name) = method.kind.only() {
            let message = format!("a zApp has one #[{name}]: merge this function into the first");
            mistakes.add(method.function.span(), message);
        }
    }
}

fn refuse_qualifiers(function: &ItemFn, mistakes: &mut Mistakes) {
    let signature = &function.sig;
    let mut refuse = |span: Option<Span>, message: &str| {
        if let Some(span) = span {
            mistakes.add(span, message);
        }
    };
    refuse(
        signature.asyncness.map(|token| token.span()),
        "a method runs to its end in one step: remove `async`",
    );
    refuse(
        signature.unsafety.map(|token| token.span()),
        "anybody may call a method: remove `unsafe`",
    );
    refuse(
        signature.abi.as_ref().map(|abi| abi.span()),
        "the entry point is the macro's: remove `extern`",
    );
    refuse(
        signature.variadic.as_ref().map(|variadic| variadic.span()),
        "a method has a fixed number of arguments; use a List<T, N>",
    );
    let generic = (!signature.generics.params.is_empty()).then(|| signature.generics.span());
    refuse(
        generic,
        "each argument of a method has one type, which callers see: write it instead of the \
         generic parameter",
    );
}

fn argument(input: &FnArg, mistakes: &mut Mistakes) -> Option<(Ident, Type)> {
    let typed = match input {
        FnArg::Receiver(receiver) => {
            let message = "a method is a plain function without `self`: keep state in a \
                           `static NAME: Item<…>`, `Map<…>` or `Set<…>`";
            mistakes.add(receiver.span(), message);
            return None;
        }
        FnArg::Typed(typed) => typed,
    };
    refuse_type(&typed.ty, Place::Argument, mistakes);
    match &*typed.pat {
        Pat::Ident(name) if name.subpat.is_none() && name.by_ref.is_none() => {
            Some((name.ident.clone(), (*typed.ty).clone()))
        }
        other => {
            let message = "an argument has a name, by which callers give it: write `name: Type` \
                           and take it apart in the body";
            mistakes.add(other.span(), message);
            None
        }
    }
}

#[derive(Clone, Copy)]
pub(crate) enum Place {
    Argument,
    Result,
    Field,
}

/// Refuses the types that authors reach for first and that have no bounded encoding, saying what
/// to write instead. Types of other names are the compiler's to judge.
pub(crate) fn refuse_type(of: &Type, place: Place, mistakes: &mut Mistakes) {
    match of {
        Type::Reference(reference) => {
            let message = match (place, &*reference.elem) {
                (Place::Result, _) => "a result is a value: return it without `&`".to_owned(),
                (_, Type::Path(path)) if path.path.is_ident("str") => instead("&str"),
                (_, Type::Slice(_)) => instead("&[u8]"),
                _ => "values come by value: remove the `&`".to_owned(),
            };
            mistakes.add(of.span(), message);
        }
        Type::Path(path) => refuse_path(path, place, mistakes),
        Type::Tuple(tuple) => {
            for part in &tuple.elems {
                refuse_type(part, place, mistakes);
            }
        }
        Type::Array(array) if !is_byte(&array.elem) => {
            let message = "only arrays of bytes have an encoding: write `List<T, N>`";
            mistakes.add(array.span(), message);
        }
        Type::ImplTrait(_) | Type::TraitObject(_) => {
            let message = "callers need to know the type: write it instead of the trait";
            mistakes.add(of.span(), message);
        }
        _ => {}
    }
}

fn is_byte(of: &Type) -> bool {
    matches!(of, Type::Path(path) if path.path.is_ident("u8"))
}

fn refuse_path(path: &TypePath, place: Place, mistakes: &mut Mistakes) {
    let Some(last) = path.path.segments.last() else {
        return;
    };
    let name = last.ident.to_string();
    if INSTEAD.iter().any(|(refused, _)| *refused == name) {
        return mistakes.add(path.span(), instead(&name));
    }
    // Into Result, Option and List, but not into what only looks like one of them.
    if let PathArguments::AngleBracketed(arguments) = &last.arguments
        && ["Result", "Option", "List"].contains(&name.as_str())
    {
        for argument in arguments.args.iter().take(1) {
            if let GenericArgument::Type(of) = argument {
                refuse_type(of, place, mistakes);
            }
        }
    }
}

fn instead(name: &str) -> String {
    let found = INSTEAD.iter().find(|(refused, _)| *refused == name);
    let (_, advice) = found.copied().unwrap_or_default();
    format!("`{name}` {advice}")
}

const NAME_BYTES_MAX: usize = 64;
/// The method that the committee calls (`state::system::nom::ON_DEPOSIT`).
const DEPOSIT: &str = "deposit";
const DEPOSIT_ARGUMENT: &str = "#[deposit] is told one thing: write `fn received(deposit: \
                                Deposit<64>)`, with at most 64 bytes of data";
const BOTH_DEPOSIT: &str = "the committee calls #[deposit] by this name: rename this #[call]";

const INSTEAD: &[(&str, &str)] = &[
    ("usize", "differs between machines: write `u32` or `u64`"),
    ("isize", "differs between machines: write `i32` or `i64`"),
    (
        "String",
        "has no bound: write `Text<64>`, at most 64 bytes of text",
    ),
    (
        "&str",
        "has no bound: write `Text<64>`, at most 64 bytes of text",
    ),
    (
        "str",
        "has no bound: write `Text<64>`, at most 64 bytes of text",
    ),
    (
        "&[u8]",
        "has no bound: write `Bytes<64>`, at most 64 bytes, or `[u8; 32]`",
    ),
    (
        "Vec",
        "has no bound: write `Bytes<64>`, at most 64 bytes, or `List<T, 16>`",
    ),
    ("HashMap", "has no order: return a `List<(K, V), 16>`"),
    ("BTreeMap", "has no bound: return a `List<(K, V), 16>`"),
    (
        "f32",
        "has no one encoding of each number: write an integer of the smallest unit",
    ),
    (
        "f64",
        "has no one encoding of each number: write an integer of the smallest unit",
    ),
    ("char", "has no encoding: write `u32` or `Text<4>`"),
];
