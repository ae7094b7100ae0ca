//! State keys: no entry of one item, map or set may be taken for another's.

use syn::spanned::Spanned as _;
use syn::{Expr, ExprLit, Ident, Item, Lit, Type};

use crate::model::Mistakes;

struct Entry {
    name: Ident,
    of: String,
    key: Vec<u8>,
    span: proc_macro2::Span,
}

/// Compares the keys of all `Item`, `Map` and `Set` constants of the module.
pub(crate) fn check(items: &[Item], mistakes: &mut Mistakes) {
    let mut entries: Vec<Entry> = Vec::new();
    for item in items {
        let (name, of, value) = match item {
            Item::Static(item) => (&item.ident, &item.ty, &item.expr),
            Item::Const(item) => (&item.ident, &item.ty, &item.expr),
            _ => continue,
        };
        let Some(of) = stored(of) else { continue };
        let Some(entry) = entry(name, of, value, mistakes) else {
            continue;
        };
        if let Some(other) = entries.iter().find(|other| collide(other, &entry)) {
            mistakes.add(entry.span, collision(&entry, other));
        }
        entries.push(entry);
    }
}

fn stored(of: &Type) -> Option<String> {
    let Type::Path(path) = of else { return None };
    let name = path.path.segments.last()?.ident.to_string();
    ["Item", "Map", "Set"]
        .contains(&name.as_str())
        .then_some(name)
}

fn entry(name: &Ident, of: String, value: &Expr, mistakes: &mut Mistakes) -> Option<Entry> {
    // Another expression than `…::new(…)` may be a function of the author's own.
    let Expr::Call(call) = value else { return None };
    let argument = call.args.first()?;
    let Expr::Lit(ExprLit { lit, .. }) = argument else {
        let message = "write the key here as bytes, such as b\"total\", so that it can be \
                       compared with the others";
        mistakes.add(argument.span(), message);
        return None;
    };
    let Lit::ByteStr(key) = lit else {
        mistakes.add(lit.span(), "a state key is bytes: write b\"…\"");
        return None;
    };
    let (key, span) = (key.value(), key.span());
    if !(1..=KEY_BYTES_MAX).contains(&key.len()) {
        let message = format!("a state key has 1 to {KEY_BYTES_MAX} bytes: each access pays them");
        mistakes.add(span, message);
    }
    let name = name.clone();
    Some(Entry {
        name,
        of,
        key,
        span,
    })
}

/// Items are one entry each; maps and sets own every key that begins with theirs.
fn collide(a: &Entry, b: &Entry) -> bool {
    let owns = |of: &Entry, other: &Entry| of.of != "Item" && other.key.starts_with(&of.key);
    a.key == b.key || owns(a, b) || owns(b, a)
}

fn collision(entry: &Entry, other: &Entry) -> String {
    let (key, others) = (
        String::from_utf8_lossy(&entry.key).into_owned(),
        String::from_utf8_lossy(&other.key).into_owned(),
    );
    format!(
        "entries of `{}` (key \"{key}\") could be taken for those of `{}` (key \"{others}\"): \
         choose keys of which none begins another",
        entry.name, other.name
    )
}

const KEY_BYTES_MAX: usize = 16;
