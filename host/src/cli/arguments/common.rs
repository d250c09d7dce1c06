//! What every command takes.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use gtm_host::config::{LogFormat, Settings};
use gtm_oplog::OwnDatabase;

use super::overlay;

/// What every command takes.
#[derive(Debug, Args)]
pub(super) struct CommonArguments {
    /// Read settings from a file. The command line and the environment go before it
    #[arg(short, long, env = "GTM_CONFIG", value_name = "FILE")]
    pub(super) config: Option<PathBuf>,

    /// What is logged: error, warn, info, debug, trace, or directives such as info,plugin=debug. Who steered the
    /// host is logged in any case
    /// [default: warn,gtm_host=info,plugin=info]
    #[arg(long, env = "GTM_LOG", value_name = "FILTER")]
    log: Option<String>,

    /// The form of the log, on standard error: lines for people, or a JSON object each [default: text]
    #[arg(long, env = "GTM_LOG_FORMAT", value_name = "FORMAT")]
    log_format: Option<Format>,

    /// The host's own database of the cluster: it is for checkpoints, dead letters and leases, and plugins get no changes of
    /// it. All hosts of one cluster use the same [default: gtm]
    #[arg(long, env = "GTM_STORE_DATABASE", value_name = "NAME", help_heading = "Store")]
    store_database: Option<OwnDatabase>,
}

/// Lines for people, or JSON for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Format {
    Text,
    Json,
}

impl CommonArguments {
    pub(super) fn settings(&self) -> anyhow::Result<Settings> {
        let mut settings = match &self.config {
            Some(path) => Settings::read(path)?,
            None => Settings::default(),
        };
        overlay(&mut settings.log.filter, &self.log);
        overlay(&mut settings.store.database, &self.store_database);
        overlay(&mut settings.log.format, &self.log_format.map(LogFormat::from));
        Ok(settings)
    }
}

impl From<Format> for LogFormat {
    fn from(format: Format) -> Self {
        match format {
            Format::Text => Self::Text,
            Format::Json => Self::Json,
        }
    }
}
