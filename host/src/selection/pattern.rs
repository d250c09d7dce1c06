//! Patterns of namespaces: globs of one sign, and regular expressions.

use std::fmt;

use globset::{Glob, GlobMatcher};
use regex::{Regex, RegexBuilder};

/// Bytes that a regular expression takes; and again while it is matched.
const EXPRESSION: usize = 1 << 20;

/// Namespaces: those that it names, or that are like it.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: Box<str>,
    matcher: Matcher,
}

#[derive(Clone, Debug)]
enum Matcher {
    Glob(GlobMatcher),
    Regex(Regex),
}

/// A pattern that no namespace can be compared with.
#[derive(Debug, thiserror::Error)]
pub enum PatternError {
    /// A regular expression that is none.
    #[error("\"{pattern}\" is no regular expression: {reason}")]
    Regex {
        /// As it was given.
        pattern: String,
        /// In one line.
        reason: String,
    },
    /// Too large, or otherwise not for the library.
    #[error("\"{pattern}\" cannot be matched: {reason}")]
    Glob {
        /// As it was given.
        pattern: String,
        /// What the library says.
        reason: String,
    },
    /// The name of a database alone, which no change has for its namespace.
    #[error("no change is in \"{pattern}\": a namespace is DATABASE.COLLECTION, as in shop.orders or shop.*")]
    NoCollection {
        /// As it was given.
        pattern: String,
    },
}

impl Pattern {
    /// Between two slashes stands a regular expression; anywhere else `*` stands for any characters.
    ///
    /// # Errors
    /// See [`PatternError`].
    pub fn new(pattern: &str) -> Result<Self, PatternError> {
        let expression = pattern.strip_prefix('/').and_then(|rest| rest.strip_suffix('/'));
        let matcher = expression.map_or_else(|| glob(pattern), |expression| regex(pattern, expression))?;
        Ok(Self { text: pattern.into(), matcher })
    }

    /// Whether `database.collection` is one of them.
    pub fn is_match(&self, namespace: &str) -> bool {
        match &self.matcher {
            Matcher::Glob(glob) => glob.is_match(namespace),
            Matcher::Regex(regex) => regex.is_match(namespace),
        }
    }

    /// The pattern, where it is no regular expression.
    pub(super) fn glob(&self) -> Option<&str> {
        matches!(self.matcher, Matcher::Glob(_)).then_some(&self.text)
    }

    /// The namespace, where it names one.
    pub fn name(&self) -> Option<&str> {
        self.glob().filter(|glob| !glob.contains('*'))
    }

    /// Whether a collection of the database can fit.
    pub(super) fn may_match_in(&self, database: &str) -> bool {
        let start = format!("{database}.");
        match self.glob().map(|glob| (glob, glob.split_once('*'))) {
            None => true,
            Some((_, Some((before, _)))) => before.starts_with(&start) || start.starts_with(before),
            Some((name, None)) => name.starts_with(&start),
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn regex(pattern: &str, expression: &str) -> Result<Matcher, PatternError> {
    let built = RegexBuilder::new(expression).size_limit(EXPRESSION).dfa_size_limit(EXPRESSION).build();
    built.map(Matcher::Regex).map_err(|error| PatternError::Regex {
        pattern: pattern.to_owned(),
        // The last line says it; those before it draw where.
        reason: error.to_string().lines().last().unwrap_or_default().trim().to_owned(),
    })
}

fn glob(pattern: &str) -> Result<Matcher, PatternError> {
    if !pattern.contains(['.', '*']) {
        return Err(PatternError::NoCollection { pattern: pattern.to_owned() });
    }
    // The other signs of a glob may stand in the name of a collection, so here they mean themselves.
    let escaped: Vec<_> = pattern.split('*').map(globset::escape).collect();
    let glob = Glob::new(&escaped.join("*")).map_err(|error| PatternError::Glob {
        pattern: pattern.to_owned(),
        reason: error.kind().to_string(),
    })?;
    Ok(Matcher::Glob(glob.compile_matcher()))
}
