//! Decides which changes are wanted. Most changes of a busy server end here, so the decision for a namespace is made
//! once and cached.

mod pattern;

use std::sync::Arc;

use bson::{RawBsonRef, RawDocument};
use foldhash::HashMap;
pub use pattern::{Pattern, PatternError, is_system};
use sha2::{Digest, Sha256};

use crate::op::{Namespace, Op, OperationType};
use crate::own_database::own_database;

/// The number of cached namespaces at which the cache is cleared. It bounds the memory if new namespaces keep
/// appearing.
const MAX_CACHED: usize = 10_000;
/// A longer name, in bytes, clears the cache. No server accepts such a name, but a file may contain it.
const MAX_CACHED_LENGTH: usize = 1 << 10;

/// The maximum number of rules to push down to a server. With more, comparing each change with the rules costs the
/// server more than sending it.
const MAX_PUSHED_DOWN_RULES: usize = 64;

/// A set of operation types, one bit each.
type Operations = u16;

/// The changes that a plugin subscribed to.
///
/// ```
/// use gtm_oplog::{OperationType, Selection};
///
/// let mut selection = Selection::default();
/// selection.add("shop.*", &[OperationType::Insert])?;
/// assert!(selection.select("shop", "orders", OperationType::Insert).is_some());
/// assert!(selection.select("shop", "orders", OperationType::Delete).is_none());
/// # Ok::<(), gtm_oplog::PatternError>(())
/// ```
#[derive(Clone, Debug, Default)]
pub struct Selection {
    rules: Vec<Rule>,
    everything: bool,
    /// The cached namespaces with the operations wanted in each.
    cached: Vec<(Arc<Namespace>, Operations)>,
    index: HashMap<Box<str>, usize>,
    /// A buffer for the key of a lookup, so that a cached lookup allocates nothing.
    key: String,
}

/// A pattern of namespaces, and the operations wanted there.
#[derive(Clone, Debug, PartialEq)]
struct Rule {
    pattern: Pattern,
    operations: Operations,
}

/// Equal if they want the same by the same rules, in any order.
impl PartialEq for Selection {
    fn eq(&self, other: &Self) -> bool {
        let has_all = |one: &Self, other: &Self| other.rules.iter().all(|rule| one.rules.contains(rule));
        self.everything == other.everything
            && (self.everything || (has_all(self, other) && has_all(other, self)))
    }
}

impl Selection {
    /// Returns a selection of all changes except those in databases and collections of the server and the host.
    pub fn everything() -> Self {
        Self { everything: true, ..Self::default() }
    }

    /// Adds the changes in namespaces that match `pattern`. In it, `*` matches any characters; between two slashes,
    /// it is a regular expression. An empty list of operations means all.
    ///
    /// # Errors
    /// The pattern is not valid, or matches only namespaces whose changes are skipped.
    pub fn add(&mut self, pattern: &str, operations: &[OperationType]) -> Result<(), PatternError> {
        let pattern = Pattern::new(pattern)?;
        pattern.check(own_database())?;
        let operations = operations.iter().fold(0, |set, operation| set | bit(*operation));
        let operations = if operations == 0 { Operations::MAX } else { operations };
        self.rules.push(Rule { pattern, operations });
        self.clear_cache();
        Ok(())
    }

    /// Adds everything that another selection wants.
    pub fn add_all(&mut self, other: &Self) {
        self.everything |= other.everything;
        self.rules.extend(other.rules.iter().cloned());
        self.clear_cache();
    }

    /// Returns the globs of the selection, each with the operations wanted there. None: it wants everything, has too
    /// many rules for a server, or uses regular expressions, whose dialect differs from the server's.
    pub fn globs(&self) -> Option<impl Iterator<Item = (&str, impl Fn(OperationType) -> bool)>> {
        let by_globs = !self.everything
            && self.rules.len() <= MAX_PUSHED_DOWN_RULES
            && self.rules.iter().all(|rule| rule.pattern.glob().is_some());
        by_globs.then(|| {
            self.rules.iter().filter_map(|rule| {
                let wanted = move |operation| rule.operations & bit(operation) != 0;
                Some((rule.pattern.glob()?, wanted))
            })
        })
    }

    /// Returns whether the operation may be wanted in some collection of the database.
    pub fn may_want(&self, database: &str, operation: OperationType) -> bool {
        let may = |rule: &Rule| rule.operations & bit(operation) != 0 && rule.pattern.may_match_in(database);
        !is_internal(database, "") && (self.everything || self.rules.iter().any(may))
    }

    /// Returns the namespaces that rules for this operation name in full, without a wildcard.
    pub fn named(&self, operation: OperationType) -> impl Iterator<Item = &str> {
        let wanting = self.rules.iter().filter(move |rule| rule.operations & bit(operation) != 0);
        wanting.filter_map(|rule| rule.pattern.name())
    }

    /// Returns a digest of the rules to store. It does not depend on their order.
    pub fn digest(&self) -> String {
        let mut rules: Vec<_> =
            self.rules.iter().map(|rule| format!("{} {}\0", rule.pattern, rule.operations)).collect();
        rules.sort_unstable();
        rules.dedup();
        let rules = if self.everything { "everything".to_owned() } else { rules.concat() };
        hex::encode(Sha256::digest(rules))
    }

    /// Returns the namespace if the operation is wanted there.
    pub fn select(
        &mut self,
        database: &str,
        collection: &str,
        operation: OperationType,
    ) -> Option<Arc<Namespace>> {
        let (namespace, operations) = self.look_up(database, collection)?;
        (operations & bit(operation) != 0).then(|| Arc::clone(namespace))
    }

    /// Returns whether an op that was read for several selections is wanted by this one.
    pub fn wants(&mut self, op: &Op) -> bool {
        let (database, collection) = (&op.namespace.database, &op.namespace.collection);
        let wanted = self.select(database, collection, op.operation_type).is_some();
        if wanted || op.operation_type != OperationType::Rename {
            return wanted;
        }
        // The new name, as the oplog or a change event writes it.
        let command = op.command.as_deref().and_then(|command| RawDocument::from_bytes(command).ok());
        let to = command.and_then(|command| match command.get("to").ok()?? {
            RawBsonRef::String(to) => Some(to.to_owned()),
            RawBsonRef::Document(to) => {
                Some(format!("{}.{}", to.get_str("db").ok()?, to.get_str("coll").ok()?))
            }
            _ => None,
        });
        to.is_some_and(|to| self.select_rename(database, collection, &to).is_some())
    }

    /// Returns the namespace of a collection that is renamed `to` another if either name is wanted.
    pub(crate) fn select_rename(
        &mut self,
        database: &str,
        collection: &str,
        to: &str,
    ) -> Option<Arc<Namespace>> {
        let by_source = self.select(database, collection, OperationType::Rename);
        if by_source.is_some() {
            return by_source;
        }
        let (to_database, to_collection) = to.split_once('.')?;
        self.select(to_database, to_collection, OperationType::Rename)?;
        self.look_up(database, collection).map(|(namespace, _)| Arc::clone(namespace))
    }

    /// Returns the namespace and the operations wanted there, from the cache if possible. The set of operations may be
    /// empty.
    fn look_up(&mut self, database: &str, collection: &str) -> Option<&(Arc<Namespace>, Operations)> {
        self.key.clear();
        self.key.push_str(database);
        self.key.push('.');
        self.key.push_str(collection);
        let index = match self.index.get(self.key.as_str()) {
            Some(index) => *index,
            None => {
                if self.cached.len() >= MAX_CACHED || self.key.len() > MAX_CACHED_LENGTH {
                    self.clear_cache();
                }
                let operations = self.operations(database, collection);
                let namespace = Namespace { database: database.into(), collection: collection.into() };
                let index = self.cached.len();
                self.cached.push((Arc::new(namespace), operations));
                self.index.insert(self.key.as_str().into(), index);
                index
            }
        };
        self.cached.get(index)
    }

    fn clear_cache(&mut self) {
        self.cached.clear();
        self.index.clear();
    }

    fn operations(&self, database: &str, collection: &str) -> Operations {
        if is_internal(database, collection) {
            return 0;
        }
        if self.everything {
            return Operations::MAX;
        }
        self.rules
            .iter()
            .filter(|rule| rule.pattern.is_match(&self.key))
            .fold(0, |set, rule| set | rule.operations)
    }
}

/// Returns whether a namespace belongs to the server or the host.
fn is_internal(database: &str, collection: &str) -> bool {
    is_reserved_database(database) || is_system(collection)
}

/// Returns whether a database belongs to the server or the host.
pub fn is_reserved_database(database: &str) -> bool {
    pattern::is_server_database(database) || database == own_database()
}

fn bit(operation: OperationType) -> Operations {
    1 << operation as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wants(selection: &mut Selection, database: &str, collection: &str, operation: OperationType) -> bool {
        let first = selection.select(database, collection, operation);
        let again = selection.select(database, collection, operation);
        assert_eq!(first, again, "what is remembered is what was worked out");
        first.is_some()
    }

    #[test]
    fn a_star_stands_for_any_characters_dots_too() {
        let mut selection = Selection::default();
        selection.add("shop.*", &[OperationType::Insert, OperationType::DropDatabase]).unwrap();
        assert!(wants(&mut selection, "shop", "orders.2026", OperationType::Insert));
        assert!(wants(&mut selection, "shop", "", OperationType::DropDatabase));
        assert!(!wants(&mut selection, "shop", "orders.2026", OperationType::Delete));
        assert!(!wants(&mut selection, "shop2", "orders", OperationType::Insert));
        selection.add("odd.a{b,c}[?]", &[]).unwrap();
        assert!(wants(&mut selection, "odd", "a{b,c}[?]", OperationType::Insert));
    }

    #[test]
    fn a_backslash_is_a_character() {
        let mut selection = Selection::default();
        selection.add(r"shop.CORP\alice", &[]).unwrap();
        selection.add(r"shop.DOM\*", &[]).unwrap();
        assert!(wants(&mut selection, "shop", r"CORP\alice", OperationType::Insert));
        assert!(wants(&mut selection, "shop", r"DOM\bob", OperationType::Insert));
        assert!(!wants(&mut selection, "shop", "CORPalice", OperationType::Insert));
        assert!(!wants(&mut selection, "shop", "DOM*", OperationType::Insert));
    }

    #[test]
    fn a_pattern_that_no_change_can_match_is_refused_with_what_to_write() {
        let said = |pattern: &str| Selection::default().add(pattern, &[]).map_err(|error| error.to_string());
        for (pattern, what) in [
            ("admin.*", "the server's own"),
            ("config.x", "the server's own"),
            ("local.oplog.rs", "the server's own"),
            ("gtm.*", "the host skips the database gtm"),
            ("shop.system.js", "system.*"),
            ("shop.system.*", "system.*"),
            (r"/^admin\./", "the server's own"),
            (r"/^gtm\.[a-z]+$/", "the host skips the database gtm"),
            (r"/^shop\.system\.[jv]/", "system.*"),
            ("a.b,a.c", r"/^a\.b,a\.c$/"),
            ("a.b|a.*", r"/^a\.b\|a\..*$/"),
            ("a.b; c.d", "each namespace by itself"),
            (" shop.orders", "DATABASE.COLLECTION"),
            ("/shop.orders", "a regular expression between two slashes"),
            ("shop", "shop.*"),
        ] {
            let error = said(pattern).unwrap_err();
            assert!(error.contains(what), "{pattern}: {error}");
        }
        // These match something: names can contain dots, commas and bars, and a star matches any characters.
        for pattern in [
            "*",
            "*.*",
            "*.system.js",
            "sh*.system.js",
            "a*.b",
            "a.b,c",
            "a.b|c",
            "administration.x",
            "gtm2.x",
            "/^admin/",
            r"/^(admin|shop)\./",
            r"/^gtms?\./",
            r"/admin\./",
            "a.",
        ] {
            assert_eq!(said(pattern), Ok(()), "{pattern}");
        }
        let mut odd = Selection::default();
        odd.add(r"/^a\.b,a\.c$/", &[]).unwrap();
        assert!(wants(&mut odd, "a", "b,a.c", OperationType::Insert));
    }

    #[test]
    fn a_pattern_between_slashes_is_a_regular_expression() {
        let mut selection = Selection::default();
        selection.add(r"/^shop\.(orders|users)$/", &[]).unwrap();
        assert!(wants(&mut selection, "shop", "users", OperationType::Insert));
        assert!(!wants(&mut selection, "shop", "users2", OperationType::Insert));
        let said = selection.add("/shop(/", &[]).unwrap_err().to_string();
        assert_eq!(said, "\"/shop(/\" is not a valid regular expression: unclosed group");
        assert!(selection.add("shop", &[]).unwrap_err().to_string().contains("shop.*"));
    }

    #[test]
    fn rules_add_up_and_without_rules_nothing_is_wanted() {
        let mut selection = Selection::default();
        assert!(!wants(&mut selection, "a", "b", OperationType::Insert));
        selection.add("a.b", &[OperationType::Insert]).unwrap();
        selection.add("a.*", &[OperationType::Delete]).unwrap();
        assert!(wants(&mut selection, "a", "b", OperationType::Insert));
        assert!(wants(&mut selection, "a", "b", OperationType::Delete));
        assert!(!wants(&mut selection, "a", "c", OperationType::Insert));
    }

    #[test]
    fn the_namespaces_of_the_server_are_never_wanted() {
        let mut selection = Selection::everything();
        assert!(wants(&mut selection, "a", "b", OperationType::Other));
        for (database, collection) in [("config", "x"), ("local", "x"), ("a", "system.views"), ("gtm", "x")] {
            assert!(!wants(&mut selection, database, collection, OperationType::Insert));
        }
    }

    #[test]
    fn a_database_is_searched_if_a_pattern_can_match_a_collection_in_it() {
        let mut selection = Selection::default();
        selection.add("shop.orders", &[OperationType::Insert]).unwrap();
        selection.add("cr*m.*", &[OperationType::Insert]).unwrap();
        selection.add("logs.*", &[OperationType::Delete]).unwrap();
        let may = |database| selection.may_want(database, OperationType::Insert);
        assert!(may("shop") && may("crm") && may("crXm"));
        assert!(!may("sho") && !may("shops") && !may("logs") && !may("local"));
        assert_eq!(selection.named(OperationType::Insert).collect::<Vec<_>>(), ["shop.orders"]);
        assert!(!Selection::everything().may_want("local", OperationType::Insert));
    }

    #[test]
    fn selections_are_equal_if_their_rules_are_in_any_order() {
        let selection = |patterns: &[&str], operations: &[OperationType]| {
            let mut selection = Selection::default();
            patterns.iter().for_each(|pattern| selection.add(pattern, operations).unwrap());
            selection
        };
        let of = |patterns: &[&str]| selection(patterns, &[]);
        let mut used = of(&["a.b", "c.*"]);
        used.select("a", "b", OperationType::Insert);
        let mut more = Selection::everything();
        more.add_all(&of(&["a.b"]));
        for (one, other, equal) in [
            (&used, &of(&["c.*", "a.b", "a.b"]), true),
            (&Selection::everything(), &more, true),
            (&of(&["a.b"]), &of(&["a.*"]), false),
            (&of(&["a.b"]), &of(&["a.b", "a.c"]), false),
            (&of(&["a.b"]), &selection(&["a.b"], &[OperationType::Insert]), false),
            (&of(&[]), &Selection::everything(), false),
        ] {
            assert_eq!(one == other, equal, "{one:?} {other:?}");
            assert_eq!(other == one, equal, "{other:?} {one:?}");
            assert_eq!(one.digest() == other.digest(), equal, "the digest says the same");
        }
    }

    #[test]
    fn the_memory_of_namespaces_is_bounded() {
        let mut selection = Selection::everything();
        for n in 0..=MAX_CACHED {
            selection.select("a", &n.to_string(), OperationType::Insert);
        }
        assert!(selection.index.len() <= MAX_CACHED);
    }
}
