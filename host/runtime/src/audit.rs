//! Who did what to a running host, or to what it keeps: events of a tracing target of their own.
//!
//! An event has what was done as its message and in its name (`audit.roll_back`), and these fields: `outcome` (`done` or
//! `refused`), `via` (how: [`Actor`]), `user` (the number of the user, if it is known), `peer` (the address, by TCP), `plugin`,
//! `detail` (such as the place or the version) and, of what was refused, `reason`. A request that is not let in is a `request` with
//! its method and path as the `detail`, and no `plugin`; of these, a bounded number is recorded, and then how many more there were
//! (`left_out`).

use std::fmt;
use std::net::SocketAddr;

/// The target of the events. The program's log has them whatever its filter says, but for a filter that names this target.
pub const TARGET: &str = "gtm_host::audit";

/// Who does something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Actor {
    /// A user of this machine, by the host's socket.
    Socket {
        /// The number of the user.
        user: u32,
    },
    /// Who knows the token, by TCP, or was refused for want of it.
    Tcp {
        /// From where.
        peer: SocketAddr,
    },
    /// Whoever sent SIGHUP: the settings were read again.
    Hangup,
    /// Whoever wrote the file of a plugin.
    FileWatch,
    /// The host, as a new version failed its trial.
    Trial,
    /// Whoever answered at the terminal that the host was started from.
    Terminal,
    /// Whoever ran a command that changes the store.
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
            // The process is of the user that does it.
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

    /// Records that this was done, to this plugin.
    pub fn did(self, action: &str, plugin: &str, detail: Option<&dyn fmt::Display>) {
        self.record(action, Some(plugin), detail, None);
    }

    /// Records that this was refused.
    pub fn was_refused(
        self,
        action: &str,
        plugin: &str,
        detail: Option<&dyn fmt::Display>,
        reason: &dyn fmt::Display,
    ) {
        self.record(action, Some(plugin), detail, Some(reason.to_string()));
    }

    /// Records that a request was refused, whatever it asks for.
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
