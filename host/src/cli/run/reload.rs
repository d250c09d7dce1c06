//! Reloads plugins and settings that change while a host runs or stands by.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::path::{Path, PathBuf};

use gtm_delivery::PipelineChange;
use gtm_host::config::Settings;
use gtm_host::remedy::WithRemedy;
use gtm_runtime::{Actor, PluginHandle};
use tokio::sync::oneshot;

use super::events::{HostEvent, HostEvents, warn_of_ignored_settings};
use super::watch::{FileSignature, POLL_INTERVAL, settled, signature};
use super::{ActiveHost, ActivePipelines, report_ends};

/// The signatures of the files of all plugins and filters at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileSignatures(BTreeMap<PathBuf, FileSignature>);

impl FileSignatures {
    /// Returns those of the files in the settings, including components that could not be loaded.
    pub(super) fn at(settings: &Settings) -> Self {
        Self::of(settings.component_files())
    }

    fn of(files: BTreeSet<PathBuf>) -> Self {
        let signatures = files.into_iter().map(|path| {
            let seen = signature(&path);
            (path, seen)
        });
        Self(signatures.collect())
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.0.keys().map(PathBuf::as_path)
    }
}

impl ActivePipelines<'_> {
    /// Reports that a plugin cannot run while the others do.
    pub(super) async fn stopped(&self, plugin: PluginHandle, error: &anyhow::Error) {
        tracing::error!(
            event = "plugin.start_failed",
            plugin = plugin.name(),
            error = &**error,
            "not started until its file or the settings change again"
        );
        // If the pipeline has ended, nobody needs the report.
        let reason = WithRemedy(error.as_ref()).to_string();
        let _ = self.changes.send(PipelineChange::Stopped(plugin, reason)).await;
    }
}

impl ActiveHost {
    /// Returns the files of the plugins and filters now: those in the settings, and those of filters that a plugin still has.
    pub(super) fn files(&self) -> FileSignatures {
        let mut files = self.settings.component_files();
        files.extend(self.plugins.filter_paths().map(Path::to_owned));
        FileSignatures::of(files)
    }

    /// Reloads the plugins whenever their files or the settings change, without end. `active` has the pipeline if this host is the
    /// active one.
    ///
    /// The future may be dropped at any time: the next call begins with the changes that this one did not complete.
    pub(super) async fn keep_up_to_date(
        &mut self,
        events: &mut HostEvents<'_>,
        active: Option<&ActivePipelines<'_>>,
    ) -> Infallible {
        loop {
            self.reload(events, active).await;
            match events.next().await {
                HostEvent::Files => {}
                HostEvent::Settings(settings) => {
                    tracing::info!(event = "settings.read", "read the settings again");
                    warn_of_ignored_settings(&self.settings, &settings);
                    self.settings.take_over_plugins(*settings);
                    self.loaded_files = None;
                }
            }
        }
    }

    /// Reloads the plugins if a file of a plugin or the settings have changed.
    async fn reload(&mut self, events: &mut HostEvents<'_>, active: Option<&ActivePipelines<'_>>) {
        let settings_changed = self.loaded_files.is_none();
        let is_watching = self.settings.watch.unwrap_or(true);
        let files = if settings_changed {
            self.files()
        } else {
            if !is_watching || self.loaded_files == Some(self.files()) {
                // Other files in the same directories may change all the time.
                return tokio::time::sleep(POLL_INTERVAL).await;
            }
            // The settings may change together with the files.
            let Some(files) = events.unless_hung_up(settled(|| self.files())).await else { return };
            files
        };
        let actor = if settings_changed { Actor::Hangup } else { Actor::FileWatch };
        let mut changes = self.plugins.reconcile(&self.settings, actor).await;
        self.control.show_unloaded(self.plugins.unloaded());
        events.watch(self);
        // Not earlier: if this future is dropped, the next call has to do it again.
        self.loaded_files = Some(files);
        // A standby host starts them when it becomes active.
        let Some(active) = active else { return };
        active.control.allow_swaps_from(self.plugins.swap_from(&self.settings));
        // A plugin that had stopped is started again if its file or the settings changed.
        let names = self.plugins.all().map(|hosted| hosted.handle().name());
        let again = names.filter(|name| settings_changed || changes.swapped.contains(*name));
        changes.start.extend(again.filter(|name| active.control.has_stopped(name)).map(str::to_owned));
        for name in changes.stop {
            let (ask, ended) = oneshot::channel();
            // If this fails, the pipeline is ending, and this plugin with it.
            if active.changes.send(PipelineChange::Remove(name.clone(), ask)).await.is_ok()
                && let Ok(ended) = ended.await
                && let Err(error) = report_ends(vec![ended])
            {
                tracing::error!(
                    event = "plugin.stop_failed",
                    plugin = name,
                    error = &*error,
                    "the removed plugin ended with an error"
                );
            }
        }
        for name in changes.start {
            let Some(hosted) = self.plugins.get(&name) else { continue };
            match self.delivery(hosted, active.epoch).await {
                Ok(delivery) => drop(active.changes.send(PipelineChange::Add(Box::new(delivery))).await),
                Err(error) => active.stopped(hosted.handle().clone(), &error).await,
            }
        }
    }
}
