//! The option by which plugins begin elsewhere than at their checkpoints.

use std::str::FromStr;

use clap::Args;
use gtm_host::config::{Origin, Settings};
use gtm_source::{ParseStartError, Restart};

use super::plugins::change;
use super::typed::TypedOptions;

/// Where plugins begin instead of at their checkpoints.
#[derive(Debug, Args)]
#[command(next_help_heading = "MongoDB")]
pub(super) struct RestartArguments {
    // Before the options, whose values are taken out of what was parsed.
    #[command(flatten)]
    typed: TypedOptions,
    /// Where a plugin begins even if it has a checkpoint; START is as for --start. Without a NAME, it is for every plugin. The host does
    /// this once: if it is started again with the same START, it resumes. May be repeated; in the variable, one START per line
    #[arg(long, env = "GTM_RESTART_FROM", value_name = "[NAME=]START", allow_hyphen_values = true)]
    restart_from: Vec<PluginRestart>,
}

#[derive(Clone, Debug)]
struct PluginRestart {
    plugin: Option<String>,
    restart: Restart,
}

impl FromStr for PluginRestart {
    type Err = ParseStartError;

    fn from_str(argument: &str) -> Result<Self, ParseStartError> {
        // A resume token may contain an equals sign.
        match (argument.parse(), argument.split_once('=')) {
            (Err(_), Some((plugin, start))) => {
                Ok(Self { plugin: Some(plugin.to_owned()), restart: start.parse()? })
            }
            (restart, _) => Ok(Self { plugin: None, restart: restart? }),
        }
    }
}

impl RestartArguments {
    /// Returns where the starts come from.
    pub(super) fn origin(&self) -> Origin {
        self.typed.origin("restart_from")
    }

    /// Changes the settings of plugins that are known.
    pub(super) fn apply_to(&self, settings: &mut Settings) -> anyhow::Result<()> {
        let (of_all, of_one): (Vec<_>, Vec<_>) =
            self.restart_from.iter().partition(|restart| restart.plugin.is_none());
        for PluginRestart { plugin, restart } in of_all.into_iter().chain(of_one) {
            let name = plugin.as_deref().unwrap_or_default();
            let what = || format!("{} {name}={}", self.typed.name("restart_from"), restart.words());
            change(settings, plugin.as_deref(), what, |plugin| plugin.restart_from = Some(restart.clone()))?;
        }
        Ok(())
    }
}
