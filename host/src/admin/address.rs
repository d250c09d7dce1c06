//! The address of the admin API.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Deserialize;

/// The address of an admin API. It is displayed as it was written.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum AdminAddress {
    /// A host and a port, by TCP.
    Tcp(TcpAddress),
    /// The path of a Unix socket.
    Socket(PathBuf),
    /// No API.
    None,
}

/// A host and a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TcpAddress {
    host: String,
    port: u16,
}

/// A text is not a valid address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected HOST:PORT (127.0.0.1:9797 or [::1]:9797), the path of a socket (beginning with /, ./ or ../), or none"
)]
pub struct NoAdminAddress;

impl TcpAddress {
    /// Returns the name or the IP address, without brackets.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Returns the address at which a client on this machine reaches it.
    pub(super) fn reachable(&self) -> Self {
        let any = self.host.parse::<IpAddr>().is_ok_and(|address| address.is_unspecified());
        if any { Self { host: Ipv4Addr::LOCALHOST.to_string(), port: self.port } } else { self.clone() }
    }
}

impl FromStr for TcpAddress {
    type Err = NoAdminAddress;

    fn from_str(text: &str) -> Result<Self, NoAdminAddress> {
        let (host, port) = text.rsplit_once(':').ok_or(NoAdminAddress)?;
        let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        // The end of an IPv6 address without brackets could be a port.
        let plain = !host.is_empty()
            && host.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_'));
        match inner {
            Some(inner) if inner.parse::<std::net::Ipv6Addr>().is_ok() => {}
            None if plain => {}
            _ => return Err(NoAdminAddress),
        }
        let port = port.parse().map_err(|_| NoAdminAddress)?;
        Ok(Self { host: inner.unwrap_or(host).to_owned(), port })
    }
}

impl fmt::Display for TcpAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { host, port } = self;
        if host.contains(':') { write!(f, "[{host}]:{port}") } else { write!(f, "{host}:{port}") }
    }
}

impl AdminAddress {
    /// Resolves the path of a socket against this directory.
    #[must_use]
    pub(crate) fn resolved(self, directory: &Path) -> Self {
        match self {
            Self::Socket(path) => Self::Socket(directory.join(path)),
            other => other,
        }
    }
}

impl FromStr for AdminAddress {
    type Err = NoAdminAddress;

    fn from_str(text: &str) -> Result<Self, NoAdminAddress> {
        let is_path =
            ["/", "./", "../"].iter().any(|start| text.starts_with(start) && text.len() > start.len());
        match text {
            "none" => Ok(Self::None),
            _ if is_path => Ok(Self::Socket(text.into())),
            _ => text.parse().map(Self::Tcp),
        }
    }
}

impl TryFrom<String> for AdminAddress {
    type Error = NoAdminAddress;

    fn try_from(text: String) -> Result<Self, NoAdminAddress> {
        text.parse()
    }
}

impl fmt::Display for AdminAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Socket(path) => path.display().fmt(f),
            Self::None => f.write_str("none"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_a_host_and_a_port_or_a_path() {
        for text in [
            "127.0.0.1:9797",
            "localhost:1",
            "[::1]:9797",
            "gtm-host.internal:80",
            "0.0.0.0:0",
            "/run/gtm-host/shop.sock",
            "./a:1",
            "none",
        ] {
            assert_eq!(text.parse::<AdminAddress>().unwrap().to_string(), text);
        }
        for none in [
            "",
            "9797",
            ":9797",
            "localhost",
            "::1:9797",
            "[::1]",
            "[x]:1",
            "http://h:1",
            "h:65536",
            "h:",
            "h/:1",
            "/",
        ] {
            assert_eq!(none.parse::<AdminAddress>(), Err(NoAdminAddress), "{none}");
        }
    }

    #[test]
    fn a_client_reaches_all_addresses_by_its_own() {
        let reachable = |text: &str| text.parse::<TcpAddress>().unwrap().reachable().to_string();
        assert_eq!(reachable("0.0.0.0:9797"), "127.0.0.1:9797");
        assert_eq!(reachable("[::]:9797"), "127.0.0.1:9797");
        assert_eq!(reachable("10.0.0.1:9797"), "10.0.0.1:9797");
    }
}
