//! How a running host is seen and steered from outside: an HTTP API, and the client of it that the commands use.
//!
//! | | |
//! |---|---|
//! | `GET /status` | what the host and each plugin do, as JSON: [`HostStatus`](gtm_delivery::HostStatus) |
//! | `POST /pause?plugin=NAME`, `POST /resume?plugin=NAME` | that plugin; without a name, all |
//! | `POST /seek?plugin=NAME&to=START` | goes on from there, as `--start` takes it |
//! | `POST /swap?plugin=NAME&file=PATH` | goes on with that version |
//! | `GET /metrics` | the same as `/status`, for Prometheus: as OpenMetrics if the client accepts it, else as Prometheus' text |
//! | `GET /health` | 200 while the process answers: where it does not, restart it |
//! | `GET /ready` | 200 while the host works or stands by; 503 while it starts or stops, or if its source is away for long |
//!
//! A host that stands by is ready: a rolling deployment starts the new host, sees that it is ready, ends the old one, and the
//! new one takes over. A plugin that fails or is paused makes no host unready, as a restart does not help.
//!
//! An error is `{"error": "…"}`. There are two entrances. At the Unix socket, which each host has, the host's own user and root may do
//! all of it. By TCP, which is asked for, all but `/health` and `/ready` want a token (`Authorization: Bearer …`); if none was set, the
//! host makes one, and `/metrics` may be read on this machine without it.

mod access;
mod address;
mod client;
mod connections;
mod find;
mod metrics;
mod place;
mod process;
mod routes;
mod socket;
mod text_format;
mod token;
mod transport;

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use access::{AdminAccess, Refusals};
pub use address::{AdminAddress, NoAdminAddress, TcpAddress};
pub use client::{AdminClient, ClientError};
use connections::Listener;
use gtm_delivery::HostControl;
use gtm_runtime::Listening;
use socket::Socket;
use token::TokenFile;
use tokio_util::sync::{CancellationToken, DropGuard};

/// How long the source may not answer before the host is not ready, if nothing else is set: longer than an election takes.
pub const READY_GRACE: Duration = Duration::from_secs(30);

/// An API that listens.
#[derive(Debug)]
pub struct Admin {
    listener: Listener,
    /// Who may steer.
    access: AdminAccess,
    /// Who may read the metrics.
    metrics: AdminAccess,
    at: At,
}

/// What an API holds while it listens.
#[derive(Debug)]
enum At {
    Socket(Socket),
    Tcp { address: SocketAddr, token: Option<TokenFile>, _own: Listening },
}

/// Why there is no API.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// It cannot be listened there.
    #[error(
        "the admin API cannot listen on {address}: {reason}. Is another host running there? help: name another address with --admin"
    )]
    Listen {
        /// Where.
        address: String,
        /// What the system says.
        reason: io::Error,
    },
    /// There is no place for the socket.
    #[error(
        "there is no directory for the host's socket: {reason}. help: set XDG_RUNTIME_DIR, or name a path with --admin /DIR/NAME.sock"
    )]
    NoSocket {
        /// What the system says of the first that was tried.
        reason: io::Error,
    },
    /// There is no place for a token.
    #[error(
        "the admin API on {address} needs a token, and there is no directory to keep one in: {reason}. help: pass one with \
         --admin-token-file"
    )]
    NoToken {
        /// Where it listens.
        address: SocketAddr,
        /// What the system says of the first directory that was tried.
        reason: io::Error,
    },
    /// The token has no characters, or some that no header can carry.
    #[error(
        "the token of the admin API must be printable ASCII without spaces, and not empty. help: pass another one with --admin-token or \
         --admin-token-file, or none, and the host makes one"
    )]
    Token,
}

impl Admin {
    /// Listens at the socket by which commands find the hosts of this pipeline.
    ///
    /// # Errors
    /// There is no directory for it.
    pub fn of_pipeline(pipeline: &str) -> Result<Self, AdminError> {
        let bound = Socket::of_pipeline(pipeline).map_err(|reason| AdminError::NoSocket { reason })?;
        Ok(Self::at_socket(bound))
    }

    /// Listens at the socket of this path.
    ///
    /// # Errors
    /// It cannot be listened there.
    pub fn at_path(path: &Path) -> Result<Self, AdminError> {
        let bound = Socket::bind(path)
            .map_err(|reason| AdminError::Listen { address: path.display().to_string(), reason })?;
        Ok(Self::at_socket(bound))
    }

    fn at_socket((socket, listener): (Socket, std::os::unix::net::UnixListener)) -> Self {
        let access = AdminAccess::User(place::own_user());
        Self { listener: Listener::Unix(listener), metrics: access.clone(), access, at: At::Socket(socket) }
    }

    /// Listens at this address, for who has the token. None: one is made, which commands of this user find.
    ///
    /// # Errors
    /// See [`AdminError`].
    pub fn at_address(address: &TcpAddress, token: Option<&str>) -> Result<Self, AdminError> {
        check_token(token)?;
        let failed = |reason| AdminError::Listen { address: address.to_string(), reason };
        let listener = TcpListener::bind((address.host(), address.port())).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let made = match token {
            Some(_) => None,
            None => Some(TokenFile::make(address).map_err(|reason| AdminError::NoToken { address, reason })?),
        };
        let token = token.or(made.as_ref().map(|made| made.token.as_str())).unwrap_or_default();
        let access = AdminAccess::token(token);
        // Metrics steer nothing. Where no token was set, whoever is on this machine may read them.
        let is_open = made.is_some() && address.ip().is_loopback();
        let metrics = if is_open { AdminAccess::Local } else { access.clone() };
        let at = At::Tcp { address, token: made, _own: Listening::at(address) };
        Ok(Self { listener: Listener::Tcp(listener), access, metrics, at })
    }

    /// Where it listens by TCP: the port, too, where 0 was set.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match &self.at {
            At::Tcp { address, .. } => Some(*address),
            At::Socket(_) => None,
        }
    }

    /// The path of its socket.
    pub fn socket(&self) -> Option<&Path> {
        match &self.at {
            At::Socket(socket) => Some(socket.path()),
            At::Tcp { .. } => None,
        }
    }

    /// The file of the token that was made for it.
    pub fn token_file(&self) -> Option<PathBuf> {
        match &self.at {
            At::Tcp { token: Some(token), .. } => Some(token.path.clone()),
            _ => None,
        }
    }

    /// Answers for the host that `control` steers, until what is returned is dropped: on a thread of its own, so that it answers
    /// whatever keeps the threads busy that plugins run on. The host is not ready when its source has not answered for longer
    /// than `ready_grace`.
    ///
    /// # Errors
    /// The system has no thread for it.
    pub fn serve(self, control: HostControl, ready_grace: Duration) -> io::Result<Serving> {
        let refusals = Arc::new(Refusals::default());
        let steering = self.access.guard(routes::steering(control.clone()), &refusals);
        let metrics = self.metrics.guard(routes::metrics(control.clone()), &refusals);
        let routes = steering.merge(metrics).merge(routes::probes(control, ready_grace));
        let routes = routes::with_fallbacks(routes);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let stop = CancellationToken::new();
        let guard = stop.clone().drop_guard();
        let (listener, at) = (self.listener, self.at);
        let thread = std::thread::Builder::new().name("admin".to_owned()).spawn(move || {
            let _at = at;
            let served = runtime.block_on(async {
                tokio::select! {
                    served = connections::serve(listener, routes) => served,
                    () = refusals.report() => Ok(()),
                    () = stop.cancelled() => Ok(()),
                }
            });
            refusals.report_rest();
            if let Err(error) = served {
                tracing::error!(event = "admin.fail", %error, "the admin API has ended; the plugins continue");
            }
            // A swap that is being compiled is not waited for.
            runtime.shutdown_background();
        })?;
        Ok(Serving { stop: Some(guard), thread: Some(thread) })
    }
}

/// An API that answers. It ends when this is dropped.
#[derive(Debug)]
pub struct Serving {
    stop: Option<DropGuard>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Drop for Serving {
    fn drop(&mut self) {
        drop(self.stop.take());
        // What it has on disk is gone when the process ends.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Checks that a header can carry this token, if there is one.
///
/// # Errors
/// See [`AdminError::Token`].
pub fn check_token(token: Option<&str>) -> Result<(), AdminError> {
    match token {
        Some(token) if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) => {
            Err(AdminError::Token)
        }
        _ => Ok(()),
    }
}
