//! A virtual machine: QEMU's command line for an image.

use std::io::{self, BufRead};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::path::PathBuf;
use std::process::{Command, Stdio};

use rustix::fs::MemfdFlags;
use zeroize::Zeroizing;

use crate::accelerator::Accelerator;
use crate::clock::counter_mhz;
use crate::image::Image;

/// The emulator.
pub const QEMU: &str = "qemu-system-x86_64";
/// The Debian package that has it.
pub const QEMU_PACKAGE: &str = "qemu-system-x86";
/// Longest line with a token: 64 hexadecimal digits and a line break.
const TOKEN_LINE_BYTES_MAX: u64 = 66;
/// The firmware file that holds a guest's token.
const TOKEN_FILE: &str = "opt/zquorum/token";
/// QEMU's user network: the guest, and the host as the guest sees it.
pub const USER_NETWORK: (Ipv4Addr, Ipv4Addr) =
    (Ipv4Addr::new(10, 0, 2, 15), Ipv4Addr::new(10, 0, 2, 2));

/// Why a machine does not start.
#[derive(Debug, thiserror::Error)]
pub enum MachineError {
    /// Less memory than the image needs.
    #[error("{given} MiB of memory are too little: this image needs at least {needed} MiB")]
    Memory {
        /// What was asked for.
        given: u64,
        /// The manifest's minimum.
        needed: u64,
    },
    /// The emulator is not installed.
    #[error("{QEMU} is not installed: apt-get install {QEMU_PACKAGE}")]
    NoEmulator,
    /// The emulator does not start.
    #[error("{QEMU}: {0}")]
    Emulator(#[from] io::Error),
    /// The user network reaches services of this host alone.
    #[error("{0} is no IPv4 address: guests reach their node over IPv4")]
    Address(SocketAddr),
}

/// How the machine reaches its node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Network {
    /// QEMU's own network stack: needs no rights; the host's loopback is at 10.0.2.2.
    #[default]
    User,
    /// A tap device of the host.
    Tap {
        /// Its name.
        interface: String,
        /// The guest's address.
        guest: Ipv4Addr,
        /// The host's address on it.
        host: Ipv4Addr,
    },
}

/// What to boot and how.
#[derive(Clone, Debug)]
pub struct Machine {
    image: PathBuf,
    memory_mib: u64,
    accelerator: Accelerator,
    processor: Option<String>,
    network: Network,
}

impl Machine {
    /// A machine for `image` with the least memory that it needs.
    #[must_use]
    pub fn new(image: &Image, accelerator: Accelerator) -> Self {
        Self {
            image: image.path().to_path_buf(),
            memory_mib: image.manifest().memory_mib_min,
            accelerator,
            processor: None,
            network: Network::User,
        }
    }

    /// Gives it more memory.
    ///
    /// # Errors
    /// [`MachineError::Memory`] if it is less than the image needs.
    pub fn memory_mib(mut self, memory_mib: u64) -> Result<Self, MachineError> {
        if memory_mib < self.memory_mib {
            return Err(MachineError::Memory {
                given: memory_mib,
                needed: self.memory_mib,
            });
        }
        self.memory_mib = memory_mib;
        Ok(self)
    }

    /// Gives it this much memory, be it too little: for finding out what an image needs.
    #[must_use]
    pub const fn unchecked_memory_mib(mut self, memory_mib: u64) -> Self {
        self.memory_mib = memory_mib;
        self
    }

    /// Gives it another network.
    #[must_use]
    pub fn network(mut self, network: Network) -> Self {
        self.network = network;
        self
    }

    /// Gives it another processor model, in QEMU's words.
    #[must_use]
    pub fn processor(mut self, model: Option<String>) -> Self {
        self.processor = model;
        self
    }

    /// The emulator's command line for a guest that dials `node`. Console on standard output,
    /// nothing on standard input.
    ///
    /// # Errors
    /// [`MachineError::Address`] if guests cannot dial the address.
    pub fn dialling(&self, node: SocketAddr) -> Result<Command, MachineError> {
        let SocketAddr::V4(node) = node else {
            return Err(MachineError::Address(node));
        };
        let (_, host) = self.addresses();
        // In the user network, this host is its gateway.
        let seen = match self.network {
            Network::User => host,
            Network::Tap { .. } => *node.ip(),
        };
        Ok(self.command(&format!("{seen}:{}", node.port())))
    }

    /// The emulator's command line for a guest with these arguments.
    #[must_use]
    pub fn command(&self, arguments: &str) -> Command {
        let (guest, host) = self.addresses();
        let mut qemu = self.hardware();
        qemu.arg("-kernel")
            .arg(&self.image)
            .arg("-append")
            .arg(format!(
                "-freq {} -ip {guest} -mask 255.255.255.0 -gateway {host} -- {arguments}",
                counter_mhz()
            ));
        qemu
    }

    /// The emulator's command line for the same machine without anything that it boots.
    #[must_use]
    pub fn hardware(&self) -> Command {
        let mut qemu = Command::new(QEMU);
        qemu.stdin(Stdio::null())
            // Nothing that the guest does not use is there.
            .args(["-nodefaults", "-no-user-config", "-display", "none"])
            .args(["-monitor", "none", "-serial", "stdio", "-no-reboot"])
            .args(["-machine", "pc", "-smp", "1"])
            .args(["-accel", self.accelerator.name()])
            .args(["-cpu", self.model()])
            .args(["-m", &format!("{}M", self.memory_mib)])
            .args(["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"])
            .args(["-netdev", &self.backend()])
            .args(["-device", &self.card()]);
        qemu
    }

    fn addresses(&self) -> (Ipv4Addr, Ipv4Addr) {
        match &self.network {
            Network::User => USER_NETWORK,
            Network::Tap { guest, host, .. } => (*guest, *host),
        }
    }

    fn backend(&self) -> String {
        match &self.network {
            Network::User => "user,id=net,ipv6=off".into(),
            Network::Tap { interface, .. } => {
                // Nothing is left to the host to finish: the kernel does not send with such a backend.
                format!("tap,id=net,ifname={interface},script=no,downscript=no,vnet_hdr=off")
            }
        }
    }

    /// The network card. Guests of one bridge need hardware addresses that differ: theirs end as
    /// their IPv4 addresses do, and are marked as chosen by whoever runs the machine.
    fn card(&self) -> String {
        let card = "virtio-net-pci,id=card,netdev=net,disable-legacy=on,romfile=";
        match &self.network {
            Network::User => card.into(),
            Network::Tap { guest, .. } => {
                let [a, b, c, d] = guest.octets();
                format!("{card},mac=02:7a:{a:02x}:{b:02x}:{c:02x}:{d:02x}")
            }
        }
    }

    fn model(&self) -> &str {
        match &self.processor {
            Some(model) => model,
            None => self.accelerator.processor(),
        }
    }
}

/// Whether the emulator is installed.
///
/// # Errors
/// [`MachineError::NoEmulator`] names the package that has it.
pub fn emulator() -> Result<(), MachineError> {
    let mut qemu = Command::new(QEMU);
    let output = qemu.arg("--version").stdin(Stdio::null()).output();
    output.map(drop).map_err(not_started)
}

/// Reads the token that a node hands to what it starts: one line.
///
/// # Errors
/// [`io::Error`] if it cannot be read.
pub fn read_token(input: impl BufRead) -> io::Result<Zeroizing<String>> {
    let mut line = Zeroizing::new(String::new());
    input.take(TOKEN_LINE_BYTES_MAX).read_line(&mut line)?;
    Ok(line)
}

/// Hands a token to the guest: over a file without a name, since what stands on a command line is
/// there for every process to read.
///
/// # Errors
/// [`io::Error`] if the system gives no such file. It must stay open until the emulator has read
/// it.
pub fn hand_over(token: &[u8], qemu: &mut Command) -> io::Result<OwnedFd> {
    // Inherited: the emulator opens it by its number.
    let file = rustix::fs::memfd_create("token", MemfdFlags::empty())?;
    let mut rest = token;
    while !rest.is_empty() {
        let written = rustix::io::write(&file, rest)?;
        rest = rest.get(written..).unwrap_or_default();
    }
    qemu.arg("-fw_cfg").arg(format!(
        "name={TOKEN_FILE},file=/proc/self/fd/{}",
        file.as_raw_fd()
    ));
    Ok(file)
}

/// What a failure to start the emulator means.
#[must_use]
pub fn not_started(error: io::Error) -> MachineError {
    match error.kind() {
        io::ErrorKind::NotFound => MachineError::NoEmulator,
        _ => MachineError::Emulator(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn machine(network: Network) -> Machine {
        Machine {
            image: "signer.img".into(),
            memory_mib: 64,
            accelerator: Accelerator::Emulation,
            processor: None,
            network,
        }
    }

    fn arguments(command: &Command) -> Vec<String> {
        let arguments = command.get_args();
        arguments
            .map(|argument| argument.to_string_lossy().into_owned())
            .collect()
    }

    /// What the kernel is told besides the counter's rate, which differs between hosts.
    fn behind_the_rate(append: &str) -> &str {
        let rate = append.strip_prefix("-freq ").expect("the rate comes first");
        rate.split_once(' ').expect("more comes").1
    }

    #[test]
    fn the_user_network_translates_the_nodes_address() {
        let node = "127.0.0.1:4711".parse().expect("an address");
        let command = machine(Network::User).dialling(node).expect("IPv4");
        let append = arguments(&command).pop().expect("arguments");
        assert_eq!(
            behind_the_rate(&append),
            "-ip 10.0.2.15 -mask 255.255.255.0 -gateway 10.0.2.2 -- 10.0.2.2:4711"
        );
        let node = "[::1]:4711".parse().expect("an address");
        let error = machine(Network::User).dialling(node).unwrap_err();
        assert!(matches!(error, MachineError::Address(_)), "{error}");
    }

    #[test]
    fn a_tap_dials_the_nodes_address_as_it_is() {
        let network = Network::Tap {
            interface: "zq0".into(),
            guest: Ipv4Addr::new(192, 168, 7, 2),
            host: Ipv4Addr::new(192, 168, 7, 1),
        };
        let node = "192.168.7.1:4711".parse().expect("an address");
        let command = machine(network).dialling(node).expect("IPv4");
        let arguments = arguments(&command);
        assert!(
            arguments
                .contains(&"tap,id=net,ifname=zq0,script=no,downscript=no,vnet_hdr=off".into())
        );
        let card =
            "virtio-net-pci,id=card,netdev=net,disable-legacy=on,romfile=,mac=02:7a:c0:a8:07:02";
        assert!(arguments.contains(&card.into()), "{arguments:?}");
        assert_eq!(
            behind_the_rate(arguments.last().expect("arguments")),
            "-ip 192.168.7.2 -mask 255.255.255.0 -gateway 192.168.7.1 -- 192.168.7.1:4711"
        );
    }

    #[test]
    fn less_memory_than_the_image_needs_is_refused() {
        let error = machine(Network::User).memory_mib(63).unwrap_err();
        assert_eq!(
            error.to_string(),
            "63 MiB of memory are too little: this image needs at least 64 MiB"
        );
        let more = machine(Network::User).memory_mib(65).expect("enough");
        assert!(arguments(&more.command("")).contains(&"65M".into()));
    }

    #[test]
    fn no_token_is_on_the_command_line() {
        let mut command = machine(Network::User).command("");
        let token = b"6d6f7265207365637265742074686174";
        let _file = hand_over(token, &mut command).expect("a file");
        let line = arguments(&command).join(" ");
        assert!(!line.contains(std::str::from_utf8(token).expect("text")));
        assert!(line.contains("-fw_cfg name=opt/zquorum/token,file=/proc/self/fd/"));
    }
}
