//! Writes who changed what into a collection: one document for each change, which is the same however often it is written.
//!
//! The settings are in `README.md`.

mod entry;

use gtm_plugin::bson::Document;
use gtm_plugin::mongodb::{Collection, Error};
use gtm_plugin::settings::{self, Settings};
use gtm_plugin::{Failure, Op, Outcome, Plugin, config, plugin};

use entry::entry;

/// Documents that are inserted at once, as the host takes them.
const AT_ONCE: usize = 1000;

#[plugin(batch)]
struct AuditLog;

impl Plugin for AuditLog {
    const SETTINGS: Settings =
        Settings::known(&["collection", "namespaces", "operations", "actor_field", "documents"]);

    fn check_settings() -> Result<(), String> {
        let collection = collection();
        let has_both = |(database, name): (&str, &str)| !database.is_empty() && !name.is_empty();
        if !collection.split_once('.').is_some_and(has_both) {
            return Err(format!(
                "the setting collection is {collection}. help: write DATABASE.COLLECTION, such as audit.log"
            ));
        }
        settings::one_of("documents", &["true", "false"])?;
        settings::check_selection()
    }

    /// Not what it writes itself: it would write for ever.
    fn filter(op: &Op) -> bool {
        op.namespace() != collection().as_str() && settings::selects(op)
    }

    fn handle(op: &Op) -> Outcome {
        write(&Collection::new(collection()), &entry(op)?)
    }

    fn handle_batch(ops: &[Op]) -> Vec<Outcome> {
        ops.chunks(AT_ONCE).flat_map(write_together).collect()
    }
}

fn collection() -> String {
    config::get("collection").unwrap_or_else(|| "audit.log".to_owned())
}

fn write_together(ops: &[Op]) -> Vec<Outcome> {
    let collection = Collection::new(collection());
    let entries: Vec<_> = ops.iter().map(entry).collect();
    let good: Vec<_> = entries.iter().filter_map(|entry| entry.as_ref().ok().cloned()).collect();
    let inserted = if good.is_empty() { Ok(()) } else { collection.insert_many(&good) };
    let each = |entry: Result<Document, Failure>| match (&inserted, entry) {
        (_, Err(failure)) => Err(failure),
        (Ok(()), Ok(_)) => Ok(()),
        // One of them was there, or is refused; or all are too large together. Which, shows one by one.
        (Err(Error::DuplicateKey(_) | Error::Rejected(_) | Error::Invalid(_)), Ok(entry)) => {
            write(&collection, &entry)
        }
        (Err(error), Ok(_)) => Err(error.clone().into()),
    };
    entries.into_iter().map(each).collect()
}

fn write(collection: &Collection, entry: &Document) -> Outcome {
    match collection.insert_one(entry) {
        // It was written before: the change came again.
        Ok(()) | Err(Error::DuplicateKey(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests;
