//! The settings by which a user says which ops a plugin gets, the same for each plugin that has them.

use super::{Setting, SettingType, Settings, nearest};
use crate::config::{Config, ConfigError};
use crate::{Namespace, OperationType, Subscription};

const OPERATIONS: [OperationType; 12] = [
    OperationType::Insert,
    OperationType::Update,
    OperationType::Replace,
    OperationType::Delete,
    OperationType::Create,
    OperationType::Drop,
    OperationType::Rename,
    OperationType::DropDatabase,
    OperationType::CreateIndexes,
    OperationType::DropIndexes,
    OperationType::Modify,
    OperationType::Other,
];

/// The settings `namespaces`, patterns such as `shop.*`, and `operations`, names such as `insert`. Use it as a field with
/// `#[setting(flatten)]`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// The patterns. Empty: every namespace.
    pub namespaces: Vec<String>,
    /// The operations. Empty: all of them.
    pub operations: Vec<OperationType>,
}

impl Selection {
    /// Returns the subscriptions to what is selected.
    pub fn subscriptions(&self) -> Vec<Subscription> {
        self.subscriptions_to(&self.operations)
    }

    /// Returns the subscriptions to these operations in the selected namespaces. No operation means all of them.
    pub fn subscriptions_to(&self, operations: &[OperationType]) -> Vec<Subscription> {
        if self.namespaces.is_empty() && operations.is_empty() {
            return Vec::new();
        }
        let every = ["*".to_owned()];
        let namespaces = if self.namespaces.is_empty() { every.as_slice() } else { &self.namespaces };
        let subscription =
            |namespace: &String| Subscription::new(namespace).operations(operations.iter().copied());
        namespaces.iter().map(subscription).collect()
    }

    /// Returns whether a namespace is selected.
    pub fn selects_namespace(&self, namespace: Namespace<'_>) -> bool {
        self.namespaces.is_empty() || self.namespaces.iter().any(|pattern| namespace.matches(pattern))
    }
}

impl Settings for Selection {
    fn declare() -> Vec<Setting> {
        let setting = |name: &str, former_names: &[&str], doc: &str| Setting {
            name: name.to_owned(),
            setting_type: SettingType::Texts,
            default: None,
            doc: doc.to_owned(),
            required: false,
            secret: false,
            former_names: former_names.iter().map(|name| (*name).to_owned()).collect(),
        };
        vec![
            setting(
                "namespaces",
                &["namespace"],
                "Only changes in these namespaces. * stands for any characters: shop.*, users.users.",
            ),
            setting(
                "operations",
                &[],
                "Only these operations: insert, update, replace, delete, drop and others.",
            ),
        ]
    }

    fn parse(config: &Config) -> Result<Self, ConfigError> {
        let parts = |name| config.get(name).map(|list| list.split(',').map(str::trim)).into_iter().flatten();
        let namespaces =
            parts("namespaces").map(|pattern| check_pattern(pattern).map(|()| pattern.to_owned()));
        Ok(Self {
            namespaces: namespaces.collect::<Result<_, _>>()?,
            operations: parts("operations").map(parse_operation).collect::<Result<_, _>>()?,
        })
    }
}

fn check_pattern(pattern: &str) -> Result<(), ConfigError> {
    let wrong = |help: &str| {
        Err(ConfigError::new(format!(
            "the setting namespaces has the pattern \"{pattern}\", which matches no collection. help: {help}"
        )))
    };
    match pattern {
        "" => wrong("remove the comma, or write * for all collections"),
        _ if pattern.starts_with('/') => wrong(
            "write patterns in which * stands for any characters, such as shop.*; regular expressions do not work here",
        ),
        _ if !pattern.contains(['.', '*']) => {
            wrong(&format!("write {pattern}.* for all collections of a database"))
        }
        _ => Ok(()),
    }
}

fn parse_operation(name: &str) -> Result<OperationType, ConfigError> {
    if let Some(operation) = OPERATIONS.into_iter().find(|operation| operation.to_string() == name) {
        return Ok(operation);
    }
    let known = OPERATIONS.map(|operation| operation.to_string());
    let names: Vec<_> = known.iter().map(String::as_str).collect();
    let end = nearest(name, &names).map_or(".".to_owned(), |nearest| format!(", did you mean {nearest}?"));
    Err(ConfigError::new(format!(
        "the setting operations has the unknown operation \"{name}\"{end} help: write some of {}",
        names.join(", ")
    )))
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;
    use crate::testing::{Harness, delete, insert};
    use crate::{Op, Outcome, Plugin, plugin};

    #[plugin(settings = Selection)]
    struct Selecting(Selection);

    impl Plugin for Selecting {
        fn new(config: Config) -> Result<Self, ConfigError> {
            Ok(Self(config.parse()?))
        }

        fn subscriptions(&self) -> Option<Vec<Subscription>> {
            Some(self.0.subscriptions())
        }

        fn handle(&self, _: &Op) -> Outcome {
            Ok(())
        }
    }

    #[test]
    fn ops_are_selected_by_namespace_and_operation() {
        let mut harness =
            Harness::new().config("namespaces", "shop.*, users.users").config("operations", "insert, drop");
        assert!(harness.run::<Selecting>(&insert("shop.orders", doc! { "_id": 1 })).wanted);
        assert!(harness.run::<Selecting>(&insert("users.users", doc! { "_id": 1 })).wanted);
        assert!(!harness.run::<Selecting>(&insert("hr.people", doc! { "_id": 1 })).wanted);
        assert!(!harness.run::<Selecting>(&delete("shop.orders", doc! { "_id": 1 })).wanted);
        assert!(Harness::new().run::<Selecting>(&delete("hr.people", doc! { "_id": 1 })).wanted);
    }

    #[test]
    fn patterns_and_operations_that_select_nothing_are_refused() {
        let refused = |name: &str, value: &str| {
            Harness::new().config(name, value).start::<Selecting>().unwrap_err().to_string()
        };
        assert!(refused("namespaces", "shop").contains("write shop.* "));
        assert!(refused("namespaces", "/^shop[.]/").contains("regular expressions"));
        assert!(refused("namespaces", "shop.*,").contains("remove the comma"));
        assert!(refused("namespaces", "").contains("\"\""));
        assert!(refused("operations", "insert,delte").contains("did you mean delete?"));
        assert!(refused("nmespaces", "a.b").contains("did you mean namespaces?"));
    }
}
