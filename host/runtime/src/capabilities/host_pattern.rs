//! The servers that a grant names: by name, by domain, or by address.

use std::fmt;
use std::net::IpAddr;

/// The hosts that a grant covers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum HostPattern {
    /// Any host, with any scheme and port. It has no written form.
    Anything,
    /// `*`
    Any,
    /// `*.example.com`: all names with this end.
    In(String),
    Name(String),
    Address(IpAddr),
}

impl HostPattern {
    /// Parses `*`, `*.example.com`, a name or an address. None: it is none of them.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let host = canonical(text);
        match host.strip_prefix('*') {
            Some("") => Some(Self::Any),
            Some(domain) => {
                domain.strip_prefix('.').filter(|domain| is_name(domain)).map(|_| Self::In(domain.to_owned()))
            }
            None => match address(&host) {
                Some(address) => Some(Self::Address(address)),
                None => is_name(&host).then_some(Self::Name(host)),
            },
        }
    }

    /// Returns whether it covers this name or address.
    pub(super) fn names(&self, host: &str) -> bool {
        let host = canonical(host);
        match self {
            Self::Anything | Self::Any => true,
            Self::In(domain) => host.ends_with(domain.as_str()),
            Self::Name(name) => *name == host,
            Self::Address(granted) => address(&host) == Some(*granted),
        }
    }

    /// Returns whether it names something on a private network, so that whoever wrote it knows.
    pub(super) fn names_private(&self) -> bool {
        match self {
            Self::Address(_) => true,
            Self::Name(name) => name == "localhost",
            Self::Anything | Self::Any | Self::In(_) => false,
        }
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anything | Self::Any => f.write_str("*"),
            Self::In(domain) => write!(f, "*{domain}"),
            Self::Name(name) => f.write_str(name),
            Self::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
            Self::Address(address) => write!(f, "{address}"),
        }
    }
}

/// Returns a host name for comparison: in lowercase, without the dot of the root.
pub(super) fn canonical(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

/// Returns the host of a URI as an address, if it is one in the usual form, with IPv6 in brackets.
pub(super) fn address(host: &str) -> Option<IpAddr> {
    let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    bare.parse::<IpAddr>().ok().map(|address| address.to_canonical())
}

/// Returns whether this is a host name: labels of letters, digits, hyphens and underscores.
pub(super) fn is_name(host: &str) -> bool {
    let is_of_label = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    host.split('.').all(|label| !label.is_empty() && label.bytes().all(is_of_label))
}
