//! Projects in other languages than Rust: the counter among the examples, with the SDK beside it.

use std::path::PathBuf;

/// Path and text.
type Files = Vec<(PathBuf, String)>;

/// Every file of a project in C, and what to do with it.
pub(super) fn c(name: &str) -> (Files, String) {
    let own = [
        (format!("{name}.c"), renamed(COUNTER_C, name)),
        (format!("{name}.abi.json"), renamed(COUNTER_ABI, name)),
        (format!("tests/{name}.json"), COUNTER_TEST.to_owned()),
    ];
    (files(own, C), next(name, "c"))
}

/// Every file of a project in AssemblyScript, and what to do with it.
pub(super) fn assemblyscript(name: &str) -> (Files, String) {
    let own = [
        (format!("{name}.ts"), renamed(COUNTER_TS, name)),
        (format!("{name}.abi.json"), renamed(COUNTER_ABI, name)),
        (format!("tests/{name}.json"), COUNTER_TEST.to_owned()),
    ];
    (files(own, ASSEMBLYSCRIPT), next(name, "ts"))
}

/// An example under the project's name, beside the SDK instead of below it.
fn renamed(example: &str, name: &str) -> String {
    example
        .replace("\"counter\"", &format!("\"{name}\""))
        .replace("\"counter.abi.json\"", &format!("\"{name}.abi.json\""))
        .replace("\"../zapp\"", "\"./zapp\"")
}

fn files(own: [(String, String); 3], sdk: &[(&str, &str)]) -> Files {
    let sdk = sdk
        .iter()
        .map(|(path, text)| ((*path).into(), (*text).to_owned()));
    let own = own.into_iter().map(|(path, text)| (path.into(), text));
    let ignored = (".gitignore".into(), IGNORED.to_owned());
    own.chain(sdk).chain([ignored]).collect()
}

fn next(name: &str, ending: &str) -> String {
    format!(
        "a counter, with a test. Next:\n  cd @DIR@\n  zq zapp test\n  \
         zq zapp trace {name}.wasm add amount=5\n\
         Then change {name}.{ending}, and {name}.abi.json with it."
    )
}

const COUNTER_ABI: &str = include_str!("../../../../../runtime/c/examples/counter.abi.json");
const COUNTER_TEST: &str = include_str!("../../../../../runtime/c/examples/counter.test.json");
const COUNTER_C: &str = include_str!("../../../../../runtime/c/examples/counter.c");
const COUNTER_TS: &str = include_str!("../../../../../runtime/assemblyscript/examples/counter.ts");

/// What is made in a project, and keys.
const IGNORED: &str = "/node_modules\n*.wasm\n*.key\n";

/// A file of an SDK.
macro_rules! sdk {
    ($folder:literal, $($file:literal)*) => {
        &[$(($file, include_str!(concat!("../../../../../runtime/", $folder, $file))),)*]
    };
}

const C: &[(&str, &str)] = sdk!("c/", "zapp.h" "zapp.flags");

const ASSEMBLYSCRIPT: &[(&str, &str)] = sdk!(
    "assemblyscript/",
    "asconfig.json" "package.json" "package-lock.json" "zapp.mjs" "zapp.ts"
    "sdk/bytes.ts" "sdk/context.ts" "sdk/end.ts" "sdk/host.ts" "sdk/outward.ts" "sdk/request.ts"
    "sdk/state.ts" "sdk/values.ts"
);

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn projects_in_c_and_assemblyscript_have_the_whole_sdk_and_no_name_but_their_own() {
        let sdk = |folder: &str| {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
                .join("../../runtime")
                .join(folder);
            std::fs::read_dir(folder).expect("an SDK").map(|entry| {
                let name = entry.expect("readable").file_name();
                name.into_string().expect("UTF-8")
            })
        };
        let source = |name: &String| {
            ["h", "flags", "ts", "mjs", "json"].iter().any(|ending| {
                Path::new(name)
                    .extension()
                    .is_some_and(|found| found == *ending)
            })
        };
        let below = sdk("assemblyscript/sdk").map(|name| format!("sdk/{name}"));
        let of_script: Vec<_> = sdk("assemblyscript").chain(below).filter(source).collect();
        let of_c: Vec<_> = sdk("c").filter(source).collect();
        for ((files, _), sdk) in [(c("hello"), of_c), (assemblyscript("hello"), of_script)] {
            assert_eq!(files.len(), 4 + sdk.len());
            for name in sdk {
                assert!(
                    files.iter().any(|(path, _)| path.as_os_str() == &*name),
                    "{name}"
                );
            }
            for (path, text) in files {
                assert!(!text.contains("counter"), "{}", path.display());
                assert!(!text.contains("../"), "{}", path.display());
            }
        }
    }
}
