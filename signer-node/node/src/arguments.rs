//! What an operator says on the command line of `zq-node run`.

use std::path::PathBuf;

use clap::Args;
use vm::accelerator::Choice;

use crate::compile::EngineChoice;
use crate::configuration::{Configuration, MachineConfiguration};
use crate::disk::Directory;
use crate::files;
use crate::guests::Programs;
use crate::images::{ImageOptions, OfRole};
use crate::peers::Peer;
use crate::run::Settings;

/// Arguments of `zq-node run`. What is not said here is taken from node.toml in the data directory.
#[derive(Args, Debug)]
pub struct Run {
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
    /// What the executor runs zApps with: compiled code, or an interpreter that is slower and
    /// shares none of the compiler's bugs. Results and gas are the same. A member whose card names an
    /// engine runs that one and no other [default: the card's, or wasmtime].
    #[arg(long, value_enum, value_name = "ENGINE")]
    engine: Option<EngineChoice>,
    /// RPC of the operator's own NoM node, http://host:port, more than one if you have them. With it
    /// the member votes for steps that take deposits or make blocks of the committee's account, and
    /// the node does what that account needs; without it the member takes part in all other steps.
    #[arg(long = "nom-rpc", value_name = "URL")]
    nom_rpc: Vec<String>,
    /// How many momentums deep a block of the NoM chain counts [default: 6].
    #[arg(long, value_name = "MOMENTUMS")]
    nom_confirmations: Option<u64>,
    /// Anchor every so many steps in the NoM chain, 0 for none [default: 1000].
    #[arg(long, value_name = "STEPS")]
    nom_anchor_every: Option<u64>,
    /// Say that this data directory was restored from a copy or made anew: the member only watches
    /// until an epoch whose ceremony it joins, since its register may have forgotten what it signed.
    #[arg(long)]
    restored: bool,
    /// Stop when standard input ends: whoever starts nodes takes them along even when it is killed.
    #[arg(long)]
    until_stdin_ends: bool,
    #[command(flatten)]
    machines: Machines,
    /// Program to run as the signer, in place of the zq-signer beside this program.
    #[arg(long, value_name = "PROGRAM", hide = true)]
    signer: Option<PathBuf>,
    /// Argument of that program.
    #[arg(long, value_name = "ARGUMENT", hide = true)]
    signer_argument: Vec<String>,
    /// Program to run as the executor, in place of the zq-executor beside this program.
    #[arg(long, value_name = "PROGRAM", hide = true)]
    executor: Option<PathBuf>,
    /// Argument of that program.
    #[arg(long, value_name = "ARGUMENT", hide = true)]
    executor_argument: Vec<String>,
}

/// Guests in virtual machines.
#[derive(Args, Clone, Debug)]
pub struct Machines {
    /// Boot the guests from the images in this directory, each in a virtual machine of its own,
    /// instead of running them as processes.
    #[arg(long, value_name = "DIR")]
    images: Option<PathBuf>,
    /// What runs the virtual machines [default: auto].
    #[arg(long, value_enum, value_name = "ACCELERATOR")]
    accel: Option<Choice>,
    /// Memory of a guest in MiB, as in executor=256 [default: the least that its image needs].
    #[arg(long = "memory", value_name = "ROLE=MIB")]
    memory: Vec<OfRole<u64>>,
    /// Tap device of a guest, in place of QEMU's user network:
    /// signer=NAME,GUEST-ADDRESS,HOST-ADDRESS. Then the guests' port listens on that host address.
    #[arg(long = "tap", value_name = "ROLE=TAP")]
    taps: Vec<OfRole<String>>,
}

impl Machines {
    /// What was said here, or else in node.toml; none where neither names images.
    #[must_use]
    pub fn or(self, file: MachineConfiguration) -> Option<ImageOptions> {
        let mut options = ImageOptions {
            folder: self.images.or(file.images)?,
            accelerator: self.accel.or(file.accel).unwrap_or_default(),
            memory_mib: file.memory_mib,
            taps: file.taps,
        };
        let memory = self.memory.into_iter();
        options
            .memory_mib
            .extend(memory.map(|OfRole(role, mib)| (role, mib)));
        let taps = self.taps.into_iter();
        options
            .taps
            .extend(taps.map(|OfRole(role, tap)| (role, tap)));
        Some(options)
    }
}

impl Run {
    /// Whether the node stops when its standard input ends.
    #[must_use]
    pub fn until_stdin_ends(&self) -> bool {
        self.until_stdin_ends
    }

    /// What the node is to run with: the arguments, and node.toml for what they leave open.
    ///
    /// # Errors
    /// If the data directory or its node.toml cannot be used, or a program is missing.
    pub fn settings(self) -> anyhow::Result<Settings> {
        let disk = Directory::open(&self.dir)?;
        let file = Configuration::load(&self.dir, &disk)?;
        drop(disk);
        let mut programs = Programs::beside_current()?;
        if let Some(executor) = self.executor {
            programs.executor = executor;
        }
        programs.executor_arguments = self.executor_argument;
        if let Some(signer) = self.signer {
            programs.signer = signer;
        }
        programs.signer_arguments = self.signer_argument;
        let or = |given: Option<String>, configured: Option<String>, default: &str| {
            given.or(configured).unwrap_or_else(|| default.to_owned())
        };
        let record = self.record.or(file.record.clone());
        let peers = match self.peers.is_empty() {
            true => file.peers()?,
            false => self.peers,
        };
        let images = self.machines.or(file.machines);
        let guests_default = images.as_ref().and_then(ImageOptions::host_address);
        let guests_default = guests_default.unwrap_or("127.0.0.1");
        let guests_default = format!("{guests_default}:0");
        let mut nom = file.nom;
        if !self.nom_rpc.is_empty() {
            nom.rpc = self.nom_rpc;
        }
        nom.confirmations = self.nom_confirmations.or(nom.confirmations);
        nom.anchor_every = self.nom_anchor_every.or(nom.anchor_every);
        let observe = file.observe.or_nom_rpc(nom.rpc.first().map(String::as_str));
        let nom_rpc = nom.rpc.clone();
        Ok(Settings {
            chain: nom.settings()?,
            record: record.unwrap_or_else(|| self.dir.join(files::RECORD)),
            dir: self.dir,
            passphrase_file: self.passphrase_file.or(file.passphrase_file),
            slot: self.slot,
            coordinator: self.coordinator,
            guests_listen: or(self.guests_listen, file.guests_listen, &guests_default),
            peers_listen: or(self.peers_listen, file.peers_listen, "0.0.0.0:7350"),
            http: or(self.http, file.http, "127.0.0.1:8080"),
            peers,
            programs,
            images,
            engine: self.engine.or(file.engine),
            nom_rpc,
            restored: self.restored,
            observe,
        })
    }
}
