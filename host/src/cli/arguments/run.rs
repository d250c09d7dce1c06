//! The arguments of `run`.

use std::path::Path;

use clap::Args;
use clap::builder::BoolishValueParser;
use gtm_host::config::{GivenValue, Origin, Setting, Settings};

use super::common::CommonArguments;
use super::plugins::PluginArguments;
use super::restart::RestartArguments;
use super::setting::{
    AdminGroup, DeliveryGroup, ReadyGroup, ServerGroup, SettingArguments, StoreGroup, WatchGroup, WorkerGroup,
};
use super::typed::TypedOptions;
use super::workers;

/// The arguments of `run`.
#[derive(Debug, Args)]
pub(in crate::cli) struct RunArguments {
    // Before the options, whose values are taken out of what was parsed.
    #[command(flatten)]
    typed: TypedOptions,
    // Before the arguments with a heading, or these would have it too.
    /// Log each side effect of plugins instead of performing it, and store no checkpoints. The host begins at --start. Plugins need the
    /// same grants as without it: an op that needs more is counted as unknown
    #[arg(long, env = "GTM_DRY_RUN", value_parser = BoolishValueParser::new())]
    dry_run: bool,
    /// Do not swap a plugin when its file changes, and do not rescan --plugin-dir. SIGHUP and gtm-host swap still work
    #[arg(long, env = "GTM_NO_WATCH", value_parser = BoolishValueParser::new())]
    no_watch: bool,
    #[command(flatten)]
    common: CommonArguments,
    #[command(flatten)]
    watch: SettingArguments<WatchGroup>,
    #[command(flatten)]
    server: SettingArguments<ServerGroup>,
    #[command(flatten)]
    restart: RestartArguments,
    #[command(flatten)]
    store: SettingArguments<StoreGroup>,
    #[command(flatten)]
    plugins: PluginArguments,
    #[command(flatten)]
    delivery: SettingArguments<DeliveryGroup>,
    #[command(flatten)]
    workers: SettingArguments<WorkerGroup>,
    #[command(flatten)]
    admin: SettingArguments<AdminGroup>,
    #[command(flatten)]
    ready: SettingArguments<ReadyGroup>,
}

impl RunArguments {
    /// Reads the settings from this file instead of that of --config.
    pub(super) fn read_from(&mut self, file: &Path) {
        self.common.config = Some(file.to_owned());
    }

    pub(super) fn settings(&self) -> anyhow::Result<Settings> {
        let mut settings = self.settings_of_host()?;
        self.plugins.apply_to(&mut settings)?;
        workers::check(&settings)?;
        self.restart.apply_to(&mut settings)?;
        Ok(settings)
    }

    /// Returns the same settings, even if there is no plugin yet.
    pub(super) fn settings_to_show(&self) -> anyhow::Result<Settings> {
        let settings = self.settings_of_host()?;
        let is_empty =
            self.plugins.is_empty() && settings.plugins.is_empty() && settings.plugin_dir.is_none();
        if is_empty { Ok(settings) } else { self.settings() }
    }

    /// Returns the grants of the command line as they are written, with the plugin that has each, or none for all.
    pub(super) fn written_grants(&self) -> impl Iterator<Item = (Option<&str>, &str)> {
        self.plugins.written_grants()
    }

    /// Returns where the values of plugins on the command line come from: the id is that of the option.
    pub(super) fn origin(&self, id: &str) -> Origin {
        match id {
            "restart_from" => self.restart.origin(),
            id => self.plugins.origin(id),
        }
    }

    fn settings_of_host(&self) -> anyhow::Result<Settings> {
        let mut settings = self.common.settings_with(|given| {
            self.watch.add_to(given);
            if let Some(setting) = Setting::find("watch").filter(|_| self.no_watch) {
                given.push(GivenValue {
                    setting,
                    value: false.into(),
                    origin: self.typed.origin("no_watch"),
                });
            }
            self.server.add_to(given);
            self.store.add_to(given);
            self.plugins.add_to(given);
            self.delivery.add_to(given);
            self.workers.add_to(given);
            self.admin.add_to(given);
            self.ready.add_to(given);
        })?;
        settings.dry_run = self.dry_run;
        Ok(settings)
    }
}
