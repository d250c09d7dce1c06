//! What a pipeline or a filter reads beside its collection, and what it may not do.

use bson::{RawBsonRef, RawDocument};

/// Levels of a document; a server takes no more than 180 itself.
const DEEPEST: usize = 200;

/// What a plugin asks of a server, looked through before it is sent.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Looked {
    /// The other namespaces that it reads.
    pub(super) reads: Vec<String>,
}

/// Why it is not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is no BSON, or too deep.
    Invalid(String),
    /// It does what is granted to nobody.
    Never(String),
}

impl Looked {
    /// Looks through a document that is meant for a collection of this database.
    ///
    /// It goes through all levels: what looks like a stage is taken for one wherever it stands.
    pub(super) fn look(&mut self, document: &RawDocument, database: &str) -> Result<(), Refusal> {
        walk(document, |name, value| match name.starts_with('$') {
            true => self.look_at(name, value, database),
            false => Ok(()),
        })
    }

    fn look_at(&mut self, name: &str, value: RawBsonRef<'_>, database: &str) -> Result<(), Refusal> {
        match name {
            "$out" | "$merge" => Err(Refusal::Never(format!("an aggregation reads: {name} writes"))),
            "$where" | "$function" | "$accumulator" => {
                Err(Refusal::Never(format!("{name} runs JavaScript on the server")))
            }
            // They tell of the server and its users, not of a collection.
            "$currentOp"
            | "$listSessions"
            | "$listLocalSessions"
            | "$listSampledQueries"
            | "$changeStream" => Err(Refusal::Never(format!("{name} reads no collection"))),
            "$lookup" | "$graphLookup" => match value {
                RawBsonRef::Document(stage) => self.read_from(stage.get("from").ok().flatten(), database),
                _ => Ok(()),
            },
            "$unionWith" => match value {
                RawBsonRef::Document(stage) => match stage.get("coll").ok().flatten() {
                    // Either a text, or a document in which both stand.
                    Some(RawBsonRef::String(_)) => self.read_from(Some(value), database),
                    _ => Ok(()),
                },
                _ => self.read_from(Some(value), database),
            },
            _ => Ok(()),
        }
    }

    fn read_from(&mut self, from: Option<RawBsonRef<'_>>, database: &str) -> Result<(), Refusal> {
        let namespace = match from {
            Some(RawBsonRef::String(collection)) => format!("{database}.{collection}"),
            Some(RawBsonRef::Document(from)) => {
                let part = |name| from.get(name).ok().flatten().and_then(RawBsonRef::as_str);
                format!("{}.{}", part("db").unwrap_or(database), part("coll").unwrap_or_default())
            }
            // It has documents of its own.
            None => return Ok(()),
            Some(_) => {
                return Err(Refusal::Invalid("a collection to read from is named by a text".to_owned()));
            }
        };
        self.reads.push(namespace);
        Ok(())
    }
}

/// Fails where a document has more levels than a server takes.
pub(super) fn check_depth(document: &RawDocument) -> Result<(), Refusal> {
    walk(document, |_, _| Ok(()))
}

/// Tells `see` each field, at all levels.
fn walk<'a>(
    document: &'a RawDocument,
    mut see: impl FnMut(&str, RawBsonRef<'a>) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    let invalid = |error: bson::error::Error| Refusal::Invalid(format!("no BSON: {error}"));
    let mut open = vec![document.iter()];
    while let Some(elements) = open.last_mut() {
        let Some(element) = elements.next() else {
            open.pop();
            continue;
        };
        let (name, value) = element.map_err(invalid)?;
        see(name.as_str(), value)?;
        match value {
            RawBsonRef::Document(inner) => open.push(inner.iter()),
            RawBsonRef::Array(inner) => {
                open.push(RawDocument::from_bytes(inner.as_bytes()).map_err(invalid)?.iter());
            }
            _ => {}
        }
        if open.len() > DEEPEST {
            return Err(Refusal::Invalid(format!("it has more than {DEEPEST} levels")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use bson::{Document, RawDocumentBuf, doc};

    use super::*;

    fn look(document: Document) -> Result<Vec<String>, Refusal> {
        let mut looked = Looked::default();
        let raw = RawDocumentBuf::try_from(&document).unwrap();
        looked.look(&raw, "shop").map(|()| looked.reads)
    }

    #[test]
    fn what_is_read_beside_is_found_at_any_level() {
        assert_eq!(look(doc! { "$match": { "a": 1 } }).unwrap(), Vec::<String>::new());
        assert_eq!(look(doc! { "$lookup": { "from": "users", "as": "u" } }).unwrap(), ["shop.users"]);
        assert_eq!(look(doc! { "$unionWith": "old" }).unwrap(), ["shop.old"]);
        let nested = doc! { "$facet": { "a": [ { "$lookup": {
            "from": { "db": "hr", "coll": "people" },
            "pipeline": [ { "$unionWith": { "coll": "x", "pipeline": [ { "$graphLookup": { "from": "tree" } } ] } } ],
        } } ] } };
        assert_eq!(look(nested).unwrap(), ["hr.people", "shop.x", "shop.tree"]);
        let odd = doc! { "$unionWith": { "db": "hr", "coll": "people" } };
        assert_eq!(look(odd).unwrap(), ["hr.people"]);
    }

    #[test]
    fn what_writes_or_runs_is_refused_at_any_level() {
        for (document, what) in [
            (doc! { "$out": "x" }, "$out writes"),
            (doc! { "$facet": { "a": [ { "$merge": { "into": "x" } } ] } }, "$merge writes"),
            (doc! { "$or": [ { "$where": "while (true) {}" } ] }, "JavaScript"),
            (doc! { "$expr": { "$function": {} } }, "JavaScript"),
            (doc! { "$currentOp": {} }, "reads no collection"),
        ] {
            match look(document) {
                Err(Refusal::Never(said)) => assert!(said.contains(what), "{said}"),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn what_is_too_deep_or_no_bson_is_refused() {
        let mut deep = doc! {};
        (0..250).for_each(|_| deep = doc! { "a": std::mem::take(&mut deep) });
        assert!(matches!(look(deep), Err(Refusal::Invalid(said)) if said.contains("200 levels")));
        let bytes = b"\x0c\0\0\0\x02a\0\xff\xff\xff\xff\0";
        let broken = RawDocument::from_bytes(bytes).unwrap();
        assert!(matches!(Looked::default().look(broken, "shop"), Err(Refusal::Invalid(_))));
    }
}
