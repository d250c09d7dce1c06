//! Taking up what changes while a host runs, or stands by: files of plugins, and the settings.

use std::convert::Infallible;
use std::path::PathBuf;

use gtm_delivery::PipelineChange;
use gtm_host::config::Settings;
use gtm_host::remedy::WithRemedy;
use gtm_runtime::{Actor, PluginHandle};
use tokio::sync::oneshot;

use super::events::{HostEvent, HostEvents, say_unchanged};
use super::watch::{LOOK, Signature, settled, signature};
use super::{ActiveHost, HostTurns, finish};

/// The files of all plugins at one time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct FileSignatures(Vec<(String, PathBuf, Signature)>);

impl FileSignatures {
    pub(super) fn at(settings: &Settings) -> Self {
        let present = settings.present_plugins().unwrap_or_default().into_iter();
        Self(present.map(|(name, (path, _))| (name, path.clone(), signature(&path))).collect())
    }
}

impl HostTurns<'_> {
    /// A plugin does not run in this turn, and the others do.
    pub(super) async fn stopped(&self, plugin: PluginHandle, error: &anyhow::Error) {
        tracing::error!(
            event = "plugin.start_failed",
            plugin = plugin.name(),
            error = &**error,
            "not started until its file or the settings change again"
        );
        // Where the turn has ended, there is nothing to be seen.
        let reason = WithRemedy(error.as_ref()).to_string();
        let _ = self.changes.send(PipelineChange::Stopped(plugin, reason)).await;
    }
}

impl ActiveHost {
    /// Makes the plugins what their files and the settings are by now, and again whenever these change. `turn`: while it is this
    /// host's.
    ///
    /// It may be dropped at any time. What it had not taken up by then, the next call takes up first.
    pub(super) async fn keep_up(
        &mut self,
        events: &mut HostEvents<'_>,
        turn: Option<&HostTurns<'_>>,
    ) -> Infallible {
        loop {
            self.take_up(events, turn).await;
            match events.next().await {
                HostEvent::Files => {}
                HostEvent::Settings(settings) => {
                    tracing::info!(event = "settings.read", "read the settings again");
                    say_unchanged(&self.settings, &settings);
                    self.settings.take_over_plugins(*settings);
                    self.looked = None;
                }
            }
        }
    }

    /// Does nothing where neither a file of a plugin nor the settings have changed.
    async fn take_up(&mut self, events: &mut HostEvents<'_>, turn: Option<&HostTurns<'_>>) {
        let anew = self.looked.is_none();
        let is_watching = self.settings.watch.unwrap_or(true);
        let look = if anew {
            FileSignatures::at(&self.settings)
        } else {
            if !is_watching || self.looked == Some(FileSignatures::at(&self.settings)) {
                // Other files may be written beside them all the time.
                return tokio::time::sleep(LOOK).await;
            }
            settled(|| FileSignatures::at(&self.settings)).await
        };
        let actor = if anew { Actor::Hangup } else { Actor::FileWatch };
        let mut steps = self.members.follow(&self.settings, actor).await;
        events.watch(self);
        // Not before: where this is dropped, it is to be done again.
        self.looked = Some(look);
        // Without a turn, they begin with the next.
        let Some(turns) = turn else { return };
        turns.control.take_swaps_from(self.members.swap_from(&self.settings));
        // What had stopped is tried again with another file, or other settings.
        let names = self.members.all().map(|member| member.slot.name());
        let again = names.filter(|name| anew || steps.changed.contains(*name));
        steps.begin.extend(again.filter(|name| turns.control.has_stopped(name)).map(str::to_owned));
        for name in steps.end {
            let (told, ended) = oneshot::channel();
            // Where all are ending, this one is, too.
            if turns.changes.send(PipelineChange::Remove(name.clone(), told)).await.is_ok()
                && let Ok(ended) = ended.await
                && let Err(error) = finish(vec![ended])
            {
                tracing::error!(
                    event = "plugin.stop_failed",
                    plugin = name,
                    error = &*error,
                    "the removed plugin ended with an error"
                );
            }
        }
        for name in steps.begin {
            let Some(member) = self.members.get(&name) else { continue };
            match self.pipeline(member, turns.epoch).await {
                Ok(pipeline) => drop(turns.changes.send(PipelineChange::Add(Box::new(pipeline))).await),
                Err(error) => turns.stopped(member.slot.clone(), &error).await,
            }
        }
    }
}
