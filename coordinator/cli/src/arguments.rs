//! What can be said on the command line.

pub(crate) mod change;
pub(crate) mod devnet;
pub(crate) mod light;
pub(crate) mod money;
pub(crate) mod nom;
pub(crate) mod relay;
pub(crate) mod replay;
pub(crate) mod source;
pub(crate) mod trace;

use std::ffi::OsString;
use std::path::PathBuf;

use attestation::ids::{CommitteeId, GroupKey, ZappId};
use clap::{Parser, Subcommand};

use crate::qsr::Qsr;
use change::ChangeVerb;
use money::{AccountVerb, Economy, LeaseVerb, OwnerVerb, Payer};
use nom::NomVerb;
use source::{SourceArgument, Sources};

/// Call zApps of a committee and check what it attests.
///
/// Exit codes: 0 ok, 1 failure, 2 usage, 3 attestation or evidence invalid, 4 no quorum, 5 unreachable.
#[derive(Parser)]
#[command(
    name = "zq",
    version,
    after_help = "Examples:\n  \
    zq zapp new hello && cd hello && zq zapp test\n  \
    zq key new me.key\n  \
    zq zapp deploy counter.wasm --key me.key\n  \
    zq zapp call ZAPP add amount=5 --key me.key --out .\n  \
    zq attestation verify 7.1.cose --committee committee.json --leaf 7.1.bin"
)]
pub(crate) struct Arguments {
    /// HTTP API of a member's node; ZQ_NODE if absent, else http://127.0.0.1:8080.
    #[arg(long, global = true, value_name = "URL")]
    pub(crate) node: Option<String>,
    /// Print one JSON value instead of text.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    #[command(subcommand)]
    pub(crate) noun: Noun,
}

#[derive(Subcommand)]
pub(crate) enum Noun {
    /// A caller's keys.
    #[command(subcommand)]
    Key(KeyVerb),
    /// zApps: write, build, check and test them; deploy, call, view.
    #[command(subcommand)]
    Zapp(ZappVerb),
    /// What a key holds in QSR, and its waiting requests.
    #[command(subcommand)]
    Account(AccountVerb),
    /// What zApps pay their hosts with: escrows, bounds, quotes.
    #[command(subcommand)]
    Lease(LeaseVerb),
    /// Steps of the committee.
    #[command(subcommand)]
    Step(StepVerb),
    /// Attestations: get, verify offline, inspect.
    #[command(subcommand)]
    Attestation(AttestationVerb),
    /// The committee.
    #[command(subcommand)]
    Committee(CommitteeVerb),
    /// Follow a committee through any gateway, trusting nothing but its id.
    #[command(subcommand)]
    Light(light::LightVerb),
    /// Network of Momentum: the committee's account, deposits, payouts; addresses and blocks.
    #[command(subcommand)]
    Nom(NomVerb),
    /// Take what the committee attested to contracts on another chain.
    #[command(subcommand)]
    Relay(relay::RelayVerb),
    /// What a node's guests reported of others: blame, divergence, dissent.
    #[command(subcommand)]
    Report(ReportVerb),
    /// Evidence that convicts a member or coordinator: make, verify offline, show.
    #[command(subcommand)]
    Evidence(EvidenceVerb),
    /// What a node and its committee are doing, and what is down.
    Status,
    /// A committee of processes on this machine, with members that lie if you like.
    Devnet(devnet::DevnetArguments),
    /// This machine's member: init, join, run, approve, repair, doctor, register (the program zq-node).
    #[command(visible_alias = "node", disable_help_flag = true)]
    Member {
        /// Passed on as they are.
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

#[derive(Subcommand)]
pub(crate) enum ReportVerb {
    /// The newest reports, newest first.
    List {
        /// How many.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=1024))]
        limit: u64,
    },
    /// One report: who said what, and the evidence.
    Show {
        /// Its id.
        report: attestation::ids::Digest,
        /// Leave REPORT.report.cbor, the evidence, REPORT.job.cbor, the job with its witness, and
        /// its modules in this directory: all that `zq report replay` takes.
        #[arg(long, value_name = "DIR")]
        out: Option<PathBuf>,
    },
    /// Run a report's job again on this machine, on every engine, and say whose statement that
    /// reproduces.
    Replay(replay::ReplayArguments),
}

#[derive(Subcommand)]
pub(crate) enum EvidenceVerb {
    /// Check a file of evidence offline: its signatures, and that they contradict each other.
    ///
    /// Trusts the creation record and nothing else; keys, plans and changes of members in the file are
    /// checked by it.
    /// Ends with 0 if the file convicts the party that it names, with 3 if it does not.
    Verify {
        /// The file (.evidence).
        file: PathBuf,
        /// The creation record of the committee that you trust (`zq committee create`).
        #[arg(long, value_name = "FILE")]
        committee: PathBuf,
    },
    /// Print what a file of evidence claims, checking nothing.
    Show {
        /// The file (.evidence).
        file: PathBuf,
    },
    /// The reports of your node that prove something to others, newest first.
    List {
        /// Among how many of its newest reports.
        #[arg(long, default_value_t = 1024, value_parser = clap::value_parser!(u64).range(1..=1024))]
        limit: u64,
    },
    /// Make a file for others from a report of your node that is proven (`zq evidence list`).
    ///
    /// Absence, silence and dissent are no evidence: networks cause them too. What is measured by
    /// the key or by members of a later epoch takes the key and the changes that lead there: from
    /// the files given, else from the node, whose word is checked.
    Make {
        /// Id of a report of the node, or ID.report.cbor as `zq report show ID --out DIR` leaves it.
        report: String,
        /// The committee's creation record.
        #[arg(long, value_name = "FILE")]
        committee: PathBuf,
        /// key.record of a member's data directory, instead of asking the node.
        #[arg(long, value_name = "FILE")]
        key: Option<PathBuf>,
        /// epochs.record of the same directory, if members have ever changed.
        #[arg(long, value_name = "FILE", requires = "key")]
        epochs: Option<PathBuf>,
        /// Where the evidence goes.
        #[arg(long, value_name = "FILE")]
        out: PathBuf,
    },
}

#[derive(Subcommand)]
pub(crate) enum KeyVerb {
    /// Make a key, in a new file that only you can read.
    New {
        /// The file; it must not exist.
        file: PathBuf,
    },
    /// Print the public key and address of a key file, never the secret.
    Show {
        /// The file.
        file: PathBuf,
    },
    /// Sign that the Sentinel which this key's account registered stands behind a member. Prints key
    /// and signature, which the member's operator gives to `zq member sentinel`.
    Vouch {
        /// The file.
        file: PathBuf,
        /// What `zq member sentinel` prints for the member; nothing else is signed.
        statement: String,
    },
}

/// What a committee demands of its members, in every epoch.
#[derive(clap::Args)]
pub(crate) struct Demands {
    /// Demand at least N members on each engine, as their cards say (`zq member init --engine`). With
    /// n − t + 1 or more, which is the least that is taken, no bug of one engine is signed.
    #[arg(long, default_value_t = 0, hide_default_value = true, value_name = "N")]
    pub(crate) members_per_engine: u16,
    /// Demand that each member has an active Sentinel of its own on the Network of Momentum, whose
    /// owner vouches for it (`zq member sentinel`). Each operator's node asks its NoM node before its
    /// member joins.
    #[arg(long)]
    pub(crate) sentinels: bool,
}

/// How a request is signed and followed.
#[derive(clap::Args)]
pub(crate) struct Sending {
    /// Key file of the caller (`zq key new`).
    #[arg(long, value_name = "FILE")]
    pub(crate) key: PathBuf,
    /// Most gas the request may use.
    #[arg(long, default_value_t = 50_000_000)]
    pub(crate) gas: u64,
    /// Who pays for it.
    #[arg(long, value_enum, default_value_t)]
    pub(crate) payer: Payer,
    /// Nonce; by default one more than the caller's last.
    #[arg(long)]
    pub(crate) nonce: Option<u64>,
    /// Seconds to wait for the attestation; the request stays queued after that.
    #[arg(long, default_value_t = 30, value_name = "SECONDS")]
    pub(crate) wait: u64,
    /// Trust this committee file instead of what the node says of itself.
    #[arg(long, value_name = "FILE")]
    pub(crate) committee: Option<PathBuf>,
    /// Leave SEQ.LEAF.cose and SEQ.LEAF.bin in this directory.
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
}

/// A call's arguments: by name, checked against what the zApp says that it takes, or as bytes.
#[derive(clap::Args)]
pub(crate) struct Input {
    /// Arguments by name, such as amount=5. Bytes are hexadecimal digits, or @FILE for the public
    /// key of a key file; lists and records are JSON. `zq zapp show` tells what a zApp takes.
    #[arg(value_name = "NAME=VALUE")]
    pub(crate) named: Vec<String>,
    /// The same as one JSON object, such as '{"amount":5}'.
    #[arg(long, value_name = "JSON", conflicts_with = "named")]
    pub(crate) json_args: Option<String>,
    /// Input as hexadecimal digits, unchecked.
    #[arg(long, value_name = "HEX", conflicts_with_all = ["arg", "named", "json_args"])]
    pub(crate) input: Option<String>,
    /// One argument, repeated in order, unchecked: u8:N u32:N u64:N u128:N hex:DIGITS text:WORDS
    /// address:z1…; numbers are big-endian.
    #[arg(long, value_name = "TYPE:VALUE", conflicts_with_all = ["named", "json_args"])]
    pub(crate) arg: Vec<String>,
}

/// What a zApp is written in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Language {
    /// Built and tested by `zq`, with rustup or Debian's compiler.
    #[default]
    Rust,
    /// Built by clang and lld.
    C,
    /// Built by the compiler that npm installs.
    #[value(name = "assemblyscript")]
    AssemblyScript,
}

/// What an author does before there is a committee.
#[derive(Subcommand)]
pub(crate) enum AuthorVerb {
    /// Make a project for a zApp: code and the SDK that it builds with, in Rust also tests.
    New {
        /// Its name: a-z, 0-9 and -, beginning with a letter.
        name: String,
        /// The language that it is written in.
        #[arg(long, value_enum, default_value_t)]
        language: Language,
        /// Where it goes; a new directory of the zApp's name by default.
        #[arg(long, value_name = "DIR")]
        dir: Option<PathBuf>,
    },
    /// Compile a project to its module, and check that.
    Build {
        /// The project.
        #[arg(long, default_value = ".", value_name = "DIR")]
        dir: PathBuf,
        /// Print the module's path and nothing else, for scripts.
        #[arg(long)]
        print_path: bool,
    },
    /// Check a module offline, as every node does: each rule that it breaks, what deploying it
    /// costs, what it is made of, its methods.
    Check {
        /// The WebAssembly module.
        module: PathBuf,
    },
    /// Build a project and run its tests against the real runtime: what a call costs in a test is
    /// what it costs in production.
    ///
    /// A project in C or AssemblyScript has its tests in tests/*.json (docs/zapps.md).
    #[command(after_help = "Arguments after -- go to cargo test, such as the name of a test.")]
    Test {
        /// The project.
        #[arg(long, default_value = ".", value_name = "DIR")]
        dir: PathBuf,
        /// For cargo test.
        #[arg(last = true)]
        arguments: Vec<String>,
    },
    /// Run one call on this machine, as members run it, and print each host call with its
    /// arguments, result and gas so far, then outcome and trace.
    Trace(Box<trace::TraceArguments>),
    /// A committee of one for tests, spoken to over standard input and output (crate zapp-test).
    #[command(hide = true)]
    ServeChain {
        /// The WebAssembly module.
        module: PathBuf,
    },
}

#[derive(Subcommand)]
pub(crate) enum ZappVerb {
    #[command(flatten)]
    Author(AuthorVerb),
    /// Upload a module and deploy it as a zApp of yours.
    Deploy {
        /// The WebAssembly module; arguments after it are for the zApp's init.
        module: PathBuf,
        /// Makes zApps of one owner distinct; 64 hexadecimal digits, random by default.
        #[arg(long)]
        salt: Option<attestation::ids::Digest>,
        /// QSR of yours that the zApp begins with, to pay for calls and stored bytes.
        #[arg(long, default_value = "0", value_name = "QSR")]
        escrow: Qsr,
        #[command(flatten)]
        input: Input,
        #[command(flatten)]
        sending: Sending,
    },
    /// Send a signed request, wait for its attestation, and verify it before printing.
    Call {
        /// The zApp's id.
        zapp: ZappId,
        /// The method.
        method: String,
        #[command(flatten)]
        input: Input,
        /// Take the types of arguments and result from this module, not from the node.
        #[arg(long, value_name = "FILE")]
        abi: Option<PathBuf>,
        #[command(flatten)]
        sources: Sources,
        #[command(flatten)]
        sending: Sending,
    },
    /// Print the id by which zApps know a source, and what a request says of it.
    Source {
        /// As for `zq zapp call --source`.
        source: SourceArgument,
    },
    /// Read through a zApp's view; nothing is signed and nothing is charged.
    View {
        /// The zApp's id.
        zapp: ZappId,
        /// The method.
        method: String,
        #[command(flatten)]
        input: Input,
        /// Take the types of arguments and result from this module, not from the node.
        #[arg(long, value_name = "FILE")]
        abi: Option<PathBuf>,
    },
    #[command(flatten)]
    Owner(OwnerVerb),
    /// All zApps of the committee.
    List,
    /// One zApp: who owns it, and its methods.
    Show {
        /// The zApp's id.
        zapp: ZappId,
    },
}

#[derive(Subcommand)]
pub(crate) enum StepVerb {
    /// One step: commit, leaves, signature.
    Show {
        /// Its seq; the newest by default.
        seq: Option<u64>,
    },
}

#[derive(Subcommand)]
pub(crate) enum AttestationVerb {
    /// Fetch the attestation of a leaf, and the leaf; both are kept only if they verify.
    Get {
        /// The step's seq.
        seq: u64,
        /// The leaf's position; 0 settles the step's bill.
        leaf: u64,
        /// Trust this committee file instead of what the node says of itself.
        #[arg(long, value_name = "FILE")]
        committee: Option<PathBuf>,
        /// Where SEQ.LEAF.cose and SEQ.LEAF.bin go.
        #[arg(long, default_value = ".", value_name = "DIR")]
        out: PathBuf,
    },
    /// Check an attestation offline; prints each check.
    #[command(group = clap::ArgGroup::new("trust").required(true).args(["committee", "key"]))]
    Verify {
        /// The attestation (.cose).
        file: PathBuf,
        /// committee.json of the committee that you trust.
        #[arg(long, value_name = "FILE")]
        committee: Option<PathBuf>,
        /// Group key that you trust, 64 hexadecimal digits.
        #[arg(long, value_name = "HEX")]
        key: Option<GroupKey>,
        /// Also expect this committee.
        #[arg(long, value_name = "HEX", requires = "key")]
        committee_id: Option<CommitteeId>,
        /// The leaf's exact bytes (.bin); without it only the leaf's hash is proven.
        #[arg(long, value_name = "FILE")]
        leaf: Option<PathBuf>,
    },
    /// Print what an attestation says, checking nothing.
    Inspect {
        /// The attestation (.cose).
        file: PathBuf,
    },
}

#[derive(Subcommand)]
pub(crate) enum CommitteeVerb {
    /// Members, threshold, group key; with --json what `verify --committee` takes.
    Show,
    /// Make the creation record of a new committee from the members' cards (`zq member init`).
    Create {
        /// card.json of each member, in slot order: the first is slot 1.
        #[arg(required_unless_present = "invitations", value_name = "CARD")]
        cards: Vec<PathBuf>,
        /// Take the cards, and the addresses of the members' nodes, from a TOML file: network,
        /// threshold if you like, and for each member in slot order `[[members]]` with card and
        /// address. Writes the addresses beside the record, to OUT with the ending .peers, for
        /// `zq member join --peers`.
        #[arg(long, value_name = "FILE", conflicts_with_all = ["cards", "network", "threshold"])]
        invitations: Option<PathBuf>,
        /// Number of the network that requests must name.
        #[arg(long, value_name = "N", required_unless_present = "invitations")]
        network: Option<u64>,
        /// Members that must agree; by default two thirds and one.
        #[arg(long)]
        threshold: Option<u16>,
        #[command(flatten)]
        economy: Economy,
        #[command(flatten)]
        demands: Demands,
        /// Members also generate a second group key and sign every step under it, for contracts on
        /// EVM chains. Members of such a committee cannot be changed yet.
        #[arg(long)]
        evm: bool,
        /// The record; it must not exist.
        #[arg(long, default_value = "committee.record", value_name = "FILE")]
        out: PathBuf,
    },
    /// Change who is in the committee: refresh, enrol, remove, another threshold.
    #[command(subcommand)]
    Change(ChangeVerb),
    /// Plan the repair of a member's lost key share, in the epoch in force. The helpers and that member
    /// approve the file with `zq member repair`; the share comes back once all of them have. All of them
    /// must be up, and one whose signer starts anew meanwhile ends the try: plan another then.
    Repair {
        /// Slot of the member that lost its share.
        slot: u16,
        /// Members that help, as many as the threshold or more; by default the first others.
        #[arg(long, value_name = "SLOTS", value_delimiter = ',')]
        helpers: Vec<u16>,
        /// The file; it must not exist.
        #[arg(long, default_value = "repair.plan", value_name = "FILE")]
        out: PathBuf,
    },
    /// Print a creation record, so that each member sees what it is about to join.
    Inspect {
        /// The record.
        file: PathBuf,
    },
}
