//! `#[derive(Value)]`: records.

use proc_macro2::TokenStream;
use quote::quote;
use syn::spanned::Spanned as _;
use syn::{Data, DeriveInput, Fields};

use crate::methods::{Place, refuse_type};
use crate::model::Mistakes;
use crate::text;

/// The impl of `zapp::Value`.
pub(crate) fn expand(item: TokenStream) -> syn::Result<TokenStream> {
    let input: DeriveInput = syn::parse2(item)?;
    let named = match &input.data {
        Data::Struct(record) => match &record.fields {
            Fields::Named(named) if !named.named.is_empty() => &named.named,
            _ => return Err(syn::Error::new(input.ident.span(), NAMED)),
        },
        _ => return Err(syn::Error::new(input.ident.span(), NAMED)),
    };
    if !input.generics.params.is_empty() {
        let message = "a record has no parameters: write the types";
        return Err(syn::Error::new(input.generics.span(), message));
    }
    let mut mistakes = Mistakes::default();
    for field in named {
        refuse_type(&field.ty, Place::Field, &mut mistakes);
    }
    mistakes.finish()?;
    let record = &input.ident;
    let (names, types): (Vec<_>, Vec<_>) = named
        .iter()
        .filter_map(|field| Some((field.ident.clone()?, &field.ty)))
        .unzip();
    let texts = names.iter().map(text::name_of);
    Ok(quote! {
        impl ::zapp::Value for #record {
            const BYTES_MAX: usize = 0 #(+ <#types as ::zapp::Value>::BYTES_MAX)*;
            const TYPE: ::zapp::Type = ::zapp::Type::Fields(&[#(
                ::zapp::description::Field { name: #texts, of: <#types as ::zapp::Value>::TYPE }
            ),*]);

            fn encode(&self, writer: &mut ::zapp::Writer<'_>) {
                #(::zapp::Value::encode(&self.#names, writer);)*
            }

            fn decode(args: &mut ::zapp::Args<'_>) -> ::core::result::Result<Self, ::zapp::Revert> {
                ::core::result::Result::Ok(Self {
                    #(#names: <#types as ::zapp::Value>::decode(args)?,)*
                })
            }
        }
    })
}

const NAMED: &str =
    "#[derive(Value)] is for a struct with named fields: `struct Row { name: Type }`";
