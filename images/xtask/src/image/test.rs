//! `cargo xtask image test`: each of the kernel's patches in a guest, and without it.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use vm::accelerator::Accelerator;
use vm::image::Image;
use vm::machine::Machine;

use super::bed::{Boot, Nuisance, Peer, boot, closed_port, first_sequence_number};
use super::build::image;
use super::guest::Program;
use super::toolchain::Toolchain;
use super::{folder, kernel, lock};
use crate::print_line;

/// Options of `cargo xtask image test`.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask image test                       every test\n  \
    cargo xtask image test nodelay               one of them\n  \
    cargo xtask image test --without nodelay     its tests must fail on a kernel without the patch\n  \
    cargo xtask image test --without-each        so for every patch (compiles a kernel for each)")]
pub struct Options {
    /// Only tests whose name contains this text.
    filter: Option<String>,
    /// Build the kernel without this patch, and expect its tests to fail.
    #[arg(long, value_name = "PATCH", conflicts_with = "filter")]
    without: Option<String>,
    /// As --without, for one patch after another.
    #[arg(long, conflicts_with_all = ["filter", "without"])]
    without_each: bool,
}

/// The guest's side.
const PROGRAM: Program = Program {
    package: "guest-tests",
    binary: "zq-guest-tests",
    memory_mib_min: 64,
};

struct Test {
    name: &'static str,
    /// The patch without which it fails.
    patch: &'static str,
    run: fn(&Bed) -> Result<Verdict>,
}

/// What a test sees: a boot, and whether it went as it must.
struct Verdict {
    passed: bool,
    boot: Boot,
}

/// Machine and folder for the tests' guests.
struct Bed<'a> {
    image: &'a Image,
    scratch: &'a Path,
}

/// A test whose guest waits for something that does not come ends after so long.
const PATIENCE: Duration = Duration::from_secs(60);
/// The test that opens every port takes its time under emulation.
const PATIENCE_OF_MANY: Duration = Duration::from_secs(240);
/// x86-64-v2 with what the kernel needs, but without any source of randomness.
const WITHOUT_RANDOMNESS: &str = "Nehalem,+fsgsbase,+rdtscp,+xsave,+xsaveopt,-rdrand,-rdseed";
/// An address of the user network that nobody has.
const SILENT: &str = "10.0.2.77:7000";

const TESTS: &[Test] = &[
    Test {
        name: "a guest draws randomness from RDRAND",
        patch: "entropy-from-rdrand",
        run: |bed| bed.passes("randomness"),
    },
    Test {
        name: "a processor without randomness is refused with a clear message",
        patch: "entropy-without-fallback",
        run: |bed| {
            let machine = bed.machine().processor(Some(WITHOUT_RANDOMNESS.into()));
            let boot = boot(&machine, "randomness", &[], PATIENCE)?;
            let refused = boot.says("this processor has neither RDSEED nor RDRAND");
            let passed = refused && !boot.passed() && !boot.hangs;
            Ok(Verdict { passed, boot })
        },
    },
    Test {
        name: "poll with a timeout returns",
        patch: "poll-timeout",
        run: |bed| bed.passes(&format!("poll-timeout {}", Peer::start()?.seen())),
    },
    Test {
        name: "closing a connection ends though the peer does not close",
        patch: "close-limit",
        run: |bed| bed.passes(&format!("close-limit {}", Peer::start()?.seen())),
    },
    Test {
        name: "connecting ends with a reason",
        patch: "connect-timeout",
        run: |bed| bed.passes(&format!("connect-timeout {SILENT} {}", closed_port()?)),
    },
    Test {
        name: "local ports do not run out",
        patch: "ephemeral-ports",
        run: |bed| {
            let arguments = format!("ephemeral-ports {}", closed_port()?);
            Verdict::of(boot(&bed.machine(), &arguments, &[], PATIENCE_OF_MANY)?)
        },
    },
    Test {
        name: "nodelay means nodelay",
        patch: "nodelay",
        run: |bed| bed.passes(&format!("nodelay {}", Peer::start()?.seen())),
    },
    Test {
        name: "two boots at the same second begin with other sequence numbers",
        patch: "sequence-numbers",
        run: sequence_numbers,
    },
    Test {
        name: "a reservation gives back its own pages",
        patch: "partial-mappings",
        run: |bed| bed.passes("unmap-parts"),
    },
    Test {
        name: "protection leaves what is in pages",
        patch: "partial-mappings",
        run: |bed| bed.passes("protect-parts"),
    },
    Test {
        name: "memory that runs out is an error",
        patch: "partial-mappings",
        run: |bed| bed.passes("exhaustion"),
    },
    Test {
        name: "no page is writable and executable",
        patch: "write-xor-execute",
        run: |bed| bed.passes("write-and-execute"),
    },
    Test {
        name: "writing to code ends the machine",
        patch: "write-xor-execute",
        run: |bed| bed.faults("write-to-code", "code ran"),
    },
    Test {
        name: "running data ends the machine",
        patch: "fatal-faults",
        run: |bed| bed.faults("run-data", "data written"),
    },
    Test {
        name: "a thread can be woken while its timeout wakes it",
        patch: "woken-twice",
        run: |bed| bed.passes("woken-twice"),
    },
    Test {
        name: "packets that arrive during the boot do not make a guest deaf",
        patch: "raised-interrupt",
        run: early_packets,
    },
    Test {
        name: "guests do not listen",
        patch: "no-listening",
        run: |bed| bed.passes("no-listening"),
    },
];

impl Bed<'_> {
    fn machine(&self) -> Machine {
        Machine::new(self.image, Accelerator::Emulation)
    }

    fn passes(&self, arguments: &str) -> Result<Verdict> {
        Verdict::of(boot(&self.machine(), arguments, &[], PATIENCE)?)
    }

    /// The guest comes as far as saying `before`, and then faults.
    fn faults(&self, arguments: &str, before: &str) -> Result<Verdict> {
        let boot = boot(&self.machine(), arguments, &[], PATIENCE)?;
        let passed = boot.says(before) && boot.says("Page fault") && !boot.hangs;
        Ok(Verdict { passed, boot })
    }
}

impl Verdict {
    #[allow(clippy::unnecessary_wraps, reason = "ends the tests' closures")]
    fn of(boot: Boot) -> Result<Self> {
        let passed = boot.passed() && !boot.hangs;
        Ok(Self { passed, boot })
    }
}

/// The clock begins at the same second in both boots, and only runs with the machine.
fn sequence_numbers(bed: &Bed) -> Result<Verdict> {
    let peer = Peer::start()?.seen();
    let arguments = format!("sequence-numbers {peer}");
    let mut numbers = Vec::new();
    let mut last = None;
    for number in 0..2 {
        let capture = bed.scratch.join(format!("boot-{number}.pcap"));
        let dump = format!("filter-dump,id=dump,netdev=net,file={}", capture.display());
        let clock = ["-rtc", "base=2026-01-01T00:00:00,clock=vm"];
        let more = [&clock[..], &["-object", &dump]].concat();
        let boot = boot(&bed.machine(), &arguments, &more, PATIENCE)?;
        if !boot.passed() {
            return Ok(Verdict {
                passed: false,
                boot,
            });
        }
        numbers.push(first_sequence_number(&capture)?);
        last = Some(boot);
    }
    let mut boot = last.context("two boots")?;
    boot.console.push(format!("sequence numbers {numbers:?}"));
    Ok(Verdict {
        passed: numbers.first() != numbers.last(),
        boot,
    })
}

/// Frames come all the time while the guest boots, some in the very moment in which its card works
/// and nobody minds its interrupt; then it waits for an answer with nothing else to wake it.
fn early_packets(bed: &Bed) -> Result<Verdict> {
    let mut last = None;
    for _ in 0..4 {
        let peer = Peer::answering_after(Duration::from_secs(1))?;
        let nuisance = Nuisance::start(&peer)?;
        let more = nuisance.arguments();
        let more: Vec<&str> = more.iter().map(String::as_str).collect();
        let arguments = format!("late-answer {}", peer.seen());
        let verdict = Verdict::of(boot(&bed.machine(), &arguments, &more, PATIENCE)?)?;
        if !verdict.passed {
            return Ok(verdict);
        }
        last = Some(verdict);
    }
    last.context("four boots")
}

/// Runs what the options say; fails if a test does, or does not where it must.
pub fn run(root: &Path, options: &Options) -> Result<()> {
    // For the whole run: a kernel without a patch stands where the whole one does.
    let _lock = lock(root)?;
    let toolchain = Toolchain::find(root)?;
    let mut tally = Tally::default();
    if options.without_each {
        let mut patches: Vec<&str> = TESTS.iter().map(|test| test.patch).collect();
        patches.dedup();
        for patch in patches {
            without(root, &toolchain, patch, &mut tally)?;
        }
    } else if let Some(patch) = &options.without {
        without(root, &toolchain, patch, &mut tally)?;
    } else {
        let kernel = kernel::build(root, &toolchain, &folder(root).join("kernel"), None)?;
        let filter = options.filter.as_deref().unwrap_or_default();
        let chosen = TESTS
            .iter()
            .filter(|test| test.name.contains(filter) || test.patch.contains(filter));
        let chosen: Vec<&Test> = chosen.collect();
        run_tests(root, &toolchain, &kernel, &chosen, true, &mut tally)?;
    }
    println!("{} passed, {} failed", tally.passed, tally.failed);
    if tally.failed > 0 || tally.passed == 0 {
        bail!("the kernel's tests do not pass");
    }
    Ok(())
}

#[derive(Default)]
struct Tally {
    passed: usize,
    failed: usize,
}

/// The tests of a patch, on a kernel without it: every one must fail.
fn without(root: &Path, toolchain: &Toolchain, patch: &str, tally: &mut Tally) -> Result<()> {
    print_line(&format!("guest tests: a kernel without {patch}"));
    // In the place of the whole kernel, so that what both are made of is compiled once.
    let out = folder(root).join("kernel");
    let kernel = kernel::build(root, toolchain, &out, Some(patch))?;
    let chosen: Vec<&Test> = TESTS.iter().filter(|test| test.patch == patch).collect();
    if chosen.is_empty() {
        bail!("the patch {patch} has no guest test");
    }
    run_tests(root, toolchain, &kernel, &chosen, false, tally)
}

fn run_tests(
    root: &Path,
    toolchain: &Toolchain,
    kernel: &kernel::Kernel,
    tests: &[&Test],
    must_pass: bool,
    tally: &mut Tally,
) -> Result<()> {
    let (path, _) = image(root, toolchain, kernel, PROGRAM)?;
    let image = Image::open(&path)?;
    let bed = Bed {
        image: &image,
        scratch: &folder(root),
    };
    for test in tests {
        let began = Instant::now();
        let verdict = (test.run)(&bed).with_context(|| test.name.to_string())?;
        let seconds = began.elapsed().as_secs_f64();
        if verdict.passed == must_pass {
            tally.passed += 1;
            let how = if must_pass { "ok" } else { "ok: fails without" };
            println!("  {how} {} ({seconds:.1} s)", test.name);
        } else {
            tally.failed += 1;
            let how = if must_pass {
                "FAILED"
            } else {
                "FAILED: passes without its patch:"
            };
            println!(
                "  {how} {} ({seconds:.1} s)\n      {}",
                test.name,
                verdict.boot.tail()
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Patches that no guest test is about: one lets the kernel compile, the other is what
    /// `cargo xtask image reproduce` sees.
    const SEEN_BY_THE_BUILD: [&str; 2] = ["naked-attribute", "build-time"];

    #[test]
    fn every_patch_has_a_guest_test() {
        let series = crate::workspace_root().join("images/kernel/patches/series");
        let series = std::fs::read_to_string(series).expect("there");
        for patch in series.lines() {
            let tested = TESTS.iter().any(|test| test.patch == patch);
            assert!(tested != SEEN_BY_THE_BUILD.contains(&patch), "{patch}");
        }
    }
}
