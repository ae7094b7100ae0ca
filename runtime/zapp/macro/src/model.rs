//! A zApp as its author wrote it, checked.

use proc_macro2::{Span, TokenStream};
use syn::spanned::Spanned as _;
use syn::{Attribute, Ident, Item, ItemMod, LitStr, Meta};

use crate::errors::ErrorCode;
use crate::events::Event;
use crate::methods::{Kind, Method};
use crate::{errors, events, methods, state, text};

/// Everything that the macro found in the module.
pub(crate) struct Zapp {
    pub(crate) name: String,
    /// The module itself, without its contents.
    pub(crate) module: ItemMod,
    pub(crate) items: Vec<Item>,
    pub(crate) methods: Vec<Method>,
    pub(crate) errors: Option<(Ident, Vec<ErrorCode>)>,
    pub(crate) events: Vec<Event>,
}

/// Mistakes so far: an author sees all of them at once.
#[derive(Default)]
pub(crate) struct Mistakes(Option<syn::Error>);

impl Mistakes {
    pub(crate) fn add(&mut self, span: Span, message: impl std::fmt::Display) {
        self.push(syn::Error::new(span, message));
    }

    pub(crate) fn push(&mut self, error: syn::Error) {
        match &mut self.0 {
            Some(errors) => errors.combine(error),
            None => self.0 = Some(error),
        }
    }

    pub(crate) fn finish(self) -> syn::Result<()> {
        self.0.map_or(Ok(()), Err)
    }
}

impl Zapp {
    /// Reads the attribute's arguments and the module below it, and takes our attributes away.
    pub(crate) fn read(arguments: TokenStream, item: TokenStream) -> syn::Result<Self> {
        let module: Item = syn::parse2(item)?;
        let Item::Mod(mut module) = module else {
            return Err(syn::Error::new(module.span(), NO_MODULE));
        };
        let Some((_, items)) = module.content.take() else {
            return Err(syn::Error::new(module.span(), NO_MODULE));
        };
        let name = name(arguments, &module.ident)?;
        let mut mistakes = Mistakes::default();
        let mut zapp = Self {
            name,
            module,
            items: Vec::new(),
            methods: Vec::new(),
            errors: None,
            events: Vec::new(),
        };
        for mut item in items {
            zapp.item(&mut item, &mut mistakes);
            zapp.items.push(item);
        }
        state::check(&zapp.items, &mut mistakes);
        methods::check(&zapp.methods, &mut mistakes);
        events::check(&zapp.events, &mut mistakes);
        let answers = |method: &Method| method.kind.is_named() || method.kind == Kind::Deposit;
        if !zapp.methods.iter().any(answers) {
            mistakes.add(zapp.module.ident.span(), NO_METHOD);
        }
        mistakes.finish().map(|()| zapp)
    }

    fn item(&mut self, item: &mut Item, mistakes: &mut Mistakes) {
        match item {
            Item::Fn(function) => {
                let marks = take(&mut function.attrs, &Kind::NAMES, mistakes);
                match marks.as_slice() {
                    [] => {}
                    [mark] => {
                        let method = Method::read(mark, function, mistakes);
                        self.methods.extend(method);
                    }
                    [_, second, ..] => mistakes.add(
                        second.span(),
                        "a function is one of #[init], #[call], #[view], #[migrate], #[deposit]: \
                         remove the others, or write a second function",
                    ),
                }
            }
            Item::Enum(list) => {
                let marks = take(&mut list.attrs, &["error"], mistakes);
                let Some(mark) = marks.first() else { return };
                if self.errors.is_some() {
                    let message = "a zApp has one #[error] enum: its codes are distinguished by \
                                   nothing else; add the variants to the first one";
                    return mistakes.add(mark.span(), message);
                }
                self.errors = Some((list.ident.clone(), errors::read(list, mistakes)));
            }
            Item::Struct(record) => {
                let marks = take(&mut record.attrs, &["event"], mistakes);
                if !marks.is_empty() {
                    self.events.extend(Event::read(record, mistakes));
                }
            }
            _ => {}
        }
    }
}

/// Takes our own attributes of these names away.
fn take(attributes: &mut Vec<Attribute>, names: &[&str], mistakes: &mut Mistakes) -> Vec<Ident> {
    let mut taken = Vec::new();
    attributes.retain(|attribute| {
        let Some(ident) = attribute.path().get_ident() else {
            return true;
        };
        if !names.iter().any(|name| ident == name) {
            return true;
        }
        if !matches!(attribute.meta, Meta::Path(_)) {
            let message = format!("#[{ident}] takes no arguments: write `#[{ident}]`");
            mistakes.add(attribute.meta.span(), message);
        }
        taken.push(ident.clone());
        false
    });
    taken
}

/// From `name = "…"`, else the module's name.
fn name(arguments: TokenStream, module: &Ident) -> syn::Result<String> {
    if arguments.is_empty() {
        return Ok(text::name_of(module).replace('_', "-"));
    }
    let span = arguments.span();
    let usage = || syn::Error::new(span, "the only argument is a name: `#[zapp(name = \"…\")]`");
    let pair: syn::MetaNameValue = syn::parse2(arguments).map_err(|_| usage())?;
    if !pair.path.is_ident("name") {
        return Err(usage());
    }
    let value = &pair.value;
    let name: LitStr = syn::parse2(quote::quote!(#value)).map_err(|_| usage())?;
    let text = name.value();
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if text.is_empty() || text.len() > NAME_BYTES_MAX || !text.chars().all(plain) {
        let message = "a zApp's name has 1 to 64 of the characters a-z, 0-9 and -";
        return Err(syn::Error::new(name.span(), message));
    }
    Ok(text)
}

const NAME_BYTES_MAX: usize = 64;
const NO_MODULE: &str = "#[zapp] goes on a module with its contents: \
                         `#[zapp::zapp] mod counter { … }`";
const NO_METHOD: &str = "a zApp has at least one method: mark a function with #[call] (its writes \
                         are kept and attested) or #[view] (a query)";
