//! Which plugins are checked, or compiled.

use std::path::PathBuf;

use clap::Args;
use gtm_host::config::Settings;

use super::common::{CommonArguments, Format};
use super::plugins::{PluginGrant, PluginValue};
use super::setting::{CacheGroup, SettingArguments};

/// Which plugins are compiled.
#[derive(Debug, Args)]
pub(in crate::cli) struct CompileArguments {
    /// The plugins
    #[arg(required = true, value_name = "FILE")]
    pub(in crate::cli) paths: Vec<PathBuf>,
    /// What is printed: text for people, or JSON objects, one a line
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(in crate::cli) output: Format,
    #[command(flatten)]
    cache: SettingArguments<CacheGroup>,
    #[command(flatten)]
    common: CommonArguments,
}

/// Which plugins are checked.
#[derive(Debug, Args)]
pub(in crate::cli) struct CheckArguments {
    #[command(flatten)]
    pub(in crate::cli) of: CompileArguments,
    /// A value of a plugin's config, as it is said to a host; over what the settings file says
    #[arg(short = 's', long = "set", value_name = "[NAME:]KEY=VALUE")]
    values: Vec<PluginValue>,
    /// What the plugins are to be granted, as it is said to a host; with what the settings file grants
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
        let mut settings = self.of.settings()?;
        // What is said of each is there to be changed.
        for name in self.of.paths.iter().flat_map(|path| settings.names_of(path)).collect::<Vec<_>>() {
            settings.plugins.entry(name).or_default();
        }
        self.values.iter().try_for_each(|value| value.lay_over(&mut settings))?;
        self.grants.iter().try_for_each(|grant| grant.lay_over(&mut settings))?;
        Ok(settings)
    }
}
