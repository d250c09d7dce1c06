//! The part of a deployment that a change stream watches.

use std::fmt;
use std::sync::Arc;

use bson::RawBson;
use gtm_oplog::Selection;
use mongodb::Namespace;
use parking_lot::Mutex;

/// The part of a deployment that a change stream watches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// Every database except the server's own.
    Deployment,
    /// One database.
    Database(String),
    /// One collection, which may not exist yet.
    Collection(Namespace),
}

impl Scope {
    /// Returns the smallest scope with everything that `selection` wants: it needs the fewest rights.
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

    /// Returns the smallest scope with everything in both.
    pub(super) fn union(&self, other: &Self) -> Self {
        match (self, other) {
            (one, other) if one == other => one.clone(),
            (Self::Deployment, _) | (_, Self::Deployment) => Self::Deployment,
            (one, other) if one.database() == other.database() => Self::Database(one.database().to_owned()),
            _ => Self::Deployment,
        }
    }

    /// Returns the database on which the command runs.
    pub(super) fn database(&self) -> &str {
        match self {
            Self::Deployment => "admin",
            Self::Database(database) => database,
            Self::Collection(namespace) => &namespace.db,
        }
    }

    /// Returns the command's target: the name of a collection, or 1.
    pub(super) fn target(&self) -> RawBson {
        match self {
            Self::Collection(namespace) => namespace.coll.clone().into(),
            _ => 1.into(),
        }
    }

    /// Returns the role that allows to watch it, in the syntax of mongosh.
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

/// The part of a deployment that the change streams of one host watch. Clones share it.
///
/// It only grows. A server cannot resume a stream after an event outside of the stream's scope, and each reader of a host
/// must be able to resume at the position of any other.
#[derive(Clone, Debug, Default)]
pub struct WatchedScope(Arc<Mutex<Option<Scope>>>);

impl WatchedScope {
    /// Adds everything that `selection` wants. Streams that are open stay as they are.
    pub fn add(&self, selection: &Selection) {
        if *selection != Selection::default() {
            self.add_scope(&Scope::of(selection));
        }
    }

    pub(super) fn add_scope(&self, scope: &Scope) {
        let mut watched = self.0.lock();
        *watched = Some(watched.as_ref().map_or_else(|| scope.clone(), |watched| watched.union(scope)));
    }

    /// Returns the scope of a stream that is to be opened for `selection`.
    pub(super) fn with(&self, selection: &Selection) -> Scope {
        let scope = Scope::of(selection);
        self.0.lock().as_ref().map_or_else(|| scope.clone(), |watched| watched.union(&scope))
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

    #[test]
    fn a_watched_scope_only_grows() {
        let selection = |pattern: &str| {
            let mut selection = Selection::default();
            selection.add(pattern, &[]).unwrap();
            selection
        };
        let watched = WatchedScope::default();
        watched.add(&Selection::default());
        assert_eq!(watched.with(&selection("a.b")).to_string(), "the collection a.b", "nothing was wanted");
        let mut scopes = Vec::new();
        for pattern in ["a.b", "a.b", "a.c", "a.b", "b.*", "a.b"] {
            let scope = watched.with(&selection(pattern));
            watched.clone().add_scope(&scope);
            scopes.push(scope.to_string());
        }
        let (collection, database, all) = ("the collection a.b", "the database a", "the deployment");
        assert_eq!(scopes, [collection, collection, database, database, all, all]);
    }
}
