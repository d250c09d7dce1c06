//! Sends each change to an HTTP server, as JSON, signed so that the server can tell who sent it.
//!
//! The settings are in `README.md`.

mod signature;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use gtm_plugin::http::Request;
use gtm_plugin::settings::{Selection, Settings, http_url};
use gtm_plugin::{Config, ConfigError, Failure, Op, Outcome, Plugin, Subscription, plugin};

#[derive(Settings)]
struct WebhookSettings {
    /// The URL that gets each change by POST.
    url: String,
    /// The secret by which each request is signed. Without it, requests are not signed.
    #[setting(secret)]
    secret: Option<String>,
    /// The time to wait for an answer.
    #[setting(default = "10s")]
    timeout: Duration,
    #[setting(flatten)]
    selection: Selection,
}

#[plugin(settings = WebhookSettings)]
struct Webhook {
    settings: WebhookSettings,
}

impl Plugin for Webhook {
    fn new(config: Config) -> Result<Self, ConfigError> {
        let mut settings: WebhookSettings = config.parse()?;
        settings.url = http_url("url", settings.url)?;
        Ok(Self { settings })
    }

    fn subscriptions(&self) -> Option<Vec<Subscription>> {
        Some(self.settings.selection.subscriptions())
    }

    fn handle(&self, op: &Op) -> Outcome {
        let WebhookSettings { url, secret, timeout, .. } = &self.settings;
        let body = op.to_change_event()?;
        let mut request = Request::post(url)
            .header("content-type", "application/json")
            .header("user-agent", concat!("gtm-host-webhook/", env!("CARGO_PKG_VERSION")))
            .timeout(*timeout)
            // The same at each delivery.
            .idempotency_key(op)
            .header("x-gtm-id", op.id())
            .header("x-gtm-attempt", op.attempt().to_string());
        if let Some(secret) = secret.as_ref().filter(|secret| !secret.is_empty()) {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(Failure::retry)?.as_secs();
            request = request.header("x-gtm-signature", signature::of(secret, now, &body));
        }
        request.body(body).send()?.error_for_status()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
