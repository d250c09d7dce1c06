//! Which checkpoints, and what is done with them.

use clap::{Args, Subcommand};
use gtm_host::config::Settings;
use gtm_source::StartAt;

use super::dead_letters::WhereArguments;
use super::setting::{LeaseGroup, SettingArguments};

#[derive(Debug, Args)]
pub(in crate::cli) struct CheckpointsArguments {
    #[command(subcommand)]
    pub(in crate::cli) command: CheckpointsCommand,
}

/// What is done with checkpoints.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum CheckpointsCommand {
    /// List where each plugin of the pipeline resumes
    List(LookArguments),
    /// Show a checkpoint with all that it holds
    Show(LookArguments),
    /// Move a plugin of a stopped pipeline: its host resumes there
    Set(SetArguments),
    /// Forget where plugins of a stopped pipeline are, and how far their snapshots came: they begin as new ones
    Reset(ResetArguments),
}

/// Of which plugin and worker.
#[derive(Debug, Args)]
pub(in crate::cli) struct WhoseArguments {
    /// Only of this plugin
    #[arg(short, long, value_name = "NAME")]
    pub(in crate::cli) plugin: Option<String>,
    /// Only of this worker, where hosts share the work. By default of all
    #[arg(long, value_name = "NAME")]
    pub(in crate::cli) worker: Option<String>,
}

impl WhoseArguments {
    pub(in crate::cli) fn says_nothing(&self) -> bool {
        self.plugin.is_none() && self.worker.is_none()
    }
}

#[derive(Debug, Args)]
pub(in crate::cli) struct LookArguments {
    #[command(flatten)]
    pub(in crate::cli) whose: WhoseArguments,
    #[command(flatten)]
    pub(in crate::cli) place: WhereArguments,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct SetArguments {
    /// Where to resume: now, oldest, a time like 2026-01-31T12:00:00Z or 2026-01-31T14:00:00+02:00, a span before now like
    /// -10m, today or yesterday (at 00:00 UTC), after the entry SECONDS.INCREMENT, after an op, by its id, or a resume token of a
    /// change stream
    #[arg(value_name = "START", allow_hyphen_values = true)]
    pub(in crate::cli) to: StartAt,
    /// Also for a plugin that has no checkpoint yet, as it has not run: its host begins there the first time
    #[arg(long, requires = "plugin")]
    pub(in crate::cli) new: bool,
    #[command(flatten)]
    pub(in crate::cli) change: ChangeArguments,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct ResetArguments {
    #[command(flatten)]
    pub(in crate::cli) change: ChangeArguments,
}

/// Whose checkpoints are changed, and whether that may be.
#[derive(Debug, Args)]
pub(in crate::cli) struct ChangeArguments {
    #[command(flatten)]
    pub(in crate::cli) whose: WhoseArguments,
    /// Of every plugin of the pipeline
    #[arg(long, conflicts_with = "plugin")]
    pub(in crate::cli) all: bool,
    /// Do it though a host works on the pipeline. That host does not notice it, and overwrites it with its next checkpoint
    #[arg(long)]
    pub(in crate::cli) force: bool,
    // As that of the host.
    #[command(flatten)]
    lease: SettingArguments<LeaseGroup>,
    #[command(flatten)]
    pub(in crate::cli) place: WhereArguments,
}

impl CheckpointsArguments {
    pub(super) fn settings(&self) -> anyhow::Result<Settings> {
        match &self.command {
            CheckpointsCommand::List(look) | CheckpointsCommand::Show(look) => look.place.settings(),
            CheckpointsCommand::Set(SetArguments { change, .. })
            | CheckpointsCommand::Reset(ResetArguments { change }) => {
                change.place.settings_with(|given| change.lease.add_to(given))
            }
        }
    }
}
