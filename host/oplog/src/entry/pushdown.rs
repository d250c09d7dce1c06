//! Writes a selection as a filter, so that the server does not send unwanted entries.

use bson::{Bson, Document, Regex, doc};

use crate::op::OperationType;
use crate::selection::Selection;

/// Returns a filter that matches every entry with a wanted op, and also no-ops, commands and whatever else is not a
/// change to one document: a transaction is a command, and so is its end. None: the server must send all entries.
pub fn wanted_entries(selection: &Selection) -> Option<Document> {
    let mut any = vec![doc! { "op": { "$nin": ["i", "u", "d"] } }];
    for (pattern, wanted) in selection.globs()? {
        let kinds: Vec<_> = [
            ("i", wanted(OperationType::Insert)),
            ("u", wanted(OperationType::Update) || wanted(OperationType::Replace)),
            ("d", wanted(OperationType::Delete)),
        ]
        .into_iter()
        .filter_map(|(kind, wanted)| wanted.then_some(kind))
        .collect();
        if kinds.is_empty() {
            continue;
        }
        let namespace = namespace(pattern)?;
        any.push(match kinds.len() {
            3 => doc! { "ns": namespace },
            _ => doc! { "ns": namespace, "op": { "$in": kinds } },
        });
    }
    Some(doc! { "$or": any })
}

fn namespace(pattern: &str) -> Option<Bson> {
    if !pattern.contains('*') {
        return Some(pattern.into());
    }
    let parts: Vec<_> = pattern.split('*').map(regex::escape).collect();
    let pattern = format!("^{}$", parts.join(".*")).try_into().ok()?;
    // With `s`, a dot also matches a line break, which the name of a collection may contain.
    Some(Bson::RegularExpression(Regex { pattern, options: "s".try_into().ok()? }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filter(rules: &[(&str, &[OperationType])]) -> Option<Document> {
        let mut selection = Selection::default();
        for (pattern, operations) in rules {
            selection.add(pattern, operations).unwrap();
        }
        wanted_entries(&selection)
    }

    #[test]
    fn changes_to_documents_are_filtered_and_nothing_else() {
        let others = doc! { "op": { "$nin": ["i", "u", "d"] } };
        assert_eq!(filter(&[("a.b", &[])]), Some(doc! { "$or": [&others, { "ns": "a.b" }] }));
        let inserts = filter(&[("a.b", &[OperationType::Insert]), ("a.c", &[OperationType::Drop])]);
        assert_eq!(inserts, Some(doc! { "$or": [&others, { "ns": "a.b", "op": { "$in": ["i"] } }] }));
        let replaced = filter(&[("a.b", &[OperationType::Replace, OperationType::Delete])]).unwrap();
        assert_eq!(replaced, doc! { "$or": [&others, { "ns": "a.b", "op": { "$in": ["u", "d"] } }] });
    }

    #[test]
    fn a_glob_is_a_regular_expression_in_which_nothing_else_is_special() {
        let filter = filter(&[("a.x+*", &[])]).unwrap();
        let namespace = filter.get_array("$or").unwrap()[1].as_document().unwrap().get("ns").unwrap();
        let Bson::RegularExpression(regex) = namespace else { panic!("{namespace}") };
        assert_eq!(regex.pattern.as_str(), r"^a\.x\+.*$");
    }

    #[test]
    fn a_selection_that_cannot_be_written_as_a_filter_has_none() {
        assert_eq!(wanted_entries(&Selection::everything()), None);
        assert_eq!(filter(&[("a.b", &[]), ("/^x/", &[])]), None);
        let many: Vec<_> = (0..100).map(|n| format!("a.c{n}")).collect();
        let many: Vec<_> = many.iter().map(|pattern| (pattern.as_str(), &[][..])).collect();
        assert_eq!(filter(&many), None);
    }
}
