//! Finds the other namespaces that a plugin's command reads, and refuses what no plugin may do.
//!
//! The command is checked as it will be sent, and the server must understand it in the same way. So a duplicate field is refused at any
//! level, as one reader would take the first value and another the last; and so is an unlisted stage, or an unlisted option of a stage
//! that reads.

use bson::{RawBsonRef, RawDocument};

/// Levels of a command. A server itself accepts at most 180.
const MAX_DEPTH: usize = 200;
/// Fields of one document. They are sorted to find duplicates.
const MAX_FIELDS: usize = 100_000;
/// Characters of a name that are shown.
const MAX_SHOWN_CHARACTERS: usize = 100;

/// Stages that read only the documents of the previous stage. `$documents` has its own; `$search`, `$searchMeta` and `$vectorSearch`
/// read an index of the collection.
const ALLOWED_STAGES: [&str; 27] = [
    "$addFields",
    "$bucket",
    "$bucketAuto",
    "$count",
    "$densify",
    "$documents",
    "$fill",
    "$geoNear",
    "$group",
    "$limit",
    "$match",
    "$project",
    "$redact",
    "$replaceRoot",
    "$replaceWith",
    "$sample",
    "$search",
    "$searchMeta",
    "$set",
    "$setWindowFields",
    "$skip",
    "$sort",
    "$sortByCount",
    "$unset",
    "$unwind",
    "$vectorSearch",
    // Its pipelines are checked.
    "$facet",
];
/// Stages that read another collection, with their options.
const READING_STAGES: [(&str, &[&str]); 3] = [
    ("$lookup", &["from", "localField", "foreignField", "let", "pipeline", "as"]),
    (
        "$graphLookup",
        &[
            "from",
            "startWith",
            "connectFromField",
            "connectToField",
            "as",
            "maxDepth",
            "depthField",
            "restrictSearchWithMatch",
        ],
    ),
    ("$unionWith", &["coll", "db", "pipeline"]),
];

/// Why a command is not sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum CommandRefusal {
    /// It is not valid BSON, too deep, or ambiguous.
    Invalid(String),
    /// It does something that no grant allows.
    Never(String),
}

/// Returns the other namespaces that a command for a collection of this database reads.
///
/// # Errors
/// The command is refused.
pub(super) fn other_reads(command: &RawDocument, database: &str) -> Result<Vec<String>, CommandRefusal> {
    check(command)?;
    let mut reads = Vec::new();
    for (name, value) in fields(command)? {
        match (name, value) {
            ("pipeline", stages) => pipeline(stages, database, &mut reads)?,
            ("filter" | "projection" | "sort" | "deletes", value) => expression(value)?,
            ("updates", RawBsonRef::Array(updates)) => {
                for one in updates {
                    update(one.map_err(malformed)?)?;
                }
            }
            // Documents to store: nothing in them is executed.
            _ => {}
        }
    }
    Ok(reads)
}

/// Fails if the command is not valid BSON, has too many levels, or a duplicate field.
fn check(command: &RawDocument) -> Result<(), CommandRefusal> {
    let mut names = Vec::new();
    check_names(command, &mut names)?;
    let mut open = vec![command.iter()];
    while let Some(elements) = open.last_mut() {
        let Some(element) = elements.next() else {
            open.pop();
            continue;
        };
        let (_, value) = element.map_err(malformed)?;
        let inner = match value {
            RawBsonRef::Document(inner) => inner,
            RawBsonRef::JavaScriptCodeWithScope(code) => code.scope,
            RawBsonRef::Array(inner) => {
                // A server goes by the order of the elements, not by their names.
                open.push(RawDocument::from_bytes(inner.as_bytes()).map_err(malformed)?.iter());
                check_depth(open.len())?;
                continue;
            }
            _ => continue,
        };
        check_names(inner, &mut names)?;
        open.push(inner.iter());
        check_depth(open.len())?;
    }
    Ok(())
}

fn check_depth(levels: usize) -> Result<(), CommandRefusal> {
    match levels > MAX_DEPTH {
        true => Err(CommandRefusal::Invalid(format!("it has more than {MAX_DEPTH} levels"))),
        false => Ok(()),
    }
}

/// Fails if a field occurs twice. `names` is a buffer that is reused.
fn check_names<'a>(document: &'a RawDocument, names: &mut Vec<&'a str>) -> Result<(), CommandRefusal> {
    names.clear();
    for element in document.iter_elements() {
        names.push(element.map_err(malformed)?.key().as_str());
        if names.len() > MAX_FIELDS {
            return Err(CommandRefusal::Invalid(format!(
                "a document in it has more than {MAX_FIELDS} fields"
            )));
        }
    }
    names.sort_unstable();
    let twice = names.iter().zip(names.iter().skip(1)).find(|(one, next)| one == next);
    match twice {
        Some((name, _)) => Err(CommandRefusal::Invalid(format!(
            "the field {} occurs twice in a document. help: set each field once",
            shown(name)
        ))),
        None => Ok(()),
    }
}

/// Checks an update: its filter and its operators. A replacement, which has no operators, is a document to store.
fn update(one: RawBsonRef<'_>) -> Result<(), CommandRefusal> {
    let RawBsonRef::Document(one) = one else { return Ok(()) };
    for (name, value) in fields(one)? {
        let is_kept = match (name, value) {
            ("u", RawBsonRef::Document(update)) => !has_operators(update),
            _ => false,
        };
        if !is_kept {
            expression(value)?;
        }
    }
    Ok(())
}

/// Returns whether an update is a document of operators. The first field decides, as in a server.
pub(super) fn has_operators(update: &RawDocument) -> bool {
    update
        .iter_elements()
        .next()
        .is_some_and(|first| first.is_ok_and(|one| one.key().as_str().starts_with('$')))
}

fn pipeline(stages: RawBsonRef<'_>, database: &str, reads: &mut Vec<String>) -> Result<(), CommandRefusal> {
    let RawBsonRef::Array(stages) = stages else {
        return Err(CommandRefusal::Invalid("a pipeline must be an array of stages".to_owned()));
    };
    for one in stages {
        match one.map_err(malformed)? {
            RawBsonRef::Document(one) => match fields(one)?.as_slice() {
                [(name, value)] => stage(name, *value, database, reads)?,
                _ => {
                    return Err(CommandRefusal::Invalid(
                        "a stage must be a document with one field".to_owned(),
                    ));
                }
            },
            _ => return Err(CommandRefusal::Invalid("a stage must be a document".to_owned())),
        }
    }
    Ok(())
}

fn stage(
    name: &str,
    value: RawBsonRef<'_>,
    database: &str,
    reads: &mut Vec<String>,
) -> Result<(), CommandRefusal> {
    if let Some((_, options)) = READING_STAGES.iter().find(|(reading, _)| *reading == name) {
        return reading(name, options, value, database, reads);
    }
    match (name, value) {
        ("$out" | "$merge", _) => {
            Err(CommandRefusal::Never(format!("an aggregation may only read, and {name} writes")))
        }
        ("$facet", RawBsonRef::Document(facets)) => {
            fields(facets)?.into_iter().try_for_each(|(_, stages)| pipeline(stages, database, reads))
        }
        _ if ALLOWED_STAGES.contains(&name) => expression(value),
        _ => Err(CommandRefusal::Never(format!(
            "a plugin may not use the stage {}. help: use these: {}",
            shown(name),
            ALLOWED_STAGES
                .into_iter()
                .chain(READING_STAGES.iter().map(|(name, _)| *name))
                .collect::<Vec<_>>()
                .join(", ")
        ))),
    }
}

/// Checks a stage that reads another collection, and with its own pipeline perhaps more of the same database.
fn reading(
    stage: &str,
    options: &[&str],
    value: RawBsonRef<'_>,
    database: &str,
    reads: &mut Vec<String>,
) -> Result<(), CommandRefusal> {
    let value = match value {
        RawBsonRef::Document(value) => value,
        RawBsonRef::String(collection) if stage == "$unionWith" => {
            reads.push(format!("{database}.{collection}"));
            return Ok(());
        }
        _ => return Err(CommandRefusal::Invalid(format!("{stage} must be a document"))),
    };
    let get = |document: &RawDocument, name| match document.get(name).map_err(malformed)? {
        Some(RawBsonRef::String(text)) => Ok(Some(text.to_owned())),
        None => Ok(None),
        Some(_) => Err(CommandRefusal::Invalid(format!("the {name} of {stage} must be a string"))),
    };
    let (other, collection) = match value.get("from").map_err(malformed)? {
        Some(RawBsonRef::Document(from)) => {
            known(stage, from, &["db", "coll"])?;
            (get(from, "db")?, Some(get(from, "coll")?.unwrap_or_default()))
        }
        _ if stage == "$unionWith" => (get(value, "db")?, get(value, "coll")?),
        _ => (None, get(value, "from")?),
    };
    let database = other.as_deref().unwrap_or(database);
    // Without a collection, it has documents of its own.
    if let Some(collection) = collection {
        reads.push(format!("{database}.{collection}"));
    }
    for (name, value) in known(stage, value, options)? {
        match name {
            "pipeline" => pipeline(value, database, reads)?,
            _ => expression(value)?,
        }
    }
    Ok(())
}

/// Returns the fields of a document, which may only have these names.
fn known<'a>(
    stage: &str,
    document: &'a RawDocument,
    names: &[&str],
) -> Result<Vec<(&'a str, RawBsonRef<'a>)>, CommandRefusal> {
    let fields = fields(document)?;
    match fields.iter().find(|(name, _)| !names.contains(name)) {
        Some((name, _)) => Err(CommandRefusal::Never(format!(
            "a plugin may not use {} in {stage}. help: use these: {}",
            shown(name),
            names.join(", ")
        ))),
        None => Ok(fields),
    }
}

/// Fails if an expression runs JavaScript, or is internal to servers, at any level.
fn expression(value: RawBsonRef<'_>) -> Result<(), CommandRefusal> {
    match value {
        RawBsonRef::Document(document) => fields(document)?.into_iter().try_for_each(|(name, value)| {
            match name {
                "$where" | "$function" | "$accumulator" => {
                    return Err(CommandRefusal::Never(format!("{name} runs JavaScript on the server")));
                }
                _ if name.starts_with("$_") => {
                    return Err(CommandRefusal::Never(format!("{} is internal to the server", shown(name))));
                }
                _ => {}
            }
            expression(value)
        }),
        RawBsonRef::Array(values) => {
            values.into_iter().try_for_each(|value| expression(value.map_err(malformed)?))
        }
        _ => Ok(()),
    }
}

fn fields(document: &RawDocument) -> Result<Vec<(&str, RawBsonRef<'_>)>, CommandRefusal> {
    document
        .iter()
        .map(|field| field.map(|(name, value)| (name.as_str(), value)).map_err(malformed))
        .collect()
}

fn malformed(error: bson::error::Error) -> CommandRefusal {
    CommandRefusal::Invalid(format!("not valid BSON: {error}"))
}

/// Shortens a name for a message.
fn shown(name: &str) -> String {
    name.chars().take(MAX_SHOWN_CHARACTERS).collect()
}

#[cfg(test)]
mod tests {
    use bson::{Document, RawDocumentBuf, doc};

    use super::*;

    fn reads_of(command: Document) -> Result<Vec<String>, CommandRefusal> {
        other_reads(&RawDocumentBuf::try_from(&command).unwrap(), "shop")
    }

    fn aggregate(stage: Document) -> Result<Vec<String>, CommandRefusal> {
        reads_of(doc! { "aggregate": "orders", "pipeline": [stage] })
    }

    #[test]
    fn other_namespaces_are_found_at_any_level() {
        assert_eq!(aggregate(doc! { "$match": { "a": 1 } }).unwrap(), Vec::<String>::new());
        assert_eq!(aggregate(doc! { "$lookup": { "from": "users", "as": "u" } }).unwrap(), ["shop.users"]);
        assert_eq!(aggregate(doc! { "$unionWith": "old" }).unwrap(), ["shop.old"]);
        let nested = doc! { "$facet": { "a": [ { "$lookup": {
            "as": "x",
            // In any order, this is the database of the stages in it.
            "pipeline": [ { "$unionWith": { "coll": "x", "pipeline": [ { "$graphLookup": { "from": "tree" } } ] } } ],
            "from": { "db": "hr", "coll": "people" },
        } } ], "b": [ { "$unionWith": "old" } ] } };
        assert_eq!(aggregate(nested).unwrap(), ["hr.people", "hr.x", "hr.tree", "shop.old"]);
        let odd = doc! { "$unionWith": { "db": "hr", "coll": "people" } };
        assert_eq!(aggregate(odd).unwrap(), ["hr.people"]);
        let own = doc! { "$lookup": { "pipeline": [ { "$documents": [ { "a": 1 } ] } ], "as": "x" } };
        assert_eq!(aggregate(own).unwrap(), Vec::<String>::new());
    }

    #[test]
    fn an_unlisted_stage_is_refused_at_any_level() {
        let nested = |stage: Document| doc! { "$facet": { "a": [ { "$lookup": { "from": "b", "pipeline": [stage] } } ] } };
        for (stage, said) in [
            (doc! { "$out": "x" }, "$out writes"),
            (doc! { "$merge": { "into": "x" } }, "$merge writes"),
            (doc! { "$currentOp": {} }, "may not use the stage $currentOp"),
            (doc! { "$changeStream": {} }, "may not use the stage $changeStream"),
            (doc! { "$_internalReadAll": { "from": "x" } }, "may not use the stage $_internalReadAll"),
            (doc! { "$LOOKUP": { "from": "x" } }, "may not use the stage $LOOKUP"),
            (doc! { "$lookup": { "from": "b", "_from": "x" } }, "may not use _from in $lookup"),
            (doc! { "$lookup": { "from": { "coll": "b", "ns": "x" } } }, "may not use ns in $lookup"),
        ] {
            for stage in [nested(stage.clone()), stage] {
                assert!(
                    matches!(aggregate(stage), Err(CommandRefusal::Never(is)) if is.contains(said)),
                    "{said}"
                );
            }
        }
        for (stage, said) in [
            (doc! { "$match": {}, "$lookup": { "from": "x" } }, "a document with one field"),
            (doc! { "$unionWith": { "coll": 1 } }, "the coll of $unionWith must be a string"),
            (doc! { "$lookup": { "from": ["x"] } }, "the from of $lookup must be a string"),
            (doc! { "$lookup": { "from": "b", "pipeline": {} } }, "a pipeline must be an array"),
        ] {
            for stage in [nested(stage.clone()), stage] {
                assert!(
                    matches!(aggregate(stage), Err(CommandRefusal::Invalid(is)) if is.contains(said)),
                    "{said}"
                );
            }
        }
    }

    #[test]
    fn javascript_is_refused_at_any_level_unless_it_is_stored() {
        let script = || doc! { "$function": { "body": "f", "args": [], "lang": "js" } };
        for command in [
            doc! { "find": "a", "filter": { "$or": [ { "$where": "while (true) {}" } ] } },
            doc! { "find": "a", "filter": {}, "projection": { "x": script() } },
            doc! { "delete": "a", "deletes": [ { "q": { "$expr": script() }, "limit": 1 } ] },
            doc! { "update": "a", "updates": [ { "q": { "$expr": script() }, "u": {} } ] },
            doc! { "update": "a", "updates": [ { "q": {}, "u": { "$set": { "x": script() } } } ] },
            doc! { "aggregate": "a", "pipeline": [ { "$group": { "_id": 1, "x": { "$accumulator": {} } } } ] },
            doc! { "aggregate": "a", "pipeline": [ { "$graphLookup": { "from": "a", "startWith": script() } } ] },
        ] {
            assert!(
                matches!(reads_of(command.clone()), Err(CommandRefusal::Never(said)) if said.contains("JavaScript")),
                "{command}"
            );
        }
        for command in [
            doc! { "insert": "a", "documents": [ script() ] },
            doc! { "update": "a", "updates": [ { "q": {}, "u": { "x": script() } } ] },
        ] {
            assert_eq!(reads_of(command.clone()), Ok(vec![]), "{command}");
        }
    }

    #[test]
    fn deep_and_malformed_commands_are_refused() {
        let mut deep = doc! {};
        (0..250).for_each(|_| deep = doc! { "a": std::mem::take(&mut deep) });
        let deep = doc! { "insert": "a", "documents": [deep] };
        assert!(matches!(reads_of(deep), Err(CommandRefusal::Invalid(said)) if said.contains("200 levels")));
        let bytes = b"\x0c\0\0\0\x02a\0\xff\xff\xff\xff\0";
        let broken = RawDocument::from_bytes(bytes).unwrap();
        assert!(matches!(other_reads(broken, "shop"), Err(CommandRefusal::Invalid(_))));
        let wide: Document = (0..=MAX_FIELDS).map(|n| (n.to_string(), 1.into())).collect();
        let wide = doc! { "insert": "a", "documents": [wide] };
        assert!(
            matches!(reads_of(wide), Err(CommandRefusal::Invalid(said)) if said.contains("100000 fields"))
        );
    }
}
