//! How a running host is seen and steered.

use std::path::PathBuf;

use clap::Args;
use gtm_host::config::Settings;
use gtm_source::{ParseStartError, StartAt};

use super::common::{CommonArguments, Format};
use super::setting::{AdminGroup, NameGroup, SettingArguments};

/// What a running host does.
#[derive(Debug, Args)]
pub(in crate::cli) struct StatusArguments {
    /// Ask again each second, until Ctrl-C
    #[arg(short, long)]
    pub(in crate::cli) watch: bool,
    #[command(flatten)]
    pub(in crate::cli) asked: AskedArguments,
}

/// A plugin that is told to do something.
#[derive(Debug, Args)]
pub(in crate::cli) struct SteerArguments {
    /// Which plugin. By default all of them; for seek, the only one that there is
    #[arg(short, long, value_name = "NAME")]
    pub(in crate::cli) plugin: Option<String>,
    #[command(flatten)]
    pub(in crate::cli) asked: AskedArguments,
}

/// A plugin that goes on from elsewhere.
#[derive(Debug, Args)]
pub(in crate::cli) struct SeekArguments {
    /// From where on: now, oldest, a time like 2026-01-31T12:00:00Z or 2026-01-31T14:00:00+02:00, a span before now like
    /// -10m, today or yesterday (at 00:00 UTC), after the entry SECONDS.INCREMENT, or after an op, by its id
    #[arg(value_name = "START", allow_hyphen_values = true, value_parser = start)]
    pub(in crate::cli) to: String,
    #[command(flatten)]
    pub(in crate::cli) steer: SteerArguments,
}

/// The words of a start, which the host that is asked understands by its own clock.
fn start(words: &str) -> Result<String, ParseStartError> {
    words.parse::<StartAt>().map(|_| words.to_owned())
}

/// A plugin that goes on with another version.
#[derive(Debug, Args)]
pub(in crate::cli) struct SwapArguments {
    /// Which plugin
    #[arg(value_name = "NAME")]
    pub(in crate::cli) plugin: String,
    /// The version to go on with
    #[arg(value_name = "FILE")]
    pub(in crate::cli) file: PathBuf,
    #[command(flatten)]
    pub(in crate::cli) asked: AskedArguments,
}

/// Which host is asked, and what is printed.
#[derive(Debug, Args)]
pub(in crate::cli) struct AskedArguments {
    /// What is printed: text for people, or JSON objects, one a line
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(in crate::cli) output: Format,
    #[command(flatten)]
    pub(super) common: CommonArguments,
    #[command(flatten)]
    name: SettingArguments<NameGroup>,
    #[command(flatten)]
    admin: SettingArguments<AdminGroup>,
}

impl AskedArguments {
    pub(super) fn settings(&self) -> anyhow::Result<Settings> {
        self.common.settings_with(|given| {
            self.name.add_to(given);
            self.admin.add_to(given);
        })
    }
}
