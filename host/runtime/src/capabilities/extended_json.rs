//! `gtm:plugin/extended-json`: BSON as Extended JSON and back.

use bson::RawDocument;
use gtm_source::extended_json::{read_document, write_within};
use gtm_source::{Form, Unwritten};
use wasmtime::component::HasSelf;

use super::{Capability, Linking};
use crate::abi::v0_2::types::Error;
use crate::abi::{v0_1, v0_2};
use crate::budget::{Budget, BudgetExceeded};
use crate::state::InstanceState;

/// The capability, which every plugin has.
pub(crate) struct ExtendedJson;

impl Capability for ExtendedJson {
    const NAME: &'static str = "extended-json";
    const IMPORTS: &'static [&'static str] = &["gtm:plugin/extended-json"];

    fn link(linking: &mut Linking<'_>) -> wasmtime::Result<()> {
        let linker = &mut linking.linker;
        v0_1::extended_json::add_to_linker::<InstanceState, HasSelf<InstanceState>>(linker, |state| state)?;
        v0_2::extended_json::add_to_linker::<InstanceState, HasSelf<InstanceState>>(linker, |state| state)
    }

    fn link_in_filter(linking: &mut Linking<'_>) -> wasmtime::Result<()> {
        Self::link(linking)
    }
}

impl v0_2::extended_json::Host for InstanceState {
    fn encode(&mut self, document: Vec<u8>) -> Result<String, Error> {
        encode(&document, Form::Relaxed, &self.call.budget)
    }

    fn encode_canonical(&mut self, document: Vec<u8>) -> Result<String, Error> {
        encode(&document, Form::Canonical, &self.call.budget)
    }

    fn decode(&mut self, json: String) -> Result<Vec<u8>, Error> {
        decode(&json, &self.call.budget)
    }
}

impl v0_1::extended_json::Host for InstanceState {
    fn encode(&mut self, document: Vec<u8>) -> Result<String, String> {
        encode(&document, Form::Relaxed, &self.call.budget).map_err(reason)
    }

    fn encode_canonical(&mut self, document: Vec<u8>) -> Result<String, String> {
        encode(&document, Form::Canonical, &self.call.budget).map_err(reason)
    }

    fn decode(&mut self, json: String) -> Result<Vec<u8>, String> {
        decode(&json, &self.call.budget).map_err(reason)
    }
}

/// Returns the reason of an error, which is the error in contract 0.1.
fn reason(error: Error) -> String {
    match error {
        Error::NotGranted(reason)
        | Error::Invalid(reason)
        | Error::Rejected(reason)
        | Error::Unavailable(reason)
        | Error::Conflict(reason)
        | Error::TooLarge(reason) => reason,
    }
}

/// Encodes a document. The text may be many times as long as the document, so the rest of the budget limits it.
fn encode(document: &[u8], form: Form, budget: &Budget) -> Result<String, Error> {
    let mut charge = budget.charge(document.len()).map_err(too_large)?;
    let document = RawDocument::from_bytes(document)
        .map_err(|error| Error::Invalid(format!("not valid BSON: {error}")))?;
    let mut json = Vec::new();
    write_within(document, form, &mut json, budget.left()).map_err(|error| match error {
        Unwritten::TooLong(bytes) => match charge.add(bytes) {
            Err(exceeded) => too_large(exceeded),
            Ok(()) => Error::TooLarge(error.to_string()),
        },
        Unwritten::Malformed(malformed) => Error::Invalid(malformed.to_string()),
    })?;
    // The encoder writes UTF-8.
    String::from_utf8(json).map_err(|error| Error::Invalid(error.to_string()))
}

/// Decodes a document. Neither the text nor the document may be larger than the largest document.
fn decode(json: &str, budget: &Budget) -> Result<Vec<u8>, Error> {
    let mut charge = budget.charge(json.len()).map_err(too_large)?;
    let document = read_document(json).map_err(|error| Error::Invalid(error.to_string()))?.into_bytes();
    charge.add(document.len()).map_err(too_large)?;
    Ok(document)
}

fn too_large(exceeded: BudgetExceeded) -> Error {
    Error::TooLarge(exceeded.to_string())
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;
    use crate::Limits;

    fn budget(host_memory: usize) -> Budget {
        Budget::new(crate::ComponentKind::Plugin, &"p".into(), &Limits { host_memory, ..Limits::default() })
    }

    fn encode(document: &[u8], form: Form) -> Result<String, String> {
        super::encode(document, form, &budget(48 << 20)).map_err(reason)
    }

    fn decode(json: &str) -> Result<Vec<u8>, String> {
        super::decode(json, &budget(48 << 20)).map_err(reason)
    }

    #[test]
    fn the_budget_limits_a_text() {
        let keys: Vec<_> = (0..100_000).map(|_| bson::Bson::MinKey).collect();
        let one_text = "\u{1}".repeat(1 << 20);
        for document in [doc! { "": keys }, doc! { "": one_text }] {
            let bytes = bson::serialize_to_vec(&document).unwrap();
            let budget = budget(4 << 20);
            let before = budget.left();
            let text = super::encode(&bytes, Form::Canonical, &budget).map_err(reason);
            match text {
                Ok(text) => assert!(text.len() + bytes.len() <= before),
                Err(said) => assert!(said.contains("of its 4 MiB are left"), "{said}"),
            }
            assert_eq!(budget.left(), before);
        }
        let large = bson::serialize_to_vec(&doc! { "": "\u{1}".repeat(1 << 20) }).unwrap();
        let said = super::encode(&large, Form::Relaxed, &budget(4 << 20)).map_err(reason).unwrap_err();
        assert!(said.contains("are left"), "{said}");
    }

    #[test]
    fn a_stored_op_is_decoded_unchanged() {
        let document =
            doc! { "n": 1, "long": 1_i64 << 60, "at": bson::DateTime::from_millis(0), "text": "Grüße\0" };
        let bytes = bson::serialize_to_vec(&document).unwrap();
        assert_eq!(decode(&encode(&bytes, Form::Canonical).unwrap()).unwrap(), bytes);
        assert!(encode(&bytes, Form::Relaxed).unwrap().starts_with("{\"n\":1,\"long\":"));
    }

    #[test]
    fn an_invalid_document_is_an_error() {
        assert!(encode(b"\x05\0\0\0", Form::Relaxed).unwrap_err().contains("BSON"));
        assert!(encode(&[], Form::Relaxed).unwrap_err().contains("BSON"));
        assert!(decode("{").unwrap_err().contains("not valid JSON"));
        assert!(decode("[1]").unwrap_err().contains("not a document"));
        assert!(decode("{\"a\":{\"$oid\":\"x\"}}").unwrap_err().contains("not valid Extended JSON"));
        let deep = format!("{}1{}", "{\"a\":".repeat(1_000_000), "}".repeat(1_000_000));
        assert!(decode(&deep).unwrap_err().contains("nested objects and arrays"));
        let large = format!("{{\"a\":\"{}\"}}", "x".repeat(gtm_source::extended_json::MAX_SIZE));
        assert!(decode(&large).unwrap_err().contains("more than"));
    }
}
