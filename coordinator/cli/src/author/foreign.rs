//! Projects in C and AssemblyScript, as `zq zapp new` writes them: found and compiled.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::build::Built;
use crate::failure::Failure;
use crate::files;

/// An author's project in another language than Rust.
pub(crate) struct Foreign {
    /// Its folder.
    pub(crate) dir: PathBuf,
    /// The zApp's name: that of its source and of its description.
    pub(crate) name: String,
    language: Language,
}

#[derive(Clone, Copy)]
enum Language {
    C,
    AssemblyScript,
}

impl Foreign {
    /// The project in a folder; none if it is a project in Rust, or no project at all.
    pub(crate) fn find(dir: &Path) -> Option<Result<Self, Failure>> {
        let holds = |file: &str| dir.join(file).is_file();
        let language = match (holds("Cargo.toml"), holds("zapp.flags")) {
            (true, _) => return None,
            (false, true) => Language::C,
            (false, false) if holds("asconfig.json") => Language::AssemblyScript,
            (false, false) => return None,
        };
        let name = match described(dir) {
            Ok(name) => name,
            Err(failure) => return Some(Err(failure)),
        };
        let dir = dir.to_owned();
        Some(Ok(Self {
            dir,
            name,
            language,
        }))
    }

    /// Compiles it to `NAME.wasm` beside its source, and asks the gatekeeper.
    pub(crate) fn build(&self) -> Result<Built, Failure> {
        let module = format!("{}.wasm", self.name);
        let mut compiler = match self.language {
            Language::C => {
                there("clang", CLANG)?;
                there("wasm-ld", CLANG)?;
                let mut clang = Command::new("clang");
                clang.arg("@zapp.flags").arg(format!("{}.c", self.name));
                clang
            }
            Language::AssemblyScript => {
                there("node", NODE)?;
                self.install()?;
                let mut asc = Command::new("node");
                asc.arg(ASC).arg(format!("{}.ts", self.name));
                asc
            }
        };
        self.run(compiler.arg("-o").arg(&module), || {
            Failure::new(
                format!("{} does not compile", self.name),
                "what the compiler says stands above",
            )
        })?;
        let path = self.dir.join(module);
        let wasm = files::read(&path, files::MODULE_BYTES_MAX)?;
        Built::of(path, &wasm, &wasm)
    }

    /// What the project's own lists name, once.
    fn install(&self) -> Result<(), Failure> {
        if self.dir.join(ASC).is_file() {
            return Ok(());
        }
        there("npm", NODE)?;
        self.run(Command::new("npm").arg("ci"), || {
            Failure::new(
                "npm does not install the compiler of AssemblyScript",
                "what it says stands above; it needs its registry, or `npm ci` done elsewhere",
            )
        })
    }

    fn run(&self, command: &mut Command, failed: impl Fn() -> Failure) -> Result<(), Failure> {
        // Standard output is for the result.
        command.current_dir(&self.dir).stdout(std::io::stderr());
        match command.status() {
            Ok(status) if status.success() => Ok(()),
            _ => Err(failed()),
        }
    }
}

/// The name of the only description in a folder.
fn described(dir: &Path) -> Result<String, Failure> {
    let entries = fs::read_dir(dir).map_err(|error| Failure::file(dir, &error))?;
    let names = entries.filter_map(|entry| {
        let name = entry.ok()?.file_name().into_string().ok()?;
        Some(name.strip_suffix(".abi.json")?.to_owned())
    });
    let names: Vec<String> = names.collect();
    match <[String; 1]>::try_from(names) {
        Ok([name]) => Ok(name),
        Err(names) => Err(Failure::new(
            format!(
                "{} holds {} files NAME.abi.json",
                dir.display(),
                names.len()
            ),
            "a project has one, and its name is that of the source: NAME.c or NAME.ts",
        )),
    }
}

/// Whether a program starts.
fn there(program: &str, package: &str) -> Result<(), Failure> {
    let mut version = Command::new(program);
    let started = version
        .arg("--version")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    match started {
        Ok(status) if status.success() => Ok(()),
        _ => Err(Failure::new(
            format!("{program} does not start: there is none in PATH"),
            package,
        )),
    }
}

const ASC: &str = "node_modules/assemblyscript/bin/asc.js";
const CLANG: &str = "install it: `apt-get install clang lld` on Debian, `brew install llvm lld` on \
                     macOS; tried with 14, 19 and 22";
const NODE: &str = "install it: `apt-get install nodejs npm` on Debian, or https://nodejs.org, \
                    from version 18 on";

#[cfg(test)]
mod tests {
    use super::*;

    fn project(files: &[&str]) -> tempfile::TempDir {
        let dir = tempfile::tempdir().expect("a temporary directory");
        for file in files {
            fs::write(dir.path().join(file), "").expect("writable");
        }
        dir
    }

    #[test]
    fn a_project_is_known_by_its_files() {
        for files in [&[][..], &["a.abi.json"], &["Cargo.toml", "zapp.flags"]] {
            assert!(Foreign::find(project(files).path()).is_none(), "{files:?}");
        }
        for files in [
            ["a.abi.json", "zapp.flags"],
            ["a.abi.json", "asconfig.json"],
        ] {
            let found = Foreign::find(project(&files).path()).expect("a project");
            assert_eq!(found.expect("one description").name, "a");
        }
        for files in [
            &["zapp.flags"][..],
            &["zapp.flags", "a.abi.json", "b.abi.json"],
        ] {
            let found = Foreign::find(project(files).path()).expect("a project");
            assert!(found.is_err(), "{files:?}");
        }
    }

    #[test]
    fn a_program_that_is_not_there_is_told_with_its_package() {
        let Err(Failure::Failed { error, advice }) = there("no-such-compiler-zq", CLANG) else {
            panic!("it starts");
        };
        assert!(error.contains("no-such-compiler-zq"), "{error}");
        assert!(advice.contains("apt-get install clang lld"), "{advice}");
    }
}
