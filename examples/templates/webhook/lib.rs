//! Sends each document that is written to a collection `orders` to a web server, as JSON.

use gtm_plugin::http::Request;
use gtm_plugin::settings::Settings;
use gtm_plugin::{Config, ConfigError, Op, Outcome, Plugin, extended_json, log, plugin};

/// What a user can set. `gtm-host check` prints it, and the host refuses everything else.
#[derive(Settings)]
struct WebhookSettings {
    /// The address that gets each document.
    url: String,
    /// The token that is sent along.
    #[setting(secret)]
    token: Option<String>,
}

// A * stands for any characters: each database may have the collection.
#[plugin(namespace = "*.orders", operation = [insert, update, replace], settings = WebhookSettings)]
struct Webhook {
    settings: WebhookSettings,
}

impl Plugin for Webhook {
    fn new(config: Config) -> Result<Self, ConfigError> {
        Ok(Self { settings: config.parse()? })
    }

    /// Handles a change. The host retries the op if the server cannot do it now, and rejects it if the server refuses it.
    fn handle(&self, op: &Op) -> Outcome {
        let body = extended_json::relaxed(op.raw_document()?)?;
        let mut request = Request::post(&self.settings.url).header("content-type", "application/json");
        if let Some(token) = &self.settings.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let response = request.body(body).idempotency_key(op).send()?.error_for_status()?;
        log::debug!("answered with status {}", response.status);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use gtm_plugin::bson::doc;
    use gtm_plugin::http::Response;
    use gtm_plugin::testing::{Harness, delete, insert};

    use super::*;

    fn harness(status: u16) -> Harness {
        let answer = move |_: &Request| Ok(Response { status, ..Response::default() });
        Harness::new().config("url", "https://api.example.com/orders").config("token", "secret").server(answer)
    }

    #[test]
    fn an_order_is_sent() {
        let run = harness(200).run::<Webhook>(&insert("shop.orders", doc! { "_id": 1, "total": 120 }));
        assert_eq!(run.outcome, Some(Ok(())));
        assert_eq!(run.requests[0].url, "https://api.example.com/orders");
        assert!(String::from_utf8_lossy(&run.requests[0].body).contains("\"total\":120"));
        assert!(run.requests[0].headers.contains(&("authorization".to_owned(), "Bearer secret".to_owned())));
    }

    #[test]
    fn a_busy_server_is_asked_again_and_a_refusal_is_final() {
        let order = insert("shop.orders", doc! { "_id": 1 });
        assert!(harness(503).run::<Webhook>(&order).outcome.unwrap().unwrap_err().is_retry());
        assert!(!harness(400).run::<Webhook>(&order).outcome.unwrap().unwrap_err().is_retry());
    }

    #[test]
    fn other_changes_are_not_wanted() {
        for other in [insert("shop.users", doc! { "_id": 1 }), delete("shop.orders", doc! { "_id": 1 })] {
            assert!(!harness(200).run::<Webhook>(&other).wanted);
        }
    }

    #[test]
    fn the_url_is_required() {
        assert_eq!(Harness::new().start::<Webhook>().unwrap_err().to_string(), "the setting url is missing");
    }
}
