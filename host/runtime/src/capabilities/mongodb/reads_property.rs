//! Tests random commands with duplicate fields against two readers: one keeps the first of them, the other keeps the last.

use bson::raw::CString;
use bson::{Bson, Document, RawArrayBuf, RawBson, RawBsonRef, RawDocument, RawDocumentBuf};

use super::reads::other_reads;

struct Random {
    state: u64,
    /// The fields that were duplicated.
    twice: u32,
}

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.state ^= self.state << 13;
        self.state ^= self.state >> 7;
        self.state ^= self.state << 17;
        usize::try_from(self.state >> 16).unwrap() % bound
    }

    fn one_of<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len())]
    }

    /// Returns these fields in any order, sometimes with one of them duplicated.
    fn document(&mut self, mut fields: Vec<(&str, RawBson)>) -> RawDocumentBuf {
        if !fields.is_empty() && self.below(12) == 0 {
            let name = fields[self.below(fields.len())].0;
            let value = self.collection();
            fields.push((name, value));
            self.twice += 1;
        }
        let mut document = RawDocumentBuf::new();
        while !fields.is_empty() {
            let (name, value) = fields.swap_remove(self.below(fields.len()));
            document.append(CString::try_from(name).unwrap(), value);
        }
        document
    }

    fn collection(&mut self) -> RawBson {
        let name = self.one_of(&["a", "b", "c", "d", "e"]).to_owned();
        match self.below(5) {
            0 => {
                let db = self.one_of(&["hr", "shop"]).to_owned();
                let fields = vec![("db", RawBson::String(db)), ("coll", RawBson::String(name))];
                RawBson::Document(self.document(fields))
            }
            _ => RawBson::String(name),
        }
    }

    fn pipeline(&mut self, depth: usize) -> RawBson {
        let mut stages = RawArrayBuf::new();
        for _ in 0..self.below(3) {
            stages.push(self.stage(depth));
        }
        RawBson::Array(stages)
    }

    fn stage(&mut self, depth: usize) -> RawDocumentBuf {
        let (name, value) = match self.below(if depth == 0 { 2 } else { 5 }) {
            0 => ("$match", RawBson::Document(RawDocumentBuf::new())),
            1 => {
                let mut fields = vec![("from", self.collection())];
                fields.push(("as", RawBson::String("x".to_owned())));
                ("$graphLookup", RawBson::Document(self.document(fields)))
            }
            2 => {
                let fields = vec![("a", self.pipeline(depth - 1)), ("b", self.pipeline(depth - 1))];
                ("$facet", RawBson::Document(self.document(fields)))
            }
            3 => {
                let fields = vec![("from", self.collection()), ("pipeline", self.pipeline(depth - 1))];
                ("$lookup", RawBson::Document(self.document(fields)))
            }
            _ => {
                let coll = RawBson::String(self.one_of(&["a", "b", "c"]).to_owned());
                let fields = vec![("coll", coll), ("pipeline", self.pipeline(depth - 1))];
                ("$unionWith", RawBson::Document(self.document(fields)))
            }
        };
        self.document(vec![(name, value)])
    }
}

/// Returns all that a command may read, for a reader that makes a map of each document.
fn all(value: &Bson, database: &str, reads: &mut Vec<String>) {
    let document = match value {
        Bson::Array(values) => return values.iter().for_each(|value| all(value, database, reads)),
        Bson::Document(document) => document,
        _ => return,
    };
    let (mut database, mut found) = (database, None);
    if let Some(Bson::Document(from)) = document.get("from") {
        database = from.get_str("db").unwrap_or(database);
        found = from.get_str("coll").ok();
    } else if let Ok(name) = document.get_str("from").or(document.get_str("coll")) {
        database = document.get_str("db").unwrap_or(database);
        found = Some(name);
    }
    reads.extend(found.map(|name| format!("{database}.{name}")));
    // The name of a collection is not a pipeline.
    let inner = document.iter().filter(|(name, _)| *name != "from");
    inner.for_each(|(_, value)| all(value, database, reads));
}

fn last(document: &RawDocument) -> Bson {
    Bson::Document(document.iter().fold(Document::new(), |mut all, field| {
        let (name, value) = field.unwrap();
        all.insert(name.as_str(), kept(value, last));
        all
    }))
}

fn first(document: &RawDocument) -> Bson {
    Bson::Document(document.iter().fold(Document::new(), |mut all, field| {
        let (name, value) = field.unwrap();
        all.entry(name.as_str().to_owned()).or_insert_with(|| kept(value, first));
        all
    }))
}

fn kept(value: RawBsonRef<'_>, keep: fn(&RawDocument) -> Bson) -> Bson {
    match value {
        RawBsonRef::Document(document) => keep(document),
        RawBsonRef::Array(array) => {
            Bson::Array(array.into_iter().map(|value| kept(value.unwrap(), keep)).collect())
        }
        RawBsonRef::String(text) => Bson::String(text.to_owned()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn every_reader_of_a_request_reads_the_same() {
    let mut random = Random { state: 0x9e37_79b9_7f4a_7c15, twice: 0 };
    let (mut sent, mut refused) = (0, 0);
    for _ in 0..20_000 {
        random.twice = 0;
        let pipeline = random.pipeline(3);
        let command = random.document(vec![("pipeline", pipeline)]);
        let Ok(mut reads) = other_reads(&command, "shop") else {
            assert!(random.twice > 0, "{command:?}");
            refused += 1;
            continue;
        };
        assert_eq!(random.twice, 0, "{command:?}");
        reads.sort();
        for keep in [first, last] {
            let mut others = Vec::new();
            all(&keep(&command), "shop", &mut others);
            others.sort();
            assert_eq!(reads, others, "{command:?}");
        }
        sent += 1;
    }
    assert!(sent > 1000 && refused > 1000, "{sent} {refused}");
}
