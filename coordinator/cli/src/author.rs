//! What a zApp's author does before there is a committee: new, build, check, test, trace.

mod build;
mod chain;
mod check;
mod foreign;
mod new;
mod project;
mod script;
mod serve;
mod test;
mod trace;

use crate::arguments::AuthorVerb;
use crate::failure::Failure;
use crate::print::Print;

pub(crate) fn run(verb: AuthorVerb, print: &Print) -> Result<(), Failure> {
    match verb {
        AuthorVerb::New {
            name,
            language,
            dir,
        } => new::run(&name, language, dir, print),
        AuthorVerb::Build { dir, print_path } => build::run(&dir, print_path, print),
        AuthorVerb::Check { module } => check::run(&module, print),
        AuthorVerb::Test { dir, arguments } => test::run(&dir, &arguments, print),
        AuthorVerb::Trace(arguments) => trace::run(*arguments, print),
        AuthorVerb::ServeChain { module } => serve::run(&module),
    }
}
