//! `zq-node`: the operator's Linux process.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use node::guests::Programs;
use node::peers::Peer;
use node::run::Settings;

/// The node of a committee member: starts its guests, keeps their records and the full state,
/// relays between members, serves the HTTP API.
#[derive(Parser)]
#[command(name = "zq-node", version)]
struct Command {
    #[command(subcommand)]
    action: Action,
}

#[derive(Subcommand)]
enum Action {
    /// Create a data directory with fresh keys and write their public cards to card.json.
    Init(Init),
    /// Run a member's node.
    Run(Run),
    /// Compile a metered module from standard input to standard output, within limits.
    #[command(hide = true)]
    Compile,
}

#[derive(Args)]
struct Init {
    /// Data directory.
    #[arg(long)]
    dir: PathBuf,
    /// File whose first line is the passphrase that seals the keys; asked for without it.
    #[arg(long)]
    passphrase_file: Option<PathBuf>,
    /// Make keys for a coordinator, too.
    #[arg(long)]
    coordinator: bool,
    /// Print the cards as JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Args)]
struct Run {
    /// Data directory, made by `zq-node init`.
    #[arg(long)]
    dir: PathBuf,
    /// File whose first line is the passphrase; asked for without it.
    #[arg(long)]
    passphrase_file: Option<PathBuf>,
    /// The committee's creation record.
    #[arg(long)]
    record: PathBuf,
    /// The member's slot, if it is to be checked.
    #[arg(long)]
    slot: Option<u16>,
    /// Run the coordinator of this rank, at the node of slot rank + 1.
    #[arg(long, value_name = "RANK")]
    coordinator: Option<u16>,
    /// Address of the guests' port.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    guests_listen: String,
    /// Address of the peers' port.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    peers_listen: String,
    /// Address of the HTTP API.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    http: String,
    /// Another member's node: SLOT=HOST:PORT, or SLOT=@FILE with the address in a file.
    #[arg(long = "peer", value_name = "PEER")]
    peers: Vec<Peer>,
    /// Program to run as the executor, in place of the zq-executor beside this program.
    #[arg(long, value_name = "PROGRAM", hide = true)]
    executor: Option<PathBuf>,
    /// Argument of that program.
    #[arg(long, value_name = "ARGUMENT", hide = true)]
    executor_argument: Vec<String>,
}

fn main() -> ExitCode {
    let command = Command::parse();
    let filter = tracing_subscriber::EnvFilter::try_from_env("ZQ_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    match act(command.action) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("zq-node: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn act(action: Action) -> anyhow::Result<()> {
    match action {
        Action::Compile => node::compile::child(),
        Action::Init(init) => runtime()?.block_on(make(init)),
        Action::Run(run) => {
            let settings = settings(run)?;
            runtime()?.block_on(async { node::run::run(settings, stopped()).await })
        }
    }
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
}

async fn make(init: Init) -> anyhow::Result<()> {
    let programs = Programs::beside_current()?;
    let file = init.passphrase_file.as_deref();
    let cards = node::init::init(&init.dir, file, init.coordinator, programs).await?;
    if init.json {
        println!("{cards}");
    } else {
        println!("{}", init.dir.join("card.json").display());
    }
    Ok(())
}

fn settings(run: Run) -> anyhow::Result<Settings> {
    let mut programs = Programs::beside_current()?;
    if let Some(executor) = run.executor {
        programs.executor = executor;
    }
    programs.executor_arguments = run.executor_argument;
    Ok(Settings {
        dir: run.dir,
        passphrase_file: run.passphrase_file,
        record: run.record,
        slot: run.slot,
        coordinator: run.coordinator,
        guests_listen: run.guests_listen,
        peers_listen: run.peers_listen,
        http: run.http,
        peers: run.peers,
        programs,
    })
}

/// Completes at Ctrl-C or SIGTERM.
async fn stopped() {
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => signal.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate => {}
    }
}
