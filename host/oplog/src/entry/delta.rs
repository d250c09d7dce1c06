//! Converts the description of an update into that of a change event.
//!
//! The oplog describes an update in two ways: as a delta (`{$v: 2, diff}`, since 5.0), which nests like the document,
//! and as modifiers (`{$set, $unset}`, before) with dotted paths. Both become `{updatedFields, removedFields,
//! truncatedArrays}` with dotted paths.

use bson::raw::{CString, RawElement};
use bson::{RawArrayBuf, RawBsonRef, RawDocument, RawDocumentBuf};

use crate::value::integer;

/// The reason why a delta cannot be converted.
#[derive(Debug, thiserror::Error)]
pub enum BadDelta {
    /// The delta is not valid BSON.
    #[error("{0}")]
    Bson(#[from] bson::error::Error),
    /// A name in the delta is not known, or its value has another type.
    #[error("\"{0}\" is not a known part of a delta")]
    Unknown(String),
    /// The description would be larger than any document, because it repeats every path in full.
    #[error("its description would be larger than 16 MB")]
    TooLarge,
}

/// The maximum size of a description in bytes, which is that of a document.
const MAX_DESCRIPTION_BYTES: usize = 16 << 20;

/// Returns the update description of an update entry, whose field `o` is `object`.
///
/// ```
/// use bson::{Document, RawDocumentBuf, doc};
/// use gtm_oplog::entry::delta::update_description;
///
/// // The update `{$set: {"address.city": "Ulm"}, $unset: {age: ""}}`, as the oplog of a server since 5.0 records it.
/// let diff = doc! { "d": { "age": false }, "saddress": { "u": { "city": "Ulm" } } };
/// let object = RawDocumentBuf::try_from(doc! { "$v": 2, "diff": diff })?;
/// let description = Document::try_from(update_description(&object)?)?;
/// let expected = doc! {
///     "updatedFields": { "address.city": "Ulm" }, "removedFields": ["age"], "truncatedArrays": [],
/// };
/// assert_eq!(description, expected);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// The object is neither a delta nor modifiers, or its description would be larger than 16 MB.
pub fn update_description(object: &RawDocument) -> Result<RawDocumentBuf, BadDelta> {
    let mut description = Description::default();
    match object.get("diff")? {
        Some(RawBsonRef::Document(diff)) if is_description(diff) => return Ok(diff.to_owned()),
        Some(RawBsonRef::Document(diff)) => description.delta(diff)?,
        Some(_) => return Err(BadDelta::Unknown("diff".to_owned())),
        None => description.modifiers(object)?,
    }
    Ok(description.finish())
}

/// Returns whether the diff is already a description, as the test server writes it. In a delta, every name is one
/// letter, except those that begin with `s`.
fn is_description(diff: &RawDocument) -> bool {
    diff.iter_elements().next().and_then(Result::ok).is_some_and(|first| first.key() == "updatedFields")
}

#[derive(Default)]
struct Description {
    /// A list, because a path can occur twice: a field `a.b` and a field `b` of `a` have the same path.
    updated: RawDocumentBuf,
    removed: RawArrayBuf,
    truncated: RawArrayBuf,
    /// The approximate number of bytes written.
    written: usize,
}

impl Description {
    fn modifiers(&mut self, object: &RawDocument) -> Result<(), BadDelta> {
        for element in object.iter_elements() {
            let element = element?;
            match (element.key().as_str(), element.value()?) {
                ("$v", _) => {}
                ("$set", RawBsonRef::Document(fields)) => self.update("", fields)?,
                ("$unset", RawBsonRef::Document(fields)) => self.remove("", fields)?,
                (name, _) => return Err(BadDelta::Unknown(name.to_owned())),
            }
        }
        Ok(())
    }

    /// Reads a delta. Deltas can nest more than a hundred levels deep, so the open levels are kept in a list instead of
    /// on the stack.
    fn delta(&mut self, diff: &RawDocument) -> Result<(), BadDelta> {
        let mut open = vec![(String::new(), diff.iter_elements(), is_array(diff))];
        while let Some((path, elements, array)) = open.last_mut() {
            let Some(element) = elements.next() else {
                open.pop();
                continue;
            };
            let element = element?;
            let nested = if *array { self.array(path, &element)? } else { self.document(path, &element)? };
            if let Some((path, diff)) = nested {
                open.push((path, diff.iter_elements(), is_array(diff)));
            }
        }
        Ok(())
    }

    /// Reads a section of a document's diff: `d{f: false} u{f: v} i{f: v} b{f: …} s<field>: {diff}`. Returns the nested
    /// diff, if it is one.
    fn document<'a>(
        &mut self,
        path: &str,
        section: &RawElement<'a>,
    ) -> Result<Option<(String, &'a RawDocument)>, BadDelta> {
        let name = section.key().as_str();
        let unknown = || BadDelta::Unknown(name.to_owned());
        let RawBsonRef::Document(fields) = section.value()? else { return Err(unknown()) };
        match name {
            "d" => self.remove(path, fields)?,
            "u" | "i" | "b" => self.update(path, fields)?,
            _ => {
                let field = name.strip_prefix('s').ok_or_else(unknown)?;
                return Ok(Some((self.path(path, field, 0)?, fields)));
            }
        }
        Ok(None)
    }

    /// Reads a section of an array's diff: `a: true`, `l: <length>`, `u<index>: v`, `s<index>: {diff}`. Returns the
    /// nested diff, if it is one.
    fn array<'a>(
        &mut self,
        path: &str,
        section: &RawElement<'a>,
    ) -> Result<Option<(String, &'a RawDocument)>, BadDelta> {
        let name = section.key().as_str();
        let unknown = || BadDelta::Unknown(name.to_owned());
        let value = section.value()?;
        let index = |prefix| name.strip_prefix(prefix).filter(|index: &&str| index.parse::<u32>().is_ok());
        match value {
            _ if name == "a" => {}
            value if name == "l" => {
                let size = integer(value).and_then(|size| i32::try_from(size).ok()).ok_or_else(unknown)?;
                self.count(path.len())?;
                self.truncated.push(bson::rawdoc! { "field": path, "newSize": size });
            }
            RawBsonRef::Document(diff) if index('s').is_some() => {
                return Ok(Some((self.path(path, index('s').unwrap_or_default(), 0)?, diff)));
            }
            _ => {
                let index = index('u').ok_or_else(unknown)?;
                self.set(path, index, section)?;
            }
        }
        Ok(None)
    }

    fn update(&mut self, path: &str, fields: &RawDocument) -> Result<(), BadDelta> {
        for field in fields.iter_elements() {
            let field = field?;
            self.set(path, field.key().as_str(), &field)?;
        }
        Ok(())
    }

    fn remove(&mut self, path: &str, fields: &RawDocument) -> Result<(), BadDelta> {
        for field in fields.iter_elements() {
            let field = field?;
            let path = self.path(path, field.key().as_str(), 0)?;
            self.removed.push(path);
        }
        Ok(())
    }

    fn set(&mut self, path: &str, field: &str, element: &RawElement<'_>) -> Result<(), BadDelta> {
        let path = self.path(path, field, element.size())?;
        // The path contains no zero byte, because none of its parts could.
        self.updated.append(CString::try_from(path)?, element.value()?);
        Ok(())
    }

    /// Returns the path of a field, and counts its bytes together with `more` bytes that will be written beside it.
    fn path(&mut self, path: &str, field: &str, more: usize) -> Result<String, BadDelta> {
        self.count(path.len() + field.len() + more)?;
        Ok(if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") })
    }

    fn count(&mut self, more: usize) -> Result<(), BadDelta> {
        self.written += more;
        if self.written > MAX_DESCRIPTION_BYTES { Err(BadDelta::TooLarge) } else { Ok(()) }
    }

    fn finish(self) -> RawDocumentBuf {
        bson::rawdoc! {
            "updatedFields": self.updated,
            "removedFields": self.removed,
            "truncatedArrays": self.truncated,
        }
    }
}

/// Returns whether a diff belongs to an array: if and only if its first name is `a`.
fn is_array(diff: &RawDocument) -> bool {
    diff.iter_elements().next().and_then(Result::ok).is_some_and(|first| first.key() == "a")
}

#[cfg(test)]
mod tests {
    use bson::{Document, doc};

    use super::*;

    fn describe(object: Document) -> Result<Document, String> {
        let object = RawDocumentBuf::try_from(object).unwrap();
        let description = update_description(&object).map_err(|error| error.to_string())?;
        Ok(Document::try_from(description).unwrap())
    }

    fn description(updated: Document, removed: &[&str], truncated: &[(&str, i32)]) -> Document {
        let truncated: Vec<_> =
            truncated.iter().map(|(field, size)| doc! { "field": field, "newSize": size }).collect();
        doc! { "updatedFields": updated, "removedFields": removed, "truncatedArrays": truncated }
    }

    #[test]
    fn a_delta_is_flattened() {
        let diff = doc! {
            "d": { "gone": false },
            "u": { "changed": 1 },
            "i": { "new": { "whole": true } },
            "sinner": { "d": { "x": false }, "u": { "y": 2 }, "sdeep": { "i": { "z": 3 } } },
            "slist": { "a": true, "l": 4, "u0": "first", "s1": { "u": { "n": 5 } }, "s2": { "a": true, "u3": 6 } },
        };
        let expected = description(
            doc! {
                "changed": 1, "new": { "whole": true }, "inner.y": 2, "inner.deep.z": 3,
                "list.0": "first", "list.1.n": 5, "list.2.3": 6,
            },
            &["gone", "inner.x"],
            &[("list", 4)],
        );
        assert_eq!(describe(doc! { "$v": 2, "diff": diff }).unwrap(), expected);
    }

    #[test]
    fn names_that_look_like_sections_are_fields_of_their_sections() {
        let diff =
            doc! { "u": { "u": 1, "s": 2, "a": 3 }, "ss": { "u": { "d": 4 } }, "s": { "u": { "x": 5 } } };
        let expected = doc! { "u": 1, "s": 2, "a": 3, "s.d": 4, "x": 5 };
        assert_eq!(describe(doc! { "$v": 2, "diff": diff }).unwrap(), description(expected, &[], &[]));
    }

    #[test]
    fn a_path_may_occur_twice() {
        let diff = doc! { "u": { "a.b": 1 }, "sa": { "u": { "b": 2 } } };
        let object = RawDocumentBuf::try_from(doc! { "$v": 2, "diff": diff }).unwrap();
        let description = update_description(&object).unwrap();
        let paths: Vec<_> = description
            .get_document("updatedFields")
            .unwrap()
            .iter_elements()
            .map(|field| field.unwrap().key().as_str().to_owned())
            .collect();
        assert_eq!(paths, ["a.b", "a.b"]);
    }

    #[test]
    fn an_update_with_modifiers_is_described_by_them() {
        let object = doc! { "$v": 1, "$unset": { "a.b": true, "c": true }, "$set": { "d.0": 1 } };
        assert_eq!(describe(object).unwrap(), description(doc! { "d.0": 1 }, &["a.b", "c"], &[]));
        let object = doc! { "$set": { "x": 1 } };
        assert_eq!(describe(object).unwrap(), description(doc! { "x": 1 }, &[], &[]));
    }

    #[test]
    fn nesting_is_not_limited() {
        let mut diff = doc! { "u": { "x": 1 } };
        for _ in 0..1000 {
            diff = doc! { "sa": diff };
        }
        let description = describe(doc! { "$v": 2, "diff": diff }).unwrap();
        let (path, _) = description.get_document("updatedFields").unwrap().iter().next().unwrap();
        assert_eq!(path.matches('.').count(), 1000);
    }

    #[test]
    fn a_small_delta_with_a_huge_description_is_refused() {
        let fields: Document = (0..1000).map(|n| (n.to_string(), 1.into())).collect();
        let mut diff = Document::new();
        diff.insert(format!("s{}", "k".repeat(100_000)), doc! { "u": fields });
        assert!(describe(doc! { "$v": 2, "diff": diff }).unwrap_err().contains("larger than 16 MB"));
    }

    #[test]
    fn a_document_that_is_not_a_delta_is_refused() {
        for diff in [
            doc! { "x": {} },
            doc! { "u": 1 },
            doc! { "sa": { "a": true, "ux": 1 } },
            doc! { "sl": { "a": true, "l": "long" } },
        ] {
            assert!(describe(doc! { "$v": 2, "diff": diff.clone() }).is_err(), "{diff}");
        }
        assert!(describe(doc! { "$v": 2, "diff": "text" }).is_err());
        assert!(describe(doc! { "$v": 1, "$push": { "a": 1 } }).is_err());
    }
}
