//! Any command, as Extended JSON, against a reader that keeps the last of several fields of one name, and one that keeps the first:
//! what is sent reads the same for both, and writes nothing.

use bson::{Bson, Document, RawBsonRef, RawDocument};
use gtm_runtime::fuzzing::reads;
use gtm_source::extended_json::read_document;

const DATABASE: &str = "shop";

pub fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(command) = read_document(text) else { return };
    let Some(mut seen) = reads(&command, DATABASE) else { return };
    seen.sort();
    for keeps_last in [true, false] {
        let command = document(&command, keeps_last);
        let mut read = Vec::new();
        if let Some(stages) = command.get("pipeline") {
            pipeline(stages, DATABASE, &mut read);
        }
        read.sort();
        assert_eq!(seen, read, "{text}");
    }
}

fn document(document: &RawDocument, keeps_last: bool) -> Document {
    document.iter().fold(Document::new(), |mut all, field| {
        let (name, value) = field.expect("it was looked through");
        if keeps_last || !all.contains_key(name) {
            all.insert(name.as_str(), kept(value, keeps_last));
        }
        all
    })
}

fn kept(value: RawBsonRef<'_>, keeps_last: bool) -> Bson {
    match value {
        RawBsonRef::Document(inner) => Bson::Document(document(inner, keeps_last)),
        RawBsonRef::Array(inner) => {
            Bson::Array(inner.into_iter().map(|one| kept(one.expect("it is BSON"), keeps_last)).collect())
        }
        RawBsonRef::String(text) => Bson::String(text.to_owned()),
        _ => Bson::Null,
    }
}

/// What a server reads for a pipeline of a collection in this database.
fn pipeline(stages: &Bson, database: &str, reads: &mut Vec<String>) {
    let Bson::Array(stages) = stages else { panic!("a pipeline that is not an array was let through") };
    for one in stages {
        let Bson::Document(one) = one else { panic!("a stage that is not a document was let through") };
        assert_eq!(one.len(), 1, "a stage of several names was let through");
        for (name, value) in one {
            stage(name, value, database, reads);
        }
    }
}

fn stage(name: &str, value: &Bson, database: &str, reads: &mut Vec<String>) {
    assert!(!["$out", "$merge", "$currentOp", "$changeStream"].contains(&name), "{name} was let through");
    match (name, value) {
        ("$facet", Bson::Document(facets)) => {
            facets.values().for_each(|stages| pipeline(stages, database, reads));
        }
        ("$unionWith", Bson::String(collection)) => reads.push(format!("{database}.{collection}")),
        ("$lookup" | "$graphLookup" | "$unionWith", Bson::Document(options)) => {
            let text = |document: &Document, name| document.get_str(name).ok().map(str::to_owned);
            let (other, collection) = match options.get("from") {
                Some(Bson::Document(from)) => {
                    (text(from, "db"), Some(text(from, "coll").unwrap_or_default()))
                }
                _ if name == "$unionWith" => (text(options, "db"), text(options, "coll")),
                _ => (None, text(options, "from")),
            };
            let database = other.as_deref().unwrap_or(database);
            reads.extend(collection.map(|collection| format!("{database}.{collection}")));
            if let Some(stages) = options.get("pipeline") {
                pipeline(stages, database, reads);
            }
        }
        _ => {}
    }
}
