//! `gtm:plugin/extended-json`: BSON as Extended JSON and back.

use bson::RawDocument;
use wasmtime::component::{HasSelf, Linker};

use crate::extended_json::{Form, read_document, write};
use crate::plugin::bindings::extended_json::{self, Host};
use crate::plugin::state::State;

/// Always granted: it touches nothing but its argument.
pub(in crate::plugin) fn link(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    extended_json::add_to_linker::<State, HasSelf<State>>(linker, |state| state)
}

impl Host for State {
    fn encode(&mut self, document: Vec<u8>) -> Result<String, String> {
        encode(&document, Form::Relaxed)
    }

    fn encode_canonical(&mut self, document: Vec<u8>) -> Result<String, String> {
        encode(&document, Form::Canonical)
    }

    fn decode(&mut self, json: String) -> Result<Vec<u8>, String> {
        decode(&json)
    }
}

fn encode(document: &[u8], form: Form) -> Result<String, String> {
    let document = RawDocument::from_bytes(document).map_err(|error| format!("no BSON: {error}"))?;
    let mut json = Vec::new();
    write(document, form, &mut json).map_err(|error| error.to_string())?;
    // What is written is UTF-8.
    Ok(String::from_utf8_lossy(&json).into_owned())
}

fn decode(json: &str) -> Result<Vec<u8>, String> {
    read_document(json).map(bson::RawDocumentBuf::into_bytes).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use bson::doc;

    use super::*;

    #[test]
    fn what_is_encoded_is_decoded_the_same() {
        let document =
            doc! { "n": 1, "long": 1_i64 << 60, "at": bson::DateTime::from_millis(0), "text": "Grüße\0" };
        let bytes = bson::serialize_to_vec(&document).unwrap();
        assert_eq!(decode(&encode(&bytes, Form::Canonical).unwrap()).unwrap(), bytes);
        assert!(encode(&bytes, Form::Relaxed).unwrap().starts_with("{\"n\":1,\"long\":"));
    }

    #[test]
    fn what_is_no_document_is_said() {
        assert!(encode(b"\x05\0\0\0", Form::Relaxed).unwrap_err().contains("no BSON"));
        assert!(encode(&[], Form::Relaxed).unwrap_err().contains("no BSON"));
        assert!(decode("{").unwrap_err().contains("not valid JSON"));
        assert!(decode("[1]").unwrap_err().contains("not a document"));
        assert!(decode("{\"a\":{\"$oid\":\"x\"}}").unwrap_err().contains("not valid Extended JSON"));
        let deep = format!("{}1{}", "{\"a\":".repeat(1_000_000), "}".repeat(1_000_000));
        assert!(decode(&deep).unwrap_err().contains("stand in each other"));
        let large = format!("{{\"a\":\"{}\"}}", "x".repeat(crate::extended_json::LARGEST));
        assert!(decode(&large).unwrap_err().contains("more than"));
    }
}
