//! Which plugins are checked, or compiled.

use std::path::PathBuf;

use clap::Args;
use gtm_host::config::Settings;

use super::common::{CommonArguments, Format};
use super::overlay;

/// Which plugins are checked, or compiled.
#[derive(Debug, Args)]
pub(in crate::cli) struct CheckArguments {
    /// The plugins
    #[arg(required = true, value_name = "FILE")]
    pub(in crate::cli) paths: Vec<PathBuf>,
    /// What is printed: text for people, or JSON objects, one a line
    #[arg(long, value_name = "FORMAT", default_value = "text")]
    pub(in crate::cli) output: Format,
    /// Where compiled plugins are kept [default: gtm-host in the user's cache directory]
    #[arg(long, env = "GTM_CACHE_DIR", value_name = "DIR")]
    cache_dir: Option<PathBuf>,
    #[command(flatten)]
    common: CommonArguments,
}

impl CheckArguments {
    pub(super) fn settings(&self) -> anyhow::Result<Settings> {
        let mut settings = self.common.settings()?;
        overlay(&mut settings.cache_dir, &self.cache_dir);
        Ok(settings)
    }
}
