//! The comparison as a table and as JSON, and which goals are met.

use std::time::Duration;

use serde_json::{Value, json};
use vm::accelerator::Accelerator;
use vm::machine::QEMU;

use super::lines::Lines;
use super::linux::Linux;
use crate::command;
use crate::image::build::mebibytes;

/// What one subject was measured at.
pub struct Figures {
    pub name: &'static str,
    /// Bytes of what is started.
    pub size_bytes: u64,
    /// From the start of emulator or process to the first byte of the hello: median, and range.
    pub connected: Duration,
    pub fastest: Duration,
    pub slowest: Duration,
    /// Of the emulator or the process, once it has waited.
    pub resident_kib: u64,
    pub proportional_kib: u64,
    /// Of a core.
    pub idle_percent: f64,
    /// A guest's memory: the least that it connects with, and what it had when it was measured.
    pub least_memory_mib: Option<u64>,
    pub given_memory_mib: Option<u64>,
}

/// All that was measured.
pub struct Report {
    pub accelerator: Accelerator,
    pub boots: usize,
    /// Resident memory of an emulator without a guest.
    pub emulator_kib: u64,
    /// The image and the Linux guest come first.
    pub figures: Vec<Figures>,
    pub kernel_bytes: u64,
    pub linux: Linux,
    pub lines: Lines,
}

/// A goal that the image has, and what was measured.
struct Goal {
    what: &'static str,
    measured: f64,
    at_most: f64,
    unit: &'static str,
}

impl Report {
    /// For a person.
    pub fn print(&self) {
        println!("{}", self.conditions());
        println!(
            "{:<14} {:>10} {:>18} {:>10} {:>11} {:>9} {:>9} {:>8} {:>6}",
            "", "connected", "range", "size", "resident", "Pss", "idle CPU", "least", "given"
        );
        for figures in &self.figures {
            println!("{}", figures.line());
        }
        println!(
            "an emulator that runs nothing: {:.0} MiB resident",
            mebibytes(self.emulator_kib * 1024)
        );
        println!();
        self.print_trusted_base();
        println!();
        for goal in self.goals() {
            println!("{}", goal.line());
        }
    }

    fn print_trusted_base(&self) {
        let lines = &self.lines;
        println!(
            "below the program, lines of Rust and assembly that were compiled (upper bounds):"
        );
        println!("  hermit-kernel              {:>8}", lines.kernel);
        println!("    of these our patches     {:>8}", lines.patches);
        println!(
            "  {:>3} crates that it links   {:>8}",
            lines.kernel_crates.count, lines.kernel_crates.lines
        );
        println!("  loader                     {:>8}", lines.loader);
        println!(
            "  {:>3} more crates            {:>8}",
            lines.loader_crates.count, lines.loader_crates.lines
        );
        println!("  together                   {:>8}", lines.total());
        let linux = &self.linux.lines;
        println!(
            "{}, lines of C and assembly that were compiled (upper bounds):",
            self.linux.package
        );
        println!(
            "  {:>5} sources              {:>8}",
            linux.sources, linux.source_lines
        );
        println!(
            "  {:>5} headers              {:>8}",
            linux.headers, linux.header_lines
        );
        println!("  together                   {:>8}", linux.total());
        println!(
            "  {:.1} MiB compressed kernel, {} of its modules built in, {:.1} MiB of modules loaded",
            mebibytes(self.kernel_bytes),
            self.linux.built_in,
            mebibytes(self.linux.modules_bytes),
        );
    }

    /// For a program.
    pub fn json(&self) -> Value {
        let subjects: Vec<Value> = self.figures.iter().map(Figures::json).collect();
        let goals: Vec<Value> = self.goals().iter().map(Goal::json).collect();
        json!({
            "accelerator": self.accelerator.name(),
            "emulator": emulator(),
            "boots": self.boots,
            "subjects": subjects,
            "emulator_alone_resident_kib": self.emulator_kib,
            "lines": {
                "kernel": self.lines.kernel,
                "patches": self.lines.patches,
                "loader": self.lines.loader,
                "kernel_crates": self.lines.kernel_crates.count,
                "kernel_crates_lines": self.lines.kernel_crates.lines,
                "loader_crates": self.lines.loader_crates.count,
                "loader_crates_lines": self.lines.loader_crates.lines,
                "total": self.lines.total(),
            },
            "linux": {
                "package": self.linux.package,
                "kernel_bytes": self.kernel_bytes,
                "modules_built_in": self.linux.built_in,
                "modules_loaded_bytes": self.linux.modules_bytes,
                "sources": self.linux.lines.sources,
                "sources_lines": self.linux.lines.source_lines,
                "headers": self.linux.lines.headers,
                "headers_lines": self.linux.lines.header_lines,
                "total": self.linux.lines.total(),
                "kernel": self.linux.guest.kernel,
                "initramfs": self.linux.guest.initramfs,
                "signer": self.linux.signer,
                "contained": self.linux.contained,
            },
            "goals": goals,
        })
    }

    fn conditions(&self) -> String {
        format!(
            "under {}, {}, {} starts of each, alternately; medians",
            self.accelerator.describe(),
            emulator(),
            self.boots
        )
    }

    fn goals(&self) -> Vec<Goal> {
        let [image, linux, ..] = self.figures.as_slice() else {
            return Vec::new();
        };
        let least = |figures: &Figures| figures.least_memory_mib.unwrap_or(0);
        vec![
            Goal {
                what: "boot to connected, of the Linux guest's",
                measured: image.connected.as_secs_f64() / linux.connected.as_secs_f64(),
                at_most: 1.0 / 5.0,
                unit: "",
            },
            Goal {
                what: "resident memory, of the Linux guest's",
                measured: mebibytes(image.resident_kib) / mebibytes(linux.resident_kib),
                at_most: 1.0 / 3.0,
                unit: "",
            },
            Goal {
                what: "least memory, of the Linux guest's",
                measured: mebibytes(least(image)) / mebibytes(least(linux)),
                at_most: 1.0 / 3.0,
                unit: "",
            },
            Goal {
                what: "size of the image",
                measured: mebibytes(image.size_bytes),
                at_most: 4.0,
                unit: " MiB",
            },
            Goal {
                what: "idle, of a core",
                measured: image.idle_percent,
                at_most: 2.0,
                unit: " %",
            },
        ]
    }
}

impl Figures {
    fn line(&self) -> String {
        let mib = |figure: Option<u64>| figure.map_or("–".into(), |mib| format!("{mib} MiB"));
        format!(
            "{:<14} {:>7.1} ms {:>18} {:>6.1} MiB {:>7.1} MiB {:>5.1} MiB {:>6.2} % {:>9} {:>7}",
            self.name,
            milliseconds(self.connected),
            format!(
                "{:.0} to {:.0} ms",
                milliseconds(self.fastest),
                milliseconds(self.slowest)
            ),
            mebibytes(self.size_bytes),
            mebibytes(self.resident_kib * 1024),
            mebibytes(self.proportional_kib * 1024),
            self.idle_percent,
            mib(self.least_memory_mib),
            mib(self.given_memory_mib),
        )
    }

    fn json(&self) -> Value {
        json!({
            "name": self.name,
            "size_bytes": self.size_bytes,
            "boot_to_connected_ms": milliseconds(self.connected),
            "boot_to_connected_ms_min": milliseconds(self.fastest),
            "boot_to_connected_ms_max": milliseconds(self.slowest),
            "resident_kib": self.resident_kib,
            "proportional_kib": self.proportional_kib,
            "idle_percent": self.idle_percent,
            "least_memory_mib": self.least_memory_mib,
            "given_memory_mib": self.given_memory_mib,
        })
    }
}

impl Goal {
    fn is_met(&self) -> bool {
        self.measured <= self.at_most
    }

    fn line(&self) -> String {
        format!(
            "{:<42} {:>6.2}{} (at most {:.2}{}): {}",
            self.what,
            self.measured,
            self.unit,
            self.at_most,
            self.unit,
            if self.is_met() { "met" } else { "MISSED" }
        )
    }

    fn json(&self) -> Value {
        json!({
            "what": self.what,
            "measured": self.measured,
            "at_most": self.at_most,
            "met": self.is_met(),
        })
    }
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// The emulator as it names itself.
fn emulator() -> String {
    let printed = command::printed(QEMU, &["--version"]);
    let first = printed
        .as_deref()
        .and_then(|printed| printed.lines().next());
    first.unwrap_or(QEMU).to_string()
}
