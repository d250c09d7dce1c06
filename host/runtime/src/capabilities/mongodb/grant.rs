//! The namespaces that a plugin may use.

use std::fmt;

use gtm_oplog::Pattern;
use gtm_oplog::selection::{is_reserved_database, is_system};
use serde::Deserialize;
use serde::de::{self, Deserializer};

/// The namespaces that a plugin may use.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct MongodbGrants {
    /// Where it may find and aggregate.
    pub read: Vec<NamespaceGrant>,
    /// Where it may insert, update, replace and delete.
    pub write: Vec<NamespaceGrant>,
}

/// A pattern of namespaces, as in a subscription: `shop.orders`, `shop.*`.
#[derive(Clone, Debug)]
pub struct NamespaceGrant(Pattern);

impl NamespaceGrant {
    /// Parses a pattern.
    ///
    /// # Errors
    /// The pattern is not valid.
    pub fn new(pattern: &str) -> Result<Self, gtm_oplog::PatternError> {
        Pattern::new(pattern).map(Self)
    }

    /// Returns whether it covers `database.collection`. It covers databases and collections of the server and of the host only if it names
    /// them: `shop.*` does not cover `shop.system.views`, but `shop.system.*` does.
    pub(crate) fn covers(&self, namespace: &str) -> bool {
        let (database, collection) = namespace.split_once('.').unwrap_or((namespace, ""));
        let begins_with = |start: &str| self.0.to_string().starts_with(start);
        self.0.is_match(namespace)
            && (!is_reserved_database(database) || begins_with(&format!("{database}.")))
            && (!is_system(collection) || begins_with(&format!("{database}.system.")))
    }
}

impl PartialEq for NamespaceGrant {
    fn eq(&self, other: &Self) -> bool {
        self.to_string() == other.to_string()
    }
}

impl fmt::Display for NamespaceGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<'de> Deserialize<'de> for NamespaceGrant {
    fn deserialize<D: Deserializer<'de>>(text: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(text)?).map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_wildcard_covers_namespaces_of_the_server_or_the_host() {
        let covers = |pattern: &str, namespace| NamespaceGrant::new(pattern).unwrap().covers(namespace);
        assert!(covers("*", "shop.orders") && covers("shop.*", "shop.orders.2026"));
        assert!(!covers("shop.*", "shops.orders"));
        for namespace in ["gtm.checkpoints", "admin.system.users", "local.oplog.rs", "config.settings"] {
            assert!(!covers("*", namespace) && !covers("*.*", namespace), "{namespace}");
            assert!(covers(namespace, namespace));
        }
        for namespace in ["shop.system.views", "shop.system.js", "admin.system.users"] {
            let (database, _) = namespace.split_once('.').unwrap();
            for pattern in
                ["*", "*.system.*", "/system/", &format!("{database}.*"), &format!("{database}.system*")]
            {
                assert!(!covers(pattern, namespace), "{pattern}");
            }
            assert!(covers(&format!("{database}.system.*"), namespace) && covers(namespace, namespace));
        }
        assert!(covers("shop.*", "shop.systems") && covers("shop.*", "shop.a.system.b"));
    }
}
