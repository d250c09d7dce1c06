//! The connections of clients: bounded in number, one request each, bounded in time.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use axum::Router;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Notify;
use tokio::task::AbortHandle;

use super::access::Peer;

/// The maximum number of connections: far more than people, probes and Prometheus need.
const MAX_CONNECTIONS: usize = 64;
/// The time within which a client must send its first byte.
const FIRST_BYTE_TIMEOUT: Duration = Duration::from_secs(5);
/// The time within which a client must send the head of its request after that.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// The time within which a client must read an answer.
const READ_TIMEOUT: Duration = Duration::from_secs(20);
/// The time limit of a connection. A seek that waits for a server and for the ops in work takes up to a minute.
const CONNECTION_TIMEOUT: Duration = Duration::from_secs(120);
/// The maximum number of bytes in the head of a request.
const MAX_HEAD_BYTES: usize = 16 * 1024;

/// A listening socket, by TCP or Unix.
#[derive(Debug)]
pub(super) enum Listener {
    Tcp(std::net::TcpListener),
    Unix(std::os::unix::net::UnixListener),
}

/// The stage of a connection.
#[derive(Debug, Default)]
struct Stage {
    reached: AtomicU8,
    answered: Notify,
}

/// The client has sent nothing yet.
const SILENT: u8 = 0;
/// The request is in work.
const ASKED: u8 = 1;
/// The answer is ready, and the client has not read it yet.
const ANSWERED: u8 = 2;

impl Stage {
    fn is(&self, stage: u8) -> bool {
        self.reached.load(Ordering::Relaxed) == stage
    }

    fn set(&self, stage: u8) {
        self.reached.store(stage, Ordering::Relaxed);
        if stage == ANSWERED {
            self.answered.notify_one();
        }
    }

    /// Waits until the time for reading the answer is over.
    async fn unread(&self) {
        self.answered.notified().await;
        tokio::time::sleep(READ_TIMEOUT).await;
    }
}

/// An accepted connection.
struct Connection {
    task: AbortHandle,
    stage: Arc<Stage>,
}

/// All connections.
#[derive(Default)]
struct AdminConnections(VecDeque<Connection>);

impl AdminConnections {
    /// Makes room for one more connection, and returns whether there is room. If there is none, it closes the oldest connection that has
    /// sent nothing, or else the oldest whose answer is unread. So idle connections do not keep others out.
    fn make_room(&mut self) -> bool {
        self.0.retain(|connection| !connection.task.is_finished());
        if self.0.len() < MAX_CONNECTIONS {
            return true;
        }
        let oldest = |stage| self.0.iter().position(|connection| connection.stage.is(stage));
        let idle = oldest(SILENT).or_else(|| oldest(ANSWERED));
        idle.and_then(|index| self.0.remove(index)).is_some_and(|connection| {
            connection.task.abort();
            true
        })
    }

    fn accept<I>(&mut self, io: I, peer: Peer, routes: &Router)
    where
        I: AsyncRead + AsyncWrite + Peek + Unpin + Send + 'static,
    {
        if !self.make_room() {
            tracing::debug!(
                event = "admin.refuse",
                limit = MAX_CONNECTIONS,
                "too many requests are in work; refusing one"
            );
            return;
        }
        let stage = Arc::new(Stage::default());
        let talk = answer(io, peer, routes.clone(), Arc::clone(&stage));
        let unread = Arc::clone(&stage);
        let task = tokio::spawn(async move {
            tokio::select! {
                () = talk => {}
                () = unread.unread() => {
                    tracing::debug!(
                        event = "admin.time_out",
                        limit_ms = READ_TIMEOUT.as_millis(),
                        "a client did not read its response in time"
                    );
                }
                () = tokio::time::sleep(CONNECTION_TIMEOUT) => {
                    tracing::debug!(event = "admin.time_out", limit_ms = CONNECTION_TIMEOUT.as_millis(), "a request took too long");
                }
            }
        });
        self.0.push_back(Connection { task: task.abort_handle(), stage });
    }
}

/// Answers clients with these routes.
///
/// # Errors
/// Fails if the listener cannot be used on this runtime.
pub(super) async fn serve(listener: Listener, routes: Router) -> io::Result<()> {
    let mut connections = AdminConnections::default();
    match listener {
        Listener::Tcp(listener) => {
            listener.set_nonblocking(true)?;
            let listener = TcpListener::from_std(listener)?;
            loop {
                match listener.accept().await {
                    Ok((stream, peer)) => connections.accept(stream, Peer::At(peer), &routes),
                    Err(error) => wait_after(&error).await,
                }
            }
        }
        Listener::Unix(listener) => {
            listener.set_nonblocking(true)?;
            let listener = UnixListener::from_std(listener)?;
            loop {
                match listener.accept().await.and_then(|(stream, _)| Ok((stream.peer_cred()?.uid(), stream)))
                {
                    Ok((user, stream)) => connections.accept(stream, Peer::User(user), &routes),
                    Err(error) => wait_after(&error).await,
                }
            }
        }
    }
}

/// Waits after an error of one connection, or of a process with too many open files.
async fn wait_after(error: &io::Error) {
    tracing::debug!(event = "admin.accept_failed", %error, "a connection cannot be accepted");
    tokio::time::sleep(Duration::from_millis(100)).await;
}

/// A connection that can wait for its first bytes without reading them.
trait Peek {
    fn readable(&self) -> impl Future<Output = io::Result<()>> + Send;
}

impl Peek for tokio::net::TcpStream {
    fn readable(&self) -> impl Future<Output = io::Result<()>> + Send {
        self.readable()
    }
}

impl Peek for tokio::net::UnixStream {
    fn readable(&self) -> impl Future<Output = io::Result<()>> + Send {
        self.readable()
    }
}

/// Answers one request.
async fn answer<I>(io: I, peer: Peer, routes: Router, stage: Arc<Stage>)
where
    I: AsyncRead + AsyncWrite + Peek + Unpin + Send + 'static,
{
    let first = tokio::time::timeout(FIRST_BYTE_TIMEOUT, io.readable()).await;
    if !matches!(first, Ok(Ok(()))) {
        return;
    }
    let service = TowerToHyperService::new(routes);
    let service = service_fn(move |mut request: hyper::Request<_>| {
        stage.set(ASKED);
        request.extensions_mut().insert(peer);
        let (answering, stage) = (service.call(request), Arc::clone(&stage));
        async move {
            let answer = answering.await;
            stage.set(ANSWERED);
            answer
        }
    });
    // Only HTTP/1: detecting the version would wait for the first bytes without a time limit.
    let mut builder = Builder::new(TokioExecutor::new()).http1_only();
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .keep_alive(false)
        .max_buf_size(MAX_HEAD_BYTES);
    if let Err(error) = builder.serve_connection(TokioIo::new(io), service).await {
        tracing::debug!(event = "admin.serve_failed", %error, "a connection ended with an error");
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    /// More bytes than the system buffers for a connection without a reader.
    const LARGE: usize = 32 << 20;

    async fn ask(address: std::net::SocketAddr, path: &str) -> TcpStream {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).await.unwrap();
        stream
    }

    async fn read(mut stream: TcpStream) -> usize {
        let mut answer = Vec::new();
        // A closed connection may end with an error.
        let _ = stream.read_to_end(&mut answer).await;
        answer.len()
    }

    #[tokio::test]
    async fn clients_that_do_not_read_keep_nobody_out_and_are_let_go() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let large = axum::body::Bytes::from(vec![b'x'; LARGE]);
        let routes = Router::new()
            .route("/large", get(async move || large.clone()))
            .route("/small", get(async || "ok"));
        let serving = tokio::spawn(serve(Listener::Tcp(listener), routes));
        let mut slow = Vec::new();
        for _ in 0..MAX_CONNECTIONS {
            let mut stream = ask(address, "/large").await;
            // Waits for the first bytes of the answer.
            stream.read_exact(&mut [0; 9]).await.unwrap();
            slow.push(stream);
        }
        assert!(read(ask(address, "/small").await).await > 0, "a slow one makes way");
        // The host closes all of them in the end, so that writes to them fail.
        for mut stream in slow {
            while stream.write_all(b"x").await.is_ok() {
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
        // A client that reads gets the whole answer.
        assert!(read(ask(address, "/large").await).await > LARGE);
        serving.abort();
    }
}
