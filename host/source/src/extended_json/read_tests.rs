use bson::{Bson, Document, RawDocument, doc};

use super::super::{Form, write};
use super::*;

/// The reader's answer as the library's, of which it is independent.
fn assert_same_as_the_library(json: &str) {
    let expected = serde_json::from_str::<serde_json::Value>(json).unwrap();
    let Bson::Document(expected) = Bson::try_from(expected).unwrap() else { panic!("{json}") };
    assert_eq!(decoded(json), expected, "{json}");
}

fn decoded(json: &str) -> Document {
    Document::try_from(read_document(json).unwrap()).unwrap()
}

fn said(json: &str) -> String {
    read_document(json).unwrap_err().to_string()
}

#[test]
fn documents_are_parsed_as_the_library_does() {
    for json in [
        "{}",
        " {\t\"a\" :\r\n 1 , \"b\":[ ] } ",
        r#"{"n":null,"t":true,"f":false,"i":-2147483648,"l":2147483648,"d":1.0,"e":-1.5E-3,"u":18446744073709551615,"z":-0}"#,
        r#"{"text":"Grüße \"\\\/\b\f\n\r\t\u00e9\ud83d\ude00 { [ \u0000","k\u00e9y":"","":{"":[]}}"#,
        r#"{"a":[1,[2,{"b":[{},[]]}],[[["x"]]]],"c":{"d":{"e":{}}}}"#,
        r#"{"oid":{"$oid":"56e1fc72e0c917e9c4714161"},"int":{"$numberInt":"5"},"long":{"$numberLong":"-5"}}"#,
        r#"{"d":[{"$numberDouble":"-0.0"},{"$numberDouble":"Infinity"},{"$numberDouble":"1e-320"}],"x":{"$numberDecimal":"1.50"}}"#,
        r#"{"bin":{"$binary":{"base64":"AQID","subType":"80"}},"old":{"$binary":{"subType":"02","base64":"AQID"}},"none":{"$binary":{"base64":"","subType":"00"}}}"#,
        r#"{"uuid":{"$uuid":"73ffd264-44b3-4c69-90e8-e7d1dfc035d4"},"ts":{"$timestamp":{"t":4294967295,"i":1}}}"#,
        r#"{"date":[{"$date":{"$numberLong":"-1"}},{"$date":"2021-01-04T17:48:11.237-05:00"},{"$date":"1960-01-01T00:00:00Z"},{"$date":1700000000000}]}"#,
        r#"{"re":{"$regularExpression":{"pattern":"^a\"","options":"xi"}},"sym":{"$symbol":"s"},"code":{"$code":"f()"}}"#,
        r#"{"scope":{"$code":"f","$scope":{"x":[1,{"$numberLong":"2"}],"y":{}}},"empty":{"$code":"","$scope":{}},"after":1}"#,
        r#"{"min":{"$minKey":1},"max":{"$maxKey":1},"un":{"$undefined":true},"in":[{"$oid":"56e1fc72e0c917e9c4714161"},{"$code":"c"}]}"#,
        r#"{"p":{"$dbPointer":{"$ref":"a.b","$id":{"$oid":"56e1fc72e0c917e9c4714161"}}},"ref":{"$ref":"c","$id":{"$oid":"56e1fc72e0c917e9c4714161"}}}"#,
        // Operators of queries are fields.
        r#"{"a":{"$regex":"^a","$options":"i"},"b":{"$type":"string"},"c":{"$gt":1,"$in":[1]},"$or":[{"$scope":1}]}"#,
    ] {
        assert_same_as_the_library(json);
    }
}

#[test]
fn forms_of_old_tools_are_parsed() {
    let read = decoded;
    let at = bson::DateTime::from_millis(1_700_000_000_000);
    for date in [
        "2023-11-14T22:13:20.000+0000",
        "2023-11-14T22:13:20+0000",
        "2023-11-14T22:13:20.000+00",
        "2023-11-14T17:13:20.000-0500",
        "2023-11-15T03:43:20.000+0530",
        "2023-11-14T22:13:20Z",
    ] {
        assert_eq!(read(&format!(r#"{{"a":{{"$date":"{date}"}}}}"#)), doc! { "a": at }, "{date}");
    }
    assert_eq!(
        read(r#"{"a":{"$numberLong":5},"b":{"$date":{"$numberLong":1700000000000}}}"#),
        doc! { "a": 5_i64, "b": at }
    );
    assert_eq!(read(r#"{"a":{"$numberInt":5},"b":{"$numberDouble":5}}"#), doc! { "a": 5, "b": 5.0 });
    let binary = bson::Binary { subtype: bson::spec::BinarySubtype::Uuid, bytes: vec![1, 2, 3] };
    assert_eq!(read(r#"{"a":{"$binary":"AQID","$type":"4"}}"#), doc! { "a": binary.clone() });
    assert_eq!(read(r#"{"a":{"$binary":"AQID","$type":"04"}}"#), doc! { "a": binary });
    let both = bson::Timestamp { time: 1_700_000_000, increment: 3 };
    let digits = (1_700_000_000_u64 << 32) + 3;
    assert_eq!(read(&format!(r#"{{"a":{{"$timestamp":"{digits}"}}}}"#)), doc! { "a": both });
}

#[test]
fn a_document_that_looks_like_a_wrapper_stays_a_document() {
    let code = bson::JavaScriptCodeWithScope { code: "f".into(), scope: doc! { "$oid": 1 } };
    for document in [
        doc! { "a": { "$date": "2023-11-14T22:13:20Z" } },
        doc! { "a": { "$date": { "$numberLong": "5" } } },
        doc! { "a": { "$numberLong": "5", "more": 1 }, "b": { "more": 1, "$numberLong": "5" } },
        doc! { "$oid": "56e1fc72e0c917e9c4714161" },
        doc! { "$document": { "$document": { "$oid": 1 } }, "$code": "x" },
        doc! { "a": [{ "$document": {} }, { "$document": 1 }, { "$binary": Bson::Null }] },
        doc! { "a": { "$code": "f", "$scope": { "$code": 1 } }, "b": code },
        doc! { "a": { "$scope": { "$code": 1 }, "$code": "f" } },
        doc! { "$symbol": bson::DateTime::from_millis(5) },
    ] {
        for form in [Form::Relaxed, Form::Canonical] {
            let bytes = bson::serialize_to_vec(&document).unwrap();
            let mut json = Vec::new();
            write(RawDocument::from_bytes(&bytes).unwrap(), form, &mut json).unwrap();
            let json = String::from_utf8(json).unwrap();
            assert_eq!(read_document(&json).unwrap().as_bytes(), &bytes, "{json}");
        }
    }
    let mut json = Vec::new();
    let bytes = bson::serialize_to_vec(&doc! { "a": { "$date": "x" } }).unwrap();
    write(RawDocument::from_bytes(&bytes).unwrap(), Form::Relaxed, &mut json).unwrap();
    assert_eq!(json, br#"{"a":{"$document":{"$date":"x"}}}"#);
}

#[test]
fn all_fields_with_the_same_name_are_parsed() {
    let json = r#"{"a.b":1,"a.b":2}"#;
    let mut written = Vec::new();
    write(&read_document(json).unwrap(), Form::Relaxed, &mut written).unwrap();
    assert_eq!(written, json.as_bytes());
}

#[test]
fn a_text_that_is_not_extended_json_is_refused_with_its_place() {
    for (json, expected) in [
        ("", "not valid JSON at byte 0"),
        ("{", "not valid JSON at byte 1"),
        ("{\"a\"", "not valid JSON at byte 4: a colon"),
        ("{\"a\":}", "not valid JSON at byte 5: a value"),
        ("{\"a\":1,}", "not valid JSON at byte 7: the name"),
        ("{\"a\":[1,]}", "not valid JSON at byte 8: a value"),
        ("{\"a\":[1}", "not valid JSON at byte 7: a comma"),
        ("{,}", "not valid JSON at byte 1"),
        ("{\"a\":1 \"b\":2}", "not valid JSON at byte 7: a comma"),
        ("{\"a\":01}", "not valid JSON at byte 5: a number"),
        ("{\"a\":1e999}", "not valid JSON at byte 5: a number"),
        ("{\"a\":truth}", "not valid JSON at byte 5: a value"),
        ("{\"a\":\"\u{1}\"}", "not valid JSON at byte 5: a string is not valid"),
        ("{\"a\":\"\\x\"}", "not valid JSON at byte 5: a string is not valid"),
        ("{\"a\":\"\\ud800\"}", "not valid JSON at byte 5: a string is not valid"),
        ("{\"a\":\"", "not valid JSON at byte 5: a string has no end"),
        ("{\"a\\u0000\":1}", "U+0000"),
        ("{}{}", "not valid JSON at byte 2: more text"),
        ("[1]", "not a document: "),
        ("3", "not a document: "),
        (r#"{"$oid":"56e1fc72e0c917e9c4714161"}"#, "not a document: "),
        (r#"{"$code":"f"}"#, "not a document: "),
        (r#"{"a":{"$oid":"x"}}"#, "$oid has a value that is not valid"),
        (r#"{"a":{"$oid":"56e1fc72e0c917e9c4714161","b":1}}"#, "other fields next to it"),
        (r#"{"a":{"b":1,"$oid":"56e1fc72e0c917e9c4714161"}}"#, "other fields next to it"),
        (r#"{"a":{"$numberInt":"2147483648"}}"#, "$numberInt"),
        (r#"{"a":{"$numberLong":1.5}}"#, "$numberLong"),
        (r#"{"a":{"$date":"tomorrow"}}"#, "$date"),
        (r#"{"a":{"$timestamp":{"t":-1,"i":1}}}"#, "$timestamp"),
        (r#"{"a":{"$timestamp":{"t":1,"i":1,"j":1}}}"#, "$timestamp"),
        (r#"{"a":{"$binary":{"base64":"%","subType":"00"}}}"#, "$binary"),
        (r#"{"a":{"$binary":{"base64":"","subType":"100"}}}"#, "$binary"),
        (r#"{"a":{"$regularExpression":{"pattern":"\u0000","options":""}}}"#, "$regularExpression"),
        (r#"{"a":{"$code":1}}"#, "the value of $code should be a string"),
        (r#"{"a":{"$code":"f","$scope":1}}"#, "an object is expected here"),
        (r#"{"a":{"$code":"f","b":1}}"#, "other fields next to it"),
        (r#"{"a":{"$code":"f","$scope":{},"b":1}}"#, "other fields next to it"),
        (r#"{"a":{"$code":"f","$scope":{"$oid":"56e1fc72e0c917e9c4714161"}}}"#, "not a document: "),
        (r#"{"a":{"$document":1}}"#, "an object is expected here"),
        (r#"{"a":{"$document":{},"b":1}}"#, "other fields next to it"),
        (r#"{"a":{"$minKey":2}}"#, "$minKey"),
        (r#"{"a":{"$undefined":false}}"#, "$undefined"),
    ] {
        assert!(said(json).contains(expected), "{json}: {}", said(json));
    }
}

#[test]
fn a_text_that_is_truncated_or_changed_is_parsed_or_refused_as_the_library_does() {
    let whole = concat!(
        r#"{"a":[1,-2.5e3,"x\"é\\",null,true],"b":{"$date":{"$numberLong":"5"}},"c":{"$code":"f","$scope":{"d":1}},"#,
        r#""e":{"$binary":{"base64":"AQID","subType":"00"}},"f":{"$document":{"$oid":1}},"g":{"$timestamp":{"t":1,"i":2}}}"#
    );
    for end in 0..whole.len() {
        if let Some(part) = whole.get(..end) {
            assert!(read_document(part).is_err(), "{part}");
        }
    }
    for at in 0..whole.len() {
        for byte in [b'"', b'{', b'}', b'[', b']', b',', b':', b'\\', b'0', b'-', b'$', b' ', 0, 0x7f] {
            let mut bytes = whole.as_bytes().to_vec();
            bytes[at] = byte;
            let Ok(json) = String::from_utf8(bytes) else { continue };
            let is_json = serde_json::from_str::<serde_json::Value>(&json).is_ok();
            if let Ok(document) = read_document(&json) {
                assert!(is_json, "{json}");
                Document::try_from(document).unwrap();
            }
        }
    }
}

#[test]
fn nesting_is_bounded_and_needs_no_stack() {
    let deep = |depth: usize, open: &str, close: &str| {
        format!("{{\"r\":{}1{}}}", open.repeat(depth), close.repeat(depth))
    };
    for depth in [200, 100_000] {
        for (open, close) in [("{\"a\":", "}"), ("[", "]"), ("{\"$document\":{\"$oid\":", "}}")] {
            let json = deep(depth, open, close);
            let mut written = Vec::new();
            if let Ok(document) = read_document(&json) {
                write(&document, Form::Relaxed, &mut written).unwrap();
                assert_eq!(written, json.as_bytes());
            } else {
                // Two objects for each.
                assert!(open.starts_with("{\"$") && 2 * depth > DEEPEST);
            }
        }
    }
    for json in
        [deep(DEEPEST, "[", "]"), "[".repeat(10_000_000), format!("{{\"a\":{}", "[".repeat(10_000_000))]
    {
        assert!(read_document(&json).is_err());
    }
}

#[test]
fn sizes_are_bounded() {
    let text = |length: usize| format!("{{\"a\":\"{}\"}}", "x".repeat(length));
    assert_eq!(read_document(&text(MAX_SIZE - 1000)).unwrap().as_bytes().len(), MAX_SIZE - 1000 + 13);
    assert!(said(&text(MAX_SIZE)).contains("more than 16777216"), "{}", &said(&text(MAX_SIZE))[..80]);
    // A small text of a large document.
    let many = format!("{{\"a\":[{}0]}}", "0,".repeat(4_000_000));
    assert!(said(&many).contains("larger than 16777216 bytes"));
    let long =
        format!("{{\"a\":{{\"$binary\":{{\"base64\":\"{}\",\"subType\":\"00\"}}}}}}", "AAAA".repeat(3 << 20));
    let document = decoded(&long);
    assert_eq!(document.get_binary_generic("a").unwrap().len(), 9 << 20);
}
