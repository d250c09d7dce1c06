//! One HTTP request to a host, by TCP or over a Unix socket.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, StatusCode};
use http_body_util::{BodyExt, Empty, Limited};
use hyper::client::conn::http1::handshake;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::{TcpAddress, place};

/// A host on this machine accepts a connection immediately, or does not run.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// The most bytes of an answer: far more than the status of any host has.
const MAX_ANSWER_BYTES: usize = 16 << 20;

/// Where a host listens.
#[derive(Clone, Debug)]
pub(super) enum Endpoint {
    /// At a Unix socket.
    Socket(PathBuf),
    /// At a host and a port.
    Tcp(TcpAddress),
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum RequestError {
    /// A program of this user, by number, listens at the socket. It is sent nothing.
    OtherUser(u32),
    /// Nothing answers in time.
    Unreachable(io::Error),
    /// The answer is not that of a host.
    Strange(String),
}

impl From<io::Error> for RequestError {
    fn from(error: io::Error) -> Self {
        Self::Unreachable(error)
    }
}

impl From<hyper::Error> for RequestError {
    fn from(error: hyper::Error) -> Self {
        if error.is_parse() {
            Self::Strange(error.to_string())
        } else {
            Self::Unreachable(io::Error::other(error))
        }
    }
}

impl Endpoint {
    /// Sends a request, and returns the answer: its status and its body. It blocks, on a thread of its own, because the caller may run on
    /// a runtime.
    pub(super) fn send(
        &self,
        request: Request<Empty<Bytes>>,
        answer_timeout: Duration,
    ) -> Result<(StatusCode, Bytes), RequestError> {
        let exchange = || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(async {
                let answer = timeout(answer_timeout, self.exchange(request)).await;
                answer.unwrap_or_else(|_| Err(late("it did not answer", answer_timeout)))
            })
        };
        match std::thread::scope(|scope| scope.spawn(exchange).join()) {
            Ok(answer) => answer,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    }

    async fn exchange(&self, request: Request<Empty<Bytes>>) -> Result<(StatusCode, Bytes), RequestError> {
        let connect_late = |_| late("it accepted no connection", CONNECT_TIMEOUT);
        match self {
            Self::Socket(path) => {
                let stream = timeout(CONNECT_TIMEOUT, connect(path)).await.map_err(connect_late)??;
                exchange(stream, request).await
            }
            Self::Tcp(address) => {
                let stream = TcpStream::connect((address.host(), address.port()));
                exchange(timeout(CONNECT_TIMEOUT, stream).await.map_err(connect_late)??, request).await
            }
        }
    }
}

fn late(what: &str, limit: Duration) -> RequestError {
    let reason = format!("{what} within {} s", limit.as_secs());
    RequestError::Unreachable(io::Error::new(io::ErrorKind::TimedOut, reason))
}

/// Connects to a socket if this user or root listens there.
async fn connect(path: &Path) -> Result<UnixStream, RequestError> {
    let stream = UnixStream::connect(path).await?;
    let user = stream.peer_cred()?.uid();
    if is_trusted(user, place::own_user()) { Ok(stream) } else { Err(RequestError::OtherUser(user)) }
}

/// Returns whether the user `own` trusts what a program of `user` answers.
fn is_trusted(user: u32, own: u32) -> bool {
    user == own || user == 0
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Empty<Bytes>>,
) -> Result<(StatusCode, Bytes), RequestError> {
    let (mut sender, connection) = handshake(TokioIo::new(stream)).await?;
    // It ends with the runtime. The sender reports its errors.
    tokio::spawn(connection);
    let answer = sender.send_request(request).await?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), MAX_ANSWER_BYTES).collect().await;
    let body = body.map_err(|error| RequestError::Strange(error.to_string()))?;
    Ok((status, body.to_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_user_and_root_are_trusted() {
        for (user, own, trusted) in [(7, 7, true), (0, 7, true), (0, 0, true), (8, 7, false), (7, 0, false)] {
            assert_eq!(is_trusted(user, own), trusted, "{user} {own}");
        }
    }
}
