//! Writes a selection as pipeline stages, so that the server does not send unwanted events.

use bson::{Document, doc};

use crate::op::OperationType;
use crate::selection::Selection;

/// Returns stages that keep every wanted event, and the end of a stream that was invalidated. There are none if the
/// selection cannot be written as stages.
pub fn wanted_events(selection: &Selection) -> Vec<Document> {
    let Some(rules) = selection.globs() else { return Vec::new() };
    let mut any = vec![doc! { "operationType": "invalidate" }];
    for (pattern, wanted) in rules {
        let mut event = Document::new();
        if let Some((database, collection)) = pattern.split_once('.')
            && !database.contains('*')
        {
            let mut renamed = doc! { "operationType": "rename", "to.db": database };
            event.insert("ns.db", database);
            if !collection.contains('*') {
                event.insert("ns.coll", collection);
                renamed.insert("to.coll", collection);
            }
            if wanted(OperationType::Rename) {
                any.push(renamed);
            }
        }
        // The names of other operations are not known.
        if !wanted(OperationType::Other) {
            let names = OperationType::ALL.into_iter().filter(|operation| wanted(*operation));
            let names: Vec<_> = names.map(OperationType::name).collect();
            event.insert("operationType", doc! { "$in": names });
        }
        if event.is_empty() {
            return Vec::new();
        }
        any.push(event);
    }
    vec![doc! { "$match": { "$or": any } }]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stages(rules: &[(&str, &[OperationType])]) -> Vec<Document> {
        let mut selection = Selection::default();
        for (pattern, operations) in rules {
            selection.add(pattern, operations).unwrap();
        }
        wanted_events(&selection)
    }

    #[test]
    fn unwanted_events_stay_on_the_server() {
        let any = doc! { "$or": [
            { "operationType": "invalidate" },
            { "ns.db": "a", "ns.coll": "b", "operationType": { "$in": ["insert", "dropDatabase"] } },
            { "operationType": "rename", "to.db": "c" },
            { "ns.db": "c" },
        ] };
        let rules: [(&str, &[OperationType]); 2] =
            [("a.b", &[OperationType::DropDatabase, OperationType::Insert]), ("c.x*", &[])];
        assert_eq!(stages(&rules), [doc! { "$match": any }]);
    }

    #[test]
    fn a_selection_that_cannot_be_written_as_stages_has_none() {
        assert_eq!(wanted_events(&Selection::everything()), Vec::<Document>::new());
        assert_eq!(stages(&[("a.b", &[]), ("*", &[])]), Vec::<Document>::new());
        assert_eq!(stages(&[("a.b", &[]), ("/^x/", &[])]), Vec::<Document>::new());
    }
}
