//! Sends a welcome e-mail to each new user: to each document inserted into `users.users` that has
//! an `email`.
//!
//! The settings are in `README.md`.

use gtm_plugin::bson::RawBsonRef;
use gtm_plugin::settings::Settings;
use gtm_plugin::{Config, ConfigError, Op, Outcome, Plugin, log, mail, plugin};

#[derive(Settings)]
struct MailSettings {
    /// The sender. Without it, the default sender of the host.
    from: Option<String>,
    /// The subject of the mail.
    #[setting(default = "Welcome")]
    subject: String,
    /// The text of the mail, in which {name} stands for the name of the user.
    #[setting(default = "Hello {name},\n\nwelcome aboard!\n")]
    text: String,
}

#[derive(serde::Deserialize)]
struct User {
    name: Option<String>,
    email: String,
}

#[plugin(namespace = "users.users", operation = insert, settings = MailSettings)]
struct SendWelcomeEmail {
    settings: MailSettings,
}

impl Plugin for SendWelcomeEmail {
    fn new(config: Config) -> Result<Self, ConfigError> {
        Ok(Self { settings: config.parse()? })
    }

    /// Users without an address are not an error: they signed up in another way.
    fn filter(&self, op: &Op) -> bool {
        // One that cannot be read is not skipped: handle rejects it, and the host logs that.
        !matches!(op.raw_document().map(|user| user.get("email")), Ok(Ok(None | Some(RawBsonRef::Null))))
    }

    fn handle(&self, op: &Op) -> Outcome {
        let user: User = op.document()?;
        mail::send(&self.welcome(&user))?;
        log::info!("welcomed {}", user.email);
        Ok(())
    }
}

impl SendWelcomeEmail {
    fn welcome(&self, user: &User) -> mail::Message {
        let MailSettings { from, subject, text } = &self.settings;
        let name = user.name.as_deref().unwrap_or("there");
        let message = mail::Message::to(&user.email).subject(subject).text(text.replace("{name}", name));
        match from {
            Some(from) => message.from(from),
            None => message,
        }
    }
}

#[cfg(test)]
mod tests {
    use gtm_plugin::Failure;
    use gtm_plugin::bson::doc;
    use gtm_plugin::testing::{Harness, insert};

    use super::*;

    #[test]
    fn a_user_is_welcomed_by_name() {
        let ada = insert("users.users", doc! { "_id": 1, "name": "Ada", "email": "ada@example.com" });
        let run = Harness::new().config("text", "Dear {name}!").run::<SendWelcomeEmail>(&ada);
        assert_eq!(run.outcome, Some(Ok(())));
        let mail = &run.mails[0];
        assert_eq!(
            (mail.to.as_slice(), mail.subject.as_str()),
            (&["ada@example.com".to_owned()][..], "Welcome")
        );
        assert_eq!(mail.text.as_deref(), Some("Dear Ada!"));
    }

    #[test]
    fn without_an_address_there_is_nothing_to_do_and_an_odd_one_is_rejected() {
        let mut harness = Harness::new();
        for user in [doc! { "_id": 1, "name": "Ada" }, doc! { "_id": 1, "email": null }] {
            assert!(!harness.run::<SendWelcomeEmail>(&insert("users.users", user)).wanted);
        }
        let odd = harness.run::<SendWelcomeEmail>(&insert("users.users", doc! { "_id": 1, "email": 3 }));
        assert!(matches!(odd.outcome, Some(Err(Failure::Reject(_)))));
    }

    #[test]
    fn an_unknown_setting_is_refused() {
        let refused = Harness::new().config("subjet", "Hi").start::<SendWelcomeEmail>().unwrap_err();
        assert!(refused.to_string().contains("did you mean subject?"), "{refused}");
    }

    #[test]
    fn a_mail_server_that_is_down_is_tried_again() {
        let down = gtm_plugin::Error::Unavailable("refused".to_owned());
        let ada = insert("users.users", doc! { "_id": 1, "email": "ada@example.com" });
        let run = Harness::new().failing_mail(down).run::<SendWelcomeEmail>(&ada);
        assert_eq!(run.outcome, Some(Err(Failure::Retry("refused".to_owned()))));
    }
}
