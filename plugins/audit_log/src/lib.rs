//! Writes who changed what into a collection: one document for each change, which is the same however often it is written.
//!
//! The settings are in `README.md`.

mod entry;

use gtm_plugin::bson::RawDocumentBuf;
use gtm_plugin::mongodb::Collection;
use gtm_plugin::settings::{Selection, Settings};
use gtm_plugin::{BatchPlugin, Config, ConfigError, Error, Failure, Op, Outcome, Subscription, plugin};

use entry::entry;

/// The number of documents that the host inserts in one call.
const MAX_INSERTED: usize = 1000;

#[derive(Settings)]
struct AuditSettings {
    /// The collection that gets the entries.
    #[setting(default = "audit.log")]
    collection: String,
    /// The field that names who changed the document.
    #[setting(default = "updatedBy")]
    actor_field: String,
    /// Whether an entry has the document.
    #[setting(default = "true")]
    documents: bool,
    #[setting(flatten)]
    selection: Selection,
}

#[plugin(batch, settings = AuditSettings)]
struct AuditLog {
    settings: AuditSettings,
    collection: Collection,
}

impl BatchPlugin for AuditLog {
    fn new(config: Config) -> Result<Self, ConfigError> {
        let settings: AuditSettings = config.parse()?;
        let collection = &settings.collection;
        let has_both = |(database, name): (&str, &str)| !database.is_empty() && !name.is_empty();
        if !collection.split_once('.').is_some_and(has_both) {
            return Err(ConfigError::new(format!(
                "the setting collection is {collection}. help: write DATABASE.COLLECTION, such as audit.log"
            )));
        }
        Ok(Self { collection: Collection::new(collection), settings })
    }

    fn subscriptions(&self) -> Option<Vec<Subscription>> {
        Some(self.settings.selection.subscriptions())
    }

    /// Skips what it writes itself: it would write for ever.
    fn filter(&self, op: &Op) -> bool {
        op.namespace() != self.settings.collection.as_str()
    }

    fn handle(&self, ops: &[Op]) -> Vec<Outcome> {
        ops.chunks(MAX_INSERTED).flat_map(|ops| self.write_together(ops)).collect()
    }
}

impl AuditLog {
    fn write_together(&self, ops: &[Op]) -> Vec<Outcome> {
        let entries: Vec<_> = ops.iter().map(|op| entry(op, &self.settings)).collect();
        let good: Vec<_> = entries.iter().filter_map(|entry| entry.as_ref().ok().cloned()).collect();
        let inserted = if good.is_empty() { Ok(()) } else { self.collection.insert_many(&good) };
        let each = |entry: Result<RawDocumentBuf, Failure>| match (&inserted, entry) {
            (_, Err(failure)) => Err(failure),
            (Ok(()), Ok(_)) => Ok(()),
            // The server may retry all of them later.
            (Err(error), Ok(_)) if error.is_transient() => Err(error.clone().into()),
            // One of them exists or is refused, or all are too large together. Each by itself shows which.
            (Err(_), Ok(entry)) => write(&self.collection, &entry),
        };
        entries.into_iter().map(each).collect()
    }
}

fn write(collection: &Collection, entry: &RawDocumentBuf) -> Outcome {
    match collection.insert_one(entry) {
        // It was written before: the change was delivered again.
        Ok(()) | Err(Error::Conflict(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests;
