//! The `zq` command: nouns, then verbs. Data goes to standard output, `--json` makes it one JSON
//! value, errors go to standard error.

mod abi;
mod arguments;
mod author;
mod command;
mod engines;
mod failure;
mod files;
mod key_file;
mod node;
mod print;
mod progress;
mod qsr;
mod trace;

use std::process::ExitCode;

use clap::Parser as _;

use crate::arguments::{Arguments, Noun};
use crate::failure::Failure;
use crate::print::Print;

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => return misused(&error),
    };
    let print = Print::new(arguments.json);
    match run(arguments, &print).and_then(|()| print.finish()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            print.failure(&failure);
            failure.exit_code()
        }
    }
}

/// Help and version are no errors; whoever asked for JSON gets it for what is one.
fn misused(error: &clap::Error) -> ExitCode {
    // Whether the text can be written changes nothing.
    let _ = error.print();
    if !error.use_stderr() {
        return ExitCode::SUCCESS;
    }
    let text = error.render().to_string();
    let first = text.lines().next().unwrap_or_default();
    let failure = Failure::Usage(first.trim_start_matches("error: ").to_owned());
    if std::env::args_os().any(|argument| argument == "--json") {
        println!("{}", failure.to_json());
    }
    failure.exit_code()
}

fn run(arguments: Arguments, print: &Print) -> Result<(), Failure> {
    let node = || node::Node::new(arguments.node.as_deref());
    match arguments.noun {
        Noun::Key(verb) => command::key::run(verb, print),
        Noun::Zapp(verb) => command::zapp::run(verb, node, print),
        Noun::Account(verb) => command::money::account(verb, &node()?, print),
        Noun::Lease(verb) => command::money::lease(verb, &node()?, print),
        Noun::Step(verb) => command::step::run(&verb, &node()?, print),
        Noun::Attestation(verb) => command::attestation::run(verb, node, print),
        Noun::Committee(verb) => command::committee::run(verb, node, print),
        Noun::Light(verb) => command::light::run(&verb, node, print),
        Noun::Nom(verb) => command::nom::run(verb, node, print),
        Noun::Relay(verb) => command::relay::run(verb, node()?, print),
        Noun::Report(verb) => command::report::run(&verb, &node, print),
        Noun::Evidence(verb) => command::evidence::run(verb, &node, print),
        Noun::Member { arguments } => Err(command::member::run(&arguments, print)),
        Noun::Devnet(arguments) => command::devnet::run(&arguments, print),
        Noun::Status => command::status::run(&node()?, print),
    }
}
