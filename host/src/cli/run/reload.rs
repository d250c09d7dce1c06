//! Reloads plugins and settings that change while a host runs or stands by.

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
pub(super) struct FileSignatures(Vec<(String, PathBuf, FileSignature)>);

impl FileSignatures {
    pub(super) fn at(settings: &Settings) -> Self {
        let plugins =
            settings.present_plugins().unwrap_or_default().into_iter().map(|(name, (path, _))| (name, path));
        let all = plugins.chain(settings.present_filters().unwrap_or_default());
        Self(all.map(|(name, path)| (name, path.clone(), signature(&path))).collect())
    }

    pub(super) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().map(|(_, path, _)| path.as_path())
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
            FileSignatures::at(&self.settings)
        } else {
            if !is_watching || self.loaded_files == Some(FileSignatures::at(&self.settings)) {
                // Other files in the same directories may change all the time.
                return tokio::time::sleep(POLL_INTERVAL).await;
            }
            settled(|| FileSignatures::at(&self.settings)).await
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
