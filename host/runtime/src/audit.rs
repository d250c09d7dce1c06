//! Records who did what to a running host or its store, as events of a tracing target of their own.
//!
//! The message of an event is the action, which its name repeats (`audit.roll_back`). Its fields are `outcome` (`done` or `refused`),
//! `via` (see [`Actor`]), `user` (the number of the user, if it is known), `peer` (the address, by TCP), `plugin`, `detail` (such as
//! the position or the version) and, if it was refused, `reason`. A request without access is a `request` with its method and path as
//! the `detail`, and without `plugin`: a bounded number of them is recorded, and then how many more there were (`left_out`).

use std::fmt;
use std::net::SocketAddr;

/// The target of the events. The program logs them whatever its filter is, unless the filter names this target.
pub const TARGET: &str = "gtm_host::audit";

/// The actor of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A user of this machine, over the host's socket.
    Socket {
        /// The number of the user.
        user: u32,
    },
    /// A client over TCP, with the token or refused without it.
    Tcp {
        /// Its address.
        peer: SocketAddr,
    },
    /// The sender of SIGHUP: the settings were read again.
    Hangup,
    /// The writer of a plugin's file.
    FileWatch,
    /// The host, after a new version failed its trial.
    Trial,
    /// The user who answered at the terminal from which the host was started.
    Terminal,
    /// The user of a command that changes the store.
    Command,
}

impl Actor {
    fn via(self) -> &'static str {
        match self {
            Self::Socket { .. } => "socket",
            Self::Tcp { .. } => "tcp",
            Self::Hangup => "sighup",
            Self::FileWatch => "file-watch",
            Self::Trial => "trial",
            Self::Terminal => "terminal",
            Self::Command => "command",
        }
    }

    fn user(self) -> Option<u32> {
        match self {
            Self::Socket { user } => Some(user),
            // The process runs as the user who acts.
            Self::Terminal | Self::Command => Some(rustix::process::getuid().as_raw()),
            Self::Tcp { .. } | Self::Hangup | Self::FileWatch | Self::Trial => None,
        }
    }

    fn peer(self) -> Option<String> {
        match self {
            Self::Tcp { peer } => Some(peer.to_string()),
            _ => None,
        }
    }

    /// Records an action on this plugin.
    pub fn did(self, action: &str, plugin: &str, detail: Option<&dyn fmt::Display>) {
        self.record(action, Some(plugin), detail, None);
    }

    /// Records that an action was refused.
    pub fn was_refused(
        self,
        action: &str,
        plugin: &str,
        detail: Option<&dyn fmt::Display>,
        reason: &dyn fmt::Display,
    ) {
        self.record(action, Some(plugin), detail, Some(reason.to_string()));
    }

    /// Records that a request had no access, whatever it asks for.
    pub fn was_not_let_in(self, request: &dyn fmt::Display, reason: &dyn fmt::Display) {
        self.record("request", None, Some(request), Some(reason.to_string()));
    }

    fn record(
        self,
        action: &str,
        plugin: Option<&str>,
        detail: Option<&dyn fmt::Display>,
        reason: Option<String>,
    ) {
        let outcome = if reason.is_some() { "refused" } else { "done" };
        let detail = detail.map(ToString::to_string);
        let (via, user, peer) = (self.via(), self.user(), self.peer());
        let event = format!("audit.{}", action.replace(' ', "_"));
        tracing::info!(target: TARGET, event, outcome, via, user, peer, plugin, detail, reason, "{action}");
    }
}
