//! Committees whose guests run in virtual machines: what their nodes are told, and taps.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// How guests are booted.
#[derive(Clone, Debug)]
pub struct Machines {
    /// Folder of the images.
    pub images: PathBuf,
    /// `auto`, `kvm` or `tcg`.
    pub accelerator: String,
    /// Whether guests have tap devices in place of QEMU's user network.
    pub taps: bool,
    /// The members whose guests they are; those of the others are processes. All without.
    pub slots: Option<Vec<u16>>,
}

impl Machines {
    pub(crate) fn has(&self, slot: u16) -> bool {
        self.slots
            .as_ref()
            .is_none_or(|slots| slots.contains(&slot))
    }

    /// Arguments of `zq-node init`.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let images = self.images.display().to_string();
        vec![
            "--images".into(),
            images,
            "--accel".into(),
            self.accelerator.clone(),
        ]
    }
}

/// The guests of a member, in the words of `zq-node run`.
const ROLES: [&str; 3] = ["signer", "executor", "coordinator"];

/// A bridge of this host with a tap device for each guest. Guests reach the bridge's address and
/// not each other. It goes with this value; what a killed process leaves behind, `ip link` shows
/// as `zq…`.
#[derive(Debug)]
pub(crate) struct Taps {
    name: String,
    subnet: [u8; 3],
}

impl Taps {
    /// Makes the bridge and three devices for each of `members`.
    ///
    /// # Errors
    /// If this user may not make network devices, or `ip` is not installed.
    pub(crate) fn make(members: u16) -> Result<Self> {
        let mut random = [0; 4];
        getrandom::getrandom(&mut random).context("no randomness from the system")?;
        let [a, b, name @ ..] = random;
        let taps = Self {
            name: format!("zq{}", hex::encode(name)),
            // Somewhere in 10.64.0.0/10.
            subnet: [10, 64 | (a >> 2), b],
        };
        let bridge = taps.name.as_str();
        ip(&["link", "add", bridge, "type", "bridge"])?;
        ip(&[
            "address",
            "add",
            &format!("{}/24", taps.host()),
            "dev",
            bridge,
        ])?;
        ip(&["link", "set", bridge, "up"])?;
        for slot in 1..=members {
            for role in 0..ROLES.len() {
                let tap = taps.device(slot, role);
                ip(&["tuntap", "add", &tap, "mode", "tap"])?;
                ip(&["link", "set", &tap, "master", bridge, "up"])?;
                ip(&[
                    "link",
                    "set",
                    &tap,
                    "type",
                    "bridge_slave",
                    "isolated",
                    "on",
                ])?;
            }
        }
        Ok(taps)
    }

    /// Arguments of `zq-node run` for a member.
    pub(crate) fn arguments(&self, slot: u16) -> Result<Vec<String>> {
        let mut arguments = Vec::new();
        for (number, role) in ROLES.iter().enumerate() {
            let device = self.device(slot, number);
            let guest = self.guest(slot, number)?;
            arguments.push("--tap".into());
            arguments.push(format!("{role}={device},{guest},{}", self.host()));
        }
        Ok(arguments)
    }

    fn device(&self, slot: u16, role: usize) -> String {
        format!("{}-{slot}{role}", self.name)
    }

    fn host(&self) -> String {
        let [a, b, c] = self.subnet;
        format!("{a}.{b}.{c}.1")
    }

    fn guest(&self, slot: u16, role: usize) -> Result<String> {
        let [a, b, c] = self.subnet;
        let number = usize::from(slot) * ROLES.len() + role;
        match u8::try_from(number) {
            Ok(number @ 2..=254) => Ok(format!("{a}.{b}.{c}.{number}")),
            _ => bail!("a committee with taps has at most 84 members"),
        }
    }
}

impl Drop for Taps {
    fn drop(&mut self) {
        // Whatever there is of it; what is left over disturbs nobody.
        let list = Command::new("ip")
            .args(["-o", "link", "show", "master", &self.name])
            .output();
        let list = list.map(|list| list.stdout).unwrap_or_default();
        let list = String::from_utf8_lossy(&list).into_owned();
        let devices = list.lines().filter_map(|line| line.split(": ").nth(1));
        for device in devices.chain([self.name.as_str()]) {
            let _ = ip(&["link", "delete", device]);
        }
    }
}

fn ip(arguments: &[&str]) -> Result<()> {
    let output = Command::new("ip")
        .args(arguments)
        .stdin(Stdio::null())
        .output();
    let output = output.context("`ip` does not start: apt-get install iproute2")?;
    if !output.status.success() {
        bail!(
            "ip {}: {} (tap devices need root, or CAP_NET_ADMIN)",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_guest_has_a_device_and_an_address_of_its_own() {
        let taps = Taps {
            name: "zq0102".into(),
            subnet: [10, 64, 0],
        };
        let mut seen = std::collections::BTreeSet::new();
        for slot in 1..=84 {
            for argument in taps.arguments(slot).expect("an address") {
                if argument != "--tap" {
                    let tap = argument.split('=').nth(1).expect("a tap").to_owned();
                    let parts: Vec<_> = tap.split(',').map(str::to_owned).collect();
                    assert!(parts[0].len() < 16, "{tap}: Linux cuts longer names off");
                    assert!(seen.insert(parts[0].clone()) && seen.insert(parts[1].clone()));
                }
            }
        }
        assert!(taps.arguments(85).is_err());
        // Nothing was made: nothing is to be deleted.
        std::mem::forget(taps);
    }
}
