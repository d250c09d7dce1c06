//! The events that change the plugins of a running host: files that change, and SIGHUP.

use gtm_host::config::{SETTINGS, Settings};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::ActiveHost;
use super::watch::FileWatch;
use crate::cli::load::present;

/// Something that requires a reload.
pub(super) enum HostEvent {
    /// A file of a plugin may have changed.
    Files,
    /// The settings were read again.
    Settings(Box<Settings>),
}

/// Waits for events.
pub(super) struct HostEvents<'a> {
    watch: FileWatch,
    hangup: Signal,
    /// Whether a SIGHUP has come for which the settings were not read yet.
    is_hung_up: bool,
    read: &'a dyn Fn() -> anyhow::Result<Settings>,
}

impl<'a> HostEvents<'a> {
    pub(super) fn listen(
        settings: &Settings,
        read: &'a dyn Fn() -> anyhow::Result<Settings>,
    ) -> std::io::Result<Self> {
        let watch = FileWatch::new(settings.watch.unwrap_or(true));
        Ok(Self { watch, hangup: signal(SignalKind::hangup())?, is_hung_up: false, read })
    }

    /// Watches the files of the plugins and filters of this host, including those that could not be loaded.
    pub(super) fn watch(&mut self, host: &ActiveHost) {
        self.watch.watch(host.files().paths(), host.settings.plugin_dir.as_deref());
    }

    /// Waits for the next event. The future may be dropped at any time.
    pub(super) async fn next(&mut self) -> HostEvent {
        loop {
            if !std::mem::take(&mut self.is_hung_up) {
                tokio::select! {
                    () = self.watch.changed() => return HostEvent::Files,
                    _ = self.hangup.recv() => {}
                }
            }
            match self.settings() {
                Ok(settings) => return HostEvent::Settings(Box::new(settings)),
                Err(error) => tracing::error!(
                    event = "settings.read_failed",
                    error = &*error,
                    "the settings cannot be used; everything stays as it is"
                ),
            }
        }
    }

    /// Reads the settings again, and checks the plugins and filters in them as at the start.
    fn settings(&self) -> anyhow::Result<Settings> {
        let settings = (self.read)()?;
        present(&settings)?;
        Ok(settings)
    }

    /// Returns the result of this future. None: a SIGHUP came before, which is the next event.
    pub(super) async fn unless_hung_up<T>(&mut self, future: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            _ = self.hangup.recv() => {
                self.is_hung_up = true;
                None
            }
            done = future => Some(done),
        }
    }
}

/// Returns the table of a key as a settings file has it, or the key itself if it is in no table.
fn section(key: &str) -> String {
    match key.split_once('.') {
        // store may be a string instead of a table.
        Some(("store", _)) => "store".to_owned(),
        Some((table, _)) => format!("[{table}]"),
        None => key.to_owned(),
    }
}

/// Logs the settings that changed and that apply only at the next start.
pub(super) fn warn_of_ignored_settings(before: &Settings, now: &Settings) {
    // Compares the text: a start such as -10m is another time whenever it is read.
    let value = |settings: &Settings, key| settings.origins.get(key).map(|(value, _)| value.clone());
    let changed = SETTINGS.iter().filter(|setting| {
        !setting.applies_on_reload() && value(before, setting.key) != value(now, setting.key)
    });
    let mut differs: Vec<_> = changed.map(|setting| section(setting.key)).collect();
    differs.dedup();
    if !differs.is_empty() {
        tracing::warn!(
            event = "settings.defer",
            settings = differs.join(", "),
            "changed settings that take effect with the next start"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_sighup_ends_the_wait_for_files_and_is_the_next_event() {
        let settings = Settings { watch: Some(false), ..Settings::default() };
        let read = || Ok(Settings::default());
        let mut events = HostEvents::listen(&settings, &read).unwrap();
        assert_eq!(events.unless_hung_up(std::future::ready(1)).await, Some(1));
        nix::sys::signal::raise(nix::sys::signal::Signal::SIGHUP).unwrap();
        assert_eq!(events.unless_hung_up(std::future::pending::<()>()).await, None);
        assert!(matches!(events.next().await, HostEvent::Settings(_)));
    }
}
