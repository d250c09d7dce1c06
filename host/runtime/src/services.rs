//! The services that the host has for its plugins, each shared by all of them.

use std::fmt;
use std::sync::Arc;

#[cfg(feature = "state")]
use gtm_store::Store;
#[cfg(feature = "mongodb")]
use mongodb::Client;
use serde_json::Value;

#[cfg(feature = "mail")]
use super::capabilities::Mailer;
#[cfg(feature = "http")]
use super::capabilities::http::HttpAnswers;

/// What plugins reach through the host, if the host has it and they are granted it.
#[derive(Clone, Default)]
pub struct Services {
    /// The mail server.
    #[cfg(feature = "mail")]
    pub mailer: Option<Mailer>,
    /// The cluster that plugins read and write.
    #[cfg(feature = "mongodb")]
    pub client: Option<Cluster>,
    /// The store of the plugins' state, and the name of the pipeline.
    #[cfg(feature = "state")]
    pub store: Option<(Store, Arc<str>)>,
    /// Records each effect, if effects are not performed.
    pub recorder: Option<Recorder>,
}

/// A cluster.
#[cfg(feature = "mongodb")]
#[derive(Clone, Debug)]
pub struct Cluster {
    /// Its client.
    pub client: Client,
    /// Its hosts, for messages.
    pub hosts: Arc<str>,
}

#[cfg(feature = "mongodb")]
impl Cluster {
    pub(super) fn words(&self) -> String {
        format!("MongoDB at {}", self.hosts)
    }
}

/// Records effects instead of performing them.
#[derive(Clone)]
pub struct Recorder {
    take: Arc<dyn Fn(Effect) + Send + Sync>,
    #[cfg(feature = "http")]
    pub(super) http: HttpAnswers,
    /// Whether the state is changed nevertheless.
    #[cfg(feature = "state")]
    pub(super) changes_state: bool,
}

/// An effect that a plugin asked for.
#[derive(Clone, Debug)]
pub struct Effect {
    /// The name of the plugin.
    pub plugin: Arc<str>,
    /// The id of the op that it handles.
    pub op: String,
    /// The capability: `mail`, `http`, `mongodb`, `state`.
    pub capability: &'static str,
    /// The effect, as JSON.
    pub what: Value,
}

impl Recorder {
    /// Makes a recorder that passes each effect to `take`.
    pub fn new(take: impl Fn(Effect) + Send + Sync + 'static) -> Self {
        Self {
            take: Arc::new(take),
            #[cfg(feature = "http")]
            http: HttpAnswers::default(),
            #[cfg(feature = "state")]
            changes_state: false,
        }
    }

    /// Changes the plugin's state, too, so that the plugin reads what it wrote. The store should be one for this purpose alone.
    #[cfg(feature = "state")]
    #[must_use]
    pub fn changing_state(mut self) -> Self {
        self.changes_state = true;
        self
    }

    pub(super) fn record(&self, effect: Effect) {
        (self.take)(effect);
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recorder")
    }
}
