//! Reads fields of stored documents with care: people may have edited them.

use bson::{RawBsonRef, RawDocument};

use super::StoreError;

/// The version of the documents in the store, except for checkpoints. A host that knows only older versions refuses the document.
pub(super) const VERSION: i64 = 1;

/// A stored document, and its description for errors.
pub(super) struct StoredFields<'a> {
    pub(super) document: &'a RawDocument,
    /// Such as `the checkpoint of x in y`.
    pub(super) what: String,
    pub(super) store: &'a str,
    pub(super) lost: &'static str,
}

impl<'a> StoredFields<'a> {
    pub(super) fn damaged(&self, reason: impl ToString) -> StoreError {
        StoreError::Damaged {
            what: self.what.clone(),
            store: self.store.to_owned(),
            reason: reason.to_string(),
            lost: self.lost,
        }
    }

    /// Checks that the version of the document is `known`, or an older one: the first is 1.
    ///
    /// # Errors
    /// It is another version.
    pub(super) fn check_version(&self, known: i64) -> Result<(), StoreError> {
        match self.integer("version")? {
            version if (1..=known).contains(&version) => Ok(()),
            version if version > known => Err(StoreError::Newer {
                what: self.what.clone(),
                store: self.store.to_owned(),
                version,
                known,
            }),
            version => Err(self.damaged(format!("it has the unknown version {version}"))),
        }
    }

    /// Returns a field. None: there is no such field, or it is null.
    pub(super) fn find(&self, name: &str) -> Result<Option<RawBsonRef<'a>>, StoreError> {
        let value = self.document.get(name).map_err(|error| self.damaged(error))?;
        Ok(value.filter(|value| !matches!(value, RawBsonRef::Null)))
    }

    pub(super) fn value(&self, name: &str) -> Result<RawBsonRef<'a>, StoreError> {
        self.find(name)?.ok_or_else(|| self.damaged(format!("it has no field {name}")))
    }

    pub(super) fn wrong(&self, name: &str, expected: &str) -> StoreError {
        self.damaged(format!("its field {name} is not {expected}"))
    }

    pub(super) fn text(&self, name: &str) -> Result<&'a str, StoreError> {
        self.value(name)?.as_str().ok_or_else(|| self.wrong(name, "a string"))
    }

    /// Reads an integer, which mongosh writes as a double or an int32.
    pub(super) fn integer(&self, name: &str) -> Result<i64, StoreError> {
        integer(self.value(name)?).ok_or_else(|| self.wrong(name, "a whole number"))
    }

    pub(super) fn unsigned(&self, name: &str) -> Result<u64, StoreError> {
        u64::try_from(self.integer(name)?).map_err(|_| self.wrong(name, "a whole number of at least 0"))
    }

    pub(super) fn date(&self, name: &str) -> Result<bson::DateTime, StoreError> {
        self.value(name)?.as_datetime().ok_or_else(|| self.wrong(name, "a date"))
    }
}

pub(super) fn integer(value: RawBsonRef<'_>) -> Option<i64> {
    /// Up to here, a double represents every whole number.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    match value {
        RawBsonRef::Int32(number) => Some(number.into()),
        RawBsonRef::Int64(number) => Some(number),
        #[allow(clippy::cast_possible_truncation, reason = "it is whole, and in the range")]
        RawBsonRef::Double(number) if number.fract() == 0.0 && number.abs() <= EXACT => Some(number as i64),
        _ => None,
    }
}
