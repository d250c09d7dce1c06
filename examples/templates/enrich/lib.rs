//! Adds the city to each user who is inserted into `app.users` with a `zip`. A web server knows the cities.

use gtm_plugin::bson::{Bson, Document, doc};
use gtm_plugin::http::Request;
use gtm_plugin::mongodb::Collection;
use gtm_plugin::settings::Settings;
use gtm_plugin::{Config, ConfigError, Failure, Op, Outcome, Plugin, log, plugin};
use serde::Deserialize;

/// What a user can set. `gtm-host check` prints it, and the host refuses everything else.
#[derive(Settings)]
struct EnrichSettings {
    /// The address that knows the places. The plugin asks for URL/ZIP.
    url: String,
}

/// What the server knows.
#[derive(Deserialize)]
struct Place {
    city: String,
}

// The plugin updates documents, and does not subscribe to updates: it would see its own ones.
#[plugin(namespace = "app.users", operation = insert, settings = EnrichSettings)]
struct Enrich {
    settings: EnrichSettings,
}

impl Plugin for Enrich {
    fn new(config: Config) -> Result<Self, ConfigError> {
        Ok(Self { settings: config.parse()? })
    }

    fn filter(&self, op: &Op) -> bool {
        // An op that cannot be decoded is handled, which rejects it.
        op.raw_document().map_or(true, |user| user.get("zip").is_ok_and(|zip| zip.is_some()))
    }

    fn handle(&self, op: &Op) -> Outcome {
        let user: Document = op.document()?;
        let zip = user.get_str("zip")?;
        // It becomes a part of the URL.
        if zip.is_empty() || !zip.chars().all(|c| c.is_ascii_alphanumeric()) {
            return Err(Failure::reject("zip: expected letters and digits"));
        }
        let response = Request::get(format!("{}/{zip}", self.settings.url)).send()?.error_for_status()?;
        let Ok(Place { city }) = serde_json::from_slice(&response.body) else {
            return Err(Failure::reject(format!("{}/{zip} has no city", self.settings.url)));
        };

        let id = user.get("_id").cloned().unwrap_or(Bson::Null);
        let users = Collection::new(op.namespace().to_string());
        users.update_one(&doc! { "_id": id }, &doc! { "$set": { "city": &city } })?;
        log::debug!("{zip} is in {city}");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use gtm_plugin::http::Response;
    use gtm_plugin::testing::{Harness, insert};

    use super::*;

    fn harness(body: &'static str) -> Harness {
        let answer = move |_: &Request| Ok(Response { status: 200, body: body.into(), ..Response::default() });
        Harness::new().config("url", "https://api.example.com/places").server(answer)
    }

    #[test]
    fn a_user_gets_a_city() {
        let user = insert("app.users", doc! { "_id": 1, "zip": "10115" });
        let run = harness(r#"{"city":"Berlin"}"#).run::<Enrich>(&user);
        assert_eq!(run.outcome, Some(Ok(())));
        assert_eq!(run.requests[0].url, "https://api.example.com/places/10115");
        let (namespace, write) = &run.writes[0];
        assert_eq!(namespace, "app.users");
        assert_eq!(write.get_document("by").unwrap(), &doc! { "$set": { "city": "Berlin" } });
    }

    #[test]
    fn a_zip_that_does_not_belong_into_a_url_is_rejected() {
        let user = insert("app.users", doc! { "_id": 1, "zip": "../secrets" });
        let run = harness("{}").run::<Enrich>(&user);
        assert!(matches!(run.outcome, Some(Err(Failure::Reject(_)))), "{:?}", run.outcome);
        assert!(run.requests.is_empty());
    }

    #[test]
    fn an_answer_without_a_city_is_rejected() {
        let user = insert("app.users", doc! { "_id": 1, "zip": "10115" });
        assert!(!harness("{}").run::<Enrich>(&user).outcome.unwrap().unwrap_err().is_retry());
    }

    #[test]
    fn a_user_without_a_zip_is_not_wanted() {
        assert!(!harness("{}").run::<Enrich>(&insert("app.users", doc! { "_id": 1 })).wanted);
    }
}
