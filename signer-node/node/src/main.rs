//! `zq-node`: the operator's Linux process.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use node::configuration::Configuration;
use node::disk::Directory;
use node::files;
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
    Run(Box<Run>),
    /// Compile a metered module from standard input to standard output, within limits.
    #[command(hide = true)]
    Compile {
        /// System of the executor that the artifact is for.
        system: String,
    },
}

#[derive(Args)]
struct Init {
    /// Data directory.
    #[arg(long)]
    dir: PathBuf,
    /// File whose first line is the passphrase that seals the keys. Without it the systemd
    /// credential `passphrase`; without that it is asked for.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// Make keys for a coordinator, too.
    #[arg(long)]
    coordinator: bool,
    /// Print the cards as JSON.
    #[arg(long)]
    json: bool,
}

/// What is not said here is taken from node.toml in the data directory.
#[derive(Args)]
struct Run {
    /// Data directory, made by `zq-node init`.
    #[arg(long)]
    dir: PathBuf,
    /// File whose first line is the passphrase. Without it the systemd credential `passphrase`;
    /// without that it is asked for.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// The committee's creation record [default: committee.record in the data directory].
    #[arg(long, value_name = "FILE")]
    record: Option<PathBuf>,
    /// The member's slot, if it is to be checked.
    #[arg(long)]
    slot: Option<u16>,
    /// Run the coordinator of this rank, at the node of slot rank + 1; found by its card without.
    #[arg(long, value_name = "RANK")]
    coordinator: Option<u16>,
    /// Address of the guests' port [default: 127.0.0.1:0].
    #[arg(long, value_name = "ADDRESS")]
    guests_listen: Option<String>,
    /// Address of the peers' port [default: 0.0.0.0:7350].
    #[arg(long, value_name = "ADDRESS")]
    peers_listen: Option<String>,
    /// Address of the HTTP API [default: 127.0.0.1:8080].
    #[arg(long, value_name = "ADDRESS")]
    http: Option<String>,
    /// Another member's node: SLOT=HOST:PORT, or SLOT=@FILE with the address in a file.
    #[arg(long = "peer", value_name = "PEER")]
    peers: Vec<Peer>,
    /// Stop when standard input ends: whoever starts nodes takes them along even when it is killed.
    #[arg(long)]
    until_stdin_ends: bool,
    /// Boot the guests from the images in this directory, each in a virtual machine of its own,
    /// instead of running them as processes.
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// What runs the virtual machines: auto, kvm or tcg.
    #[arg(
        long,
        value_name = "ACCELERATOR",
        default_value = "auto",
        requires = "images"
    )]
    accel: String,
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
        Action::Compile { system } => node::compile::child(&system),
        Action::Init(init) => runtime()?.block_on(make(init)),
        Action::Run(run) => {
            let until_stdin_ends = run.until_stdin_ends;
            let settings = settings(*run)?;
            let runtime = runtime()?;
            let ran = runtime.block_on(node::run::run(settings, stopped(until_stdin_ends)));
            // A blocking read of standard input cannot be taken back.
            runtime.shutdown_timeout(SHUTDOWN_WAIT);
            ran
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
    let disk = Directory::open(&run.dir)?;
    let file = Configuration::load(&run.dir, &disk)?;
    drop(disk);
    let mut programs = Programs::beside_current()?;
    if let Some(executor) = run.executor {
        programs.executor = executor;
    }
    programs.executor_arguments = run.executor_argument;
    let or = |given: Option<String>, configured: Option<String>, default: &str| {
        given.or(configured).unwrap_or_else(|| default.to_owned())
    };
    let record = run.record.or(file.record.clone());
    let peers = match run.peers.is_empty() {
        true => file.peers()?,
        false => run.peers,
    };
    if let Some(images) = run.images {
        programs.boot_images(images, run.accel)?;
    }
    Ok(Settings {
        record: record.unwrap_or_else(|| run.dir.join(files::RECORD)),
        dir: run.dir,
        passphrase_file: run.passphrase_file.or(file.passphrase_file),
        slot: run.slot,
        coordinator: run.coordinator,
        guests_listen: or(run.guests_listen, file.guests_listen, "127.0.0.1:0"),
        peers_listen: or(run.peers_listen, file.peers_listen, "0.0.0.0:7350"),
        http: or(run.http, file.http, "127.0.0.1:8080"),
        peers,
        programs,
    })
}

/// Completes at Ctrl-C, SIGTERM or, if so wished, the end of standard input.
async fn stopped(until_stdin_ends: bool) {
    let terminate = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => signal.recv().await,
            Err(_) => std::future::pending().await,
        }
    };
    let stdin_ended = async {
        if !until_stdin_ends {
            std::future::pending().await
        }
        let read = || std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        // An error is an end as well.
        let _ = tokio::task::spawn_blocking(read).await;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate => {}
        () = stdin_ended => {}
    }
}

/// How long what runs in the background may take to end.
const SHUTDOWN_WAIT: Duration = Duration::from_secs(2);
