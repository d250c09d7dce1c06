//! The addresses at which this host listens. No plugin may reach them, whatever its grants: it could control its own host.

use std::net::{IpAddr, SocketAddr};

use parking_lot::RwLock;

/// The addresses at which any part of this process listens.
static ADDRESSES: RwLock<Vec<SocketAddr>> = RwLock::new(Vec::new());

/// Keeps plugins from an address until it is dropped.
#[derive(Debug)]
pub struct Listening(SocketAddr);

impl Listening {
    /// Records that the host listens at this address from now on.
    pub fn at(address: SocketAddr) -> Self {
        ADDRESSES.write().push(address);
        Self(address)
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        let mut all = ADDRESSES.write();
        if let Some(index) = all.iter().position(|address| *address == self.0) {
            all.swap_remove(index);
        }
    }
}

/// Returns whether a connection from `local` to `peer` leads to this host.
pub(super) fn is_own(local: SocketAddr, peer: SocketAddr) -> bool {
    let all = ADDRESSES.read();
    all.iter().any(|own| leads_to(local.ip().to_canonical(), peer, *own))
}

fn leads_to(local: IpAddr, peer: SocketAddr, own: SocketAddr) -> bool {
    let (at, own_at) = (peer.ip().to_canonical(), own.ip().to_canonical());
    // A wildcard address stands for every address of this machine. A connection to one of them comes from the same address, or is loopback.
    let is_there = own_at == at || own_at.is_unspecified() && (at.is_loopback() || at == local);
    peer.port() == own.port() && is_there
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_to_the_host_itself_is_recognized_by_its_address() {
        let leads_to = |local: &str, peer: &str, own: &str| {
            leads_to(local.parse().unwrap(), peer.parse().unwrap(), own.parse().unwrap())
        };
        for (local, peer, own) in [
            ("127.0.0.1", "127.0.0.1:9797", "127.0.0.1:9797"),
            ("127.0.0.1", "[::ffff:127.0.0.1]:9797", "127.0.0.1:9797"),
            ("::1", "[::1]:9797", "[::1]:9797"),
            ("127.0.0.1", "127.0.0.2:9797", "0.0.0.0:9797"),
            ("10.0.0.5", "10.0.0.5:9797", "0.0.0.0:9797"),
            ("10.0.0.5", "10.0.0.5:9797", "[::]:9797"),
            ("fd00::5", "[fd00::5]:9797", "[::]:9797"),
        ] {
            assert!(leads_to(local, peer, own), "{local} {peer} {own}");
        }
        for (local, peer, own) in [
            ("127.0.0.1", "127.0.0.1:9798", "127.0.0.1:9797"),
            ("10.0.0.5", "10.0.0.6:9797", "0.0.0.0:9797"),
            ("10.0.0.5", "10.0.0.5:9797", "127.0.0.1:9797"),
        ] {
            assert!(!leads_to(local, peer, own), "{local} {peer} {own}");
        }
    }

    #[test]
    fn an_address_is_kept_from_plugins_as_long_as_the_host_listens() {
        let address = "192.0.2.1:1".parse().unwrap();
        let listening = Listening::at(address);
        assert!(is_own(address, address));
        drop(listening);
        assert!(!is_own(address, address));
    }
}
