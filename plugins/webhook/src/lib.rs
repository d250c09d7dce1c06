//! Sends each change to an HTTP server, as JSON, signed so that the server can tell who sent it.
//!
//! The settings are in `README.md`.

mod event;
mod signature;

use std::time::{SystemTime, UNIX_EPOCH};

use gtm_plugin::http::Request;
use gtm_plugin::settings::{self, Settings};
use gtm_plugin::{Failure, Op, Outcome, Plugin, config, plugin};

#[plugin]
struct Webhook;

impl Plugin for Webhook {
    const SETTINGS: Settings = Settings::known(&["url", "secret", "namespaces", "operations"]);

    fn check_settings() -> Result<(), String> {
        settings::required_url("url")?;
        settings::check_selection()
    }

    fn filter(op: &Op) -> bool {
        settings::selects(op)
    }

    fn handle(op: &Op) -> Outcome {
        let url = config::get("url").unwrap_or_default();
        let body = event::of(op)?;
        let mut request = Request::post(url)
            .header("content-type", "application/json")
            .header("user-agent", concat!("gtm-host-webhook/", env!("CARGO_PKG_VERSION")))
            // The same at each delivery.
            .header("x-gtm-id", op.id());
        if let Some(secret) = config::get("secret").filter(|secret| !secret.is_empty()) {
            let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(Failure::retry)?.as_secs();
            request = request.header("x-gtm-signature", signature::of(&secret, now, &body));
        }
        request.body(body).send()?.check()?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
