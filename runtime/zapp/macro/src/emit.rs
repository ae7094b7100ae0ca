//! The code of a checked zApp.

use proc_macro2::{Literal, TokenStream};
use quote::{format_ident, quote, quote_spanned};
use syn::spanned::Spanned as _;
use syn::{Ident, Type};

use crate::errors::ErrorCode;
use crate::events::Event;
use crate::methods::{Kind, Method};
use crate::model::Zapp;
use crate::text;

/// The module with everything that it needs to run.
pub(crate) fn zapp(zapp: Zapp) -> TokenStream {
    let module = &zapp.module;
    let (attributes, visibility, name) = (&module.attrs, &module.vis, &module.ident);
    let items = &zapp.items;
    let errors = zapp
        .errors
        .as_ref()
        .map(|(list, codes)| errors(list, codes));
    let events = zapp.events.iter().map(event);
    let dispatch = dispatch(&zapp.methods);
    let input = input_bytes_max(&zapp.methods);
    let description = description(&zapp);
    quote! {
        #(#attributes)*
        #visibility mod #name {
            #(#items)*
            #errors
            #(#events)*

            #[doc(hidden)]
            const __ZAPP_INPUT_BYTES_MAX: usize = #input;
            #[doc(hidden)]
            const __ZAPP_DESCRIPTION: ::zapp::description::Description = #description;
            #dispatch
            ::zapp::entry!(__zapp_run, input_bytes_max = __ZAPP_INPUT_BYTES_MAX);
            // Not `#[used]`: beside the section it would be data, which each call pays for.
            #[doc(hidden)]
            #[allow(dead_code, reason = "read in the module's file")]
            #[allow(unsafe_code, reason = "a custom section holds bytes and no code")]
            #[cfg_attr(target_arch = "wasm32", unsafe(link_section = "zapp.abi"))]
            static __ZAPP_ABI: [u8; __ZAPP_DESCRIPTION.length()] = __ZAPP_DESCRIPTION.render();
        }
    }
}

/// `From<Error> for Revert`, and each code checked again by the SDK.
fn errors(list: &Ident, codes: &[ErrorCode]) -> TokenStream {
    let (variants, codes): (Vec<_>, Vec<_>) = codes
        .iter()
        .map(|code| (&code.variant, Literal::u32_unsuffixed(code.code)))
        .unzip();
    quote! {
        impl ::core::convert::From<#list> for ::zapp::Revert {
            fn from(error: #list) -> Self {
                match error {
                    #(#list::#variants => const { ::zapp::Revert::new(#codes) },)*
                }
            }
        }
    }
}

fn event(event: &Event) -> TokenStream {
    let (record, topic) = (&event.record, Literal::byte_string(event.topic.as_bytes()));
    let (names, types): (Vec<_>, Vec<_>) = event.fields.iter().cloned().unzip();
    let texts = names.iter().map(text::name_of);
    quote! {
        impl ::zapp::Value for #record {
            const BYTES_MAX: usize = 0 #(+ <#types as ::zapp::Value>::BYTES_MAX)*;
            const TYPE: ::zapp::Type = ::zapp::Type::Fields(&[#(
                ::zapp::description::Field { name: #texts, of: <#types as ::zapp::Value>::TYPE }
            ),*]);

            fn encode(&self, _writer: &mut ::zapp::Writer<'_>) {
                #(::zapp::Value::encode(&self.#names, _writer);)*
            }

            fn decode(
                _args: &mut ::zapp::Args<'_>,
            ) -> ::core::result::Result<Self, ::zapp::Revert> {
                ::core::result::Result::Ok(Self {
                    #(#names: <#types as ::zapp::Value>::decode(_args)?,)*
                })
            }
        }

        impl ::zapp::Event for #record {
            const TOPIC: &'static [u8] = #topic;
        }
    }
}

/// The function that finds a request's method, reads its arguments and calls it.
fn dispatch(methods: &[Method]) -> TokenStream {
    let mut arms: Vec<TokenStream> = methods.iter().map(arm).collect();
    if !methods.iter().any(|method| method.kind == Kind::Init) {
        // Nothing to set up: a deployment without arguments succeeds.
        arms.push(quote! { (::zapp::Op::Init, _) => request.args.end(), });
    }
    quote! {
        #[doc(hidden)]
        fn __zapp_run(
            request: ::zapp::Request<'_>,
        ) -> ::core::result::Result<(), ::zapp::Revert> {
            #[allow(unused_mut, reason = "methods without arguments only end it")]
            let mut args = request.args;
            match (request.op, request.method) {
                #(#arms)*
                _ => ::core::result::Result::Err(::zapp::Revert::UNKNOWN_METHOD),
            }
        }
    }
}

fn arm(method: &Method) -> TokenStream {
    let function = &method.function;
    let method_name = Literal::byte_string(method.name.as_bytes());
    let pattern = match method.kind {
        Kind::Init => quote! { (::zapp::Op::Init, _) },
        Kind::Migrate => quote! { (::zapp::Op::Migrate, _) },
        Kind::Call | Kind::Deposit => quote! { (::zapp::Op::Call, #method_name) },
        Kind::View => quote! { (::zapp::Op::View, #method_name) },
    };
    // Names of our own: an argument may have any name, also that of a function.
    let places: Vec<Ident> = (0..method.arguments.len())
        .map(|at| format_ident!("argument_{at}"))
        .collect();
    let types = method.arguments.iter().map(|(_, of)| of);
    let decoders = places.iter().zip(types).map(|(place, of)| {
        quote_spanned! { of.span() =>
            let #place = <#of as ::zapp::Value>::decode(&mut args)?;
        }
    });
    let call = match &method.returns {
        None => quote! { #function(#(#places),*); ::core::result::Result::Ok(()) },
        Some(returns) => {
            let finish = match method.kind.is_named() {
                true => quote! { finish },
                false => quote! { finish_silent },
            };
            // At the author's type: that is what is wrong where this does not compile.
            let finished = quote_spanned! { returns.span() =>
                ::zapp::__private::#finish::<#returns>
            };
            quote! { #finished(#function(#(#places),*)) }
        }
    };
    let checked = (method.kind == Kind::Deposit).then(|| {
        quote! { ::zapp::nom::check_caller()?; }
    });
    quote! {
        #pattern => {
            #checked
            #(#decoders)*
            args.end()?;
            #call
        }
    }
}

/// Length byte, longest name, longest arguments: a little too much is told apart from too much.
fn input_bytes_max(methods: &[Method]) -> TokenStream {
    let sums = methods.iter().map(|method| {
        let types = method.arguments.iter().map(|(_, of)| of);
        quote! { 0 #(+ <#types as ::zapp::Value>::BYTES_MAX)* }
    });
    quote! { 1 + ::zapp::METHOD_BYTES_MAX + ::zapp::__private::longest(&[#(#sums),*]) }
}

fn description(zapp: &Zapp) -> TokenStream {
    let name = &zapp.name;
    let of_kind = |kind: Kind| {
        let methods = zapp
            .methods
            .iter()
            .filter(move |method| method.kind == kind);
        methods.map(described)
    };
    let calls = of_kind(Kind::Call).chain(of_kind(Kind::Deposit));
    let views = of_kind(Kind::View);
    let setup = |kind: Kind| match of_kind(kind).next() {
        Some(method) => quote! { ::core::option::Option::Some(#method) },
        None => quote! { ::core::option::Option::None },
    };
    let (init, migrate) = (setup(Kind::Init), setup(Kind::Migrate));
    let codes = zapp.errors.iter().flat_map(|(_, codes)| codes);
    let reverts = codes.map(|code| {
        let number = code.code;
        let text = match code.doc.as_str() {
            "" => code.variant.to_string(),
            doc => format!("{}: {}", code.variant, text::escaped(doc)),
        };
        quote! { ::zapp::description::RevertCode { code: #number, text: #text } }
    });
    let events = zapp.events.iter().map(|event| {
        let topic = &event.topic;
        let fields = fields(&event.fields);
        quote! { ::zapp::description::EventType { name: #topic, data: &[#fields] } }
    });
    quote! {
        ::zapp::description::Description {
            name: #name,
            calls: &[#(#calls),*],
            views: &[#(#views),*],
            init: #init,
            migrate: #migrate,
            reverts: &[#(#reverts),*],
            events: &[#(#events),*],
        }
    }
}

fn described(method: &Method) -> TokenStream {
    let (name, doc) = (&method.name, text::escaped(&method.doc));
    let input = fields(&method.arguments);
    let output = match &method.returns {
        None => quote! { <() as ::zapp::Value>::TYPE },
        Some(returns) => quote! {
            <<#returns as ::zapp::__private::Answer>::Output as ::zapp::Value>::TYPE
        },
    };
    quote! {
        ::zapp::description::Method { name: #name, doc: #doc, input: &[#input], output: #output }
    }
}

fn fields(fields: &[(Ident, Type)]) -> TokenStream {
    let fields = fields.iter().map(|(name, of)| {
        let name = text::name_of(name);
        quote! { ::zapp::description::Field { name: #name, of: <#of as ::zapp::Value>::TYPE } }
    });
    quote! { #(#fields),* }
}
