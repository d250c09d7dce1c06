//! The options that every command has.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use gtm_host::config::{GivenValue, Settings};

use super::setting::{CommonGroup, SettingArguments};

/// The options that every command has.
#[derive(Debug, Args)]
pub(super) struct CommonArguments {
    /// The settings file. Options and variables override it
    #[arg(short, long, env = "GTM_CONFIG", value_name = "FILE")]
    pub(super) config: Option<PathBuf>,

    #[command(flatten)]
    settings: SettingArguments<CommonGroup>,
}

/// An output format: lines for people, or JSON for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Format {
    Text,
    Json,
}

impl CommonArguments {
    /// Returns the settings of the file, with these options over them.
    pub(super) fn settings(&self) -> anyhow::Result<Settings> {
        self.settings_with(|_| {})
    }

    /// Returns the same, with the settings that a command adds.
    pub(super) fn settings_with(&self, add: impl FnOnce(&mut Vec<GivenValue>)) -> anyhow::Result<Settings> {
        let mut given = Vec::new();
        self.settings.add_to(&mut given);
        add(&mut given);
        Ok(Settings::layered(self.config.as_deref(), &given)?)
    }
}
