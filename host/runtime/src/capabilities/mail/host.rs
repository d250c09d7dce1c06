//! The functions of `gtm:plugin/mail`.

use std::sync::Arc;
use std::time::Instant;

use lettre::Message as Letter;
use lettre::message::Mailbox;
use serde_json::json;

use super::contract::{Host, Message};
use super::letter::{compose_as, message_id, text_of};
use super::mailer::UnsentLetter;
use super::{Capability, Mail, MailGrant, MailView, no_server};
use crate::abi::v0_2::types::Error;
use crate::remedy::PluginRemedy;

impl Host for MailView<'_> {
    async fn send(&mut self, message: Message) -> Result<String, Error> {
        let setup = Arc::clone(&self.setup);
        let Some(grant) = &setup.grants.mail else {
            return Err(Error::NotGranted(self.not_granted("mail", "mail", "mail = true", None)));
        };
        if self.op.is_empty() {
            return Err(Error::NotGranted("mail can be sent in handle only".to_owned()));
        }
        // Counted whether it is sent or not, so that each mail has the same number in each attempt.
        let number = self.own.sent;
        self.own.sent += 1;
        let id = |from: &Mailbox| message_id(&self.op, number, &self.setup.name, from);
        let services = &self.shared.services;
        let (sender, names_sender) =
            (services.mailer.as_ref().map(|mailer| &mailer.sender), message.from.is_some());
        if let Some(recorder) = &services.recorder {
            let (letter, id) = compose_as(message, sender, id)?;
            self.permit(grant, &letter, names_sender)?;
            recorder.record(self.effect(Mail::NAME, json!({ "messageId": id, "text": text_of(&letter) })));
            return Ok(id);
        }
        let Some(mailer) = &services.mailer else {
            return Err(Error::NotGranted(self.notes.blocked(no_server(), None)));
        };
        let (letter, id) = compose_as(message, sender, id)?;
        self.permit(grant, &letter, names_sender)?;
        self.throttle(grant)?;
        let limit = (self.setup.limits.call_timeout, &*self.setup.call_timeout_in_words());
        let sent = mailer.send(letter, limit).await;
        self.shared.usage.mail(sent.is_ok());
        match sent {
            Ok(()) => Ok(id),
            Err(UnsentLetter::Rejected(reason)) => Err(Error::Rejected(reason)),
            Err(UnsentLetter::NotSetUp(reason)) => Err(Error::NotGranted(self.notes.blocked(reason, None))),
            Err(UnsentLetter::Unavailable(reason)) => Err(Error::Unavailable(reason)),
        }
    }
}

impl MailView<'_> {
    /// Fails if the letter, as it would be sent, has a sender or a recipient that is not granted. The sender of the host is always granted.
    fn permit(&self, grant: &MailGrant, letter: &Letter, names_sender: bool) -> Result<(), Error> {
        let envelope = letter.envelope();
        let refused = |verb: &str, address: &str| {
            Err(Error::NotGranted(self.not_granted(
                &format!("mail: to send {verb} {address}"),
                &format!("mail-{verb}={address}"),
                &format!("mail.{verb} = [\"{address}\"]"),
                Some(self.id()),
            )))
        };
        if let Some(from) = envelope.from().filter(|from| names_sender && !grant.covers_sender(from.as_ref()))
        {
            return refused("from", from.as_ref());
        }
        match envelope.to().iter().find(|to| !grant.covers_recipient(to.as_ref())) {
            Some(to) => refused("to", to.as_ref()),
            None => {
                self.permitted();
                Ok(())
            }
        }
    }

    /// Fails if the plugin has sent as many messages as it may in a minute. Its ops wait then.
    fn throttle(&self, grant: &MailGrant) -> Result<(), Error> {
        let (plugin, count) = (&*self.setup.name, grant.per_minute());
        if self.shared_context().0.passes(Instant::now(), 1, count.into()) {
            return Ok(());
        }
        Err(Error::Unavailable(self.notes.blocked(
            format!(
                "the plugin {plugin} has sent {count} messages within a minute, as many as it may{}",
                PluginRemedy::MailRate { plugin },
            ),
            None,
        )))
    }
}
