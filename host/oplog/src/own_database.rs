//! The database of the cluster in which the host stores its own data: checkpoints, dead letters, plugin state, the
//! progress of snapshots, and leases. No plugin receives the changes in it.
//!
//! One process is one host, so the database is chosen once per process, before anything uses it.

use std::str::FromStr;
use std::sync::OnceLock;

use serde::Deserialize;

/// The host's own database by default.
pub const DEFAULT: &str = "gtm";

/// The maximum length of a database name that a server accepts, in bytes.
const MAX_NAME_LENGTH: usize = 63;

static CHOSEN: OnceLock<OwnDatabase> = OnceLock::new();

/// Returns the name of the host's own database.
pub fn own_database() -> &'static str {
    CHOSEN.get().map_or(DEFAULT, |chosen| &chosen.0)
}

/// A valid name for the host's own database.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct OwnDatabase(String);

/// The reason why a database cannot be the host's own.
#[derive(Debug, thiserror::Error)]
pub enum OwnDatabaseError {
    /// The server uses this database itself.
    #[error("{0} is one of the server's own databases. help: choose another name, such as {DEFAULT}")]
    OfServer(String),
    /// Servers do not accept the name.
    #[error(
        "\"{0}\" is not a valid database name. help: use 1 to {MAX_NAME_LENGTH} letters, digits, - and _"
    )]
    Invalid(String),
    /// Another database was chosen before, and may be in use.
    #[error("the host's own database was chosen before: it is {0}")]
    Chosen(&'static str),
}

impl OwnDatabase {
    /// Makes this the host's own database, until the process ends.
    ///
    /// # Errors
    /// Another one was chosen before.
    pub fn choose(&self) -> Result<(), OwnDatabaseError> {
        if CHOSEN.get_or_init(|| self.clone()) == self {
            Ok(())
        } else {
            Err(OwnDatabaseError::Chosen(own_database()))
        }
    }
}

impl FromStr for OwnDatabase {
    type Err = OwnDatabaseError;

    fn from_str(name: &str) -> Result<Self, OwnDatabaseError> {
        let is_plain = |character: char| character.is_alphanumeric() || matches!(character, '-' | '_');
        if matches!(name, "admin" | "config" | "local") {
            Err(OwnDatabaseError::OfServer(name.to_owned()))
        } else if name.is_empty() || name.len() > MAX_NAME_LENGTH || !name.chars().all(is_plain) {
            Err(OwnDatabaseError::Invalid(name.to_owned()))
        } else {
            Ok(Self(name.to_owned()))
        }
    }
}

impl TryFrom<String> for OwnDatabase {
    type Error = OwnDatabaseError;

    fn try_from(name: String) -> Result<Self, OwnDatabaseError> {
        name.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_a_server_accepts_can_be_chosen() {
        for name in ["gtm", "gtm-host_2", "größe"] {
            assert!(name.parse::<OwnDatabase>().is_ok(), "{name}");
        }
        let long = "x".repeat(64);
        for name in ["", "admin", "config", "local", "a.b", "a b", "a/b", "a\\b", "$a", "a\"b", &long] {
            assert!(name.parse::<OwnDatabase>().is_err(), "{name}");
        }
    }
}
