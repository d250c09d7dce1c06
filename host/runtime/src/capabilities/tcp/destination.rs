//! Decides where an instance may connect.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use super::super::addresses::Prohibited;
use super::{Tcp, TcpClient, TcpGrant};
use crate::capabilities::ListedCapability;
use crate::state::InstanceState;

/// Addresses of granted names that an instance has at a time. A client connects soon after it resolved a name.
const MAX_RESOLVED: usize = 64;

/// The addresses that granted names had when the instance resolved them. The instance connects to these alone, so a later change of a name
/// has no effect.
#[derive(Default)]
pub(super) struct ResolvedNames(Vec<ResolvedName>);

struct ResolvedName {
    name: Arc<str>,
    address: IpAddr,
    /// Whether the name was not resolved, as effects are only recorded.
    is_made_up: bool,
}

/// A server to which the plugin may connect, at a checked address.
#[derive(Clone, Debug)]
pub(super) struct Destination {
    /// The name of the server, or its address if that is granted.
    pub(super) host: Arc<str>,
    pub(super) port: u16,
    /// Whether the host speaks TLS with it.
    pub(super) tls: bool,
}

impl Destination {
    /// Returns the server for messages: `redis.example.com:6379`.
    pub(super) fn server(&self) -> String {
        match self.host.parse() {
            Ok(address) => SocketAddr::new(address, self.port).to_string(),
            Err(_) => format!("{}:{}", self.host, self.port),
        }
    }
}

impl ResolvedNames {
    /// Records an address of a name that is granted.
    pub(super) fn add(&mut self, name: &Arc<str>, address: IpAddr) {
        self.push(ResolvedName { name: Arc::clone(name), address, is_made_up: false });
    }

    /// Makes up an address for a name that is not resolved, from the block for documentation, which nobody has (RFC 5737).
    pub(super) fn make_up(&mut self, name: &Arc<str>) -> IpAddr {
        let made_up = |last| IpAddr::V4(Ipv4Addr::new(192, 0, 2, last));
        let is_free = |address: &IpAddr| !self.0.iter().any(|known| known.address == *address);
        let known =
            self.0.iter().find(|known| known.is_made_up && known.name == *name).map(|known| known.address);
        let address = known.or_else(|| (1..=u8::MAX).map(made_up).find(is_free)).unwrap_or(made_up(0));
        self.push(ResolvedName { name: Arc::clone(name), address, is_made_up: true });
        address
    }

    fn push(&mut self, resolved: ResolvedName) {
        self.0.retain(|known| known.address != resolved.address || known.name != resolved.name);
        if self.0.len() >= MAX_RESOLVED {
            self.0.remove(0);
        }
        self.0.push(resolved);
    }

    /// Returns the names that had this address, the last one first.
    fn names_at(&self, address: IpAddr) -> impl Iterator<Item = &ResolvedName> {
        self.0.iter().rev().filter(move |known| known.address == address)
    }
}

impl TcpClient {
    /// Returns whether some grant covers a server of this name.
    pub(super) fn names(&self, host: &str) -> bool {
        self.grants.iter().any(|grant| grant.names(host))
    }

    /// Returns whether a server of this name may have this address, at some port.
    pub(super) fn allows(&self, host: &str, address: IpAddr) -> bool {
        self.grants.iter().any(|grant| grant.names(host) && grant.allows(address))
    }

    /// Returns the refusal of an address of a server that a grant covers.
    pub(super) fn prohibited(&self, host: &str, address: IpAddr) -> Prohibited {
        let grant = self.grants.iter().find(|grant| grant.names(host)).map_or("tcp", TcpGrant::name);
        Prohibited::Private { host: host.to_owned(), address, grant }
    }

    fn covering(&self, host: &str, port: u16) -> impl Iterator<Item = &TcpGrant> {
        self.grants.iter().filter(move |grant| grant.covers(host, port))
    }
}

/// Returns the server that an instance reaches at this address. None: it may not connect, and the reason is recorded.
pub(super) fn destination(state: &InstanceState, address: SocketAddr) -> Option<Destination> {
    let (client, port) = (&state.call.setup.prepared.tcp, address.port());
    let ip = address.ip().to_canonical();
    let literal: Arc<str> = ip.to_string().into();
    let resolved = state.contexts.tcp.resolved.names_at(ip).map(|known| (&known.name, known.is_made_up));
    let mut named = resolved.chain([(&literal, false)]);
    let granted = named.find_map(|(host, is_made_up)| {
        client.covering(host, port).find(|grant| is_made_up || grant.allows(ip))?;
        // If two grants differ, nothing is sent in plain text.
        let tls = client.covering(host, port).any(|grant| grant.tls);
        Some(Destination { host: Arc::clone(host), port, tls })
    });
    if granted.is_some() {
        state.call.notes.permitted(Tcp::ID);
        return granted;
    }
    let mut hosts = state.contexts.tcp.resolved.names_at(ip).map(|known| &known.name).chain([&literal]);
    match hosts.find(|host| client.covering(host, port).next().is_some()) {
        Some(host) => {
            let prohibited = client.prohibited(host, ip);
            state.call.notes.blocked(format!("no connection is made: {prohibited}"), Some(Tcp::ID));
        }
        None => {
            let host = state.contexts.tcp.resolved.names_at(ip).next().map_or(&literal, |known| &known.name);
            state.refuse_tcp(host, Some(port));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_addresses_are_kept_and_a_made_up_one_belongs_to_one_name() {
        let mut resolved = ResolvedNames::default();
        let names = |resolved: &ResolvedNames, address: IpAddr| {
            resolved.names_at(address).map(|known| known.name.to_string()).collect::<Vec<_>>()
        };
        let address: IpAddr = "10.0.0.1".parse().unwrap();
        (0..200).for_each(|_| resolved.add(&"a.example".into(), address));
        resolved.add(&"b.example".into(), address);
        assert_eq!(names(&resolved, address), ["b.example", "a.example"]);
        (0..100_u8).for_each(|n| resolved.add(&"c.example".into(), IpAddr::V4(Ipv4Addr::new(10, 0, 1, n))));
        assert_eq!(resolved.0.len(), MAX_RESOLVED);
        assert!(names(&resolved, address).is_empty());
        let first = resolved.make_up(&"d.example".into());
        let other = resolved.make_up(&"e.example".into());
        assert_eq!((resolved.make_up(&"d.example".into()), first == other), (first, false));
        assert_eq!(names(&resolved, other), ["e.example"]);
    }
}
