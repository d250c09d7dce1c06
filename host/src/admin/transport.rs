//! HTTP over a Unix socket, for the client.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

use ureq::Error;
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, LazyBuffers, NextTimeout, Transport,
};

use super::place;

/// The user, by number, at whose socket nothing is asked.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the user with the number {0} listens there")]
pub(super) struct OtherUser(pub(super) u32);

impl OtherUser {
    /// Whether this user believes what that one says.
    fn is_trusted_by(self, own: u32) -> bool {
        self.0 == own || self.0 == 0
    }
}

/// The user of who listens at the other end.
#[cfg(target_os = "linux")]
fn listener(stream: &UnixStream, _: &Path) -> std::io::Result<u32> {
    Ok(rustix::net::sockopt::socket_peercred(stream)?.uid.as_raw())
}

/// The owner of the socket.
#[cfg(not(target_os = "linux"))]
fn listener(_: &UnixStream, path: &Path) -> std::io::Result<u32> {
    use std::os::unix::fs::MetadataExt;
    Ok(std::fs::metadata(path)?.uid())
}

/// Connects to a socket of this user or of root, whatever the URL says.
#[derive(Debug)]
pub(super) struct SocketConnector(pub(super) PathBuf);

impl Connector for SocketConnector {
    type Out = SocketTransport;

    fn connect(
        &self,
        details: &ConnectionDetails<'_>,
        _: Option<()>,
    ) -> Result<Option<SocketTransport>, Error> {
        let stream = UnixStream::connect(&self.0)?;
        let listener = OtherUser(listener(&stream, &self.0)?);
        if !listener.is_trusted_by(place::own_user()) {
            return Err(Error::Other(Box::new(listener)));
        }
        let buffers =
            LazyBuffers::new(details.config.input_buffer_size(), details.config.output_buffer_size());
        Ok(Some(SocketTransport { stream, buffers }))
    }
}

/// A connection to a socket.
#[derive(Debug)]
pub(super) struct SocketTransport {
    stream: UnixStream,
    buffers: LazyBuffers,
}

/// What a time-out of the system means.
fn late(error: std::io::Error, timeout: &NextTimeout) -> Error {
    match error.kind() {
        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut => Error::Timeout(timeout.reason),
        _ => error.into(),
    }
}

impl Transport for SocketTransport {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.stream.set_write_timeout(timeout.not_zero().map(|time| *time))?;
        let output = self.buffers.output().get(..amount).unwrap_or_default();
        self.stream.write_all(output).map_err(|error| late(error, &timeout))
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.stream.set_read_timeout(timeout.not_zero().map(|time| *time))?;
        let read = self.stream.read(self.buffers.input_append_buf());
        let amount = read.map_err(|error| late(error, &timeout))?;
        self.buffers.input_appended(amount);
        Ok(amount > 0)
    }

    fn is_open(&mut self) -> bool {
        // One connection for each request: the host keeps none.
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_user_and_root_are_believed_and_nobody_else() {
        for (listener, own, is_trusted) in
            [(7, 7, true), (0, 7, true), (0, 0, true), (8, 7, false), (7, 0, false)]
        {
            assert_eq!(OtherUser(listener).is_trusted_by(own), is_trusted, "{listener} {own}");
        }
    }
}
