//! The arguments of `tail`.

use std::path::PathBuf;

use clap::Args;
use gtm_host::config::Settings;
use gtm_oplog::OperationType;

use super::common::{CommonArguments, Format};
use super::files::FileArguments;
use super::setting::{ServerGroup, SettingArguments};

/// The arguments of `tail`.
#[derive(Debug, Args)]
pub(in crate::cli) struct TailArguments {
    /// Files to read instead of a server, as for gtm-host replay
    #[arg(value_name = "FILE")]
    pub(in crate::cli) paths: Vec<PathBuf>,
    /// Only changes in these namespaces: DB.COLL, in which * stands for any characters, or a regular
    /// expression between slashes. May be repeated
    #[arg(short, long = "namespace", value_name = "PATTERN")]
    pub(in crate::cli) namespaces: Vec<String>,
    /// Only these operations: insert, update, replace, delete, create, drop, rename, dropDatabase,
    /// createIndexes, dropIndexes, modify, other
    #[arg(short = 'O', long = "operation", value_name = "TYPE", value_delimiter = ',')]
    pub(in crate::cli) operations: Vec<OperationType>,
    /// Write numbers and dates with their types
    #[arg(long)]
    pub(in crate::cli) canonical: bool,
    /// The format of the summary on standard error
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(in crate::cli) output: Format,
    #[command(flatten)]
    common: CommonArguments,
    #[command(flatten)]
    pub(in crate::cli) files: FileArguments,
    #[command(flatten)]
    server: SettingArguments<ServerGroup>,
}

impl TailArguments {
    pub(super) fn settings(&self) -> anyhow::Result<Settings> {
        self.common.settings_with(|given| self.server.add_to(given))
    }
}
