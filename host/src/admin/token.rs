//! Tokens that a host makes, and the files in which commands of the same user find them.
//!
//! A host makes a new token at each start, so a program that listened at the address before and received the former one cannot use it.

use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use gtm_store::own_files::read_secret;

use super::{TcpAddress, place};

/// The number of random bytes in a token.
const TOKEN_BYTES: usize = 32;

/// A token in a file, which is removed when this value is dropped.
pub(super) struct TokenFile {
    pub(super) path: PathBuf,
    pub(super) token: String,
}

impl fmt::Debug for TokenFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("TokenFile").field(&self.path).finish()
    }
}

impl Drop for TokenFile {
    fn drop(&mut self) {
        // Another host may have replaced the file for the same address.
        if read_secret(&self.path).is_ok_and(|there| there.trim_end() == self.token) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

impl TokenFile {
    /// Makes a token for the host that listens at this address.
    ///
    /// # Errors
    /// Fails if there is no directory for the file.
    pub(super) fn make(address: SocketAddr) -> io::Result<Self> {
        let mut random = [0; TOKEN_BYTES];
        File::open("/dev/urandom")?.read_exact(&mut random)?;
        let token = hex::encode(random);
        let mut failed = None;
        for directory in place::directories() {
            let path = directory.join(name(address));
            match place::make(&directory).and_then(|()| write(&path, &token)) {
                Ok(()) => return Ok(Self { path, token }),
                Err(error) => drop(failed.get_or_insert(error)),
            }
        }
        Err(failed.unwrap_or_else(|| io::ErrorKind::NotFound.into()))
    }
}

fn name(address: SocketAddr) -> String {
    format!("{address}.token")
}

fn write(path: &Path, token: &str) -> io::Result<()> {
    // A host may have left a file behind.
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "{token}")
}

/// Finds the token of a host of this user at this address of this machine.
pub(super) fn find(address: &TcpAddress) -> Option<String> {
    let at: Vec<_> = (address.host(), address.port()).to_socket_addrs().ok()?.collect();
    let everywhere = [IpAddr::V4(Ipv4Addr::UNSPECIFIED), IpAddr::V6(Ipv6Addr::UNSPECIFIED)];
    // The loopback address reaches a host that listens at all addresses.
    let everywhere = everywhere.into_iter().filter(|_| at.iter().any(|at| at.ip().is_loopback()));
    let everywhere = everywhere.map(|any| SocketAddr::new(any, address.port()));
    let names: Vec<_> = at.iter().copied().chain(everywhere).map(name).collect();
    let safe = place::directories().into_iter().filter(|directory| place::check(directory).is_ok());
    safe.flat_map(|directory| names.iter().map(move |name| directory.join(name)).collect::<Vec<_>>())
        .find_map(|path| read_secret(&path).ok())
        .map(|token| token.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_token_is_found_by_the_address_while_its_host_runs() {
        let made = TokenFile::make("127.0.0.1:1".parse().unwrap()).unwrap();
        assert_eq!(made.token.len(), 2 * TOKEN_BYTES);
        assert_eq!(std::fs::metadata(&made.path).unwrap().permissions().mode() & 0o777, 0o600);
        let found = |address: &str| find(&address.parse().unwrap());
        assert_eq!(found("127.0.0.1:1").as_ref(), Some(&made.token));
        assert_eq!((found("127.0.0.1:2"), found("127.0.0.2:1")), (None, None));
        // Another host takes the address over.
        let other = TokenFile::make("127.0.0.1:1".parse().unwrap()).unwrap();
        assert_ne!(other.token, made.token);
        drop(made);
        assert_eq!(found("127.0.0.1:1").as_ref(), Some(&other.token));
        drop(other);
        assert_eq!(found("127.0.0.1:1"), None);
        let everywhere = TokenFile::make("0.0.0.0:3".parse().unwrap()).unwrap();
        assert_eq!(found("127.0.0.1:3").as_ref(), Some(&everywhere.token));
        assert_eq!(found("192.0.2.1:3"), None, "another machine");
    }
}
