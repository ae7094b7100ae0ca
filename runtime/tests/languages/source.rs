//! What a language's SDK lets an author write, and where that ends.

use std::fs;
use std::path::Path;

use conformance::languages::Language;
use runtime::{Rule, prepare};

use crate::{compiled, compiler};

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("writable");
    for entry in fs::read_dir(from).expect("a folder") {
        let path = entry.expect("readable").path();
        let to = to.join(path.file_name().expect("a name"));
        match path.is_dir() {
            // What npm installs for who tries the examples here.
            true if path.ends_with("node_modules") => {}
            true => copy(&path, &to),
            false => drop(fs::copy(&path, &to).expect("readable")),
        }
    }
}

#[test]
fn modules_in_c_and_assemblyscript_do_not_depend_on_where_they_are_compiled() {
    for language in Language::ALL {
        let Some(compiler) = compiler(language) else {
            continue;
        };
        let scratch = tempfile::tempdir().expect("writable");
        let [near, far] = ["a", "another/and/longer/path"].map(|folder| {
            let sdk = scratch.path().join(folder);
            copy(&language.sdk(), &sdk);
            compiled(&compiler, &sdk, "points").expect("it compiles")
        });
        assert!(near == far, "{language:?}");
        let place = scratch.path().to_str().expect("text").as_bytes();
        assert!(!near.windows(place.len()).any(|window| window == place));
    }
}

/// What the language offers and no member of a committee has, in a method of `counter`; and by which
/// rule the module is refused, or what the compiler says.
const ABSENT: [(Language, &str, &str, Result<Rule, &str>); 6] = [
    (
        Language::AssemblyScript,
        "const amount = args.u64();",
        "const amount = args.u64() + <u64>(Math.random() * 2);",
        Ok(Rule::Import),
    ),
    (
        Language::AssemblyScript,
        "const amount = args.u64();",
        "const amount = args.u64() + <u64>Date.now();",
        Ok(Rule::Import),
    ),
    (
        Language::AssemblyScript,
        "export function zapp_main",
        "export function main",
        Err("no function is exported as zapp_main"),
    ),
    (
        Language::C,
        "uint64_t amount = zapp_read_u64(args), total;",
        "extern long time(long *); uint64_t amount = (uint64_t)time(0), total;",
        Err("undefined symbol: time"),
    ),
    (
        Language::C,
        "#include \"zapp.h\"",
        "#include \"zapp.h\"\n#include <time.h>",
        Err("'time.h' file not found"),
    ),
    (
        Language::C,
        "counter.abi.json",
        "other.abi.json",
        Err("other.abi.json"),
    ),
];

#[test]
fn what_no_member_has_is_refused_in_c_and_assemblyscript() {
    for (language, from, to, refused) in ABSENT {
        let Some(compiler) = compiler(language) else {
            continue;
        };
        let scratch = tempfile::tempdir().expect("writable");
        copy(&language.sdk(), scratch.path());
        let file = match language {
            Language::C => "examples/counter.c",
            Language::AssemblyScript => "examples/counter.ts",
        };
        let file = scratch.path().join(file);
        let text = fs::read_to_string(&file).expect("an example");
        assert!(text.contains(from), "{from}");
        fs::write(&file, text.replace(from, to)).expect("writable");
        match (compiled(&compiler, scratch.path(), "counter"), refused) {
            (Ok(module), Ok(rule)) => {
                let rejection = prepare(&module).expect_err("the gatekeeper refuses it");
                assert_eq!(rejection.rule, rule, "{to}");
            }
            (Err(said), Err(why)) => assert!(said.contains(why), "{to}: {said}"),
            (made, _) => panic!("{to}: {}", made.err().unwrap_or_default()),
        }
    }
}
