//! Servers to which a plugin may connect.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};

use super::super::addresses::is_public;
use super::super::host_pattern::HostPattern;
use crate::secret::server;

/// A server to which a plugin may connect, or all servers of a domain, at one port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpGrant {
    pub(super) host: HostPattern,
    /// The port. None: any, which has no written form.
    pub(super) port: Option<u16>,
    /// Whether its addresses may belong to a private network, this machine, or this link. They always may if the grant names the address
    /// itself, or `localhost`.
    pub private: bool,
    /// Whether the host speaks TLS with the server. The plugin writes and reads the text inside.
    pub tls: bool,
}

/// The text does not name a server with its port.
#[derive(Debug, thiserror::Error)]
#[error(
    "\"{shown}\" is not a valid server: a grant of tcp or tls is like redis.example.com:6379, *.example.com:5432, [fd00::1]:5432, or \
     *:6379 for every public server, always with a port",
    shown = server(.0)
)]
pub struct InvalidTcpGrant(String);

impl FromStr for TcpGrant {
    type Err = InvalidTcpGrant;

    fn from_str(text: &str) -> Result<Self, InvalidTcpGrant> {
        Self::parse(text).ok_or_else(|| InvalidTcpGrant(text.to_owned()))
    }
}

impl TcpGrant {
    /// Returns the grant of every server.
    pub(super) fn anything() -> Self {
        Self { host: HostPattern::Anything, port: None, private: true, tls: false }
    }

    fn parse(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        // An address of IPv6 has brackets: without them, its end may be taken for a port. No other host has any.
        let is_in_brackets = host.starts_with('[') && host.ends_with(']');
        if host.contains([':', '[', ']']) && !is_in_brackets {
            return None;
        }
        let host = HostPattern::parse(host)?;
        if is_in_brackets && !matches!(host, HostPattern::Address(_)) {
            return None;
        }
        let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse().ok().filter(|port| is_number && *port != 0)?;
        Some(Self { host, port: Some(port), private: false, tls: false })
    }

    /// Returns whether it covers a server of this name, or with this address as its name, at some port.
    pub(super) fn names(&self, host: &str) -> bool {
        self.host.names(host)
    }

    /// Returns whether it covers a connection to this server at this address.
    pub(crate) fn covers(&self, host: &str, port: u16) -> bool {
        self.port.is_none_or(|granted| granted == port) && self.host.names(host)
    }

    /// Returns whether the server may have this address.
    pub(super) fn allows(&self, address: IpAddr) -> bool {
        self.private || self.host.names_private() || is_public(address)
    }

    /// Returns the name of the grant, without the form for private addresses.
    pub(super) fn name(&self) -> &'static str {
        if self.tls { "tls" } else { "tcp" }
    }
}

impl fmt::Display for TcpGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.host.fmt(f)?;
        match self.port {
            Some(port) => write!(f, ":{port}")?,
            None => f.write_str(":*")?,
        }
        if self.tls {
            f.write_str(" (by TLS)")?;
        }
        if self.private {
            f.write_str(" (private addresses too)")?;
        }
        Ok(())
    }
}

/// A text, or a table with the text as its `server`.
impl<'de> Deserialize<'de> for TcpGrant {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct TcpGrantTable {
            server: String,
            #[serde(default)]
            private: bool,
            #[serde(default)]
            tls: bool,
        }

        struct TcpTextOrTable;

        impl<'de> Visitor<'de> for TcpTextOrTable {
            type Value = TcpGrant;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    "a server like \"redis.example.com:6379\", or a table with its server, tls and private",
                )
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<TcpGrant, E> {
                text.parse().map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<TcpGrant, A::Error> {
                let TcpGrantTable { server, private, tls } =
                    TcpGrantTable::deserialize(de::value::MapAccessDeserializer::new(map))?;
                let grant: TcpGrant = server.parse().map_err(de::Error::custom)?;
                Ok(TcpGrant { private, tls, ..grant })
            }
        }

        deserializer.deserialize_any(TcpTextOrTable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_and_port_must_match() {
        let covers = |grant: &str, host: &str, port| grant.parse::<TcpGrant>().unwrap().covers(host, port);
        assert!(covers("redis.example.com:6379", "Redis.example.com.", 6379));
        assert!(covers("*.example.com:5432", "a.b.example.com", 5432));
        assert!(covers("*:6379", "anything.example", 6379));
        assert!(covers("[::1]:80", "::1", 80) && covers("127.0.0.1:80", "::ffff:127.0.0.1", 80));
        for (grant, host, port) in [
            ("redis.example.com:6379", "redis.example.com", 6380),
            ("redis.example.com:6379", "redis.example.com.evil.example", 6379),
            ("*.example.com:5432", "example.com", 5432),
            ("*.example.com:5432", "badexample.com", 5432),
            ("127.0.0.1:80", "127.0.0.2", 80),
        ] {
            assert!(!covers(grant, host, port), "{grant} {host}:{port}");
        }
    }

    #[test]
    fn a_grant_has_a_host_and_a_port() {
        for text in [
            "",
            "redis.example.com",
            "redis.example.com:",
            "redis.example.com:0",
            "redis.example.com:+80",
            "redis.example.com:65536",
            "redis.example.com:6379/0",
            ":6379",
            "::1:6379",
            "[::1:6379",
            "[redis]:6379",
            "a.*.example:1",
            "*example.com:1",
            "a b:1",
            "redis.example.com:6379,tls",
        ] {
            let refused = text.parse::<TcpGrant>().unwrap_err().to_string();
            assert!(
                refused.contains("is not a valid server: a grant of tcp or tls is like"),
                "{text}: {refused}"
            );
        }
        let refused = "redis://ada:s3cret@a.example".parse::<TcpGrant>().unwrap_err().to_string();
        assert!(refused.starts_with("\"redis://a.example\" is not a valid server"), "{refused}");
    }

    #[test]
    fn both_notations_grant_the_same() {
        #[derive(Deserialize)]
        struct TcpGrantRule {
            tcp: Vec<TcpGrant>,
        }
        let table: TcpGrantRule = toml::from_str(
            "tcp = [\"redis.example.com:6379\", { server = \"db.internal:5432\", tls = true, private = true }]",
        )
        .unwrap();
        let shown: Vec<_> = table.tcp.iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["redis.example.com:6379", "db.internal:5432 (by TLS) (private addresses too)"]);
        assert_eq!(table.tcp.first(), "redis.example.com:6379".parse().ok().as_ref());
        assert!(toml::from_str::<TcpGrantRule>("tcp = [{ server = \"a.example:1\", port = 1 }]").is_err());
        assert!(toml::from_str::<TcpGrantRule>("tcp = [{ tls = true }]").is_err());
    }

    #[test]
    fn a_named_address_may_be_private() {
        let allows = |grant: &str| grant.parse::<TcpGrant>().unwrap().allows("10.0.0.1".parse().unwrap());
        assert!(allows("localhost:1") && allows("10.0.0.1:1") && allows("[::1]:1"));
        assert!(!allows("*:1") && !allows("redis.internal:1") && !allows("*.localhost:1"));
    }
}
