//! The `_id` of a document in the stored progress.

use bson::{Bson, Document, RawDocument, RawDocumentBuf};
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// The maximum size of a document in an `_id` that is stored, in bytes. A larger one may nest deeper than JSON can be parsed (128
/// levels): each level takes at least 7 bytes.
const MAX_NESTED_SIZE: usize = 700;

/// `{_id}` of a document, stored as canonical Extended JSON. It must be the same when it is parsed again: an `_id` that is not
/// UTF-8, for example, is not.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Id(RawDocumentBuf);

impl Id {
    /// Creates the `_id` of a document. None: it cannot be stored.
    pub(super) fn new(id: &RawDocument) -> Option<Self> {
        let value = id.get("_id").ok()??;
        let nests = value.as_document().is_some() || value.as_javascript_with_scope().is_some();
        if nests && id.as_bytes().len() > MAX_NESTED_SIZE {
            return None;
        }
        let id = Self(id.to_owned());
        let back = Self::from_json(id.to_json().ok()?).ok()?;
        (back == id).then_some(id)
    }

    pub(super) fn as_raw(&self) -> &RawDocument {
        &self.0
    }

    fn to_json(&self) -> Result<Value, bson::error::Error> {
        Ok(Bson::Document(Document::try_from(&*self.0)?).into_canonical_extjson())
    }

    fn from_json(json: Value) -> Result<Self, String> {
        match Bson::try_from(json).map_err(|error| error.to_string())? {
            Bson::Document(id) if id.len() == 1 && id.contains_key("_id") => {
                RawDocumentBuf::try_from(&id).map(Self).map_err(|error| error.to_string())
            }
            _ => Err("a place in a collection should be {\"_id\": …}".to_owned()),
        }
    }
}

impl Serialize for Id {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.to_json().map_err(S::Error::custom)?.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Id {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::from_json(Value::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use bson::{cstr, doc, rawdoc};

    use super::*;

    #[test]
    fn an_id_is_the_same_when_it_is_parsed_again() {
        for id in [
            rawdoc! { "_id": 1 },
            rawdoc! { "_id": 1_i64 },
            rawdoc! { "_id": -0.0 },
            rawdoc! { "_id": f64::NAN },
            rawdoc! { "_id": f64::NEG_INFINITY },
            rawdoc! { "_id": bson::oid::ObjectId::new() },
            rawdoc! { "_id": bson::Binary::from(bson::Uuid::new()) },
            rawdoc! { "_id": bson::DateTime::MIN },
            rawdoc! { "_id": bson::RawBson::MinKey },
            rawdoc! { "_id": bson::RawBson::Null },
            rawdoc! { "_id": "3.7".parse::<bson::Decimal128>().unwrap() },
            rawdoc! { "_id": { "b": 1, "a": [true, "\u{0}ü"] } },
        ] {
            let kept = Id::new(&id).unwrap_or_else(|| panic!("{id:?}"));
            let json = serde_json::to_string(&kept).unwrap();
            let back: Id = serde_json::from_str(&json).unwrap();
            assert_eq!(back.as_raw().as_bytes(), id.as_bytes(), "{json}");
        }
    }

    #[test]
    fn an_id_that_would_be_parsed_as_another_is_not_stored() {
        let looks = rawdoc! { "_id": { "$oid": "6b04aeab49d8647f13667083" } };
        assert_eq!(Id::new(&looks), None);
        let deep = (0..120).fold(doc! {}, |inner, _| doc! { "a": inner });
        assert_eq!(Id::new(&rawdoc! { "_id": RawDocumentBuf::try_from(&deep).unwrap() }), None);
        let mut bytes = rawdoc! { "_id": "aXb" }.into_bytes();
        let position = bytes.iter().position(|byte| *byte == b'X').unwrap();
        bytes[position] = 0xff;
        assert_eq!(Id::new(RawDocument::from_bytes(&bytes).unwrap()), None);
        let mut other = RawDocumentBuf::new();
        other.append(cstr!("x"), 1);
        assert_eq!(Id::new(&other), None);
    }
}
