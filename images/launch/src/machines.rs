//! Committees whose guests run in virtual machines: what their nodes are told, and taps.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use anyhow::{Result, bail};

use crate::bridge::{Bridge, ip};

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
/// not each other.
#[derive(Debug)]
pub(crate) struct Taps {
    bridge: Bridge,
}

impl Taps {
    /// Makes the bridge and three devices for each of `members`.
    ///
    /// # Errors
    /// If this user may not make network devices, or `ip` is not installed.
    pub(crate) fn make(members: u16) -> Result<Self> {
        let taps = Self {
            bridge: Bridge::make()?,
        };
        for slot in 1..=members {
            for role in 0..ROLES.len() {
                let tap = taps.device(slot, role);
                ip(&["tuntap", "add", &tap, "mode", "tap"])?;
                ip(&["link", "set", &tap, "master", taps.bridge.name(), "up"])?;
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
            arguments.push(format!("{role}={device},{guest},{}", self.bridge.host()));
        }
        Ok(arguments)
    }

    fn device(&self, slot: u16, role: usize) -> String {
        format!("{}-{slot}{role}", self.bridge.name())
    }

    fn guest(&self, slot: u16, role: usize) -> Result<Ipv4Addr> {
        let number = usize::from(slot) * ROLES.len() + role;
        match u8::try_from(number) {
            Ok(number @ 2..=254) => Ok(self.bridge.address(number)),
            _ => bail!("a committee with taps has at most 84 members"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_guest_has_a_device_and_an_address_of_its_own() {
        let taps = Taps {
            bridge: Bridge::named("zq0102".into(), [10, 64, 0]),
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
