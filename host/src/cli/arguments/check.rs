//! The arguments of `check` and `compile`.

use std::path::PathBuf;

use clap::Args;
use gtm_host::config::Settings;

use super::common::{CommonArguments, Format};
use super::plugins::{PluginFile, PluginGrant, PluginValue};
use super::setting::{CacheGroup, SettingArguments};

/// The arguments of `compile`.
#[derive(Debug, Args)]
pub(in crate::cli) struct CompileArguments {
    /// The files of plugins
    #[arg(required = true, value_name = "FILE")]
    pub(in crate::cli) paths: Vec<PathBuf>,
    /// The output format: text for people, or one JSON object per line
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(in crate::cli) output: Format,
    #[command(flatten)]
    cache: SettingArguments<CacheGroup>,
    #[command(flatten)]
    common: CommonArguments,
}

/// The arguments of `check`.
#[derive(Debug, Args)]
pub(in crate::cli) struct CheckArguments {
    /// The files of plugins. With a NAME, a file is checked as a version of that plugin: with its config, limits and grants
    #[arg(required = true, value_name = "[NAME=]FILE")]
    pub(in crate::cli) plugins: Vec<PluginFile>,
    /// The output format: text for people, or one JSON object per line
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(in crate::cli) output: Format,
    #[command(flatten)]
    cache: SettingArguments<CacheGroup>,
    #[command(flatten)]
    common: CommonArguments,
    /// A value of a plugin's config, as for a host. It overrides the settings file. May be repeated
    #[arg(short = 's', long = "set", value_name = "[NAME:]KEY=VALUE")]
    values: Vec<PluginValue>,
    /// A grant for the plugins, as for a host, in addition to those of the settings file. May be repeated
    #[arg(short, long = "grant", value_name = "[NAME:]GRANT")]
    grants: Vec<PluginGrant>,
}

impl CompileArguments {
    pub(super) fn settings(&self) -> anyhow::Result<Settings> {
        self.common.settings_with(|given| self.cache.add_to(given))
    }
}

impl CheckArguments {
    pub(super) fn settings(&self) -> anyhow::Result<Settings> {
        let mut settings = self.common.settings_with(|given| self.cache.add_to(given))?;
        self.plugins.iter().try_for_each(|plugin| plugin.check_name(&settings))?;
        // Each has settings that can be changed.
        for name in self.plugins.iter().flat_map(|plugin| plugin.names(&settings)).collect::<Vec<_>>() {
            settings.plugins.entry(name).or_default();
        }
        self.values.iter().try_for_each(|value| value.apply_to(&mut settings, "--set"))?;
        self.grants.iter().try_for_each(|grant| grant.apply_to(&mut settings, "--grant"))?;
        Ok(settings)
    }
}
