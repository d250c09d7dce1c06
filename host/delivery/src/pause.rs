//! Whether a plugin is paused: its feed then reads nothing for it, and its lanes begin no op.

use tokio::sync::watch;

/// Pauses and resumes one plugin.
#[derive(Debug)]
pub(super) struct PauseSwitch(watch::Sender<bool>);

impl Default for PauseSwitch {
    /// Returns the switch of a plugin that is not paused.
    fn default() -> Self {
        Self(watch::Sender::new(false))
    }
}

impl PauseSwitch {
    /// Pauses the plugin.
    pub(super) fn pause(&self) {
        self.0.send_replace(true);
    }

    /// Resumes the plugin.
    pub(super) fn resume(&self) {
        self.0.send_replace(false);
    }

    /// Returns whether the plugin is paused.
    pub(super) fn is_paused(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until the plugin is paused.
    pub(super) async fn until_paused(&self) {
        self.until(true).await;
    }

    /// Waits until the plugin is not paused.
    pub(super) async fn until_resumed(&self) {
        self.until(false).await;
    }

    async fn until(&self, wanted: bool) {
        // The sender lives as long as `self`, so this cannot fail.
        let _ = self.0.subscribe().wait_for(|paused| *paused == wanted).await;
    }
}
