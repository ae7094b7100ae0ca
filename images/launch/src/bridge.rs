//! A bridge of this host, to which guests are attached.

use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

/// A bridge with an address of this host in a network of 254. It goes with this value, and what
/// is attached to it; what a killed process leaves behind, `ip link` shows as `zq…`.
#[derive(Debug)]
pub struct Bridge {
    name: String,
    subnet: [u8; 3],
}

impl Bridge {
    /// Makes a bridge with a name and a network of its own, and switches it on.
    ///
    /// # Errors
    /// If this user may not make network devices, or `ip` is not installed.
    pub fn make() -> Result<Self> {
        let mut random = [0; 4];
        getrandom::getrandom(&mut random).context("no randomness from the system")?;
        let [a, b, name @ ..] = random;
        // Somewhere in 10.64.0.0/10.
        let bridge = Self::named(format!("zq{}", hex::encode(name)), [10, 64 | (a >> 2), b]);
        let name = bridge.name.as_str();
        ip(&["link", "add", name, "type", "bridge"])?;
        let address = format!("{}/24", bridge.host());
        ip(&["address", "add", &address, "dev", name])?;
        ip(&["link", "set", name, "up"])?;
        Ok(bridge)
    }

    pub(crate) const fn named(name: String, subnet: [u8; 3]) -> Self {
        Self { name, subnet }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The address of this host on it.
    #[must_use]
    pub const fn host(&self) -> Ipv4Addr {
        self.address(1)
    }

    /// The address that ends in `number`: the host's is 1, guests have 2 to 254.
    #[must_use]
    pub const fn address(&self, number: u8) -> Ipv4Addr {
        let [a, b, c] = self.subnet;
        Ipv4Addr::new(a, b, c, number)
    }
}

impl Drop for Bridge {
    fn drop(&mut self) {
        // Whatever there is of it; what is left over disturbs nobody.
        let list = Command::new("ip")
            .args(["-o", "link", "show", "master", &self.name])
            .output();
        let list = list.map(|list| list.stdout).unwrap_or_default();
        let list = String::from_utf8_lossy(&list).into_owned();
        let devices = list.lines().filter_map(|line| line.split(": ").nth(1));
        // A pair's end is shown with where the other one is: `name@if2`.
        let devices = devices.filter_map(|device| device.split('@').next());
        for device in devices.chain([self.name.as_str()]) {
            let _ = ip(&["link", "delete", device]);
        }
    }
}

/// Runs `ip` with these arguments.
pub(crate) fn ip(arguments: &[&str]) -> Result<()> {
    let output = Command::new("ip")
        .args(arguments)
        .stdin(Stdio::null())
        .output();
    let output = output.context("`ip` does not start: apt-get install iproute2")?;
    if !output.status.success() {
        bail!(
            "ip {}: {} (network devices need root, or CAP_NET_ADMIN)",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}
