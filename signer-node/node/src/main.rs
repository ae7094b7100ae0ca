//! `zq-node`: the operator's Linux process.

use std::fs::File;
use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use attestation::conditions::Engine;
use attestation::ids::IdentityKey;
use clap::{Args, Parser, Subcommand};
use node::arguments::{Machines, Run};
use node::compile::EngineChoice;
use node::configuration::MachineConfiguration;
use node::disk::Directory;
use node::guests::Programs;
use node::init::Said;

/// The simulator's planted bugs are for the simulator.
const _: () = assert!(!signer_protocol::planted::POSSIBLE);

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
    /// Write a new card for the keys of a data directory: of another image, with another engine, or
    /// with another account for what the member earns. A change of members that names it puts it into force.
    Card(NewCard),
    /// Join a committee that is to be made: check its creation record and put it in place.
    Join(node::join::Join),
    /// What the owner of a Sentinel signs for this member, and its signature on the card: for
    /// committees that demand an active Sentinel of each member.
    Sentinel(node::sentinel::Vouch),
    /// Run a member's node.
    Run(Box<Run>),
    /// Approve a change of members: refresh, enrolment, removal, another threshold. A running node
    /// takes it up within a second.
    Approve(node::approve::Approve),
    /// Take part in restoring a member's lost key share: as one that helps, or as that member. A
    /// running node takes it up within a second.
    Repair(node::repair::Approve),
    /// Look at a data directory and say what would keep its member from working.
    Doctor(node::doctor::Doctor),
    /// Move a member's register: what it voted and locked.
    #[command(subcommand)]
    Register(node::moving::RegisterVerb),
    /// Compile a metered module from standard input to standard output, within limits.
    #[command(hide = true)]
    Compile {
        /// System or engine of the executor that the artifact is for.
        target: String,
    },
    /// Run zApps for the node at the other end of standard input, a socket, within limits.
    #[command(hide = true)]
    Engine,
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
    /// Account that gets what the member earns: the public key of a key file of yours (`zq key
    /// new`), 64 hexadecimal digits. The card fixes it; without it the member earns nothing.
    #[arg(long, value_name = "HEX")]
    payout: Option<IdentityKey>,
    /// Say on the card what the executor runs zApps with, for committees that demand members on each
    /// engine. The node then runs this one and no other.
    #[arg(long, value_enum, value_name = "ENGINE")]
    engine: Option<EngineChoice>,
    /// Print the cards as JSON.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    machines: Machines,
}

#[derive(Args)]
struct NewCard {
    /// Data directory, of a node that does not run meanwhile.
    #[arg(long)]
    dir: PathBuf,
    /// File whose first line is the passphrase. Without it the systemd credential `passphrase`;
    /// without that it is asked for.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// Account that gets what the member earns from then on; without it the one so far.
    #[arg(long, value_name = "HEX")]
    payout: Option<IdentityKey>,
    /// What the executor runs zApps with from then on; without it what the card says so far.
    #[arg(long, value_enum, value_name = "ENGINE")]
    engine: Option<EngineChoice>,
    /// The file; it must not exist.
    #[arg(long, default_value = "card-new.json", value_name = "FILE")]
    out: PathBuf,
    /// Print the card as JSON, too.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    machines: Machines,
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
        Action::Compile { target } => node::compile::child(&target),
        Action::Engine => node::engine::child(),
        Action::Doctor(arguments) => node::doctor::doctor(&arguments),
        Action::Register(verb) => node::moving::run(&verb),
        Action::Join(arguments) => node::join::join(&arguments),
        Action::Sentinel(arguments) => node::sentinel::vouch(&arguments),
        Action::Approve(arguments) => node::approve::approve(&arguments),
        Action::Repair(arguments) => node::repair::approve(&arguments),
        Action::Init(init) => runtime()?.block_on(make(init)),
        Action::Card(card) => runtime()?.block_on(make_anew(card)),
        Action::Run(run) => {
            let until_stdin_ends = run.until_stdin_ends();
            let settings = run.settings()?;
            let disk = Arc::new(Directory::open(&settings.dir)?);
            let runtime = runtime()?;
            let node = node::run::run(settings, disk, stopped(until_stdin_ends));
            let ran = runtime.block_on(node);
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
    let images = init.machines.or(MachineConfiguration::default());
    let said = Said {
        payout: init.payout,
        engine: init.engine.map(Engine::from),
    };
    let cards = node::init::init(&init.dir, file, init.coordinator, said, programs, images);
    let cards = cards.await?;
    if init.json {
        println!("{cards}");
    } else {
        println!("{}", init.dir.join("card.json").display());
    }
    Ok(())
}

async fn make_anew(new: NewCard) -> anyhow::Result<()> {
    let programs = Programs::beside_current()?;
    let images = new.machines.or(MachineConfiguration::default());
    let file = new.passphrase_file.as_deref();
    let said = Said {
        payout: new.payout,
        engine: new.engine.map(Engine::from),
    };
    let cards = node::init::card(&new.dir, file, said, programs, images).await?;
    let mut written = File::create_new(&new.out).with_context(|| new.out.display().to_string())?;
    written.write_all(&serde_json::to_vec_pretty(&cards)?)?;
    written.sync_all()?;
    match new.json {
        true => println!("{cards}"),
        false => println!("{}", new.out.display()),
    }
    Ok(())
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
