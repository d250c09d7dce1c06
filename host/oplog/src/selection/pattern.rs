//! Patterns of namespaces: globs whose only wildcard is `*`, and regular expressions.

use std::borrow::Cow;
use std::fmt;

use globset::{GlobBuilder, GlobMatcher};
use regex::{Regex, RegexBuilder};

/// The maximum size of a compiled regular expression in bytes, and again of its state while it matches.
const MAX_EXPRESSION_BYTES: usize = 1 << 20;

/// A pattern of namespaces.
#[derive(Clone, Debug)]
pub struct Pattern {
    text: Box<str>,
    matcher: PatternMatcher,
}

#[derive(Clone, Debug)]
enum PatternMatcher {
    Glob(GlobMatcher),
    Regex(Regex),
}

/// Two patterns are equal if their texts are equal.
impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

/// The reason why a pattern is refused.
#[derive(Debug, thiserror::Error)]
pub enum PatternError {
    /// The regular expression is not valid.
    #[error("\"{pattern}\" is not a valid regular expression: {reason}")]
    Regex {
        /// The pattern, unchanged.
        pattern: String,
        /// The reason in one line.
        reason: String,
    },
    /// The library refuses the pattern, for example because it is too large.
    #[error("\"{pattern}\" cannot be matched: {reason}")]
    Glob {
        /// The pattern, unchanged.
        pattern: String,
        /// The library's reason.
        reason: String,
    },
    /// The pattern names a database without a collection.
    #[error("\"{pattern}\" is not a namespace. help: write DATABASE.COLLECTION, as in shop.orders or shop.*")]
    NoCollection {
        /// The pattern, unchanged.
        pattern: String,
    },
    /// The pattern contains several namespaces.
    #[error(
        "\"{pattern}\" is one namespace, because the name of a collection can contain a {separator}. \
         help: specify each namespace by itself; for a collection with this name, write {escaped}"
    )]
    Several {
        /// The pattern, unchanged.
        pattern: String,
        /// The character between the namespaces.
        separator: char,
        /// The regular expression that matches exactly this name.
        escaped: String,
    },
    /// The pattern names a database that cannot exist.
    #[error(
        "\"{pattern}\" matches no change, because the name of a database cannot contain {found:?}. \
         help: write DATABASE.COLLECTION, as in shop.orders or shop.*, or a regular expression between two slashes"
    )]
    NoDatabase {
        /// The pattern, unchanged.
        pattern: String,
        /// The invalid character.
        found: char,
    },
    /// The pattern names a database of the server.
    #[error(
        "\"{pattern}\" matches no change, because the host skips the server's own databases admin, config and local. \
         help: leave it out, or name a database of your own"
    )]
    OfServer {
        /// The pattern, unchanged.
        pattern: String,
    },
    /// The pattern names collections of the server.
    #[error(
        "\"{pattern}\" matches no change, because the host skips the server's own collections system.*. \
         help: leave it out, or name a collection of your own"
    )]
    OfSystem {
        /// The pattern, unchanged.
        pattern: String,
    },
    /// The pattern names the host's own database.
    #[error(
        "\"{pattern}\" matches no change, because the host skips the database {database}, in which it stores its checkpoints. \
         help: leave it out, or name a database of your own"
    )]
    OfHost {
        /// The pattern, unchanged.
        pattern: String,
        /// The database.
        database: String,
    },
}

/// The characters with which people separate namespaces.
const SEPARATORS: [char; 3] = [',', '|', ';'];

/// The characters that a database name cannot contain.
const INVALID_IN_DATABASE_NAMES: [char; 5] = ['/', '\\', ' ', '"', '$'];

impl Pattern {
    /// Parses a pattern: a regular expression between two slashes, or a glob in which `*` matches any characters.
    ///
    /// # Errors
    /// See [`PatternError`].
    pub fn new(pattern: &str) -> Result<Self, PatternError> {
        let expression = pattern.strip_prefix('/').and_then(|rest| rest.strip_suffix('/'));
        let matcher = expression.map_or_else(|| glob(pattern), |expression| regex(pattern, expression))?;
        Ok(Self { text: pattern.into(), matcher })
    }

    /// Returns whether `database.collection` matches.
    pub fn is_match(&self, namespace: &str) -> bool {
        match &self.matcher {
            PatternMatcher::Glob(glob) => glob.is_match(namespace),
            PatternMatcher::Regex(regex) => regex.is_match(namespace),
        }
    }

    /// Returns the glob. None: the pattern is a regular expression.
    pub(super) fn glob(&self) -> Option<&str> {
        matches!(self.matcher, PatternMatcher::Glob(_)).then_some(&self.text)
    }

    /// Checks that the pattern can match the namespace of a change that is not skipped. `own` is the host's own database.
    ///
    /// # Errors
    /// Every namespace that matches is skipped.
    pub(super) fn check(&self, own: &str) -> Result<(), PatternError> {
        let prefix = self.prefix_glob();
        let Some((database, collection)) = prefix.split_once('.') else { return Ok(()) };
        let pattern = || self.text.as_ref().to_owned();
        if is_server_database(database) {
            Err(PatternError::OfServer { pattern: pattern() })
        } else if database == own {
            Err(PatternError::OfHost { pattern: pattern(), database: own.to_owned() })
        } else if !database.contains('*') && is_system(collection) {
            Err(PatternError::OfSystem { pattern: pattern() })
        } else {
            Ok(())
        }
    }

    /// Returns the glob. For a regular expression, it returns a glob that matches at least as much: its literal prefix,
    /// followed by anything.
    fn prefix_glob(&self) -> Cow<'_, str> {
        match self.glob() {
            Some(glob) => glob.into(),
            None => format!("{}*", literal(self.text.trim_matches('/'))).into(),
        }
    }

    /// Returns the namespace, if the pattern is exactly one.
    pub fn name(&self) -> Option<&str> {
        self.glob().filter(|glob| !glob.contains('*'))
    }

    /// Returns whether a collection of the database can match.
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

fn regex(pattern: &str, expression: &str) -> Result<PatternMatcher, PatternError> {
    let built = RegexBuilder::new(expression)
        .size_limit(MAX_EXPRESSION_BYTES)
        .dfa_size_limit(MAX_EXPRESSION_BYTES)
        .build();
    built.map(PatternMatcher::Regex).map_err(|error| PatternError::Regex {
        pattern: pattern.to_owned(),
        // The last line contains the reason; those before it show the position.
        reason: error
            .to_string()
            .lines()
            .last()
            .unwrap_or_default()
            .trim()
            .trim_start_matches("error: ")
            .to_owned(),
    })
}

/// Returns the literal characters that every match of the expression begins with.
fn literal(expression: &str) -> String {
    let mut literal = String::new();
    let Some(rest) = expression.strip_prefix('^').filter(|rest| !rest.contains('|')) else { return literal };
    let mut rest = rest.chars();
    loop {
        match rest.next() {
            Some('\\') if rest.clone().next() == Some('.') => literal.extend(rest.next()),
            Some(plain) if plain.is_alphanumeric() || matches!(plain, '_' | '-') => literal.push(plain),
            // The preceding character is optional.
            Some('?' | '*' | '{') => {
                literal.pop();
                return literal;
            }
            _ => return literal,
        }
    }
}

/// Returns whether a database belongs to the server.
pub(super) fn is_server_database(database: &str) -> bool {
    matches!(database, "admin" | "config" | "local")
}

/// Returns whether a collection belongs to the server, in any database.
pub fn is_system(collection: &str) -> bool {
    collection.starts_with("system.")
}

fn glob(pattern: &str) -> Result<PatternMatcher, PatternError> {
    let separator = SEPARATORS.into_iter().find(|separator| {
        pattern.contains(*separator) && pattern.split(*separator).all(|part| part.contains(['.', '*']))
    });
    if let Some(separator) = separator {
        let parts: Vec<_> = pattern.split('*').map(regex::escape).collect();
        let escaped = format!("/^{}$/", parts.join(".*"));
        return Err(PatternError::Several { pattern: pattern.to_owned(), separator, escaped });
    }
    if !pattern.contains(['.', '*']) {
        return Err(PatternError::NoCollection { pattern: pattern.to_owned() });
    }
    // The database name ends at a star, because that can match the dot, too.
    let database = pattern.split(['.', '*']).next().unwrap_or_default();
    if let Some(found) = database.chars().find(|found| INVALID_IN_DATABASE_NAMES.contains(found)) {
        return Err(PatternError::NoDatabase { pattern: pattern.to_owned(), found });
    }
    // The other characters of a glob can occur in the name of a collection, even a backslash, so they match
    // themselves.
    let escaped: Vec<_> = pattern.split('*').map(globset::escape).collect();
    let glob = GlobBuilder::new(&escaped.join("*")).backslash_escape(false).build();
    let glob = glob.map_err(|error| PatternError::Glob {
        pattern: pattern.to_owned(),
        reason: error.kind().to_string(),
    })?;
    Ok(PatternMatcher::Glob(glob.compile_matcher()))
}
