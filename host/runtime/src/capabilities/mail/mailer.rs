//! The mail server of the host.

use std::time::Duration;

use lettre::message::Mailbox;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Message as Letter, Tokio1Executor};

use super::letter::{DEFAULT_SENDER, for_any_server, unsendable_without_utf8};
use crate::remedy::PluginRemedy;
use crate::secret::{Password, server};

/// The time limit of the first check of the server. (lettre's own time-out ends with the TCP connection.)
const CHECK_TIMEOUT: Duration = Duration::from_secs(20);
/// The time limit of the question whether a server that has just refused a letter accepts any.
const RECHECK_TIMEOUT: Duration = Duration::from_secs(5);
/// Permanent replies about the connection, not about the message: the server accepts no mail, or requires another login (RFC 7504, RFC
/// 4954).
const CONNECTION_REPLIES: [u16; 5] = [521, 530, 534, 535, 538];

/// A client of a mail server. Each message has its own connection: after an abandoned dialogue, replies on the same connection would be
/// taken for those to the next message.
#[derive(Clone, Debug)]
pub struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    pub(super) sender: Mailbox,
    /// The URL, without user and password.
    server: String,
    /// The password, which a server may repeat in its replies, and which must not be shown.
    password: Password,
}

/// Why a letter was not sent.
#[derive(Debug)]
pub(super) enum UnsentLetter {
    /// The server will never accept this letter.
    Rejected(String),
    /// The server accepts no letter with the host's settings.
    NotSetUp(String),
    /// The server may accept the letter later.
    Unavailable(String),
}

/// Why the settings of mail are not valid.
#[derive(Debug, thiserror::Error)]
pub enum MailerError {
    /// The URL is not valid.
    #[error(
        "the mail server's URL cannot be understood: {0}. help: write it like smtp://localhost:1025, \
         smtps://USER:PASSWORD@HOST or smtp://USER:PASSWORD@HOST:587?tls=required"
    )]
    Url(String),
    /// The sender is not an address.
    #[error("the sender \"{address}\" is not an e-mail address: {reason}")]
    Sender {
        /// The setting.
        address: String,
        /// Why it is not valid.
        reason: lettre::address::AddressError,
    },
}

impl Mailer {
    /// Makes a client of the server at `url`: `smtp://`, `smtps://`, or `smtp://…?tls=required` (STARTTLS). `sender` is the sender of
    /// messages that name none. It does not connect.
    ///
    /// # Errors
    /// See [`MailerError`].
    pub fn new(url: &str, sender: Option<&str>) -> Result<Self, MailerError> {
        let address = sender.unwrap_or(DEFAULT_SENDER);
        let sender =
            address.parse().map_err(|reason| MailerError::Sender { address: address.to_owned(), reason })?;
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url)
            .map_err(|error| MailerError::Url(cause(&error)))?
            .build();
        Ok(Self {
            transport,
            sender: for_any_server(sender),
            server: server(url),
            password: Password::of_url(url),
        })
    }

    /// Checks that the mail server accepts connections.
    ///
    /// # Errors
    /// The sentence tells why it does not.
    pub async fn check(&self) -> Result<(), String> {
        let server = &self.server;
        match tokio::time::timeout(CHECK_TIMEOUT, self.transport.test_connection()).await {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => Err(format!("{server} does not reply like a mail server")),
            Ok(Err(error)) => Err(self.words(&error)),
            Err(_) => Err(format!("{server} did not answer within {} s", CHECK_TIMEOUT.as_secs())),
        }
    }

    /// Sends a letter. `limit`: the time limit of the whole dialogue, and the same in words.
    pub(super) async fn send(&self, letter: Letter, limit: (Duration, &str)) -> Result<(), UnsentLetter> {
        let (time, set_by) = limit;
        let unsendable = unsendable_without_utf8(&letter);
        match tokio::time::timeout(time, self.transport.send(letter)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) if error.is_permanent() && self.takes_none().await => {
                Err(self.not_set_up(&self.words(&error)))
            }
            Ok(Err(error)) => Err(self.unsent(&error, unsendable)),
            Err(_) => Err(UnsentLetter::Unavailable(format!(
                "the mail server {} did not accept the message within {set_by}",
                self.server
            ))),
        }
    }

    /// Returns whether the server permanently refuses every connection.
    async fn takes_none(&self) -> bool {
        let asked = tokio::time::timeout(RECHECK_TIMEOUT, self.transport.test_connection()).await;
        matches!(asked, Ok(Err(error)) if error.is_permanent())
    }

    /// Converts an error. `unsendable`: an address that only servers with SMTPUTF8 accept.
    fn unsent(&self, error: &lettre::transport::smtp::Error, unsendable: Option<Address>) -> UnsentLetter {
        let words = self.words(error);
        if error.is_permanent() {
            let is_of_connection =
                error.status().is_some_and(|code| CONNECTION_REPLIES.contains(&code.into()));
            return if is_of_connection { self.not_set_up(&words) } else { UnsentLetter::Rejected(words) };
        }
        if !error.is_client() {
            return UnsentLetter::Unavailable(words);
        }
        // lettre itself refuses letters that the server's greeting excludes, without a code.
        match unsendable {
            Some(address) if words.contains("SMTPUTF8") => UnsentLetter::Rejected(format!(
                "\"{address}\" cannot be sent to: the mail server {} accepts only ASCII before the @ (it does not support SMTPUTF8)",
                self.server
            )),
            _ if words.contains("8BITMIME") => UnsentLetter::Rejected(words),
            // The server requires TLS or a login in another way than the host's URL says.
            _ => self.not_set_up(&words),
        }
    }

    fn not_set_up(&self, words: &str) -> UnsentLetter {
        UnsentLetter::NotSetUp(format!("{words}{}", PluginRemedy::MailServerUrl))
    }

    /// Returns an SMTP error with its server and its causes. The last cause says most.
    fn words(&self, error: &lettre::transport::smtp::Error) -> String {
        let mut words = format!("the mail server {}: {error}", self.server);
        let mut cause = std::error::Error::source(error);
        while let Some(error) = cause {
            let more = error.to_string();
            if !words.contains(&more) {
                words = format!("{words}: {more}");
            }
            cause = error.source();
        }
        self.password.hide(&words)
    }
}

/// Returns the last cause of an error, which says most.
fn cause(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(cause) = last.source() {
        last = cause;
    }
    last.to_string()
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    use tokio::net::TcpListener;

    use super::*;

    /// Starts a server that refuses each login, and repeats it.
    async fn repeating() -> u16 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            loop {
                let (read, mut write) = listener.accept().await.unwrap().0.into_split();
                let mut lines = BufReader::new(read).lines();
                write.write_all(b"220 here\r\n").await.unwrap();
                while let Ok(Some(line)) = lines.next_line().await {
                    let answer = match line.split(' ').next() {
                        Some("EHLO") => "250-here\r\n250 AUTH PLAIN\r\n".to_owned(),
                        _ => format!("535 not with {line} as s3cret-word\r\n"),
                    };
                    if write.write_all(answer.as_bytes()).await.is_err() {
                        break;
                    }
                }
            }
        });
        port
    }

    #[tokio::test]
    async fn a_server_that_repeats_the_password_does_not_show_it() {
        let port = repeating().await;
        let mailer = Mailer::new(&format!("smtp://ada:s3cret-word@127.0.0.1:{port}"), None).unwrap();
        let error = mailer.check().await.unwrap_err();
        assert!(error.contains("not with AUTH PLAIN … as …"), "{error}");
    }
}
