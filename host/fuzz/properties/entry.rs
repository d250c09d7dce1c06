//! Any bytes, taken as the entries of a dump: the reader neither panics nor goes round for ever, and the
//! scanner of fields sees what the bson crate sees.

use bson::spec::ElementType;
use bson::{RawBsonRef, RawDocument};
use gtm_oplog::fields::check;
use gtm_oplog::{Fields, OplogDecoder, OplogEntry, Reply, Selection};
use gtm_source::Form;
use gtm_source::extended_json::write;

/// Bytes of open transactions, few so that the bound is met.
const HELD: usize = 1 << 10;

/// The first document of some bytes, and the rest: what its length says, or all.
fn split(bytes: &[u8]) -> (&[u8], &[u8]) {
    let length = bytes.first_chunk().map_or(0, |length| u32::from_le_bytes(*length) as usize);
    bytes.split_at_checked(length.max(5)).unwrap_or((bytes, &[]))
}

/// Field by field the same, up to where the one or the other finds it broken: the bson crate is stricter with names,
/// the scanner with the ends of code.
fn compare(document: &RawDocument) {
    for (field, element) in Fields::new(document).zip(document.iter_elements()) {
        let (Ok(field), Ok(element)) = (field, element) else { break };
        assert_eq!(field.name, element.key().as_str().as_bytes());
        assert_eq!(ElementType::from(field.kind), Some(element.element_type()));
        assert_eq!(field.value.len(), element.size());
        match element.value() {
            Ok(RawBsonRef::String(text)) => assert_eq!(field.text(), Some(text)),
            Ok(RawBsonRef::Document(document)) => assert_eq!(field.document(), Some(document)),
            Ok(RawBsonRef::Timestamp(timestamp)) => assert_eq!(field.timestamp(), Some(timestamp.into())),
            Ok(RawBsonRef::Int64(number)) => assert_eq!(field.number(), Some(RawBsonRef::Int64(number))),
            _ => {}
        }
    }
}

pub fn run(bytes: &[u8]) {
    let (mut documents, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() {
        let (document, after) = split(rest);
        rest = after;
        documents.extend(RawDocument::from_bytes(document));
    }
    let mut reader = OplogDecoder::new(Selection::everything()).with_max_held_bytes(HELD);
    for document in &documents {
        compare(document);
        // What `check` accepts can be printed.
        let written = write(document, Form::Relaxed, &mut Vec::new());
        assert!(check(document).is_err() || written.is_ok());
        let reply = Reply::new(document.as_bytes().to_vec().into());
        let entry = match OplogEntry::parse(document) {
            Ok(entry) => entry,
            Err(malformed) => {
                reader.report_malformed(&malformed);
                continue;
            }
        };
        let (mut ops, mut asked) = (Vec::new(), 0);
        while let Err(missing) = reader.read(&reply, document, &entry, &mut ops) {
            asked += 1;
            assert!(asked <= 2 * documents.len(), "it asks for ever");
            let at = |document: &&&RawDocument| {
                OplogEntry::parse(document).is_ok_and(|earlier| earlier.timestamp == missing.0)
            };
            let earlier = documents.iter().find(at).map(|earlier| earlier.as_bytes().to_vec().into());
            reader.supply(&entry, missing, earlier);
        }
        assert!(ops.len() <= bytes.len(), "more ops than bytes");
    }
}
