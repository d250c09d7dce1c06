//! A filter for other plugins: passes the ops on documents whose `_id` is large enough, and logs each op that it is asked about.

use gtm_plugin::settings::Settings;
use gtm_plugin::{Config, ConfigError, FilterPlugin, Op, Subscription, log, plugin};

#[derive(Settings)]
struct Mesh {
    /// The least `_id` that passes.
    #[setting(default = "0")]
    at_least: i64,
    /// The `_id` on which it traps.
    trap_at: Option<i64>,
    /// The namespace to which it subscribes.
    #[setting(default = "*")]
    namespace: String,
}

#[plugin(filter, settings = Mesh)]
struct Sieve(Mesh);

impl FilterPlugin for Sieve {
    fn new(config: Config) -> Result<Self, ConfigError> {
        Ok(Self(config.parse()?))
    }

    fn subscriptions(&self) -> Option<Vec<Subscription>> {
        Some(vec![Subscription::new(&self.0.namespace)])
    }

    fn filter(&self, op: &Op) -> bool {
        let key = op.raw_document_key().ok().and_then(|key| key.get_i32("_id").ok());
        let id = i64::from(key.unwrap_or(-1));
        let what = if op.is_insert() { "insert" } else { "another op" };
        log::info!("asked about {what} {id}");
        assert_ne!(self.0.trap_at, Some(id), "a hole in the sieve");
        id >= self.0.at_least
    }
}
