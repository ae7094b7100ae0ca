//! `zq zapp test`.

use std::path::Path;
use std::process::Stdio;

use super::build::{build, toolchain};
use super::project::{Project, no_cargo};
use crate::failure::Failure;
use crate::print::{Print, fields_of};

pub(crate) fn run(dir: &Path, arguments: &[String], print: &Print) -> Result<(), Failure> {
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
    print.result(&built.to_json(), |value| {
        let module = fields_of(value, &["path", "module", "deploy_gas"]);
        format!("all tests pass on this module:\n{module}")
    });
    Ok(())
}
