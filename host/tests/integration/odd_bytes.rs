//! Documents that are not UTF-8, which a server may hold but the test server does not take: from the
//! bytes of a reply through the sandbox, without the wire between.

use bson::{Bson, Document, RawDocument, RawDocumentBuf, Timestamp, doc};
use gtm_oplog::{Op, OplogDecoder, OplogEntry, Reply, Selection, Skipped};
use gtm_runtime::{Engine, Failure, Filter, Handler, Plugin, PluginHandle, PluginSetup, Services};
use gtm_source::Form;
use gtm_source::extended_json::{read_op, write_op};

use crate::support::{patient, plugin};

/// A server's reply with one entry, in which each `ODD` is three bytes that are not UTF-8.
fn reply(entry: Document) -> Reply {
    let reply = doc! { "cursor": { "nextBatch": [entry], "id": 1_i64, "ns": "local.oplog.rs" }, "ok": 1 };
    let mut bytes = RawDocumentBuf::try_from(reply).unwrap().into_bytes();
    let odd = bytes.windows(3).position(|three| three == b"ODD").unwrap();
    bytes[odd..odd + 3].fill(0xff);
    Reply::new(bytes.into())
}

/// What comes of the one entry of a reply.
fn read(reply: &Reply) -> (Vec<Op>, Skipped) {
    let (mut reader, mut ops) = (OplogDecoder::new(Selection::everything()), Vec::new());
    let document = reply.documents().unwrap().into_iter().next().unwrap().unwrap();
    let document = document.as_document().unwrap();
    match OplogEntry::parse(document) {
        Ok(entry) => reader.read(reply, document, &entry, &mut ops).unwrap(),
        Err(malformed) => reader.report_malformed(&malformed),
    }
    (ops, reader.into_skipped())
}

fn insert(namespace: &str, document: Document) -> Document {
    let ts = Timestamp { time: 1_700_000_000, increment: 1 };
    doc! { "op": "i", "ns": namespace, "o": document, "ts": ts }
}

fn errand() -> PluginHandle {
    let engine = Engine::new(&gtm_test_support::target_dir().join("testbed/cache")).unwrap();
    let setup = PluginSetup::new("errand", patient());
    let loaded = Plugin::load(&engine, plugin("errand").as_ref(), &setup).unwrap();
    PluginHandle::new(loaded, Services::default())
}

#[tokio::test]
async fn a_value_that_is_not_utf_8_is_rejected_by_the_plugin_that_decodes_it() {
    let (ops, _) = read(&reply(insert("a.b", doc! { "_id": 1, "text": "ODD" })));
    let [op] = ops.as_slice() else { panic!("one op: {ops:?}") };
    let key = RawDocumentBuf::try_from(doc! { "_id": 1 }).unwrap();
    assert_eq!(op.document_key.as_deref(), Some(key.as_bytes()), "what can be read is");

    let plugin = errand();
    assert_eq!(Filter::new(&plugin).call(op, 1).await, Ok(true));
    match Handler::new(&plugin).call(op, 1).await {
        Ok(Err(Failure::Reject { reason })) => assert!(reason.contains("Invalid UTF-8"), "{reason}"),
        other => panic!("the plugin should reject the op: {other:?}"),
    }
}

#[test]
fn a_key_that_is_not_utf_8_does_not_lose_the_op() {
    let (ops, skipped) = read(&reply(insert("a.b", doc! { "ODD": 1, "_id": 1 })));
    assert_eq!(ops.len(), 1);
    assert!(ops[0].full_document.is_some());
    assert!(skipped.is_empty());
}

#[test]
fn a_namespace_that_is_not_utf_8_is_counted() {
    let (ops, skipped) = read(&reply(insert("a.ODD", doc! { "_id": 1 })));
    assert!(ops.is_empty());
    assert_eq!(skipped.values().sum::<u64>(), 1);
}

/// An insert of a document with every type of BSON.
fn insert_of_everything() -> Vec<u8> {
    let scope = bson::JavaScriptCodeWithScope { code: "f".into(), scope: doc! { "$oid": 1 } };
    let regex = bson::Regex { pattern: "^a".try_into().unwrap(), options: "i".try_into().unwrap() };
    let document = doc! {
        "_id": bson::oid::ObjectId::from_bytes([1; 12]), "i": 1, "l": 2_i64, "d": 0.5, "s": "é", "n": Bson::Null, "b": true,
        "o": { "$date": { "x": [1, { "y": 2 }] } }, "a": ["x", {}], "t": Timestamp { time: 1, increment: 2 },
        "bin": bson::Binary { subtype: bson::spec::BinarySubtype::Uuid, bytes: vec![3; 16] }, "r": regex,
        "c": Bson::JavaScriptCode("f()".into()), "cs": scope, "dec": "1.50".parse::<bson::Decimal128>().unwrap(),
        "at": bson::DateTime::from_millis(1_700_000_000_123), "min": Bson::MinKey, "max": Bson::MaxKey,
        "sym": Bson::Symbol("s".into()), "u": Bson::Undefined,
    };
    bson::serialize_to_vec(&insert("a.b", document)).unwrap()
}

#[test]
fn whatever_is_printed_is_read_again() {
    let whole = insert_of_everything();
    let mut printed = 0;
    for place in 0..whole.len() {
        for change in [0x00, 0x01, 0x02, 0x03, 0x05, 0x0b, 0x0f, 0x24, 0x7f, 0x80, 0xff] {
            let mut bytes = whole.clone();
            bytes[place] ^= change;
            let reply = Reply::new(bytes.into());
            let Ok(document) = reply.as_document() else { continue };
            let Ok(entry) = OplogEntry::parse(document) else { continue };
            let mut ops: Vec<Op> = Vec::new();
            OplogDecoder::new(Selection::everything())
                .for_file()
                .read(&reply, document, &entry, &mut ops)
                .unwrap();
            for op in ops {
                same_again(&op, &format!("byte {place} xor {change}"));
                printed += 1;
            }
        }
    }
    assert!(printed > 2000, "{printed}");
}

fn same_again(op: &Op, what: &str) {
    let print = |op: &Op, form| {
        let mut line = Vec::new();
        write_op(op, form, &mut line);
        String::from_utf8(line).unwrap()
    };
    let [relaxed, canonical] = [Form::Relaxed, Form::Canonical].map(|form| print(op, form));
    read_op(&relaxed).unwrap_or_else(|error| panic!("{what}: {error}: {relaxed}"));
    let again = read_op(&canonical).unwrap_or_else(|error| panic!("{what}: {error}: {canonical}"));
    assert_eq!(print(&again, Form::Canonical), canonical, "{what}");
    // What is UTF-8 is the same to the byte, however odd it is.
    let bytes = op.full_document.as_deref().filter(|bytes| std::str::from_utf8(bytes).is_ok());
    if let Some(bytes) =
        bytes.filter(|bytes| RawDocument::from_bytes(bytes).is_ok_and(|it| it.iter().all(|it| it.is_ok())))
    {
        assert_eq!(again.full_document.as_deref(), Some(bytes), "{what}: {canonical}");
    }
}
