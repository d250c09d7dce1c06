//! Collects the errors that plugins log while they are loaded: a plugin has no other way to report that it does not understand its
//! settings.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use gtm_text::sanitize::line;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

/// The target of what plugins log.
const TARGET: &str = "plugin";

/// The errors that were logged. None: nobody wants them.
static LOGGED: OnceLock<PluginErrors> = OnceLock::new();

/// The errors that plugins logged, as a layer of the log.
#[derive(Clone, Debug, Default)]
pub(super) struct PluginErrors(Arc<Mutex<Vec<PluginError>>>);

/// An error that a plugin logged.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
#[error("the plugin {plugin} logs an error at its start: {message}")]
pub(super) struct PluginError {
    plugin: String,
    message: String,
}

impl PluginErrors {
    /// Collects errors from now on.
    pub(super) fn collect() -> Self {
        LOGGED.get_or_init(Self::default).clone()
    }

    /// Returns the errors that were logged, and forgets them.
    pub(super) fn take() -> Vec<PluginError> {
        let Some(Self(logged)) = LOGGED.get() else { return Vec::new() };
        std::mem::take(&mut *logged.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl<S: Subscriber> Layer<S> for PluginErrors {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target() == TARGET && *event.metadata().level() == Level::ERROR {
            let mut error = PluginError::default();
            event.record(&mut error);
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push(error);
        }
    }
}

impl Visit for PluginError {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        match field.name() {
            "plugin" => self.plugin = line(&text).into_owned(),
            "message" => self.message = text,
            _ => {}
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
}
