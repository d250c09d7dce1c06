//! Sends a mail to each user who is inserted into a collection `users`.

use gtm_plugin::bson::{Bson, Document};
use gtm_plugin::settings::Settings;
use gtm_plugin::{Config, ConfigError, Op, Outcome, Plugin, log, mail, plugin};

/// What a user can set. `gtm-host check` prints it, and the host refuses everything else.
#[derive(Settings)]
struct GreeterSettings {
    /// The subject of the mail.
    #[setting(default = "Welcome")]
    subject: String,
}

// To subscribe to some changes only: #[plugin(namespace = "app.users", operation = insert)]
#[plugin(settings = GreeterSettings)]
struct Greeter {
    settings: GreeterSettings,
}

impl Plugin for Greeter {
    /// Starts the plugin. An error about the settings keeps this version from starting.
    fn new(config: Config) -> Result<Self, ConfigError> {
        Ok(Self { settings: config.parse()? })
    }

    /// Returns whether the plugin wants a change. It must be quick, and has no side effects.
    fn filter(&self, op: &Op) -> bool {
        op.is_insert() && op.namespace().collection == "users"
    }

    /// Handles a change. After an error with `?`, the host rejects a document that cannot be decoded, and retries what may work later.
    fn handle(&self, op: &Op) -> Outcome {
        let user: Document = op.document()?;
        log::debug!("document: {}", Bson::from(user.clone()).into_canonical_extjson());

        let email = user.get_str("email")?;
        let name = user.get_str("name").unwrap_or("there");
        let subject = &self.settings.subject;

        mail::send(&mail::Message::to(email).subject(subject).text(format!("Hello {name}")))?;
        log::info!("welcomed {name}");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use gtm_plugin::Failure;
    use gtm_plugin::bson::doc;
    use gtm_plugin::testing::{Harness, delete, insert};

    use super::*;

    #[test]
    fn a_new_user_gets_a_mail() {
        let user = insert("app.users", doc! { "_id": 1, "name": "Ada", "email": "ada@example.com" });
        let run = Harness::new().config("subject", "Hi").run::<Greeter>(&user);
        assert_eq!(run.outcome, Some(Ok(())));
        assert_eq!(run.mails[0].to, ["ada@example.com"]);
        assert_eq!(run.mails[0].subject, "Hi");
        assert_eq!(run.mails[0].text.as_deref(), Some("Hello Ada"));
    }

    #[test]
    fn a_user_without_email_is_rejected() {
        let run = Harness::new().run::<Greeter>(&insert("app.users", doc! { "_id": 1 }));
        assert_eq!(run.outcome, Some(Err(Failure::reject("email: expected a value, found nothing"))));
    }

    #[test]
    fn other_changes_are_not_wanted() {
        for other in [insert("app.orders", doc! { "_id": 1 }), delete("app.users", doc! { "_id": 1 })] {
            assert_eq!(Harness::new().run::<Greeter>(&other).outcome, None);
        }
    }
}
