//! What the host has for its plugins: each once, for all of them.

use std::fmt;
use std::sync::Arc;

use mongodb::Client;
use serde_json::Value;

use super::capabilities::mail::Mailer;
use crate::store::Store;

/// What plugins reach through the host, as far as it is there and they are granted it.
#[derive(Clone, Default)]
pub struct Services {
    /// The mail server.
    pub mailer: Option<Mailer>,
    /// Connected to the cluster.
    pub client: Option<Client>,
    /// Where plugins keep their state, and under which pipeline.
    pub store: Option<(Store, Arc<str>)>,
    /// Who is told of each effect instead of its being done.
    pub recorder: Option<Recorder>,
}

/// Takes down what plugins want done.
#[derive(Clone)]
pub struct Recorder(Arc<dyn Fn(Effect) + Send + Sync>);

/// Something that a plugin wanted done to the world outside.
#[derive(Clone, Debug)]
pub struct Effect {
    /// The name of the plugin.
    pub plugin: Arc<str>,
    /// The id of the op that it handles.
    pub op: String,
    /// By which capability: `mail`, `http`, `mongodb`, `state`.
    pub capability: &'static str,
    /// What, as JSON.
    pub what: Value,
}

impl Recorder {
    /// Tells each effect to `take`.
    pub fn new(take: impl Fn(Effect) + Send + Sync + 'static) -> Self {
        Self(Arc::new(take))
    }

    pub(super) fn record(&self, effect: Effect) {
        (self.0)(effect);
    }
}

impl fmt::Debug for Recorder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Recorder")
    }
}
