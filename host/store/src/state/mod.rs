//! The values that plugins keep by key: bytes or a number, some with a time to live.

mod cluster;
mod directory;

use std::fmt;
use std::time::Duration;

use bson::{RawDocumentBuf, rawdoc};

use super::StoreError;

pub(super) use directory::prepare;

/// Attempts at what the values that other hosts write at the same time may undo.
const MAX_ATTEMPTS: usize = 8;

/// Identifies a value of a plugin. All workers of a pipeline share it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateKey {
    /// The name of the pipeline.
    pub pipeline: String,
    /// The name of the plugin.
    pub plugin: String,
    /// The plugin's key.
    pub key: String,
}

/// A value that a plugin keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateEntry {
    /// The plugin's key.
    pub key: String,
    /// The value.
    pub value: Vec<u8>,
    /// How long the store still keeps it. None: until it is deleted.
    pub time_to_live: Option<Duration>,
}

/// Selects values of a plugin.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StateQuery {
    /// The name of the pipeline.
    pub pipeline: String,
    /// The name of the plugin.
    pub plugin: String,
    /// The text with which the keys begin.
    pub prefix: String,
    /// The key after which the values begin, in the order of the bytes of the keys. None: at the first one.
    pub after: Option<String>,
    /// The maximum number of values.
    pub max_entries: u32,
    /// The maximum number of bytes, with those of the keys. The first value may be larger.
    pub max_bytes: usize,
}

impl StateKey {
    pub(super) fn document(&self) -> RawDocumentBuf {
        rawdoc! { "pipeline": &*self.pipeline, "plugin": &*self.plugin, "key": &*self.key }
    }

    /// Returns the sum of `by` and the number that the value represents. No value counts as 0.
    ///
    /// # Errors
    /// [`StoreError::NotIncremented`] if the value is not a number or the sum is too large.
    pub fn sum(&self, value: Option<&[u8]>, by: i64) -> Result<i64, StoreError> {
        let Some(value) = value else { return Ok(by) };
        let failed = |reason| StoreError::NotIncremented { what: self.to_string(), reason };
        let number: Option<i64> = std::str::from_utf8(value).ok().and_then(|digits| digits.parse().ok());
        let number = number.ok_or_else(|| failed("its value is not a whole number in decimal digits"))?;
        number.checked_add(by).ok_or_else(|| failed("the sum does not fit into 64 bits"))
    }
}

impl fmt::Display for StateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the state {} of the plugin {} of the pipeline {}", self.key, self.plugin, self.pipeline)
    }
}

impl StateQuery {
    /// Returns the key of the plugin with this text.
    fn key(&self, key: &str) -> StateKey {
        let (pipeline, plugin) = (self.pipeline.clone(), self.plugin.clone());
        StateKey { pipeline, plugin, key: key.to_owned() }
    }

    /// Returns the least text that a key may have, and whether a key may equal it.
    fn first(&self) -> (&str, bool) {
        match &self.after {
            Some(after) if *after >= self.prefix => (after, false),
            _ => (&self.prefix, true),
        }
    }

    /// Returns the first text after all that begin with the prefix. None: there is none.
    fn end(&self) -> Option<String> {
        let mut end = self.prefix.clone();
        while let Some(last) = end.pop() {
            // The next character. There are none between these two.
            let next =
                if last == '\u{d7ff}' { Some('\u{e000}') } else { char::from_u32(u32::from(last) + 1) };
            if let Some(next) = next {
                end.push(next);
                return Some(end);
            }
        }
        None
    }
}

/// The values that were found, within the limits of a query.
struct FoundEntries<'a> {
    query: &'a StateQuery,
    entries: Vec<StateEntry>,
    bytes: usize,
}

impl<'a> FoundEntries<'a> {
    fn new(query: &'a StateQuery) -> Self {
        Self { query, entries: Vec::new(), bytes: 0 }
    }

    /// Adds a value. Returns whether there was room for it.
    fn push(&mut self, entry: StateEntry) -> bool {
        let bytes = self.bytes.saturating_add(entry.key.len()).saturating_add(entry.value.len());
        let has_room = self.entries.is_empty() || bytes <= self.query.max_bytes;
        let fits =
            has_room && self.entries.len() < usize::try_from(self.query.max_entries).unwrap_or(usize::MAX);
        if fits {
            self.bytes = bytes;
            self.entries.push(entry);
        }
        fits
    }
}

/// Returns a time to live in milliseconds, as far as a date can be added to it.
fn millis(time_to_live: Duration) -> i64 {
    /// More than 100,000 years.
    const MAX: i64 = 1 << 52;
    i64::try_from(time_to_live.as_millis()).unwrap_or(MAX).min(MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query(prefix: &str, after: Option<&str>) -> StateQuery {
        StateQuery {
            pipeline: "shop".to_owned(),
            plugin: "mail".to_owned(),
            prefix: prefix.to_owned(),
            after: after.map(str::to_owned),
            max_entries: 2,
            max_bytes: 10,
        }
    }

    #[test]
    fn the_end_of_a_prefix_is_after_all_keys_with_it() {
        for (prefix, end) in [
            ("a", Some("b")),
            ("order/", Some("order0")),
            ("é", Some("ê")),
            ("a\u{d7ff}", Some("a\u{e000}")),
            ("a\u{10ffff}\u{10ffff}", Some("b")),
            ("\u{10ffff}", None),
            ("", None),
        ] {
            let found = query(prefix, None).end();
            assert_eq!(found.as_deref(), end, "{prefix:?}");
            let last = format!("{prefix}\u{10ffff}x");
            assert!(found.is_none_or(|end| *prefix < *end && last < end), "{prefix:?}");
        }
    }

    #[test]
    fn the_first_key_is_that_of_the_prefix_or_after_the_last_one() {
        assert_eq!(query("b", None).first(), ("b", true));
        assert_eq!(query("b", Some("a")).first(), ("b", true));
        assert_eq!(query("b", Some("b")).first(), ("b", false));
        assert_eq!(query("b", Some("bx")).first(), ("bx", false));
        assert_eq!(query("b", Some("c")).first(), ("c", false));
    }

    #[test]
    fn the_first_value_fits_whatever_its_size() {
        let query = query("", None);
        let entry =
            |bytes: usize| StateEntry { key: "k".to_owned(), value: vec![0; bytes], time_to_live: None };
        let mut found = FoundEntries::new(&query);
        assert!(found.push(entry(100)) && !found.push(entry(1)));
        let mut found = FoundEntries::new(&query);
        assert!(found.push(entry(4)) && found.push(entry(4)) && !found.push(entry(0)));
    }

    #[test]
    fn a_value_is_a_number_or_an_error_says_why_not() {
        let of = query("", None).key("n");
        assert_eq!(of.sum(None, 10).unwrap(), 10);
        assert_eq!(of.sum(Some(b"-7"), 10).unwrap(), 3);
        assert_eq!(of.sum(Some(b"9223372036854775807"), -1).unwrap(), i64::MAX - 1);
        for value in ["", "x", "1.5", " 1", "9223372036854775808"] {
            let error = of.sum(Some(value.as_bytes()), 1).unwrap_err();
            assert_eq!(
                error.to_string(),
                "the state n of the plugin mail of the pipeline shop cannot be incremented: its value is not a whole number in \
                 decimal digits"
            );
        }
        for (value, by) in [(i64::MAX, 1), (i64::MIN, -1), (1, i64::MAX)] {
            let error = of.sum(Some(value.to_string().as_bytes()), by).unwrap_err();
            assert!(error.to_string().ends_with("the sum does not fit into 64 bits"), "{error}");
        }
    }
}
