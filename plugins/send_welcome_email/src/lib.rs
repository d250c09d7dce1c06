//! Sends a welcome e-mail to each new user: to each document inserted into `users.users` that has
//! an `email`.
//!
//! Settings, all optional: `from` (the sender), `subject`, and `text`, in which `{name}` stands for
//! the user's name.

use gtm_plugin::bson::RawBsonRef;
use gtm_plugin::{Op, Outcome, Plugin, config, log, mail, plugin};

#[derive(serde::Deserialize)]
struct User {
    name: Option<String>,
    email: String,
}

#[plugin(namespace = "users.users", operation = insert)]
struct SendWelcomeEmail;

impl Plugin for SendWelcomeEmail {
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
