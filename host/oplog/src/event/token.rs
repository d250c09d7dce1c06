//! Positions in a change stream.

use std::fmt;
use std::str::FromStr;

use bson::{Bson, Document, RawBsonRef, RawDocument, RawDocumentBuf, rawdoc};

use crate::op::Timestamp;

/// A resume token: the server's description of a position in a change stream.
///
/// It is displayed as the hexadecimal `_data` if that is its only field, and otherwise as relaxed Extended JSON. Both
/// forms can be parsed.
///
/// ```
/// use gtm_oplog::ResumeToken;
///
/// let token: ResumeToken = "82635019A0000000012B0429296E1404".parse()?;
/// assert_eq!(token.to_string(), "82635019A0000000012B0429296E1404");
/// assert_eq!(token.cluster_time().map(|time| time.increment), Some(1));
/// # Ok::<(), gtm_oplog::event::ParseResumeTokenError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct ResumeToken(RawDocumentBuf);

/// The error of a text that is not a resume token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a resume token: the hexadecimal _data of one, or the document {{\"_data\": …}} as JSON")]
pub struct ParseResumeTokenError;

impl ResumeToken {
    /// Creates a token from a document, such as the `_id` of an event.
    pub fn new(token: &RawDocument) -> Self {
        Self(token.to_owned())
    }

    /// Returns the token as the server wrote it.
    pub fn as_document(&self) -> &RawDocument {
        &self.0
    }

    /// Returns the cluster time of the position, which mongod writes into its tokens: the stream has returned
    /// everything before it. None: another server wrote the token.
    pub fn cluster_time(&self) -> Option<Timestamp> {
        cluster_time(&mut bytes(self.0.get_str("_data").ok()?))
    }

    /// Returns the decoded token. None: it is not valid BSON, or contains documents, which could nest without end.
    fn to_flat_document(&self) -> Option<Document> {
        let mut flat = Document::new();
        for element in self.0.iter_elements() {
            let element = element.ok()?;
            let value = match element.value().ok()? {
                RawBsonRef::Document(_) | RawBsonRef::Array(_) | RawBsonRef::JavaScriptCodeWithScope(_) => {
                    None
                }
                value => Bson::try_from(value).ok(),
            };
            flat.insert(element.key().as_str(), value?);
        }
        Some(flat)
    }
}

impl fmt::Display for ResumeToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let (1, Ok(data)) = (self.0.iter_elements().count(), self.0.get_str("_data")) {
            return f.write_str(data);
        }
        match self.to_flat_document() {
            Some(document) => Bson::Document(document).into_relaxed_extjson().fmt(f),
            // No server writes such a token, and it cannot be parsed.
            None => write!(f, "{:?}", self.0),
        }
    }
}

impl FromStr for ResumeToken {
    type Err = ParseResumeTokenError;

    fn from_str(text: &str) -> Result<Self, ParseResumeTokenError> {
        if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Ok(Self(rawdoc! { "_data": text }));
        }
        let json: serde_json::Value = serde_json::from_str(text).map_err(|_| ParseResumeTokenError)?;
        let token = Bson::try_from(json).map_err(|_| ParseResumeTokenError)?;
        let token =
            token.as_document().filter(|token| token.contains_key("_data")).ok_or(ParseResumeTokenError)?;
        RawDocumentBuf::try_from(token).map(Self).map_err(|_| ParseResumeTokenError)
    }
}

/// Returns the place of an event in its transaction, which mongod writes into its tokens; other servers write other
/// tokens. `at` is the event's time, which the token must contain.
///
/// A token is a key string: each value follows a byte for its type. The first values are the time, a version (at least
/// 1, if the rest follows), the type of the token, and the place.
pub(super) fn transaction_index(data: &str, at: Timestamp) -> Option<u32> {
    let mut bytes = bytes(data);
    if cluster_time(&mut bytes)? != at || number(&mut bytes)? == 0 {
        return None;
    }
    number(&mut bytes)?;
    u32::try_from(number(&mut bytes)?).ok()
}

/// Returns the bytes of hexadecimal digits, up to the first character that is not one.
fn bytes(data: &str) -> impl Iterator<Item = u8> {
    let mut digits = data.chars().map_while(|digit| digit.to_digit(16));
    std::iter::from_fn(move || u8::try_from(digits.next()? << 4 | digits.next()?).ok())
}

/// Returns the time at the start of a key string.
fn cluster_time(bytes: &mut impl Iterator<Item = u8>) -> Option<Timestamp> {
    const TIMESTAMP: u8 = 0x82;
    (bytes.next()? == TIMESTAMP).then_some(())?;
    Some(Timestamp { time: u32_of(bytes)?, increment: u32_of(bytes)? })
}

fn u32_of(bytes: &mut impl Iterator<Item = u8>) -> Option<u32> {
    (0..4).try_fold(0, |number, _| Some(number << 8 | u32::from(bytes.next()?)))
}

/// Returns the next number of a key string if it is whole and not negative. The lowest bit shows whether a fraction
/// follows.
fn number(bytes: &mut impl Iterator<Item = u8>) -> Option<u64> {
    const ZERO: u8 = 0x29;
    const ONE_BYTE: u8 = 0x2b;
    const EIGHT_BYTES: u8 = 0x32;
    let kind = bytes.next()?;
    match kind {
        ZERO => Some(0),
        ONE_BYTE..=EIGHT_BYTES => {
            let number = (ONE_BYTE..=kind)
                .try_fold(0_u64, |number, _| Some(number << 8 | u64::from(bytes.next()?)))?;
            (number & 1 == 0).then_some(number >> 1)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_displayed_as_it_is_parsed() {
        for text in [
            "82635019A0000000012B0429296E1404",
            "0a",
            r#"{"_data":"82","_typeBits":{"$binary":{"base64":"Aw==","subType":"00"}}}"#,
        ] {
            let token: ResumeToken = text.parse().unwrap();
            assert_eq!(token.to_string(), text);
            assert_eq!(token.to_string().parse(), Ok(token));
        }
        assert_eq!(r#"{"_data": "82AB"}"#.parse::<ResumeToken>().unwrap().to_string(), "82AB");
        for none in ["", "now", "8Z", "{}", r#"{"data":"82"}"#, "[1]", r#""82""#, "{"] {
            assert_eq!(none.parse::<ResumeToken>(), Err(ParseResumeTokenError), "{none}");
        }
    }

    #[test]
    fn a_token_of_mongod_has_a_cluster_time() {
        let time = |token: &str| token.parse::<ResumeToken>().unwrap().cluster_time();
        let at = Timestamp { time: 0x6350_19a0, increment: 1 };
        assert_eq!(time("82635019A0000000012B042C0100296E5A1004AB"), Some(at));
        assert_eq!(time("82635019A0000000012B0429296E1404"), Some(at), "the place of an idle stream");
        for of_another_server in ["0a", "82635019A00000", "4f000000107300010000", r#"{"_data": 7}"#] {
            assert_eq!(time(of_another_server), None, "{of_another_server}");
        }
    }

    #[test]
    fn a_token_that_no_server_writes_can_be_displayed() {
        let nested = ResumeToken::new(&rawdoc! { "_data": { "nested": [1] } });
        assert!(nested.to_string().starts_with("RawDocumentBuf"), "{nested}");
        let mut bytes = rawdoc! { "_data": "x", "y": "ODD" }.into_bytes();
        let odd = bytes.windows(3).position(|three| three == b"ODD").unwrap();
        bytes[odd..odd + 3].fill(0xff);
        let odd = ResumeToken::new(RawDocument::from_bytes(&bytes).unwrap());
        assert!(odd.to_string().starts_with("RawDocumentBuf"), "{odd}");
    }

    #[test]
    fn the_place_in_a_transaction_is_read_from_a_token_of_mongod() {
        let at = Timestamp { time: 0x6350_19a0, increment: 1 };
        let token = |rest: &str| format!("82635019A000000001{rest}");
        // An insert: version 2, an event, place 0, not after an invalidate event, and so on.
        let whole = "2B042C0100296E5A1004AB1154ACACD849A48C61756D70D3B21F463C";
        assert_eq!(transaction_index(&token(whole), at), Some(0));
        assert_eq!(transaction_index(&token("2B022C01002B026E"), at), Some(1));
        assert_eq!(transaction_index(&token("2B042C01002BFE6E"), at), Some(127));
        assert_eq!(transaction_index(&token("2B042C01002C01006E"), at), Some(128));
        assert_eq!(transaction_index(&token("2b042c01002d0200006e"), at), Some(0x1_0000));

        let other = Timestamp { increment: 2, ..at };
        assert_eq!(transaction_index(&token(whole), other), None, "not the event's time");
        for none in
            ["", "2B04", "2B042C0100", "2B042C0100286E", "2B042C01002B036E", "292C0100296E", "2B042C0100zz"]
        {
            assert_eq!(transaction_index(&token(none), at), None, "{none}");
        }
        assert_eq!(transaction_index("é", at), None);
    }
}
