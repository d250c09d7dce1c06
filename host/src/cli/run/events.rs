//! What makes the plugins of a running host others: files that change, and SIGHUP.

use gtm_host::config::Settings;
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::ActiveHost;
use super::watch::FileWatch;

/// Something to be taken up.
pub(super) enum HostEvent {
    /// A file of a plugin may have changed.
    Files,
    /// The settings were read anew.
    Settings(Box<Settings>),
}

/// Waits for what is to be taken up.
pub(super) struct HostEvents<'a> {
    watch: FileWatch,
    hangup: Signal,
    read: &'a dyn Fn() -> anyhow::Result<Settings>,
}

impl<'a> HostEvents<'a> {
    pub(super) fn listen(
        settings: &Settings,
        read: &'a dyn Fn() -> anyhow::Result<Settings>,
    ) -> std::io::Result<Self> {
        let watch = FileWatch::new(settings.watch.unwrap_or(true));
        Ok(Self { watch, hangup: signal(SignalKind::hangup())?, read })
    }

    /// Watches the files of these plugins.
    pub(super) fn watch(&mut self, host: &ActiveHost) {
        self.watch.watch(host.members.paths(), host.settings.plugin_dir.as_deref());
    }

    /// Waits for the next. It may be cancelled.
    pub(super) async fn next(&mut self) -> HostEvent {
        loop {
            tokio::select! {
                () = self.watch.changed() => return HostEvent::Files,
                _ = self.hangup.recv() => match (self.read)() {
                    Ok(settings) => return HostEvent::Settings(Box::new(settings)),
                    Err(error) => tracing::error!("everything stays as it is: {error:#}"),
                },
            }
        }
    }
}

/// Says which of the settings that are others now are taken up with the next start only.
pub(super) fn say_unchanged(before: &Settings, now: &Settings) {
    let differs = [
        ("name", before.name != now.name),
        ("store", before.store != now.store),
        ("cache_dir", before.cache_dir != now.cache_dir),
        ("watch", before.watch != now.watch),
        ("shutdown_grace", before.shutdown_grace != now.shutdown_grace),
        ("[source]", before.source != now.source),
        ("[mail]", before.mail != now.mail),
        ("[workers]", before.workers != now.workers),
        ("[lease]", before.lease != now.lease),
        ("[admin]", before.admin != now.admin),
        ("[log]", before.log != now.log),
    ];
    let differs: Vec<_> = differs.iter().filter(|(_, differs)| *differs).map(|(name, _)| *name).collect();
    if !differs.is_empty() {
        tracing::warn!("changed, and taken up with the next start only: {}", differs.join(", "));
    }
}
