//! Where plugins begin in place of their checkpoints.

use std::str::FromStr;

use clap::Args;
use gtm_host::config::Settings;
use gtm_source::{ParseStartError, Restart};

use super::plugins::change;

/// Where plugins begin in place of their checkpoints.
#[derive(Debug, Args)]
#[command(next_help_heading = "MongoDB")]
pub(super) struct RestartArguments {
    /// Where to begin, as --start takes it, even where a plugin has a checkpoint; without a NAME, every plugin. It is done once:
    /// a host that is started again with the same START resumes. May be given more than once; in the variable, a START a line
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
        // A resume token may have an equals sign in it.
        match (argument.parse(), argument.split_once('=')) {
            (Err(_), Some((plugin, start))) => {
                Ok(Self { plugin: Some(plugin.to_owned()), restart: start.parse()? })
            }
            (restart, _) => Ok(Self { plugin: None, restart: restart? }),
        }
    }
}

impl RestartArguments {
    /// To be called when the plugins are known.
    pub(super) fn lay_over(&self, settings: &mut Settings) -> anyhow::Result<()> {
        let (of_all, of_one): (Vec<_>, Vec<_>) =
            self.restart_from.iter().partition(|restart| restart.plugin.is_none());
        for PluginRestart { plugin, restart } in of_all.into_iter().chain(of_one) {
            let what =
                || format!("--restart-from {}={}", plugin.as_deref().unwrap_or_default(), restart.words());
            change(settings, plugin.as_deref(), what, |plugin| plugin.restart_from = Some(restart.clone()))?;
        }
        Ok(())
    }
}
