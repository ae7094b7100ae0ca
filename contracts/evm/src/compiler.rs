//! The Solidity compiler, as npm has it, pinned by version and checksum in `compiler/`.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use conformance::{golden, outside};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::abi;

/// What the contracts are compiled for and how; deployments that want the same bytes say the same.
fn settings() -> Value {
    json!({
        "evmVersion": "cancun",
        // Else a comment changes the code, and its gas.
        "metadata": { "bytecodeHash": "none" },
        "viaIR": true,
        "optimizer": { "enabled": true, "runs": 10_000 },
        "outputSelection": { "*": { "*": ["abi", "evm.bytecode.object"] } },
    })
}

/// Compiler and settings, as the gas snapshot names them.
///
/// # Panics
/// If the compiler's version is not pinned.
#[must_use]
pub fn described() -> Value {
    let package = golden::repository().join("contracts/evm/compiler/package.json");
    let package = fs::read_to_string(package).expect("the package file");
    let package: Value = serde_json::from_str(&package).expect("JSON");
    let mut described = settings();
    if let Some(members) = described.as_object_mut() {
        members.remove("outputSelection");
    }
    described["solc"] = package["dependencies"]["solc"].clone();
    described
}

/// Every contract of `solidity/`, `sample/` and `tests/solidity/`, compiled.
#[derive(Debug)]
pub struct Contracts {
    code: BTreeMap<String, Vec<u8>>,
    errors: BTreeMap<[u8; 4], String>,
}

impl Contracts {
    /// Compiles the contracts, with compiler and result kept in `folder` between runs.
    ///
    /// # Errors
    /// Why there is no compiler.
    ///
    /// # Panics
    /// If the contracts do not compile, or give a warning.
    pub fn compile(folder: &Path) -> Result<Self, String> {
        let compiler = install(folder, "compiler")?;
        let input = json!({
            "language": "Solidity",
            "sources": sources(),
            "settings": settings(),
        })
        .to_string();
        let kept = folder.join(format!("contracts-{}.json", digest(&[input.as_bytes()])));
        if !kept.exists() {
            let made = kept.with_extension(std::process::id().to_string());
            run(&compiler, &input, &made);
            fs::rename(&made, &kept).expect("a file that we made");
        }
        let output = fs::read_to_string(&kept).expect("a file of ours");
        // A line about the solver of the model checker, which is not asked for, may come first.
        let start = output.find('{').expect("the compiler answers in JSON");
        Ok(Self::read(
            &serde_json::from_str(&output[start..]).expect("JSON"),
        ))
    }

    /// A contract's creation code.
    ///
    /// # Panics
    /// If there is no such contract.
    #[must_use]
    pub fn code(&self, name: &str) -> &[u8] {
        self.code.get(name).expect("a contract of that name")
    }

    /// The name of a custom error.
    #[must_use]
    pub fn error(&self, selector: [u8; 4]) -> Option<&str> {
        self.errors.get(&selector).map(String::as_str)
    }

    fn read(output: &Value) -> Self {
        if let Some(said) = output["errors"].as_array() {
            let said: Vec<&str> = said
                .iter()
                .filter_map(|error| error["formattedMessage"].as_str())
                .collect();
            panic!("{}", said.join("\n"));
        }
        let (mut code, mut errors) = (BTreeMap::new(), BTreeMap::new());
        let files = output["contracts"].as_object().expect("contracts");
        for (name, contract) in files.values().filter_map(Value::as_object).flatten() {
            let object = contract["evm"]["bytecode"]["object"].as_str();
            let bytes = hex::decode(object.expect("code")).expect("linked code");
            code.insert(name.clone(), bytes);
            for entry in contract["abi"].as_array().expect("an ABI") {
                if entry["type"] == "error" {
                    let name = entry["name"].as_str().expect("a name");
                    errors.insert(abi::selector(&signature(name, entry)), name.to_owned());
                }
            }
        }
        Self { code, errors }
    }
}

fn signature(name: &str, entry: &Value) -> String {
    let types: Vec<&str> = entry["inputs"]
        .as_array()
        .expect("inputs")
        .iter()
        .filter_map(|input| input["type"].as_str())
        .collect();
    format!("{name}({})", types.join(","))
}

/// The folder of what a lock file of `contracts/evm` pins, kept in `folder` between runs.
pub(crate) fn install(folder: &Path, package: &str) -> Result<PathBuf, String> {
    outside::npm(folder, &Path::new("contracts/evm").join(package))
}

/// Each file by its path, against which the compiler resolves imports.
fn sources() -> BTreeMap<String, Value> {
    let repository = golden::repository().join("contracts/evm");
    let mut sources = BTreeMap::new();
    for folder in ["solidity", "sample", "tests/solidity"] {
        for entry in fs::read_dir(repository.join(folder)).expect("a folder of contracts") {
            let path = entry.expect("a file").path();
            let name = path.file_name().expect("a name").to_string_lossy();
            let content = fs::read_to_string(&path).expect("a contract");
            sources.insert(format!("{folder}/{name}"), json!({ "content": content }));
        }
    }
    sources
}

/// Runs the compiler with its output in a file: into a pipe it ends before all is written.
fn run(compiler: &Path, input: &str, output: &Path) {
    let mut node = Command::new("node")
        .arg(compiler.join("node_modules/solc/solc.js"))
        .arg("--standard-json")
        .stdin(Stdio::piped())
        .stdout(fs::File::create(output).expect("a file of ours"))
        .spawn()
        .expect("npm comes with node");
    let mut stdin = node.stdin.take().expect("piped");
    stdin
        .write_all(input.as_bytes())
        .expect("the compiler reads");
    drop(stdin);
    let status = node.wait().expect("the compiler ends");
    assert!(status.success(), "the compiler ended with {status}");
}

fn digest(parts: &[&[u8]]) -> String {
    let hash = parts.iter().fold(Sha256::new(), Sha256::chain_update);
    hex::encode(&hash.finalize()[..8])
}
