//! What of a deployment a change stream watches.

use std::fmt;

use bson::RawBson;
use mongodb::Namespace;

/// What of the deployment is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Every database but the server's own.
    Deployment,
    /// One database.
    Database(String),
    /// One collection, which need not exist yet.
    Collection(Namespace),
}

impl Scope {
    /// The database that the command is run on.
    pub(super) fn database(&self) -> &str {
        match self {
            Self::Deployment => "admin",
            Self::Database(database) => database,
            Self::Collection(namespace) => &namespace.db,
        }
    }

    /// What the command names: a collection, or none.
    pub(super) fn target(&self) -> RawBson {
        match self {
            Self::Collection(namespace) => namespace.coll.clone().into(),
            _ => 1.into(),
        }
    }

    /// The role that allows to watch it, as mongosh takes it.
    pub(super) fn role(&self) -> String {
        match self {
            Self::Deployment => "{role: \"readAnyDatabase\", db: \"admin\"}".to_owned(),
            _ => format!("{{role: \"read\", db: \"{}\"}}", self.database()),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Deployment => f.write_str("the deployment"),
            Self::Database(database) => write!(f, "the database {database}"),
            Self::Collection(namespace) => write!(f, "the collection {namespace}"),
        }
    }
}
