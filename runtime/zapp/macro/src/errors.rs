//! The zApp's own reverts: `#[error] enum`.

use proc_macro2::Span;
use syn::spanned::Spanned as _;
use syn::{Expr, ExprLit, Fields, Ident, ItemEnum, Lit};

use crate::model::Mistakes;
use crate::text;

/// A variant and its code.
pub(crate) struct ErrorCode {
    pub(crate) variant: Ident,
    pub(crate) code: u32,
    pub(crate) doc: String,
}

/// Reads the variants; one without a number has its predecessor's and one more, the first 100.
pub(crate) fn read(list: &ItemEnum, mistakes: &mut Mistakes) -> Vec<ErrorCode> {
    if !list.generics.params.is_empty() {
        mistakes.add(list.generics.span(), "an #[error] enum has no parameters");
    }
    let mut codes: Vec<ErrorCode> = Vec::new();
    let mut next = CODE_MIN;
    for variant in &list.variants {
        if !matches!(variant.fields, Fields::Unit) {
            let message = "a revert is a code and nothing else: remove the fields, and emit no \
                           data; callers of a reverted call get its name from the ABI";
            mistakes.add(variant.fields.span(), message);
        }
        let mut span = variant.ident.span();
        if let Some((_, value)) = &variant.discriminant {
            span = value.span();
            match literal(value) {
                Some(code) => next = code,
                None => mistakes.add(span, "write the code as a plain number, such as 100"),
            }
        }
        let code = next;
        check(code, span, &codes, mistakes);
        next = next.saturating_add(1);
        codes.push(ErrorCode {
            variant: variant.ident.clone(),
            code,
            doc: text::doc(&variant.attrs),
        });
    }
    if codes.is_empty() {
        mistakes.add(
            list.ident.span(),
            "an #[error] enum has at least one variant",
        );
    }
    codes
}

fn check(code: u32, span: Span, codes: &[ErrorCode], mistakes: &mut Mistakes) {
    if code < CODE_MIN {
        let message = format!(
            "code {code} is the SDK's: those below {CODE_MIN} mean the same in every zApp; \
             begin at {CODE_MIN}"
        );
        mistakes.add(span, message);
    }
    if code > CODE_MAX {
        mistakes.add(span, format!("a code is at most {CODE_MAX}"));
    }
    if let Some(other) = codes.iter().find(|other| other.code == code) {
        let message = format!("code {code} is already that of `{}`", other.variant);
        mistakes.add(span, message);
    }
}

fn literal(value: &Expr) -> Option<u32> {
    match value {
        Expr::Lit(ExprLit {
            lit: Lit::Int(number),
            ..
        }) => number.base10_parse().ok(),
        _ => None,
    }
}

const CODE_MIN: u32 = 100;
/// `zapp_main` returns an `i32`.
const CODE_MAX: u32 = 0x7fff_ffff;
