//! The database of the cluster that is the host's own: checkpoints, dead letters, states, the progress of snapshots and leases
//! are kept there, and no plugin gets what happens in it.
//!
//! One process is one host, so this is said once for the process, before anything uses it.

use std::str::FromStr;
use std::sync::OnceLock;

use serde::Deserialize;

/// The host's own database, where no other is chosen.
pub const DEFAULT: &str = "gtm";

/// The longest name that a server takes.
const LONGEST: usize = 63;

static CHOSEN: OnceLock<OwnDatabase> = OnceLock::new();

/// Returns the name of the host's own database.
pub fn own_database() -> &'static str {
    CHOSEN.get().map_or(DEFAULT, |chosen| &chosen.0)
}

/// The name of a database that can be the host's own.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct OwnDatabase(String);

/// Why a name cannot be that of the host's own database.
#[derive(Debug, thiserror::Error)]
pub enum NoOwnDatabase {
    /// The server's own.
    #[error("{0} is a database of the server's own. help: choose another name, such as {DEFAULT}")]
    OfServer(String),
    /// No server takes it.
    #[error("\"{0}\" is not a valid name of a database. help: use 1 to {LONGEST} letters, digits, - and _")]
    Invalid(String),
    /// It was chosen before, and may be in use.
    #[error("the host's own database was chosen before: it is {0}")]
    Chosen(&'static str),
}

impl OwnDatabase {
    /// Makes it the host's own database, for the rest of the process.
    ///
    /// # Errors
    /// Another one was chosen before.
    pub fn choose(&self) -> Result<(), NoOwnDatabase> {
        if CHOSEN.get_or_init(|| self.clone()) == self {
            Ok(())
        } else {
            Err(NoOwnDatabase::Chosen(own_database()))
        }
    }
}

impl FromStr for OwnDatabase {
    type Err = NoOwnDatabase;

    fn from_str(name: &str) -> Result<Self, NoOwnDatabase> {
        let is_plain = |character: char| character.is_alphanumeric() || matches!(character, '-' | '_');
        if matches!(name, "admin" | "config" | "local") {
            Err(NoOwnDatabase::OfServer(name.to_owned()))
        } else if name.is_empty() || name.len() > LONGEST || !name.chars().all(is_plain) {
            Err(NoOwnDatabase::Invalid(name.to_owned()))
        } else {
            Ok(Self(name.to_owned()))
        }
    }
}

impl TryFrom<String> for OwnDatabase {
    type Error = NoOwnDatabase;

    fn try_from(name: String) -> Result<Self, NoOwnDatabase> {
        name.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_a_server_takes_can_be_chosen() {
        for name in ["gtm", "gtm-host_2", "größe"] {
            assert!(name.parse::<OwnDatabase>().is_ok(), "{name}");
        }
        let long = "x".repeat(64);
        for name in ["", "admin", "config", "local", "a.b", "a b", "a/b", "a\\b", "$a", "a\"b", &long] {
            assert!(name.parse::<OwnDatabase>().is_err(), "{name}");
        }
    }
}
