//! Secrets in settings: passwords, tokens and URIs.

use std::path::Path;

use gtm_store::ExposedFile;
use gtm_store::own_files::read_secret;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::ConfigError;

/// A text that may be a secret: no debug output shows it, and its memory is cleared when it is dropped.
#[derive(Clone, Debug, Deserialize)]
#[serde(from = "String")]
pub struct SecretText(SecretString);

impl SecretText {
    /// Returns the text itself.
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl From<String> for SecretText {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl PartialEq for SecretText {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

/// Returns a secret that is set by its value or by the file that contains it.
///
/// # Errors
/// The file cannot be read, or other users may change it.
pub fn secret(value: Option<&SecretText>, file: Option<&Path>) -> Result<Option<String>, ConfigError> {
    match (value, file) {
        (Some(value), _) => Ok(Some(value.expose().to_owned())),
        (None, Some(file)) => {
            let refused = |reason: std::io::Error| match reason.downcast::<ExposedFile>() {
                Ok(exposed) => ConfigError::Exposed(exposed),
                Err(reason) => ConfigError::Unreadable { path: file.to_owned(), reason },
            };
            Ok(Some(read_secret(file).map_err(refused)?.trim_end().to_owned()))
        }
        (None, None) => Ok(None),
    }
}
