//! What a child that touches a stranger's module may still do: compute, and talk over the streams
//! that it already has.
//!
//! Caps on its memory, no core dump, and a seccomp filter on every thread: a module that breaks
//! out of compiler or engine finds a process that can open no file, no socket and no other
//! process. A kernel without seccomp runs no such child.

use anyhow::{Context as _, Result};
use rustix::process::{Resource, Rlimit, setrlimit};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

/// What memory management, synchronisation, streams and the end of a process need.
const ALLOWED: [i64; 29] = [
    libc::SYS_read,
    libc::SYS_readv,
    libc::SYS_recvfrom,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_sendto,
    libc::SYS_close,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_mprotect,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_futex,
    libc::SYS_membarrier,
    libc::SYS_sched_yield,
    libc::SYS_sched_getaffinity,
    libc::SYS_getrandom,
    libc::SYS_clock_gettime,
    libc::SYS_gettid,
    libc::SYS_getpid,
    libc::SYS_sigaltstack,
    libc::SYS_rt_sigaction,
    libc::SYS_rt_sigprocmask,
    libc::SYS_rt_sigreturn,
    libc::SYS_restart_syscall,
    libc::SYS_set_robust_list,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// Caps the address space, and the processor time if it is given; forbids core dumps.
///
/// # Errors
/// If the system refuses the limits.
pub fn limit(memory_bytes: u64, cpu_seconds: Option<u64>) -> Result<()> {
    let limit = |maximum| Rlimit {
        current: Some(maximum),
        maximum: Some(maximum),
    };
    setrlimit(Resource::As, limit(memory_bytes)).context("memory limit")?;
    setrlimit(Resource::Core, limit(0)).context("core limit")?;
    if let Some(seconds) = cpu_seconds {
        setrlimit(Resource::Cpu, limit(seconds)).context("processor limit")?;
    }
    Ok(())
}

/// From here on, any other system call of any thread fails. There is no way back. It does not end
/// the process: the C library's allocator asks for `/proc/sys/vm/overcommit_memory` when it gives
/// memory back, and copes without an answer.
///
/// # Errors
/// If the kernel has no seccomp.
pub fn confine() -> Result<()> {
    let filter = filter()?;
    seccompiler::apply_filter_all_threads(&filter).context("seccomp")
}

fn filter() -> Result<BpfProgram> {
    let otherwise = SeccompAction::Errno(libc::EPERM.unsigned_abs());
    let rules = ALLOWED.iter().map(|call| (*call, Vec::new())).collect();
    let target = std::env::consts::ARCH.try_into()?;
    let filter = SeccompFilter::new(rules, otherwise, SeccompAction::Allow, target)?;
    Ok(filter.try_into()?)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::net::TcpListener;
    use std::process::Command;

    use super::*;

    #[test]
    fn a_confined_thread_computes_and_reaches_nothing() {
        let confined = std::thread::spawn(|| {
            seccompiler::apply_filter(&filter().expect("a filter")).expect("seccomp");
            let errors = [
                File::open("/proc/self/environ").err(),
                File::create("/tmp/zquorum-confined").err(),
                TcpListener::bind("127.0.0.1:0").err(),
                Command::new("true").spawn().err(),
            ];
            let computed: u64 = vec![1_u64; 1 << 16].iter().sum();
            (
                errors.map(|error| error.map(|error| error.kind())),
                computed,
            )
        });
        let (errors, computed) = confined.join().expect("ends as it should");
        let denied = Some(std::io::ErrorKind::PermissionDenied);
        assert_eq!(errors, [denied; 4]);
        assert_eq!(computed, 1 << 16);
    }
}
