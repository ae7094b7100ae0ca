//! `zq-vm`: checks an image and becomes its emulator.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::ExitCode;

use attestation::ids::Digest;
use clap::Parser;
use vm::accelerator::Choice;
use vm::image::{Image, ImageError};
use vm::machine::{Machine, MachineError, Network, hand_over, not_started, read_token};

/// Boots an image in a virtual machine that dials one node. The first line of standard input is
/// the guest's token; the console goes to standard output. Nodes start it; `cargo xtask image run`
/// is for people.
#[derive(Parser)]
#[command(name = "zq-vm", version)]
struct Arguments {
    /// Address of the node's port for guests, as this host sees it.
    node: SocketAddr,
    /// The image; its manifest lies beside it.
    #[arg(long)]
    image: PathBuf,
    /// Refuse any image but the one with this digest (64 hexadecimal digits).
    #[arg(long, value_parser = digest)]
    digest: Option<Digest>,
    /// Memory in MiB; by default the least that the image needs.
    #[arg(long)]
    memory: Option<u64>,
    /// What runs the guest; `auto` uses KVM where a machine really boots with it.
    #[arg(long, value_enum, default_value_t = Choice::Auto)]
    accel: Choice,
    /// Tap device to use in place of QEMU's user network: NAME,GUEST-ADDRESS,HOST-ADDRESS.
    #[arg(long, value_parser = tap)]
    tap: Option<Network>,
}

/// Why no guest runs.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error(transparent)]
    Image(#[from] ImageError),
    #[error(transparent)]
    Machine(#[from] MachineError),
    #[error("standard input: {0}")]
    Token(io::Error),
}

fn main() -> ExitCode {
    let refusal = match run(&Arguments::parse()) {
        Ok(never) => match never {},
        Err(refusal) => refusal,
    };
    eprintln!("zq-vm: {refusal}");
    ExitCode::from(2)
}

enum Never {}

fn run(arguments: &Arguments) -> Result<Never, Refusal> {
    let mut image = Image::open(&arguments.image)?;
    if let Some(digest) = &arguments.digest {
        image = image.expect(digest)?;
    }
    let mut machine = Machine::new(&image, arguments.accel.resolve(&image));
    if let Some(memory_mib) = arguments.memory {
        machine = machine.memory_mib(memory_mib)?;
    }
    if let Some(network) = &arguments.tap {
        machine = machine.network(network.clone());
    }
    let mut qemu = machine.dialling(arguments.node)?;
    let token = read_token(io::stdin().lock()).map_err(Refusal::Token)?;
    // Open until this process is the emulator.
    let _file = hand_over(token.trim_end().as_bytes(), &mut qemu).map_err(Refusal::Token)?;
    Err(not_started(qemu.exec()).into())
}

fn digest(text: &str) -> Result<Digest, String> {
    let mut bytes = [0; 32];
    hex::decode_to_slice(text, &mut bytes)
        .map_err(|_| "a digest has 64 hexadecimal digits".to_string())?;
    Ok(Digest::from_bytes(bytes))
}

fn tap(text: &str) -> Result<Network, String> {
    let form = "NAME,GUEST-ADDRESS,HOST-ADDRESS, as in zq0,192.168.7.2,192.168.7.1";
    let mut parts = text.split(',');
    let address = |part: Option<&str>| part.and_then(|part| part.parse::<Ipv4Addr>().ok());
    match (
        parts.next(),
        address(parts.next()),
        address(parts.next()),
        parts.next(),
    ) {
        (Some(interface), Some(guest), Some(host), None) if !interface.is_empty() => {
            Ok(Network::Tap {
                interface: interface.into(),
                guest,
                host,
            })
        }
        _ => Err(form.into()),
    }
}
