//! Which server is followed, and from where on.

use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{Args, ValueEnum};
use gtm_host::config::{Settings, SourceSettings};
use gtm_source::{HistoryLost, SourceKind, Start};

use super::{Typed, overlay};

/// Which server is followed, and from where on.
#[derive(Debug, Args)]
#[command(next_help_heading = "MongoDB")]
pub(in crate::cli) struct ServerArguments {
    /// The MongoDB to follow: a replica set or a sharded cluster [default: mongodb://localhost:27017]
    #[arg(short, long, env = "MONGODB_URI", hide_env_values = true)]
    uri: Option<String>,

    /// A file that holds the URI, with its password
    #[arg(long, env = "MONGODB_URI_FILE", value_name = "FILE")]
    uri_file: Option<PathBuf>,

    /// What to read: the oplog, or a change stream; auto takes the oplog where this user may read it
    /// [default: auto]
    #[arg(long, env = "GTM_SOURCE", value_name = "KIND")]
    source: Option<SourceKindArgument>,

    /// The collection to tail as the oplog [default: local.oplog.rs]
    #[arg(long, env = "GTM_OPLOG", value_name = "DB.COLL")]
    oplog: Option<String>,

    /// Where to begin: now, oldest, a time like 2026-01-31T12:00:00Z or 2026-01-31T14:00:00+02:00, a span before
    /// now like -10m, today or yesterday (at 00:00 UTC), after the entry SECONDS.INCREMENT, such as the place at which
    /// a host says that it stopped, or after an op, by its id. A plugin that has a checkpoint resumes from it instead: see
    /// --restart-from [default: now]
    #[arg(long, env = "GTM_START", value_name = "START", allow_hyphen_values = true)]
    start: Option<Start>,

    /// First bring the documents that are there, as inserts; then all that changed since. A snapshot that was
    /// stopped is gone on with, and one that is complete not taken again
    #[arg(long, env = "GTM_SNAPSHOT", value_parser = BoolishValueParser::new())]
    snapshot: bool,

    /// What to do when changes cannot be read any more, because the server rolled them off or was
    /// restored [default: stop]
    #[arg(long, env = "GTM_ON_HISTORY_LOST", value_name = "POLICY")]
    on_history_lost: Option<HistoryLostArgument>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum SourceKindArgument {
    Auto,
    Oplog,
    ChangeStream,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum HistoryLostArgument {
    /// End, and say what is lost
    Stop,
    /// Say it, and go on from the oldest change there is
    RestartFromOldest,
    /// Say it, and go on from now
    RestartFromNow,
    /// Say it, bring all documents that are there, and go on
    Snapshot,
}

impl ServerArguments {
    /// A file that was typed goes before a value of the environment.
    pub(super) fn prefer_typed(&mut self, typed: Typed<'_>) {
        if typed("uri_file") && !typed("uri") {
            self.uri = None;
        }
    }

    pub(super) fn lay_over(&self, settings: &mut Settings) {
        let source: &mut SourceSettings = &mut settings.source;
        // A file that is named here goes before a value in the settings file.
        if self.uri_file.is_some() {
            source.uri = None;
        }
        overlay(&mut source.uri, &self.uri);
        overlay(&mut source.uri_file, &self.uri_file);
        overlay(&mut source.oplog, &self.oplog);
        source.snapshot |= self.snapshot;
        overlay(&mut source.start, &self.start);
        let SourceSettings { kind, on_history_lost, .. } = source;
        *kind = self.source.map_or(*kind, SourceKind::from);
        *on_history_lost = self.on_history_lost.map_or(*on_history_lost, HistoryLost::from);
    }
}

impl From<SourceKindArgument> for SourceKind {
    fn from(kind: SourceKindArgument) -> Self {
        match kind {
            SourceKindArgument::Auto => Self::Auto,
            SourceKindArgument::Oplog => Self::Oplog,
            SourceKindArgument::ChangeStream => Self::ChangeStream,
        }
    }
}

impl From<HistoryLostArgument> for HistoryLost {
    fn from(policy: HistoryLostArgument) -> Self {
        match policy {
            HistoryLostArgument::Stop => Self::Stop,
            HistoryLostArgument::RestartFromOldest => Self::RestartFromOldest,
            HistoryLostArgument::RestartFromNow => Self::RestartFromNow,
            HistoryLostArgument::Snapshot => Self::Snapshot,
        }
    }
}
