//! The settings by which a plugin's user says which ops it gets, the same for each plugin that has them: `namespaces`, patterns like
//! `shop.*` with commas between them, and `operations`, names like `insert`.

use crate::settings::nearest;
use crate::{Namespace, Op, OperationType, config};

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

/// Whether the settings `namespaces` and `operations` select an op. One that is not set selects all.
pub fn selects(op: &Op) -> bool {
    let operation = op.operation_type().to_string();
    selects_namespace(op.namespace())
        && config::get("operations").is_none_or(|names| parts(&names).any(|name| name == operation))
}

/// Whether the setting `namespaces` selects a namespace.
pub fn selects_namespace(namespace: Namespace<'_>) -> bool {
    config::get("namespaces").is_none_or(|patterns| namespace.matches(&patterns))
}

/// Checks the settings `namespaces` and `operations`.
///
/// # Errors
/// A pattern that no namespace can match, or an operation that does not exist.
pub fn check_selection() -> Result<(), String> {
    if let Some(patterns) = config::get("namespaces") {
        parts(&patterns).try_for_each(check_pattern)?;
    }
    if let Some(names) = config::get("operations") {
        parts(&names).try_for_each(check_operation)?;
    }
    Ok(())
}

fn parts(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim)
}

fn check_pattern(pattern: &str) -> Result<(), String> {
    let wrong = |help: &str| {
        Err(format!(
            "the setting namespaces has the pattern \"{pattern}\", which matches no collection. help: {help}"
        ))
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

fn check_operation(name: &str) -> Result<(), String> {
    let known = OPERATIONS.map(|operation| operation.to_string());
    if known.iter().any(|known| known == name) {
        return Ok(());
    }
    let names: Vec<_> = known.iter().map(String::as_str).collect();
    let end = nearest(name, &names).map_or(".".to_owned(), |nearest| format!(", did you mean {nearest}?"));
    Err(format!(
        "the setting operations has the unknown operation \"{name}\"{end} help: write some of {}",
        names.join(", ")
    ))
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;
    use crate::settings::Settings;
    use crate::testing::{Harness, delete, insert};
    use crate::{Failure, Outcome, Plugin};

    struct Selecting;

    impl Plugin for Selecting {
        const SETTINGS: Settings = Settings::known(&["namespaces", "operations"]);

        fn check_settings() -> Result<(), String> {
            check_selection()
        }

        fn filter(op: &Op) -> bool {
            selects(op)
        }

        fn handle(_: &Op) -> Outcome {
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
    fn what_would_select_nothing_is_refused() {
        let refused = |name: &str, value: &str| {
            let mut harness = Harness::new().config(name, value);
            match harness.run::<Selecting>(&insert("shop.orders", doc! { "_id": 1 })).outcome {
                Some(Err(Failure::Retry(reason))) => reason,
                other => panic!("{value}: {other:?}"),
            }
        };
        assert!(refused("namespaces", "shop").contains("write shop.* "));
        assert!(refused("namespaces", "/^shop[.]/").contains("regular expressions"));
        assert!(refused("namespaces", "shop.*,").contains("remove the comma"));
        assert!(refused("namespaces", "").contains("\"\""));
        assert!(refused("operations", "insert,delte").contains("did you mean delete?"));
    }
}
