//! How a running host is seen and steered from outside: an HTTP API, and the client of it that the commands use.
//!
//! | | |
//! |---|---|
//! | `GET /status` | what the host and each plugin do, as JSON: [`HostStatus`](crate::delivery::HostStatus) |
//! | `POST /pause?plugin=NAME`, `POST /resume?plugin=NAME` | that plugin; without a name, all |
//! | `POST /seek?plugin=NAME&to=START` | goes on from there, as `--start` takes it |
//! | `GET /metrics` | the same as `/status`, for Prometheus: as OpenMetrics if the client accepts it, else as Prometheus' text |
//! | `GET /health` | 200 while the process answers: where it does not, restart it |
//! | `GET /ready` | 200 while the host works or stands by; 503 while it starts or stops, or if its source is away for long |
//!
//! A host that stands by is ready: a rolling deployment starts the new host, sees that it is ready, ends the old one, and the
//! new one takes over. A plugin that fails or is paused makes no host unready, as a restart does not help.
//!
//! An error is `{"error": "…"}`. Over an address that is not this machine's own, all but `/health` and `/ready` want a token
//! (`Authorization: Bearer …`).

mod access;
mod address;
mod client;
mod connections;
mod metrics;
mod process;
mod routes;
mod text_format;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use tokio_util::sync::{CancellationToken, DropGuard};

pub use address::{AdminAddress, NoAdminAddress};
pub use client::{AdminClient, ClientError};

use crate::delivery::Control;
use crate::plugin::Listening;
use access::Access;

/// How long the source may not answer before the host is not ready, if nothing else is set: longer than an election takes.
pub const READY_GRACE: Duration = Duration::from_secs(30);

/// An API that listens.
#[derive(Debug)]
pub struct Admin {
    listener: TcpListener,
    access: Access,
    listening: Listening,
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
    pub fn bind(address: &AdminAddress, token: Option<&str>) -> Result<Self, AdminError> {
        check(token)?;
        let failed = |reason| AdminError::Listen { address: address.clone(), reason };
        let listener = TcpListener::bind((address.host(), address.port())).map_err(failed)?;
        let local = listener.local_addr().map_err(failed)?;
        if token.is_none() && !local.ip().is_loopback() {
            return Err(AdminError::NoToken { address: local });
        }
        Ok(Self { listener, access: Access::new(token), listening: Listening::at(local) })
    }

    /// Where it listens: the port, too, where 0 was set.
    ///
    /// # Errors
    /// The system does not say.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers for the host that `control` steers, until what is returned is dropped: on a thread of its own, so that it answers
    /// whatever keeps the threads busy that plugins run on. The host is not ready when its source has not answered for longer
    /// than `ready_grace`.
    ///
    /// # Errors
    /// The system has no thread for it.
    pub fn serve(self, control: Control, ready_grace: Duration) -> io::Result<Serving> {
        let routes = self.access.guard(routes::steering(control.clone()));
        let routes = routes::with_fallbacks(routes.merge(routes::probes(control, ready_grace)));
        self.listener.set_nonblocking(true)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let stop = CancellationToken::new();
        let serving = Serving(stop.clone().drop_guard());
        let listening = self.listening;
        std::thread::Builder::new().name("admin".to_owned()).spawn(move || {
            let _listening = listening;
            let served = runtime.block_on(async {
                tokio::select! {
                    served = connections::serve(self.listener, routes) => served,
                    () = stop.cancelled() => Ok(()),
                }
            });
            if let Err(error) = served {
                tracing::error!("the admin API has ended: {error}");
            }
            // A swap that is being compiled is not waited for.
            runtime.shutdown_background();
        })?;
        Ok(serving)
    }
}

/// An API that answers. It ends when this is dropped.
#[derive(Debug)]
pub struct Serving(#[allow(dead_code, reason = "it works when it is dropped")] DropGuard);

/// Whether a header can carry this token.
fn check(token: Option<&str>) -> Result<(), AdminError> {
    match token {
        Some(token) if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Err(AdminError::Token)
        }
        _ => Ok(()),
    }
}
