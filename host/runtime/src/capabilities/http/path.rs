//! Paths to which a plugin may send requests.

use std::fmt;

use regex::Regex;
use serde::Deserialize;
use serde::de::{self, Deserializer};

/// A pattern of paths, in which `*` stands for any characters: `/orders/*`.
#[derive(Clone, Debug)]
pub struct PathPattern {
    text: String,
    regex: Regex,
}

/// The text is not a pattern of paths.
#[derive(Debug, thiserror::Error)]
#[error(
    "\"{0}\" is not a path that can be granted: it begins with /, as in /orders/*, and has no query, no . or .. between slashes, and no \
     slash, backslash or semicolon as %2f, %5c or %3b"
)]
pub struct InvalidPathPattern(String);

impl PathPattern {
    /// Parses a pattern.
    ///
    /// # Errors
    /// The text is not a pattern of paths.
    pub fn new(text: &str) -> Result<Self, InvalidPathPattern> {
        let invalid = || InvalidPathPattern(text.to_owned());
        if !text.starts_with('/') || text.contains(['?', '#']) || is_ambiguous(text) {
            return Err(invalid());
        }
        let expression = text.split('*').map(regex::escape).collect::<Vec<_>>().join(".*");
        let regex = Regex::new(&format!("^(?s:{expression})$")).map_err(|_| invalid())?;
        Ok(Self { text: text.to_owned(), regex })
    }

    /// Returns whether it covers a path. It covers no ambiguous path.
    pub(super) fn is_match(&self, path: &str) -> bool {
        !is_ambiguous(path) && self.regex.is_match(path)
    }
}

/// Returns whether a server may take a path for another one: it has a segment `.` or `..`, an empty segment, or an encoded slash or
/// semicolon.
pub(crate) fn is_ambiguous(path: &str) -> bool {
    let decoded = path.to_ascii_lowercase().replace("%2e", ".");
    let mut segments = decoded.split('/');
    // Some servers cut off a parameter first.
    let is_dots = |segment: &str| matches!(segment.split(';').next(), Some("." | ".."));
    let hidden = ["%2f", "%5c", "%3b", "\\", "%25", "%00"].iter().any(|hidden| decoded.contains(hidden));
    hidden || path.contains("//") || segments.any(is_dots)
}

impl PartialEq for PathPattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Display for PathPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for PathPattern {
    fn deserialize<D: Deserializer<'de>>(text: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(text)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_covers_whole_paths_and_no_ambiguous_ones() {
        let covers = |pattern: &str, path| PathPattern::new(pattern).unwrap().is_match(path);
        assert!(covers("/orders/*", "/orders/1/lines") && covers("/orders", "/orders") && covers("/*", "/"));
        assert!(covers("/*/lines", "/orders/1/lines") && covers("/a.b", "/a.b"));
        assert!(covers("/orders/*", "/orders/..a") && covers("/orders/*", "/orders/%c3%a4"));
        for (pattern, path) in [
            ("/orders", "/orders/1"),
            ("/orders/*", "/orders"),
            ("/orders/*", "/x/orders/1"),
            ("/a.b", "/axb"),
            ("/orders/*", "/orders/../admin"),
            ("/orders/*", "/orders/%2E%2e/admin"),
            ("/orders/*", "/orders/..;x/admin"),
            ("/orders/*", "/orders/..%3bx/admin"),
            ("/orders/*", "/orders/%2e.%3Bx/admin"),
            ("/orders/*", "/orders/1%3Bx"),
            ("/orders/*", "/orders/..%2fadmin"),
            ("/orders/*", "/orders/..%5cadmin"),
            ("/orders/*", "/orders/%252e%252e/admin"),
            ("/orders/*", "/orders//1"),
            ("/Orders", "/orders"),
        ] {
            assert!(!covers(pattern, path), "{pattern} {path}");
        }
        for odd in ["", "orders", "*", "/a?b", "/a/../b", "/a%2fb", "/a%3Bb", "//a"] {
            assert!(PathPattern::new(odd).is_err(), "{odd}");
        }
    }
}
