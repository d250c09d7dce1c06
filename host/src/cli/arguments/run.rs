//! A host that brings changes to plugins until it is stopped.

use std::path::Path;

use clap::Args;
use clap::builder::BoolishValueParser;
use gtm_host::config::Settings;

use super::Typed;
use super::admin::{AdminArguments, ReadyArguments};
use super::common::CommonArguments;
use super::delivery::DeliveryArguments;
use super::plugins::PluginArguments;
use super::restart::RestartArguments;
use super::server::ServerArguments;
use super::store::StoreArguments;
use super::workers::WorkerArguments;

/// A host that brings changes to plugins until it is stopped.
#[derive(Debug, Args)]
pub(in crate::cli) struct RunArguments {
    // Before what has a heading, which would be theirs, too.
    /// Do nothing that plugins want done, and keep no checkpoints: what it would be is logged. Begins where --start says. Plugins are
    /// granted no more than without it: an op that needs more is counted as not known
    #[arg(long, env = "GTM_DRY_RUN", value_parser = BoolishValueParser::new())]
    dry_run: bool,
    /// Do not swap a plugin when its file changes, nor look at --plugin-dir again; SIGHUP and gtm-host swap still do
    #[arg(long, env = "GTM_NO_WATCH", value_parser = BoolishValueParser::new())]
    no_watch: bool,
    #[command(flatten)]
    common: CommonArguments,
    #[command(flatten)]
    server: ServerArguments,
    #[command(flatten)]
    restart: RestartArguments,
    #[command(flatten)]
    store: StoreArguments,
    #[command(flatten)]
    plugins: PluginArguments,
    #[command(flatten)]
    delivery: DeliveryArguments,
    #[command(flatten)]
    workers: WorkerArguments,
    #[command(flatten)]
    admin: AdminArguments,
    #[command(flatten)]
    ready: ReadyArguments,
}

impl RunArguments {
    /// Reads the settings from this file.
    pub(super) fn read_from(&mut self, file: &Path) {
        self.common.config = Some(file.to_owned());
    }

    pub(super) fn prefer_typed(&mut self, typed: Typed<'_>) {
        self.server.prefer_typed(typed);
        self.admin.prefer_typed(typed);
        self.plugins.prefer_typed(typed);
        self.workers.prefer_typed(typed);
    }

    pub(super) fn settings(&self) -> anyhow::Result<Settings> {
        let mut settings = self.common.settings()?;
        self.server.lay_over(&mut settings);
        self.store.lay_over(&mut settings);
        self.admin.lay_over(&mut settings);
        self.ready.lay_over(&mut settings);
        settings.dry_run = self.dry_run;
        if self.no_watch {
            settings.watch = Some(false);
        }
        self.plugins.lay_over(&mut settings)?;
        self.delivery.lay_over(&mut settings);
        self.workers.lay_over(&mut settings)?;
        self.restart.lay_over(&mut settings)?;
        Ok(settings)
    }
}
