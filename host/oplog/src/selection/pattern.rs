//! Patterns of namespaces: globs of one sign, and regular expressions.

use std::borrow::Cow;
use std::fmt;

use globset::{GlobBuilder, GlobMatcher};
use regex::{Regex, RegexBuilder};

/// Bytes that a regular expression takes; and again while it is matched.
const EXPRESSION: usize = 1 << 20;

/// Namespaces: those that it names, or that are like it.
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

/// Equal if they are written alike.
impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

/// A pattern that no namespace can be compared with.
#[derive(Debug, thiserror::Error)]
pub enum PatternError {
    /// A regular expression that is none.
    #[error("\"{pattern}\" is not a valid regular expression: {reason}")]
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
    /// Two namespaces in one text.
    #[error(
        "\"{pattern}\" is one namespace, as the name of a collection may have a {separator} in it. \
         help: give each namespace by itself; for a collection that has this name, write {escaped}"
    )]
    Several {
        /// As it was given.
        pattern: String,
        /// What stands between them.
        separator: char,
        /// The regular expression that fits this one name.
        escaped: String,
    },
    /// A database that no server has.
    #[error(
        "\"{pattern}\" matches no change, as the name of a database cannot have {found:?} in it. \
         help: write DATABASE.COLLECTION, as in shop.orders or shop.*, or a regular expression between two slashes"
    )]
    NoDatabase {
        /// As it was given.
        pattern: String,
        /// What it cannot have.
        found: char,
    },
    /// Databases of the server's own.
    #[error(
        "\"{pattern}\" matches no change, as the databases admin, config and local are the server's own and are skipped. \
         help: leave it out, or name a database of your own"
    )]
    OfServer {
        /// As it was given.
        pattern: String,
    },
    /// Collections of the server's own.
    #[error(
        "\"{pattern}\" matches no change, as the collections system.* are the server's own and are skipped. \
         help: leave it out, or name a collection of your own"
    )]
    OfSystem {
        /// As it was given.
        pattern: String,
    },
    /// The host's own database.
    #[error(
        "\"{pattern}\" matches no change, as the host keeps its checkpoints in the database {database} and skips it. \
         help: if {database} is a database of your own, give the host another one (--store-database NAME)"
    )]
    OfHost {
        /// As it was given.
        pattern: String,
        /// Which it is.
        database: String,
    },
}

/// What stands between namespaces where somebody means several of them.
const SEPARATORS: [char; 3] = [',', '|', ';'];

/// What the name of a database cannot have in it.
const NOT_IN_DATABASES: [char; 5] = ['/', '\\', ' ', '"', '$'];

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
            PatternMatcher::Glob(glob) => glob.is_match(namespace),
            PatternMatcher::Regex(regex) => regex.is_match(namespace),
        }
    }

    /// The pattern, where it is no regular expression.
    pub(super) fn glob(&self) -> Option<&str> {
        matches!(self.matcher, PatternMatcher::Glob(_)).then_some(&self.text)
    }

    /// Why no change can be in a namespace like this, where that can be seen; `own` is the host's own database.
    pub(super) fn check(&self, own: &str) -> Result<(), PatternError> {
        let beginning = self.beginning();
        let Some((database, collection)) = beginning.split_once('.') else { return Ok(()) };
        let pattern = || self.text.as_ref().to_owned();
        if is_servers(database) {
            Err(PatternError::OfServer { pattern: pattern() })
        } else if database == own {
            Err(PatternError::OfHost { pattern: pattern(), database: own.to_owned() })
        } else if !database.contains('*') && is_system(collection) {
            Err(PatternError::OfSystem { pattern: pattern() })
        } else {
            Ok(())
        }
    }

    /// The glob; of a regular expression, one that fits all that it fits: what it begins with, and any more.
    fn beginning(&self) -> Cow<'_, str> {
        match self.glob() {
            Some(glob) => glob.into(),
            None => format!("{}*", literal(self.text.trim_matches('/'))).into(),
        }
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

fn regex(pattern: &str, expression: &str) -> Result<PatternMatcher, PatternError> {
    let built = RegexBuilder::new(expression).size_limit(EXPRESSION).dfa_size_limit(EXPRESSION).build();
    built.map(PatternMatcher::Regex).map_err(|error| PatternError::Regex {
        pattern: pattern.to_owned(),
        // The last line says it; those before it draw where.
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

/// The characters that everything that fits the expression begins with.
fn literal(expression: &str) -> String {
    let mut literal = String::new();
    let Some(rest) = expression.strip_prefix('^').filter(|rest| !rest.contains('|')) else { return literal };
    let mut rest = rest.chars();
    loop {
        match rest.next() {
            Some('\\') if rest.clone().next() == Some('.') => literal.extend(rest.next()),
            Some(plain) if plain.is_alphanumeric() || matches!(plain, '_' | '-') => literal.push(plain),
            // The character before it need not be there.
            Some('?' | '*' | '{') => {
                literal.pop();
                return literal;
            }
            _ => return literal,
        }
    }
}

/// Whether a database is the server's own.
pub(super) fn is_servers(database: &str) -> bool {
    matches!(database, "admin" | "config" | "local")
}

/// Whether a collection is the server's own, of any database.
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
    // Up to a star, which may stand for the dot too.
    let database = pattern.split(['.', '*']).next().unwrap_or_default();
    if let Some(found) = database.chars().find(|found| NOT_IN_DATABASES.contains(found)) {
        return Err(PatternError::NoDatabase { pattern: pattern.to_owned(), found });
    }
    // The other characters of a glob may stand in the name of a collection, a backslash too, so here they mean themselves.
    let escaped: Vec<_> = pattern.split('*').map(globset::escape).collect();
    let glob = GlobBuilder::new(&escaped.join("*")).backslash_escape(false).build();
    let glob = glob.map_err(|error| PatternError::Glob {
        pattern: pattern.to_owned(),
        reason: error.kind().to_string(),
    })?;
    Ok(PatternMatcher::Glob(glob.compile_matcher()))
}
