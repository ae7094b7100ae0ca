//! Which sources this node asks: its operator's rules.
//!
//! Callers name sources, so a node that asked wherever it is told to would be their way into its
//! operator's network. It asks hosts that the operator has named and no other; and whatever their
//! names resolve to, no address that is not public, unless the operator has named the host for that
//! as well. The address that was checked is the one that is connected to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::Deserialize;

/// Most sources that are asked within a minute, where the operator says nothing.
pub const PER_MINUTE: u32 = 120;

/// `[observe]` in node.toml.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rules {
    /// Hosts that may be asked, as HOST or HOST:PORT; `*` for any host over https.
    #[serde(default)]
    hosts: Vec<String>,
    /// Hosts among these whose addresses may be private, likewise.
    #[serde(default)]
    private_hosts: Vec<String>,
    /// Hosts that are never asked.
    #[serde(default)]
    deny: Vec<String>,
    /// Where https is spoken for this node, which speaks none: `https://HOST/PATH` is asked for as
    /// `TLS_VIA/HOST/PATH`.
    tls_via: Option<String>,
    /// RPC of the operator's own node of the Network of Momentum.
    nom_rpc: Option<String>,
    /// The operator's own nodes of EVM chains.
    #[serde(default)]
    evm: Vec<EvmNode>,
    /// Most sources that are asked within a minute.
    per_minute: Option<u32>,
}

/// `[[observe.evm]]` in node.toml.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
struct EvmNode {
    /// EIP-155 id of its chain.
    chain: u64,
    /// Its RPC.
    rpc: String,
    /// A block is final under so many others; without it, where the node itself calls it finalized.
    confirmations: Option<u64>,
}

/// Where to ask, by these rules.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// URL of plain HTTP.
    pub url: String,
    /// Whether its address may be private: the operator has named it.
    pub private: bool,
}

impl Rules {
    /// Most sources that are asked within a minute.
    #[must_use]
    pub fn per_minute(&self) -> u32 {
        self.per_minute.unwrap_or(PER_MINUTE)
    }

    /// Where to ask for a source's URL; `None` if these rules do not allow it.
    #[must_use]
    pub fn target(&self, url: &str) -> Option<Target> {
        let (is_tls, rest) = match url.strip_prefix("https://") {
            Some(rest) => (true, rest),
            None => (false, url.strip_prefix("http://")?),
        };
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end)?;
        let (host, port) = split(authority)?;
        let port = match port {
            Some(port) => port,
            None if is_tls => 443,
            None => 80,
        };
        let names = |list: &[String]| list.iter().any(|entry| is_named(entry, &host, port));
        if names(&self.deny) {
            return None;
        }
        let any = is_tls && self.hosts.iter().any(|entry| entry == "*");
        if !any && !names(&self.hosts) && !names(&self.private_hosts) {
            return None;
        }
        if is_tls {
            let via = self.tls_via.as_deref()?.trim_end_matches('/');
            // It resolves the name itself: an address would lead it into the operator's network.
            if is_address(&host) && !names(&self.private_hosts) {
                return None;
            }
            if leads_elsewhere(path) {
                return None;
            }
            let path = if path.starts_with('/') {
                path.to_owned()
            } else {
                format!("/{path}")
            };
            let url = format!("{via}/{authority}{path}");
            return Some(Target { url, private: true });
        }
        Some(Target {
            url: url.to_owned(),
            private: names(&self.private_hosts),
        })
    }

    /// Where the operator's node of the Network of Momentum answers, if it does.
    #[must_use]
    pub fn nom(&self) -> Option<Target> {
        let url = self.nom_rpc.clone()?;
        Some(Target { url, private: true })
    }

    /// Where the operator's node of an EVM chain answers, if there is one, and under how many others
    /// a block there is final; without a number the node itself says so.
    #[must_use]
    pub fn evm(&self, chain: u64) -> Option<(Target, Option<u64>)> {
        let node = self.evm.iter().find(|node| node.chain == chain)?;
        let target = Target {
            url: node.rpc.clone(),
            private: true,
        };
        Some((target, node.confirmations))
    }

    /// With the RPC of a node that is configured elsewhere, unless these rules name one.
    #[must_use]
    pub fn or_nom_rpc(self, url: Option<&str>) -> Self {
        Self {
            nom_rpc: self.nom_rpc.or_else(|| url.map(str::to_owned)),
            ..self
        }
    }
}

/// Host in lower case without a dot at its end, and port.
fn split(authority: &str) -> Option<(String, Option<u16>)> {
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port.parse().ok()?)),
        _ => (authority, None),
    };
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:[]".contains(&byte);
    (!host.is_empty() && host.bytes().all(is_host)).then_some((host, port))
}

fn is_named(entry: &str, host: &str, port: u16) -> bool {
    split(entry).is_some_and(|(named, only)| named == host && only.is_none_or(|only| only == port))
}

/// Whether whoever speaks https could take a part of the path for another host: it has the host in
/// its path, and resolves dots and what is encoded.
fn leads_elsewhere(path: &str) -> bool {
    let path = path.split('?').next().unwrap_or_default();
    let path = path.to_ascii_lowercase();
    let encoded = ["%2e", "%2f", "%5c", "%00"];
    encoded.iter().any(|code| path.contains(code))
        || path.split('/').any(|segment| matches!(segment, "." | ".."))
}

/// Digits and dots, or brackets: also the forms that resolvers read as an IPv4 address.
fn is_address(host: &str) -> bool {
    let last = host.rsplit('.').next().unwrap_or_default();
    host.starts_with('[') || last.starts_with(|first: char| first.is_ascii_digit())
}

/// Whether an address is one of the public internet: an allow-list, so that ranges which are
/// reserved for something new stay out.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => match address.to_ipv4_mapped() {
            Some(mapped) => is_public_v4(mapped),
            None => is_public_v6(address),
        },
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let is_reserved = match (a, b, c) {
        // This network, loopback, multicast and what is above.
        (0 | 127 | 224.., _, _) => true,
        // Carriers' networks (RFC 6598); protocol assignments and documentation; benchmarks.
        (100, 64..=127, _) | (192, 0, 0 | 2) | (198, 18 | 19, _) => true,
        // 6to4 relays, documentation.
        (192, 88, 99) | (198, 51, 100) | (203, 0, 113) => true,
        _ => false,
    };
    // Link-local holds the metadata services of clouds.
    !is_reserved && !address.is_private() && !address.is_link_local()
}

/// Global unicast (2000::/3) without what leads elsewhere: Teredo and other protocol assignments,
/// documentation, 6to4.
fn is_public_v6(address: Ipv6Addr) -> bool {
    let [a, b, ..] = address.segments();
    let is_global = a & 0xe000 == 0x2000;
    let is_special = a == 0x2001 && (b < 0x0200 || b == 0x0db8);
    let is_documentation = a == 0x3fff && b < 0x1000;
    is_global && !is_special && !is_documentation && a != 0x2002
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Rules {
        toml::from_str(text).expect("rules")
    }

    #[test]
    fn public_addresses_pass_and_no_other() {
        for (address, public) in [
            ("1.1.1.1", true),
            ("93.184.216.34", true),
            ("172.15.0.1", true),
            ("2606:4700::1111", true),
            ("::ffff:1.1.1.1", true),
            ("127.0.0.1", false),
            ("127.255.0.1", false),
            ("0.0.0.0", false),
            ("10.0.0.1", false),
            ("172.16.0.1", false),
            ("192.168.1.1", false),
            ("169.254.169.254", false),
            ("100.64.0.1", false),
            ("192.0.0.192", false),
            ("198.18.0.1", false),
            ("203.0.113.7", false),
            ("224.0.0.1", false),
            ("240.0.0.1", false),
            ("255.255.255.255", false),
            ("::", false),
            ("::1", false),
            ("::ffff:127.0.0.1", false),
            ("::ffff:169.254.169.254", false),
            ("::127.0.0.1", false),
            ("64:ff9b::7f00:1", false),
            ("fe80::1", false),
            ("fec0::1", false),
            ("fc00::1", false),
            ("fd00:ec2::254", false),
            ("ff02::1", false),
            ("2001::1", false),
            ("2001:db8::1", false),
            ("2002:7f00:1::1", false),
            ("3fff::1", false),
        ] {
            let parsed = address.parse().expect("an address");
            assert_eq!(is_public(parsed), public, "{address}");
        }
    }

    #[test]
    fn nothing_is_asked_unless_the_operator_says_so() {
        let none = Rules::default();
        for url in ["http://example.org/", "https://example.org/"] {
            assert_eq!(none.target(url), None, "{url}");
        }
        assert_eq!(none.nom(), None);
    }

    #[test]
    fn hosts_are_asked_as_the_operator_names_them() {
        let rules = rules(
            r#"hosts = ["Prices.example.org", "other.example.org:8080"]
               private_hosts = ["127.0.0.1:9000"]
               deny = ["bad.example.org"]"#,
        );
        for (url, allowed) in [
            ("http://prices.example.org/a", Some(false)),
            ("http://PRICES.example.org./a", Some(false)),
            ("http://prices.example.org:81/a", Some(false)),
            ("http://other.example.org:8080/a", Some(false)),
            ("http://127.0.0.1:9000/a?b", Some(true)),
            ("http://other.example.org/a", None),
            ("http://127.0.0.1:9001/a", None),
            ("http://127.0.0.1/a", None),
            ("http://169.254.169.254/latest/meta-data", None),
            ("http://localhost:9000/", None),
            ("http://bad.example.org/", None),
            ("http://prices.example.org.evil.org/", None),
            ("http://evil.org/prices.example.org", None),
            ("http://evil.org?prices.example.org", None),
            ("http://[::1]:9000/", None),
            ("http://prices.example.org:99999/", None),
            // Nobody speaks TLS for this node.
            ("https://prices.example.org/a", None),
        ] {
            let target = rules.target(url);
            assert_eq!(
                target.as_ref().map(|target| target.private),
                allowed,
                "{url}"
            );
            if let Some(target) = target {
                assert_eq!(target.url, url);
            }
        }
    }

    #[test]
    fn https_goes_through_whoever_speaks_it_for_this_node() {
        let rules = rules(
            r#"hosts = ["*"]
               deny = ["bad.example.org"]
               tls_via = "http://127.0.0.1:8443/""#,
        );
        for (url, asked) in [
            (
                "https://a.example.org/x?y",
                Some("http://127.0.0.1:8443/a.example.org/x?y"),
            ),
            (
                "https://a.example.org:444",
                Some("http://127.0.0.1:8443/a.example.org:444/"),
            ),
            (
                "https://a.example.org?y",
                Some("http://127.0.0.1:8443/a.example.org/?y"),
            ),
            ("https://bad.example.org/", None),
            ("https://a.example.org/../10.0.0.1/x", None),
            ("https://a.example.org/x/..", None),
            ("https://a.example.org/%2E%2e/10.0.0.1/x", None),
            ("https://a.example.org/..%2F10.0.0.1", None),
            ("https://a.example.org/./x", None),
            ("https://../10.0.0.1", None),
            ("https://%2e%2e/10.0.0.1", None),
            (
                "https://a.example.org/x?y=../z",
                Some("http://127.0.0.1:8443/a.example.org/x?y=../z"),
            ),
            ("https://bad.example.org:8443/", None),
            // Any host is any host over https.
            ("http://a.example.org/", None),
            ("https://10.0.0.1/", None),
            ("https://0x7f.1/", None),
            ("https://2130706433/", None),
            ("https://[::1]/", None),
        ] {
            let target = rules.target(url).map(|target| target.url);
            assert_eq!(target.as_deref(), asked, "{url}");
        }
    }
}
