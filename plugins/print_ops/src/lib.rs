//! Logs each change it sees as one line of Extended JSON, for a first look at what comes by.
//!
//! Settings: `namespace` (optional): only this `database.collection`.

use gtm_plugin::bson::{Bson, Document, RawDocument, doc};
use gtm_plugin::{DecodeError, Failure, Op, Outcome, Plugin, config, log, plugin};

#[plugin]
struct PrintOps;

impl Plugin for PrintOps {
    fn filter(op: &Op) -> bool {
        config::get("namespace").is_none_or(|wanted| op.namespace() == wanted.as_str())
    }

    fn handle(op: &Op) -> Outcome {
        log::info!("{}", describe(op)?);
        Ok(())
    }
}

fn describe(op: &Op) -> Result<String, Failure> {
    let mut line = doc! {
        "id": op.id(),
        "operationType": op.operation_type().to_string(),
        "ns": op.namespace().to_string(),
    };
    let parts = [
        ("documentKey", op.raw_document_key()),
        ("fullDocument", op.raw_document()),
        ("fullDocumentBeforeChange", op.raw_document_before_change()),
        ("updateDescription", op.raw_update_description()),
        ("command", op.raw_command()),
    ];
    for (name, part) in parts {
        if let Some(document) = present(part)? {
            line.insert(name, document);
        }
    }
    // serde_json is a dependency for its feature `preserve_order`: fields stay where they were.
    let json: serde_json::Value = Bson::Document(line).into_relaxed_extjson();
    Ok(json.to_string())
}

fn present(part: Result<&RawDocument, DecodeError>) -> Result<Option<Document>, Failure> {
    match part {
        Ok(raw) => Document::try_from(raw).map(Some).map_err(Failure::reject),
        Err(DecodeError::Missing(_)) => Ok(None),
        Err(malformed) => Err(malformed.into()),
    }
}

#[cfg(test)]
mod tests {
    use gtm_plugin::testing::{Harness, delete, insert};

    use super::*;

    #[test]
    fn a_change_is_a_line() {
        let op = insert("shop.orders", doc! { "_id": 1, "text": "Grüße" });
        let run = Harness::new().run::<PrintOps>(&op);
        let line = concat!(
            r#"{"id":"6553f10000000001-0","operationType":"insert","ns":"shop.orders","documentKey":{"_id":1},"#,
            r#""fullDocument":{"_id":1,"text":"Grüße"}}"#
        );
        assert_eq!(run.log[0].1, line);
    }

    #[test]
    fn one_namespace_can_be_chosen() {
        let mut harness = Harness::new().config("namespace", "shop.orders");
        assert!(harness.run::<PrintOps>(&delete("shop.orders", doc! { "_id": 1 })).wanted);
        assert!(!harness.run::<PrintOps>(&delete("shop.carts", doc! { "_id": 1 })).wanted);
    }
}
