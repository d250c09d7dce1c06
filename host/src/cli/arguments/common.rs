//! What every command takes.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use gtm_host::config::{GivenValue, Settings};

use super::setting::{CommonGroup, SettingArguments};

/// What every command takes.
#[derive(Debug, Args)]
pub(super) struct CommonArguments {
    /// Read settings from a file. The command line and the environment go before it
    #[arg(short, long, env = "GTM_CONFIG", value_name = "FILE")]
    pub(super) config: Option<PathBuf>,

    #[command(flatten)]
    settings: SettingArguments<CommonGroup>,
}

/// Lines for people, or JSON for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Format {
    Text,
    Json,
}

impl CommonArguments {
    /// The settings of the file and of every command.
    pub(super) fn settings(&self) -> anyhow::Result<Settings> {
        self.settings_with(|_| {})
    }

    /// The same, with those that a command adds.
    pub(super) fn settings_with(&self, add: impl FnOnce(&mut Vec<GivenValue>)) -> anyhow::Result<Settings> {
        let mut given = Vec::new();
        self.settings.add_to(&mut given);
        add(&mut given);
        Ok(Settings::layered(self.config.as_deref(), &given)?)
    }
}
