//! Values that are not to be seen.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::own::{Exposed, read_secret};

/// A value as it is, or where it stands: in the environment or, better, in a file.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "expected a text, { env = \"NAME\" } or { file = \"PATH\" }")]
pub enum Secret {
    /// As it is.
    Value(String),
    /// In a variable of the environment.
    Env {
        /// Its name.
        env: String,
    },
    /// In a file, but for white space at its end.
    File {
        /// Its path.
        file: PathBuf,
    },
}

/// A value that is not where it should be.
#[derive(Debug, thiserror::Error)]
pub enum NoSecret {
    /// The variable is not set.
    #[error("the variable {0} is not set in the environment of gtm-host")]
    Env(String),
    /// Others may change the file.
    #[error(transparent)]
    Exposed(#[from] Exposed),
    /// The file cannot be read.
    #[error("{} cannot be read: {reason}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        reason: std::io::Error,
    },
}

impl Secret {
    /// The value.
    ///
    /// # Errors
    /// It is not where it should be.
    pub fn read(&self) -> Result<String, NoSecret> {
        match self {
            Self::Value(value) => Ok(value.clone()),
            Self::Env { env } => std::env::var(env).map_err(|_| NoSecret::Env(env.clone())),
            Self::File { file } => match read_secret(file) {
                Ok(value) => Ok(value.trim_end().to_owned()),
                Err(reason) => Err(match reason.downcast::<Exposed>() {
                    Ok(exposed) => NoSecret::Exposed(exposed),
                    Err(reason) => NoSecret::File { path: file.clone(), reason },
                }),
            },
        }
    }

    /// The same, where a file is meant from this directory on.
    pub fn resolve(&mut self, directory: &Path) {
        if let Self::File { file } = self {
            *file = directory.join(&*file);
        }
    }
}

/// A value is not shown.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(_) => f.write_str("Value(…)"),
            Self::Env { env } => f.debug_struct("Env").field("env", env).finish(),
            Self::File { file } => f.debug_struct("File").field("file", file).finish(),
        }
    }
}

/// Returns the text, without the user and password of each URL in it.
pub fn without_passwords(text: &str) -> Cow<'_, str> {
    let mut shown = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        // Up to the end of the word, as a password may have a slash in it that should have been escaped.
        let end = after.find(|character: char| character.is_whitespace() || "'\"<>`".contains(character));
        let (url, next) = after.split_at(end.unwrap_or(after.len()));
        shown.push_str(before);
        shown.push_str(url.rsplit_once('@').map_or(url, |(_, server)| server));
        rest = next;
    }
    if shown.is_empty() {
        return Cow::Borrowed(text);
    }
    shown.push_str(rest);
    Cow::Owned(shown)
}

/// Returns the server of a URL, as it may be shown: without user and password, and without the path and what comes after it, which may
/// hold a secret too. Where the URL is not valid, rather too little is shown.
pub fn server(url: &str) -> String {
    let is_scheme = |scheme: &str| scheme.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let (scheme, rest) = match url.split_once("://").filter(|(scheme, _)| is_scheme(scheme)) {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), url),
    };
    let server = rest.rsplit_once('@').map_or(rest, |(_, server)| server);
    format!("{scheme}{}", server.split(['/', '?', '#']).next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_shown_without_its_password() {
        for (url, shown) in [
            ("smtp://ada:s3cr@t@mail.example:587/?tls=required", "smtp://mail.example:587"),
            ("smtp://ada:s/cr?t@mail.example", "smtp://mail.example"),
            ("https://ada:s3cret@api.example.com/a?b#c", "https://api.example.com"),
            ("ada:s3cret@api.example.com", "api.example.com"),
            ("ada:s3cret@x://api.example.com", "x:"),
            ("smtp://localhost:1025", "smtp://localhost:1025"),
        ] {
            assert_eq!(server(url), shown);
        }
    }

    #[test]
    fn a_text_is_shown_without_the_passwords_of_its_urls() {
        for (text, shown) in [
            ("invalid value 'http=https://ada:s3cret@host/x' for", "invalid value 'http=https://host/x' for"),
            ("mongodb://ada:s/3@c@a,b/?w=1 and smtp://b:c@d", "mongodb://a,b/?w=1 and smtp://d"),
            ("https://host/a@b", "https://b"),
            ("ada@example.com, http://localhost:1", "ada@example.com, http://localhost:1"),
        ] {
            assert_eq!(without_passwords(text), shown);
        }
    }
}
