//! The admin API: an HTTP API that observes and controls a running host, and the client that the commands use.
//!
//! | | |
//! |---|---|
//! | `GET /status` | returns the status of the host and its plugins as JSON: [`HostStatus`](gtm_delivery::HostStatus) |
//! | `POST /pause?plugin=NAME`, `POST /resume?plugin=NAME` | pauses or resumes a plugin, or all without a name |
//! | `POST /seek?plugin=NAME&to=START` | moves the position of a plugin to a value of `--start` |
//! | `POST /swap?plugin=NAME&file=PATH` | swaps a plugin for the version in this file |
//! | `GET /metrics` | returns metrics in OpenMetrics if the client accepts it, else in Prometheus' text format |
//! | `GET /health` | returns 200 while the process answers; if it does not, restart the process |
//! | `GET /ready` | returns 200 while the host is active or standby; 503 while it starts or stops, or if its source does not answer for long |
//!
//! A standby host is ready: a rolling deployment starts the new host, sees that it is ready, and stops the old one; then the new one takes
//! over. A plugin that fails or is paused does not make the host unready, because a restart would not help.
//!
//! An error is `{"error": "…"}`. Each host listens at a Unix socket, by which its own user and root may do everything. If the settings name
//! an address, it listens by TCP, too. There, every path except `/health` and `/ready` needs a token (`Authorization: Bearer …`). If none
//! was set, the host makes one, and clients on this machine may read `/metrics` without it.

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

/// The default time without an answer of the source after which a host is not ready. It is longer than an election.
pub const READY_GRACE: Duration = Duration::from_secs(30);

/// An API that listens and does not answer yet.
#[derive(Debug)]
pub struct Admin {
    listener: Listener,
    /// Who may read the status and send commands.
    access: AdminAccess,
    /// Who may read the metrics.
    metrics: AdminAccess,
    at: At,
}

/// The address of an API, and the files that it holds while it listens.
#[derive(Debug)]
enum At {
    Socket(Socket),
    Tcp { address: SocketAddr, token: Option<TokenFile>, _own: Listening },
}

/// Why the API cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The system refuses the address.
    #[error(
        "the admin API cannot listen on {address}: {reason}. help: stop the program that listens there, or pass another address with \
         --admin"
    )]
    Listen {
        /// The address.
        address: String,
        /// The error of the system.
        reason: io::Error,
    },
    /// There is no directory for the socket.
    #[error(
        "there is no directory for the host's socket: {reason}. help: set XDG_RUNTIME_DIR, or pass a path with --admin /DIR/NAME.sock"
    )]
    NoSocket {
        /// The error of the first directory.
        reason: io::Error,
    },
    /// There is no directory for the token that the host would make.
    #[error(
        "the admin API on {address} needs a token, and there is no directory to keep one in: {reason}. help: pass one with \
         --admin-token-file"
    )]
    NoToken {
        /// The address.
        address: SocketAddr,
        /// The error of the first directory.
        reason: io::Error,
    },
    /// The token is empty, or has characters that a header cannot carry.
    #[error(
        "the token of the admin API must be printable ASCII without spaces, and not empty. help: pass another one with --admin-token or \
         --admin-token-file, or leave both out, and the host makes one"
    )]
    Token,
}

impl Admin {
    /// Listens at the socket at which commands find the hosts of this pipeline.
    ///
    /// # Errors
    /// Fails if there is no directory for the socket.
    pub fn of_pipeline(pipeline: &str) -> Result<Self, AdminError> {
        let bound = Socket::of_pipeline(pipeline).map_err(|reason| AdminError::NoSocket { reason })?;
        Ok(Self::at_socket(bound))
    }

    /// Listens at a socket with this path.
    ///
    /// # Errors
    /// Fails if another host listens there, or the system refuses.
    pub fn at_path(path: &Path) -> Result<Self, AdminError> {
        let bound = Socket::bind(path)
            .map_err(|reason| AdminError::Listen { address: path.display().to_string(), reason })?;
        Ok(Self::at_socket(bound))
    }

    fn at_socket((socket, listener): (Socket, std::os::unix::net::UnixListener)) -> Self {
        let access = AdminAccess::User(place::own_user());
        Self { listener: Listener::Unix(listener), metrics: access.clone(), access, at: At::Socket(socket) }
    }

    /// Listens at this address for clients with the token. Without a token, it makes one that commands of this user find.
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
        // Metrics change nothing. If no token was set, every user of this machine may read them.
        let is_open = made.is_some() && address.ip().is_loopback();
        let metrics = if is_open { AdminAccess::Local } else { access.clone() };
        let at = At::Tcp { address, token: made, _own: Listening::at(address) };
        Ok(Self { listener: Listener::Tcp(listener), access, metrics, at })
    }

    /// Returns the TCP address, with the real port if 0 was set.
    pub fn local_addr(&self) -> Option<SocketAddr> {
        match &self.at {
            At::Tcp { address, .. } => Some(*address),
            At::Socket(_) => None,
        }
    }

    /// Returns the path of its socket.
    pub fn socket(&self) -> Option<&Path> {
        match &self.at {
            At::Socket(socket) => Some(socket.path()),
            At::Tcp { .. } => None,
        }
    }

    /// Returns the file of the token that it made.
    pub fn token_file(&self) -> Option<PathBuf> {
        match &self.at {
            At::Tcp { token: Some(token), .. } => Some(token.path.clone()),
            _ => None,
        }
    }

    /// Answers for the host of `control` until the result is dropped. It runs on a thread of its own, so that it answers while plugins keep
    /// their threads busy. The host is not ready if its source has not answered for longer than `ready_grace`.
    ///
    /// # Errors
    /// Fails if the system has no thread for it.
    pub fn serve(self, control: HostControl, ready_grace: Duration) -> io::Result<Serving> {
        let refusals = Arc::new(Refusals::default());
        let commands = self.access.guard(routes::commands(control.clone()), &refusals);
        let metrics = self.metrics.guard(routes::metrics(control.clone()), &refusals);
        let routes = commands.merge(metrics).merge(routes::probes(control, ready_grace));
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
            // Does not wait for a swap whose plugin is being compiled.
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
        // The thread removes its files, so wait for it.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Checks that a header can carry the token, if there is one.
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
