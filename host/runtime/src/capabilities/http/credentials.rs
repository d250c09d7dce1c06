//! The credentials of signatures, which may be in files that are replaced while the host runs.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use http::HeaderValue;
use tokio::sync::Mutex;

use super::aws::AwsSignature;
use crate::load_error::SetupError;
use crate::secret::SecretError;

/// The time for which the host uses credentials before it reads them again. Their files have no time of expiry, and whoever replaces
/// temporary credentials does so some minutes before they expire.
const READ_INTERVAL: Duration = Duration::from_secs(1);

/// The credentials at one time.
pub(super) struct Credentials {
    pub(super) access_key: String,
    pub(super) secret_key: String,
    pub(super) session_token: Option<HeaderValue>,
}

/// Why credentials cannot be used.
#[derive(Debug)]
pub(super) enum InvalidCredentials {
    Secret { name: &'static str, reason: SecretError },
    Header { name: &'static str },
}

/// The host cannot read the credentials. A plugin gets this sentence: files and variables are the operator's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the host has no valid credentials for this server")]
pub(super) struct NoCredentials;

/// Reads the credentials of a grant: on a thread of its own, as a file may be on a network, and one reading at a time.
pub(super) struct CredentialReader {
    plugin: String,
    grant: String,
    signature: AwsSignature,
    last: Arc<Mutex<LastReading>>,
}

/// The last reading, if there was one.
#[derive(Default)]
struct LastReading {
    /// When it ended, and the credentials unless it failed.
    result: Option<(Instant, Result<Arc<Credentials>, NoCredentials>)>,
}

impl CredentialReader {
    /// Makes a reader for the signature of a grant of a plugin.
    pub(super) fn new(plugin: &str, grant: &dyn fmt::Display, signature: AwsSignature) -> Self {
        Self { plugin: plugin.to_owned(), grant: grant.to_string(), signature, last: Arc::default() }
    }

    pub(super) fn signature(&self) -> &AwsSignature {
        &self.signature
    }

    /// Checks that the credentials can be read, before the plugin starts.
    ///
    /// # Errors
    /// One is missing or not valid.
    pub(super) fn check(&self) -> Result<(), SetupError> {
        self.signature.read().map(|_| ()).map_err(|error| error.of(&self.plugin, &self.grant))
    }

    /// Returns the credentials, at most [`READ_INTERVAL`] old. The first failure in a row is logged.
    ///
    /// # Errors
    /// They cannot be read.
    pub(super) async fn read(&self) -> Result<Arc<Credentials>, NoCredentials> {
        // The reading keeps the lock even if nobody waits for it any longer.
        let mut last = Arc::clone(&self.last).lock_owned().await;
        if let Some((at, result)) = &last.result
            && at.elapsed() < READ_INTERVAL
        {
            return result.clone();
        }
        let (signature, plugin, grant) = (self.signature.clone(), self.plugin.clone(), self.grant.clone());
        let reading = tokio::task::spawn_blocking(move || {
            let had_failed = matches!(last.result, Some((_, Err(_))));
            let result = signature.read().map(Arc::new).map_err(|error| {
                if !had_failed {
                    let error = error.of(&plugin, &grant);
                    tracing::warn!(
                        event = "http.sign_failed", plugin, %error,
                        "the host cannot sign the requests of the plugin"
                    );
                }
                NoCredentials
            });
            last.result = Some((Instant::now(), result.clone()));
            result
        });
        reading.await.unwrap_or(Err(NoCredentials))
    }
}

impl InvalidCredentials {
    /// Returns the error with the plugin and the grant.
    fn of(self, plugin: &str, grant: &str) -> SetupError {
        let (plugin, grant) = (plugin.to_owned(), grant.to_owned());
        match self {
            Self::Secret { name, reason } => {
                SetupError::Secret { plugin, what: format!("the {name} for {grant}"), reason }
            }
            Self::Header { name } => SetupError::Header { plugin, header: name.to_owned(), server: grant },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;
    use std::path::Path;
    use std::process::Command;

    use super::*;

    fn reader(token: &Path) -> CredentialReader {
        let text = format!(
            "region = \"r\"\nservice = \"es\"\naccess_key = \"a\"\nsecret_key = \"s\"\nsession_token = {{ file = \"{}\" }}",
            token.display()
        );
        CredentialReader::new("x", &"http://localhost", toml::from_str(&text).unwrap())
    }

    fn token(credentials: &Credentials) -> &str {
        credentials.session_token.as_ref().unwrap().to_str().unwrap()
    }

    /// The runtime has one thread, which a blocking reading would hold until somebody writes to the pipe.
    #[tokio::test]
    async fn a_slow_file_does_not_hold_the_thread_of_the_runtime() {
        let directory = tempfile::tempdir().unwrap();
        let pipe = directory.path().join("token");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let reader = reader(&pipe);
        let given_up = tokio::time::timeout(Duration::from_millis(1), reader.read()).await;
        assert!(given_up.is_err(), "nobody has written yet");
        let regular = directory.path().join("regular");
        std::fs::write(&regular, "t0ken").unwrap();
        let written = tokio::task::spawn_blocking(move || {
            let mut writer = File::options().write(true).open(&pipe)?;
            // A second reading, if this test is slow, finds a regular file.
            std::fs::rename(regular, &pipe)?;
            writer.write_all(b"t0ken")
        });
        assert_eq!(token(&reader.read().await.unwrap()), "t0ken");
        written.await.unwrap().unwrap();
    }

    #[tokio::test]
    async fn a_file_without_an_end_is_not_read_whole() {
        let reader = reader(Path::new("/dev/zero"));
        let error = reader.check().unwrap_err().to_string();
        assert!(error.contains("the session_token for http://localhost"), "{error}");
        assert!(error.ends_with("/dev/zero cannot be read: it has more than 64 KiB"), "{error}");
        assert_eq!(reader.read().await.err(), Some(NoCredentials));
    }
}
