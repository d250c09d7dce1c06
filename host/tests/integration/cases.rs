//! Cases: a folder each, with what a server writes, and what is to come of it, as lines of Extended JSON.

use std::path::Path;

use bson::{Bson, Document, RawDocument};
use gtm_oplog::{Op, Skipped};
use serde_json::{Value, json};

pub fn lines(path: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

pub fn documents(path: &Path) -> Vec<Document> {
    lines(path).into_iter().map(|line| Bson::try_from(line).unwrap().as_document().unwrap().clone()).collect()
}

pub fn describe(op: &Op) -> Value {
    let name = format!("{:?}", op.operation_type);
    let mut described = json!({
        "id": op.id().to_string(),
        "operationType": name[..1].to_lowercase() + &name[1..],
        "ns": op.namespace.to_string(),
    });
    let parts = [
        ("documentKey", &op.document_key),
        ("fullDocument", &op.full_document),
        ("fullDocumentBeforeChange", &op.full_document_before_change),
        ("updateDescription", &op.update_description),
        ("command", &op.command),
    ];
    for (name, part) in parts {
        if let Some(bytes) = part {
            let document = Document::try_from(RawDocument::from_bytes(bytes).unwrap()).unwrap();
            described[name] = Bson::Document(document).into_relaxed_extjson();
        }
    }
    if let Some(transaction) = &op.transaction {
        described["transaction"] = format!("{} {}", transaction.id, transaction.index).into();
    }
    described
}

/// Compares what `read` makes of each case in `tests/FOLDER`, of which there are `least`, with its `ops.jsonl` and
/// `skipped.jsonl`.
pub fn check_cases(folder: &str, least: usize, read: impl Fn(&Path) -> (Vec<Op>, Skipped)) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
    let mut cases = 0;
    for case in std::fs::read_dir(folder).unwrap() {
        let case = case.unwrap().path();
        let name = case.file_name().unwrap().to_string_lossy().into_owned();
        let (ops, skipped) = read(&case);
        let ops: Vec<_> = ops.iter().map(describe).collect();
        assert_eq!(ops, lines(&case.join("ops.jsonl")), "{name}");
        let skipped: Value = skipped.iter().map(|(skip, count)| (skip.name(), json!(count))).collect();
        let expected = lines(&case.join("skipped.jsonl")).pop().unwrap_or(json!({}));
        assert_eq!(skipped, expected, "{name}");
        cases += 1;
    }
    assert!(cases >= least, "{cases} cases were found");
}
