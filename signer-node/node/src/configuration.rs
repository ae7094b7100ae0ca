//! `node.toml` in the data directory: what `zq-node run` is told on a server, so that its command
//! line is the directory and nothing else. Whatever the command line says wins.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};
use serde::Deserialize;

use crate::disk::Disk;
use crate::files;
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
    /// HOST:PORT of the other members' nodes, by slot.
    #[serde(default)]
    peers: BTreeMap<String, String>,
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

    fn parse(text: &str, dir: &Path) -> Result<Self> {
        let mut configuration: Self = toml::from_str(text)?;
        let paths = [
            &mut configuration.record,
            &mut configuration.passphrase_file,
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
            [peers]
            2 = "two.example.org:7350"
            3 = "10.0.0.3:7350"
        "#;
        let dir = Path::new("/var/lib/zquorum");
        let read = Configuration::parse(text, dir).expect("complete");
        assert_eq!(read.record, Some(dir.join("committee.record")));
        let passphrase = read.passphrase_file.clone();
        assert_eq!(passphrase, Some("/etc/zquorum/passphrase".into()));
        assert_eq!(read.peers_listen.as_deref(), Some("0.0.0.0:7350"));
        let expected = ["2=two.example.org:7350", "3=10.0.0.3:7350"];
        let expected = expected.map(|peer| peer.parse::<Peer>().expect("a peer"));
        assert_eq!(read.peers().expect("slots"), expected);
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
        ] {
            let refused = Configuration::parse(text, dir).expect_err(text);
            assert!(
                format!("{refused:#}").contains(named),
                "{text}: {refused:#}"
            );
        }
    }
}
