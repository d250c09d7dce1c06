//! What makes the plugins of a running host others: files that change, and SIGHUP.

use gtm_host::config::{SETTINGS, Settings};
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

/// The table of a key, as it is written, or a key of none.
fn section(key: &str) -> String {
    match key.split_once('.') {
        // It may be a word.
        Some(("store", _)) => "store".to_owned(),
        Some((table, _)) => format!("[{table}]"),
        None => key.to_owned(),
    }
}

/// Says which of the settings that are others now are taken up with the next start only.
pub(super) fn say_unchanged(before: &Settings, now: &Settings) {
    // By what is written: a start such as -10m is another time whenever it is read.
    let value = |settings: &Settings, key| settings.origins.get(key).map(|(value, _)| value.clone());
    let changed = SETTINGS.iter().filter(|setting| {
        !setting.applies_on_reload() && value(before, setting.key) != value(now, setting.key)
    });
    let mut differs: Vec<_> = changed.map(|setting| section(setting.key)).collect();
    differs.dedup();
    if !differs.is_empty() {
        tracing::warn!("changed, and taken up with the next start only: {}", differs.join(", "));
    }
}
