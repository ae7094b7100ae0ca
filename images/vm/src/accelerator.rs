//! What runs the guest's instructions: the processor through KVM, or QEMU's translator.

use std::io::Read as _;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::image::Image;
use crate::machine::QEMU;

/// How long a machine may take to show that it runs.
const PROBE_TIME_MAX: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(20);
/// What an image's loader says in a machine of [`PROBE_MEMORY`]: proof that its code ran.
const REFUSAL: &str = "image does not boot: too little memory";
const PROBE_MEMORY: &str = "8M";

/// What runs the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accelerator {
    /// The host's kernel.
    Kvm,
    /// QEMU's translator: works everywhere, several times slower.
    Emulation,
}

/// What an operator asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Choice {
    /// KVM where a machine really boots with it, else software emulation.
    #[default]
    Auto,
    /// KVM.
    Kvm,
    /// Software emulation.
    Tcg,
}

impl Choice {
    /// What runs a guest of this image.
    #[must_use]
    pub fn resolve(self, image: &Image) -> Accelerator {
        match self {
            Self::Auto => Accelerator::probe(image),
            Self::Kvm => Accelerator::Kvm,
            Self::Tcg => Accelerator::Emulation,
        }
    }
}

impl Accelerator {
    /// KVM if a machine really runs with it: a device file says little.
    #[must_use]
    pub fn probe(image: &Image) -> Self {
        if runs_with(Self::Kvm, image) {
            Self::Kvm
        } else {
            Self::Emulation
        }
    }

    /// QEMU's name for it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Kvm => "kvm",
            Self::Emulation => "tcg",
        }
    }

    /// A processor with what the guests need: x86-64-v2, RDRAND, `rdfsbase`. Emulated, no newer
    /// one: vector instructions that are emulated are slower than none.
    #[must_use]
    pub const fn processor(self) -> &'static str {
        match self {
            Self::Kvm => "host",
            Self::Emulation => "Nehalem,+rdrand,+fsgsbase,+rdtscp,+xsave,+xsaveopt",
        }
    }

    /// What a person reads.
    #[must_use]
    pub const fn describe(self) -> &'static str {
        match self {
            Self::Kvm => "KVM",
            Self::Emulation => "software emulation",
        }
    }
}

/// Whether the image's loader gets as far as refusing a machine that is too small.
fn runs_with(accelerator: Accelerator, image: &Image) -> bool {
    let mut qemu = Command::new(QEMU);
    qemu.args(["-nodefaults", "-no-user-config", "-display", "none"])
        .args(["-monitor", "none", "-serial", "stdio", "-no-reboot"])
        .args(["-device", "isa-debug-exit,iobase=0xf4,iosize=0x04"])
        .args(["-accel", accelerator.name()])
        .args(["-cpu", accelerator.processor(), "-m", PROBE_MEMORY])
        .arg("-kernel")
        .arg(image.path())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let Ok(mut child) = qemu.spawn() else {
        return false;
    };
    let begun = Instant::now();
    while matches!(child.try_wait(), Ok(None)) && begun.elapsed() < PROBE_TIME_MAX {
        thread::sleep(POLL);
    }
    // It has ended, or will not.
    let _ = child.kill();
    let _ = child.wait();
    let mut console = String::new();
    let read = child
        .stdout
        .map(|mut stdout| stdout.read_to_string(&mut console));
    matches!(read, Some(Ok(_))) && console.contains(REFUSAL)
}
