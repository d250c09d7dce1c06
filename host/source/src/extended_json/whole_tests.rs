//! A document is written exactly if all of it can be read.

use bson::{Bson, RawDocument, RawDocumentBuf, doc};
use gtm_oplog::fields::check;

use super::{Form, write};

/// A field of each type, with names of many lengths.
fn of_all_types() -> RawDocumentBuf {
    let regex = bson::Regex {
        pattern: bson::raw::cstr!("a.b").to_owned(),
        options: bson::raw::cstr!("i").to_owned(),
    };
    let code = bson::JavaScriptCodeWithScope { code: "f()".to_owned(), scope: doc! { "x": 1 } };
    RawDocumentBuf::try_from(doc! {
        "": 1.0, "1": "text", "22": { "a": 1 }, "333": [1, "two"], "4444": bson::Uuid::from_bytes([7; 16]),
        "55555": Bson::Undefined, "666666": bson::oid::ObjectId::from_bytes([1; 12]), "7777777": true,
        "88888888": bson::DateTime::from_millis(5), "999999999": Bson::Null,
        "aaaaaaaaaa": regex, "bbbbbbbbbbb": Bson::JavaScriptCode("g".into()),
        "cccccccccccc": Bson::Symbol("s".into()), "ddddddddddddd": code, "eeeeeeeeeeeeee": 7,
        "fffffffffffffff": bson::Timestamp { time: 3, increment: 4 }, "gggggggggggggggg": 8_i64,
        "hhhhhhhhhhhhhhhhh": bson::Decimal128::from_bytes([2; 16]), "min": Bson::MinKey, "max": Bson::MaxKey,
    })
    .unwrap()
}

#[test]
fn what_is_whole_can_be_written_and_nothing_else() {
    let all = || bson::Document::try_from(&*of_all_types()).unwrap();
    let nested = doc! { "deep": [all(), { "scope": all() }], "last": 1 };
    let bytes = RawDocumentBuf::try_from(nested).unwrap().into_bytes();
    let (mut whole, mut broken) = (0, 0);
    for at in 4..bytes.len() {
        for value in [0, 1, 2, 4, 5, 0x7f, 0x80, 0xff] {
            let mut bytes = bytes.clone();
            bytes[at] = value;
            let Ok(document) = RawDocument::from_bytes(&bytes) else { continue };
            let written = write(document, Form::Relaxed, &mut Vec::new());
            assert_eq!(check(document).is_ok(), written.is_ok(), "byte {at} as {value}: {written:?}");
            *(if written.is_ok() { &mut whole } else { &mut broken }) += 1;
        }
    }
    assert!(whole > 1000 && broken > 1000, "{whole} whole, {broken} broken");
}
