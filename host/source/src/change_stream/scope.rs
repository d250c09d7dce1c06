//! What of a deployment a change stream watches.

use std::fmt;

use bson::RawBson;
use gtm_oplog::Selection;
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
    /// The smallest that has all that is selected in it: it needs the fewest rights.
    pub(crate) fn of(selection: &Selection) -> Self {
        let Some(rules) = selection.globs() else { return Self::Deployment };
        // A pattern without a dot has a star in its database.
        let mut patterns = rules.map(|(pattern, _)| pattern.split_once('.').unwrap_or((pattern, "*")));
        let Some((database, collection)) = patterns.next() else { return Self::Deployment };
        let (mut one_database, mut one_collection) = (!database.contains('*'), !collection.contains('*'));
        for other in patterns {
            one_database &= other.0 == database;
            one_collection &= other == (database, collection);
        }
        match (one_database, one_collection) {
            (true, true) => Self::Collection(Namespace::new(database, collection)),
            (true, false) => Self::Database(database.to_owned()),
            (false, _) => Self::Deployment,
        }
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    fn scope(patterns: &[&str]) -> String {
        let mut selection = Selection::default();
        for pattern in patterns {
            selection.add(pattern, &[]).unwrap();
        }
        Scope::of(&selection).to_string()
    }

    #[test]
    fn the_scope_is_the_smallest() {
        assert_eq!(scope(&["a.b"]), "the collection a.b");
        assert_eq!(scope(&["a.b.c", "a.b.c"]), "the collection a.b.c");
        assert_eq!(scope(&["a.b", "a.c"]), "the database a");
        assert_eq!(scope(&["a.*"]), "the database a");
        for all in [&["a.b", "b.b"][..], &["*"], &["a*.b"], &["a.b", "*"], &["/a.b/"], &[]] {
            assert_eq!(scope(all), "the deployment", "{all:?}");
        }
    }
}
