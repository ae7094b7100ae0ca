//! `linux-contained`: starts a program as a container's runtime does, in namespaces of its own for
//! network, mounts, processes, users and the rest, with nothing but its own file in sight, without
//! capabilities, behind a filter of system calls. A node starts it where it would start
//! `zq-signer`; needs root.
//!
//! It exists to be measured: a real runtime does the same, and fetches and unpacks images, keeps
//! books, meters with cgroups and carries output away, which costs more than this does.

use std::fs::File;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::{AsFd as _, AsRawFd as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode, Stdio};
use std::{env, io};

use anyhow::{Context as _, Result, bail};
use linux_guest::interface;
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_change, unmount,
};
use rustix::process::{Signal, chdir, pivot_root, set_parent_process_death_signal};
use rustix::thread::{
    LinkNameSpaceType, UnshareFlags, move_into_link_name_space, set_no_new_privs, unshare_unsafe,
};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter, apply_filter};

/// Where the new root is put together, in a mount namespace where nobody else sees it.
const ROOT: &str = "/tmp";
/// The program in its root.
const PROGRAM: &str = "/program";
const INTERFACE: &str = "eth0";

/// What a container's runtime refuses by default: what concerns the machine, other processes and
/// namespaces.
const REFUSED: [i64; 30] = [
    libc::SYS_acct,
    libc::SYS_add_key,
    libc::SYS_adjtimex,
    libc::SYS_bpf,
    libc::SYS_clock_settime,
    libc::SYS_delete_module,
    libc::SYS_finit_module,
    libc::SYS_init_module,
    libc::SYS_ioperm,
    libc::SYS_iopl,
    libc::SYS_kcmp,
    libc::SYS_kexec_load,
    libc::SYS_keyctl,
    libc::SYS_mount,
    libc::SYS_name_to_handle_at,
    libc::SYS_open_by_handle_at,
    libc::SYS_perf_event_open,
    libc::SYS_pivot_root,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_ptrace,
    libc::SYS_quotactl,
    libc::SYS_reboot,
    libc::SYS_request_key,
    libc::SYS_setns,
    libc::SYS_settimeofday,
    libc::SYS_swapon,
    libc::SYS_umount2,
    libc::SYS_unshare,
    libc::SYS_userfaultfd,
];

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("linux-contained: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Whether the program ended well.
fn run() -> Result<bool> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [node, bridge, address, program] = arguments.as_slice() else {
        bail!("linux-contained NODE-ADDRESS BRIDGE ADDRESS-ON-IT PROGRAM");
    };
    let node: SocketAddrV4 = node.parse().context("the node's address")?;

    network(bridge, address.parse()?).context("network")?;
    // Before the first child, which is process 1 of the new namespace.
    leave(
        UnshareFlags::NEWNS
            | UnshareFlags::NEWPID
            | UnshareFlags::NEWIPC
            | UnshareFlags::NEWUTS
            | UnshareFlags::NEWCGROUP,
    )?;
    root(program).context("file system")?;
    // What this user may do is left outside, and no other user is known inside.
    leave(UnshareFlags::NEWUSER)?;

    let filter = filter()?;
    let mut command = Command::new(PROGRAM);
    command.arg(node.to_string()).env_clear();
    #[allow(unsafe_code, reason = "the program is confined between fork and exec")]
    // SAFETY: system calls alone: nothing is allocated and no lock is taken.
    unsafe {
        command.pre_exec(move || {
            set_parent_process_death_signal(Some(Signal::KILL))?;
            set_no_new_privs(true)?;
            apply_filter(&filter).map_err(|_| io::Error::from(io::ErrorKind::PermissionDenied))
        });
    }
    let mut child = command.spawn().context("the program does not start")?;
    Ok(child.wait()?.success())
}

/// A network of its own, with one end of a pair of interfaces; the other is on the host's bridge.
fn network(bridge: &str, address: Ipv4Addr) -> Result<()> {
    let host = File::open("/proc/self/ns/net")?;
    leave(UnshareFlags::NEWNET)?;
    let id = std::process::id().to_string();
    let [a, b, c, d] = address.octets();
    let mut ip = Command::new("ip");
    ip.args(["link", "add", "name", &format!("zqc{id}")])
        .args(["up", "master", bridge, "type", "veth"])
        .args(["peer", "name", INTERFACE, "netns", &id])
        // The same for whoever has the address next: neighbours need not learn.
        .args(["address", &format!("02:7a:{a:02x}:{b:02x}:{c:02x}:{d:02x}")])
        .stdin(Stdio::null());
    #[allow(unsafe_code, reason = "the tool works in the network of the host")]
    // SAFETY: one system call, on a descriptor that the closure owns.
    unsafe {
        ip.pre_exec(move || {
            let network = Some(LinkNameSpaceType::Network);
            Ok(move_into_link_name_space(host.as_fd(), network)?)
        });
    }
    let status = ip.status().context("`ip`: apt-get install iproute2")?;
    if !status.success() {
        bail!("ip ends with {status}");
    }
    Ok(interface::configure(INTERFACE, address)?)
}

/// A root in which there is the program and nothing else.
fn root(program: &str) -> Result<()> {
    mount_change(
        "/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )?;
    // As this namespace sees it, and before its folder may be hidden.
    let file = File::open(program).with_context(|| program.to_owned())?;
    let seen = format!("/proc/self/fd/{}", file.as_raw_fd());
    mount("tmpfs", ROOT, "tmpfs", MountFlags::empty(), None)?;
    let place = format!("{ROOT}{PROGRAM}");
    File::create(&place)?;
    mount_bind(seen, place)?;
    chdir(ROOT)?;
    // The old root comes to lie on the new one, and is taken away.
    pivot_root(".", ".")?;
    unmount(".", UnmountFlags::DETACH)?;
    Ok(chdir("/")?)
}

#[allow(unsafe_code, reason = "namespaces are left by this call alone")]
fn leave(namespaces: UnshareFlags) -> io::Result<()> {
    // SAFETY: no flag unshares the table of files, which is what other threads could trip over.
    Ok(unsafe { unshare_unsafe(namespaces) }?)
}

fn filter() -> Result<BpfProgram> {
    let refused = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let rules = REFUSED.iter().map(|call| (*call, Vec::new())).collect();
    let target = env::consts::ARCH.try_into()?;
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refused, target)?;
    Ok(filter.try_into()?)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn what_concerns_the_machine_is_refused_and_files_are_not() {
        let confined = thread::spawn(|| {
            apply_filter(&filter().expect("a filter")).expect("seccomp");
            let refused = leave(UnshareFlags::NEWUSER).map_err(|error| error.kind());
            (refused, File::open("/proc/self/stat").is_ok())
        });
        let (refused, opened) = confined.join().expect("ends as it should");
        // A process of several threads would get another error from the kernel itself.
        assert_eq!(refused, Err(io::ErrorKind::PermissionDenied));
        assert!(opened);
    }
}
