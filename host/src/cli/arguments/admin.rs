//! The arguments of commands that watch and steer a running host.

use std::path::PathBuf;

use clap::Args;
use gtm_host::config::Settings;
use gtm_source::{ParseStartError, StartAt};

use super::common::{CommonArguments, Format};
use super::setting::{AdminGroup, NameGroup, SettingArguments};

/// The arguments of `status`.
#[derive(Debug, Args)]
pub(in crate::cli) struct StatusArguments {
    /// Refresh every second, until Ctrl-C
    #[arg(short, long)]
    pub(in crate::cli) watch: bool,
    #[command(flatten)]
    pub(in crate::cli) asked: AskedArguments,
}

/// The arguments of `pause` and `resume`.
#[derive(Debug, Args)]
pub(in crate::cli) struct SteerArguments {
    /// The plugin. By default all plugins; seek needs a name if there are several
    #[arg(short, long, value_name = "NAME")]
    pub(in crate::cli) plugin: Option<String>,
    #[command(flatten)]
    pub(in crate::cli) asked: AskedArguments,
}

/// The arguments of `seek`.
#[derive(Debug, Args)]
pub(in crate::cli) struct SeekArguments {
    /// Where to continue: now, oldest, a time like 2026-01-31T12:00:00Z or 2026-01-31T14:00:00+02:00, a span before now like
    /// -10m, today or yesterday (at 00:00 UTC), after an oplog entry by its SECONDS.INCREMENT, after an op by its id, or after a resume
    /// token of a change stream
    #[arg(value_name = "START", allow_hyphen_values = true, value_parser = start)]
    pub(in crate::cli) to: String,
    #[command(flatten)]
    pub(in crate::cli) steer: SteerArguments,
}

/// Checks the words of a start. The running host reads them by its own clock.
fn start(words: &str) -> Result<String, ParseStartError> {
    words.parse::<StartAt>().map(|_| words.to_owned())
}

/// The arguments of `swap`.
#[derive(Debug, Args)]
pub(in crate::cli) struct SwapArguments {
    /// The plugin
    #[arg(value_name = "NAME")]
    pub(in crate::cli) plugin: String,
    /// The file of the new version
    #[arg(value_name = "FILE")]
    pub(in crate::cli) file: PathBuf,
    #[command(flatten)]
    pub(in crate::cli) asked: AskedArguments,
}

/// Which host is asked, and how its answer is printed.
#[derive(Debug, Args)]
pub(in crate::cli) struct AskedArguments {
    /// The output format: text for people, or one JSON object per line
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
