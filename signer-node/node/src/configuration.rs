//! `node.toml` in the data directory: what `zq-node run` is told on a server, so that its command
//! line is the directory and nothing else. Whatever the command line says wins.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use link::local::Role;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use vm::accelerator::Choice;

use crate::chain::{self, ChainSettings};
use crate::compile::EngineChoice;
use crate::disk::Disk;
use crate::files;
use crate::images::role_of;
use crate::observe::rules::Rules;
use crate::peers::Peer;

/// The file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Configuration {
    /// The committee's creation record; relative paths begin at the data directory.
    pub record: Option<PathBuf>,
    /// File with the passphrase, likewise.
    pub passphrase_file: Option<PathBuf>,
    /// Address of the HTTP API.
    pub http: Option<String>,
    /// Address of the peers' port.
    pub peers_listen: Option<String>,
    /// Address of the guests' port.
    pub guests_listen: Option<String>,
    /// What the executor runs zApps with.
    pub engine: Option<EngineChoice>,
    /// HOST:PORT of the other members' nodes, by slot.
    #[serde(default)]
    peers: BTreeMap<String, String>,
    /// Which sources this node looks at for requests that name some.
    #[serde(default)]
    pub observe: Rules,
    /// The operator's NoM nodes.
    #[serde(default)]
    pub nom: NomConfiguration,
    /// Virtual machines for the guests.
    #[serde(default)]
    pub machines: MachineConfiguration,
}

/// `[nom]`: the operator's own nodes of the Network of Momentum.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NomConfiguration {
    /// http://host:port of their RPCs; none for a member that follows no chain.
    #[serde(default)]
    pub rpc: Vec<String>,
    /// How many momentums deep a block counts.
    pub confirmations: Option<u64>,
    /// Steps from one anchor to the next, 0 for none.
    pub anchor_every: Option<u64>,
}

impl NomConfiguration {
    /// What the chain adapter runs with; `None` without a node.
    ///
    /// # Errors
    /// If a number is out of its bounds.
    pub fn settings(self) -> Result<Option<ChainSettings>> {
        if self.rpc.is_empty() {
            return Ok(None);
        }
        let confirmations = self.confirmations.unwrap_or(chain::CONFIRMATIONS);
        let anchor_every = self.anchor_every.unwrap_or(chain::ANCHOR_EVERY);
        ChainSettings::new(self.rpc, confirmations, anchor_every).map(Some)
    }
}

/// `[machines]`: guests in virtual machines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MachineConfiguration {
    /// Folder of the images; relative paths begin at the data directory.
    pub images: Option<PathBuf>,
    /// What runs them.
    pub accel: Option<Choice>,
    /// Memory in MiB, by guest.
    #[serde(default, deserialize_with = "by_role")]
    pub memory_mib: BTreeMap<Role, u64>,
    /// Tap devices in place of QEMU's user network, by guest: NAME,GUEST-ADDRESS,HOST-ADDRESS.
    #[serde(default, deserialize_with = "by_role")]
    pub taps: BTreeMap<Role, String>,
}

/// A table whose keys are the guests' names, as everywhere in what operators read.
fn by_role<'de, D, T>(deserializer: D) -> Result<BTreeMap<Role, T>, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    let table = BTreeMap::<String, T>::deserialize(deserializer)?;
    let entries = table.into_iter().map(|(role, value)| {
        let unknown = || D::Error::custom(format!("{role} is no guest"));
        Ok((role_of(&role).ok_or_else(unknown)?, value))
    });
    entries.collect()
}

impl Configuration {
    /// Reads the file of a data directory; without one nothing is configured.
    ///
    /// # Errors
    /// If the file cannot be read, or says what this version does not know.
    pub fn load(dir: &Path, disk: &dyn Disk) -> Result<Self> {
        let Some(bytes) = disk.load(files::CONFIGURATION, FILE_BYTES_MAX)? else {
            return Ok(Self::default());
        };
        let path = dir.join(files::CONFIGURATION);
        let text = String::from_utf8(bytes).with_context(|| path.display().to_string())?;
        Self::parse(&text, dir).with_context(|| path.display().to_string())
    }

    /// RPCs of the operator's NoM nodes: those given, or else the file's.
    ///
    /// # Errors
    /// If the file cannot be read or is not understood.
    pub fn nom_rpc(given: &[String], dir: &Path, disk: &dyn Disk) -> Result<Vec<String>> {
        match given.is_empty() {
            true => Ok(Self::load(dir, disk)?.nom.rpc),
            false => Ok(given.to_vec()),
        }
    }

    fn parse(text: &str, dir: &Path) -> Result<Self> {
        let mut configuration: Self = toml::from_str(text)?;
        let paths = [
            &mut configuration.record,
            &mut configuration.passphrase_file,
            &mut configuration.machines.images,
        ];
        for path in paths.into_iter().flatten() {
            *path = dir.join(&*path);
        }
        configuration.peers()?;
        Ok(configuration)
    }

    /// The other nodes.
    ///
    /// # Errors
    /// If a slot is no number.
    pub fn peers(&self) -> Result<Vec<Peer>> {
        let peers = self.peers.iter();
        peers
            .map(|(slot, address)| {
                let peer = format!("{slot}={address}").parse();
                peer.with_context(|| format!("peers: {slot} = {address:?}"))
            })
            .collect()
    }
}

const FILE_BYTES_MAX: u64 = 64 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_says_what_the_command_line_can_say() {
        let text = r#"
            record = "committee.record"
            passphrase_file = "/etc/zquorum/passphrase"
            http = "127.0.0.1:8080"
            peers_listen = "0.0.0.0:7350"
            engine = "wasmi"
            [peers]
            2 = "two.example.org:7350"
            3 = "10.0.0.3:7350"
            [nom]
            rpc = ["http://127.0.0.1:35997"]
            confirmations = 12
            [machines]
            images = "images"
            accel = "kvm"
            memory_mib = { executor = 512 }
            taps = { signer = "zq0,10.7.0.2,10.7.0.1" }
        "#;
        let dir = Path::new("/var/lib/zquorum");
        let read = Configuration::parse(text, dir).expect("complete");
        assert_eq!(read.record, Some(dir.join("committee.record")));
        let passphrase = read.passphrase_file.clone();
        assert_eq!(passphrase, Some("/etc/zquorum/passphrase".into()));
        assert_eq!(read.peers_listen.as_deref(), Some("0.0.0.0:7350"));
        assert_eq!(read.engine, Some(EngineChoice::Wasmi));
        let expected = ["2=two.example.org:7350", "3=10.0.0.3:7350"];
        let expected = expected.map(|peer| peer.parse::<Peer>().expect("a peer"));
        assert_eq!(read.peers().expect("slots"), expected);
        let nom = read.nom.clone().settings().expect("within bounds");
        let nom = nom.expect("a node");
        assert_eq!(nom.urls, ["http://127.0.0.1:35997"]);
        assert_eq!((nom.confirmations, nom.anchor_every), (12, 1_000));
        assert_eq!(NomConfiguration::default().settings().ok(), Some(None));
        let tap = "zq0,10.7.0.2,10.7.0.1".to_owned();
        let machines = MachineConfiguration {
            images: Some(dir.join("images")),
            accel: Some(Choice::Kvm),
            memory_mib: [(Role::Executor, 512)].into(),
            taps: [(Role::Signer, tap)].into(),
        };
        assert_eq!(read.machines, machines);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let dir = Path::new("/");
        for (text, named) in [
            ("htpp = '127.0.0.1:1'", "htpp"),
            ("http = 8080", "http"),
            ("[peers]\ntwo = 'host:1'", "two"),
            ("[peers]\n0 = 'host:1'", "0"),
            ("[peers]\n2 = ''", "2"),
            ("record", "record"),
            ("engine = 'v8'", "v8"),
            ("[nom]\nrcp = []", "rcp"),
            ("[machines]\naccel = 'xen'", "xen"),
            ("[machines.memory_mib]\nsinger = 64", "singer"),
        ] {
            let refused = Configuration::parse(text, dir).expect_err(text);
            assert!(
                format!("{refused:#}").contains(named),
                "{text}: {refused:#}"
            );
        }
    }
}
