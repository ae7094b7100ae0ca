//! The file of invitations that `zq committee create` takes: whose cards, in which order, and where
//! their nodes listen.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::failure::Failure;
use crate::files;

/// Who is invited. Cards' paths begin at the file's directory.
#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Invitations {
    /// Number of the network that requests must name.
    pub(crate) network: u64,
    /// Members that must agree; by default two thirds and one.
    pub(crate) threshold: Option<u16>,
    members: Vec<Invited>,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Invited {
    card: PathBuf,
    address: Option<String>,
}

impl Invitations {
    pub(crate) fn read(path: &Path) -> Result<Self, Failure> {
        let text = files::read_text(path, files::JSON_BYTES_MAX)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        Self::parse(&text, folder).map_err(|why| {
            Failure::new(
                format!("{}: {why}", path.display()),
                "write network = N, and [[members]] with card = \"card.json\" and address = \"HOST:PORT\" \
                 for each member, in slot order",
            )
        })
    }

    fn parse(text: &str, folder: &Path) -> Result<Self, String> {
        let mut invited: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        let with = |member: &&Invited| member.address.is_some();
        let addresses = invited.members.iter().filter(with).count();
        // A list with gaps would leave members without each other.
        if addresses != 0 && addresses != invited.members.len() {
            return Err("an address for some members and not for all".to_owned());
        }
        for member in &mut invited.members {
            member.card = folder.join(&member.card);
            if let Some(address) = &member.address {
                let port = address
                    .rsplit_once(':')
                    .filter(|(host, _)| !host.is_empty());
                let port = port.and_then(|(_, port)| port.parse::<u16>().ok());
                if port.is_none() {
                    return Err(format!("address {address:?} is not HOST:PORT"));
                }
            }
        }
        Ok(invited)
    }

    /// The same by the command line, without addresses.
    pub(crate) fn of_cards(cards: Vec<PathBuf>, network: u64, threshold: Option<u16>) -> Self {
        let members = cards.into_iter().map(|card| Invited {
            card,
            address: None,
        });
        Self {
            network,
            threshold,
            members: members.collect(),
        }
    }

    /// card.json of each member, in slot order.
    pub(crate) fn cards(&self) -> Vec<&Path> {
        let members = self.members.iter();
        members.map(|member| member.card.as_path()).collect()
    }

    /// Addresses by slot, as `zq member join --peers` takes them; `None` where there are none.
    pub(crate) fn peers(&self) -> Option<Vec<u8>> {
        let members = (1_u16..).zip(&self.members);
        let peers: BTreeMap<u16, &str> = members
            .filter_map(|(slot, member)| Some((slot, member.address.as_deref()?)))
            .collect();
        let some = !peers.is_empty();
        some.then(|| serde_json::to_vec_pretty(&peers).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_names_cards_in_slot_order_and_addresses() {
        let text = r#"
            network = 73
            [[members]]
            card = "one/card.json"
            address = "one.example.org:7350"
            [[members]]
            card = "/two/card.json"
            address = "[2001:db8::2]:7350"
        "#;
        let invited = Invitations::parse(text, Path::new("/cards")).expect("complete");
        assert_eq!((invited.network, invited.threshold), (73, None));
        let cards = ["/cards/one/card.json", "/two/card.json"].map(Path::new);
        assert_eq!(invited.cards(), cards);
        let peers = invited.peers().expect("addresses");
        let peers: BTreeMap<u16, String> = serde_json::from_slice(&peers).expect("JSON");
        assert_eq!(peers[&1], "one.example.org:7350");
        assert_eq!(peers[&2], "[2001:db8::2]:7350");
        let cards = vec!["a".into()];
        assert_eq!(Invitations::of_cards(cards, 1, None).peers(), None);
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        let member = |rest: &str| format!("network = 1\n[[members]]\ncard = 'a'\n{rest}");
        for (text, named) in [
            ("[[members]]\ncard = 'a'".to_owned(), "network"),
            ("network = 1".to_owned(), "members"),
            (member("adress = 'a:1'"), "adress"),
            (member("address = 'a'"), "HOST:PORT"),
            (member("address = ':1'"), "HOST:PORT"),
            (member("address = 'a:70000'"), "HOST:PORT"),
            (
                member("address = 'a:1'\n[[members]]\ncard = 'b'"),
                "not for all",
            ),
        ] {
            let refused = Invitations::parse(&text, Path::new("")).expect_err(&text);
            assert!(refused.contains(named), "{text}: {refused}");
        }
    }
}
