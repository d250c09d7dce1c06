//! The arguments of `checkpoints`.

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

/// What to do with checkpoints.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum CheckpointsCommand {
    /// List where each plugin of the pipeline resumes
    List(LookArguments),
    /// Show checkpoints with all details
    Show(LookArguments),
    /// Move a plugin of a stopped pipeline, so that its host resumes there
    Set(SetArguments),
    /// Delete the checkpoints and the snapshot progress of plugins of a stopped pipeline, so that they begin as new ones
    Reset(ResetArguments),
}

/// Which plugin and worker.
#[derive(Debug, Args)]
pub(in crate::cli) struct WhoseArguments {
    /// Only this plugin
    #[arg(short, long, value_name = "NAME")]
    pub(in crate::cli) plugin: Option<String>,
    /// Only this worker, if hosts share the work. By default all workers
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
    /// -10m, today or yesterday (at 00:00 UTC), after an oplog entry by its SECONDS.INCREMENT, after an op by its id, or a resume
    /// token of a change stream
    #[arg(value_name = "START", allow_hyphen_values = true)]
    pub(in crate::cli) to: StartAt,
    /// Allow a plugin that has no checkpoint, because it has not run yet: its host begins there
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

/// Which checkpoints are changed, and whether a running host prevents it.
#[derive(Debug, Args)]
pub(in crate::cli) struct ChangeArguments {
    #[command(flatten)]
    pub(in crate::cli) whose: WhoseArguments,
    /// Every plugin of the pipeline
    #[arg(long, conflicts_with = "plugin")]
    pub(in crate::cli) all: bool,
    /// Change them even if a host is running. That host does not notice it, and overwrites them with its next checkpoint
    #[arg(long)]
    pub(in crate::cli) force: bool,
    // The same as the host's.
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
