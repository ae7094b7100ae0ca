//! zApps in C and AssemblyScript, compiled as their authors compile them.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::golden::repository;
use crate::outside::{npm, printed};

/// A language, besides Rust, that has an SDK.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// `runtime/c`, with Clang and LLD.
    C,
    /// `runtime/assemblyscript`, with the compiler that npm has.
    AssemblyScript,
}

impl Language {
    /// Both.
    pub const ALL: [Self; 2] = [Self::C, Self::AssemblyScript];

    /// The SDK's folder.
    #[must_use]
    pub fn sdk(self) -> PathBuf {
        repository().join(match self {
            Self::C => "runtime/c",
            Self::AssemblyScript => "runtime/assemblyscript",
        })
    }

    /// A compiler; what npm installs is kept in `folder` between runs.
    ///
    /// # Errors
    /// Why there is none.
    pub fn compiler(self, folder: &Path) -> Result<Compiler, String> {
        match self {
            Self::C => {
                for tool in ["clang", "wasm-ld"] {
                    printed(Command::new(tool).arg("--version"))?;
                }
                Ok(Compiler::Clang)
            }
            Self::AssemblyScript => {
                // What npm installed may be kept from a time when there was a Node.
                printed(Command::new("node").arg("--version"))?;
                let installed = npm(folder, Path::new("runtime/assemblyscript"))?;
                Ok(Compiler::Asc { installed })
            }
        }
    }
}

/// Makes modules.
#[derive(Clone, Debug)]
pub enum Compiler {
    /// Clang, which finds LLD itself.
    Clang,
    /// AssemblyScript's compiler, in the folder where npm installed it.
    Asc {
        /// That folder.
        installed: PathBuf,
    },
}

impl Compiler {
    /// Compiles `zapp`, a path without its ending, in a folder that holds the SDK.
    ///
    /// # Errors
    /// What the compiler says.
    pub fn compile(&self, folder: &Path, zapp: &str, module: &Path) -> Result<(), String> {
        let mut compiler = match self {
            Self::Clang => {
                let beside = Path::new(zapp).parent().unwrap_or(Path::new(""));
                let mut clang = Command::new("clang");
                clang
                    .args(["@zapp.flags", "-Werror", "-I."])
                    .arg(format!("-I./{}", beside.display()))
                    .arg(format!("{zapp}.c"));
                clang
            }
            Self::Asc { installed } => {
                let mut asc = Command::new("node");
                asc.arg(installed.join("node_modules/assemblyscript/bin/asc.js"))
                    .arg(format!("{zapp}.ts"));
                asc
            }
        };
        compiler.current_dir(folder).arg("-o").arg(module);
        let ran = compiler.output();
        let ran = ran.map_err(|error| format!("{compiler:?}: {error}"))?;
        if ran.status.success() {
            return Ok(());
        }
        Err(String::from_utf8_lossy(&ran.stderr).into_owned())
    }
}
