//! What the macro refuses, with what words and where; and what it makes of what it takes.
//!
//! Sources are parsed as the compiler would, so spans have lines and columns: a case marks the
//! culprit by standing on a line of its own.

use proc_macro2::TokenStream;
use quote::quote;

use super::{derive, expand};

/// The mistakes of a module's source, as `line: message`; lines count from 1.
fn mistakes(source: &str) -> Vec<String> {
    let item: TokenStream = source.parse().expect("tokens");
    lines(expand(TokenStream::new(), item).err())
}

fn lines(error: Option<syn::Error>) -> Vec<String> {
    let mistakes = error.into_iter().flatten();
    mistakes
        .map(|mistake| format!("{}: {mistake}", mistake.span().start().line))
        .collect()
}

/// One mistake, on line 3 of a module that is right otherwise.
fn refused(third_line: &str, words: &[&str]) {
    let source = format!("mod z {{\n #[view] fn v() {{}}\n{third_line}\n}}");
    let mistakes = mistakes(&source);
    let [mistake] = mistakes.as_slice() else {
        panic!("{third_line}: {mistakes:?}");
    };
    assert!(mistake.starts_with("3: "), "{third_line}: {mistake}");
    for word in words {
        assert!(mistake.contains(word), "{third_line}: {mistake}");
    }
}

#[test]
fn arguments_without_a_bounded_encoding_are_refused_with_what_to_write_instead() {
    let table = [
        ("usize", "`u32` or `u64`"),
        ("isize", "`i32` or `i64`"),
        ("String", "`Text<64>`"),
        ("&str", "`Text<64>`"),
        ("&'static str", "`Text<64>`"),
        ("&[u8]", "`Bytes<64>`"),
        ("Vec<u8>", "`Bytes<64>`"),
        ("alloc::vec::Vec<u8>", "`Bytes<64>`"),
        ("[u64; 4]", "`List<T, N>`"),
        ("f64", "smallest unit"),
        ("Option<String>", "`Text<64>`"),
        ("(u8, usize)", "`u32` or `u64`"),
        ("&u64", "remove the `&`"),
        ("impl Into<u64>", "write it instead"),
    ];
    for (of, words) in table {
        refused(&format!("#[call] fn c(a: {of}) {{}}"), &[words]);
    }
}

#[test]
fn results_without_a_bounded_encoding_are_refused() {
    let table = [
        ("Result<Vec<u64>>", "`List<T, 16>`"),
        ("Result<Option<usize>, Revert>", "`u32` or `u64`"),
        ("&'static [u8]", "without `&`"),
        ("HashMap<u8, u8>", "`List<(K, V), 16>`"),
    ];
    for (of, words) in table {
        refused(&format!("#[view] fn w() -> {of} {{ loop {{}} }}"), &[words]);
    }
}

#[test]
fn functions_that_cannot_be_methods_are_refused() {
    let table = [
        ("#[call] async fn c() {}", "remove `async`"),
        ("#[call] unsafe fn c() {}", "remove `unsafe`"),
        ("#[call] extern \"C\" fn c() {}", "remove `extern`"),
        ("#[call] fn c<T>(a: T) {}", "one type"),
        ("#[call] fn c(&self) {}", "without `self`"),
        ("#[call] fn c((a, b): (u8, u8)) {}", "`name: Type`"),
        ("#[call] #[view] fn c() {}", "is one of #[init], #[call]"),
        ("#[call(gas = 5)] fn c() {}", "write `#[call]`"),
        ("#[call] #[cfg(test)] fn c() {}", "always there"),
    ];
    for (line, words) in table {
        refused(line, &[words]);
    }
    let long = format!("#[call] fn {}() {{}}", "m".repeat(65));
    refused(&long, &["at most 64 bytes"]);
}

#[test]
fn a_second_init_is_refused_at_its_name_and_two_mistakes_are_both_told() {
    let source = "mod z {\n #[init] fn a() {}\n #[call] fn c(a: usize) {}\n #[init] fn b() {}\n}";
    let mistakes = mistakes(source);
    assert_eq!(mistakes.len(), 2, "{mistakes:?}");
    assert!(mistakes[0].starts_with("3: `usize`"), "{mistakes:?}");
    assert!(
        mistakes[1].starts_with("4: a zApp has one #[init]"),
        "{mistakes:?}"
    );
}

#[test]
fn a_deposit_is_taken_by_one_method_of_one_argument() {
    let argument = "Deposit<64>";
    refused("#[deposit] fn d() {}", &[argument]);
    refused("#[deposit] fn d(a: u8, b: u8) {}", &[argument]);
    refused(
        "#[call] fn deposit() {} #[deposit] fn d(a: u8) {}",
        &["rename this #[call]"],
    );
    refused(
        "#[deposit] fn d(a: u8) {} #[deposit] fn e(a: u8) {}",
        &["has one #[deposit]"],
    );
    // Alone it is a zApp, and it is called by the committee's name for it, behind the check.
    let item: TokenStream = "mod z { #[deposit] fn received(a: u8) {} }"
        .parse()
        .expect("tokens");
    let code = expand(TokenStream::new(), item)
        .expect("a zApp")
        .to_string();
    let arm = code.split_once("b\"deposit\"").expect("the method").1;
    let (before, _) = arm.split_once("decode").expect("its argument");
    assert!(before.contains("check_caller"), "{code}");
}

#[test]
fn what_is_no_zapp_at_all_is_told_what_one_is() {
    let table = [
        ("fn f() {}", "on a module"),
        ("mod z;", "with its contents"),
        ("mod z { fn f() {} }", "at least one method"),
        ("mod z { #[init] fn f() {} }", "at least one method"),
    ];
    for (source, words) in table {
        let mistakes = mistakes(source);
        assert!(mistakes[0].contains(words), "{source}: {mistakes:?}");
    }
}

#[test]
fn codes_of_errors_are_checked() {
    let table = [
        ("#[error] enum E { A = 99 }", "begin at 100"),
        ("#[error] enum E { A = 100, B = 100 }", "that of `A`"),
        ("#[error] enum E { A = 101, B = 100, C }", "that of `A`"),
        ("#[error] enum E { A(u8) }", "remove the fields"),
        ("#[error] enum E { A = X }", "plain number"),
        ("#[error] enum E { A = 2147483648 }", "at most 2147483647"),
        ("#[error] enum E {}", "at least one variant"),
        (
            "#[error] enum E { A } #[error] enum F { A }",
            "one #[error] enum",
        ),
    ];
    for (line, words) in table {
        refused(line, &[words]);
    }
}

#[test]
fn events_are_checked() {
    let table = [
        ("#[event] struct E(u8);", "fields have names"),
        ("#[event] struct E<T> { a: T }", "no parameters"),
        ("#[event] struct E { a: String }", "`Text<64>`"),
        ("#[event] struct AB {} #[event] struct a_b {}", "topic"),
    ];
    for (line, words) in table {
        if line.contains("AB") {
            // `AB` is `a_b`.
            refused(line, &["`AB`", words]);
        } else {
            refused(line, &[words]);
        }
    }
}

#[test]
fn state_keys_of_which_one_begins_another_are_refused() {
    let table = [
        ("Item<u8>", "a", "Item<u8>", "a", true),
        ("Map<u8, u8>", "a", "Item<u8>", "ab", true),
        ("Item<u8>", "ab", "Map<u8, u8>", "a", true),
        ("Map<u8, u8>", "a", "Set<u8>", "ab", true),
        ("Item<u8>", "a", "Item<u8>", "ab", false),
        ("Item<u8>", "a", "Map<u8, u8>", "ab", false),
        ("Map<u8, u8>", "a", "zapp::Set<u8>", "b", false),
    ];
    for (of_a, key_a, of_b, key_b, collide) in table {
        let source = format!(
            "mod z {{\n#[call] fn c() {{}}\nstatic A: {of_a} = Item::new(b\"{key_a}\");\n\
             const B: {of_b} = Item::new(b\"{key_b}\");\n}}"
        );
        let mistakes = mistakes(&source);
        assert_eq!(
            mistakes.len(),
            usize::from(collide),
            "{source} {mistakes:?}"
        );
        if collide {
            assert!(mistakes[0].starts_with("4: entries of `B`"), "{mistakes:?}");
            assert!(mistakes[0].contains("none begins another"), "{mistakes:?}");
        }
    }
    refused("static A: Item<u8> = Item::new(b\"\");", &["1 to 16 bytes"]);
    refused(
        "static A: Item<u8> = Item::new(b\"12345678901234567\");",
        &["16"],
    );
    refused("static A: Item<u8> = Item::new(\"a\");", &["write b\"…\""]);
    refused("static A: Item<u8> = Item::new(KEY);", &["compared"]);
}

#[test]
fn records_have_named_fields_of_bounded_types() {
    let table = [
        (quote! { struct R(u8); }, "named fields"),
        (quote! { struct R; }, "named fields"),
        (quote! { enum R { A } }, "named fields"),
        (quote! { struct R<T> { a: T } }, "no parameters"),
        (quote! { struct R { a: String } }, "`Text<64>`"),
    ];
    for (item, words) in table {
        let mistakes = lines(derive::expand(item).err());
        assert!(mistakes[0].contains(words), "{mistakes:?}");
    }
    assert!(derive::expand(quote! { struct R { a: u8, r#type: u8 } }).is_ok());
}

#[test]
fn the_name_is_the_modules_or_the_one_given() {
    let module = || quote! { mod two_words { #[call] fn r#move(amount: u64) {} } };
    let made =
        |arguments: TokenStream| expand(arguments, module()).map(|tokens| tokens.to_string());
    let plain = made(TokenStream::new()).expect("a zApp");
    assert!(plain.contains("name : \"two-words\""), "{plain}");
    assert!(plain.contains("b\"move\""), "{plain}");
    let named = made(quote! { name = "other" }).expect("a zApp");
    assert!(named.contains("name : \"other\""), "{named}");
    for wrong in [
        quote! { other },
        quote! { names = "x" },
        quote! { name = 5 },
        quote! { name = "A\"" },
        quote! { name = "" },
    ] {
        assert!(made(wrong.clone()).is_err(), "{wrong}");
    }
}
