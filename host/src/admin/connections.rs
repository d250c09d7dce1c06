//! The connections of clients: a bounded number, each for one request, in a bounded time.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

/// Connections at the same time: far more than people, probes and Prometheus need.
const MOST: usize = 64;
/// How long a client may take to send its first byte.
const FIRST_BYTE: Duration = Duration::from_secs(5);
/// How long a client may take, from then on, to say what it wants.
const HEAD: Duration = Duration::from_secs(10);
/// How long a connection may take in all. A seek takes up to a minute, if it waits for a server and for the ops in work.
const WHOLE: Duration = Duration::from_secs(120);
/// Bytes of the head of a request.
const HEAD_BYTES: usize = 16 * 1024;

/// A connection that was accepted.
struct Connection {
    task: AbortHandle,
    /// It has said what it wants.
    asked: Arc<AtomicBool>,
}

/// Answers clients by these routes.
///
/// # Errors
/// The listener cannot be used on this runtime.
pub(super) async fn serve(listener: std::net::TcpListener, routes: Router) -> io::Result<()> {
    let listener = TcpListener::from_std(listener)?;
    let mut connections = VecDeque::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) if make_room(&mut connections) => {
                let asked = Arc::new(AtomicBool::new(false));
                let talk = converse(stream, routes.clone(), Arc::clone(&asked));
                let task = tokio::spawn(async {
                    if tokio::time::timeout(WHOLE, talk).await.is_err() {
                        tracing::debug!("a client of the admin API took longer than {} s", WHOLE.as_secs());
                    }
                });
                connections.push_back(Connection { task: task.abort_handle(), asked });
            }
            Ok(_) => tracing::debug!("the admin API has {MOST} requests in work: one more is not taken"),
            // Of the connection, or of a process that has too many open files: it passes.
            Err(error) => {
                tracing::debug!("the admin API cannot accept a connection: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Makes room for one more connection, and returns whether there is any. One that has said nothing yet makes way, the oldest
/// first: so whoever holds connections in silence keeps out nobody who asks for something.
fn make_room(connections: &mut VecDeque<Connection>) -> bool {
    connections.retain(|connection| !connection.task.is_finished());
    if connections.len() < MOST {
        return true;
    }
    let silent = connections.iter().position(|connection| !connection.asked.load(Ordering::Relaxed));
    let oldest = silent.and_then(|index| connections.remove(index));
    oldest.is_some_and(|connection| {
        connection.task.abort();
        true
    })
}

/// Answers one request.
async fn converse(stream: TcpStream, routes: Router, asked: Arc<AtomicBool>) {
    let first = tokio::time::timeout(FIRST_BYTE, stream.readable()).await;
    if !matches!(first, Ok(Ok(()))) {
        return;
    }
    let service = TowerToHyperService::new(routes);
    let service = service_fn(move |request| {
        asked.store(true, Ordering::Relaxed);
        service.call(request)
    });
    // Not both versions of HTTP: to find out which it is, it would wait for the first bytes without end.
    let mut builder = Builder::new(TokioExecutor::new()).http1_only();
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD)
        .keep_alive(false)
        .max_buf_size(HEAD_BYTES);
    if let Err(error) = builder.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!("a client of the admin API: {error}");
    }
}
