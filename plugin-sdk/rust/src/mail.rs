//! E-mail, through the mail server that the host is set up with.
//!
//! ```no_run
//! use gtm_plugin::mail::{self, Message};
//!
//! mail::send(&Message::to("ada@example.com").subject("Hello").text("Hello Ada"))?;
//! # Ok::<(), mail::Error>(())
//! ```

use crate::bindings::gtm::plugin::mail as host;

/// A message. An address is `ada@example.com` or `Ada Lovelace <ada@example.com>`.
#[derive(Clone, Debug)]
#[must_use = "a message is sent by mail::send"]
pub struct Message(host::Message);

impl Message {
    /// A message to one recipient; [`and_to`](Message::and_to), [`cc`](Message::cc) and
    /// [`bcc`](Message::bcc) add more.
    pub fn to(address: impl Into<String>) -> Self {
        Self(host::Message {
            from: None,
            to: vec![address.into()],
            cc: Vec::new(),
            bcc: Vec::new(),
            reply_to: None,
            subject: String::new(),
            text: None,
            html: None,
        })
    }

    /// One more recipient.
    pub fn and_to(mut self, address: impl Into<String>) -> Self {
        self.0.to.push(address.into());
        self
    }

    /// A recipient of a copy.
    pub fn cc(mut self, address: impl Into<String>) -> Self {
        self.0.cc.push(address.into());
        self
    }

    /// A recipient of a copy that the others do not see.
    pub fn bcc(mut self, address: impl Into<String>) -> Self {
        self.0.bcc.push(address.into());
        self
    }

    /// The sender. Without it, the one that the host is set up with.
    pub fn from(mut self, address: impl Into<String>) -> Self {
        self.0.from = Some(address.into());
        self
    }

    /// Where answers go, if not to the sender.
    pub fn reply_to(mut self, address: impl Into<String>) -> Self {
        self.0.reply_to = Some(address.into());
        self
    }

    /// The subject.
    pub fn subject(mut self, subject: impl Into<String>) -> Self {
        self.0.subject = subject.into();
        self
    }

    /// The body as plain text.
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.0.text = Some(text.into());
        self
    }

    /// The body as HTML; beside a plain text, the reader's program chooses.
    pub fn html(mut self, html: impl Into<String>) -> Self {
        self.0.html = Some(html.into());
        self
    }
}

/// Sends a message and gives its Message-ID, which is the same when the op is delivered again.
///
/// # Errors
/// See [`Error`]. With `?` in [`handle`](crate::Plugin::handle), the first two variants are tried
/// again and the last two are not.
pub fn send(message: &Message) -> Result<String, Error> {
    #[cfg(target_family = "wasm")]
    let sent = host::send(&message.0);
    #[cfg(not(target_family = "wasm"))]
    let sent = crate::testing::host::send(&message.0);
    sent.map_err(Error::from)
}

/// Why a message was not sent.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The mail server cannot be reached or asks to be tried again later (a 4xx reply).
    #[error("{0}")]
    Unavailable(String),
    /// The host has no mail server, or does not let this plugin use it.
    #[error("{0}")]
    NotGranted(String),
    /// The message cannot be sent as it is: an address that is none, no recipient, no body.
    #[error("{0}")]
    Invalid(String),
    /// The mail server refused the message for good (a 5xx reply).
    #[error("{0}")]
    Rejected(String),
}

impl From<host::Error> for Error {
    fn from(error: host::Error) -> Self {
        match error {
            host::Error::NotGranted(reason) => Self::NotGranted(reason),
            host::Error::Invalid(reason) => Self::Invalid(reason),
            host::Error::Rejected(reason) => Self::Rejected(reason),
            host::Error::Unavailable(reason) => Self::Unavailable(reason),
        }
    }
}
