//! Sends e-mail through the host's mail server. Available in `handle` and `tick` only.
//!
//! ```no_run
//! use gtm_plugin::mail::{self, Message};
//!
//! mail::send(&Message::to("ada@example.com").subject("Hello").text("Hello Ada"))?;
//! # Ok::<(), gtm_plugin::Error>(())
//! ```

use crate::Error;
use crate::bindings::gtm::plugin::mail as host;

/// A message. An address is `ada@example.com` or `Ada Lovelace <ada@example.com>`.
#[derive(Clone, Debug)]
#[must_use = "a message is sent by mail::send"]
pub struct Message(host::Message);

impl Message {
    /// Makes a message to one recipient. [`and_to`](Message::and_to), [`cc`](Message::cc) and [`bcc`](Message::bcc) add more.
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

    /// Adds a recipient.
    pub fn and_to(mut self, address: impl Into<String>) -> Self {
        self.0.to.push(address.into());
        self
    }

    /// Adds a recipient of a copy.
    pub fn cc(mut self, address: impl Into<String>) -> Self {
        self.0.cc.push(address.into());
        self
    }

    /// Adds a recipient of a copy whom the others do not see.
    pub fn bcc(mut self, address: impl Into<String>) -> Self {
        self.0.bcc.push(address.into());
        self
    }

    /// Sets the sender. By default, it is the default sender of the host.
    pub fn from(mut self, address: impl Into<String>) -> Self {
        self.0.from = Some(address.into());
        self
    }

    /// Sets the address for replies. By default, they go to the sender.
    pub fn reply_to(mut self, address: impl Into<String>) -> Self {
        self.0.reply_to = Some(address.into());
        self
    }

    /// Sets the subject.
    pub fn subject(mut self, subject: impl Into<String>) -> Self {
        self.0.subject = subject.into();
        self
    }

    /// Sets the body as plain text.
    pub fn text(mut self, text: impl Into<String>) -> Self {
        self.0.text = Some(text.into());
        self
    }

    /// Sets the body as HTML. If there is plain text, too, the program of the reader chooses.
    pub fn html(mut self, html: impl Into<String>) -> Self {
        self.0.html = Some(html.into());
        self
    }
}

/// Sends a message and returns its Message-ID, which is the same if the op is delivered again.
///
/// # Errors
/// See [`Error`]. [`Error::Rejected`]: the mail server refused the message for good (a 5xx reply). [`Error::Unavailable`]: it cannot be
/// reached, or asks for another attempt later (a 4xx reply).
pub fn send(message: &Message) -> Result<String, Error> {
    #[cfg(target_family = "wasm")]
    return host::send(&message.0).map_err(Error::from);
    #[cfg(not(target_family = "wasm"))]
    crate::testing::host::send(&message.0)
}
