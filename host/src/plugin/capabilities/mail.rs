//! `gtm:plugin/mail`: e-mail through the mail server that the host is set up with. The plugin sees
//! neither its address nor its password.

use std::time::Duration;

use lettre::message::{Mailbox, MultiPart, SinglePart};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message as Letter, Tokio1Executor};
use serde_json::json;
use wasmtime::component::{HasSelf, Linker};

use crate::plugin::bindings::mail::{self, Error, Host, Message};
use crate::plugin::state::State;

/// For the whole dialogue of one message; less than the time a handle has by default, so that the
/// plugin learns of it. (lettre's own time-out ends with the TCP connection.)
const SMTP_TIMEOUT: Duration = Duration::from_secs(20);
/// Replies for good that are about the connection, not about the message: the server takes no mail, or
/// wants another login. RFC 7504, RFC 4954.
const NOT_THE_MESSAGE: [u16; 5] = [521, 530, 534, 535, 538];
/// Where neither the plugin nor the host names a sender.
const SENDER: &str = "gtm-host@localhost";

/// A way to a mail server. Each message has a connection of its own: one that was given up in the
/// middle of a dialogue must not be used again, as its replies would be taken for those to the next message.
#[derive(Clone, Debug)]
pub struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    sender: Mailbox,
}

/// Why mail cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum MailerError {
    /// The URL is none.
    #[error(
        "the mail server's URL cannot be understood: {0}. It should look like smtp://localhost:1025, \
         smtps://USER:PASSWORD@HOST or smtp://USER:PASSWORD@HOST:587?tls=required"
    )]
    Url(lettre::transport::smtp::Error),
    /// The sender is none.
    #[error("the sender \"{address}\" is no e-mail address: {reason}")]
    Sender {
        /// What was given.
        address: String,
        /// What is wrong with it.
        reason: lettre::address::AddressError,
    },
}

impl Mailer {
    /// Sends through the server at `url`: `smtp://`, `smtps://`, or `smtp://…?tls=required`
    /// (STARTTLS). `sender` is for messages that name none.
    ///
    /// # Errors
    /// See [`MailerError`]. The server is not asked.
    pub fn new(url: &str, sender: Option<&str>) -> Result<Self, MailerError> {
        let address = sender.unwrap_or(SENDER);
        let sender =
            address.parse().map_err(|reason| MailerError::Sender { address: address.to_owned(), reason })?;
        let transport =
            AsyncSmtpTransport::<Tokio1Executor>::from_url(url).map_err(MailerError::Url)?.build();
        Ok(Self { transport, sender })
    }

    /// Asks the mail server whether it is there.
    ///
    /// # Errors
    /// Why it is not, in words.
    pub async fn check(&self) -> Result<(), String> {
        match tokio::time::timeout(SMTP_TIMEOUT, self.transport.test_connection()).await {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => Err("it does not answer as a mail server does".to_owned()),
            Ok(Err(error)) => Err(words(&error)),
            Err(_) => Err(timed_out()),
        }
    }

    async fn send(&self, letter: Letter) -> Result<(), Error> {
        match tokio::time::timeout(SMTP_TIMEOUT, self.transport.send(letter)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) if refuses_message(&error) => Err(Error::Rejected(words(&error))),
            Ok(Err(error)) => Err(Error::Unavailable(words(&error))),
            Err(_) => Err(Error::Unavailable(timed_out())),
        }
    }
}

/// For `handle`.
pub(in crate::plugin) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    mail::add_to_linker::<State, HasSelf<State>>(linker, |state| state)
}

impl Host for State {
    async fn send(&mut self, message: Message) -> Result<String, Error> {
        if !self.setup.grants.mail {
            return Err(Error::NotGranted(self.not_granted("mail", "mail", "mail = true")));
        }
        if self.op.is_empty() {
            return Err(Error::NotGranted("mail can be sent in handle only".to_owned()));
        }
        // Counted whether it is sent or not, so that each mail has the same number at each attempt.
        let number = self.mails;
        self.mails += 1;
        let id = |from: &Mailbox| message_id(&self.op, number, &self.setup.name, from);
        let services = &self.shared.services;
        if let Some(recorder) = &services.recorder {
            let sender = services.mailer.as_ref().map(|mailer| &mailer.sender);
            let (letter, id) = compose_as(message, sender, id)?;
            recorder.record(self.effect("mail", json!({ "messageId": id, "text": text_of(&letter) })));
            return Ok(id);
        }
        let Some(mailer) = &services.mailer else {
            return Err(Error::NotGranted(
                "the host has no mail server: start it with --smtp URL, or set mail.url in gtm.toml"
                    .to_owned(),
            ));
        };
        let (letter, id) = compose_as(message, Some(&mailer.sender), id)?;
        let sent = mailer.send(letter).await;
        self.shared.usage.mail(sent.is_ok());
        sent?;
        Ok(id)
    }
}

/// The same for the same op, plugin and number of the mail among those for the op.
fn message_id(op: &str, number: u32, plugin: &str, from: &Mailbox) -> String {
    let plugin =
        plugin.replace(|sign: char| !(sign.is_ascii_alphanumeric() || sign == '_' || sign == '-'), "-");
    format!("<{op}.{number}.{plugin}@{}>", from.email.domain())
}

/// The letter, and its id; by `sender`, where the message names none.
fn compose_as(
    message: Message,
    sender: Option<&Mailbox>,
    id: impl FnOnce(&Mailbox) -> String,
) -> Result<(Letter, String), Error> {
    let from = match (&message.from, sender) {
        (Some(from), _) => mailbox(from)?,
        (None, Some(sender)) => sender.clone(),
        (None, None) => mailbox(SENDER)?,
    };
    let id = id(&from);
    Ok((compose(message, from, id.clone())?, id))
}

/// As it would be sent.
fn text_of(letter: &Letter) -> String {
    String::from_utf8_lossy(&letter.formatted()).into_owned()
}

fn compose(message: Message, from: Mailbox, id: String) -> Result<Letter, Error> {
    let mut letter = Letter::builder().message_id(Some(id)).from(from).subject(message.subject);
    for to in &message.to {
        letter = letter.to(mailbox(to)?);
    }
    for cc in &message.cc {
        letter = letter.cc(mailbox(cc)?);
    }
    for bcc in &message.bcc {
        letter = letter.bcc(mailbox(bcc)?);
    }
    if let Some(reply_to) = &message.reply_to {
        letter = letter.reply_to(mailbox(reply_to)?);
    }
    let letter = match (message.text, message.html) {
        (Some(text), Some(html)) => letter.multipart(MultiPart::alternative_plain_html(text, html)),
        (Some(text), None) => letter.singlepart(SinglePart::plain(text)),
        (None, Some(html)) => letter.singlepart(SinglePart::html(html)),
        (None, None) => return Err(Error::Invalid("the message has neither text nor html".to_owned())),
    };
    letter.map_err(|error| Error::Invalid(format!("the message cannot be sent: {error}")))
}

fn mailbox(address: &str) -> Result<Mailbox, Error> {
    address.parse().map_err(|error| Error::Invalid(format!("\"{address}\" is no e-mail address: {error}")))
}

fn refuses_message(error: &lettre::transport::smtp::Error) -> bool {
    error.is_permanent() && !error.status().is_some_and(|code| NOT_THE_MESSAGE.contains(&code.into()))
}

fn timed_out() -> String {
    format!("the mail server did not finish its part within {} s", SMTP_TIMEOUT.as_secs())
}

/// An SMTP error with its causes, of which the last says most.
fn words(error: &lettre::transport::smtp::Error) -> String {
    let mut words = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        let more = error.to_string();
        if !words.contains(&more) {
            words = format!("{words}: {more}");
        }
        cause = error.source();
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(to: &str) -> Message {
        Message {
            from: None,
            to: vec![to.to_owned()],
            cc: vec![],
            bcc: vec![],
            reply_to: None,
            subject: "Grüße".to_owned(),
            text: Some("Hello".to_owned()),
            html: None,
        }
    }

    #[test]
    fn a_message_id_is_made_of_op_number_and_plugin() {
        let from: Mailbox = "Shop <noreply@shop.example>".parse().unwrap();
        assert_eq!(message_id("17.3.0", 1, "my plugin", &from), "<17.3.0.1.my-plugin@shop.example>");
    }

    #[test]
    fn what_cannot_be_sent_is_invalid() {
        let from: Mailbox = SENDER.parse().unwrap();
        assert!(matches!(compose(message("nobody"), from.clone(), "<1@x>".into()), Err(Error::Invalid(_))));
        let empty = Message { text: None, ..message("ada@example.com") };
        assert!(matches!(compose(empty, from.clone(), "<1@x>".into()), Err(Error::Invalid(_))));
        let nobody = Message { to: vec![], ..message("") };
        assert!(matches!(compose(nobody, from, "<1@x>".into()), Err(Error::Invalid(_))));
    }

    #[test]
    fn a_letter_carries_its_id_and_encodes_its_subject() {
        let letter =
            compose(message("Ada <ada@example.com>"), SENDER.parse().unwrap(), "<1@x>".into()).unwrap();
        let text = String::from_utf8(letter.formatted()).unwrap();
        assert!(text.contains("Message-ID: <1@x>\r\n"), "{text}");
        assert!(text.contains("=?utf-8?"), "{text}");
    }
}
