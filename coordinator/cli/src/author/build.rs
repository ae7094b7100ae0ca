//! `zq zapp build`.

use std::fs;
use std::path::{Path, PathBuf};

use runtime::PreparedModule;
use serde_json::{Value, json};
use state::execute::Prepared;
use zapp_build::{Install, TARGET, Toolchain, module};

use super::check;
use super::foreign::Foreign;
use super::project::{Project, no_cargo};
use crate::failure::Failure;
use crate::print::{Print, fields_of};

/// A module that may be deployed.
pub(crate) struct Built {
    /// Its file.
    pub(crate) path: PathBuf,
    prepared: PreparedModule,
    bytes: usize,
}

pub(crate) fn run(dir: &Path, print_path: bool, print: &Print) -> Result<(), Failure> {
    let built = match Foreign::find(dir) {
        Some(project) => project?.build()?,
        None => {
            let toolchain = toolchain()?;
            build(&Project::find(dir, &toolchain)?, &toolchain)?
        }
    };
    let value = built.to_json();
    print.result(&value, |value| match print_path {
        true => built.path.display().to_string(),
        false => fields_of(value, &["path", "bytes", "module", "deploy_gas"]),
    });
    Ok(())
}

/// A compiler for WebAssembly; rustup's target is added where it is missing.
pub(crate) fn toolchain() -> Result<Toolchain, Failure> {
    let found = Toolchain::find(Install::Target, &mut |line| eprintln!("{line}"));
    found.map_err(|error| Failure::new(error.to_string(), "then run this again"))
}

/// Compiles a project, cuts its module to what runs, and asks the gatekeeper.
pub(crate) fn build(project: &Project, toolchain: &Toolchain) -> Result<Built, Failure> {
    compile(project, toolchain)?;
    let file = format!("{TARGET}/release/{}.wasm", project.library);
    let made = project.target.join(file);
    let whole = fs::read(&made).map_err(|error| Failure::file(&made, &error))?;
    let wasm = module::strip(&whole).map_err(|error| {
        Failure::new(error.to_string(), "cargo made something else than a module")
    })?;
    let path = project
        .target
        .join("zapp")
        .join(&project.name)
        .with_extension("wasm");
    write(&path, &wasm)?;
    // Functions have their numbers in both; names are in the whole one only.
    Built::of(path, &wasm, &whole)
}

fn compile(project: &Project, toolchain: &Toolchain) -> Result<(), Failure> {
    let mut remap = vec![(project.dir.clone(), "/zapp")];
    remap.extend(cargo_home().map(|home| (home, "/cargo")));
    let status = toolchain
        .cargo()
        .current_dir(&project.dir)
        // One kind of library: with two, cargo leaves link-time optimisation away.
        .args(["rustc", "--quiet", "--release", "--lib"])
        .args(["--crate-type", "cdylib", "--target", TARGET])
        // Flags of the caller would change the module.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_BUILD_RUSTFLAGS")
        .env(
            "CARGO_ENCODED_RUSTFLAGS",
            zapp_build::flags(toolchain, &remap),
        )
        // Standard output is for the result.
        .stdout(std::io::stderr())
        .status()
        .map_err(|error| no_cargo(&error))?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::new(
        format!("{} does not compile", project.name),
        "what the compiler says stands above",
    ))
}

/// Where cargo keeps the sources of dependencies.
fn cargo_home() -> Option<PathBuf> {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    home.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cargo")))
}

/// Written beside and renamed, so that nobody reads half a module.
fn write(path: &Path, wasm: &[u8]) -> Result<(), Failure> {
    let draft = path.with_extension(format!("draft-{}", std::process::id()));
    let written = path
        .parent()
        .map_or(Ok(()), fs::create_dir_all)
        .and_then(|()| fs::write(&draft, wasm))
        .and_then(|()| fs::rename(&draft, path));
    written.map_err(|error| Failure::file(path, &error))
}

impl Built {
    /// A module that was compiled to this file, if the gatekeeper takes it.
    /// `whole` is the same module with the names of its functions.
    pub(crate) fn of(path: PathBuf, wasm: &[u8], whole: &[u8]) -> Result<Self, Failure> {
        let prepared = runtime::prepare(wasm).map_err(|_| check::refused(&path, wasm, whole))?;
        Ok(Self {
            path,
            prepared,
            bytes: wasm.len(),
        })
    }

    /// For programs, and for people after a build.
    pub(crate) fn to_json(&self) -> Value {
        json!({
            "path": self.path,
            "bytes": self.bytes,
            "module": self.prepared.original,
            "deploy_gas": deploy_gas(&self.prepared),
        })
    }
}

/// Gas of a deployment, besides what the zApp's init uses.
pub(crate) fn deploy_gas(prepared: &PreparedModule) -> u64 {
    let prepared = Prepared {
        metered: prepared.metered_digest,
        functions: prepared.functions,
        operators: prepared.operators,
        calls: prepared.calls,
        pages: prepared.pages,
    };
    prepared.gas()
}
