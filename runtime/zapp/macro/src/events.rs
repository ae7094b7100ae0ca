//! Events: `#[event] struct`.

use syn::spanned::Spanned as _;
use syn::{Fields, Ident, ItemStruct, Type};

use crate::methods::{Place, refuse_type};
use crate::model::Mistakes;
use crate::text;

/// An event.
pub(crate) struct Event {
    pub(crate) record: Ident,
    pub(crate) topic: String,
    pub(crate) fields: Vec<(Ident, Type)>,
}

impl Event {
    /// Reads the struct; its topic is its name in `snake_case`.
    pub(crate) fn read(record: &ItemStruct, mistakes: &mut Mistakes) -> Option<Self> {
        Some(Self {
            record: record.ident.clone(),
            topic: text::snake_case(&text::name_of(&record.ident)),
            fields: fields(record, "event", mistakes)?,
        })
    }
}

/// Checks that topics differ.
pub(crate) fn check(events: &[Event], mistakes: &mut Mistakes) {
    for (at, event) in events.iter().enumerate() {
        let same = |other: &&Event| other.topic == event.topic;
        if let Some(other) = events.iter().take(at).find(same) {
            let message = format!(
                "topic `{}` is already that of `{}`: choose another name",
                event.topic, other.record
            );
            mistakes.add(event.record.span(), message);
        }
    }
}

/// The named fields of a struct that is `what`.
pub(crate) fn fields(
    record: &ItemStruct,
    what: &str,
    mistakes: &mut Mistakes,
) -> Option<Vec<(Ident, Type)>> {
    if !record.generics.params.is_empty() {
        let message = format!("a struct that is {what} has no parameters: write the types");
        mistakes.add(record.generics.span(), message);
        return None;
    }
    let named = match &record.fields {
        Fields::Named(named) => &named.named,
        Fields::Unit => return Some(Vec::new()),
        Fields::Unnamed(unnamed) => {
            let message = "fields have names, by which others read them: write \
                           `{ name: Type }`";
            mistakes.add(unnamed.span(), message);
            return None;
        }
    };
    let mut fields = Vec::new();
    for field in named {
        refuse_type(&field.ty, Place::Field, mistakes);
        if let Some(name) = &field.ident {
            fields.push((name.clone(), field.ty.clone()));
        }
    }
    Some(fields)
}
