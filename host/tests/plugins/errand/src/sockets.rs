//! Errands by TCP.

use std::cell::RefCell;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket};

use gtm_plugin::bson::Document;

use super::{said, shown};

thread_local! {
    /// The connection that an errand kept for the next one.
    static KEPT: RefCell<Option<TcpStream>> = const { RefCell::new(None) };
}

/// Connects to a server `to`, or takes the connection that was kept; sends a text, and reads so many bytes. To read -1 bytes: to the end.
pub(super) fn talk(errand: &Document) -> Result<String, String> {
    let mut stream = match errand.get_str("to") {
        Ok(to) => TcpStream::connect(to).map_err(said)?,
        Err(_) => KEPT.take().ok_or("no connection was kept")?,
    };
    if let Ok(text) = errand.get_str("send") {
        stream.write_all(text.as_bytes()).map_err(said)?;
    }
    if let Ok(length) = errand.get_i32("send_bytes") {
        stream.write_all(&vec![b'x'; usize::try_from(length).map_err(said)?]).map_err(said)?;
    }
    let mut answer = Vec::new();
    let most = errand.get_i32("read").ok().map(|most| u64::try_from(most).unwrap_or(u64::MAX));
    if let Some(most) = most {
        (&mut stream).take(most).read_to_end(&mut answer).map_err(said)?;
    }
    if errand.get_bool("keep").unwrap_or(false) {
        KEPT.set(Some(stream));
    }
    Ok(shown(&answer))
}

/// Connects until it cannot, at most so many times, and holds all connections.
pub(super) fn many(to: &str, count: i32) -> Result<String, String> {
    let mut held = Vec::new();
    for _ in 0..count {
        match TcpStream::connect(to) {
            Ok(stream) => held.push(stream),
            Err(error) => return Ok(format!("{} {error}", held.len())),
        }
    }
    Ok(held.len().to_string())
}

pub(super) fn listen(at: &str) -> Result<String, String> {
    let by_tcp = TcpListener::bind(at).map(|_| "listening".to_owned());
    by_tcp.or_else(|_| UdpSocket::bind(at).map(|_| "bound".to_owned())).map_err(said)
}

pub(super) fn resolve(name: &str) -> Result<String, String> {
    let mut addresses: Vec<_> =
        (name, 1).to_socket_addrs().map_err(said)?.map(|address| address.ip().to_string()).collect();
    addresses.sort();
    addresses.dedup();
    Ok(addresses.join(" "))
}
