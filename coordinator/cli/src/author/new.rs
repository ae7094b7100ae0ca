//! `zq zapp new`.

mod foreign;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::arguments::Language;
use crate::failure::Failure;
use crate::print::Print;

pub(crate) fn run(
    name: &str,
    language: Language,
    dir: Option<PathBuf>,
    print: &Print,
) -> Result<(), Failure> {
    check(name)?;
    let dir = dir.unwrap_or_else(|| PathBuf::from(name));
    let is_empty = fs::read_dir(&dir).map_or(true, |mut entries| entries.next().is_none());
    if !is_empty {
        return Err(Failure::new(
            format!("{} is not empty", dir.display()),
            "choose another directory with --dir",
        ));
    }
    let (files, next) = match language {
        Language::Rust => (files(name), NEXT.to_owned()),
        Language::C => foreign::c(name),
        Language::AssemblyScript => foreign::assemblyscript(name),
    };
    for (path, text) in files {
        write(&dir.join(path), &text)?;
    }
    print.result(&json!({ "zapp": name, "dir": dir }), |_| {
        let dir = dir.display();
        format!("{dir} holds the zApp {name}: {next}").replace("@DIR@", &dir.to_string())
    });
    Ok(())
}

/// What cargo, Rust and the registry of zApps take as a name.
fn check(name: &str) -> Result<(), Failure> {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    let formed = name.len() <= NAME_BYTES_MAX
        && name.starts_with(|c: char| c.is_ascii_lowercase())
        && name.chars().all(plain)
        && !name.ends_with('-')
        && !name.contains("--");
    if !formed {
        return Err(Failure::Usage(format!(
            "{name}: a zApp's name has the characters a-z, 0-9 and -, and begins with a letter"
        )));
    }
    if TAKEN.contains(&name) {
        return Err(Failure::Usage(format!(
            "{name}: Rust or the SDK has this name; choose another"
        )));
    }
    Ok(())
}

/// Every file of a project in Rust, with its text.
fn files(name: &str) -> Vec<(PathBuf, String)> {
    let module = name.replace('-', "_");
    let own = TEMPLATE.iter().map(|(path, text)| {
        let text = text.replace("@NAME@", name).replace("@MODULE@", &module);
        (PathBuf::from(path), text)
    });
    let sdk = SDK.iter().map(|(path, text)| {
        let text = match path.ends_with("Cargo.toml") {
            true => outside(text),
            false => (*text).to_owned(),
        };
        (PathBuf::from(path), text)
    });
    own.chain(sdk).collect()
}

/// A manifest of the SDK as it is in a project, beside the others.
fn outside(manifest: &str) -> String {
    manifest
        .replace("{ path = \"macro\" }", "{ path = \"../zapp-macro\" }")
        .replace("{ path = \"..\" }", "{ path = \"../zapp\" }")
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let written = path
        .parent()
        .map_or(Ok(()), fs::create_dir_all)
        .and_then(|()| fs::write(path, text));
    written.map_err(|error| Failure::file(path, &error))
}

/// What a project in Rust is, and what to do with it.
const NEXT: &str = "a poll, with tests. Next:\n  \
    cd @DIR@\n  zq zapp test\nThen change src/lib.rs.";

const NAME_BYTES_MAX: usize = 64;

/// Keywords, and crates that a project has besides its own.
const TAKEN: &[&str] = &[
    "abstract",
    "as",
    "async",
    "await",
    "become",
    "box",
    "break",
    "const",
    "continue",
    "core",
    "crate",
    "do",
    "dyn",
    "else",
    "enum",
    "extern",
    "false",
    "final",
    "fn",
    "for",
    "gen",
    "if",
    "impl",
    "in",
    "let",
    "loop",
    "macro",
    "match",
    "mod",
    "move",
    "mut",
    "override",
    "priv",
    "pub",
    "ref",
    "return",
    "self",
    "static",
    "std",
    "struct",
    "super",
    "test",
    "trait",
    "true",
    "try",
    "type",
    "typeof",
    "unsafe",
    "unsized",
    "use",
    "virtual",
    "where",
    "while",
    "yield",
    "zapp",
    "zapp-macro",
    "zapp-test",
];

/// The project's own files.
const TEMPLATE: &[(&str, &str)] = &[
    ("Cargo.toml", include_str!("../../template/Cargo.toml.txt")),
    (
        ".cargo/config.toml",
        include_str!("../../template/config.toml"),
    ),
    (".gitignore", include_str!("../../template/gitignore.txt")),
    ("README.md", include_str!("../../template/README.md.txt")),
    ("src/lib.rs", include_str!("../../template/lib.rs.txt")),
    ("tests/poll.rs", include_str!("../../template/tests.rs.txt")),
];

/// Path and text of each file of the SDK (build.rs).
const SDK: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/sdk.rs"));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_rust_or_cargo_refuse_are_refused_before_anything_is_written() {
        for name in ["hello", "a", "two-words", "v2"] {
            assert!(check(name).is_ok(), "{name}");
        }
        let long = "a".repeat(65);
        for name in [
            "", "Hello", "2nd", "-a", "a-", "a--b", "a_b", "a/b", "../a", "ä", "fn", "zapp",
            "core", &long,
        ] {
            assert!(check(name).is_err(), "{name}");
        }
    }

    #[test]
    fn the_project_has_the_linker_arguments_of_every_build() {
        let files = files("hello");
        let config = files.iter().find(|(path, _)| path.ends_with("config.toml"));
        let (_, config) = config.expect("a configuration");
        for argument in zapp_build::LINK_ARGS {
            assert!(
                config.contains(&format!("-Clink-arg={argument}\"")),
                "{argument}"
            );
        }
    }

    #[test]
    fn no_file_of_the_sdk_is_left_out_or_points_out_of_the_project() {
        let files = files("hello");
        for part in [
            "zapp/src/lib.rs",
            "zapp-macro/src/lib.rs",
            "zapp-test/src/lib.rs",
        ] {
            assert!(files.iter().any(|(path, _)| path.ends_with(part)), "{part}");
        }
        for (path, text) in files {
            if path.ends_with("Cargo.toml") {
                assert!(!text.contains("workspace = "), "{}", path.display());
                assert!(!text.contains("\"macro\""), "{}", path.display());
            }
            let left = ["@NAME@", "@MODULE@"]
                .iter()
                .any(|mark| text.contains(mark));
            assert!(!left, "{}", path.display());
        }
    }
}
