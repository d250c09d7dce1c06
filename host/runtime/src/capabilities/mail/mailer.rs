//! The mail server that the host is set up with.

use std::time::Duration;

use lettre::message::Mailbox;
use lettre::{Address, AsyncSmtpTransport, AsyncTransport, Message as Letter, Tokio1Executor};

use super::letter::{DEFAULT_SENDER, for_any_server, unsendable_without_utf8};
use crate::secret::{Password, server};

/// How long the first look at the server may take. (lettre's own time-out ends with the TCP connection.)
const CHECK_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a server that has just refused a letter is asked whether it takes any.
const RECHECK_TIMEOUT: Duration = Duration::from_secs(5);
/// Replies for good that are about the connection, not about the message: the server takes no mail, or
/// wants another login. RFC 7504, RFC 4954.
const NOT_THE_MESSAGE: [u16; 5] = [521, 530, 534, 535, 538];

/// A way to a mail server. Each message has a connection of its own: one that was given up in the
/// middle of a dialogue must not be used again, as its replies would be taken for those to the next message.
#[derive(Clone, Debug)]
pub struct Mailer {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    pub(super) sender: Mailbox,
    /// The URL, without user and password.
    server: String,
    /// What a server may repeat in its replies, and nobody is to see.
    password: Password,
}

/// Why a letter was not sent.
#[derive(Debug)]
pub(super) enum Unsent {
    /// The server will never take this letter.
    Rejected(String),
    /// It takes none from this host, as the host is set up.
    NotSetUp(String),
    /// It may take it later.
    Unavailable(String),
}

/// Why mail cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum MailerError {
    /// The URL is none.
    #[error(
        "the mail server's URL cannot be understood: {0}. It should look like smtp://localhost:1025, \
         smtps://USER:PASSWORD@HOST or smtp://USER:PASSWORD@HOST:587?tls=required"
    )]
    Url(String),
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

    /// Asks the mail server whether it is there.
    ///
    /// # Errors
    /// Why it is not, in words.
    pub async fn check(&self) -> Result<(), String> {
        let server = &self.server;
        match tokio::time::timeout(CHECK_TIMEOUT, self.transport.test_connection()).await {
            Ok(Ok(true)) => Ok(()),
            Ok(Ok(false)) => Err(format!("{server} does not answer as a mail server does")),
            Ok(Err(error)) => Err(self.words(&error)),
            Err(_) => Err(format!("{server} did not answer within {} s", CHECK_TIMEOUT.as_secs())),
        }
    }

    /// `limit`: for the whole dialogue, in words too.
    pub(super) async fn send(&self, letter: Letter, limit: (Duration, &str)) -> Result<(), Unsent> {
        let (time, set_by) = limit;
        let unsendable = unsendable_without_utf8(&letter);
        match tokio::time::timeout(time, self.transport.send(letter)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) if error.is_permanent() && self.takes_none().await => {
                Err(self.not_set_up(&self.words(&error)))
            }
            Ok(Err(error)) => Err(self.unsent(&error, unsendable)),
            Err(_) => Err(Unsent::Unavailable(format!(
                "the mail server {} did not take the message within {set_by}",
                self.server
            ))),
        }
    }

    /// Returns whether the server refuses every connection for good, whatever the letter.
    async fn takes_none(&self) -> bool {
        let asked = tokio::time::timeout(RECHECK_TIMEOUT, self.transport.test_connection()).await;
        matches!(asked, Ok(Err(error)) if error.is_permanent())
    }

    /// Returns what an error means. `unsendable`: an address that only servers with SMTPUTF8 take.
    fn unsent(&self, error: &lettre::transport::smtp::Error, unsendable: Option<Address>) -> Unsent {
        let words = self.words(error);
        if error.is_permanent() {
            let is_of_connection = error.status().is_some_and(|code| NOT_THE_MESSAGE.contains(&code.into()));
            return if is_of_connection { self.not_set_up(&words) } else { Unsent::Rejected(words) };
        }
        if !error.is_client() {
            return Unsent::Unavailable(words);
        }
        // lettre refuses by itself what the server's greeting rules out, and gives no code to tell by.
        match unsendable {
            Some(address) if words.contains("SMTPUTF8") => Unsent::Rejected(format!(
                "\"{address}\" cannot be sent to: the mail server {} takes only ASCII before the @ (it offers no SMTPUTF8)",
                self.server
            )),
            _ if words.contains("8BITMIME") => Unsent::Rejected(words),
            // It wants TLS or a login in another way than the host's URL says.
            _ => self.not_set_up(&words),
        }
    }

    fn not_set_up(&self, words: &str) -> Unsent {
        Unsent::NotSetUp(format!(
            "{words}. Correct the URL of the mail server (--mail-url, or mail.url in gtm.toml)"
        ))
    }

    /// Returns an SMTP error with its server and its causes, of which the last says most.
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
