//! Sends one e-mail about many changes, at set times: it keeps a line for each change, and a timer sends the lines.
//!
//! The settings are in `README.md`.

use gtm_plugin::settings::{Selection, Settings};
use gtm_plugin::state::StateEntry;
use gtm_plugin::{
    Config, ConfigError, Error, Op, Outcome, Plugin, Schedule, Subscription, Tick, Timer, extended_json, log,
    mail, plugin, state,
};
use sha2::{Digest, Sha256};

/// The maximum number of lines in a mail.
const MAX_LINES: u32 = 1000;
/// The maximum length of a line, in characters: so many lines fit into a mail.
const MAX_LINE_LENGTH: usize = 200;

#[derive(Settings)]
struct DigestSettings {
    /// The recipients.
    #[setting(required)]
    to: Vec<String>,
    /// The sender. Without it, the default sender of the host.
    from: Option<String>,
    /// The subject of the mail.
    #[setting(default = "Changes")]
    subject: String,
    /// When the mail is sent, in UTC: a cron expression, or an interval such as 6h.
    #[setting(default = "0 6 * * *")]
    schedule: String,
    #[setting(flatten)]
    selection: Selection,
}

#[plugin(settings = DigestSettings, schedule)]
struct SendDigest {
    settings: DigestSettings,
}

impl Plugin for SendDigest {
    fn new(config: Config) -> Result<Self, ConfigError> {
        let settings: DigestSettings = config.parse()?;
        if settings.to.is_empty() {
            return Err(ConfigError::new(
                "the setting to has no address. help: set it to the recipients, such as ada@example.com",
            ));
        }
        Ok(Self { settings })
    }

    fn subscriptions(&self) -> Option<Vec<Subscription>> {
        Some(self.settings.selection.subscriptions())
    }

    /// Keeps the line of the change. The key is in the order of the changes, and the same if the change is delivered again. It has a digest
    /// of the id, which is a long text if the op comes from a change stream.
    fn handle(&self, op: &Op) -> Outcome {
        let at = op.timestamp();
        let id = hex::encode(Sha256::digest(op.id()));
        state::set(&format!("{:010}.{:010}.{id}", at.time, at.increment), line(op)?.as_bytes())?;
        Ok(())
    }
}

impl Schedule for SendDigest {
    fn timers(&self) -> Vec<Timer> {
        vec![Timer::new("digest", &self.settings.schedule)]
    }

    /// Sends the lines in one mail. After a crash between the mail and the removal of its lines, the next mail has them again.
    fn tick(&self, _: &Tick) -> Outcome {
        let entries = state::list("", None, MAX_LINES)?;
        if entries.is_empty() {
            return Ok(());
        }
        mail::send(&self.digest(&entries))?;
        entries.iter().try_for_each(|entry| state::delete(&entry.key))?;
        log::info!("sent a digest of {} changes", entries.len());
        Ok(())
    }
}

impl SendDigest {
    fn digest(&self, entries: &[StateEntry]) -> mail::Message {
        let DigestSettings { to, from, subject, .. } = &self.settings;
        let lines: Vec<_> = entries.iter().map(|entry| String::from_utf8_lossy(&entry.value)).collect();
        let first = mail::Message::to(to.first().map(String::as_str).unwrap_or_default());
        let message = to.iter().skip(1).fold(first, |message, to| message.and_to(to));
        let message = message.subject(format!("{subject}: {}", entries.len())).text(lines.join("\n") + "\n");
        match from {
            Some(from) => message.from(from),
            None => message,
        }
    }
}

/// Returns the line of a change: its time, operation, namespace and key.
fn line(op: &Op) -> Result<String, Error> {
    let at = op.wall_time().and_then(|at| at.try_to_rfc3339_string().ok());
    let key = op.raw_document_key().ok().map(extended_json::relaxed).transpose()?;
    let words = [
        at.unwrap_or_else(|| op.timestamp().time.to_string()),
        op.operation_type().to_string(),
        op.namespace().to_string(),
        key.unwrap_or_default(),
    ];
    Ok(words.join(" ").chars().take(MAX_LINE_LENGTH).collect())
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use gtm_plugin::bson::doc;
    use gtm_plugin::testing::{Harness, OpBuilder, insert};
    use gtm_plugin::{Failure, OperationType};

    use super::*;

    fn harness() -> Harness {
        Harness::new().config("to", "ada@example.com, bob@example.com")
    }

    #[test]
    fn a_tick_sends_the_lines_of_all_changes_once() {
        let mut harness = harness();
        let [first, second] = [1, 2].map(|id| insert("shop.orders", doc! { "_id": id }));
        // The second is delivered twice.
        for op in [&first, &second, &second] {
            assert_eq!(harness.run::<SendDigest>(op).outcome, Some(Ok(())));
        }
        let run = harness.tick::<SendDigest>("digest", SystemTime::now());
        assert_eq!((run.outcome, run.mails.len()), (Some(Ok(())), 1));
        let mail = &run.mails[0];
        assert_eq!(mail.to, ["ada@example.com", "bob@example.com"]);
        assert_eq!(mail.subject, "Changes: 2");
        let text = mail.text.as_deref().unwrap();
        assert!(text.lines().next().unwrap().ends_with(r#" insert shop.orders {"_id":1}"#), "{text}");
        let run = harness.tick::<SendDigest>("digest", SystemTime::now());
        assert_eq!((run.outcome, run.mails.len()), (Some(Ok(())), 0), "nothing is left");
    }

    #[test]
    fn the_lines_stay_while_the_mail_server_is_down() {
        let mut harness = harness();
        harness.run::<SendDigest>(&insert("shop.orders", doc! { "_id": 1 }));
        let mut down = harness.clone().failing_mail(Error::Unavailable("refused".to_owned()));
        let run = down.tick::<SendDigest>("digest", SystemTime::now());
        assert_eq!(run.outcome, Some(Err(Failure::Retry("refused".to_owned()))));
        assert_eq!(harness.tick::<SendDigest>("digest", SystemTime::now()).mails.len(), 1);
    }

    #[test]
    fn without_a_recipient_it_does_not_start() {
        let declared = DigestSettings::declare();
        let required: Vec<_> = declared.iter().filter(|setting| setting.required).collect();
        assert!(matches!(&required[..], [to] if to.name == "to"), "{required:?}");
        for (mut harness, why) in [
            (Harness::new(), "the setting to is missing"),
            (Harness::new().config("to", ""), "the setting to is missing"),
            (Harness::new().config("to", " , "), "the setting to has no address"),
        ] {
            let refused = harness.start::<SendDigest>().unwrap_err();
            assert!(refused.to_string().starts_with(why), "{refused}");
        }
    }

    #[test]
    fn a_long_id_fits_in_a_key() {
        let mut harness = harness();
        let [first, second] = ["1", "2"].map(|end| {
            let id = "82".repeat(1000) + end;
            OpBuilder::new("shop.orders", OperationType::Insert).id(&id).build()
        });
        for op in [&first, &second, &second] {
            assert_eq!(harness.run::<SendDigest>(op).outcome, Some(Ok(())));
        }
        let mails = harness.tick::<SendDigest>("digest", SystemTime::now()).mails;
        assert_eq!(mails[0].subject, "Changes: 2");
    }

    #[test]
    fn the_schedule_is_a_setting() {
        let timers = harness().config("schedule", "6h").timers::<SendDigest>();
        assert_eq!(timers, [Timer::new("digest", "6h")]);
    }
}
