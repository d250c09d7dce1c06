//! Sends a welcome e-mail to each new user: to each document inserted into `users.users` that has
//! an `email`.
//!
//! The settings are in `README.md`.

use gtm_plugin::bson::RawBsonRef;
use gtm_plugin::settings::Settings;
use gtm_plugin::{Op, Outcome, Plugin, config, log, mail, plugin};

#[derive(serde::Deserialize)]
struct User {
    name: Option<String>,
    email: String,
}

#[plugin(namespace = "users.users", operation = insert)]
struct SendWelcomeEmail;

impl Plugin for SendWelcomeEmail {
    const SETTINGS: Settings = Settings::known(&["from", "subject", "text"]);

    /// Users without an address are no error: they signed up in another way.
    fn filter(op: &Op) -> bool {
        // One that cannot be read is not passed over: handle rejects it, and that is logged.
        !matches!(op.raw_document().map(|user| user.get("email")), Ok(Ok(None | Some(RawBsonRef::Null))))
    }

    fn handle(op: &Op) -> Outcome {
        let user: User = op.document()?;
        mail::send(&welcome(&user))?;
        log::info!("welcomed {}", user.email);
        Ok(())
    }
}

fn welcome(user: &User) -> mail::Message {
    let name = user.name.as_deref().unwrap_or("there");
    let subject = config::get("subject").unwrap_or_else(|| "Welcome".to_owned());
    let text = config::get("text").unwrap_or_else(|| "Hello {name},\n\nwelcome aboard!\n".to_owned());
    let message = mail::Message::to(&user.email).subject(subject).text(text.replace("{name}", name));
    match config::get("from") {
        Some(from) => message.from(from),
        None => message,
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
    fn a_setting_that_it_does_not_know_is_refused() {
        let log = Harness::new().config("sender", "shop@example.com").load::<SendWelcomeEmail>();
        assert!(log[0].1.contains("this plugin's settings are from, subject, text"), "{log:?}");
    }

    #[test]
    fn a_mail_server_that_is_down_is_tried_again() {
        let down = mail::Error::Unavailable("refused".to_owned());
        let ada = insert("users.users", doc! { "_id": 1, "email": "ada@example.com" });
        let run = Harness::new().failing_mail(down).run::<SendWelcomeEmail>(&ada);
        assert_eq!(run.outcome, Some(Err(Failure::Retry("refused".to_owned()))));
    }
}
