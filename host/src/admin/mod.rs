//! How a running host is seen and steered from outside: an HTTP API, and the client of it that the commands use.
//!
//! | | |
//! |---|---|
//! | `GET /status` | what the host and each plugin do, as JSON: [`HostStatus`](crate::delivery::HostStatus) |
//! | `POST /pause?plugin=NAME`, `POST /resume?plugin=NAME` | that plugin; without a name, all |
//! | `POST /seek?plugin=NAME&to=START` | goes on from there, as `--start` takes it |
//! | `GET /metrics` | the same as `/status`, for Prometheus |
//! | `GET /health` | 200 while the process answers: where it does not, restart it |
//! | `GET /ready` | 200 while the host works or stands by, 503 while it starts or stops |
//!
//! A host that stands by is ready: a rolling deployment starts the new host, sees that it is ready, ends the old one, and the
//! new one takes over. A plugin that fails or is paused makes no host unready, as a restart does not help.
//!
//! An error is `{"error": "…"}`. Over an address that is not this machine's own, all but `/health` and `/ready` want a token
//! (`Authorization: Bearer …`).

mod access;
mod address;
mod client;
mod metrics;
mod routes;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;

pub use address::{AdminAddress, NoAdminAddress};
pub use client::{AdminClient, ClientError};

use crate::delivery::Control;
use access::Access;

/// How long a client may take to say what it wants, or to say more: it holds a connection.
const PATIENCE: Duration = Duration::from_secs(30);

/// An API that listens.
#[derive(Debug)]
pub struct Admin {
    listener: TcpListener,
    access: Access,
}

/// Why there is no API.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// It cannot be listened there.
    #[error(
        "the admin API cannot listen on {address}: {reason}. Is another host running there? Name another by --admin"
    )]
    Listen {
        /// Where.
        address: AdminAddress,
        /// What the system says.
        reason: io::Error,
    },
    /// Others than this machine reach it.
    #[error(
        "the admin API on {address} can be reached from other machines, so it needs a token: give one by --admin-token-file \
         or GTM_ADMIN_TOKEN, or listen on 127.0.0.1"
    )]
    NoToken {
        /// Where.
        address: SocketAddr,
    },
    /// The token has no characters, or some that no header can carry.
    #[error("the token of the admin API must be printable ASCII without spaces, and not empty")]
    Token,
}

impl Admin {
    /// Listens at this address, for who has the token; without one, for who is on this machine.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub async fn bind(address: &AdminAddress, token: Option<&str>) -> Result<Self, AdminError> {
        check(token)?;
        let failed = |reason| AdminError::Listen { address: address.clone(), reason };
        let listener = TcpListener::bind((address.host(), address.port())).await.map_err(failed)?;
        let local = listener.local_addr().map_err(failed)?;
        if token.is_none() && !local.ip().is_loopback() {
            return Err(AdminError::NoToken { address: local });
        }
        Ok(Self { listener, access: Access::new(token) })
    }

    /// Where it listens: the port, too, where 0 was set.
    ///
    /// # Errors
    /// The system does not say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers for the host that `control` steers, until it is dropped.
    pub async fn serve(self, control: Control) {
        let routes = self.access.guard(routes::steering(control.clone())).merge(routes::probes(control));
        let routes = routes::with_fallbacks(routes);
        loop {
            match self.listener.accept().await {
                Ok((connection, _)) => drop(tokio::spawn(converse(connection, routes.clone()))),
                // Of the connection, or of a process that has too many open files: it passes.
                Err(error) => {
                    tracing::debug!("the admin API cannot accept a connection: {error}");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

async fn converse(connection: tokio::net::TcpStream, routes: Router) {
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    let served = builder.serve_connection(TokioIo::new(connection), TowerToHyperService::new(routes)).await;
    if let Err(error) = served {
        tracing::debug!("a client of the admin API: {error}");
    }
}

/// Whether a header can carry this token.
fn check(token: Option<&str>) -> Result<(), AdminError> {
    match token {
        Some(token) if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Err(AdminError::Token)
        }
        _ => Ok(()),
    }
}
