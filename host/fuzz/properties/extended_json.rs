//! Any text, taken as Extended JSON, and any bytes, taken as a document: what is read is written, and what is written is read as
//! the same.

use bson::RawDocument;
use gtm_oplog::fields::check;
use gtm_source::Form;
use gtm_source::extended_json::{MAX_SIZE, read_document, write};

fn written(document: &RawDocument, form: Form) -> Option<String> {
    let mut json = Vec::new();
    write(document, form, &mut json).ok()?;
    Some(String::from_utf8(json).expect("what is written is UTF-8"))
}

pub fn run(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes) {
        read(text);
    }
    if let Ok(document) = RawDocument::from_bytes(bytes) {
        there_and_back(document);
    }
}

fn read(text: &str) {
    let Ok(document) = read_document(text) else { return };
    assert!(document.as_bytes().len() <= MAX_SIZE, "it is larger than it may be");
    check(&document).expect("what is read is BSON");
    let canonical = written(&document, Form::Canonical).expect("what is read can be written");
    let again = read_document(&canonical).expect("what is written can be read");
    assert_eq!(again.as_bytes(), document.as_bytes(), "{canonical}");
    let relaxed = written(&document, Form::Relaxed).expect("what is read can be written");
    read_document(&relaxed).expect("what is written can be read");
}

fn there_and_back(document: &RawDocument) {
    // What is no UTF-8 is written with other characters.
    let Some(canonical) = written(document, Form::Canonical) else { return };
    let again = match read_document(&canonical) {
        Ok(again) => again,
        Err(error) => panic!("{error}: {canonical}"),
    };
    assert_eq!(written(&again, Form::Canonical).as_deref(), Some(canonical.as_str()));
}
