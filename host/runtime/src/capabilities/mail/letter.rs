//! Composes a letter from a plugin's message: limited in size, and without anything that two servers could read differently.

use lettre::message::header::{Bcc, Cc, Header, HeaderValue, Headers, To};
use lettre::message::{Mailbox, Mailboxes, MessageBuilder, MultiPart, SinglePart};
use lettre::{Address, Message as Letter};

use super::contract::{Error, Message};

/// The sender if neither the plugin nor the host names one.
pub(super) const DEFAULT_SENDER: &str = "gtm-host@localhost";
/// Recipients of one message: as many as every mail server accepts (RFC 5321).
const MAX_RECIPIENTS: usize = 100;
/// Bytes of the text and the HTML of a message together.
const MAX_TEXT_BYTES: usize = 1 << 20;
/// Bytes of the subject and of each address: as many as a line of a letter may have.
const MAX_LINE_BYTES: usize = 998;

/// Returns the id of a message: the same for the same op, plugin, and number of the mail among those for the op.
pub(super) fn message_id(op: &str, number: u32, plugin: &str, from: &Mailbox) -> String {
    let plugin =
        plugin.replace(|sign: char| !(sign.is_ascii_alphanumeric() || sign == '_' || sign == '-'), "-");
    format!("<{op}.{number}.{plugin}@{}>", from.email.domain())
}

/// Returns the letter and its id. `sender`: that of a message without one.
pub(super) fn compose_as(
    message: Message,
    sender: Option<&Mailbox>,
    id: impl FnOnce(&Mailbox) -> String,
) -> Result<(Letter, String), Error> {
    check(&message)?;
    let from = match (&message.from, sender) {
        (Some(from), _) => mailbox(from)?,
        (None, Some(sender)) => sender.clone(),
        (None, None) => mailbox(DEFAULT_SENDER)?,
    };
    let id = id(&from);
    Ok((compose(message, from, id.clone())?, id))
}

/// Returns the text of a letter as it would be sent.
pub(super) fn text_of(letter: &Letter) -> String {
    String::from_utf8_lossy(&letter.formatted()).into_owned()
}

/// Fails if a message is too large to be composed within a few milliseconds.
fn check(message: &Message) -> Result<(), Error> {
    let Message { from, to, cc, bcc, reply_to, subject, text, html } = message;
    let recipients = to.len() + cc.len() + bcc.len();
    if recipients > MAX_RECIPIENTS {
        return Err(Error::Invalid(format!(
            "a message has at most {MAX_RECIPIENTS} recipients, and this one has {recipients}. help: send several messages"
        )));
    }
    let bytes = [text, html].into_iter().flatten().map(String::len).sum::<usize>();
    if bytes > MAX_TEXT_BYTES {
        return Err(Error::Invalid(format!(
            "text and html of a message have at most {} MiB together, and these have {bytes} bytes",
            MAX_TEXT_BYTES >> 20
        )));
    }
    let addresses = [to, cc, bcc].into_iter().flatten().chain(from).chain(reply_to);
    if addresses.chain([subject]).any(|line| line.len() > MAX_LINE_BYTES) {
        return Err(Error::Invalid(format!(
            "the subject and each address of a message have at most {MAX_LINE_BYTES} bytes"
        )));
    }
    Ok(())
}

fn compose(message: Message, from: Mailbox, id: String) -> Result<Letter, Error> {
    let mut letter = Letter::builder().message_id(Some(id)).from(from).subject(message.subject);
    // Each header is set once: adding mailboxes one by one would parse all of them again each time.
    let headers = [folded::<To>(&message.to)?, folded::<Cc>(&message.cc)?, folded::<Bcc>(&message.bcc)?];
    letter = headers.into_iter().flatten().fold(letter, MessageBuilder::raw_header);
    if let Some(reply_to) = &message.reply_to {
        letter = letter.reply_to(mailbox(reply_to)?);
    }
    let (text, html) = (message.text.as_deref().map(with_crlf), message.html.as_deref().map(with_crlf));
    let letter = match (text, html) {
        (Some(text), Some(html)) => letter.multipart(MultiPart::alternative_plain_html(text, html)),
        (Some(text), None) => letter.singlepart(SinglePart::plain(text)),
        (None, Some(html)) => letter.singlepart(SinglePart::html(html)),
        (None, None) => return Err(Error::Invalid("the message has neither text nor html".to_owned())),
    };
    letter.map_err(|error| Error::Invalid(format!("the message cannot be sent: {error}")))
}

/// Returns the text with CRLF at the end of each line. Servers differ about a CR or an LF alone.
fn with_crlf(text: &str) -> String {
    text.replace("\r\n", "\n").replace('\r', "\n").replace('\n', "\r\n")
}

/// Returns a header with these addresses, each on a line of its own: lettre writes all on one line, and a line may have 998 bytes.
fn folded<H: Header + From<Mailboxes>>(addresses: &[String]) -> Result<Option<HeaderValue>, Error> {
    if addresses.is_empty() {
        return Ok(None);
    }
    let all = addresses.iter().map(|address| mailbox(address)).collect::<Result<Vec<_>, _>>()?;
    let start = format!("{}: ", H::name());
    let encoded = all.iter().map(|one| {
        let mut header = Headers::new();
        header.set(H::from(one.clone().into()));
        let header = header.to_string();
        header.strip_prefix(&start).unwrap_or(&header).trim_end().to_owned()
    });
    let encoded = encoded.collect::<Vec<_>>().join(",\r\n ");
    let all: Mailboxes = all.into_iter().collect();
    Ok(Some(HeaderValue::dangerous_new_pre_encoded(H::name(), all.to_string(), encoded)))
}

fn mailbox(address: &str) -> Result<Mailbox, Error> {
    // In a name, control characters could forge a header, and lettre panics on some.
    if address.contains(char::is_control) {
        return Err(Error::Invalid("an address may not contain control characters".to_owned()));
    }
    let parsed = address.parse().map(for_any_server);
    parsed.map_err(|error| Error::Invalid(format!("\"{address}\" is not an e-mail address: {error}")))
}

/// Returns the mailbox with its domain in ASCII, which every server accepts: `müller.de` becomes `xn--mller-kva.de`. The local part has
/// no such form.
pub(super) fn for_any_server(mailbox: Mailbox) -> Mailbox {
    let address = &mailbox.email;
    if address.domain().is_ascii() {
        return mailbox;
    }
    let ascii = idna::domain_to_ascii(address.domain()).ok();
    match ascii.and_then(|domain| Address::new(address.user(), domain).ok()) {
        Some(email) => Mailbox { name: mailbox.name, email },
        None => mailbox,
    }
}

/// Returns the first address of a letter that only a server with SMTPUTF8 accepts (RFC 6531).
pub(super) fn unsendable_without_utf8(letter: &Letter) -> Option<Address> {
    let envelope = letter.envelope();
    envelope.from().into_iter().chain(envelope.to()).find(|address| !address.user().is_ascii()).cloned()
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
    fn an_unsendable_message_is_invalid() {
        let from: Mailbox = DEFAULT_SENDER.parse().unwrap();
        assert!(matches!(compose(message("nobody"), from.clone(), "<1@x>".into()), Err(Error::Invalid(_))));
        let empty = Message { text: None, ..message("ada@example.com") };
        assert!(matches!(compose(empty, from.clone(), "<1@x>".into()), Err(Error::Invalid(_))));
        for odd in ["\"a\\\rb\" <a@example.com>", "a\r\nBcc: b <a@example.com>", "\"a\\\0\" <a@example.com>"]
        {
            let said = compose(message(odd), from.clone(), "<1@x>".into());
            assert!(
                matches!(said, Err(Error::Invalid(said)) if said.contains("control characters")),
                "{odd:?}"
            );
        }
        let nobody = Message { to: vec![], ..message("") };
        assert!(matches!(compose(nobody, from, "<1@x>".into()), Err(Error::Invalid(_))));
    }

    #[test]
    fn a_domain_is_written_in_ascii_and_a_local_part_as_it_is() {
        for (given, to) in [
            ("Zoë <zoe@müller.de>", "zoe@xn--mller-kva.de"),
            ("zoe@BÜCHER.example", "zoe@xn--bcher-kva.example"),
            ("zoë@example.com", "zoë@example.com"),
        ] {
            assert_eq!(mailbox(given).unwrap().email.to_string(), to);
            let letter = compose(message(given), DEFAULT_SENDER.parse().unwrap(), "<1@x>".into()).unwrap();
            assert_eq!(letter.envelope().to()[0].to_string(), to);
            assert_eq!(unsendable_without_utf8(&letter).is_some(), to.starts_with("zoë"));
        }
    }

    #[test]
    fn a_letter_carries_its_id_and_encodes_its_subject() {
        let letter =
            compose(message("Ada <ada@example.com>"), DEFAULT_SENDER.parse().unwrap(), "<1@x>".into())
                .unwrap();
        let text = String::from_utf8(letter.formatted()).unwrap();
        assert!(text.contains("Message-ID: <1@x>\r\n"), "{text}");
        assert!(text.contains("=?utf-8?"), "{text}");
    }

    #[test]
    fn a_message_has_at_most_100_recipients_and_1_mib_of_text() {
        let many = |count: usize| (0..count).map(|n| format!("a{n}@example.com")).collect::<Vec<_>>();
        let compose = |message| compose_as(message, None, |_| "<1@x>".to_owned()).map(|(letter, _)| letter);
        let all = Message { to: many(60), cc: many(30), bcc: many(10), ..message("") };
        let letter = compose(all.clone()).unwrap();
        assert_eq!(letter.envelope().to().len(), 100);
        let named = vec!["Ada <ada@example.com>".to_owned(), "Zoë <zoe@müller.de>".to_owned()];
        let text = text_of(&compose(Message { to: named, ..message("") }).unwrap());
        let to = "\r\nTo: Ada <ada@example.com>,\r\n =?utf-8?b?Wm/Dqw==?= <zoe@xn--mller-kva.de>\r\n";
        assert!(text.contains(to), "{text}");
        let text = text_of(&letter);
        assert!(text.contains("a59@example.com") && !text.contains("Bcc"), "{text}");
        assert!(text.lines().all(|line| line.len() <= 998), "{text}");
        let large = |bytes| Message { text: Some("x".repeat(bytes)), ..message("ada@example.com") };
        assert!(compose(large(MAX_TEXT_BYTES)).is_ok());
        for (message, said) in [
            (Message { bcc: many(11), ..all }, "at most 100 recipients, and this one has 101"),
            (Message { to: many(6000), ..message("") }, "at most 100 recipients, and this one has 6000"),
            (large(MAX_TEXT_BYTES + 1), "at most 1 MiB together, and these have 1048577 bytes"),
            (Message { html: Some("x".to_owned()), ..large(MAX_TEXT_BYTES) }, "at most 1 MiB"),
            (message(&format!("{}@example.com", "x".repeat(998))), "at most 998 bytes"),
            (Message { subject: "x".repeat(999), ..message("ada@example.com") }, "at most 998 bytes"),
        ] {
            assert!(matches!(compose(message), Err(Error::Invalid(is)) if is.contains(said)), "{said}");
        }
    }

    #[test]
    fn each_line_ends_with_crlf() {
        let long = "x".repeat(2000);
        for start in ["plain", "Grüße", "\0\u{1}äöüß€", &long] {
            let text = format!("{start}\ra\nb\r\nc\r\r\n.\r");
            assert_eq!(with_crlf(&text), format!("{start}\r\na\r\nb\r\nc\r\n\r\n.\r\n"));
            let odd = Message {
                text: Some(text.clone()),
                html: Some(text),
                subject: "a\rBcc: eve@example.com\r\nb".to_owned(),
                ..message("ada@example.com")
            };
            let letter = compose(odd, DEFAULT_SENDER.parse().unwrap(), "<1@x>".into()).unwrap();
            let sent = text_of(&letter).replace("\r\n", "");
            assert!(!sent.contains(['\r', '\n']), "{sent}");
            assert_eq!(letter.envelope().to().len(), 1);
        }
    }
}
