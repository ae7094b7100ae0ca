//! `zq zapp test`.

use std::path::Path;
use std::process::Stdio;

use super::build::{Built, build, toolchain};
use super::foreign::Foreign;
use super::project::{Project, no_cargo};
use super::script;
use crate::engines::on_deep_stack;
use crate::failure::Failure;
use crate::files;
use crate::print::{Print, fields_of};

pub(crate) fn run(dir: &Path, arguments: &[String], print: &Print) -> Result<(), Failure> {
    if let Some(project) = Foreign::find(dir) {
        return foreign(&project?, arguments, print);
    }
    let toolchain = toolchain()?;
    let project = Project::find(dir, &toolchain)?;
    let built = build(&project, &toolchain)?;
    let zq = std::env::current_exe().map_err(|error| {
        Failure::new(
            format!("zq does not find itself: {error}"),
            "start it by its path",
        )
    })?;
    let mut cargo = toolchain.host_cargo();
    cargo
        .current_dir(&project.dir)
        .arg("test")
        .args(arguments)
        // Where crate zapp-test finds both.
        .env("ZQ", zq)
        .env("ZAPP_MODULE", &built.path);
    if print.is_json() {
        // Standard output holds one JSON value.
        cargo.stdout(Stdio::from(std::io::stderr()));
    }
    let status = cargo.status().map_err(|error| no_cargo(&error))?;
    if !status.success() {
        return Err(Failure::new(
            format!("{}: tests fail", project.name),
            "what failed stands above",
        ));
    }
    passed(&built, print);
    Ok(())
}

/// Builds a project in another language and runs its `tests/*.json` on every engine.
fn foreign(project: &Foreign, arguments: &[String], print: &Print) -> Result<(), Failure> {
    if let Some(argument) = arguments.first() {
        return Err(Failure::Usage(format!(
            "{argument}: arguments are for cargo test, and this project is none of cargo's"
        )));
    }
    let built = project.build()?;
    let paths = script::files_of(&project.dir)?;
    let wasm = files::read(&built.path, files::MODULE_BYTES_MAX)?;
    on_deep_stack(move || {
        for path in &paths {
            let cases = script::run(path, &wasm)?;
            eprintln!("{}: {cases} cases pass", path.display());
        }
        Ok(())
    })?;
    passed(&built, print);
    Ok(())
}

fn passed(built: &Built, print: &Print) {
    print.result(&built.to_json(), |value| {
        let module = fields_of(value, &["path", "module", "deploy_gas"]);
        format!("all tests pass on this module:\n{module}")
    });
}
