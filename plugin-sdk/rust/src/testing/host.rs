//! What is behind the capabilities of a plugin in a test: the harness that runs it, on this thread.

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::Harness;
use crate::Error;
use crate::bindings::gtm::plugin as contract;
use crate::log::Level;

thread_local! {
    static WORLD: RefCell<Harness> = RefCell::default();
}

pub(super) fn enter(harness: Harness) {
    WORLD.replace(harness);
}

pub(super) fn leave() -> Harness {
    WORLD.take()
}

pub(super) fn with<T>(work: impl FnOnce(&mut Harness) -> T) -> T {
    WORLD.with_borrow_mut(work)
}

/// Sets the values that the plugin reads.
pub(super) fn set_config(values: BTreeMap<String, String>) {
    with(|world| world.values = values);
}

pub(crate) fn log(level: Level, message: &str) {
    with(|world| world.run.log.push((level, message.to_owned())));
}

pub(crate) fn send(message: &contract::mail::Message) -> Result<String, Error> {
    with(|world| {
        if let Some(error) = world.mail_error.clone() {
            return Err(error);
        }
        world.run.mails.push(message.clone());
        Ok(format!("<{}@localhost>", world.run.mails.len()))
    })
}

pub(crate) mod config {
    use super::with;

    pub(crate) fn get(name: &str) -> Option<String> {
        with(|world| world.values.get(name).cloned())
    }

    pub(crate) fn get_all() -> Vec<(String, String)> {
        with(|world| world.values.clone().into_iter().collect())
    }
}

pub(crate) mod metrics {
    use super::with;

    pub(crate) fn count(name: &str, by: u64) {
        with(|world| *world.run.counters.entry(name.to_owned()).or_default() += by);
    }

    pub(crate) fn gauge(name: &str, value: f64) {
        with(|world| world.run.gauges.insert(name.to_owned(), value));
    }

    pub(crate) fn record_value(name: &str, value: f64) {
        with(|world| world.run.recorded.push((name.to_owned(), value)));
    }
}

pub(crate) use super::state;

pub(crate) mod http {
    use super::with;
    use crate::Error;
    use crate::http::{Request, Response};

    pub(crate) fn send(request: &Request) -> Result<Response, Error> {
        let server = with(|world| {
            world.run.requests.push(request.clone());
            world.server.clone()
        });
        match server {
            Some(server) => server(request),
            None => Ok(Response { status: 200, ..Response::default() }),
        }
    }
}

pub(crate) mod mongodb {
    use bson::{Document, doc};

    use super::contract::mongodb::{FindOptions, UpdateOptions, UpdateResult};
    use super::with;
    use crate::bindings::gtm::plugin::types::Error;

    fn document(bytes: &[u8]) -> Result<Document, Error> {
        bson::deserialize_from_slice(bytes).map_err(|error| Error::Invalid(error.to_string()))
    }

    fn write(namespace: &str, command: Document) {
        with(|world| world.run.writes.push((namespace.to_owned(), command)));
    }

    fn found(namespace: &str) -> Result<Vec<Vec<u8>>, Error> {
        let documents = with(|world| world.collections.get(namespace).cloned()).unwrap_or_default();
        let bytes = |document: &Document| bson::serialize_to_vec(document);
        documents
            .iter()
            .map(bytes)
            .collect::<Result<_, _>>()
            .map_err(|error| Error::Invalid(error.to_string()))
    }

    pub(crate) fn find(namespace: &str, _: &[u8], options: &FindOptions) -> Result<Vec<Vec<u8>>, Error> {
        let mut documents = found(namespace)?;
        if let Some(limit) = options.limit {
            documents.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        }
        Ok(documents)
    }

    pub(crate) fn aggregate(namespace: &str, _: &[Vec<u8>]) -> Result<Vec<Vec<u8>>, Error> {
        found(namespace)
    }

    pub(crate) fn insert(namespace: &str, documents: &[Vec<u8>]) -> Result<(), Error> {
        let documents = documents.iter().map(|bytes| document(bytes)).collect::<Result<Vec<_>, _>>()?;
        write(namespace, doc! { "insert": documents });
        Ok(())
    }

    pub(crate) fn update(
        namespace: &str,
        filter: &[u8],
        update: &[u8],
        options: UpdateOptions,
    ) -> Result<UpdateResult, Error> {
        let (filter, update) = (document(filter)?, document(update)?);
        write(
            namespace,
            doc! { "update": filter, "by": update, "many": options.many, "upsert": options.upsert },
        );
        Ok(UpdateResult { matched_count: 1, modified_count: 1, upserted_id: None })
    }

    pub(crate) fn replace(
        namespace: &str,
        filter: &[u8],
        replacement: &[u8],
        upsert: bool,
    ) -> Result<UpdateResult, Error> {
        write(
            namespace,
            doc! { "replace": document(filter)?, "by": document(replacement)?, "upsert": upsert },
        );
        Ok(UpdateResult { matched_count: 1, modified_count: 1, upserted_id: None })
    }

    pub(crate) fn delete(namespace: &str, filter: &[u8], many: bool) -> Result<u64, Error> {
        write(namespace, doc! { "delete": document(filter)?, "many": many });
        Ok(1)
    }
}
