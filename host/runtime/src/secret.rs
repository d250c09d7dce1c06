//! Values that must not be shown.

use std::borrow::Cow;
use std::fmt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gtm_store::ExposedFile;
use gtm_store::own_files::read_secret;
use serde::Deserialize;

/// A value, or where it is: in the environment or, better, in a file.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "expected a text, { env = \"NAME\" } or { file = \"PATH\" }")]
pub enum Secret {
    /// The value itself.
    Value(String),
    /// A variable of the environment.
    Env {
        /// The name of the variable.
        env: String,
    },
    /// A file, without the white space at its end.
    File {
        /// The path of the file.
        file: PathBuf,
    },
}

/// Why a secret cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The variable is not set.
    #[error("the variable {0} is not set in the environment of gtm-host")]
    Env(String),
    /// Others may change the file.
    #[error(transparent)]
    Exposed(#[from] ExposedFile),
    /// The file cannot be read.
    #[error("{} cannot be read: {reason}", path.display())]
    File {
        /// The path of the file.
        path: PathBuf,
        /// The error of the system.
        reason: std::io::Error,
    },
}

impl Secret {
    /// Returns the value.
    ///
    /// # Errors
    /// The variable is not set, or the file cannot be read or is not safe.
    pub fn read(&self) -> Result<String, SecretError> {
        match self {
            Self::Value(value) => Ok(value.clone()),
            Self::Env { env } => std::env::var(env).map_err(|_| SecretError::Env(env.clone())),
            Self::File { file } => match read_secret(file) {
                Ok(value) => Ok(value.trim_end().to_owned()),
                Err(reason) => Err(match reason.downcast::<ExposedFile>() {
                    Ok(exposed) => SecretError::Exposed(exposed),
                    Err(reason) => SecretError::File { path: file.clone(), reason },
                }),
            },
        }
    }

    /// Resolves the path of a file against this directory.
    pub fn resolve(&mut self, directory: &Path) {
        if let Self::File { file } = self {
            *file = directory.join(&*file);
        }
    }
}

/// Does not show the value.
impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(_) => f.write_str("Value(…)"),
            Self::Env { env } => f.debug_struct("Env").field("env", env).finish(),
            Self::File { file } => f.debug_struct("File").field("file", file).finish(),
        }
    }
}

/// The password of a URL, in each form in which a server may repeat it.
#[derive(Clone)]
pub struct Password(Vec<String>);

impl Password {
    /// The shortest form that is hidden, in bytes: a shorter one could be a part of any word.
    const MIN_HIDDEN_BYTES: usize = 4;

    /// Returns the password of this URL, if it has one: as written there, decoded, and in base64 as SMTP sends it (RFC 4616, RFC 4954).
    pub fn of_url(url: &str) -> Self {
        let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
        let user_and_password = rest.rsplit_once('@').and_then(|(user, _)| user.split_once(':'));
        let Some((user, password)) = user_and_password else { return Self(Vec::new()) };
        let decoded =
            |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
        let (user, as_sent) = (decoded(user), decoded(password));
        let plain = STANDARD.encode(format!("\0{user}\0{as_sent}"));
        let mut forms = vec![password.to_owned(), STANDARD.encode(&as_sent), plain, as_sent];
        forms.retain(|form| form.len() >= Self::MIN_HIDDEN_BYTES);
        // One form may be a part of another.
        forms.sort_by_key(|form| std::cmp::Reverse(form.len()));
        Self(forms)
    }

    /// Returns the text without the password.
    pub fn hide(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, form| text.replace(form, "…"))
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// The user and password in the examples of our own sentences.
const PLACEHOLDER: &str = "USER:PASSWORD@";

/// Returns the text without the user and password of each URL, even if the URL lacks its scheme.
pub fn without_passwords(text: &str) -> Cow<'_, str> {
    if !text.contains('@') {
        return Cow::Borrowed(text);
    }
    // A password may contain an unescaped slash, but no white space or quote.
    let is_between = |character: char| character.is_whitespace() || "'\"<>`".contains(character);
    let shown = text.split_inclusive(is_between).map(|word| {
        let (before, url) = match word.find("://") {
            Some(at) => word.split_at(at + 3),
            // The value of an option, or of a grant.
            None => word.split_at(word.rfind('=').map_or(0, |at| at + 1)),
        };
        match url.rsplit_once('@') {
            Some((user, server)) if !url.starts_with(PLACEHOLDER) && is_user(before, user) => {
                Cow::Owned(format!("{before}{server}"))
            }
            _ => Cow::Borrowed(word),
        }
    });
    Cow::Owned(shown.collect())
}

/// Returns whether the text before an `@` is the user of a URL. In the value of an option without a scheme, a user has a password:
/// `ada@mail.example` is an address, and `gtm:plugin@0.1.0` an interface.
fn is_user(before: &str, user: &str) -> bool {
    let has_password = || user.split_once(':').is_some_and(|(user, _)| !user.contains('/'));
    before.ends_with("://") || (before.ends_with('=') && has_password())
}

/// Returns the server of a URL for display: without user and password, and without the path and the rest, which may hold a secret, too.
/// For an invalid URL, it returns too little rather than too much.
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
    fn a_password_is_hidden_in_each_form() {
        let password = Password::of_url("smtp://ada:s3cret%2Fword@mail.example:25/?tls=required");
        for text in [
            "535 s3cret/word",
            "s3cret%2Fword is wrong",
            "AUTH PLAIN AGFkYQBzM2NyZXQvd29yZA==",
            "334 czNjcmV0L3dvcmQ= again",
        ] {
            let shown = password.hide(text);
            assert!(shown.contains('…') && !shown.contains("s3c") && !shown.contains("M2Ny"), "{shown}");
        }
        assert!(!format!("{password:?}").contains("s3c"));
        assert_eq!(Password::of_url("smtp://localhost:25").hide("any text"), "any text");
    }

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
            ("invalid value 'http=ada:s3cret@host' for", "invalid value 'http=host' for"),
            ("like smtps://USER:PASSWORD@HOST", "like smtps://USER:PASSWORD@HOST"),
            (
                "it asks for acme:parts/faxe@0.1.0 and gtm:plugin@0.1.0",
                "it asks for acme:parts/faxe@0.1.0 and gtm:plugin@0.1.0",
            ),
            ("p:mail-from=ada@example.com", "p:mail-from=ada@example.com"),
        ] {
            assert_eq!(without_passwords(text), shown);
        }
    }
}
