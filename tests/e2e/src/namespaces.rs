//! A network of namespaces: each member has one of its own with a real network stack, joined to
//! the others by a bridge in one more, the hub.
//!
//! Namespaces have no names: they last as long as this process or one in them does, so nothing is
//! left behind, however a test ends.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::Ipv4Addr;
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::process::{Command, Stdio};
use std::thread;

use anyhow::{Context as _, Result, bail};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// The hub and the members' namespaces, by slot.
pub struct Namespaces {
    hub: File,
    members: Vec<File>,
}

impl Namespaces {
    /// Makes as many members' namespaces, or prints the line that counts as a skip.
    #[must_use]
    pub fn make(test: &str, members: u8) -> Option<Self> {
        let made = Self::try_make(members);
        let skipped = |error: &anyhow::Error| println!("SKIP: {test}: {error:#}");
        made.inspect_err(skipped).ok()
    }

    fn try_make(members: u8) -> Result<Self> {
        let spaces: Result<Vec<File>> = (0..members).map(|_| namespace()).collect();
        let spaces = Self {
            hub: namespace()?,
            members: spaces?,
        };
        let mut hub = format!(
            "link set lo up\nlink add hub0 type bridge\naddress add {}/24 dev hub0\nlink set hub0 up\n",
            address(HUB)
        );
        for (slot, space) in (1..).zip(&spaces.members) {
            let (mac, process, fd) = (mac(slot), std::process::id(), space.as_raw_fd());
            hub += &format!(
                "link add m{slot} type veth peer name eth0 address {mac} netns /proc/{process}/fd/{fd}\n\
                 link set m{slot} master hub0 up\n"
            );
        }
        spaces.in_hub(|| ip(&hub))?;
        for slot in 1..=members {
            let mut own = format!(
                "link set lo up\naddress add {}/24 dev eth0\nlink set eth0 up\n",
                address(slot)
            );
            for other in (1..=members).filter(|other| *other != slot) {
                own += &neighbour(other, &mac(other));
            }
            spaces.at(slot.into(), || ip(&own))?;
        }
        Ok(spaces)
    }

    /// Runs something in the hub, from which all members are reached; threads and processes that it
    /// starts are there, too.
    ///
    /// # Errors
    /// Those of `run`, or that a namespace cannot be entered.
    pub fn in_hub<T: Send>(&self, run: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        within(&self.hub, run)
    }

    /// Runs something in the namespace of a member.
    ///
    /// # Errors
    /// Those of `run`, or that there is no such namespace.
    pub fn at<T: Send>(&self, slot: u16, run: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        let space = self.members.get(usize::from(slot).wrapping_sub(1));
        within(space.context("a member's namespace")?, run)
    }

    /// Lets packets from one member to another through, or drops them silently. Connections stay,
    /// and so do packets the other way, acknowledgements of them excepted.
    ///
    /// # Errors
    /// If there is no such member.
    pub fn drop_packets(&self, from: u16, to: u8, dropped: bool) -> Result<()> {
        // A bridge gives a frame to everybody if it knows nobody of that name, and nobody takes it.
        let mac = if dropped { NOBODY.into() } else { mac(to) };
        self.at(from, || ip(&neighbour(to, &mac)))
    }
}

/// Address of a member.
#[must_use]
pub const fn address(slot: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 77, 0, slot)
}

fn mac(slot: u8) -> String {
    format!("02:00:00:00:00:{slot:02x}")
}

fn neighbour(slot: u8, mac: &str) -> String {
    let address = address(slot);
    format!("neighbour replace {address} lladdr {mac} nud permanent dev eth0\n")
}

/// A network namespace that lasts while its file is open or a process is in it.
fn namespace() -> Result<File> {
    // What it prints shows that it is there.
    let mut holder = Command::new("unshare")
        .args(["--net", "cat"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("`unshare` does not start: apt-get install util-linux")?;
    let mut input = holder.stdin.take().context("a pipe")?;
    let mut output = holder.stdout.take().context("a pipe")?;
    // One that has ended already takes nothing; what it said is shown below.
    let _ = input.write_all(b"\n");
    let there = output.read_exact(&mut [0]).is_ok();
    let space = File::open(format!("/proc/{}/ns/net", holder.id()));
    drop(input);
    let ended = holder.wait_with_output()?;
    if !there {
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        bail!("network namespaces need root: {}", said.trim());
    }
    Ok(space?)
}

fn within<T: Send>(space: &File, run: impl FnOnce() -> Result<T> + Send) -> Result<T> {
    let inside = || {
        move_into_link_name_space(space.as_fd(), Some(LinkNameSpaceType::Network))?;
        run()
    };
    // A thread's namespace is its own, and its children's.
    let ran = thread::scope(|scope| scope.spawn(inside).join());
    ran.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Runs these lines in `ip`.
fn ip(lines: &str) -> Result<()> {
    let mut ip = Command::new("ip")
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("`ip` does not start: apt-get install iproute2")?;
    // Dropped at the end of the statement, which ends its input.
    let written = ip
        .stdin
        .take()
        .context("a pipe")?
        .write_all(lines.as_bytes());
    let ended = ip.wait_with_output()?;
    if !ended.status.success() {
        let said = String::from_utf8_lossy(&ended.stderr).into_owned();
        bail!("ip: {} (network devices need root)", said.trim());
    }
    Ok(written?)
}

/// The hub's number among the members'.
const HUB: u8 = 254;
/// An address that no device has.
const NOBODY: &str = "02:00:00:00:ff:ff";
