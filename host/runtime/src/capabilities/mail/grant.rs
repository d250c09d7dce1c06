//! The mail that a plugin may send.

use std::fmt;
use std::num::NonZeroU32;

use regex::{Regex, RegexBuilder};
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, Visitor};

/// The mail that a plugin may send: any, unless it is limited.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MailGrant {
    /// The senders that it may name. Empty: any. A message without a sender has that of the host.
    pub from: Vec<AddressPattern>,
    /// The recipients, including those of copies. Empty: any.
    pub to: Vec<AddressPattern>,
    /// The number of messages in any minute. None: 600.
    pub per_minute: Option<NonZeroU32>,
}

/// Messages per minute, unless the grant has a number: more than most shops have new users, and few enough that a faulty plugin is
/// noticed before the mail server is blocked everywhere.
const DEFAULT_PER_MINUTE: u32 = 600;

impl MailGrant {
    /// Returns how many messages the plugin may send in any minute.
    pub(crate) fn per_minute(&self) -> u32 {
        self.per_minute.map_or(DEFAULT_PER_MINUTE, NonZeroU32::get)
    }

    /// Returns whether the plugin may name this sender.
    pub(crate) fn covers_sender(&self, address: &str) -> bool {
        self.from.is_empty() || self.from.iter().any(|pattern| pattern.is_match(address))
    }

    /// Returns whether the plugin may send to this recipient.
    pub(crate) fn covers_recipient(&self, address: &str) -> bool {
        self.to.is_empty() || self.to.iter().any(|pattern| pattern.is_match(address))
    }
}

impl fmt::Display for MailGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("granted")?;
        for (what, patterns) in [("from", &self.from), ("to", &self.to)] {
            let patterns: Vec<_> = patterns.iter().map(ToString::to_string).collect();
            match patterns.is_empty() {
                true => write!(f, ", {what} any address")?,
                false => write!(f, ", {what} {}", patterns.join(" or "))?,
            }
        }
        write!(f, ", at most {} a minute", self.per_minute())
    }
}

/// Reads `true`, `false`, or a table with the limits of the grant.
pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<MailGrant>, D::Error> {
    #[derive(Deserialize)]
    #[serde(default, deny_unknown_fields)]
    #[derive(Default)]
    struct MailGrantTable {
        from: Vec<AddressPattern>,
        to: Vec<AddressPattern>,
        per_minute: Option<NonZeroU32>,
    }

    struct YesOrTable;

    impl<'de> Visitor<'de> for YesOrTable {
        type Value = Option<MailGrant>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("true, or a table like { from = [\"*@example.com\"], to = [\"*\"], per_minute = 60 }")
        }

        fn visit_bool<E: de::Error>(self, is_granted: bool) -> Result<Self::Value, E> {
            Ok(is_granted.then(MailGrant::default))
        }

        fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
            let MailGrantTable { from, to, per_minute } =
                MailGrantTable::deserialize(de::value::MapAccessDeserializer::new(map))?;
            Ok(Some(MailGrant { from, to, per_minute }))
        }
    }

    deserializer.deserialize_any(YesOrTable)
}

/// A pattern of addresses: `shop@example.com`, `*@example.com`, or `*` for all.
#[derive(Clone, Debug)]
pub struct AddressPattern {
    text: String,
    regex: Regex,
}

/// The text is not a pattern of addresses.
#[derive(Debug, thiserror::Error)]
#[error(
    "\"{0}\" is not a valid pattern of addresses. help: write shop@example.com, *@example.com, or * for all"
)]
pub struct InvalidAddressPattern(String);

impl AddressPattern {
    /// Parses a pattern, in which `*` stands for any characters except `@`.
    ///
    /// # Errors
    /// The text is not a pattern of addresses.
    pub fn new(text: &str) -> Result<Self, InvalidAddressPattern> {
        let invalid = || InvalidAddressPattern(text.to_owned());
        let expression = match text.rsplit_once('@') {
            None if text == "*" => ".*".to_owned(),
            Some((user, domain)) if !user.is_empty() && !domain.is_empty() => {
                // The host writes domains in ASCII in a letter, too.
                let domain = idna::domain_to_ascii(domain).map_err(|_| invalid())?;
                let address = format!("{user}@{domain}");
                address.split('*').map(regex::escape).collect::<Vec<_>>().join("[^@]*")
            }
            _ => return Err(invalid()),
        };
        let regex = RegexBuilder::new(&format!("^(?:{expression})$"))
            .case_insensitive(true)
            .dot_matches_new_line(true)
            .build()
            .map_err(|_| invalid())?;
        Ok(Self { text: text.to_owned(), regex })
    }

    fn is_match(&self, address: &str) -> bool {
        self.regex.is_match(address)
    }
}

impl PartialEq for AddressPattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Display for AddressPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for AddressPattern {
    fn deserialize<D: Deserializer<'de>>(text: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(text)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_covers_whole_addresses() {
        let covers = |pattern: &str, address| AddressPattern::new(pattern).unwrap().is_match(address);
        assert!(covers("*", "\"odd\nname\"@example.com") && covers("shop@example.com", "Shop@EXAMPLE.com"));
        assert!(covers("*@example.com", "ada@example.com") && covers("*@*.example.com", "a@b.c.example.com"));
        assert!(covers("*@müller.de", "zoe@xn--mller-kva.de"));
        for (pattern, address) in [
            ("*@example.com", "ada@example.com.evil.example"),
            ("*@example.com", "ada@badexample.com"),
            ("*@example.com", "\"x@example.com\"@evil.example"),
            ("*@example.com", "ada@exampleXcom"),
            ("shop@example.com", "my-shop@example.com"),
            ("shop@*", "shop@\"x@y\""),
        ] {
            assert!(!covers(pattern, address), "{pattern} {address}");
        }
        for odd in ["", "shop", "*example.com", "@example.com", "shop@"] {
            assert!(AddressPattern::new(odd).is_err(), "{odd}");
        }
    }
}
