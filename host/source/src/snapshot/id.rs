//! An `_id` as the progress file keeps it.

use bson::{Bson, Document, RawDocument, RawDocumentBuf};
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

/// A document in an `_id` is not kept beyond this size, as it may nest deeper than JSON can be read back (128
/// levels): each level takes 7 bytes or more.
const DEEPEST: usize = 700;

/// `{_id}` of a document, in canonical Extended JSON. Only of an `_id` that is the same when it is read back:
/// one that is not UTF-8, say, is not.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Id(RawDocumentBuf);

impl Id {
    /// None: it cannot be kept.
    pub(super) fn new(id: &RawDocument) -> Option<Self> {
        let value = id.get("_id").ok()??;
        let nests = value.as_document().is_some() || value.as_javascript_with_scope().is_some();
        if nests && id.as_bytes().len() > DEEPEST {
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
    fn an_id_is_read_back_as_it_was() {
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
    fn an_id_that_would_come_back_as_another_is_not_kept() {
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
