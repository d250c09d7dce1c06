//! The arguments of `replay`.

use std::path::PathBuf;

use clap::Args;
use clap::builder::BoolishValueParser;
use gtm_host::config::Settings;

use super::common::{CommonArguments, Format};
use super::files::FileArguments;
use super::plugins::PluginArguments;
use super::setting::{DeliveryGroup, SettingArguments};

/// The arguments of `replay`.
#[derive(Debug, Args)]
pub(in crate::cli) struct ReplayArguments {
    /// The files, in the order to read them. - is the standard input
    #[arg(required = true, value_name = "FILE")]
    pub(in crate::cli) paths: Vec<PathBuf>,
    /// The format of the summary on standard output
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(in crate::cli) output: Format,
    /// Log each side effect of plugins instead of performing it. Plugins need the same grants as without it: an op that needs more is
    /// counted as unknown
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
        self.plugins.apply_to(&mut settings)?;
        Ok(settings)
    }
}
