//! Plugins that run over files.

use std::path::PathBuf;

use clap::Args;
use clap::builder::BoolishValueParser;
use gtm_host::config::Settings;

use super::common::{CommonArguments, Format};
use super::files::FileArguments;
use super::plugins::PluginArguments;
use super::setting::{DeliveryGroup, SettingArguments};

/// Plugins that run over files.
#[derive(Debug, Args)]
pub(in crate::cli) struct ReplayArguments {
    /// The files, in the order in which they are read. - is the standard input
    #[arg(required = true, value_name = "FILE")]
    pub(in crate::cli) paths: Vec<PathBuf>,
    /// The form of the summary, on standard output
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(in crate::cli) output: Format,
    /// Do nothing that plugins want done: what it would be is logged. Plugins are granted no more than without it: an op that needs
    /// more is counted as not known
    #[arg(long, env = "GTM_DRY_RUN", value_parser = BoolishValueParser::new())]
    dry_run: bool,
    #[command(flatten)]
    common: CommonArguments,
    #[command(flatten)]
    pub(in crate::cli) files: FileArguments,
    #[command(flatten)]
    plugins: PluginArguments,
    #[command(flatten)]
    delivery: SettingArguments<DeliveryGroup>,
}

impl ReplayArguments {
    pub(super) fn settings(&self) -> anyhow::Result<Settings> {
        let mut settings = self.common.settings_with(|given| {
            self.plugins.add_to(given);
            self.delivery.add_to(given);
        })?;
        settings.dry_run = self.dry_run;
        self.plugins.lay_over(&mut settings)?;
        Ok(settings)
    }
}
