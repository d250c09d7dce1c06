//! Lists the keys of a bucket: in pages for one draft, and all together for the other, whose cursor is a number.

use std::sync::Arc;

use super::super::contract::Host;
use super::{KeyValueError, StateView};
use crate::state::timed;

impl StateView<'_> {
    /// Returns a page of keys after the cursor, which is a key, and the cursor of the next page. The page after the last key is empty and
    /// has no cursor.
    pub(super) async fn list_page(
        &mut self,
        cursor: Option<String>,
    ) -> Result<(Vec<String>, Option<String>), KeyValueError> {
        // The host bounds the page.
        let entries = self.list_entries(String::new(), cursor, u32::MAX).await?;
        let keys: Vec<_> = entries.into_iter().map(|entry| entry.key).collect();
        let cursor = keys.last().cloned();
        Ok((keys, cursor))
    }

    /// Returns all keys, within the time limit of one call, and no cursor: a number does not identify a key while others are written.
    pub(super) async fn list_all(
        &mut self,
        cursor: Option<u64>,
    ) -> Result<(Vec<String>, Option<u64>), KeyValueError> {
        if let Some(cursor) = cursor {
            return Err(KeyValueError::Other(format!(
                "{cursor} is not a cursor of this host, which returns all keys together"
            )));
        }
        let setup = Arc::clone(&self.setup);
        let listed = async {
            let (mut all, mut charge, mut after) = (Vec::new(), self.budget.nothing(), None);
            loop {
                let (keys, cursor) = Box::pin(self.list_page(after)).await?;
                let bytes = keys.iter().map(|key| size_of::<String>() + key.len()).sum();
                charge.add(bytes).map_err(|exceeded| KeyValueError::Other(exceeded.to_string()))?;
                all.extend(keys);
                if cursor.is_none() {
                    return Ok((all, None));
                }
                after = cursor;
            }
        };
        timed(&setup, "the store", listed).await.map_err(KeyValueError::Other)?
    }
}
